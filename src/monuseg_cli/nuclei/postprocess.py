"""Probability maps -> label image: the post-processing, and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.nuclei.params import Separation

_CELL_PX = 2
_STEEPEST = 0.2  # fall of a predicted place, a pixel, from which on two nuclei are parted for certain


def separate(maps: NDArray[np.float32], classes: Sequence[str], mpp: float, how: Separation) -> NDArray[np.int32]:
    """Turn a network's maps into one label per nucleus.

    Pixels at or above the threshold are foreground, in which holes smaller than the smallest nucleus are filled. A
    watershed divides it among the peaks of a smoothed relief that is high in nuclei and low where they touch. Two
    pieces are one nucleus where the relief between them hardly falls below the lower one's peak, and where one of them
    is smaller than the smallest nucleus.

    The relief is so smooth that half the rows and columns say all of it: where nuclei touch they are divided in cells
    of 2 x 2 pixels; elsewhere their border is the foreground's, to the pixel. A nucleus' pixels share edges.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W), float32
        Within 0..1.
    classes : sequence of str
        What each map is: first ``"nucleus"``, the probability that a pixel belongs to one; then ``"boundary"``,
        ``"distance"``, or ``"horizontal"`` and ``"vertical"``, as `monuseg_cli.training.targets` defines them.
    mpp : float
        Micrometres per pixel of the maps.
    how : Separation
        Threshold, sizes and lengths.

    Returns
    -------
    ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background.
    """
    min_area_px = how.min_area_um2 / mpp**2
    mask = maps[0] >= how.threshold
    _fill_small_holes(mask, min_area_px)
    relief = _mean_of_cells(_relief(mask, dict(zip(classes, maps, strict=True))))
    relief = ndimage.gaussian_filter(relief, how.smoothing_um / mpp / _CELL_PX)
    cells = _Cells(mask)
    number = _Pieces(cells, relief).merge(min_area_px, how.depth)
    labels = np.zeros(cells.shape, dtype=np.int32)
    labels.reshape(-1)[cells.place] = number
    labels = labels.repeat(_CELL_PX, axis=0).repeat(_CELL_PX, axis=1)
    labels *= cells.mask
    return labels[: mask.shape[0], : mask.shape[1]]


def _relief(mask: NDArray[np.bool_], maps: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Give a map that is high in nuclei and low where they touch; (H, W)."""
    if "distance" in maps:
        return maps["distance"]
    if "boundary" in maps:
        return maps["nucleus"] * (1 - maps["boundary"])
    if {"horizontal", "vertical"} <= maps.keys():
        # Within a nucleus the place rises from 0 to 1; it falls where the next one begins.
        fall = -np.minimum(_slope(maps["horizontal"], axis=1), _slope(maps["vertical"], axis=0))
        parted = np.clip(fall / np.float32(_STEEPEST), 0, 1)
        return np.asarray(maps["nucleus"] * (1 - parted), dtype=np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask), dtype=np.float32)


def _slope(place: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter1d(place, 1.0, axis=axis, order=1), dtype=np.float32)


def _mean_of_cells(image: NDArray[np.float32]) -> NDArray[np.float32]:
    image = _whole_cells(image)
    rows = image[::2] + image[1::2]
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4)


def _whole_cells(image: NDArray[Any]) -> NDArray[Any]:
    """Add a row and a column of zeros where the last cells would be halves."""
    missing = [(0, size % _CELL_PX) for size in image.shape]
    return np.pad(image, missing) if any(after for _, after in missing) else image


def _fill_small_holes(mask: NDArray[np.bool_], area_px: float) -> None:
    """Fill the holes in `mask`, which do not reach the image's border, of fewer pixels than `area_px`."""
    background, _ = ndimage.label(~mask)
    small = np.bincount(background.reshape(-1)) < area_px
    small[0] = False
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        small[edge] = False
    mask |= small.take(background)


