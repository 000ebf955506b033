"""Outlines of nuclei as shapely geometries: from contours, simplified, and as GeoJSON geometries.

shapely is imported only when outlines are needed.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.coordinates import Frame
from monuseg_cli.nuclei.trace import Contours

Shapes = NDArray[np.object_]
"""Polygons and multipolygons of shapely (N,), with x, y in pixels of level 0."""

_DECIMALS_PX = 3
_FEWEST_POINTS = 4  # of a ring, whose last point is its first
_SHAPES_AT_ONCE = 1000  # numbers in lists take several times the memory of arrays


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


def to_geojson(shapes: Shapes) -> Iterator[str]:
    """Yield outlines as GeoJSON geometries: closed rings of x, y; whole numbers where all of a nucleus are whole."""
    for begin in range(0, len(shapes), _SHAPES_AT_ONCE):
        yield from _to_geojson(shapes[begin : begin + _SHAPES_AT_ONCE])


def _to_geojson(shapes: Shapes) -> Iterator[str]:
    points, *offsets = ragged(shapes)
    first = offsets[0][offsets[1][offsets[2][:-1]]]
    are_whole = np.logical_and.reduceat((points % 1 == 0).all(axis=1), first)
    # Flat lists of numbers: a list for each point would keep the garbage collector busy.
    numbers: dict[bool, Sequence[float]] = {}
    if are_whole.any():
        numbers[True] = points.astype(np.int64).ravel().tolist()
    if not are_whole.all():
        numbers[False] = points.ravel().tolist()
    rings, polygons, nuclei = (offset.tolist() for offset in offsets)
    for (begin, end), is_whole in zip(pairwise(nuclei), are_whole.tolist(), strict=True):
        lines = [
            _line(numbers[is_whole][2 * a : 2 * b]) for a, b in pairwise(rings[polygons[begin] : polygons[end] + 1])
        ]
        base = polygons[begin]
        parts = [f"[{','.join(lines[a - base : b - base])}]" for a, b in pairwise(polygons[begin : end + 1])]
        if len(parts) == 1:
            yield f'{{"type":"Polygon","coordinates":{parts[0]}}}'
        else:
            yield f'{{"type":"MultiPolygon","coordinates":[{",".join(parts)}]}}'


def _line(numbers: Sequence[float]) -> str:
    points = [f"[{x},{y}]" for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    return f"[{','.join(points)}]"


def first_points(shapes: Shapes) -> NDArray[np.float64]:
    """Return the first point of each outline, x and y (N, 2): the upper left corner of the first pixel.

    No two nuclei of a slide share it, since every pixel belongs to one nucleus only.
    """
    import shapely

    outer = shapely.get_exterior_ring(shapely.get_geometry(shapes, 0))
    return np.asarray(shapely.get_coordinates(shapely.get_point(outer, 0)))
