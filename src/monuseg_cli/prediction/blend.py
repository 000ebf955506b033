"""Prediction in overlapping tiles, blended into seamless rows of maps from top to bottom."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.prefetch import prefetch
from monuseg_cli.core.progress import SILENT_TASK, Task
from monuseg_cli.core.stages import StageClock
from monuseg_cli.imaging.scaled_source import Source
from monuseg_cli.imaging.stains import StainMatch, density_to_8_bits, haematoxylin_density
from monuseg_cli.imaging.tiling import Box, TileAxis
from monuseg_cli.prediction.engines.base import Engine

UINT8_MAX = 255
"""Value of 1 in maps of 8 bits."""

_MULTIPLE = 32
_MARGIN = 3 / 8  # share of an overlap, at either side of the ramp
_TILES_AHEAD = 4


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Overlapping tiles that cover an image.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image.
    largest_px : int
        Largest side of a tile; smaller tiles are used where they suffice.
    overlap_px : int
        Smallest overlap of neighbouring tiles, in rows or columns.
    """

    shape: tuple[int, int]
    largest_px: int = 1024
    overlap_px: int = 192

    @property
    def rows(self) -> TileAxis:
        """The tiles from top to bottom."""
        return TileAxis.cover(self.shape[0], self.largest_px, self.overlap_px, _MULTIPLE)

    @property
    def cols(self) -> TileAxis:
        """The tiles from left to right."""
        return TileAxis.cover(self.shape[1], self.largest_px, self.overlap_px, _MULTIPLE)

    @property
    def has_several(self) -> bool:
        """Whether the image is larger than a tile."""
        return self.rows.count > 1 or self.cols.count > 1

    def window(self, i: int, j: int) -> Box:
        """Return the tile in row i and column j of the grid."""
        return self.rows.start(i), self.cols.start(j), self.rows.size, self.cols.size

    def __iter__(self) -> Iterator[Box]:
        """Iterate over the tiles in row-major order."""
        for i in range(self.rows.count):
            for j in range(self.cols.count):
                yield self.window(i, j)


TileFilter = Callable[[int, int, int, int], bool]
"""Whether a tile, given by its first row and column, height and width, is predicted on."""

Sample = TypeVar("Sample", np.uint8, np.float32)


def blended_rows(
    source: Source,
    grid: TileGrid,
    engine: Engine,
    is_included: TileFilter,
    dtype: type[Sample],
    task: Task = SILENT_TASK,
    match: StainMatch | None = None,
    clock: StageClock | None = None,
) -> Iterator[tuple[NDArray[Sample], NDArray[np.uint8]]]:
    """Run a network over an image in overlapping tiles, and blend them.

    Tiles are read in a thread, a few ahead of the network; starting it would take longer than reading a single one.

    Parameters
    ----------
    source : Source
        The image.
    grid : TileGrid
        Tiles of the image.
    engine : Engine
        Runs the network.
    is_included : callable
        Whether a tile is predicted on; the maps are 0 in the others.
    dtype : type
        Type of the maps: numpy.float32, or numpy.uint8 for a quarter of the memory.
    task : Task
        Advanced by one for every tile that is predicted on.
    match : StainMatch, optional
        Applied to the input of the network, but not to the density of haematoxylin.
    clock : StageClock, optional
        Counts the stages reading, stain and blending.

    Yields
    ------
    maps : ndarray of shape (C, R, W)
        The next rows of the maps, within 0..1, or rounded to 8 bits; see `to_uint8`.
    haematoxylin : ndarray of shape (R, W), uint8
        Optical density of haematoxylin of the same rows; see `density_to_8_bits`.
    """
    height, width = source.shape
    classes, clock = len(engine.card.classes), clock or StageClock("")
    read = clock.each("reading", (source.read(*tile) for tile in grid if is_included(*tile)))
    with closing(prefetch(read, _TILES_AHEAD if grid.has_several else 0)) as tiles:
        predicted = _predict_tiles(engine, tiles, match, clock)
        row: _TileRow[Sample] | None = None
        for i in range(grid.rows.count):
            row = _TileRow(grid, i, height, classes, dtype, above=row)
            for j in range(grid.cols.count):
                if is_included(*grid.window(i, j)):
                    tile = next(predicted)
                    with clock.stage("blending"):
                        row.add(j, *tile)
                    task.advance()
                else:
                    row.add_nothing(j)
            yield row.maps[:, :, :width], row.haematoxylin[:, :width]


