"""Tiles of an image -> rows of maps, from top to bottom, without a border where tiles meet."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.prediction.engine import Engine
from monuseg_cli.prediction.source import Source
from monuseg_cli.progress import SILENT_TASK, Task
from monuseg_cli.stains import haematoxylin_density
from monuseg_cli.tiling import even

LARGEST_TILE_PX = 576
OVERLAP_PX = 64
_MULTIPLE = 32
_AHEAD = 2


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
    def rows(self) -> tuple[int, int]:
        """Height of a tile, and number of rows of tiles."""
        return even(self.shape[0], LARGEST_TILE_PX, OVERLAP_PX, _MULTIPLE)

    @property
    def cols(self) -> tuple[int, int]:
        """Width of a tile, and number of columns of tiles."""
        return even(self.shape[1], LARGEST_TILE_PX, OVERLAP_PX, _MULTIPLE)

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """Give each tile's first row and column, height and width, row by row."""
        (height, rows), (width, cols) = self.rows, self.cols
        for i in range(rows):
            for j in range(cols):
                yield i * (height - OVERLAP_PX), j * (width - OVERLAP_PX), height, width


Wanted = Callable[[int, int, int, int], bool]
"""Tells of a tile, by its first row and column, height and width, whether it is predicted on."""


def blended_rows(
    source: Source, engine: Engine, wanted: Wanted, task: Task = SILENT_TASK
) -> Iterator[tuple[NDArray[np.float16], NDArray[np.float16]]]:
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
    task : Task
        Is advanced by one for every tile that is predicted on.

    Yields
    ------
    maps : ndarray of shape (C, R, W), float16
        The next rows of the maps, within 0..1.
    haematoxylin : ndarray of shape (R, W), float16
        The same rows' density of haematoxylin.
    """
    height, width = source.shape
    grid = TileGrid(source.shape)
    (tile_height, rows), (tile_width, cols) = grid.rows, grid.cols
    step_down, step_right = tile_height - OVERLAP_PX, tile_width - OVERLAP_PX
    padded_width = (cols - 1) * step_right + tile_width
    classes = len(engine.card.classes)
    above = np.zeros((classes, OVERLAP_PX, padded_width), dtype=np.float32)
    with ThreadPoolExecutor(1) as reader:
        for i in range(rows):
            row = i * step_down
            maps = np.zeros((classes, tile_height, padded_width), dtype=np.float32)
            if i:
                maps[:, :OVERLAP_PX] = above
            haematoxylin = np.zeros((tile_height, padded_width), dtype=np.float16)
            here = [j for j in range(cols) if wanted(row, j * step_right, tile_height, tile_width)]
            down = ramp(tile_height, i == 0, i == rows - 1)
            windows = {j: np.outer(down, ramp(tile_width, j == 0, j == cols - 1)) for j in here}
            batches = [here[first : first + engine.batch] for first in range(0, len(here), engine.batch)]
            for batch, tiles in _read_ahead(reader, source, batches, row, step_right, (tile_height, tile_width)):
                for j, tile, found in zip(batch, tiles, engine.run(tiles), strict=True):
                    across = slice(j * step_right, j * step_right + tile_width)
                    maps[:, :, across] += found * windows[j]
                    haematoxylin[:, across] = haematoxylin_density(tile)
                    task.advance()
            done = tile_height if i == rows - 1 else step_down
            above = maps[:, done:]
            done = min(done, height - row)
            yield maps[:, :done, :width].astype(np.float16), haematoxylin[:done, :width]


def ramp(size: int, is_first: bool, is_last: bool) -> NDArray[np.float32]:
    """Weight the pixels along an axis of a tile so that the weights of overlapping tiles add up to 1.

    They rise and fall linearly over what the tile shares with the one before and the one after.

    Returns
    -------
    ndarray of shape (size,), float32
    """
    weights = np.ones(size, dtype=np.float32)
    rising = (np.arange(OVERLAP_PX, dtype=np.float32) + np.float32(0.5)) / np.float32(OVERLAP_PX)
    if not is_first:
        weights[:OVERLAP_PX] = rising
    if not is_last:
        weights[size - OVERLAP_PX :] *= 1 - rising
    return weights


def _read_ahead(
    reader: ThreadPoolExecutor,
    source: Source,
    batches: list[list[int]],
    row: int,
    step: int,
    tile: tuple[int, int],
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Give batches of a row's tiles, read by a thread while those before are in use."""

    def read(batch: list[int]) -> NDArray[np.uint8]:
        return np.stack([source.read(row, j * step, *tile) for j in batch])

    waiting = iter(batches)
    read_ahead: list[tuple[list[int], Future[NDArray[np.uint8]]]] = [
        (batch, reader.submit(read, batch)) for batch in islice(waiting, _AHEAD)
    ]
    while read_ahead:
        batch, tiles = read_ahead.pop(0)
        pixels = tiles.result()
        read_ahead += [(following, reader.submit(read, following)) for following in islice(waiting, 1)]
        yield batch, pixels
