"""Regions of interest: which nuclei lie in them, and how many.

shapely is imported only if there are regions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from monuseg_cli.core.progress import Progress
from monuseg_cli.imaging.coordinates import Frame
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.polygons import Polygon

if TYPE_CHECKING:
    from shapely import MultiPolygon

_TO_THE_RIGHT_BELOW = np.array([2**-20, 2**-21])
"""Offset in pixels that moves a tested point off any edge."""


@dataclass(frozen=True)
class Roi:
    """A region of interest.

    Parameters
    ----------
    name : str
        Name of the region.
    polygons : tuple of Polygon
        Valid polygons: none crosses itself or another.
    repaired : bool
        Whether the drawn outlines crossed, so that the area differs from what was drawn.
    """

    name: str
    polygons: tuple[Polygon, ...]
    repaired: bool = False

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points (N, 2), row and column in pixels of level 0, lie in the region, as bool (N,).

        Top and left edges belong to the region, others do not, so a point on a shared edge is in one region only.
        """
        import shapely

        shapely.prepare(self._geometry)
        inside: NDArray[np.bool_] = shapely.contains_xy(self._geometry, points + _TO_THE_RIGHT_BELOW)
        return inside

    def is_outside(self, shape: tuple[int, int]) -> bool:
        """Return whether no part of the region can be in an image of this height and width."""
        points = np.concatenate([outer for outer, *_ in self.polygons])
        return bool((points.max(axis=0) <= 0).any() or (points.min(axis=0) >= shape).any())

    @property
    def area_px(self) -> float:
        """Area of the region in pixels of level 0."""
        return float(self._geometry.area)

    @cached_property
    def _geometry(self) -> "MultiPolygon":
        return to_geometry(self.polygons)


def to_geometry(polygons: tuple[Polygon, ...]) -> "MultiPolygon":
    """Build the geometry of polygons, with rows as x and columns as y."""
    import shapely

    return shapely.MultiPolygon([shapely.Polygon(outer, holes) for outer, *holes in polygons])


def without_crossings(roi: Roi) -> Roi:
    """Return a valid region unchanged; if outlines cross, return the region of everything inside them.

    Raises
    ------
    ValueError
        If the region has no area.
    """
    import shapely

    drawn = to_geometry(roi.polygons)
    if drawn.is_valid:
        return roi
    whole = shapely.make_valid(drawn, method="structure", keep_collapsed=False)
    if not whole.area:
        message = f"{roi.name} has no area"
        raise ValueError(message)
    return Roi(roi.name, polygons_of(whole), repaired=not math.isclose(whole.area, drawn.area))


def polygons_of(geometry: Any) -> tuple[Polygon, ...]:
    """Return the polygons of a geometry of shapely, with x as rows and y as columns; the reverse of `to_geometry`."""
    import shapely

    return tuple(
        tuple(shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors))
        for part in shapely.get_parts(geometry)
    )


def draw_rois(rois: tuple[Roi, ...], shape: tuple[int, int], origin: tuple[int, int], step: float) -> NDArray[np.bool_]:
    """Rasterise regions on a thumbnail.

    Parameters
    ----------
    rois : tuple of Roi
    shape : tuple of int
        Height and width of the thumbnail.
    origin : tuple of int
        Row and column of its first pixel, in pixels of level 0.
    step : float
        Pixels of level 0 per pixel of the thumbnail.

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
    """A region of interest: its name, its area, and the number of nuclei with their centre in it."""

    name: str
    mm2: float
    nuclei: int


class RoiCounter:
    """Counts nuclei in the regions of interest of a slide.

    Parameters
    ----------
    rois : tuple of Roi
        The regions.
    frame : Frame
        Transform from the maps to the slide.
    """

    def __init__(self, rois: tuple[Roi, ...], frame: Frame) -> None:
        self._rois, self._frame = rois, frame
        self._counts = [0] * len(rois)

    def __bool__(self) -> bool:
        """Whether there are any regions; without them, every nucleus is kept."""
        return bool(self._rois)

    def contains(self, centres: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which nuclei lie in any region, from their centres (N, 2) in pixels of the maps, as bool (N,)."""
        placed = self._frame.to_slide_coords(centres)
        return np.asarray(np.any([roi.contains(placed) for roi in self._rois], axis=0), dtype=np.bool_)

    def add(self, centres: NDArray[np.float64]) -> Sequence[str] | None:
        """Count nuclei, given by their centres (N, 2) in pixels of the maps, and name the regions of each.

        Where regions overlap, a nucleus has several names, joined by "; ". Without regions, return None.
        """
        if not self._rois:
            return None
        placed = self._frame.to_slide_coords(centres)
        is_in = np.stack([roi.contains(placed) for roi in self._rois], axis=1)
        self._counts = [before + int(new) for before, new in zip(self._counts, is_in.sum(axis=0), strict=True)]
        return ["; ".join(self._rois[index].name for index in np.flatnonzero(row)) for row in is_in]

    def counts(self, mpp: float) -> tuple[RoiCount, ...]:
        """Return the count and the area of each region."""
        return tuple(
            RoiCount(roi.name, roi.area_px * (mpp / 1000) ** 2, count)
            for roi, count in zip(self._rois, self._counts, strict=True)
        )


def warn_outside(slide: Slide, rois: tuple[Roi, ...], progress: Progress) -> None:
    """Warn of regions of interest that lie outside of the image."""
    if outside := [roi.name for roi in rois if roi.is_outside(slide.shape)]:
        progress.warn(
            f"{slide.path.name}: {len(outside)} of {len(rois)} regions of interest are outside of the image (the "
            f"first: {outside[0]}); export them from this image, in pixels of full resolution"
        )
