"""Stain adaptation: a slide's stain is measured once and matched to that of the training images."""

from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.scaled_source import Source
from monuseg_cli.imaging.stains import StainLevels, StainMatch, find_levels, select_stained
from monuseg_cli.imaging.tiling import spread_windows
from monuseg_cli.models.card import Card

Adapt = Literal["auto", "off"]
"""``"auto"``: match a stain outside the range the model was trained for; ``"off"``: never."""

_TRAINED_FOR = (0.35, 2.5)
"""Range of an image's stains, relative to the training images, in which it is not matched: with wide stain
augmentation in training, a model is better without matching inside this range, and much better with it outside
(docs/results.md)."""

_WINDOW_PX = 128
_MOST_WINDOWS = 256
_ENOUGH_PIXELS = 100_000
_EVERY = 2  # subsampling of rows and columns of a window


@dataclass(frozen=True, slots=True, eq=False)
class StainSample:
    """Pixels from all over an image, and the stain in them.

    Parameters
    ----------
    pixels : ndarray of shape (N, 3), uint8
        Pixels of the windows that were read.
    levels : StainLevels
        Empty if hardly anything is stained with haematoxylin and eosin.
    """

    pixels: NDArray[np.uint8]
    levels: StainLevels


def sample_stain(source: Source) -> StainSample:
    """Measure the stain of an image in windows spread evenly over it, until there are enough stained pixels.

    The result does not depend on the region that is predicted on. Only the windows are read.

    Parameters
    ----------
    source : Source
        The whole image at the network's scale.
    """
    read, stained, count = [np.empty((0, 3), np.uint8)], [np.empty((0, 2))], 0
    for window in islice(spread_windows(source.shape, _WINDOW_PX), _MOST_WINDOWS):
        read.append(source.read(*window)[::_EVERY, ::_EVERY].reshape(-1, 3))
        stained.append(select_stained(read[-1]))
        count += len(stained[-1])
        if count >= _ENOUGH_PIXELS:
            break
    return StainSample(np.concatenate(read), find_levels(np.concatenate(stained)))


def match_stain(found: StainLevels, card: Card, adapt: Adapt) -> StainMatch | None:
    """Build the matching of an image's stain to that of the model's training images.

    Parameters
    ----------
    found : StainLevels
        Levels of the image, as `sample_stain` measures them.
    card : Card
        Card of the model, with the stain levels of its training images.
    adapt : {"auto", "off"}
        Whether to adapt.

    Returns
    -------
    StainMatch or None
        None if the image is not matched: `adapt` is ``"off"``, the card has no stain levels, hardly anything is stained
        with haematoxylin and eosin, or one of the stains is within the range the model was trained for.
    """
    if adapt == "off" or not card.stain or not found:
        return None
    # If only one stain is far off, it is the tissue: eosin alone is tissue without nuclei, not a pale slide.
    factors = [found[stain][1] / card.stain[stain][1] for stain in ("haematoxylin", "eosin")]
    is_pale, is_dark = max(factors) < _TRAINED_FOR[0], min(factors) > _TRAINED_FOR[1]
    return StainMatch(found, card.stain) if is_pale or is_dark else None
