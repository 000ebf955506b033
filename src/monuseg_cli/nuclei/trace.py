"""Label image -> polygons along the edges of its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEPS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
"""Right, down, left, up; each is a right turn from the previous one."""


@dataclass(frozen=True, slots=True)
class Contours:
    """Closed rings around the pixels of every label.

    Parameters
    ----------
    labels : ndarray of shape (R,), int64
        The label that each ring belongs to, ascending.
    holes : ndarray of shape (R,), bool
        Whether a ring runs around a hole in its label.
    starts : ndarray of shape (R + 1,), intp
        Index in `points` of the first point of each ring, and of the end of the last ring.
    points : ndarray of shape (P, 2), int64
        Row and column of the corners, between pixels: pixel (r, c) covers r..r+1 and c..c+1. The last point of a ring
        does not repeat its first.
    """

    labels: NDArray[np.int64]
    holes: NDArray[np.bool_]
    starts: NDArray[np.intp]
    points: NDArray[np.int64]

    def ring(self, index: int) -> NDArray[np.int64]:
        """Return the points of one ring, (V, 2)."""
        return self.points[self.starts[index] : self.starts[index + 1]]


def trace(labels: NDArray[np.integer]) -> Contours:
    """Trace the edges of the pixels of all labels.

    Filling the rings by the pixel-centre rule restores the label image. Pixels of a label that touch only at a corner
    belong to different rings. No ring passes a point twice: an area that an outer ring would close off there is a hole
    that touches it. The pixels of an outer ring are on its right-hand side.

    Parameters
    ----------
    labels : ndarray of shape (H, W), integer
        Label image, 0 background.
    """
    label, start, direction = _edges(labels)
    width = labels.shape[1] + 1
    key = _key(label, start, direction, width, labels.shape[0] + 1)
    order = np.argsort(key)
    label, start, direction, key = label[order], start[order], direction[order], key[order]
    following = _following(label, start + _STEPS[direction], direction, key, labels.shape)
    first, position = _rank(following)
    if _split_rings(following, first, key):
        first, position = _rank(following)
    order = np.lexsort((position, first))
    label, start, direction, first = label[order], start[order], direction[order], first[order]
    new_ring = np.diff(first, prepend=-1) != 0
    number = np.cumsum(new_ring) - 1
    rings = int(number[-1]) + 1 if len(number) else 0
    # The last edge of a ring comes before its first.
    before = np.roll(direction, 1)
    ends = np.flatnonzero(np.append(new_ring[1:], True)) if rings else np.empty(0, dtype=np.intp)
    before[new_ring] = direction[ends]
    corner = before != direction
    along = start[:, 0] * _STEPS[direction, 1] - start[:, 1] * _STEPS[direction, 0]
    area = np.bincount(number, weights=along, minlength=rings)  # twice the signed area: each edge with the origin
    counts = np.bincount(number[corner], minlength=rings)
    return Contours(
        labels=label[new_ring].astype(np.int64),
        holes=area > 0,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.intp),
        points=start[corner],
    )


def _edges(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the edges between pixels of different labels: label (N,), first point (N, 2), direction (N,)."""
    padded = np.pad(labels, 1)
    height, width = labels.shape
    found = []
    # For the four edges of a pixel: offset of the neighbour, and of the first point.
    for direction, (neighbour, begin) in enumerate(
        (((-1, 0), (0, 0)), ((0, 1), (0, 1)), ((1, 0), (1, 1)), ((0, -1), (1, 0)))
    ):
        beside = padded[1 + neighbour[0] : 1 + neighbour[0] + height, 1 + neighbour[1] : 1 + neighbour[1] + width]
        place = np.flatnonzero((labels != 0) & (labels != beside))
        rows = place // width
        start = np.stack([rows + begin[0], place - rows * width + begin[1]], axis=1)
        label = labels.reshape(-1)[place].astype(np.int64)
        found.append((label, start, np.full(len(place), direction, dtype=np.int64)))
    label, start, directions = zip(*found, strict=True)
    return np.concatenate(label), np.concatenate(start), np.concatenate(directions)


def _key(
    label: NDArray[np.int64], point: NDArray[np.int64], direction: NDArray[np.int64], width: int, height: int
) -> NDArray[np.int64]:
    """Return a unique number for each edge, from its label, first point and direction."""
    return ((label * height + point[:, 0]) * width + point[:, 1]) * 4 + direction


def _following(
    label: NDArray[np.int64],
    end: NDArray[np.int64],
    direction: NDArray[np.int64],
    key: NDArray[np.int64],
    shape: tuple[int, ...],
) -> NDArray[np.intp]:
    """Return the next edge of each: to the right if there is one, else straight on, else to the left."""
    following = np.empty(len(key), dtype=np.intp)
    for turn in (3, 0, 1):  # the preferred one last
        wanted = _key(label, end, (direction + turn) % 4, shape[1] + 1, shape[0] + 1)
        place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        there = key[place] == wanted
        following[there] = place[there]
    return following


def _split_rings(following: NDArray[np.intp], first: NDArray[np.intp], key: NDArray[np.int64]) -> bool:
    """Split, in place, rings that pass a point twice; return whether there were any."""
    again = np.flatnonzero((key[1:] // 4 == key[:-1] // 4) & (first[1:] == first[:-1]))  # two edges begin at the point
    before = np.empty_like(following)
    before[following] = np.arange(len(following))
    following[before[again]], following[before[again + 1]] = again + 1, again
    return bool(len(again))


def _rank(following: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the ring of each edge (its lowest edge) and the position from there, by pointer doubling."""
    count = len(following)
    doublings = max(count, 1).bit_length()
    first, reach = np.arange(count), following
    for _ in range(doublings):
        first = np.minimum(first, first[reach])
        reach = reach[reach]
    is_last = following == first
    reach = np.where(is_last, np.arange(count), following)
    left = np.where(is_last, 0, 1)
    for _ in range(doublings):
        left = left + left[reach]
        reach = reach[reach]
    return first, -left
