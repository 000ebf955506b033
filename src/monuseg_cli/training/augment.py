"""Random variation of patches."""

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.training.recipe import Augment

_GAIN = 0.1
_OFFSET = 0.05


def vary(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], augment: Augment, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vary one patch, and bring it into the form that networks take.

    Parameters
    ----------
    image : ndarray of shape (P, P, 3), uint8
    mask : ndarray of shape (P, P), bool
    augment : {"none", "flips", "flips+colour"}
        See `Recipe`.
    random : numpy.random.Generator
        Where the variation comes from.

    Returns
    -------
    image : ndarray of shape (P, P, 3), float32
        Within 0..1.
    mask : ndarray of shape (P, P), float32
        0 or 1.
    """
    if augment != "none":
        turns = int(random.integers(4))
        image, mask = np.rot90(image, turns), np.rot90(mask, turns)
        if random.integers(2):
            image, mask = image[::-1], mask[::-1]
    scaled: NDArray[np.float32] = image.astype(np.float32) / np.float32(255)
    if augment == "flips+colour":
        gain = 1 + random.uniform(-_GAIN, _GAIN, 3).astype(np.float32)
        offset = random.uniform(-_OFFSET, _OFFSET, 3).astype(np.float32)
        np.clip(scaled * gain + offset, 0, 1, out=scaled)
    return scaled, mask.astype(np.float32)
