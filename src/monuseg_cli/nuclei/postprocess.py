"""Probability maps -> label image, in which touching nuclei are separated."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.nuclei.postprocess_params import PostprocessParams

_CELL_PX = 2
_STEEPEST = 0.2  # fall of the predicted position per pixel at which two nuclei are certainly separate


def postprocess(
    maps: NDArray[np.float32], classes: Sequence[str], mpp: float, params: PostprocessParams
) -> NDArray[np.int32]:
    """Convert the maps of a network to a label image.

    Pixels at or above the threshold are foreground, in which holes smaller than the smallest nucleus are filled. A
    watershed from the maxima of a smoothed elevation map, which is high inside nuclei and low where they touch, divides
    the foreground into regions. Two neighbouring regions are merged if the saddle between them is less than
    `params.saddle_depth` below the lower of their maxima (a relative form of h-maxima, or dynamics: Grimaud, "A new
    measure of contrast: the dynamics", Proc. SPIE 1769, 1992), or if one of them is smaller than the smallest
    nucleus.

    The smoothed elevation map is computed at half resolution: touching nuclei are divided along cells of 2 x 2 pixels.
    Elsewhere their border is exactly that of the foreground. The pixels of a nucleus are 4-connected.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W), float32
        Values within 0..1.
    classes : sequence of str
        The meaning of each map: first ``"nucleus"``, the probability that a pixel belongs to one; then ``"boundary"``,
        ``"distance"``, or ``"horizontal"`` and ``"vertical"``, as `monuseg_cli.training.targets` defines them.
    mpp : float
        Micrometres per pixel of the maps.
    params : PostprocessParams
        Threshold, sizes and lengths.

    Returns
    -------
    ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background.
    """
    min_area_px = params.min_area_um2 / mpp**2
    mask = maps[0] >= params.threshold
    _fill_small_holes(mask, min_area_px)
    elevation = _mean_of_cells(_elevation_map(mask, dict(zip(classes, maps, strict=True))))
    elevation = ndimage.gaussian_filter(elevation, params.smoothing_um / mpp / _CELL_PX)
    cells = _Cells(mask)
    cell_labels = _Regions(cells, elevation).merge(min_area_px, params.saddle_depth)
    labels = np.zeros(cells.shape, dtype=np.int32)
    labels.reshape(-1)[cells.place] = cell_labels
    labels = labels.repeat(_CELL_PX, axis=0).repeat(_CELL_PX, axis=1)
    labels *= cells.mask
    return labels[: mask.shape[0], : mask.shape[1]]


def _elevation_map(mask: NDArray[np.bool_], maps: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Compute a map (H, W) that is high inside nuclei and low where they touch."""
    if "distance" in maps:
        return maps["distance"]
    if "boundary" in maps:
        return maps["nucleus"] * (1 - maps["boundary"])
    if {"horizontal", "vertical"} <= maps.keys():
        # Within a nucleus, the position rises from 0 to 1; between two nuclei, it falls.
        fall = -np.minimum(_slope(maps["horizontal"], axis=1), _slope(maps["vertical"], axis=0))
        border = np.clip(fall / np.float32(_STEEPEST), 0, 1)
        return np.asarray(maps["nucleus"] * (1 - border), dtype=np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask), dtype=np.float32)


def _slope(place: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter1d(place, 1.0, axis=axis, order=1), dtype=np.float32)


def _mean_of_cells(image: NDArray[np.float32]) -> NDArray[np.float32]:
    image = _whole_cells(image)
    rows = image[::2] + image[1::2]
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4)


def _whole_cells(image: NDArray[Any]) -> NDArray[Any]:
    """Pad the image with zeros to whole cells."""
    missing = [(0, size % _CELL_PX) for size in image.shape]
    return np.pad(image, missing) if any(after for _, after in missing) else image


def _fill_small_holes(mask: NDArray[np.bool_], area_px: float) -> None:
    """Fill holes of fewer than `area_px` pixels in `mask`, except at the border of the image."""
    background, _ = ndimage.label(~mask)
    small = np.bincount(background.reshape(-1)) < area_px
    small[0] = False
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        small[edge] = False
    mask |= small.take(background)


