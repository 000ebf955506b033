"""Pixel scores: counts first, pure ratios after."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PROBABILITY_EPSILON = 1e-7
"""Probabilities are kept this far from 0 and 1 where their logarithm is taken, as Keras does."""


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Counts of pixels from which every hard score follows; they add up over images.

    Parameters
    ----------
    tp, fp, fn, tn : int
        True and false positives, false and true negatives.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        """Pool the pixels of two images."""
        return PixelCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def accuracy(self) -> float:
        """Share of pixels that are right; 1 where there are none."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn, 1.0)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); where nothing was predicted 1 if nothing was there, else 0."""
        return _ratio(self.tp, self.tp + self.fp, float(self.fn == 0))

    @property
    def recall(self) -> float:
        """TP / (TP + FN); where nothing was there 1 if nothing was predicted, else 0."""
        return _ratio(self.tp, self.tp + self.fn, float(self.fp == 0))

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), which is the hard Dice; 1 where both sides are empty."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, 1.0)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), the Jaccard index; 1 where both sides are empty."""
        return _ratio(self.tp, self.tp + self.fp + self.fn, 1.0)


def _ratio(above: float, below: float, otherwise: float) -> float:
    return above / below if below else otherwise


def count_pixels(reference: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> PixelCounts:
    """Count agreeing and disagreeing pixels of two masks.

    Parameters
    ----------
    reference, prediction : ndarray of the same shape, bool

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if reference.shape != prediction.shape:
        message = f"a reference of shape {reference.shape} and a prediction of shape {prediction.shape}"
        raise ValueError(message)
    tp = int(np.count_nonzero(reference & prediction))
    positive, predicted = int(np.count_nonzero(reference)), int(np.count_nonzero(prediction))
    return PixelCounts(tp, predicted - tp, positive - tp, reference.size - positive - predicted + tp)


def soft_dice(reference: NDArray[np.bool_], probability: NDArray[np.floating], smooth: float = 1.0) -> float:
    """Compute Dice on probabilities that are not thresholded.

    (2 sum(p r) + smooth) / (sum(p) + sum(r) + smooth), as in the baseline's notebooks with smooth = 1.

    Parameters
    ----------
    reference : ndarray, bool
    probability : ndarray of the same shape
        Within 0..1.
    smooth : float
        Added above and below, so that empty against empty is 1.
    """
    overlap = float(probability[reference].sum(dtype=np.float64))
    total = float(probability.sum(dtype=np.float64)) + float(np.count_nonzero(reference))
    return (2 * overlap + smooth) / (total + smooth) if total + smooth else 1.0


def cross_entropy(reference: NDArray[np.bool_], probability: NDArray[np.floating]) -> float:
    """Compute the mean binary cross-entropy, in nats a pixel, of probabilities kept within `PROBABILITY_EPSILON`.

    Parameters
    ----------
    reference : ndarray, bool
    probability : ndarray of the same shape
        Within 0..1.

    Returns
    -------
    float
        NaN for arrays without a pixel.
    """
    if not reference.size:
        return math.nan
    likelihood = np.where(reference, probability, 1 - probability).astype(np.float64)
    return float(-np.log(likelihood.clip(PROBABILITY_EPSILON, 1 - PROBABILITY_EPSILON)).mean())
