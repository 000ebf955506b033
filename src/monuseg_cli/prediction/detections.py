"""Nuclei as columns and polygons in pixels of the slide: what every table is written from.

shapely is imported only when polygons are needed.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.tiling import Box
from monuseg_cli.nuclei.columns import ALL_COLUMNS, PROBABILITY, Column, Group
from monuseg_cli.nuclei.contours import Contours
from monuseg_cli.prediction.stitch import Nuclei

Shapes = NDArray[np.object_]
"""Polygons and multipolygons of shapely (N,), with x, y in pixels of level 0."""

REGION = "region"
"""Column with the regions of interest of each nucleus, where there are any."""

_DECIMALS_PX = 3
_FEWEST_POINTS = 4  # of a ring, whose last point is its first
_SHAPES_AT_ONCE = 1000  # lists of numbers take ten times the memory of arrays


class Frame:
    """The transform from the pixels of the maps to those of the slide.

    Parameters
    ----------
    origin : tuple of float
        Row and column, in pixels of level 0, of the top left corner of the maps' first pixel.
    step : tuple of float
        Pixels of level 0 per pixel of the maps, along rows and columns.
    mpp : float
        Micrometres per pixel of the maps.
    """

    def __init__(self, origin: tuple[float, float], step: tuple[float, float], mpp: float) -> None:
        self.mpp = mpp
        self._origin, self._step = np.array(origin), np.array(step)

    def to_map_coords(self, points: NDArray[np.generic]) -> NDArray[np.float64]:
        """Transform points (N, 2), row and column, from level 0 to the maps."""
        return np.asarray((points - self._origin) / self._step, dtype=np.float64)

    def to_slide_coords(self, points: NDArray[np.generic]) -> NDArray[np.float64]:
        """Transform points (N, 2), row and column, from the maps to level 0."""
        return np.asarray(points * self._step + self._origin, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the maps of a slide, or of a region of it, lie.

    Parameters
    ----------
    region : Box
        First row, first column, height and width of the part that is predicted on, in pixels of level 0.
    map_shape : tuple of int
        Height and width of the maps.
    mpp : float or None
        Micrometres per pixel of level 0; None if neither the image nor the user stated it.
    map_mpp : float
        Micrometres per pixel of the maps.
    """

    region: Box
    map_shape: tuple[int, int]
    mpp: float | None
    map_mpp: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of level 0."""
        return self.region[2], self.region[3]

    @property
    def um_per_px(self) -> float:
        """Micrometres per pixel of level 0 that were used, stated or assumed."""
        return self.mpp or self.map_mpp * self.map_shape[0] / self.region[2]

    @property
    def frame(self) -> Frame:
        """The transform from the maps to the slide."""
        step = self.region[2] / self.map_shape[0], self.region[3] / self.map_shape[1]
        return Frame((self.region[0], self.region[1]), step, self.map_mpp)


@dataclass(frozen=True, slots=True)
class Detections:
    """Nuclei of a part of a slide, in the order of their ids.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (N,)
        Measurements by the names of `ALL_COLUMNS`, in the same order: int64 for whole numbers, float64 for the others,
        rounded to a meaningful precision; NaN where there is no value.
    shapes : ndarray of shape (N,), object
        Outlines that follow the edges of pixels; see `Shapes`.
    regions : sequence of str, optional
        Regions of interest of each nucleus; None if no regions are given.
    """

    columns: Mapping[str, NDArray[Any]]
    shapes: Shapes
    regions: Sequence[str] | None = None

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.shapes)

    def rows(self, columns: Sequence[Column]) -> Iterator[tuple[int | float | None, ...]]:
        """Iterate over the measurements of each nucleus, None for those without a value."""
        return zip(*(_without_nan(self.columns[column.name]) for column in columns), strict=True)


def _without_nan(values: NDArray[Any]) -> list[int | float | None]:
    """Return values as a list, with None in place of NaN."""
    found: list[int | float | None] = values.tolist()
    for index in np.flatnonzero(np.isnan(values)):
        found[index] = None
    return found


def detect(
    nuclei: Nuclei, frame: Frame, regions: Sequence[str] | None = None, groups: Collection[Group] = ()
) -> Detections:
    """Measure and outline nuclei.

    Parameters
    ----------
    nuclei : Nuclei
        Nuclei in pixels of the maps.
    frame : Frame
        Transform from the maps to the slide.
    regions : sequence of str, optional
        Regions of interest of each nucleus.
    groups : collection of {"texture", "neighbours"}
        Further measurements; neighbours are measured when all nuclei are known, see `Neighbourhoods`.
    """
    columns = measure_columns(nuclei, frame)
    if "texture" in groups:
        columns = rounded({**columns, **nuclei.texture})
    return Detections(columns, outline(nuclei.contours, frame), regions)


def measure_columns(nuclei: Nuclei, frame: Frame) -> dict[str, NDArray[Any]]:
    """Return the columns of nuclei that are always measured; see `detect`."""
    known = nuclei.measurements
    centroids = frame.to_slide_coords(known.centroids)
    columns: dict[str, NDArray[Any]] = {
        "id": nuclei.first + np.arange(len(nuclei), dtype=np.int64),
        "row_px": centroids[:, 0],
        "col_px": centroids[:, 1],
        "area_um2": known.area_px * frame.mpp**2,
        "perimeter_um": known.perimeter_px * frame.mpp,
        "major_axis_um": known.major_axis_px * frame.mpp,
        "minor_axis_um": known.minor_axis_px * frame.mpp,
        "orientation_deg": known.orientation_deg,
        "circularity": known.circularity,
        "eccentricity": known.eccentricity,
        "solidity": known.solidity,
        "haematoxylin_mean": known.haematoxylin,
        "haematoxylin_std": known.haematoxylin_std,
    }
    if known.probability is not None:
        columns[PROBABILITY] = known.probability
    return rounded(columns)


def rounded(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return columns in the order of `ALL_COLUMNS`, rounded to their decimals."""
    known = {column.name: column.decimals for column in ALL_COLUMNS if column.name in columns}
    return {name: columns[name].round(decimals) if decimals else columns[name] for name, decimals in known.items()}


