"""Texture of nuclei: Haralick's features of the optical density of haematoxylin, by scikit-image.

scikit-image and scipy are imported only where texture is measured.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

LEVELS = 32
LEVEL_OD = 0.075
"""Optical density is divided into `LEVELS` grey levels of this width, from 0; what is beyond has the last level."""

_ANGLES = tuple(np.arange(4) * np.pi / 4)
_FEATURES = {
    "haralick_asm": "ASM",
    "haralick_contrast": "contrast",
    "haralick_correlation": "correlation",
    "haralick_homogeneity": "homogeneity",
    "haralick_entropy": "entropy",
}
"""Column -> property of scikit-image."""

_AT_ONCE = 250  # nuclei; 8 MB of matrices


def measure_texture(labels: NDArray[np.int32], haematoxylin: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Compute Haralick's features of all nuclei of a label image.

    The grey-level co-occurrence matrix counts the pairs of adjacent pixels of a nucleus, in both orders: at the right,
    at the upper right, above, and at the upper left. Each feature is the mean over these directions, without those in
    which a nucleus has no pair. See R. M. Haralick, K. Shanmugam and I. Dinstein, "Textural features for image
    classification", IEEE Trans. Syst. Man Cybern. SMC-3(6), 1973.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background.
    haematoxylin : ndarray of shape (H, W), floating
        Optical density.

    Returns
    -------
    dict of str to ndarray of shape (N,), float64
        The columns of the group "texture"; NaN for nuclei without adjacent pixels.
    """
    levels = (np.clip(haematoxylin / LEVEL_OD, 0, LEVELS - 1) + 1).astype(np.uint8)
    parts = [_features(matrices) for matrices in _matrices(labels, levels)]
    return {name: np.concatenate([np.empty(0), *(part[name] for part in parts)]) for name in _FEATURES}


def _matrices(labels: NDArray[np.int32], levels: NDArray[np.uint8]) -> Iterator[NDArray[np.float64]]:
    """Yield the co-occurrence matrices (LEVELS, LEVELS, N, 4) of some nuclei at a time."""
    from scipy import ndimage
    from skimage.feature import graycomatrix

    boxes = ndimage.find_objects(labels)
    for begin in range(0, len(boxes), _AT_ONCE):
        some = boxes[begin : begin + _AT_ONCE]
        matrices = np.empty((LEVELS, LEVELS, len(some), len(_ANGLES)))
        for index, box in enumerate(some):
            own = np.where(labels[box] == begin + index + 1, levels[box], 0)  # 0: not of this nucleus
            counts = graycomatrix(  # type: ignore[no-untyped-call] # scikit-image has no types
                own, [1], _ANGLES, levels=LEVELS + 1, symmetric=True
            )
            matrices[:, :, index] = counts[1:, 1:, 0]
        yield matrices


def _features(matrices: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Compute the features of co-occurrence matrices (LEVELS, LEVELS, N, 4), averaged over directions."""
    from skimage.feature import graycoprops

    has_pairs = matrices.any(axis=(0, 1))
    directions = has_pairs.sum(axis=1)
    found = {}
    for name, prop in _FEATURES.items():
        features = graycoprops(matrices, prop)  # type: ignore[no-untyped-call] # scikit-image has no types
        summed = np.where(has_pairs, features, 0).sum(axis=1)
        found[name] = np.where(directions > 0, summed / np.maximum(directions, 1), np.nan)
    return found
