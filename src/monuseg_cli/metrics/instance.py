"""Scores of nuclei as objects, all read from one table of overlaps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Which true nuclei overlap which predicted ones, and by how much.

    Nuclei are numbered from 0 in ascending order of their label, whatever gaps the labels have.

    Parameters
    ----------
    reference_areas, prediction_areas : ndarray of shape (R,) and (P,), int64
        Pixels of each nucleus.
    reference, prediction : ndarray of shape (K,), intp
        The pairs that share at least one pixel.
    intersections : ndarray of shape (K,), int64
        Pixels shared by each pair.
    """

    reference_areas: NDArray[np.int64]
    prediction_areas: NDArray[np.int64]
    reference: NDArray[np.intp]
    prediction: NDArray[np.intp]
    intersections: NDArray[np.int64]

    @property
    def unions(self) -> NDArray[np.int64]:
        """Pixels covered by either nucleus of each pair, (K,)."""
        areas = self.reference_areas[self.reference] + self.prediction_areas[self.prediction]
        return areas - self.intersections

    @property
    def ious(self) -> NDArray[np.float64]:
        """Intersection over union (Jaccard index) of each pair, (K,)."""
        return self.intersections / self.unions


def find_overlaps(reference: NDArray[np.integer], prediction: NDArray[np.integer]) -> Overlaps:
    """Count the pixels that every true nucleus shares with every predicted one, in time linear in pixels.

    Parameters
    ----------
    reference, prediction : ndarray of shape (H, W), integer
        Label images, 0 background; labels may have gaps.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if reference.shape != prediction.shape:
        message = f"a reference of shape {reference.shape} and a prediction of shape {prediction.shape}"
        raise ValueError(message)
    reference_index, reference_areas = _number(reference)
    prediction_index, prediction_areas = _number(prediction)
    both = (reference_index > 0) & (prediction_index > 0)
    width = len(prediction_areas)
    pairs = (reference_index[both] - 1) * width + prediction_index[both] - 1
    distinct, counts = np.unique(pairs, return_counts=True)
    return Overlaps(reference_areas, prediction_areas, distinct // max(width, 1), distinct % max(width, 1), counts)


def _number(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Renumber labels to 1..N, ascending, 0 staying 0; and count the pixels of each."""
    if labels.size and labels.min() < 0:
        message = "a label image has negative labels"
        raise ValueError(message)
    flat = labels.reshape(-1)
    # Counting is faster than sorting, as long as the counters fit beside the image.
    if not flat.size or int(flat.max()) > 4 * flat.size:
        distinct, index = np.unique(np.append(flat, 0), return_inverse=True)
        index = index[:-1].astype(np.int64)
        return index, np.bincount(index, minlength=len(distinct))[1:]
    areas = np.bincount(flat)
    areas[0] = 0
    number = np.cumsum(areas > 0)
    number[0] = 0
    return number[flat], areas[areas > 0]


def aji(overlaps: Overlaps) -> float:
    """Compute the official Aggregated Jaccard Index.

    Kumar et al., IEEE TMI 36(7), 2017, algorithm 1: every true nucleus takes the predicted one of highest Jaccard
    index (of equal ones the one of lowest label); intersections and unions of these pairs are summed; a true nucleus
    that meets none adds its area to the union, and so does every predicted nucleus that none took. A predicted
    nucleus may be taken more than once.

    Returns
    -------
    float
        1 where both sides are empty, 0 where one is.
    """
    order = np.lexsort((overlaps.prediction, -overlaps.ious, overlaps.reference))
    matched, first = np.unique(overlaps.reference[order], return_index=True)
    best = order[first]
    taken = np.unique(overlaps.prediction[best])
    unmatched = overlaps.reference_areas.sum() - overlaps.reference_areas[matched].sum()
    untaken = overlaps.prediction_areas.sum() - overlaps.prediction_areas[taken].sum()
    union = overlaps.unions[best].sum() + unmatched + untaken
    return float(overlaps.intersections[best].sum() / union) if union else 1.0


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """PQ = DQ x SQ.

    Parameters
    ----------
    tp, fp, fn : int
        Matched pairs, predicted nuclei without a match, true nuclei without one.
    iou_sum : float
        Sum of the matched pairs' IoU.
    """

    tp: int
    fp: int
    fn: int
    iou_sum: float

    @property
    def dq(self) -> float:
        """Detection quality, the F1 of matching; 1 where both sides are empty."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 1.0

    @property
    def sq(self) -> float:
        """Segmentation quality, the mean IoU of matched pairs; 1 where both sides are empty, 0 without a match."""
        if self.tp:
            return self.iou_sum / self.tp
        return float(self.fp + self.fn == 0)

    @property
    def pq(self) -> float:
        """Panoptic quality."""
        return self.dq * self.sq


def panoptic_quality(overlaps: Overlaps) -> PanopticQuality:
    """Match nuclei at IoU > 0.5, where a match is unique, and count.

    Kirillov et al., "Panoptic Segmentation", CVPR 2019. A pair of IoU exactly 0.5 is no match.
    """
    matches = 2 * overlaps.intersections > overlaps.unions
    tp = int(matches.sum())
    return PanopticQuality(
        tp=tp,
        fp=len(overlaps.prediction_areas) - tp,
        fn=len(overlaps.reference_areas) - tp,
        iou_sum=float(overlaps.ious[matches].sum()),
    )
