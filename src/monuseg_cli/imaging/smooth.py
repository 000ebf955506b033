"""Filters that a prediction needs, in numpy: scipy.ndimage takes a third of a second to import."""

import math

import numpy as np
from numpy.typing import NDArray

_TRUNCATE = 4.0  # standard deviations
_VALUES_AT_ONCE = 1 << 16  # float64 values that fit into the second cache of a core, with a copy


def gaussian_smooth(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Smooth an image with a Gaussian; at the border, the image is mirrored.

    The result is that of ``scipy.ndimage.gaussian_filter(image, sigma)``, with the same order of summation.

    Parameters
    ----------
    image : ndarray of shape (H, W), float32
    sigma : float
        Standard deviation in pixels; the kernel ends at four of them.

    Returns
    -------
    ndarray of shape (H, W), float32
    """
    if sigma <= np.finfo(float).tiny or not image.size:
        return image.copy()
    radius = int(_TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    weights = weights / weights.sum()
    smooth = np.empty(image.shape, dtype=np.float32)
    rows_at_once = max(_VALUES_AT_ONCE // (image.shape[1] + 2 * radius), 1)
    mirrored = np.pad(image, ((radius, radius), (0, 0)), mode="symmetric")
    for begin in range(0, len(image), rows_at_once):
        end = min(begin + rows_at_once, len(image))
        down = _correlate(mirrored[begin : end + 2 * radius].astype(np.float64), weights).astype(np.float32)
        across = np.pad(down, ((0, 0), (radius, radius)), mode="symmetric").astype(np.float64)
        smooth[begin:end] = _correlate(across.T, weights).T
    return smooth


def _correlate(lines: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlate along the first axis with symmetric weights (2 R + 1,), without the first and last R lines."""
    radius = len(weights) // 2
    count = len(lines) - 2 * radius
    total: NDArray[np.float64] = lines[radius : radius + count] * weights[radius]
    pair = np.empty_like(total)
    for step in range(radius, 0, -1):
        np.add(lines[radius - step :][:count], lines[radius + step :][:count], out=pair)
        pair *= weights[radius - step]
        total += pair
    return total


def dilate(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Return which pixels of a mask (H, W) are no farther than `radius` pixels from one that is set."""
    height, width = mask.shape
    wide: dict[int, NDArray[np.bool_]] = {}
    dilated = mask.copy()
    for step in range(min(int(radius), height - 1) + 1):
        reach = min(int(math.sqrt(radius * radius - step * step)), width)
        if reach not in wide:
            wide[reach] = _dilate_rows(mask, reach)
        dilated[step:] |= wide[reach][: height - step]
        dilated[: height - step] |= wide[reach][step:]
    return dilated


def _dilate_rows(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return which pixels are at most `reach` columns from one of the same row that is set."""
    summed = np.pad(mask, ((0, 0), (reach + 1, reach))).cumsum(axis=1, dtype=np.int32)
    return np.asarray(summed[:, 2 * reach + 1 :] > summed[:, : mask.shape[1]])
