"""Images that are stored rotated or mirrored."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ORIENTATION_TAG = 0x0112
"""The EXIF tag; its values are those of TIFF."""

# TIFF 6.0, section 8: orientations 5 to 8 exchange rows and columns; then one axis, both or none are mirrored.
_TURNED = (5, 6, 7, 8)
_MIRRORED: Mapping[int, tuple[int, ...]] = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}

_Sample = TypeVar("_Sample", bound=np.generic)

Window = tuple[slice, slice]
"""Rows and columns, each with start and stop."""


class Orientation:
    """How the rows and columns of an image are stored.

    Parameters
    ----------
    value : int
        TIFF's orientation; 1 (upright) and unknown values change nothing.
    stored : tuple of int
        Height and width, as stored.

    Attributes
    ----------
    shape : tuple of int
        Height and width of the upright image.
    """

    def __init__(self, value: int, stored: tuple[int, int]) -> None:
        self._turned = value in _TURNED
        self._mirror = _MIRRORED.get(value, ())
        self.shape = stored[::-1] if self._turned else stored

    def in_stored(self, window: Window) -> Window:
        """Convert a window of the upright image to one of the stored image."""
        sides = list(window)
        for axis in self._mirror:
            length = self.shape[axis]
            sides[axis] = slice(length - sides[axis].stop, length - sides[axis].start)
        return (sides[1], sides[0]) if self._turned else (sides[0], sides[1])

    def upright(self, pixels: NDArray[_Sample]) -> NDArray[_Sample]:
        """Return stored pixels, (H, W) or (H, W, S), upright."""
        return np.flip(pixels.swapaxes(0, 1) if self._turned else pixels, self._mirror)
