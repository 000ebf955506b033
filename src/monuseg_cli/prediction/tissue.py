"""Where tissue is, seen on a thumbnail; the rest is glass and is not predicted on."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.imaging.stains import OPTICAL_DENSITY

THUMBNAIL_UM = 8.0
"""Micrometres per pixel of the thumbnail that tissue is found on, about."""

_MARGIN_UM = 50.0
_DENSEST_GLASS = 0.12
_STEP = 0.06
_SMOOTHING_UM = 12.0


def find_tissue(thumbnail: NDArray[np.uint8], um_per_px: float) -> NDArray[np.bool_]:
    """Mark tissue: what is denser to green light, which both stains absorb, than the slide's glass, by a fixed step.

    An image that is tissue all over is so tissue all over. Glass is the lightest hundredth of the thumbnail, if that is
    light.

    Parameters
    ----------
    thumbnail : ndarray of shape (H, W, 3), uint8
    um_per_px : float
        Its scale.

    Returns
    -------
    ndarray of shape (H, W), bool
    """
    smooth = ndimage.gaussian_filter(OPTICAL_DENSITY[thumbnail[..., 1]], _SMOOTHING_UM / um_per_px)
    glass = min(float(np.quantile(smooth, 0.01)), _DENSEST_GLASS)
    return np.asarray(smooth > glass + _STEP)


def widen(tissue: NDArray[np.bool_], um_per_px: float) -> NDArray[np.bool_]:
    """Add a margin around tissue, so that nothing at its edge is missed."""
    if not tissue.any():
        return tissue
    return np.asarray(ndimage.distance_transform_edt(~tissue) <= _MARGIN_UM / um_per_px)
