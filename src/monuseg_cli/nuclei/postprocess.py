"""Probability maps -> label image, in which touching nuclei are separated."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.smooth import gaussian_smooth
from monuseg_cli.nuclei.holes import fill_small_holes
from monuseg_cli.nuclei.postprocess_params import PostprocessParams

_CELL_PX = 2
_ROWS_AT_ONCE = 64  # of maps, so that intermediate results stay in the cache
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
    fill_small_holes(mask, min_area_px)
    elevation = _elevation_of_cells(mask, dict(zip(classes, maps, strict=True)))
    del maps  # the largest arrays, which the caller may have given away
    elevation = gaussian_smooth(elevation, params.smoothing_um / mpp / _CELL_PX)
    cells = _Cells(mask)
    cell_labels = _Regions(cells, elevation).merge(min_area_px, params.saddle_depth)
    # Both pixels of a row of a cell are written as one number of twice as many bits.
    twice = np.zeros(cells.shape, dtype=np.int64)
    twice.reshape(-1)[cells.place] = cell_labels
    twice *= 2**32 + 1
    labels = np.empty(cells.mask.shape, dtype=np.int32)
    for row in range(_CELL_PX):
        np.multiply(twice.view(np.int32), cells.mask[row::_CELL_PX], out=labels[row::_CELL_PX])
    return labels[: mask.shape[0], : mask.shape[1]]


def _elevation_of_cells(mask: NDArray[np.bool_], maps: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Compute a map that is high inside nuclei and low where they touch: the means of cells, (H', W')."""
    if "distance" in maps or "boundary" in maps:
        parts = [slice(row, row + _ROWS_AT_ONCE) for row in range(0, len(mask), _ROWS_AT_ONCE)]
        means = [_mean_of_cells(_elevation(mask, {name: of[rows] for name, of in maps.items()})) for rows in parts]
        return np.concatenate(means)
    return _mean_of_cells(_elevation(mask, maps))


def _elevation(mask: NDArray[np.bool_], maps: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Compute the elevation of pixels; with distances or boundaries, it depends on nothing but that pixel."""
    if "distance" in maps:
        return maps["distance"]
    if "boundary" in maps:
        return maps["nucleus"] * (1 - maps["boundary"])
    if {"horizontal", "vertical"} <= maps.keys():
        # Within a nucleus, the position rises from 0 to 1; between two nuclei, it falls.
        fall = -np.minimum(_slope(maps["horizontal"], axis=1), _slope(maps["vertical"], axis=0))
        border = np.clip(fall / np.float32(_STEEPEST), 0, 1)
        return np.asarray(maps["nucleus"] * (1 - border), dtype=np.float32)
    from scipy import ndimage  # slow to import

    return np.asarray(ndimage.distance_transform_edt(mask), dtype=np.float32)


def _slope(place: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    from scipy import ndimage  # slow to import

    return np.asarray(ndimage.gaussian_filter1d(place, 1.0, axis=axis, order=1), dtype=np.float32)


def _mean_of_cells(image: NDArray[np.float32]) -> NDArray[np.float32]:
    image = _whole_cells(image)
    rows = image[::2] + image[1::2]
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4)


def _whole_cells(image: NDArray[Any]) -> NDArray[Any]:
    """Pad the image with zeros to whole cells."""
    missing = [(0, size % _CELL_PX) for size in image.shape]
    return np.pad(image, missing) if any(after for _, after in missing) else image


_TOP_LEFT, _LOW_LEFT, _TOP_RIGHT, _LOW_RIGHT = 1, 2, 4, 8
_FILLED = np.arange(16, dtype=np.uint8)
_FILLED[[_TOP_LEFT | _LOW_RIGHT, _LOW_LEFT | _TOP_RIGHT]] = 15  # pixels that touch only at a corner
_PIXELS = np.array([number.bit_count() for number in range(16)], dtype=np.uint8)


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
    links : sequence of (ndarray, ndarray), intp
        Pairs of cells, as indices 0..N-1, that are connected by foreground pixels that share an edge: first those of
        cells and their right neighbours, then of cells and those below.
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.mask = mask = _whole_cells(mask)
        pairs = mask.view("<u2")  # the left pixel is the lower byte
        both = pairs[::2] | (pairs[1::2] << 1)
        found = (both | (both >> 6)).astype(np.uint8) & 15  # the bits of a cell
        code = _FILLED.take(found)
        for cell in np.flatnonzero(code != found).tolist():
            row, col = divmod(cell, code.shape[1])
            mask[2 * row : 2 * row + 2, 2 * col : 2 * col + 2] = True
        self.shape = code.shape
        self.place = np.flatnonzero(code != 0)
        self.pixels = _PIXELS.take(code.reshape(-1)[self.place])
        right = (code[:, :-1] >> 2) & code[:, 1:] & (_TOP_LEFT | _LOW_LEFT)
        below = (code[:-1] >> 1) & code[1:] & (_TOP_LEFT | _TOP_RIGHT)
        number = np.zeros(code.size, dtype=np.intp)
        number[self.place] = np.arange(len(self.place))
        first = number[_places(right, self.shape)]
        above = _places(below, self.shape)
        self.links = ((first, first + 1), (number[above], number[above + self.shape[1]]))


def _places(linked: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the flat indices, in an image of `shape`, of what is not 0 in one that may lack its last column."""
    place = np.flatnonzero(linked != 0)
    return place if linked.shape[1] == shape[1] else place + place // max(linked.shape[1], 1)


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
        maxima = self._find_maxima()
        self._peak = np.flatnonzero(maxima == np.arange(len(maxima)))
        number = np.empty(len(maxima), dtype=np.intp)
        number[self._peak] = np.arange(len(self._peak))
        self._region = number[maxima]

    def _find_maxima(self) -> NDArray[np.intp]:
        """Return the maximum of every cell, (N,): steepest ascent, by pointer jumping."""
        above, height = np.arange(len(self._height)), self._height.copy()
        for first, second in self._cells.links:
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
        for linked in self._cells.links:
            one, other = (self._region[cells] for cells in linked)
            apart = np.flatnonzero(one != other)
            first, second = (cells[apart] for cells in linked)
            one, other = one[apart], other[apart]
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
