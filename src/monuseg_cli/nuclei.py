"""Probability maps -> label image: the post-processing, and nothing else."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

SMOOTHING_UM = 0.5
"""Standard deviation of the Gaussian that smooths the distance transform, so that ragged outlines do not split."""

PEAK_RADIUS_UM = 2.5
"""A peak of the smoothed distance counts where no higher one lies within this, along rows and columns."""


def separate(
    probability: NDArray[np.float32], *, threshold: float, min_area_um2: float, mpp: float
) -> NDArray[np.int32]:
    """Turn a probability map into one label per nucleus.

    Pixels at or above the threshold are foreground, in which holes smaller than the smallest nucleus are filled.
    Nuclei that touch are separated by a watershed on the smoothed distance to the background, from its peaks.

    Parameters
    ----------
    probability : ndarray of shape (H, W), float32
        Probability that a pixel belongs to a nucleus.
    threshold : float
        Within 0..1.
    min_area_um2 : float
        Smaller nuclei are dropped, in square micrometres.
    mpp : float
        Micrometres per pixel of the map.

    Returns
    -------
    ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background.
    """
    min_area_px = min_area_um2 / mpp**2
    mask = probability >= threshold
    mask |= _small_holes(mask, min_area_px)
    components, count = ndimage.label(mask)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask).astype(np.float32), SMOOTHING_UM / mpp)
    radius = max(round(PEAK_RADIUS_UM / mpp), 1)
    peaks = mask & (ndimage.maximum_filter(distance, size=2 * radius + 1) == distance)
    # A component whose peak lies in the shade of a larger neighbour's is one nucleus.
    has_peak = np.bincount(components[peaks], minlength=count + 1) > 0
    peaks |= mask & ~has_peak[components]
    markers, _ = ndimage.label(peaks, structure=np.ones((3, 3)))
    labels = watershed(-distance, markers, mask=mask)  # type: ignore[no-untyped-call] # scikit-image has no types
    areas = np.bincount(labels.reshape(-1))
    kept = areas >= min_area_px
    kept[0] = False
    number = np.cumsum(kept).astype(np.int32) * kept
    return np.asarray(number[labels], dtype=np.int32)


def _small_holes(mask: NDArray[np.bool_], area_px: float) -> NDArray[np.bool_]:
    """Mark the holes in `mask`, which do not reach the image's border, of fewer pixels than `area_px`."""
    background, _ = ndimage.label(~mask)
    small = np.bincount(background.reshape(-1)) < area_px
    small[0] = False
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        small[edge] = False
    return np.asarray(small[background])