def _predict_tiles(
    engine: Engine, tiles: Iterable[NDArray[np.uint8]], match: StainMatch | None, clock: StageClock
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Yield the maps and the haematoxylin density of each tile; the engine consumes some tiles ahead."""
    densities: deque[NDArray[np.uint8]] = deque()

    def taken() -> Iterator[NDArray[np.uint8]]:
        for tile in tiles:
            with clock.stage("stain"):
                densities.append(density_to_8_bits(haematoxylin_density(tile)))
                matched = match.apply(tile) if match else tile
            yield matched

    for maps in engine.run(taken()):
        yield maps, densities.popleft()


class _TileRow(Generic[Sample]):
    """One row of the grid, whose tiles are added from left to right.

    Overlaps are carried over: from a tile to its right neighbour, and from a row to the one below.

    Parameters
    ----------
    grid : TileGrid
        Tiles of the image.
    i : int
        Index of the row in the grid.
    height : int
        Height of the image.
    classes : int
        Number of maps, C.
    dtype : type
        Type of the finished rows.
    above : _TileRow, optional
        The completed row above.

    Attributes
    ----------
    maps : ndarray of shape (C, R, W)
        Rows of the image that no later tile overlaps.
    haematoxylin : ndarray of shape (R, W), uint8
        Optical density of haematoxylin of the same rows.
    """

    def __init__(
        self,
        grid: TileGrid,
        i: int,
        height: int,
        classes: int,
        dtype: type[Sample],
        above: "_TileRow[Sample] | None",
    ) -> None:
        rows, cols = grid.rows, grid.cols
        self._cols, self._overlap = cols, grid.overlap_px
        self._skipped = rows.overhang(i)  # rows of a tile that the row above has finished already
        self._height = rows.size - self._skipped
        self._step = rows.step
        self._is_lowest = i == rows.count - 1
        finished = min(self._height if self._is_lowest else rows.step, height - i * rows.step)
        self.maps: NDArray[Sample] = np.zeros((classes, finished, cols.length), dtype=dtype)
        self.haematoxylin = np.zeros((finished, cols.length), dtype=np.uint8)
        self._to_8_bits = dtype is np.uint8
        self._weights = ramp(self._height, self._overlap, i == 0, self._is_lowest)
        # The outermost rows and columns of an overlap have no weight.
        shared = math.ceil(self._overlap * (1 - _MARGIN))
        self._below = np.zeros((classes, min(shared, rows.size), cols.length), dtype=np.float32)
        self._above = above._below if above else np.zeros_like(self._below)
        self._left = np.zeros((classes, self._height, min(shared, cols.size)), dtype=np.float32)

    def add(self, j: int, maps: NDArray[np.float32], density: NDArray[np.uint8]) -> None:
        """Add the tile in column j: maps (C, H, W) and density of haematoxylin (H, W)."""
        own = np.s_[..., self._skipped :, self._cols.overhang(j) :]
        width = self._cols.size - self._cols.overhang(j)
        weights = ramp(width, self._overlap, j == 0, j == self._cols.count - 1)
        first = j * self._cols.step
        self.haematoxylin[:, first : first + width] = density[own][: len(self.haematoxylin)]
        self._blend(j, maps[own] * np.outer(self._weights, weights))

    def add_nothing(self, j: int) -> None:
        """Add zeros in column j."""
        width = self._cols.size - self._cols.overhang(j)
        self._blend(j, np.zeros((len(self.maps), self._height, width), dtype=np.float32))

    def _blend(self, j: int, tile: NDArray[np.float32]) -> None:
        step, is_last = self._cols.step, j == self._cols.count - 1
        across = slice(j * step, j * step + (tile.shape[2] if is_last else step))
        shared = self._left.shape[2]
        tile[:, :, :shared] += self._left
        self._left = tile[:, :, step : step + shared]
        complete = tile[:, :, : across.stop - across.start]
        complete[:, : self._above.shape[1]] += self._above[:, :, across]
        if not self._is_lowest:
            self._below[:, :, across] = complete[:, self._step : self._step + self._below.shape[1]]
        finished = complete[:, : self.maps.shape[1]]
        self.maps[:, :, across] = to_uint8(finished) if self._to_8_bits else finished


def to_uint8(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round maps within 0..1 to 8 bits; 1 becomes `UINT8_MAX`."""
    return (maps * np.float32(UINT8_MAX) + np.float32(0.5)).astype(np.uint8)


def ramp(size: int, overlap: int, is_first: bool, is_last: bool) -> NDArray[np.float32]:
    """Compute the blending weights along an axis of a tile; the weights of overlapping tiles add up to 1.

    Near a tile's border the network lacks context. Of the `overlap` pixels shared with a neighbour, the outer 3/8 have
    weight 0 and the inner 3/8 have weight 1, with a linear ramp in between.

    Returns
    -------
    ndarray of shape (size,), float32
    """
    weights = np.ones(size, dtype=np.float32)
    steps = (np.arange(overlap, dtype=np.float32) + np.float32(0.5)) / np.float32(overlap)
    rising = ((steps - np.float32(_MARGIN)) / np.float32(1 - 2 * _MARGIN)).clip(0, 1)
    if not is_first:
        weights[:overlap] = rising
    if not is_last:
        weights[size - overlap :] *= 1 - rising
    return weights
