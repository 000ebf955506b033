"""Nuclei of a label image, or of a file of outlines, as small label images: window by window, in bounded memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.polygons import Ring
from monuseg_cli.nuclei.rasterise import rasterise

BLOCK_PX = 2048
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Window:
    """Some nuclei, each as a whole.

    Parameters
    ----------
    ids : ndarray of shape (N,), int64
        The id of each nucleus.
    labels : ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background, and pixels of other nuclei.
    corner : tuple of int
        Row and column of the first pixel.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int32]
    corner: tuple[int, int]

    def select(self, kept: NDArray[np.bool_]) -> "Window":
        """Return the window with some of its nuclei, given by a mask (N,)."""
        numbers = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.int32)
        return Window(self.ids[kept], numbers[self.labels], self.corner)


class NucleusWindows(ABC):
    """The nuclei of an image; iterate over it for windows in the order of their blocks, from top to bottom.

    A nucleus belongs to the block that contains the upper left corner of its bounding box.

    Parameters
    ----------
    boxes : ndarray of shape (N, 4), int64
        First row and column, and those after the last, of the bounding box of each nucleus, within the image.
    block_px : int
        Side of the blocks.

    Attributes
    ----------
    covered : int
        Number of nuclei, in the windows so far, that were left out since others cover all of their pixels.
    """

    def __init__(self, boxes: NDArray[np.int64], block_px: int) -> None:
        self.boxes, self._block_px = boxes, block_px
        self.covered = 0

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._blocks)

    def __iter__(self) -> Iterator[Window]:
        """Iterate over the windows."""
        self.covered = 0
        for own in self._blocks:
            window = self._draw(own)
            is_seen = np.bincount(window.labels.reshape(-1), minlength=len(own) + 1)[1:] > 0
            self.covered += int((~is_seen).sum())
            yield window if is_seen.all() else window.select(is_seen)

    @cached_property
    def _blocks(self) -> list[NDArray[np.intp]]:
        """The nuclei of each block that has any."""
        blocks = self.boxes[:, :2] // self._block_px
        order = np.lexsort((blocks[:, 1], blocks[:, 0]))
        changes = np.flatnonzero((np.diff(blocks[order], axis=0) != 0).any(axis=1)) + 1
        return np.split(order, changes) if len(order) else []

    @abstractmethod
    def _draw(self, own: NDArray[np.intp]) -> Window:
        """Draw nuclei, given by their indices (N,)."""


class LabelWindows(NucleusWindows):
    """The nuclei of a label image; their ids are its values.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Label image, 0 background.
    block_px : int
        Side of the blocks.
    """

    def __init__(self, labels: NDArray[np.int32], block_px: int = BLOCK_PX) -> None:
        from scipy import ndimage  # slow to import

        self._labels, self._values = _without_gaps(labels)
        slices = ndimage.find_objects(self._labels)
        boxes = [(rows.start, cols.start, rows.stop, cols.stop) for rows, cols in slices]
        super().__init__(np.array(boxes, dtype=np.int64).reshape(-1, 4), block_px)

    def _draw(self, own: NDArray[np.intp]) -> Window:
        top, left, bottom, right = _union(self.boxes[own])
        numbers = np.zeros(len(self._values) + 1, dtype=np.int32)
        numbers[own + 1] = np.arange(1, len(own) + 1)
        return Window(self._values[own], numbers[self._labels[top:bottom, left:right]], (top, left))


class OutlineWindows(NucleusWindows):
    """Nuclei given by outlines, drawn as `rasterise` draws all of them; their ids count from 1.

    Parameters
    ----------
    outlines : sequence of ndarray of shape (V, 2), float64
        Each with a part inside the image.
    shape : tuple of int
        Height and width of the image.
    block_px : int
        Side of the blocks.
    """

    def __init__(self, outlines: Sequence[Ring], shape: tuple[int, int], block_px: int = BLOCK_PX) -> None:
        self._outlines = outlines
        super().__init__(boxes_of(outlines, shape), block_px)

    def _draw(self, own: NDArray[np.intp]) -> Window:
        top, left, bottom, right = _union(self.boxes[own])
        # Which of two outlines is on top depends on the whole area of both.
        begin, end = self.boxes[:, :2], self.boxes[:, 2:]
        near = np.flatnonzero((begin < (bottom, right)).all(axis=1) & (end > (top, left)).all(axis=1))
        first_row, first_col, last_row, last_col = _union(self.boxes[near])
        outlines = [self._outlines[index] - (first_row, first_col) for index in near.tolist()]
        drawn = rasterise(outlines, (last_row - first_row, last_col - first_col)).labels
        numbers = np.zeros(len(near) + 1, dtype=np.int32)
        numbers[np.searchsorted(near, own) + 1] = np.arange(1, len(own) + 1)
        within = drawn[top - first_row : bottom - first_row, left - first_col : right - first_col]
        return Window(own.astype(np.int64) + 1, numbers[within], (top, left))


def boxes_of(outlines: Sequence[Ring], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Compute the bounding boxes of outlines in whole pixels, clipped to an image; without pixels outside of it.

    Returns
    -------
    ndarray of shape (N, 4), int64
        First row and column, and those after the last.
    """
    low = np.array([np.floor(ring.min(axis=0)) for ring in outlines]).reshape(-1, 2)
    high = np.array([np.ceil(ring.max(axis=0)) for ring in outlines]).reshape(-1, 2)
    ends = np.maximum(high, low + 1).clip(0, shape)
    return np.concatenate([low.clip(0, shape), ends], axis=1).astype(np.int64)


def _union(boxes: NDArray[np.int64]) -> tuple[int, int, int, int]:
    top, left = boxes[:, :2].min(axis=0).tolist()
    bottom, right = boxes[:, 2:].max(axis=0).tolist()
    return top, left, bottom, right


def _without_gaps(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return labels numbered 1..N, and the value of each before, ascending."""
    blocks = [slice(begin, begin + _ROWS_AT_ONCE) for begin in range(0, len(labels), _ROWS_AT_ONCE)]
    found = np.unique(np.concatenate([np.zeros(1, dtype=np.int32), *(np.unique(labels[block]) for block in blocks)]))
    values = found[1:].astype(np.int64)
    if not len(values) or values[-1] == len(values):
        return labels, values
    numbered = np.empty_like(labels)
    for block in blocks:
        numbered[block] = np.searchsorted(found, labels[block])
    return numbered, values
