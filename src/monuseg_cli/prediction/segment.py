"""Prediction on one slide or image, with labels, probability and table in memory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.assign import with_classes
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.coordinates import Frame
from monuseg_cli.imaging.resample import resize_maps
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.columns import Group, columns_of
from monuseg_cli.nuclei.detections import Detections, detect
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.neighbours import with_neighbours
from monuseg_cli.nuclei.nucleus_table import NucleusTable
from monuseg_cli.prediction.blend import UINT8_MAX
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.oriented import with_tta
from monuseg_cli.prediction.find_nuclei import find_nuclei, report_doubts
from monuseg_cli.prediction.prepared_slide import PreparedSlide, report_slide
from monuseg_cli.prediction.scale_estimate import with_scale

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Segmentation:
    """The nuclei in an image, or in a region of it.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Ids of nuclei, 1..N; 0 background.
    probability : ndarray of shape (H, W), float32
        Probability that a pixel belongs to a nucleus, within 0..1, in steps of 1/255; resampled to the pixels of the
        image if the model has another scale.
    nuclei : NucleusTable
        The nuclei in the order of their ids, with their measurements. Positions are in pixels of the whole image.
    mpp : float
        Micrometres per pixel that were used.
    tissue_mm2 : float
        Area of tissue in square millimetres; without tissue detection, the whole area.
    warnings : tuple of str
        Why the result is implausible, for example because of a wrong scale.
    """

    labels: NDArray[np.int32]
    probability: NDArray[np.float32]
    nuclei: NucleusTable
    mpp: float
    tissue_mm2: float
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        """Return size, scale, number of nuclei and area of tissue."""
        height, width = self.labels.shape
        size = f"{width} x {height} pixels at {self.mpp:.4g} um/px"
        return f"<{type(self).__name__} of {size}: {len(self.nuclei)} nuclei, {self.tissue_mm2:.4g} mm2 of tissue>"


def segment(
    slide: Slide, settings: SlideSettings, engine: Engine, progress: Progress = SILENT, threads: int | None = None
) -> Segmentation:
    """Find the nuclei of a slide, with the same result as `predict_slide`, and return them.

    Parameters
    ----------
    slide : Slide
        The open slide; an `ArraySlide` for an image in memory.
    settings : SlideSettings
        Scale, region and tissue detection.
    engine : Engine
        Runs the network.
    progress : Progress
        Receives messages.
    threads : int, optional
        Number of cores to use for the nuclei; see `find_nuclei`.

    Raises
    ------
    InputError
        If the image or the region is unusable, or the scale cannot be estimated.
    """
    settings, estimate = with_scale(slide, settings, engine, progress)
    engine = with_tta(engine, settings.tta)
    prepared = PreparedSlide(slide, settings, engine.card)
    report_slide(prepared, engine, progress)
    kept = _Kept(prepared.layout.frame, settings.measurements)
    found = find_nuclei(prepared, settings.rois, engine, kept, progress, threads, settings.measurements)
    parts = kept.nuclei
    if "neighbours" in settings.measurements:
        parts = with_neighbours(parts, prepared.layout, settings.rois)
    if settings.classes:
        parts = with_classes(parts, settings.classes, prepared.layout.um_per_px)
    probability = np.concatenate(kept.probability)[None].astype(np.float32) / np.float32(UINT8_MAX)
    return Segmentation(
        labels=np.concatenate(kept.labels),
        probability=resize_maps(probability, prepared.shape)[0],
        nuclei=NucleusTable(parts, columns_of(settings.measurements, has_classes=bool(settings.classes))),
        mpp=prepared.mpp or engine.card.mpp,
        tissue_mm2=prepared.tissue.mm2,
        warnings=report_doubts(prepared, found, engine, progress, estimate),
    )


class _Kept:
    """A `Sink` that keeps all results in memory.

    Parameters
    ----------
    frame : Frame
        Transform from the maps to the slide.
    groups : collection of {"texture", "neighbours", "network"}
        Further measurements.
    """

    def __init__(self, frame: Frame, groups: Collection[Group]) -> None:
        self._frame, self._groups = frame, groups
        self.labels: list[NDArray[np.int32]] = []
        self.probability: list[NDArray[np.uint8]] = []
        self.nuclei: list[Detections] = []

    def add_probability(self, rows: NDArray[np.uint8]) -> None:
        self.probability.append(rows)

    def add_labels(self, rows: NDArray[np.int32]) -> None:
        self.labels.append(rows)

    def add_nuclei(self, nuclei: Nuclei, regions: Sequence[str] | None) -> None:
        self.nuclei.append(detect(nuclei, self._frame, regions, self._groups))
