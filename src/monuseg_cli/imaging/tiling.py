"""Where windows stand in an image: geometry only, no pixels."""

import math
from dataclasses import dataclass
from typing import Literal

Edge = Literal["shift", "drop"]

Box = tuple[int, int, int, int]
"""First row, first column, height and width, in pixels of level 0."""


def window_starts(length: int, size: int, stride: int, edge: Edge = "shift") -> list[int]:
    """Place windows along one axis.

    Parameters
    ----------
    length, size, stride : int
        Pixels of the axis, of a window, and from one window to the next; all at least 1.
    edge : {"shift", "drop"}
        What happens where the last regular window does not end at the edge: ``"shift"`` adds one that is moved
        back to the edge, so that every pixel is covered where `stride` <= `size`; ``"drop"`` leaves the rest uncovered.

    Returns
    -------
    list of int
        First pixel of each window, ascending. Where the axis is shorter than a window: ``[0]`` for ``"shift"``
        (the window reaches beyond the axis), nothing for ``"drop"``.
    """
    last = length - size
    regular = list(range(0, last + 1, stride))
    if edge == "drop" or (regular and regular[-1] == last):
        return regular
    return [*regular, max(last, 0)]


def grid(shape: tuple[int, int], size: int, stride: int, edge: Edge = "shift") -> list[tuple[int, int]]:
    """Place square windows over an image: row and column of each one's first pixel, row by row."""
    rows, cols = (window_starts(length, size, stride, edge) for length in shape)
    return [(row, col) for row in rows for col in cols]


@dataclass(frozen=True, slots=True)
class TileAxis:
    """An axis covered by as few tiles of one size as possible, each of which reaches into the next.

    Parameters
    ----------
    length : int
        Pixels of the axis, up to the next multiple that a tile's size can be of.
    size, count : int
        Pixels of a tile, and how many there are.
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
            Pixels of the axis, of the largest tile, and of what two neighbours share at least; `overlap` < `largest`.
        multiple : int
            A tile's size is the smallest multiple of this that suffices for the number of tiles; `largest` is one, too.
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
        """Give the first pixel of a tile."""
        return min(tile * self.step, self.length - self.size)

    def overhang(self, tile: int) -> int:
        """Tell by how many pixels a tile begins earlier than its turn is: 0 but for the last."""
        return tile * self.step - self.start(tile)
