"""Small holes of a mask, found by runs of pixels."""

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.runs import consecutive


def fill_small_holes(mask: NDArray[np.bool_], area_px: float) -> None:
    """Fill holes of fewer than `area_px` pixels in `mask` (H, W), in place, except at the border of the image.

    The pixels of a hole are 4-connected. Runs of background in the rows are joined, instead of pixels.
    """
    if not mask.size:
        return
    first, stop, row = _background(mask)
    roots = _components(first, stop, row, mask.shape[1])
    area = np.bincount(roots, weights=stop - first, minlength=len(first))
    small = area < area_px
    begin, width = row * mask.shape[1], mask.shape[1]
    at_border = (row == 0) | (row == len(mask) - 1) | (first == begin) | (stop == begin + width)
    small[roots[at_border]] = False
    filled = np.flatnonzero(small[roots])
    mask.reshape(-1)[consecutive(first[filled], (stop - first)[filled])] = True


def _background(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the runs of False in each row: flat index of the first pixel and of that after the last, and the row."""
    height, width = mask.shape
    # A column of True at the right parts the rows, and one pixel of it stands before the first.
    bounded = np.ones(height * (width + 1) + 1, dtype=bool)
    bounded[1:].reshape(height, width + 1)[:, :width] = mask
    edges = np.flatnonzero(bounded[1:] != bounded[:-1])
    first, stop = edges[::2], edges[1::2]
    row = first // (width + 1)
    return first - row, stop - row, row


def _components(first: NDArray[np.intp], stop: NDArray[np.intp], row: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """Return the lowest run that each run is connected with, (N,): hooking and pointer jumping."""
    # The runs of the row below that overlap a run are consecutive.
    low = np.searchsorted(stop, first + width, side="right")
    high = np.searchsorted(first, stop + width, side="left")
    counts = np.maximum(high - low, 0)
    above = np.repeat(np.arange(len(first)), counts)
    below = consecutive(low, counts)
    parent = np.arange(len(first))
    while len(above):
        one, other = np.minimum(above, below), np.maximum(above, below)
        parent[other] = one
        while True:
            farther = parent[parent]
            if np.array_equal(farther, parent):
                break
            parent = farther
        above, below = parent[above], parent[below]
        apart = above != below
        above, below = above[apart], below[apart]
    return parent
