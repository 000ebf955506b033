"""Tiles of an image -> rows of maps, from top to bottom, without a border where tiles meet."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.prefetch import prefetch
from monuseg_cli.core.progress import SILENT_TASK, Task
from monuseg_cli.imaging.stains import density_to_8_bits, haematoxylin_density
from monuseg_cli.imaging.tiling import TileAxis
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.source import Source

LARGEST_TILE_PX = 1024
OVERLAP_PX = 192
UINT8_MAX = 255
"""What stands for 1 where maps are kept in 8 bits."""

_MULTIPLE = 32
_MARGIN = 3 / 8  # share of an overlap, at either side of it
_AHEAD = 4


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Where tiles stand on an image.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image.
    """

    shape: tuple[int, int]

    @property
    def rows(self) -> TileAxis:
        """Where tiles stand from top to bottom."""
        return TileAxis.cover(self.shape[0], LARGEST_TILE_PX, OVERLAP_PX, _MULTIPLE)

    @property
    def cols(self) -> TileAxis:
        """Where tiles stand from left to right."""
        return TileAxis.cover(self.shape[1], LARGEST_TILE_PX, OVERLAP_PX, _MULTIPLE)

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """Give each tile's first row and column, height and width, row by row."""
        rows, cols = self.rows, self.cols
        for i in range(rows.count):
            for j in range(cols.count):
                yield rows.start(i), cols.start(j), rows.size, cols.size


TileFilter = Callable[[int, int, int, int], bool]
"""Tells of a tile, by its first row and column, height and width, whether it is predicted on."""


Sample = TypeVar("Sample", np.uint8, np.float32)


def blended_rows(
    source: Source, engine: Engine, wanted: TileFilter, dtype: type[Sample], task: Task = SILENT_TASK
) -> Iterator[tuple[NDArray[Sample], NDArray[np.uint8]]]:
    """Run a network over an image in overlapping tiles, and blend them.

    Reading, in a thread of its own, is some tiles ahead of the network.

    Parameters
    ----------
    source : Source
        The image.
    engine : Engine
        Runs the network.
    wanted : callable
        Which tiles are predicted on; in the others there is nothing.
    dtype : type
        Of the maps: numpy.float32, or numpy.uint8 for a quarter of the memory.
    task : Task
        Is advanced by one for every tile that is predicted on.

    Yields
    ------
    maps : ndarray of shape (C, R, W)
        The next rows of the maps, within 0..1, or rounded to 8 bits; see `to_uint8`.
    haematoxylin : ndarray of shape (R, W), uint8
        The same rows' density of haematoxylin; see `density_to_8_bits`.
    """
    height, width = source.shape
    grid = TileGrid(source.shape)
    rows, cols = grid.rows, grid.cols
    classes = len(engine.card.classes)
    densities: deque[NDArray[np.uint8]] = deque()  # of tiles that the engine has taken and not given back

    def tiles(read: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        for tile in read:
            densities.append(density_to_8_bits(haematoxylin_density(tile)))
            yield tile

    # Of what a tile shares with the next one, the outermost rows and columns weigh nothing.
    shared = math.ceil(OVERLAP_PX * (1 - _MARGIN))
    with closing(prefetch((source.read(*window) for window in grid if wanted(*window)), _AHEAD)) as read:
        found = engine.run(tiles(read))
        above = np.zeros((classes, min(shared, rows.size), cols.length), dtype=np.float32)
        for i in range(rows.count):
            tall, is_lowest = rows.size - rows.overhang(i), i == rows.count - 1
            done = min(tall if is_lowest else rows.step, height - i * rows.step)
            maps = np.zeros((classes, done, cols.length), dtype=dtype)
            haematoxylin = np.zeros((done, cols.length), dtype=np.uint8)
            below = np.zeros_like(above)
            before = np.zeros((classes, tall, min(shared, cols.size)), dtype=np.float32)
            down = ramp(tall, i == 0, is_lowest)
            for j in range(cols.count):
                wide, is_last = cols.size - cols.overhang(j), j == cols.count - 1
                across = slice(j * cols.step, j * cols.step + (wide if is_last else cols.step))
                tile = np.zeros((classes, tall, wide), dtype=np.float32)
                if wanted(rows.start(i), cols.start(j), rows.size, cols.size):
                    own = np.s_[..., rows.overhang(i) :, cols.overhang(j) :]
                    np.multiply(next(found)[own], np.outer(down, ramp(wide, j == 0, is_last)), out=tile)
                    haematoxylin[:, across.start : across.start + wide] = densities.popleft()[own][:done]
                    task.advance()
                tile[:, :, : before.shape[2]] += before
                before = tile[:, :, cols.step : cols.step + before.shape[2]]
                whole = tile[:, :, : across.stop - across.start]
                whole[:, : above.shape[1]] += above[:, :, across]
                if not is_lowest:
                    below[:, :, across] = whole[:, rows.step : rows.step + above.shape[1]]
                maps[:, :, across] = to_uint8(whole[:, :done]) if dtype is np.uint8 else whole[:, :done]
            above = below
            yield maps[:, :, :width], haematoxylin[:, :width]


def to_uint8(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round maps within 0..1 to 8 bits, with `UINT8_MAX` for 1."""
    return (maps * np.float32(UINT8_MAX) + np.float32(0.5)).astype(np.uint8)


def ramp(size: int, is_first: bool, is_last: bool) -> NDArray[np.float32]:
    """Weight the pixels along an axis of a tile so that the weights of overlapping tiles add up to 1.

    Near a tile's border the network sees little of what is around: of what a tile shares with the one before and the
    one after, the outer three eighths weigh nothing, the inner three eighths all, with a line between.

    Returns
    -------
    ndarray of shape (size,), float32
    """
    weights = np.ones(size, dtype=np.float32)
    steps = (np.arange(OVERLAP_PX, dtype=np.float32) + np.float32(0.5)) / np.float32(OVERLAP_PX)
    rising = ((steps - np.float32(_MARGIN)) / np.float32(1 - 2 * _MARGIN)).clip(0, 1)
    if not is_first:
        weights[:OVERLAP_PX] = rising
    if not is_last:
        weights[size - OVERLAP_PX :] *= 1 - rising
    return weights
