"""All nuclei of a slide that are needed for its annotations: kept by a prediction, predicted, or of another tool."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.card import FoundBy
from monuseg_cli.classes.features import measurements_used
from monuseg_cli.classification.annotated_classes import ClassAnnotations
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import Progress
from monuseg_cli.core.schema import POSITIVE, SchemaError, read_as, require_in
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.measurement.given_nuclei import layout_of, read_windows
from monuseg_cli.measurement.measure_windows import measured
from monuseg_cli.nuclei.detections import Detections, detect
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.rois import RoiCounter
from monuseg_cli.outputs import nuclei_parquet
from monuseg_cli.outputs.plan import Outputs, suffix_of
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.find_nuclei import find_nuclei
from monuseg_cli.prediction.image_job import Job
from monuseg_cli.prediction.prepared_slide import PreparedSlide, report_slide
from monuseg_cli.prediction.remake_outputs import find_kept


@dataclass(frozen=True, slots=True)
class KnownNuclei:
    """Nuclei of a slide.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (N,)
        Centres and measurements.
    um_per_px : float
        Micrometres per pixel of level 0.
    found_by : FoundBy or None
        The model that found them.
    """

    columns: Mapping[str, NDArray[Any]]
    um_per_px: float
    found_by: FoundBy | None

    @property
    def centres(self) -> NDArray[np.float64]:
        """Row and column of each centre (N, 2), in pixels."""
        return np.stack([self.columns["row_px"], self.columns["col_px"]], axis=1)


def read_nuclei_file(path: Path, image: Path, settings: SlideSettings, progress: Progress) -> KnownNuclei:
    """Read the nuclei of a file: a GeoParquet of monuseg, or a label image or outlines, which are measured.

    Raises
    ------
    MonusegError
        If the file, the image or its scale cannot be used, or measurements are missing in the file.
    """
    if suffix_of(path) == nuclei_parquet.SUFFIX:
        return _read_parquet(path, settings)
    with Slide(image, settings.skip_damaged, settings.series, settings.plane) as slide:
        layout = layout_of(slide, settings)
        windows, _ = read_windows(path, layout, progress)
        counter = RoiCounter((), layout.frame)
        with progress.task(image.name, len(windows), "blocks") as task:
            found = list(measured(slide, windows, settings, counter, layout, task))
    return KnownNuclei(_joined(found, settings), layout.um_per_px, None)


def _read_parquet(path: Path, settings: SlideSettings) -> KnownNuclei:
    about = nuclei_parquet.read_about(path)
    try:
        model = about["record"]["model"] if "record" in about else None
        found_by = FoundBy(str(model["architecture"]), str(model["sha256"])) if model else None
        scale = read_as(Layout, about["layout"], "layout").um_per_px if "layout" in about else about["mpp"]
        um_per_px = read_as(float, scale, "mpp")
        require_in(POSITIVE, um_per_px, "mpp")
        return KnownNuclei(_joined(nuclei_parquet.read_nuclei(path), settings), um_per_px, found_by)
    except (SchemaError, LookupError, TypeError) as error:
        message = f"{path} lacks what a classifier needs ({error}); write it again with the same measurements"
        raise InputError(message) from error


def find_slide_nuclei(
    image: Path, annotations: ClassAnnotations, job: Job, folders: Sequence[Path], progress: Progress
) -> KnownNuclei:
    """Return the nuclei of a slide: kept in a GeoParquet in one of these folders, or else predicted.

    The prediction is made in and around the annotated objects only.

    Parameters
    ----------
    image : Path
        The slide.
    annotations : ClassAnnotations
        Its annotated objects.
    job : Job
        Model and settings.
    folders : sequence of Path
        Where nuclei may be kept.
    progress : Progress
        Receives messages.

    Raises
    ------
    MonusegError
        If the slide cannot be used.
    """
    settings, found_by = job.config.settings, FoundBy(job.card.architecture, job.sha256)
    places = tuple(folder / image.with_suffix(nuclei_parquet.SUFFIX).name for folder in folders)
    outputs = Outputs(image, places, labels=False, overlay=None, probability=None, tissue=None)
    kept = find_kept(outputs, job.identity(outputs), job.config.engine, progress)
    if kept:
        progress.info(f"{image.name}: nuclei of {kept.path}")
        return KnownNuclei(_joined(nuclei_parquet.read_nuclei(kept.path), settings), kept.layout.um_per_px, found_by)
    with Slide(image, settings.skip_damaged, settings.series, settings.plane) as slide:
        um_per_px = settings.given_mpp or slide.mpp or job.card.mpp
        rois = annotations.around(um_per_px)
        engine = job.engine(progress)
        prepared = PreparedSlide(slide, replace(settings, rois=rois), engine.card)
        report_slide(prepared, engine, progress)
        sink = _Kept(prepared.layout, settings)
        find_nuclei(prepared, rois, engine, sink, progress, groups=settings.measurements)
        return KnownNuclei(_joined(sink.found, settings), prepared.layout.um_per_px, found_by)


class _Kept:
    """A `Sink` that keeps the measurements of nuclei."""

    def __init__(self, layout: Layout, settings: SlideSettings) -> None:
        self._frame, self._groups = layout.frame, settings.measurements
        self.found: list[Detections] = []

    def add_probability(self, rows: NDArray[np.uint8]) -> None:
        pass

    def add_labels(self, rows: NDArray[np.int32]) -> None:
        pass

    def add_nuclei(self, nuclei: Nuclei, regions: Sequence[str] | None) -> None:
        self.found.append(detect(nuclei, self._frame, regions, self._groups))


def _joined(parts: Iterable[Detections], settings: SlideSettings) -> dict[str, NDArray[Any]]:
    """Return what features are made of, of all nuclei."""
    names = ("row_px", "col_px", *measurements_used(settings.measurements))
    columns: dict[str, list[NDArray[Any]]] = {name: [np.empty(0)] for name in names}
    for part in parts:
        for name, values in columns.items():
            values.append(part.columns[name])
    return {name: np.concatenate(values) for name, values in columns.items()}
