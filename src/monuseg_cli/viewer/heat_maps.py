"""Maps of a slide at low resolution: nuclei per area, and means of measurements."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from monuseg_cli.viewer.nucleus_set import NucleusSet

SIGMA_UM = 40.0
"""Standard deviation of the Gaussian window over which nuclei are counted."""

ASSUMED_MPP = 0.25
"""Scale at which the window is chosen if the scale is not known."""

_LARGEST_GRID = 1024
_CELLS_PER_SIGMA = 2
_FAINT_SHARE = 0.02
"""Below this share of the highest density, a mean says little, and is not shown."""


@dataclass(frozen=True)
class Heat:
    """A map over the whole slide.

    Parameters
    ----------
    values : ndarray of shape (H, W), float32
        What is shown.
    weight : ndarray of shape (H, W), float32
        How opaque it is, within 0..1.
    cell_px : float
        Side of a cell in pixels of level 0.
    limits : tuple of float
        Lowest and highest value of the colours.
    """

    values: NDArray[np.float32]
    weight: NDArray[np.float32]
    cell_px: float
    limits: tuple[float, float]

    def sample(
        self, box: tuple[float, float, float, float], shape: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return values and weights, each of `shape`, of a box: first row and column, last row and column (level 0)."""
        height, width = self.values.shape
        top, left, bottom, right = (side / self.cell_px + 1 for side in box)  # after a margin of one cell
        window = (left, top, min(right, width + 2), min(bottom, height + 2))

        def resized(plane: NDArray[np.float32]) -> NDArray[np.float32]:
            padded = Image.fromarray(np.pad(plane, 1, mode="edge"))
            return np.asarray(padded.resize(shape[::-1], Image.Resampling.BILINEAR, box=window), dtype=np.float32)

        return resized(self.values), resized(self.weight)


class HeatMaps:
    """The density of nuclei on a slide, and means of measurements.

    Parameters
    ----------
    nuclei : NucleusSet
        The nuclei.
    shape : tuple of int
        Height and width of the slide, in pixels of level 0.
    mpp : float or None
        Micrometres per pixel of level 0.
    """

    def __init__(self, nuclei: NucleusSet, shape: tuple[int, int], mpp: float | None) -> None:
        self._sigma_px = SIGMA_UM / (mpp or ASSUMED_MPP)
        self._cell_px = max(self._sigma_px / _CELLS_PER_SIGMA, max(shape) / _LARGEST_GRID)
        self._shape = tuple(int(np.ceil(side / self._cell_px)) for side in shape)
        cells = np.floor(nuclei.centres / self._cell_px).clip(0, np.array(self._shape) - 1)
        self._cells = np.nan_to_num(cells).astype(np.intp) @ (self._shape[1], 1)
        self._counts = self._smooth(None)
        per_cell = (self._cell_px * mpp / 1000) ** 2 if mpp else (self._cell_px / 1000) ** 2
        self._per_area = np.asarray(self._counts / per_cell, dtype=np.float32)

    def density(self) -> Heat:
        """Build the map of nuclei per mm2, or per 1000 x 1000 pixels without a scale."""
        occupied = self._per_area[self._counts > _FAINT_SHARE * self._counts.max(initial=0)]
        high = float(np.percentile(occupied, 99)) if len(occupied) else 0.0
        weight = np.clip(self._per_area / max(high / 4, 1e-12), 0, 1)
        return Heat(self._per_area, weight, self._cell_px, (0.0, high))

    def mean(self, values: NDArray[np.float32]) -> Heat:
        """Build the map of the local mean of a measurement (N,)."""
        known = ~np.isnan(values)
        counts = self._smooth(known.astype(np.float64))
        sums = self._smooth(np.where(known, values, 0).astype(np.float64))
        shown = counts > _FAINT_SHARE * counts.max(initial=0)
        mean = np.where(shown, sums / np.maximum(counts, 1e-12), 0).astype(np.float32)
        weight = np.clip(counts / max(float(counts.max(initial=0)) / 4, 1e-12), 0, 1) * shown
        low, high = np.percentile(mean[shown], (2, 98)) if shown.any() else (0.0, 0.0)
        return Heat(mean, weight.astype(np.float32), self._cell_px, (float(low), float(high)))

    def _smooth(self, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Count nuclei, or add up weights, per cell, and smooth the result."""
        cells = self._shape[0] * self._shape[1]
        found = np.bincount(self._cells, weights=weights, minlength=cells).reshape(self._shape).astype(np.float64)
        return np.asarray(ndimage.gaussian_filter(found, self._sigma_px / self._cell_px, mode="reflect"))
