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


@dataclass(frozen=True, slots=True)
class SoftCounts:
    """Sums over probabilities from which soft Dice and loss follow; they add up over images.

    Parameters
    ----------
    overlap : float
        Sum of p over the pixels of the reference.
    total : float
        Sum of p over all pixels, and number of pixels of the reference.
    entropy : float
        Sum of the binary cross-entropy, in nats.
    pixels : int
        Number of pixels.
    """

    overlap: float = 0.0
    total: float = 0.0
    entropy: float = 0.0
    pixels: int = 0

    def __add__(self, other: "SoftCounts") -> "SoftCounts":
        """Pool the pixels of two images."""
        return SoftCounts(
            self.overlap + other.overlap,
            self.total + other.total,
            self.entropy + other.entropy,
            self.pixels + other.pixels,
        )

    def dice(self, smooth: float = 1.0) -> float:
        """Give Dice on probabilities that are not thresholded.

        (2 sum(p r) + smooth) / (sum(p) + sum(r) + smooth), as in the baseline's notebooks with smooth = 1, which is
        added above and below so that empty against empty is 1.
        """
        below = self.total + smooth
        return (2 * self.overlap + smooth) / below if below else 1.0

    @property
    def cross_entropy(self) -> float:
        """Mean binary cross-entropy in nats a pixel; NaN where there is no pixel."""
        return self.entropy / self.pixels if self.pixels else math.nan


def count_soft(reference: NDArray[np.bool_], probability: NDArray[np.floating]) -> SoftCounts:
    """Sum up probabilities against a mask, for soft Dice and for the loss.

    Parameters
    ----------
    reference : ndarray, bool
    probability : ndarray of the same shape
        Within 0..1; kept within `PROBABILITY_EPSILON` of 0 and 1 for the loss.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if reference.shape != probability.shape:
        message = f"a reference of shape {reference.shape} and a probability of shape {probability.shape}"
        raise ValueError(message)
    overlap = float(probability[reference].sum(dtype=np.float64))
    total = float(probability.sum(dtype=np.float64)) + float(np.count_nonzero(reference))
    likelihood = np.where(reference, probability, 1 - probability).astype(np.float64)
    entropy = -np.log(likelihood.clip(PROBABILITY_EPSILON, 1 - PROBABILITY_EPSILON)).sum()
    return SoftCounts(overlap, total, float(entropy), reference.size)
