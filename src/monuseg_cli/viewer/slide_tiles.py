"""Tiles of the slide itself, as JPEG."""

import io
import math
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.imaging.slide import Slide
from monuseg_cli.viewer.pyramid import Tile

_QUALITY = 88
LARGEST_OVERVIEW_PX = 4096
_FARTHEST = 4.0
"""A tile is read from a level with at most so many pixels per side of its own; beyond this, from the overview."""

_STRIP_PX = 1024
_ROUNDING = 1e-3  # of a pixel; levels have sides that are rounded


class SlideTiles:
    """Tiles of a slide at any scale.

    Slides without coarse levels get an overview in memory, which is built once, strip by strip.

    Parameters
    ----------
    slide : Slide
        The open slide.
    largest_overview_px : int
        A level with more pixels per side is too large for a view of the whole; so is an overview.
    """

    def __init__(self, slide: Slide, largest_overview_px: int = LARGEST_OVERVIEW_PX) -> None:
        self._slide = slide
        self._reading, self._building = threading.Lock(), threading.Lock()
        self._overview: NDArray[np.uint8] | None = None
        coarsest = max(slide.levels, key=lambda level: level.downsample)
        self._coarsest = slide.levels.index(coarsest)
        ratio = max(coarsest.shape) / largest_overview_px
        self._factor: int = 2 ** max(math.ceil(math.log2(ratio)), 0)

    @property
    def lacks_overview(self) -> bool:
        """Whether the slide has no level that is small enough for a view of the whole."""
        return self._factor > 1

    def jpeg(self, tile: Tile) -> bytes:
        """Return a tile as JPEG.

        Raises
        ------
        InputError
            If the file is damaged there.
        """
        file = io.BytesIO()
        Image.fromarray(self.read(tile)).save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()

    def read(self, tile: Tile) -> NDArray[np.uint8]:
        """Read a tile, (height, width, 3).

        Raises
        ------
        InputError
            If the file is damaged there.
        """
        level = self._slide.level_for(tile.step)
        if self.lacks_overview and tile.step > _FARTHEST * self._slide.levels[level].downsample:
            overview = self.build_overview()
            return self._resample(tile, overview.shape[:2], lambda rows, cols: overview[rows, cols])

        def read(rows: slice, cols: slice) -> NDArray[np.uint8]:
            with self._reading:
                return self._slide.read_region(
                    level, rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start
                )

        return self._resample(tile, self._slide.levels[level].shape, read)

    def build_overview(self) -> NDArray[np.uint8]:
        """Return the overview, (H, W, 3), which is small enough; the first call builds it."""
        with self._building:
            if self._overview is None:
                height, width = self._slide.levels[self._coarsest].shape
                strips = []
                for row in range(0, height, _STRIP_PX):
                    rows = min(_STRIP_PX, height - row)
                    with self._reading:
                        strip = self._slide.read_region(self._coarsest, row, 0, rows, width)
                    strips.append(np.asarray(Image.fromarray(strip).reduce(self._factor)))
                self._overview = np.concatenate(strips)
            return self._overview

    def _resample(
        self, tile: Tile, shape: tuple[int, ...], read: Callable[[slice, slice], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Resample a tile from an image of the whole slide that has `shape` pixels."""
        down, across = (whole / pixels for whole, pixels in zip(self._slide.shape, shape, strict=True))
        top, left, bottom, right = (side / ratio for side, ratio in zip(tile.box, (down, across) * 2, strict=True))
        rows = slice(math.floor(top), min(math.ceil(bottom - _ROUNDING), shape[0]))
        cols = slice(math.floor(left), min(math.ceil(right - _ROUNDING), shape[1]))
        pixels = read(rows, cols)
        if pixels.shape[:2] == (tile.height, tile.width):
            return pixels
        window = (left - cols.start, top - rows.start, right - cols.start, bottom - rows.start)
        window = (*window[:2], min(window[2], pixels.shape[1]), min(window[3], pixels.shape[0]))
        resized = Image.fromarray(pixels).resize((tile.width, tile.height), Image.Resampling.HAMMING, box=window)
        return np.asarray(resized)
