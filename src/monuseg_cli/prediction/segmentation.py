"""Segmentation of one slide or image in memory."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import MissingError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.core.suggest import did_you_mean
from monuseg_cli.imaging.resample import resize_maps
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.columns import Column, Group, columns_of
from monuseg_cli.prediction.blend import UINT8_MAX
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.detections import Detections, Frame, detect, geometries
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.oriented import with_tta
from monuseg_cli.prediction.neighbourhood import with_neighbours
from monuseg_cli.prediction.stitch import Nuclei
from monuseg_cli.prediction.view import View, find_nuclei, report_doubts, report_view

if TYPE_CHECKING:
    import pandas


class NucleusTable:
    """Table of nuclei and their measurements, with the columns, units and values of the CSV file.

    ``table["area_um2"]`` is a column, and ``len(table)`` the number of nuclei.

    Parameters
    ----------
    parts : sequence of Detections
        The nuclei of all parts of the image, in the order of their ids.
    columns : sequence of Column
        What is known of each nucleus.
    """

    def __init__(self, parts: Sequence[Detections], columns: Sequence[Column]) -> None:
        none = {column.name: np.empty(0, dtype=np.int64 if column.is_whole else np.float64) for column in columns}
        self._columns = {
            name: np.concatenate([empty, *(part.columns[name] for part in parts)]) for name, empty in none.items()
        }
        self._parts = tuple(parts)

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """All columns by name, each an ndarray of shape (N,)."""
        return MappingProxyType(self._columns)

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self._columns["id"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column, an ndarray of shape (N,).

        Raises
        ------
        KeyError
            If the column does not exist.
        """
        try:
            return self._columns[name]
        except KeyError:
            message = (
                f"no column {name!r}{did_you_mean(str(name), self._columns)}; there are {', '.join(self._columns)}"
            )
            raise KeyError(message) from None

    def __iter__(self) -> Iterator[dict[str, int | float]]:
        """Iterate over the nuclei, each as a dict of its measurements; NaN where there is no value."""
        for values in zip(*(column.tolist() for column in self._columns.values()), strict=True):
            yield dict(zip(self._columns, values, strict=True))

    def geometries(self) -> list[dict[str, object]]:
        """Return the outline of each nucleus as a GeoJSON geometry, as in the GeoJSON file.

        Coordinates are x, y in pixels of the whole image. ``shapely.geometry.shape`` converts them.
        """
        return [geometry for part in self._parts for geometry in geometries(part.shapes)]

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the columns as a data frame.

        Raises
        ------
        MissingError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            message = "pandas is not installed: pip install pandas"
            raise MissingError(message) from error
        return pandas.DataFrame(self._columns)

    def __repr__(self) -> str:
        """Return the number of nuclei, and the columns."""
        return f"<{type(self).__name__} of {len(self)} nuclei: {', '.join(self._columns)}>"


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


def segment(slide: Slide, settings: SlideSettings, engine: Engine, progress: Progress = SILENT) -> Segmentation:
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

    Raises
    ------
    InputError
        If the image or the region is unusable.
    """
    engine = with_tta(engine, settings.tta)
    view = View(slide, settings, engine.card)
    report_view(view, engine, progress)
    kept = _Kept(view.layout.frame, settings.measurements)
    found = find_nuclei(view, settings.rois, engine, kept, progress)
    parts = kept.nuclei
    if "neighbours" in settings.measurements:
        parts = with_neighbours(parts, view.layout, settings.rois)
    probability = np.concatenate(kept.probability)[None].astype(np.float32) / np.float32(UINT8_MAX)
    return Segmentation(
        labels=np.concatenate(kept.labels),
        probability=resize_maps(probability, view.shape)[0],
        nuclei=NucleusTable(parts, columns_of(settings.measurements)),
        mpp=view.mpp or engine.card.mpp,
        tissue_mm2=view.tissue.mm2,
        warnings=report_doubts(view, found, engine, progress),
    )


class _Kept:
    """A `Sink` that keeps all results in memory.

    Parameters
    ----------
    frame : Frame
        Transform from the maps to the slide.
    groups : collection of {"texture", "neighbours"}
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
