"""The nuclei of a slide in memory: packed outlines, centres, classes and measurements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from monuseg_cli.nuclei.runs import consecutive


@dataclass(frozen=True)
class NucleusSet:
    """N nuclei, whose outlines consist of R rings with P points in all.

    Parameters
    ----------
    names : sequence of str
        Name or id of each nucleus.
    class_names : sequence of str
        Class of each nucleus; empty: none.
    centres : ndarray of shape (N, 2), float64
        Row and column of each centre, in pixels of level 0.
    points : ndarray of shape (P, 2), float32
        Row and column of the points of all rings, in pixels of level 0; rings are not closed.
    rings : ndarray of shape (R + 1,), int64
        Index of the first point of each ring, and P.
    holes : ndarray of shape (R,), bool
        Whether a ring is the edge of a hole.
    starts : ndarray of shape (N + 1,), int64
        Index of the first ring of each nucleus, and R. A nucleus without rings is known by its centre only.
    measurements : mapping of str to ndarray of shape (N,), float32
        Measurements by name; NaN where a nucleus has none.
    """

    names: Sequence[str]
    class_names: Sequence[str]
    centres: NDArray[np.float64]
    points: NDArray[np.float32]
    rings: NDArray[np.int64]
    holes: NDArray[np.bool_]
    starts: NDArray[np.int64]
    measurements: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.names)

    @cached_property
    def boxes(self) -> NDArray[np.float32]:
        """Lowest row and column, then highest row and column, of each nucleus: (4, N)."""
        boxes = np.concatenate([self.centres.T, self.centres.T]).astype(np.float32)
        drawn = np.flatnonzero(np.diff(self.starts))
        if len(drawn):
            first = self.rings[self.starts[drawn]]
            boxes[:2, drawn] = np.minimum.reduceat(self.points, first).T
            boxes[2:, drawn] = np.maximum.reduceat(self.points, first).T
        return boxes

    @cached_property
    def diameter_px(self) -> float:
        """Median of the longer sides of the boxes of all outlines, in pixels of level 0; 0 without outlines."""
        drawn = np.diff(self.starts) > 0
        sides = (self.boxes[2:] - self.boxes[:2])[:, drawn].max(axis=0, initial=0)
        return float(np.median(sides)) if drawn.any() else 0.0

    def within(self, box: tuple[float, float, float, float]) -> NDArray[np.intp]:
        """Return the indices of nuclei that reach into a box of first row, first column, last row, last column."""
        low_row, low_col, high_row, high_col = self.boxes
        top, left, bottom, right = box
        return np.flatnonzero((high_row >= top) & (low_row <= bottom) & (high_col >= left) & (low_col <= right))

    def outline(self, index: int) -> list[NDArray[np.float32]]:
        """Return the rings of a nucleus, each of shape (V, 2)."""
        first, last = self.starts[index], self.starts[index + 1]
        return [self.points[self.rings[ring] : self.rings[ring + 1]] for ring in range(first, last)]

    def outlines(self, indices: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.intp]]:
        """Return the outlines of several nuclei.

        Returns
        -------
        points : ndarray of shape (P, 2), float32
            Points of all their rings.
        rings : ndarray of shape (R + 1,), int64
            Index of the first point of each ring, and P.
        owners : ndarray of shape (R,), intp
            The nucleus of each ring.
        """
        ring, owners = _ranges(self.starts[indices], self.starts[indices + 1], indices)
        point, _ = _ranges(self.rings[ring], self.rings[ring + 1], ring)
        lengths = self.rings[ring + 1] - self.rings[ring]
        return self.points[point], np.cumsum(np.concatenate([[0], lengths])), owners

    def find(self, row: float, col: float, within_px: float) -> int | None:
        """Return the nucleus at a point: the smallest around it, else the nearest centre within a distance."""
        at = np.array([row, col])
        candidates = self.within((row, col, row, col))
        around = [int(index) for index in candidates if _is_inside(self.outline(int(index)), at)]
        if around:
            sides = self.boxes[2:] - self.boxes[:2]
            return min(around, key=lambda index: float(sides[:, index].prod()))
        near = self.within((row - within_px, col - within_px, row + within_px, col + within_px))
        distances = np.hypot(*(self.centres[near] - at).T)
        return int(near[distances.argmin()]) if len(near) and distances.min() <= within_px else None


def _ranges(
    first: NDArray[np.int64], last: NDArray[np.int64], owner: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the integers of several ranges, one range after the other, and the owner of each integer."""
    lengths = last - first
    return consecutive(first, lengths), np.repeat(owner, lengths)


def _is_inside(rings: Sequence[NDArray[np.float32]], at: NDArray[np.float64]) -> bool:
    """Whether a point is within rings, by the even-odd rule."""
    crossings = 0
    for ring in rings:
        (row, col), (next_row, next_col) = (ring - at).T, (np.roll(ring, -1, axis=0) - at).T
        crosses = (row <= 0) != (next_row <= 0)
        row, col, next_row, next_col = (side[crosses] for side in (row, col, next_row, next_col))
        crossings += int((col - row * (next_col - col) / (next_row - row) > 0).sum())
    return crossings % 2 == 1


