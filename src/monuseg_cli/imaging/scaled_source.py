"""An image or slide at another scale, read window by window."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.imaging.resample import resize_image, scaled
from monuseg_cli.imaging.slide import Slide

_SUPPORT = 3  # output pixels to either side that bicubic resampling needs, rounded up
_STRIP = 16


class Source(Protocol):
    """Pixels at the network's scale.

    Attributes
    ----------
    shape : tuple of int
        Height and width.
    """

    shape: tuple[int, int]

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Read a window (height, width, 3); beyond the image, the pixels are mirrored."""


class ArraySource:
    """An image in memory.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    scale : float
        Pixels at the network's scale per pixel of the image.
    """

    def __init__(self, image: NDArray[np.uint8], scale: float = 1.0) -> None:
        self._image = resize_image(image, scaled((image.shape[0], image.shape[1]), scale))
        self.shape = (self._image.shape[0], self._image.shape[1])

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Read a window; see `Source`."""
        inside = self._image[row : row + height, col : col + width]
        return _mirrored(inside, height, width)


class SlideSource:
    """A slide, or a part of it, of which only the requested windows are read.

    Every window equals a crop of the whole resampled level, so windows join without seams.

    Parameters
    ----------
    slide : Slide
        The open slide.
    scale : float
        Pixels at the network's scale per pixel of level 0.
    region : tuple of int
        First row, first column, height and width of the part, in pixels of level 0.

    Attributes
    ----------
    shape : tuple of int
        Height and width at the network's scale.
    step : tuple of float
        Pixels of level 0 per pixel at the network's scale, along rows and columns.
    """

    def __init__(self, slide: Slide, scale: float, region: tuple[int, int, int, int]) -> None:
        self._slide = slide
        self._row, self._col, height, width = region
        self.shape = scaled((height, width), scale)
        self.step = (height / self.shape[0], width / self.shape[1])
        self._level = slide.level_for(max(self.step))

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Read a window; see `Source`.

        Raises
        ------
        InputError
            If the file is damaged there.
        """
        bottom, right = min(row + height, self.shape[0]), min(col + width, self.shape[1])
        level = self._slide.levels[self._level]
        spans = []
        for first, last, origin, step, length in (
            (row, bottom, self._row, self.step[0], level.shape[0]),
            (col, right, self._col, self.step[1], level.shape[1]),
        ):
            begin, end = ((origin + index * step) / level.downsample for index in (first, last))
            margin = _SUPPORT * max(step / level.downsample, 1)
            low, high = max(int(begin - margin), 0), min(int(np.ceil(end + margin)), length)
            spans.append((begin, min(end, float(length)), low, high))
        (top, below, low_row, high_row), (left, beyond, low_col, high_col) = spans
        if (self.step[0], self.step[1], level.downsample) == (1.0, 1.0, 1.0):
            inside = self._slide.read_region(self._level, int(top), int(left), bottom - row, right - col)
        else:
            seen = self._slide.read_region(self._level, low_row, low_col, high_row - low_row, high_col - low_col)
            box = (left - low_col, top - low_row, beyond - low_col, below - low_row)
            resized = Image.fromarray(seen).resize((right - col, bottom - row), Image.Resampling.BICUBIC, box)
            inside = np.asarray(resized)
        return _mirrored(inside, height, width)


def read_thumbnail(slide: Slide, downsample: float, region: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Read a thumbnail of a part of a slide, in strips, so that a slide without coarser levels is not held in memory.

    Parameters
    ----------
    slide : Slide
        The open slide.
    downsample : float
        Approximate number of pixels of level 0 per pixel of the thumbnail.
    region : tuple of int
        First row, first column, height and width of the part, in pixels of level 0.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
    """
    source = SlideSource(slide, 1 / downsample, region)
    height, width = source.shape
    strips = [source.read(row, 0, min(_STRIP, height - row), width) for row in range(0, height, _STRIP)]
    return np.concatenate(strips)


def _mirrored(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    below, right = height - pixels.shape[0], width - pixels.shape[1]
    if not below and not right:
        return pixels
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="symmetric")