class _Cells:
    """The cells of 2 x 2 pixels in which there is foreground, and which of them hang together.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        Foreground.

    Attributes
    ----------
    mask : ndarray of shape (H', W'), bool
        The foreground, in whole cells; where a cell's pixels touched at a corner only, all of it.
    shape : tuple of int
        Rows and columns of cells.
    place : ndarray of shape (N,), intp
        Index of each cell with foreground among all cells, row by row.
    pixels : ndarray of shape (N,), uint8
        How many of its pixels are foreground.
    right, below : ndarray of shape (N,), intp
        The cell beside it and below it, 0..N-1, where the two share an edge between pixels of the foreground; else -1.
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.mask = mask = _whole_cells(mask)
        corners = [mask[row::2, col::2] for row in (0, 1) for col in (0, 1)]
        top_left, top_right, low_left, low_right = corners
        at_corner = (top_left == low_right) & (top_right == low_left) & (top_left != top_right)
        for corner in corners:
            corner |= at_corner
        self.shape = at_corner.shape
        count = sum(corner.view(np.uint8) for corner in corners)
        self.place = np.flatnonzero(count != 0)
        self.pixels = np.asarray(count).reshape(-1)[self.place]
        beside, under = np.zeros_like(at_corner), np.zeros_like(at_corner)
        beside[:, :-1] = (top_right[:, :-1] & top_left[:, 1:]) | (low_right[:, :-1] & low_left[:, 1:])
        under[:-1] = (low_left[:-1] & top_left[1:]) | (low_right[:-1] & top_right[1:])
        number = np.zeros(self.shape, dtype=np.intp).reshape(-1)
        number[self.place] = np.arange(len(self.place))
        self.right, self.below = (
            np.where(linked.reshape(-1)[self.place], number[np.minimum(self.place + step, number.size - 1)], -1)
            for linked, step in ((beside, 1), (under, self.shape[1]))
        )


class _Pieces:
    """Cells, divided among the peaks of a relief: what the way up from a cell leads to is the cell's piece.

    Parameters
    ----------
    cells : _Cells
        What is divided.
    relief : ndarray of shape (H, W), float32
        Of all cells.
    """

    def __init__(self, cells: _Cells, relief: NDArray[np.float32]) -> None:
        self._cells = cells
        self._height = relief.reshape(-1)[cells.place]
        self._peak, self._piece = np.unique(self._climbed(), return_inverse=True)

    def _climbed(self) -> NDArray[np.intp]:
        """Follow the way up from every cell: to the highest of its neighbours, as long as there is a higher one."""
        above, height = np.arange(len(self._height)), self._height.copy()
        for after in (self._cells.right, self._cells.below):
            first = np.flatnonzero(after >= 0)
            second = after[first]
            # Of cells of one height the later is the higher, so that no way leads in a circle.
            for one, other, is_higher in ((first, second, np.greater_equal), (second, first, np.greater)):
                theirs = self._height[other]
                higher = is_higher(theirs, height[one])
                above[one[higher]], height[one[higher]] = other[higher], theirs[higher]
        while True:
            farther = above[above]
            if np.array_equal(farther, above):
                return above
            above = farther

    def merge(self, min_area_px: float, depth: float) -> NDArray[np.int32]:
        """Merge neighbouring pieces, those with the highest saddle between them first, and number what is large enough.

        Gives the label of each cell, 1..L, or 0 where it is too small; (N,).
        """
        area = np.bincount(self._piece, weights=self._cells.pixels)
        groups = _Groups(self._height[self._peak].tolist(), area.tolist())
        ones, others, saddles = self._saddles()
        for one, other, saddle in zip(ones, others, saddles, strict=True):
            one, other = groups.find(one), groups.find(other)
            if saddle >= (1 - depth) * min(groups.peak[one], groups.peak[other]):
                groups.join(one, other)
        for one, other in zip(ones, others, strict=True):
            one, other = groups.find(one), groups.find(other)
            if min(groups.area[one], groups.area[other]) < min_area_px:
                groups.join(one, other)
        group = np.array([groups.find(piece) for piece in range(len(area))], dtype=np.intp)
        large = np.array(groups.area)[group] >= min_area_px
        labels = np.zeros(len(area), dtype=np.int32)
        labels[large] = np.unique(group[large], return_inverse=True)[1] + 1
        return labels[self._piece]

    def _saddles(self) -> tuple[list[int], list[int], list[float]]:
        """List pairs of pieces that share an edge of cells, with the highest point between them; highest first."""
        pairs, heights = [], []
        for after in (self._cells.right, self._cells.below):
            first = np.flatnonzero((after >= 0) & (self._piece != self._piece[after]))
            second = after[first]
            one, other = self._piece[first], self._piece[second]
            pairs.append(np.minimum(one, other) * len(self._peak) + np.maximum(one, other))
            heights.append(np.minimum(self._height[first], self._height[second]))
        pair, height = np.concatenate(pairs), np.concatenate(heights)
        order = np.lexsort((pair, -height))
        _, first_of = np.unique(pair[order], return_index=True)
        chosen = order[np.sort(first_of)]
        ones, others = np.divmod(pair[chosen], max(len(self._peak), 1))
        return ones.tolist(), others.tolist(), height[chosen].tolist()


class _Groups:
    """Pieces that were joined to one another, each group known by the piece with its highest peak."""

    def __init__(self, peak: list[float], area: list[int]) -> None:
        self.peak, self.area = peak, area
        self._above = list(range(len(peak)))

    def find(self, piece: int) -> int:
        while self._above[piece] != piece:
            self._above[piece] = self._above[self._above[piece]]
            piece = self._above[piece]
        return piece

    def join(self, one: int, other: int) -> None:
        if one == other:
            return
        if self.peak[one] < self.peak[other]:
            one, other = other, one
        self._above[other] = one
        self.area[one] += self.area[other]
