"""Pictures that are stored turned or mirrored, seen upright."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ORIENTATION_TAG = 0x0112
"""Of EXIF, whose orientations are TIFF's."""

# TIFF 6.0, section 8: orientations 5 to 8 have rows and columns exchanged; then one, both or none are mirrored.
_TURNED = (5, 6, 7, 8)
_MIRRORED: Mapping[int, tuple[int, ...]] = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}

_Sample = TypeVar("_Sample", bound=np.generic)

Window = tuple[slice, slice]
"""Rows and columns, each with start and stop."""


class Orientation:
    """How the rows and columns of a picture are stored.

    Parameters
    ----------
    value : int
        TIFF's orientation; 1, upright, and whatever TIFF does not know change nothing.
    stored : tuple of int
        Height and width, as stored.

    Attributes
    ----------
    shape : tuple of int
        Height and width, upright.
    """

    def __init__(self, value: int, stored: tuple[int, int]) -> None:
        self._turned = value in _TURNED
        self._mirror = _MIRRORED.get(value, ())
        self.shape = stored[::-1] if self._turned else stored

    def in_stored(self, window: Window) -> Window:
        """Return the window, as stored, of a window given by its upright rows and columns."""
        sides = list(window)
        for axis in self._mirror:
            length = self.shape[axis]
            sides[axis] = slice(length - sides[axis].stop, length - sides[axis].start)
        return (sides[1], sides[0]) if self._turned else (sides[0], sides[1])

    def upright(self, pixels: NDArray[_Sample]) -> NDArray[_Sample]:
        """Turn pixels (H, W) or (H, W, S), as stored, upright."""
        return np.flip(pixels.swapaxes(0, 1) if self._turned else pixels, self._mirror)