def outline(contours: Contours, frame: Frame) -> Shapes:
    """Build the outline of each nucleus.

    It is a polygon, or a multipolygon if the nucleus' pixels are connected only at corners.

    Parameters
    ----------
    contours : Contours
        Contours of labels 1..N without gaps, in pixels of the maps.
    frame : Frame
        Transform from the maps to the slide.
    """
    import shapely

    points = frame.to_slide_coords(contours.points)[:, ::-1].round(_DECIMALS_PX)
    rings = shapely.linearrings(points, indices=np.repeat(np.arange(len(contours.labels)), np.diff(contours.starts)))
    polygon = _polygon_of_rings(contours, rings)
    order = np.argsort(polygon, kind="stable")  # within a polygon, the outer ring has the first edge, so it comes first
    polygons = shapely.polygons(rings[order], indices=polygon[order])
    nucleus = contours.labels[~contours.holes] - 1
    parts = np.bincount(nucleus)
    shapes: Shapes = polygons[np.cumsum(parts) - parts]
    several = np.flatnonzero(parts > 1)
    if len(several):
        scattered = np.isin(nucleus, several)
        groups = np.searchsorted(several, nucleus[scattered])
        shapes[several] = shapely.multipolygons(polygons[scattered], indices=groups)
    return shapes


def _polygon_of_rings(contours: Contours, rings: Shapes) -> NDArray[np.intp]:
    """Return the number of each ring's polygon; a hole belongs to the smallest polygon around it."""
    import shapely

    polygon = np.cumsum(~contours.holes) - 1
    label = contours.labels - 1
    first = np.searchsorted(contours.labels, np.arange(1, contours.labels.max(initial=0) + 2))
    outer = np.bincount(label, weights=~contours.holes) if len(label) else np.empty(0)
    for hole in np.flatnonzero(contours.holes & (outer[label] > 1)):  # few nuclei are in several parts and have holes
        own = np.arange(first[label[hole]], first[label[hole] + 1])
        candidates = own[~contours.holes[own]]
        around = shapely.polygons(rings[candidates])
        areas = np.where(shapely.covers(around, shapely.polygons(rings[hole])), shapely.area(around), np.inf)
        polygon[hole] = polygon[candidates[int(areas.argmin())]]
    alone = contours.holes & (outer[label] == 1)
    polygon[alone] = polygon[first[label[alone]]]
    return polygon


