"""The levels and tiles of deep zoom: each level has twice the pixels, per side, of the one before."""

import math
from dataclasses import dataclass

TILE_PX = 512
FINER_LEVELS = 3
"""Levels beyond full resolution, on which outlines stay sharp."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of a level.

    Parameters
    ----------
    step : float
        Pixels of level 0 of the slide per pixel of the tile.
    row, col : int
        First pixel, in pixels of the tile's level.
    height, width : int
        Size in pixels.
    """

    step: float
    row: int
    col: int
    height: int
    width: int

    @property
    def box(self) -> tuple[float, float, float, float]:
        """First row and column, last row and column, in pixels of level 0 of the slide."""
        top, left = self.row * self.step, self.col * self.step
        return top, left, top + self.height * self.step, left + self.width * self.step


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The levels of a slide of `shape` (height, width): 0 is one pixel, `full` is full resolution."""

    shape: tuple[int, int]

    @property
    def full(self) -> int:
        """Level of full resolution."""
        return math.ceil(math.log2(max(*self.shape, 2)))

    @property
    def first(self) -> int:
        """The finest level that is a single tile; coarser ones are not needed."""
        return max(self.full - max(math.ceil(math.log2(max(self.shape) / TILE_PX)), 0), 0)

    def step(self, level: int) -> float:
        """Return the pixels of the slide per pixel of a level."""
        return float(2.0 ** (self.full - level))

    def tile(self, level: int, row: int, col: int, finer: int = 0) -> Tile | None:
        """Return a tile by its level, row and column; None if there is none.

        Parameters
        ----------
        level, row, col : int
            Which tile.
        finer : int
            Number of levels beyond full resolution that exist.
        """
        if not self.first <= level <= self.full + finer or row < 0 or col < 0:
            return None
        step = self.step(level)
        height, width = (math.ceil(side / step) for side in self.shape)
        top, left = row * TILE_PX, col * TILE_PX
        if top >= height or left >= width:
            return None
        return Tile(step, top, left, min(TILE_PX, height - top), min(TILE_PX, width - left))
