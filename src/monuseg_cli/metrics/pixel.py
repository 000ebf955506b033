"""Pixel scores, as ratios of counts."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PROBABILITY_EPSILON = 1e-7
"""Probabilities are clipped to this distance from 0 and 1 before their logarithm is taken, as in Keras."""


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Pixel counts from which every hard score is computed; additive over images.

    Parameters
    ----------
    tp, fp, fn, tn : int
        True positives, false positives, false negatives and true negatives.
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
        """Fraction of pixels that are correct; 1 if there are none."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn, 1.0)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); without a prediction, 1 if the reference is empty too, else 0."""
        return _ratio(self.tp, self.tp + self.fp, float(self.fn == 0))

    @property
    def recall(self) -> float:
        """TP / (TP + FN); for an empty reference, 1 if the prediction is empty too, else 0."""
        return _ratio(self.tp, self.tp + self.fn, float(self.fp == 0))

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), the hard Dice; 1 if both sides are empty."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, 1.0)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), the Jaccard index; 1 if both sides are empty."""
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
    """Sums over probabilities from which soft Dice and loss are computed; additive over images.

    Parameters
    ----------
    overlap : float
        Sum of p over the positive pixels of the reference.
    total : float
        Sum of p over all pixels plus the number of positive pixels of the reference.
    entropy : float
        Sum of the binary cross-entropy in nats.
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
        """Return the Dice of the probabilities, without a threshold.

        (2 sum(p r) + smooth) / (sum(p) + sum(r) + smooth), as in the baseline's notebooks with smooth = 1. `smooth` is
        added to numerator and denominator, so that empty against empty is 1.
        """
        below = self.total + smooth
        return (2 * self.overlap + smooth) / below if below else 1.0

    @property
    def cross_entropy(self) -> float:
        """Mean binary cross-entropy in nats per pixel; NaN without pixels."""
        return self.entropy / self.pixels if self.pixels else math.nan


def count_soft(reference: NDArray[np.bool_], probability: NDArray[np.floating]) -> SoftCounts:
    """Compute the sums for soft Dice and loss of probabilities against a mask.

    Parameters
    ----------
    reference : ndarray, bool
    probability : ndarray of the same shape
        Within 0..1; for the loss, clipped to `PROBABILITY_EPSILON` from 0 and 1.

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
