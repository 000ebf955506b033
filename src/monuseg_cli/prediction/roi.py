"""Regions of interest, drawn in QuPath and exported as GeoJSON."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from monuseg_cli.core.errors import InputError
from monuseg_cli.nuclei.geojson import Polygon, read_features
from monuseg_cli.prediction.tables import Frame


@dataclass(frozen=True, slots=True)
class Roi:
    """A region: its name, and its polygons."""

    name: str
    polygons: tuple[Polygon, ...]

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points (N, 2), row and column in pixels of level 0, lie in the region."""
        inside = np.zeros(len(points), dtype=bool)
        for outer, *holes in self.polygons:
            within = Outline(outer, closed=False).contains_points(points)
            for hole in holes:
                within &= ~Outline(hole, closed=False).contains_points(points)
            inside |= within
        return inside

    @property
    def area_px(self) -> float:
        """Its area in pixels of level 0."""
        return sum(_area(outer) - sum(map(_area, holes)) for outer, *holes in self.polygons)


def _area(ring: NDArray[np.float64]) -> float:
    """Compute the area of a ring by the shoelace formula."""
    following = np.roll(ring, -1, axis=0)
    return abs(float((ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]).sum())) / 2


def read_rois(path: Path) -> tuple[Roi, ...]:
    """Read the polygons of a GeoJSON file as regions of interest.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is no GeoJSON, or has no polygon.
    """
    rois = tuple(
        Roi(feature.name or feature.class_name or f"region {number}", feature.polygons)
        for number, feature in enumerate(read_features(path), start=1)
    )
    if not rois:
        message = f"{path} has no polygon; draw an area in QuPath and export it as GeoJSON"
        raise InputError(message)
    return rois


def draw_rois(rois: tuple[Roi, ...], shape: tuple[int, int], origin: tuple[int, int], step: float) -> NDArray[np.bool_]:
    """Mark regions on a thumbnail.

    Parameters
    ----------
    rois : tuple of Roi
    shape : tuple of int
        Height and width of the thumbnail.
    origin : tuple of int
        Row and column of its first pixel, in pixels of level 0.
    step : float
        Pixels of level 0 for one of its own.

    Returns
    -------
    ndarray of shape `shape`, bool
    """
    found = np.zeros(shape, dtype=bool)
    for polygon in (polygon for roi in rois for polygon in roi.polygons):
        picture = Image.new("1", (shape[1], shape[0]))
        for number, ring in enumerate(polygon):
            points = [(float(col), float(row)) for row, col in (ring - origin) / step]
            ImageDraw.Draw(picture).polygon(points, fill=number == 0, outline=True)
        found |= np.asarray(picture)
    return found


@dataclass(frozen=True, slots=True)
class RoiCount:
    """What was found in a region of interest: its name, its area, and the nuclei whose centre is in it."""

    name: str
    mm2: float
    nuclei: int


class RoiCounter:
    """The regions of interest of a slide, and what was found in them.

    Parameters
    ----------
    rois : tuple of Roi
        The regions.
    frame : Frame
        Where the pixels of the maps lie on the slide.
    """

    def __init__(self, rois: tuple[Roi, ...], frame: Frame) -> None:
        self._rois, self._frame = rois, frame
        self._counts = [0] * len(rois)

    def __bool__(self) -> bool:
        """Whether there are any regions; without, every nucleus is kept."""
        return bool(self._rois)

    def contains(self, centres: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which nuclei are wanted, by their centres in the pixels of the maps."""
        placed = self._frame.to_slide_coords(centres)
        return np.asarray(np.any([roi.contains(placed) for roi in self._rois], axis=0), dtype=np.bool_)

    def count(self, centres: NDArray[np.float64]) -> None:
        """Count nuclei region by region."""
        placed = self._frame.to_slide_coords(centres)
        for index, roi in enumerate(self._rois):
            self._counts[index] += int(roi.contains(placed).sum())

    def counts(self, mpp: float) -> tuple[RoiCount, ...]:
        """Give what was found, with areas."""
        return tuple(
            RoiCount(roi.name, roi.area_px * (mpp / 1000) ** 2, count)
            for roi, count in zip(self._rois, self._counts, strict=True)
        )