def pack(
    names: Sequence[str],
    class_names: Sequence[str],
    polygons: Sequence[Sequence[Sequence[NDArray[np.float64]]]],
    measurements: Sequence[Mapping[str, float]],
) -> NucleusSet:
    """Pack nuclei that were read one by one.

    Parameters
    ----------
    names, class_names : sequence of str
        Name and class of each nucleus.
    polygons : sequence
        Polygons of each nucleus; a polygon is an outer ring and those of its holes, (V, 2) row and column.
    measurements : sequence of mapping of str to float
        Measurements of each nucleus.
    """
    rings = [_open(ring) for parts in polygons for polygon in parts for ring in polygon]
    holes = [number > 0 for parts in polygons for polygon in parts for number in range(len(polygon))]
    counts = [sum(map(len, parts)) for parts in polygons]
    known = dict.fromkeys(name for values in measurements for name in values)
    return pack_rings(
        names,
        class_names,
        np.concatenate(rings) if rings else np.empty((0, 2)),
        np.cumsum([0, *map(len, rings)]),
        np.array(holes, dtype=bool),
        np.cumsum([0, *counts]),
        {name: np.array([values.get(name, np.nan) for values in measurements], dtype=np.float32) for name in known},
    )


def pack_rings(
    names: Sequence[str],
    class_names: Sequence[str],
    points: NDArray[np.float64],
    rings: NDArray[np.int64],
    holes: NDArray[np.bool_],
    starts: NDArray[np.int64],
    measurements: Mapping[str, NDArray[np.float32]],
) -> NucleusSet:
    """Pack nuclei of which all have outlines; their centres are the centres of mass. See `NucleusSet`."""
    centres = _centres(points, rings, holes, starts)
    return NucleusSet(names, class_names, centres, points.astype(np.float32), rings, holes, starts, measurements)


def pack_shapes(
    names: Sequence[str],
    class_names: Sequence[str],
    shapes: NDArray[np.object_],
    measurements: Mapping[str, NDArray[np.float32]],
) -> NucleusSet:
    """Pack nuclei whose outlines are polygons and multipolygons of shapely (N,), x and y. See `NucleusSet`."""
    return pack_rings(names, class_names, *_rings(shapes), measurements)


def join(parts: Sequence[NucleusSet]) -> NucleusSet:
    """Join several sets into one, in their order; a measurement that a set lacks is NaN there."""
    known = dict.fromkeys(name for part in parts for name in part.measurements)
    empty = np.empty((0, 2))
    return NucleusSet(
        [name for part in parts for name in part.names],
        [name for part in parts for name in part.class_names],
        np.concatenate([empty, *(part.centres for part in parts)]),
        np.concatenate([empty.astype(np.float32), *(part.points for part in parts)]),
        _joined_starts([part.rings for part in parts]),
        np.concatenate([np.empty(0, dtype=bool), *(part.holes for part in parts)]),
        _joined_starts([part.starts for part in parts]),
        {
            name: np.concatenate(
                [part.measurements.get(name, np.full(len(part), np.nan, dtype=np.float32)) for part in parts]
            )
            for name in known
        },
    )


def _joined_starts(starts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    lengths = [np.diff(part) for part in starts]
    return np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *lengths]))


def _open(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a ring without the last point if it repeats the first."""
    return ring[:-1] if len(ring) > 1 and (ring[0] == ring[-1]).all() else ring


def _centres(
    points: NDArray[np.float64], rings: NDArray[np.int64], holes: NDArray[np.bool_], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the centre of mass of each nucleus from its rings, (N, 2); the mean of its points if it has no area."""
    count = len(starts) - 1
    if not len(points):
        return np.full((count, 2), np.nan)
    ring = np.repeat(np.arange(len(rings) - 1), np.diff(rings))
    owner = np.repeat(np.arange(count), np.diff(starts))
    home = points[rings[:-1]][ring]
    following = np.arange(1, len(points) + 1)
    following[rings[1:] - 1] = rings[:-1]
    here, after = points - home, points[following] - home
    cross = here[:, 0] * after[:, 1] - after[:, 0] * here[:, 1]
    area = np.bincount(ring, weights=cross, minlength=len(holes))
    sign = np.where((area < 0) != holes, -1.0, 1.0)[ring]
    nucleus = owner[ring]
    mass = np.bincount(nucleus, weights=sign * cross / 2, minlength=count)
    centres = np.empty((count, 2))
    points_of = np.maximum(np.bincount(nucleus, minlength=count), 1)
    for axis in range(2):
        moment = sign * cross * ((here[:, axis] + after[:, axis]) / 6 + home[:, axis] / 2)
        total = np.bincount(nucleus, weights=moment, minlength=count)
        mean = np.bincount(nucleus, weights=points[:, axis], minlength=count) / points_of
        with np.errstate(divide="ignore", invalid="ignore"):
            centres[:, axis] = np.where(mass > 0, total / mass, mean)
    return centres


def _rings(
    shapes: NDArray[np.object_],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return points, rings, holes and starts of polygons and multipolygons; see `NucleusSet`."""
    if not len(shapes):
        nothing = np.zeros(1, dtype=np.int64)
        return np.empty((0, 2)), nothing, np.empty(0, dtype=bool), nothing
    _, points, offsets = shapely.to_ragged_array(shapes)
    rings, first_rings = offsets[0].astype(np.int64), offsets[1].astype(np.int64)
    holes = np.ones(len(rings) - 1, dtype=bool)
    holes[first_rings[:-1]] = False
    starts = first_rings if len(offsets) == 2 else first_rings[offsets[2]]
    closing = np.zeros(len(points), dtype=bool)
    closing[rings[1:] - 1] = True  # a ring of shapely repeats its first point
    return points[~closing, 1::-1], rings - np.arange(len(rings)), holes, starts.astype(np.int64)
