"""Stain adaptation: a slide's stain is measured once and matched to that of the training images."""

from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.scaled_source import Source
from monuseg_cli.imaging.stains import STAIN_NAMES, StainLevels, StainMatch, find_levels, select_stained
from monuseg_cli.imaging.tiling import spread_windows
from monuseg_cli.models.card import Card

Adapt = Literal["auto", "off"]
"""``"auto"``: match a stain outside the range the model was trained for; ``"off"``: never."""

_TRAINED_FOR = (0.35, 2.5)
"""Range of an image's stains, relative to the training images, in which it is not matched: with wide stain
augmentation in training, a model is better without matching inside this range, and much better with it outside
(docs/results.md)."""

_ERROR_OF_LEVELS = 1.5
"""Factor by which the levels of few pixels may be off."""

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


def look_at_stain(source: Source, card: Card, adapt: Adapt) -> tuple[StainSample, StainMatch | None]:
    """Sample the stain of an image, and build its matching; see `sample_stain` and `match_stain`.

    Windows in a small image overlap, so that its pixels are read many times over. They are read about once if that
    shows that the image is far from being matched, which is so of almost every image.
    """
    area_px = source.shape[0] * source.shape[1] // _EVERY**2
    if area_px < _ENOUGH_PIXELS:
        sample = sample_stain(source, area_px)
        if _is_far_from_matched(sample.levels, card, adapt):
            return sample, None
    sample = sample_stain(source)
    return sample, match_stain(sample.levels, card, adapt)


def sample_stain(source: Source, most_px: int | None = None) -> StainSample:
    """Measure the stain of an image in windows spread evenly over it, until there are enough stained pixels.

    The result does not depend on the region that is predicted on. Only the windows are read.

    Parameters
    ----------
    source : Source
        The whole image at the network's scale.
    most_px : int, optional
        Also stop when so many pixels were read.
    """
    read, stained, count, count_read = [np.empty((0, 3), np.uint8)], [np.empty((0, 2))], 0, 0
    for window in islice(spread_windows(source.shape, _WINDOW_PX), _MOST_WINDOWS):
        read.append(source.read(*window)[::_EVERY, ::_EVERY].reshape(-1, 3))
        stained.append(select_stained(read[-1]))
        count += len(stained[-1])
        count_read += len(read[-1])
        if count >= _ENOUGH_PIXELS or (most_px is not None and count_read >= most_px):
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
    return StainMatch(found, card.stain) if _is_outside(found, card.stain, 1.0) else None


def _is_far_from_matched(found: StainLevels, card: Card, adapt: Adapt) -> bool:
    """Return whether an image would not be matched even if its levels were estimated with a large error."""
    if adapt == "off" or not card.stain:
        return True
    return bool(found) and not _is_outside(found, card.stain, _ERROR_OF_LEVELS)


def _is_outside(found: StainLevels, trained: StainLevels, error: float) -> bool:
    """Return whether both stains are below or above the range that the model was trained for, up to a factor.

    If only one stain is far off, it is the tissue: eosin alone is tissue without nuclei, not a pale slide.
    """
    factors = [found[stain][1] / trained[stain][1] for stain in STAIN_NAMES]
    return max(factors) < _TRAINED_FOR[0] * error or min(factors) > _TRAINED_FOR[1] / error
