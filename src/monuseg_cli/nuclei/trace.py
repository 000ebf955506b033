"""Label image -> polygons along the edges of its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.runs import label_runs

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
    order = _sort_rings(first, position)
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
    runs = label_runs(labels)
    flat, width = labels.reshape(-1), labels.shape[1]
    changes = np.flatnonzero(labels[1:] != labels[:-1])
    above = np.concatenate([np.flatnonzero(labels[:1]), changes[flat[changes + width] != 0] + width])
    below = np.concatenate([changes[flat[changes] != 0], np.flatnonzero(labels[-1:]) + (len(flat) - width)])
    rows = above // width, below // width
    # By direction: the upper edges of pixels lead right, those at the right lead down, and so on.
    label = [flat[above], runs.label, flat[below], runs.label]
    row = [rows[0], runs.row, rows[1] + 1, runs.row + 1]
    col = [above - rows[0] * width, runs.stop, below - rows[1] * width + 1, runs.first]
    start = np.stack([np.concatenate(row), np.concatenate(col)], axis=1)
    directions = np.repeat(np.arange(4), [len(edges) for edges in label])
    return np.concatenate(label).astype(np.int64), start, directions


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
        lower = np.minimum(first, first[reach])
        if np.array_equal(lower, first):  # true of all rings, also of the longest
            break
        first, reach = lower, reach[reach]
    is_last = following == first
    reach = np.where(is_last, np.arange(count), following)
    left = np.where(is_last, 0, 1)
    for _ in range(doublings):
        further = left[reach]
        if not further.any():
            break
        left, reach = left + further, reach[reach]
    return first, -left


def _sort_rings(first: NDArray[np.intp], position: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the order of edges by their ring, and along it."""
    number = np.cumsum(first == np.arange(len(first))) - 1
    ring = number[first]
    ends = np.cumsum(np.bincount(ring))
    order = np.empty_like(first)
    order[ends[ring] - 1 + position] = np.arange(len(first))
    return order
