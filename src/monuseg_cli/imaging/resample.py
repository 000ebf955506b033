"""Resampling of images, label images and maps of a network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SAME_SCALE = 0.05
"""Scales that differ by less than this fraction count as equal, and nothing is resampled."""


def scaled(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return the height and width of an image scaled by `factor`; unchanged if that is about 1."""
    if abs(factor - 1) <= SAME_SCALE:
        return shape
    height, width = (max(round(side * factor), 1) for side in shape)
    return height, width


def resize_image(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample an image (H, W, 3) to another height and width: bicubic, with antialiasing."""
    return _resize(pixels, shape, Image.Resampling.BICUBIC)


def resize_labels(labels: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Resample a label image (H, W) to another height and width: nearest neighbour."""
    return _resize(labels, shape, Image.Resampling.NEAREST)


def resize_maps(maps: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample maps (C, H, W) to another height and width: bilinear, so that values stay within 0..1."""
    if maps.shape[1:] == shape:
        return maps
    return np.stack([_resize(plane, shape, Image.Resampling.BILINEAR) for plane in maps])


def _resize(pixels: NDArray[Any], shape: tuple[int, int], how: Image.Resampling) -> NDArray[Any]:
    if pixels.shape[:2] == shape:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((shape[1], shape[0]), how))


class RowsResized:
    """Resamples a label image row by row: each pixel gets the label at its centre.

    Parameters
    ----------
    shape, wanted : tuple of int
        Height and width of the input and of the output.
    """

    def __init__(self, shape: tuple[int, int], wanted: tuple[int, int]) -> None:
        self._same = shape == wanted
        rows, cols = (
            ((np.arange(new) + 0.5) * (old / new)).astype(np.intp) for old, new in zip(shape, wanted, strict=True)
        )
        self._rows, self._cols = rows, cols
        self._kept: NDArray[Any] | None = None
        self._first = 0  # index of the first row that is kept
        self._given = 0

    def add(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Add the next rows, and return the output rows that are complete."""
        if self._same:
            return rows
        self._kept = rows if self._kept is None else np.concatenate([self._kept, rows])
        end = int(np.searchsorted(self._rows, self._first + len(self._kept)))
        needed = self._rows[self._given : end] - self._first
        given = self._kept[needed][:, self._cols]
        self._given = end
        done = int(self._rows[end]) - self._first if end < len(self._rows) else len(self._kept)
        done = min(done, len(self._kept))
        self._kept, self._first = self._kept[done:], self._first + done
        return given
