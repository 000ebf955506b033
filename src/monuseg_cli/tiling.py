"""Where windows stand in an image: geometry only, no pixels."""

import math
from typing import Literal

Edge = Literal["shift", "drop"]


def starts(length: int, size: int, stride: int, edge: Edge = "shift") -> list[int]:
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
    rows, cols = (starts(length, size, stride, edge) for length in shape)
    return [(row, col) for row in rows for col in cols]


def even(length: int, largest: int, overlap: int, multiple: int) -> tuple[int, int]:
    """Cover an axis by as few tiles of one size as possible, each of which reaches by `overlap` into the next.

    Parameters
    ----------
    length, largest, overlap : int
        Pixels of the axis, of the largest tile, and of what two neighbours share; `overlap` < `largest`.
    multiple : int
        A tile's size is a multiple of this, as is `largest`.

    Returns
    -------
    size, count : int
        The smallest size that suffices for that number of tiles. Tile k begins at k * (size - overlap); the last one
        may reach beyond the axis, by less than `count` * `multiple`.
    """
    count = max(math.ceil((length - overlap) / (largest - overlap)), 1)
    needed = math.ceil((length + (count - 1) * overlap) / count)
    return math.ceil(needed / multiple) * multiple, count
