"""Positions of tiles and windows in an image: geometry only, no pixels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

Edge = Literal["shift", "drop"]

Box = tuple[int, int, int, int]
"""First row, first column, height and width, in pixels of level 0."""


def window_starts(length: int, size: int, stride: int, edge: Edge = "shift") -> list[int]:
    """Place windows along one axis.

    Parameters
    ----------
    length, size, stride : int
        Length of the axis, size of a window, and step from one window to the next, in pixels; all at least 1.
    edge : {"shift", "drop"}
        What happens if the last regular window does not end at the edge: ``"shift"`` adds one that does, so that every
        pixel is covered if `stride` <= `size`; ``"drop"`` leaves the rest uncovered.

    Returns
    -------
    list of int
        First pixel of each window, ascending. If the axis is shorter than a window: ``[0]`` for ``"shift"`` (the window
        extends beyond the axis), empty for ``"drop"``.
    """
    last = length - size
    regular = list(range(0, last + 1, stride))
    if edge == "drop" or (regular and regular[-1] == last):
        return regular
    return [*regular, max(last, 0)]


def grid(shape: tuple[int, int], size: int, stride: int, edge: Edge = "shift") -> list[tuple[int, int]]:
    """Place square windows over an image; return row and column of the first pixel of each, row by row."""
    rows, cols = (window_starts(length, size, stride, edge) for length in shape)
    return [(row, col) for row in rows for col in cols]


@dataclass(frozen=True, slots=True)
class TileAxis:
    """An axis covered by as few overlapping tiles of one size as possible.

    Parameters
    ----------
    length : int
        Length of the axis in pixels, rounded up to the multiple that tile sizes must have.
    size, count : int
        Length of a tile in pixels, and number of tiles.
    step : int
        Pixels from one tile to the next. The last one is moved back to the end of the axis.
    """

    length: int
    size: int
    count: int
    step: int

    @classmethod
    def cover(cls, length: int, largest: int, overlap: int, multiple: int) -> "TileAxis":
        """Cover an axis.

        Parameters
        ----------
        length, largest, overlap : int
            Pixels of the axis, of the largest tile, and of the smallest overlap of neighbours; `overlap` < `largest`.
        multiple : int
            Tiles have the smallest multiple of this that suffices for their number; `largest` must be a multiple, too.
        """
        reached = math.ceil(length / multiple) * multiple
        if reached <= largest:
            return cls(reached, reached, 1, reached)
        count = math.ceil((length - overlap) / (largest - overlap))
        needed = math.ceil((length + (count - 1) * overlap) / count)
        size = math.ceil(needed / multiple) * multiple
        step = size - overlap
        count = math.ceil((length - overlap) / step)  # rounding up may have made one superfluous
        return cls(reached, size, count, step)

    def start(self, tile: int) -> int:
        """Return the first pixel of a tile."""
        return min(tile * self.step, self.length - self.size)

    def overhang(self, tile: int) -> int:
        """Return by how many pixels a tile is moved back to stay on the axis: 0 except for the last."""
        return tile * self.step - self.start(tile)


def spread_windows(shape: tuple[int, int], size: int) -> Iterator[Box]:
    """Yield windows without end, at the points of the Halton sequence in bases 2 and 3, which covers an area evenly.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the area.
    size : int
        Height and width of a window; no window is larger than the area.
    """
    height, width = (min(side, size) for side in shape)
    for index in count(1):
        row, col = (
            round(_radical_inverse(index, base) * (side - extent))
            for base, side, extent in ((2, shape[0], height), (3, shape[1], width))
        )
        yield row, col, height, width


def _radical_inverse(index: int, base: int) -> float:
    """Compute the radical inverse of an index: its digits mirrored at the point; 1, 2, 3 -> 1/2, 1/4, 3/4 in base 2."""
    result, digit = 0.0, 1.0
    while index:
        digit /= base
        result += digit * (index % base)
        index //= base
    return result
