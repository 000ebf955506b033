"""Nuclei that any tool found, measured on their image: the command `measure`."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli import __version__
from monuseg_cli.classes.classes_file import check_model
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import resolve_links
from monuseg_cli.core.malloc import return_freed_memory
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.measurement.given_nuclei import layout_of, read_windows
from monuseg_cli.measurement.measure_windows import measured
from monuseg_cli.nuclei.distributions import Distributions
from monuseg_cli.nuclei.rois import RoiCount, RoiCounter, warn_outside
from monuseg_cli.outputs import nuclei_spatialdata
from monuseg_cli.outputs.plan import ROI_SUMMARY_SUFFIXES, SUMMARY_SUFFIXES, TABLE_SUFFIXES, require_package
from monuseg_cli.outputs.plan import suffix_of as format_of
from monuseg_cli.outputs.slide_tables import TableFiles
from monuseg_cli.outputs.summary_tables import region_rows, summary_row, write_regions, write_summary
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.plausibility import Finding, find_doubt
from monuseg_cli.prediction.predict_slide import describe_classes


@dataclass(frozen=True, slots=True)
class MeasureConfig:
    """Settings of `measure_nuclei`.

    Parameters
    ----------
    image : Path
        The image or slide.
    nuclei : Path
        Its nuclei: a label image, a mask, or outlines, in pixels of full resolution; see `read_labels_of`.
    outputs : tuple of Path
        Tables to write; the suffix selects the format: .csv, .xlsx, .geojson, .geojson.gz, .parquet or .zarr.
    settings : SlideSettings
        Scale, regions of interest, measurements, classes, series, plane, and damaged tiles; the other settings have no
        effect.
    summary : Path, optional
        Table with one row, on the image (CSV; an .xlsx has a sheet of the regions, too).
    roi_summary : Path, optional
        Table with a row per region of interest (CSV).
    """

    image: Path
    nuclei: Path
    outputs: tuple[Path, ...]
    settings: SlideSettings = field(default_factory=SlideSettings)
    summary: Path | None = None
    roi_summary: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are written."""
        return self.outputs + tuple(path for path in (self.summary, self.roi_summary) if path is not None)


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """Result of `measure_nuclei`.

    Parameters
    ----------
    outputs : tuple of Path
        The tables, with those of the image and of its regions.
    nuclei : int
        Number of nuclei that were measured.
    mpp : float
        Micrometres per pixel that were used.
    rois : tuple of RoiCount
        Nuclei in each region of interest.
    left_out : mapping of str to int
        Number of objects of the file that were not measured, by kind.
    warnings : tuple of str
        Tiles that could not be read, and why the result is implausible; see `find_doubt`.
    classes : mapping of str to int
        Number of nuclei of each class; empty without a classifier.
    """

    outputs: tuple[Path, ...]
    nuclei: int
    mpp: float
    rois: tuple[RoiCount, ...]
    left_out: Mapping[str, int]
    warnings: tuple[str, ...]
    classes: Mapping[str, int]


