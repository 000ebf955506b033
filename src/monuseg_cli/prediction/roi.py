"""Regions of interest, drawn in QuPath and exported as GeoJSON.

shapely is imported only if there are regions.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.nuclei.geojson import Feature, read_geojson
from monuseg_cli.nuclei.objects import describe_left_out, why_not_roi
from monuseg_cli.nuclei.rings import Polygon
from monuseg_cli.prediction.detections import Frame

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
        return _to_geometry(self.polygons)


def _to_geometry(polygons: tuple[Polygon, ...]) -> "MultiPolygon":
    """Build the geometry of polygons, with rows as x and columns as y."""
    import shapely

    return shapely.MultiPolygon([shapely.Polygon(outer, holes) for outer, *holes in polygons])


def _without_crossings(roi: Roi) -> Roi:
    """Return a valid region unchanged; if outlines cross, return the region of everything inside them.

    Raises
    ------
    ValueError
        If the region has no area.
    """
    import shapely

    drawn = _to_geometry(roi.polygons)
    if drawn.is_valid:
        return roi
    whole = shapely.make_valid(drawn, method="structure", keep_collapsed=False)
    if not whole.area:
        message = f"{roi.name} has no area"
        raise ValueError(message)
    polygons = tuple(
        tuple(shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors))
        for part in shapely.get_parts(whole)
    )
    return Roi(roi.name, polygons, repaired=not math.isclose(whole.area, drawn.area))


def read_rois(path: Path, progress: Progress = SILENT) -> tuple[Roi, ...]:
    """Read the regions of interest in a GeoJSON file.

    Objects that are not regions (`monuseg_cli.nuclei.objects.why_not_roi`), points and open lines are left out; a
    warning counts them by kind. For an outline that crosses itself, everything inside it belongs to the region, as in
    QuPath.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If the file is not GeoJSON, has no region, or has one without an area.
    """
    content = read_geojson(path)
    left_out = Counter(content.left_out)
    regions: list[Feature] = []
    for feature in content.features:
        if reason := why_not_roi(feature.class_name, feature.object_type):
            left_out[reason] += 1
        else:
            regions.append(feature)
    others = describe_left_out(left_out)
    if not regions:
        only = f", only {others}" if others else ""
        message = f"{path} has no region{only}; draw an area in QuPath, and export it as GeoJSON"
        raise InputError(message)
    if others:
        used = f"{len(regions)} region{'s are' if len(regions) > 1 else ' is'} used"
        progress.warn(f"not regions, left out: {others}; in {path}, of which {used}")
    return make_rois(regions, path)


def make_rois(features: Sequence[Feature], path: Path) -> tuple[Roi, ...]:
    """Build regions of interest from objects of a file; names that occur again get a number.

    Raises
    ------
    InputError
        If one has no area.
    """
    rois: list[Roi] = []
    for feature in features:
        name = feature.name or feature.class_name or f"region {len(rois) + 1}"
        rois.append(Roi(_unique(name, {roi.name for roi in rois}), feature.polygons))
    try:
        return tuple(map(_without_crossings, rois))
    except ValueError as error:
        message = f"{path}: {error}; delete it in QuPath and export the file again"
        raise InputError(message) from error


def _unique(name: str, taken: set[str]) -> str:
    """Return a name, with a number if it is taken: Tumor, Tumor (2)."""
    numbered = (f"{name} ({number})" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


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
