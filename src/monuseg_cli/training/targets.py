"""Label images -> what the network is to say."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.nuclei.params import PostprocessParams
from monuseg_cli.training.recipe import AuxTarget

CLASSES: Mapping[AuxTarget, tuple[str, ...]] = MappingProxyType(
    {
        "none": ("nucleus",),
        "boundary": ("nucleus", "boundary"),
        "distance": ("nucleus", "distance"),
        "hv": ("nucleus", "horizontal", "vertical"),
    }
)
"""The network's channels for each second target, as the card names them."""

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
"""The post-processing for each second target, until one is chosen for the weights."""


def make_targets(labels: NDArray[np.int32], second: AuxTarget) -> NDArray[np.float32]:
    """Say what the network's channels should be, after the sigmoid, for a crop.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Label image.
    second : {"none", "boundary", "distance", "hv"}
        What is learnt beside the nuclei themselves; see `Recipe`.

    Returns
    -------
    ndarray of shape (C, H, W), float32
        Within 0..1, a channel for each of `CLASSES`: 1 in nuclei, then the second target.
    """
    nucleus = (labels > 0).astype(np.float32)[None]
    if second == "none":
        return nucleus
    make = {"boundary": boundary, "distance": distance, "hv": horizontal_vertical}[second]
    return np.concatenate([nucleus, make(labels)])


def boundary(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Mark the pixels that have another label, or background, next to them or at a corner; (1, H, W)."""
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
    """Give each nucleus' pixels their distance from its boundary, over the largest in that nucleus; (1, H, W).

    A nucleus cut by the crop's edge has no boundary there.
    """
    inside = labels > 0
    depth = ndimage.distance_transform_edt(inside & ~_is_boundary(labels)) + 1
    index, count = _number(labels)
    deepest = np.asarray(ndimage.maximum(depth, index, np.arange(count)))
    return np.where(inside, depth / deepest[index], 0).astype(np.float32)[None]


def horizontal_vertical(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Give each nucleus' pixels their place from its left (0) to its right (1), and from its top to its bottom.

    The maps of HoVer-Net (Graham et al., Medical Image Analysis 58, 2019), brought from -1..1 to 0..1: 0.5 at the
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
        place = np.broadcast_to(np.expand_dims(np.arange(labels.shape[axis], dtype=np.float64), 1 - axis), labels.shape)
        centre = np.bincount(index.reshape(-1), weights=place.reshape(-1), minlength=count) / area
        offset = place - centre[index]
        before, after = (ndimage.maximum(side * offset, index, np.arange(count)) for side in (-1, 1))
        reach = np.where(offset < 0, np.asarray(before)[index], np.asarray(after)[index])
        maps.append(np.where(inside, 0.5 + 0.5 * offset / np.maximum(reach, 0.5), 0.5))
    return np.stack(maps).astype(np.float32)


def _number(labels: NDArray[np.int32]) -> tuple[NDArray[np.intp], int]:
    """Renumber labels without gaps, and give the count of numbers; background is one of them."""
    distinct, index = np.unique(labels, return_inverse=True)
    return index.reshape(labels.shape), len(distinct)
