"""The scores of one image, and how they are brought together."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.metrics.instance import aji, find_overlaps, panoptic_quality
from monuseg_cli.metrics.pixel import count_pixels, cross_entropy, soft_dice


@dataclass(frozen=True, slots=True)
class Scores:
    """Every score of a prediction against its reference; also of a mean of several.

    Parameters
    ----------
    loss : float
        Mean binary cross-entropy of the probabilities.
    accuracy : float
        Share of pixels that are right.
    soft_dice : float
        Dice of the probabilities, smooth 1.
    f1, iou, precision, recall : float
        Of the mask, pixel by pixel; F1 is the hard Dice.
    aji : float
        Aggregated Jaccard Index, the official one of Kumar et al. 2017.
    pq, dq, sq : float
        Panoptic quality and its factors, detection and segmentation quality; match at IoU > 0.5.
    """

    loss: float
    accuracy: float
    soft_dice: float
    f1: float
    iou: float
    precision: float
    recall: float
    aji: float
    pq: float
    dq: float
    sq: float


@dataclass(frozen=True, slots=True)
class ImageScores:
    """The scores of one case.

    Parameters
    ----------
    case_id, organ : str
        Which case.
    trained_on : bool
        Whether the model was trained on it, so that its scores say nothing about new images.
    scores : Scores
        Its scores.
    """

    case_id: str
    organ: str
    trained_on: bool
    scores: Scores


def score_image(reference: NDArray[np.int32], probability: NDArray[np.float32], labels: NDArray[np.int32]) -> Scores:
    """Score one image.

    Parameters
    ----------
    reference : ndarray of shape (H, W), int32
        True label image.
    probability : ndarray of shape (H, W), float32
        Predicted probabilities, for loss and soft Dice.
    labels : ndarray of shape (H, W), int32
        Predicted label image; the mask that the hard scores are of is where a label is.
    """
    truth = reference > 0
    counts = count_pixels(truth, labels > 0)
    overlaps = find_overlaps(reference, labels)
    quality = panoptic_quality(overlaps)
    return Scores(
        loss=cross_entropy(truth, probability),
        accuracy=counts.accuracy,
        soft_dice=soft_dice(truth, probability),
        f1=counts.f1,
        iou=counts.iou,
        precision=counts.precision,
        recall=counts.recall,
        aji=aji(overlaps),
        pq=quality.pq,
        dq=quality.dq,
        sq=quality.sq,
    )


def mean_scores(images: Iterable[ImageScores]) -> Scores:
    """Average every score over images, each image counting the same.

    Raises
    ------
    ValueError
        If there is no image.
    """
    all_scores = [image.scores for image in images]
    return Scores(*(fmean(getattr(scores, name) for scores in all_scores) for name in Scores.__slots__))


def scores_per_organ(images: Iterable[ImageScores]) -> dict[str, tuple[int, Scores]]:
    """Average every score over the images of each organ; gives the number of images, too."""
    of_organ: dict[str, list[ImageScores]] = {}
    for image in images:
        of_organ.setdefault(image.organ, []).append(image)
    return {organ: (len(of_organ[organ]), mean_scores(of_organ[organ])) for organ in sorted(of_organ)}
