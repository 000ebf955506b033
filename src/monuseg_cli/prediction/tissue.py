"""Detection of tissue on a thumbnail; the rest of the slide is glass and is skipped."""

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.brightness import doubt_brightness
from monuseg_cli.imaging.scaled_source import read_thumbnail
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.smooth import dilate, gaussian_smooth
from monuseg_cli.imaging.stains import OPTICAL_DENSITY
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.nuclei.rois import draw_rois
from monuseg_cli.prediction.blend import TileGrid
from monuseg_cli.prediction.config import SlideSettings

THUMBNAIL_UM = 8.0
"""Approximate micrometres per pixel of the thumbnail for tissue detection."""

_MARGIN_UM = 50.0
_DENSEST_GLASS = 0.12
_STEP = 0.06
_SMOOTHING_UM = 12.0
_BLACK = 2
"""JPEG leaves black within so much of 0."""


def find_tissue(thumbnail: NDArray[np.uint8], um_per_px: float, sparse: bool = False) -> NDArray[np.bool_]:
    """Detect tissue by its optical density in the green channel, which both stains absorb.

    A pixel is tissue if its smoothed density exceeds that of the slide's glass by a fixed step. The density of glass is
    the 1st percentile of the thumbnail, with an upper bound, so that an image without glass is all tissue. Pure black
    is no tissue: converters fill with it what was not scanned.

    Parameters
    ----------
    thumbnail : ndarray of shape (H, W, 3), uint8
    um_per_px : float
        Micrometres per pixel of the thumbnail.
    sparse : bool
        Whether tiles are missing in the slide's file. They read as pure white, which is lighter than scanned glass, so
        pure white is then excluded from the percentile and from the smoothing.

    Returns
    -------
    ndarray of shape (H, W), bool
    """
    density, sigma = OPTICAL_DENSITY[thumbnail[..., 1]], _SMOOTHING_UM / um_per_px
    scanned = np.asarray((thumbnail > _BLACK).any(axis=2))
    if sparse:
        scanned = scanned & (thumbnail != 255).any(axis=2)
    smooth = gaussian_smooth(np.where(scanned, density, 0), sigma)
    if not scanned.all():
        weight = gaussian_smooth(scanned.astype(density.dtype), sigma)
        smooth = np.where(scanned, smooth / np.maximum(weight, np.finfo(weight.dtype).tiny), 0)
    if not scanned.any():
        return scanned
    glass = min(float(np.quantile(smooth[scanned], 0.01)), _DENSEST_GLASS)
    return np.asarray(smooth > glass + _STEP)


def widen(tissue: NDArray[np.bool_], um_per_px: float) -> NDArray[np.bool_]:
    """Dilate tissue by a margin, so that nothing at its edge is missed."""
    return dilate(tissue, _MARGIN_UM / um_per_px)


class TissueMap:
    """The area of a slide to predict on: tissue, intersected with any regions of interest.

    Parameters
    ----------
    slide : Slide
        The open slide.
    region : Box
        The part to predict on, in pixels of level 0.
    mpp : float
        Micrometres per pixel of level 0.
    shape : tuple of int
        Height and width of the part at the network's scale.
    settings : SlideSettings
        Whether glass is skipped, and the regions of interest.

    Attributes
    ----------
    grid : TileGrid
        The tiles that cover the part.
    found : ndarray of shape (H, W), bool
        Mask of tissue on the thumbnail.
    mm2 : float
        Area of tissue in square millimetres.
    doubt : str or None
        What is odd about the brightness of the part.
    """

    def __init__(self, slide: Slide, region: Box, mpp: float, shape: tuple[int, int], settings: SlideSettings) -> None:
        self.grid = TileGrid(shape)
        thumbnail = read_thumbnail(slide, max(THUMBNAIL_UM / mpp, 1), region)
        um_per_px = region[2] * mpp / thumbnail.shape[0]
        size = (thumbnail.shape[0], thumbnail.shape[1])
        self.doubt = doubt_brightness(thumbnail)
        self.found = np.ones(size, dtype=bool)
        if settings.tissue_only:
            self.found = find_tissue(thumbnail, um_per_px, sparse=slide.sparse)
        if settings.rois:
            self.found &= draw_rois(settings.rois, size, (region[0], region[1]), region[2] / size[0])
        self._near = widen(self.found, um_per_px)
        self._step = (thumbnail.shape[0] / shape[0], thumbnail.shape[1] / shape[1])
        self.mm2 = float(self.found.mean()) * region[2] * region[3] * (mpp / 1000) ** 2

    def is_in(self, row: int, col: int, height: int, width: int) -> bool:
        """Whether a window, at the network's scale, contains tissue or lies within the margin around it."""
        (top, bottom), (left, right) = (
            (int(first * step), int(np.ceil((first + size) * step)))
            for first, size, step in ((row, height, self._step[0]), (col, width, self._step[1]))
        )
        return bool(self._near[top:bottom, left:right].any())

    def tiles(self) -> list[Box]:
        """List the tiles to predict on."""
        return [window for window in self.grid if self.is_in(*window)]
