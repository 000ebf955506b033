"""Where the maps of a network lie on a slide, and the transform between their pixels and those of the slide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.tiling import Box


class Frame:
    """The transform from the pixels of the maps to those of the slide.

    Parameters
    ----------
    origin : tuple of float
        Row and column, in pixels of level 0, of the top left corner of the maps' first pixel.
    step : tuple of float
        Pixels of level 0 per pixel of the maps, along rows and columns.
    mpp : float
        Micrometres per pixel of the maps.
    """

    def __init__(self, origin: tuple[float, float], step: tuple[float, float], mpp: float) -> None:
        self.mpp = mpp
        self._origin, self._step = np.array(origin), np.array(step)

    def to_map_coords(self, points: NDArray[np.generic]) -> NDArray[np.float64]:
        """Transform points (N, 2), row and column, from level 0 to the maps."""
        return np.asarray((points - self._origin) / self._step, dtype=np.float64)

    def to_slide_coords(self, points: NDArray[np.generic]) -> NDArray[np.float64]:
        """Transform points (N, 2), row and column, from the maps to level 0."""
        return np.asarray(points * self._step + self._origin, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the maps of a slide, or of a region of it, lie.

    Parameters
    ----------
    region : Box
        First row, first column, height and width of the part that is predicted on, in pixels of level 0.
    map_shape : tuple of int
        Height and width of the maps.
    mpp : float or None
        Micrometres per pixel of level 0; None if neither the image nor the user stated it.
    map_mpp : float
        Micrometres per pixel of the maps.
    """

    region: Box
    map_shape: tuple[int, int]
    mpp: float | None
    map_mpp: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of level 0."""
        return self.region[2], self.region[3]

    @property
    def um_per_px(self) -> float:
        """Micrometres per pixel of level 0 that were used, stated or assumed."""
        return self.mpp or self.map_mpp * self.map_shape[0] / self.region[2]

    @property
    def frame(self) -> Frame:
        """The transform from the maps to the slide."""
        step = self.region[2] / self.map_shape[0], self.region[3] / self.map_shape[1]
        return Frame((self.region[0], self.region[1]), step, self.map_mpp)
