"""Scores computed from counts: per image, pooled over images, and as a mean with its confidence interval."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from monuseg_cli.metrics.instance import (
    Detections,
    JaccardSums,
    PanopticQuality,
    aji,
    aji_plus,
    detections,
    find_overlaps,
    panoptic_quality,
)
from monuseg_cli.metrics.pixel import PixelCounts, SoftCounts, count_pixels, count_soft

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of a prediction against its reference, or their means over several images.

    Parameters
    ----------
    loss : float or None
        Mean binary cross-entropy of the probabilities; None without probabilities.
    accuracy : float
        Fraction of pixels that are correct.
    soft_dice : float or None
        Dice of the probabilities with smooth = 1; None without probabilities.
    f1, iou, precision, recall : float
        Pixel scores of the mask; F1 is the hard Dice.
    aji : float
        Official Aggregated Jaccard Index of Kumar et al. 2017.
    aji_plus : float
        AJI+, with a one-to-one matching.
    pq, dq, sq : float
        Panoptic quality and its factors, with matches at IoU > 0.5. DQ is the F1 of detection.
    ap : float
        Average precision of detection over IoU > 0.5 to > 0.9.
    """

    loss: float | None
    accuracy: float
    soft_dice: float | None
    f1: float
    iou: float
    precision: float
    recall: float
    aji: float
    aji_plus: float
    pq: float
    dq: float
    sq: float
    ap: float

    @classmethod
    def of(cls, value: Callable[[str], float | None]) -> "Scores":
        """Build scores from a function of the score's name; it may return None only for loss and soft Dice."""
        return cls(**{score.name: value(score.name) for score in fields(cls)})  # type: ignore[arg-type] # one value type for all fields; None comes for loss and soft Dice only


SCORE_NAMES: tuple[str, ...] = tuple(score.name for score in fields(Scores))
LOWER_IS_BETTER = ("loss",)


@dataclass(frozen=True, slots=True)
class Counts:
    """All counts of an image, from which every score is computed; additive over images."""

    pixels: PixelCounts = field(default_factory=PixelCounts)
    soft: SoftCounts | None = field(default_factory=SoftCounts)
    aji: JaccardSums = field(default_factory=JaccardSums)
    aji_plus: JaccardSums = field(default_factory=JaccardSums)
    quality: PanopticQuality = field(default_factory=PanopticQuality)
    detections: Detections = field(default_factory=Detections)

    def __add__(self, other: "Counts") -> "Counts":
        """Pool two images."""
        return Counts(
            pixels=self.pixels + other.pixels,
            soft=self.soft + other.soft if self.soft and other.soft else None,
            aji=self.aji + other.aji,
            aji_plus=self.aji_plus + other.aji_plus,
            quality=self.quality + other.quality,
            detections=self.detections + other.detections,
        )

    def scores(self) -> Scores:
        """Compute all scores."""
        return Scores(
            loss=self.soft.cross_entropy if self.soft else None,
            accuracy=self.pixels.accuracy,
            soft_dice=self.soft.dice() if self.soft else None,
            f1=self.pixels.f1,
            iou=self.pixels.iou,
            precision=self.pixels.precision,
            recall=self.pixels.recall,
            aji=self.aji.index,
            aji_plus=self.aji_plus.index,
            pq=self.quality.pq,
            dq=self.quality.dq,
            sq=self.quality.sq,
            ap=self.detections.average_precision,
        )


@dataclass(frozen=True, slots=True)
class ImageScores:
    """The scores of one case.

    Parameters
    ----------
    case_id, organ : str
        Id and organ of the case; the organ is empty if unknown.
    trained_on : bool
        Whether the model was trained on the case; if so, its scores say nothing about new images.
    counts : Counts
        Counts from which the scores are computed.
    scores : Scores
        Scores of the case.
    """

    case_id: str
    organ: str
    trained_on: bool
    counts: Counts
    scores: Scores


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of the scores of several images.

    Parameters
    ----------
    images : int
        Number of images.
    mean : Scores
        Unweighted mean over images.
    low, high : Scores
        Ends of the 95 % confidence interval of the mean, by a bootstrap over cases.
    pooled : Scores
        Scores of the pixels and nuclei of all images pooled.
    """

    images: int
    mean: Scores
    low: Scores
    high: Scores
    pooled: Scores


def count_image(
    reference: NDArray[np.int32], labels: NDArray[np.int32], probability: NDArray[np.float32] | None = None
) -> Counts:
    """Compute the counts of one image.

    Parameters
    ----------
    reference, labels : ndarray of shape (H, W), int32
        True and predicted label image; the hard pixel scores are those of the masks label > 0.
    probability : ndarray of shape (H, W), float32, optional
        Predicted probabilities, for loss and soft Dice.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    truth = reference > 0
    overlaps = find_overlaps(reference, labels)
    return Counts(
        pixels=count_pixels(truth, labels > 0),
        soft=None if probability is None else count_soft(truth, probability),
        aji=aji(overlaps),
        aji_plus=aji_plus(overlaps),
        quality=panoptic_quality(overlaps),
        detections=detections(overlaps),
    )


def summarise(images: Sequence[ImageScores]) -> Summary:
    """Summarise the scores of images.

    Raises
    ------
    ValueError
        If there are no images.
    """
    total = Counts()
    for image in images:
        total = total + image.counts
    ends = {name: bootstrap([getattr(image.scores, name) for image in images]) for name in SCORE_NAMES}
    return Summary(
        images=len(images),
        mean=Scores.of(lambda name: mean([getattr(image.scores, name) for image in images])),
        low=Scores.of(lambda name: ends[name][0]),
        high=Scores.of(lambda name: ends[name][1]),
        pooled=total.scores(),
    )


def summarise_organs(images: Iterable[ImageScores]) -> dict[str, Summary]:
    """Summarise the scores of the images of each organ; images of unknown organ are skipped."""
    of_organ: dict[str, list[ImageScores]] = {}
    for image in images:
        if image.organ:
            of_organ.setdefault(image.organ, []).append(image)
    return {organ: summarise(of_organ[organ]) for organ in sorted(of_organ)}


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of values, or None if one of them is None."""
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def bootstrap(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Compute the 95 % confidence interval of a mean by a bootstrap with 10,000 resamples and a fixed seed.

    The expanded percentile interval of Hesterberg, "What Teachers Should Know About the Bootstrap", The American
    Statistician 69(4), 2015: the percentiles are moved outwards by the ratio of Student's t to the normal distribution,
    since the plain interval is too narrow for few values. (None, None) if a value is None, or with fewer than two
    values.
    """
    known = np.array([value for value in values if value is not None])
    if len(known) < max(len(values), 2):
        return None, None
    chosen = np.random.default_rng(0).integers(len(known), size=(RESAMPLES, len(known)))
    student = stdtrit(len(known) - 1, (1 - CONFIDENCE) / 2)
    tail = ndtr(student * math.sqrt(len(known) / (len(known) - 1)))
    low, high = np.quantile(known[chosen].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)
