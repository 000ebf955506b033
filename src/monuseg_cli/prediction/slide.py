"""Prediction on one slide, from the image file to the output files."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli import __version__
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.malloc import return_freed_memory
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.stains import StainLevels
from monuseg_cli.models.card import Card
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.detections import detect
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.oriented import with_tta
from monuseg_cli.prediction.outputs import TIFF_SUFFIXES, Outputs, suffix_of
from monuseg_cli.prediction.overlay import overlay_png
from monuseg_cli.prediction.rasters import RowWriter, mask_png, pyramid_tiff
from monuseg_cli.prediction.roi import RoiCount
from monuseg_cli.prediction.stitch import Nuclei
from monuseg_cli.prediction.tables import NucleiWriter, Target, nuclei_csv, nuclei_geojson
from monuseg_cli.prediction.view import View, find_nuclei, report_doubts, report_view


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of one image.

    Parameters
    ----------
    outputs : Outputs
        The image, and the files written for it.
    height, width : int
        Size of the image, or of its region, in pixels of level 0.
    mpp : float or None
        Micrometres per pixel of level 0 that were used; None if neither the image nor the user stated it.
    tissue_mm2 : float
        Area of tissue; without tissue detection, the whole area that was predicted on.
    nuclei : int
        Number of nuclei.
    seconds : float
        Wall time from opening the image to the last written file.
    rois : tuple of RoiCount
        Nuclei in each region of interest.
    damaged : tuple of str
        Unreadable tiles of the slide, which were treated as glass.
    stain : StainLevels
        Stain levels of the slide, which were matched to those of the training images; empty without matching.
    warnings : tuple of str
        Why the result is implausible; see `find_doubt`.
    """

    outputs: Outputs
    height: int
    width: int
    mpp: float | None
    tissue_mm2: float
    nuclei: int
    seconds: float
    rois: tuple[RoiCount, ...]
    damaged: tuple[str, ...]
    stain: StainLevels
    warnings: tuple[str, ...]

    @property
    def per_mm2(self) -> float:
        """Nuclei per square millimetre of tissue; 0 without tissue."""
        return self.nuclei / self.tissue_mm2 if self.tissue_mm2 else 0.0


def predict_slide(outputs: Outputs, settings: SlideSettings, engine: Engine, progress: Progress = SILENT) -> Prediction:
    """Find the nuclei of one image and write the outputs, in memory that grows with its width, not with its height.

    Raises
    ------
    InputError
        If the image or the region is unusable.
    OutputError
        If a file cannot be written.
    """
    began = time.perf_counter()
    return_freed_memory()
    for path in outputs.files:
        require_writable(path)
    engine = with_tta(engine, settings.tta)
    with (
        Slide(outputs.image, settings.skip_damaged, settings.series, settings.plane) as slide,
        ExitStack() as stack,
    ):
        view = View(slide, settings, engine.card)
        report_view(view, engine, progress, [path for path in outputs.files if path != outputs.overlay])
        writers = _Writers(stack, outputs, view, engine.card, has_regions=bool(settings.rois))
        found = find_nuclei(view, settings.rois, engine, writers, progress)
    warnings = report_doubts(view, found, engine, progress)
    return Prediction(
        outputs=outputs,
        height=view.shape[0],
        width=view.shape[1],
        mpp=view.mpp,
        tissue_mm2=view.tissue.mm2,
        nuclei=len(found.areas_um2),
        seconds=time.perf_counter() - began,
        rois=found.rois,
        damaged=view.damaged,
        stain=view.match.found if view.match else {},
        warnings=warnings,
    )


class _Writers:
    """The writers of all output files of a slide, open until the stack is closed.

    Parameters
    ----------
    stack : ExitStack
        Closes the files.
    outputs : Outputs
        Which files.
    view : View
        The slide.
    card : Card
        Card of the model.
    has_regions : bool
        Whether regions of interest are given.
    """

    def __init__(self, stack: ExitStack, outputs: Outputs, view: View, card: Card, has_regions: bool) -> None:
        about = _describe(outputs, card)
        self._frame, self._outputs, self._has_regions = view.frame, outputs, has_regions
        self._rasters: list[RowWriter] = []
        self._tables: list[NucleiWriter] = []
        for path in outputs.results:
            suffix = suffix_of(path)
            if suffix == ".png":
                self._rasters.append(stack.enter_context(mask_png(path, view.shape)))
            elif suffix in TIFF_SUFFIXES:
                dtype = np.int32 if outputs.labels else np.uint8
                add = stack.enter_context(pyramid_tiff(path, view.shape, dtype, view.mpp, about))
                self._rasters.append(add if outputs.labels else _as_mask(add))
            else:
                self._add_table(stack, path, suffix)
        if outputs.stream:
            self._add_table(stack, sys.stdout.buffer, f".{outputs.stream}")
        if outputs.overlay:
            self._rasters.append(stack.enter_context(overlay_png(outputs.overlay, view.slide, view.region)))
        self._probability: RowWriter | None = None
        if outputs.probability:
            shape = view.source.shape
            writer = pyramid_tiff(outputs.probability, shape, np.uint8, view.map_mpp, about)
            self._probability = stack.enter_context(writer)
        if outputs.tissue:
            stack.enter_context(mask_png(outputs.tissue, view.tissue.found.shape))(view.tissue.found)

    def _add_table(self, stack: ExitStack, target: Target, suffix: str) -> None:
        if suffix == ".csv":
            writer = nuclei_csv(target, self._has_regions)
        else:
            writer = nuclei_geojson(target, self._outputs.image.name, self._outputs.simplify)
        self._tables.append(stack.enter_context(writer))

    def add_probability(self, rows: NDArray[np.uint8]) -> None:
        """Write the next rows (R, W) of the probability of nuclei."""
        if self._probability:
            self._probability(rows)

    def add_labels(self, rows: NDArray[np.int32]) -> None:
        """Write the next rows (R, W) of the label image."""
        for add in self._rasters:
            add(rows)

    def add_nuclei(self, nuclei: Nuclei, regions: Sequence[str] | None) -> None:
        """Append nuclei to the tables."""
        if self._tables:
            found = detect(nuclei, self._frame, regions)
            for add in self._tables:
                add(found)


def _as_mask(add: RowWriter) -> RowWriter:
    return lambda labels: add((labels != 0).astype(np.uint8) * np.uint8(255))


def _describe(outputs: Outputs, card: Card) -> dict[str, Any]:
    return {
        "software": f"monuseg {__version__}",
        "image": outputs.image.name,
        "model": card.architecture,
        "licence": card.licence,
        "postprocess": asdict(card.postprocess),
        "content": "255 or a nucleus' id where a label is, 0 elsewhere",
    }
