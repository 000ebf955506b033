"""Nuclei per area: counted on a grid while they arrive."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.imaging.tiling import Box

_CELL_UM = 25.0
_MOST_CELLS = 1000
"""Cells along the longest side; on larger slides, the cells are larger."""

_SMOOTHING_CELLS = 1.5
_LEAST_TISSUE = 0.05


class DensityGrid:
    """Number of nuclei in each cell of a grid, which divides a region into equal cells of about 25 um.

    Parameters
    ----------
    region : Box
        First row, first column, height and width, in pixels of level 0.
    mpp : float
        Micrometres per pixel of level 0.
    tissue : ndarray of shape (H, W), bool
        Mask of tissue of the region, of any size.

    Attributes
    ----------
    counts : ndarray of shape (R, C), int64
        Number of nuclei with their centre in each cell.
    tissue : ndarray of shape (R, C), float64
        Share of tissue in each cell.
    step : tuple of float
        Pixels of level 0 per cell, along rows and columns.
    cell_um : float
        Side of a cell, along rows.
    """

    def __init__(self, region: Box, mpp: float, tissue: NDArray[np.bool_]) -> None:
        self._region = region
        wanted = max(_CELL_UM / mpp, max(region[2:]) / _MOST_CELLS)
        rows, cols = (max(round(side / wanted), 1) for side in region[2:])
        self.step = (region[2] / rows, region[3] / cols)
        self.cell_um = self.step[0] * mpp
        self._cell_mm2 = self.step[0] * self.step[1] * (mpp / 1000) ** 2
        self.counts = np.zeros((rows, cols), dtype=np.int64)
        mask = Image.fromarray(tissue.astype(np.float32)).resize((cols, rows), Image.Resampling.BOX)
        self.tissue = np.asarray(mask, dtype=np.float64)

    def add(self, centres: NDArray[np.float64]) -> None:
        """Count nuclei by their centres (N, 2), row and column in pixels of level 0."""
        cells = ((centres - self._region[:2]) / self.step).astype(np.intp)
        rows, cols = np.clip(cells, 0, np.array(self.counts.shape) - 1).T
        np.add.at(self.counts, (rows, cols), 1)

    def per_mm2(self) -> NDArray[np.float64]:
        """Return the smoothed number of nuclei per square millimetre of tissue (R, C); NaN where there is no tissue.

        Counts and tissue are smoothed by the same Gaussian, so that the density is right up to the edge of the tissue.
        """
        from scipy import ndimage  # slow to import

        counts, area = (
            ndimage.gaussian_filter(layer.astype(np.float64), _SMOOTHING_CELLS, mode="constant")
            for layer in (self.counts, self.tissue * self._cell_mm2)
        )
        shown = (self.tissue >= _LEAST_TISSUE) & (area > 0)
        density = np.full(counts.shape, np.nan)
        density[shown] = counts[shown] / area[shown]
        return density