def measure_nuclei(config: MeasureConfig, progress: Progress = SILENT) -> MeasureResult:
    """Measure the nuclei of an image that any tool found, and write tables.

    The image is read block by block, at full resolution, and outlines are drawn block by block; a label image is held
    in memory. Ids are the values of a label image, or count the nuclei of a file of outlines from 1. The nuclei are
    written in the order of their blocks.

    Raises
    ------
    MissingError
        If a file does not exist.
    InputError
        If a file or the scale cannot be used, or the nuclei are of another image.
    OutputError
        If a table cannot be written.
    """
    began = time.perf_counter()
    return_freed_memory()
    _require_outputs(config)
    settings, name = config.settings, config.image.name
    with (
        Slide(config.image, settings.skip_damaged, settings.series, settings.plane) as slide,
        ExitStack() as stack,
    ):
        layout = layout_of(slide, settings)
        if slide.note:
            progress.info(f"{name}: {slide.note}")
        warn_outside(slide, settings.rois, progress)
        if settings.classes:
            check_model(settings.classes, None, progress)
        windows, left_out = read_windows(config.nuclei, layout, progress)
        about: dict[str, Any] = {
            "software": f"monuseg {__version__}",
            "coordinates": "x and y in pixels of the image at full resolution, y downwards",
            "image": name,
            "nuclei": config.nuclei.name,
            "mpp": layout.mpp,
            "measurements": list(settings.measurements),
        }
        targets = [(path, format_of(path)) for path in config.outputs]
        about |= describe_classes(settings.classes)
        tables = TableFiles(
            stack,
            targets,
            name,
            layout,
            settings.measurements,
            settings.rois,
            about,
            has_probability=False,
            classifier=settings.classes,
            slide=slide,
        )
        counter = RoiCounter(settings.rois, layout.frame)
        areas, measurements = [np.empty(0)], Distributions()
        with progress.task(name, len(windows), "blocks") as task:
            for found in measured(slide, windows, settings, counter, layout, task):
                tables.add(found)
                measurements.add(found.columns)
                areas.append(found.columns["area_um2"])
        tables.finish()
        if windows.covered:
            left_out = {**left_out, "covered by others": windows.covered}
            progress.warn(f"{config.nuclei.name}: {windows.covered} nuclei are covered by others, and left out")
        warnings = _warnings_of(slide, np.concatenate(areas), layout, progress)
        rois = counter.counts(layout.um_per_px)
        about["found"] = {
            "height": layout.shape[0],
            "width": layout.shape[1],
            "mpp": layout.um_per_px,
            "tissue_mm2": None,
            "nuclei": sum(map(len, areas)),
            "rois": list(map(asdict, rois)),
            "damaged": (),  # named among the warnings
            "warnings": warnings,
            "medians": measurements.medians(),
            "classes": tables.class_counts,
        }
    _write_summaries(config, about["found"], time.perf_counter() - began)
    found = about["found"]
    return MeasureResult(config.files, found["nuclei"], found["mpp"], rois, left_out, warnings, found["classes"])


def _warnings_of(slide: Slide, areas_um2: NDArray[np.float64], layout: Layout, progress: Progress) -> tuple[str, ...]:
    """Report and return what is doubtful: tiles that could not be read, and implausible areas."""
    damaged = len(set(slide.damaged))
    warnings = [f"{damaged} damaged tiles were read as white"] if damaged else []
    doubt = find_doubt(Finding(areas_um2, tissue_mm2=0, mpp=layout.um_per_px, scale="stated"))
    warnings += [doubt] if doubt else []
    for warning in warnings:
        progress.warn(f"{slide.path.name}: {warning}")
    return tuple(warnings)


def _write_summaries(config: MeasureConfig, found: Mapping[str, Any], seconds: float) -> None:
    """Write the tables of the image and of its regions, if they are outputs."""
    name = str(config.image)
    regions = region_rows(name, found["rois"])
    if config.summary:
        classes = tuple(found["classes"])
        write_summary(config.summary, [summary_row(name, found, "measured", seconds, classes)], regions, classes)
    if config.roi_summary:
        write_regions(config.roi_summary, regions)


def _require_outputs(config: MeasureConfig) -> None:
    """Check, before anything is computed, that all tables can be written."""
    inputs = {resolve_links(config.image), resolve_links(config.nuclei)}
    known: dict[Path, tuple[str, ...]] = dict.fromkeys(config.outputs, TABLE_SUFFIXES)
    known |= {path: SUMMARY_SUFFIXES for path in (config.summary,) if path}
    known |= {path: ROI_SUMMARY_SUFFIXES for path in (config.roi_summary,) if path}
    for path, suffixes in known.items():
        if format_of(path) not in suffixes:
            message = f"cannot write {path}: the name must end in {' or '.join(suffixes)}; choose another `output`"
            raise InputError(message)
        if resolve_links(path) in inputs:
            message = f"{path} is an input, and would be replaced by the table; choose another `output`"
            raise InputError(message)
        require_package(format_of(path))
        if format_of(path) == nuclei_spatialdata.SUFFIX:
            nuclei_spatialdata.require_replaceable(path)
        require_writable(path)
    if len(set(map(resolve_links, config.files))) < len(config.files):
        message = "an `output` is named twice; leave one out"
        raise InputError(message)
