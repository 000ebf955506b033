"""Test-time augmentation: the mean of a network's maps over the eight orientations of each tile."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.models.card import Card
from monuseg_cli.prediction.engines.base import Engine

if TYPE_CHECKING:
    from monuseg_cli.prediction.engines.encoder import Encoder

Sample = TypeVar("Sample", np.uint8, np.int32)


class Orientation(NamedTuple):
    """One of the eight symmetries of a square: first a transposition, then reversals."""

    transposed: bool
    rows_reversed: bool
    cols_reversed: bool

    def apply(self, tile: NDArray[Sample]) -> NDArray[Sample]:
        """Return an oriented copy of a square tile of shape (P, P) or (P, P, 3)."""
        turned = tile.swapaxes(0, 1) if self.transposed else tile
        return np.ascontiguousarray(turned[self._reversal])

    def undo(self, maps: NDArray[np.float32], classes: tuple[str, ...]) -> NDArray[np.float32]:
        """Return the maps of shape (C, P, P) of an oriented tile as maps of the tile itself.

        The maps ``horizontal`` and ``vertical`` of HoVer-Net are positions in a nucleus from 0 to 1, so their values
        are reversed and exchanged as well.
        """
        restored = maps[(slice(None), *self._reversal)]
        if "horizontal" in classes:
            h, v = classes.index("horizontal"), classes.index("vertical")
            restored = restored.copy()
            if self.cols_reversed:
                restored[h] = 1 - restored[h]
            if self.rows_reversed:
                restored[v] = 1 - restored[v]
            if self.transposed:
                restored[[h, v]] = restored[[v, h]]
        return restored.transpose(0, 2, 1) if self.transposed else restored

    @property
    def _reversal(self) -> tuple[slice, slice]:
        return slice(None, None, -1 if self.rows_reversed else 1), slice(None, None, -1 if self.cols_reversed else 1)


ORIENTATIONS = tuple(
    Orientation(transposed, rows, cols)
    for transposed in (False, True)
    for rows in (False, True)
    for cols in (False, True)
)
"""All eight, the unchanged one first."""


class OrientedEngine:
    """Averages the maps of another engine over the eight orientations of each tile, which takes eight times as long.

    Parameters
    ----------
    engine : Engine
        Runs the network. Tiles that are not square reach it extended to squares by reflection.
    """

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.card: Card = engine.card
        self._engine = engine

    def prepare(self, height: int, width: int) -> None:
        """Prepare for tiles of a size; see `Engine`."""
        self._engine.prepare(max(height, width), max(height, width))

    def open_encoder(self) -> "Encoder":
        """Return the encoder of the network, which sees the upright image only; see `Engine`."""
        return self._engine.open_encoder()

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the mean maps of tiles; see `Engine`."""
        shapes: deque[tuple[int, int]] = deque()

        def oriented() -> Iterator[NDArray[np.uint8]]:
            for tile in tiles:
                height, width = tile.shape[:2]
                shapes.append((height, width))
                side = max(height, width)
                square = np.pad(tile, ((0, side - height), (0, side - width), (0, 0)), mode="symmetric")
                for orientation in ORIENTATIONS:
                    yield orientation.apply(square)

        results = self._engine.run(oriented())
        for first in results:
            total = first.copy()
            for orientation, maps in zip(ORIENTATIONS[1:], results, strict=False):
                total += orientation.undo(maps, self.card.classes)
            height, width = shapes.popleft()
            yield total[:, :height, :width] / np.float32(len(ORIENTATIONS))


def with_tta(engine: Engine, tta: bool) -> Engine:
    """Return the engine, with test-time augmentation if `tta` is set."""
    return OrientedEngine(engine) if tta else engine
