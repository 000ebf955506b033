"""Training targets computed from label images."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.nuclei.postprocess_params import PostprocessParams
from monuseg_cli.training.recipe import AuxTarget

CLASSES: Mapping[AuxTarget, tuple[str, ...]] = MappingProxyType(
    {
        "none": ("nucleus",),
        "boundary": ("nucleus", "boundary"),
        "distance": ("nucleus", "distance"),
        "hv": ("nucleus", "horizontal", "vertical"),
    }
)
"""The network's output channels for each auxiliary target, as named in the card."""

POSTPROCESS: Mapping[AuxTarget, PostprocessParams] = MappingProxyType(
    {
        "none": PostprocessParams(),
        "boundary": PostprocessParams(),
        "distance": PostprocessParams(
            smoothing_um=1.0, saddle_depth=0.12
        ),  # predicted distances are rougher than boundaries
        "hv": PostprocessParams(),
    }
)
"""Default post-processing for each auxiliary target, used until it is tuned for the weights."""


def make_targets(labels: NDArray[np.int32], second: AuxTarget) -> NDArray[np.float32]:
    """Compute the targets of the network's channels, after the sigmoid, for a crop.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Label image.
    second : {"none", "boundary", "distance", "hv"}
        Auxiliary target; see `Recipe`.

    Returns
    -------
    ndarray of shape (C, H, W), float32
        Within 0..1, one channel per entry of `CLASSES`: 1 in nuclei, then the auxiliary target.
    """
    nucleus = (labels > 0).astype(np.float32)[None]
    if second == "none":
        return nucleus
    make = {"boundary": boundary, "distance": distance, "hv": horizontal_vertical}[second]
    return np.concatenate([nucleus, make(labels)])


def boundary(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Mark pixels with an 8-neighbour of another label, including the background; (1, H, W)."""
    return _is_boundary(labels).astype(np.float32)[None]


def _is_boundary(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    found = np.zeros(labels.shape, dtype=bool)
    for one, other in (
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        differ = labels[one] != labels[other]
        found[one] |= differ
        found[other] |= differ
    return found


def distance(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Compute each pixel's distance from its nucleus' boundary, divided by the largest in that nucleus; (1, H, W).

    A nucleus cut by the crop's edge has no boundary there.
    """
    inside = labels > 0
    depth = ndimage.distance_transform_edt(inside & ~_is_boundary(labels)) + 1
    index, count = _number(labels)
    deepest = np.asarray(ndimage.maximum(depth, index, np.arange(count)))
    return np.where(inside, depth / deepest[index], 0).astype(np.float32)[None]


def horizontal_vertical(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Compute each pixel's position in its nucleus from left (0) to right (1), and from top (0) to bottom (1).

    The maps of HoVer-Net (Graham et al., Medical Image Analysis 58, 2019), rescaled from -1..1 to 0..1: 0.5 at the
    nucleus' centre of mass and in the background, scaled on each side by the farthest pixel.

    Returns
    -------
    ndarray of shape (2, H, W), float32
    """
    inside = labels > 0
    index, count = _number(labels)
    area = np.maximum(np.bincount(index.reshape(-1), minlength=count), 1)
    maps = []
    for axis in (1, 0):
        coord = np.broadcast_to(np.expand_dims(np.arange(labels.shape[axis], dtype=np.float64), 1 - axis), labels.shape)
        centre = np.bincount(index.reshape(-1), weights=coord.reshape(-1), minlength=count) / area
        offset = coord - centre[index]
        before, after = (ndimage.maximum(side * offset, index, np.arange(count)) for side in (-1, 1))
        reach = np.where(offset < 0, np.asarray(before)[index], np.asarray(after)[index])
        maps.append(np.where(inside, 0.5 + 0.5 * offset / np.maximum(reach, 0.5), 0.5))
    return np.stack(maps).astype(np.float32)


def _number(labels: NDArray[np.int32]) -> tuple[NDArray[np.intp], int]:
    """Renumber labels without gaps, and return the count of numbers, background included."""
    distinct, index = np.unique(labels, return_inverse=True)
    return index.reshape(labels.shape), len(distinct)