def simplify(shapes: Shapes, tolerance_px: float) -> Shapes:
    """Leave out points of outlines, so that no point moves by more than `tolerance_px`; Douglas and Peucker (1973).

    Holes and parts are kept, and no outline crosses itself: a nucleus for which that is impossible is returned as it
    was. GEOS' own simplification of polygons also leaves out the first point of a ring, which may be farther away, so
    rings are simplified as lines here.

    Parameters
    ----------
    shapes : ndarray of shape (N,), object
        See `Shapes`.
    tolerance_px : float
        Largest distance, in pixels of level 0.
    """
    import shapely

    if not len(shapes):
        return shapes
    points, rings, polygons, nuclei = ragged(shapes)
    lines = shapely.linestrings(points, indices=np.repeat(np.arange(len(rings) - 1), np.diff(rings)))
    simple = shapely.simplify(lines, tolerance_px, preserve_topology=False)
    collapsed = shapely.get_num_coordinates(simple) < _FEWEST_POINTS
    simple[collapsed] = lines[collapsed]
    counts = shapely.get_num_coordinates(simple)
    offsets = (np.concatenate([[0], np.cumsum(counts)]), polygons, nuclei)
    rebuilt = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, shapely.get_coordinates(simple), offsets)
    alone = np.diff(nuclei) == 1
    rebuilt[alone] = shapely.get_geometry(rebuilt[alone], 0)
    return np.where(shapely.is_valid(rebuilt), rebuilt, shapes)


def ragged(shapes: Shapes) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return outlines as arrays.

    Parameters
    ----------
    shapes : ndarray of shape (N,), object
        At least one; see `Shapes`.

    Returns
    -------
    points : ndarray of shape (P, 2), float64
        x and y; the last point of a ring is its first.
    rings, polygons, nuclei : ndarray of shape (R + 1,), (G + 1,) and (N + 1,), intp
        Where the points of each ring begin, the rings of each polygon, and the polygons of each nucleus.
    """
    import shapely

    kind, points, offsets = shapely.to_ragged_array(shapes, include_z=False)
    if kind == shapely.GeometryType.POLYGON:
        offsets = (*offsets, np.arange(len(shapes) + 1))
    rings, polygons, nuclei = (offset.astype(np.intp) for offset in offsets)
    return points, rings, polygons, nuclei


def geometries(shapes: Shapes) -> Iterator[dict[str, object]]:
    """Yield outlines as GeoJSON geometries: closed rings of x, y; whole numbers where all of a nucleus are whole."""
    for begin in range(0, len(shapes), _SHAPES_AT_ONCE):
        yield from _geometries(shapes[begin : begin + _SHAPES_AT_ONCE])


def _geometries(shapes: Shapes) -> Iterator[dict[str, object]]:
    coordinates, *offsets = ragged(shapes)
    first = offsets[0][offsets[1][offsets[2][:-1]]]
    are_whole = np.logical_and.reduceat((coordinates % 1 == 0).all(axis=1), first).tolist()
    rings, polygons, nuclei = (offset.tolist() for offset in offsets)
    floats, whole = coordinates.tolist(), coordinates.astype(np.int64).tolist()
    for (begin, end), is_whole in zip(pairwise(nuclei), are_whole, strict=True):
        points = whole if is_whole else floats
        parts = [
            [points[rings[ring] : rings[ring + 1]] for ring in range(polygons[part], polygons[part + 1])]
            for part in range(begin, end)
        ]
        if len(parts) == 1:
            yield {"type": "Polygon", "coordinates": parts[0]}
        else:
            yield {"type": "MultiPolygon", "coordinates": parts}


def first_points(shapes: Shapes) -> NDArray[np.float64]:
    """Return the first point of each outline, x and y (N, 2): the upper left corner of the first pixel.

    No two nuclei of a slide share it, since every pixel belongs to one nucleus only.
    """
    import shapely

    outer = shapely.get_exterior_ring(shapely.get_geometry(shapes, 0))
    return np.asarray(shapely.get_coordinates(shapely.get_point(outer, 0)))