class _Cells:
    """The cells of 2 x 2 pixels that contain foreground, and which of them are connected.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        Foreground.

    Attributes
    ----------
    mask : ndarray of shape (H', W'), bool
        The foreground, in whole cells; cells whose pixels touched only at a corner are filled.
    shape : tuple of int
        Rows and columns of cells.
    place : ndarray of shape (N,), intp
        Flat index of each cell with foreground.
    pixels : ndarray of shape (N,), uint8
        Number of foreground pixels of each cell.
    right, below : ndarray of shape (N,), intp
        Index 0..N-1 of the cell to the right and below if connected by foreground pixels that share an edge, else -1.
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


class _Regions:
    """The watershed regions of an elevation map: each cell belongs to the maximum that its steepest ascent reaches.

    Parameters
    ----------
    cells : _Cells
        The foreground.
    elevation : ndarray of shape (H, W), float32
        Elevation of all cells.
    """

    def __init__(self, cells: _Cells, elevation: NDArray[np.float32]) -> None:
        self._cells = cells
        self._height = elevation.reshape(-1)[cells.place]
        self._peak, self._region = np.unique(self._find_maxima(), return_inverse=True)

    def _find_maxima(self) -> NDArray[np.intp]:
        """Return the maximum of every cell, (N,): steepest ascent, by pointer jumping."""
        above, height = np.arange(len(self._height)), self._height.copy()
        for after in (self._cells.right, self._cells.below):
            first = np.flatnonzero(after >= 0)
            second = after[first]
            # Ties: of two cells of equal height, the later one counts as higher, which avoids cycles.
            for one, other, is_higher in ((first, second, np.greater_equal), (second, first, np.greater)):
                theirs = self._height[other]
                higher = is_higher(theirs, height[one])
                above[one[higher]], height[one[higher]] = other[higher], theirs[higher]
        while True:
            farther = above[above]
            if np.array_equal(farther, above):
                return above
            above = farther

    def merge(self, min_area_px: float, saddle_depth: float) -> NDArray[np.int32]:
        """Merge neighbouring regions, highest saddle first, and number those that are large enough.

        Returns the label of each cell, (N,): 1..L, or 0 if its region is too small.
        """
        area = np.bincount(self._region, weights=self._cells.pixels)
        merged = _DisjointSets(self._height[self._peak].tolist(), area.tolist())
        ones, others, saddles = self._find_saddles()
        for one, other, saddle in zip(ones, others, saddles, strict=True):
            one, other = merged.find(one), merged.find(other)
            if saddle >= (1 - saddle_depth) * min(merged.peak[one], merged.peak[other]):
                merged.union(one, other)
        for one, other in zip(ones, others, strict=True):
            one, other = merged.find(one), merged.find(other)
            if min(merged.area[one], merged.area[other]) < min_area_px:
                merged.union(one, other)
        root = np.array([merged.find(region) for region in range(len(area))], dtype=np.intp)
        is_large = np.array(merged.area)[root] >= min_area_px
        labels = np.zeros(len(area), dtype=np.int32)
        labels[is_large] = np.unique(root[is_large], return_inverse=True)[1] + 1
        return labels[self._region]

    def _find_saddles(self) -> tuple[list[int], list[int], list[float]]:
        """List pairs of adjacent regions with the elevation of the saddle between them; highest first."""
        pairs, heights = [], []
        for after in (self._cells.right, self._cells.below):
            first = np.flatnonzero((after >= 0) & (self._region != self._region[after]))
            second = after[first]
            one, other = self._region[first], self._region[second]
            pairs.append(np.minimum(one, other) * len(self._peak) + np.maximum(one, other))
            heights.append(np.minimum(self._height[first], self._height[second]))
        pair, height = np.concatenate(pairs), np.concatenate(heights)
        order = np.lexsort((pair, -height))
        _, first_of = np.unique(pair[order], return_index=True)
        chosen = order[np.sort(first_of)]
        ones, others = np.divmod(pair[chosen], max(len(self._peak), 1))
        return ones.tolist(), others.tolist(), height[chosen].tolist()


class _DisjointSets:
    """Union-find over regions; the root of a set is the region with its highest maximum."""

    def __init__(self, peak: list[float], area: list[int]) -> None:
        self.peak, self.area = peak, area
        self._parent = list(range(len(peak)))

    def find(self, region: int) -> int:
        while self._parent[region] != region:
            self._parent[region] = self._parent[self._parent[region]]
            region = self._parent[region]
        return region

    def union(self, one: int, other: int) -> None:
        if one == other:
            return
        if self.peak[one] < self.peak[other]:
            one, other = other, one
        self._parent[other] = one
        self.area[one] += self.area[other]
