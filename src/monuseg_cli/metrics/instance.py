"""Instance scores of nuclei, all computed from one table of overlaps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_COUNTERS = 4  # per pixel
_BLOCK = 1 << 17  # pixels


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Which true nuclei overlap which predicted ones, and by how many pixels.

    Nuclei are numbered from 0 in ascending order of label; gaps between labels do not matter.

    Parameters
    ----------
    reference_areas, prediction_areas : ndarray of shape (R,) and (P,), int64
        Area of each nucleus in pixels.
    reference, prediction : ndarray of shape (K,), intp
        Nuclei of each pair that shares at least one pixel.
    intersections : ndarray of shape (K,), int64
        Number of pixels that each pair shares.
    """

    reference_areas: NDArray[np.int64]
    prediction_areas: NDArray[np.int64]
    reference: NDArray[np.intp]
    prediction: NDArray[np.intp]
    intersections: NDArray[np.int64]

    @property
    def unions(self) -> NDArray[np.int64]:
        """Number of pixels covered by either nucleus of each pair, (K,)."""
        areas = self.reference_areas[self.reference] + self.prediction_areas[self.prediction]
        return areas - self.intersections

    @property
    def ious(self) -> NDArray[np.float64]:
        """Intersection over union (Jaccard index) of each pair, (K,)."""
        return self.intersections / self.unions


def find_overlaps(reference: NDArray[np.integer], prediction: NDArray[np.integer]) -> Overlaps:
    """Count the pixels that every true nucleus shares with every predicted one, in time linear in the pixels.

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
    # Along a row most pixels equal the one before, so runs of equal pairs are counted, not pixels.
    starts, lengths = _runs(reference, prediction)
    reference_index, reference_areas = _number(reference.reshape(-1)[starts], lengths)
    prediction_index, prediction_areas = _number(prediction.reshape(-1)[starts], lengths)
    both = (reference_index > 0) & (prediction_index > 0)
    shape = (len(reference_areas), len(prediction_areas))
    coords = (reference_index[both] - 1, prediction_index[both] - 1)
    table = coo_array((lengths[both], coords), shape=shape).tocsr().tocoo()  # CSR sums up equal pairs
    reference_pair, prediction_pair = (axis.astype(np.intp) for axis in (table.row, table.col))
    return Overlaps(reference_areas, prediction_areas, reference_pair, prediction_pair, table.data.astype(np.int64))


def number_labels(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Renumber labels to 1..N in ascending order, keeping 0, and count the pixels of each.

    Parameters
    ----------
    labels : ndarray of shape (H, W), integer

    Returns
    -------
    number : ndarray of shape (H, W), int64
    areas : ndarray of shape (N,), int64

    Raises
    ------
    ValueError
        If a label is negative.
    """
    starts, lengths = _runs(labels)
    index, areas = _number(labels.reshape(-1)[starts], lengths)
    return np.repeat(index, lengths).reshape(labels.shape), areas


def _runs(*images: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images of one shape into runs of pixels, in row-major order, in which no image changes.

    Returns the start and the length of each run.
    """
    size = images[0].size
    flat = [image.reshape(-1) for image in images]
    found = []
    for first in range(1, size, _BLOCK):  # a block fits the processor's cache
        block = slice(first, first + _BLOCK)
        before = slice(first - 1, min(first + _BLOCK, size) - 1)
        changes = flat[0][block] != flat[0][before]
        for labels in flat[1:]:
            changes |= labels[block] != labels[before]
        found.append(np.flatnonzero(changes) + first)
    starts = np.concatenate([np.zeros(min(size, 1), dtype=np.int64), *found])
    return starts, np.diff(starts, append=size)


def _number(labels: NDArray[np.integer], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Renumber the labels of runs to 1..N in ascending order, keeping 0, and sum up the lengths of each."""
    if labels.size and labels.min() < 0:
        message = "a label image has negative labels"
        raise ValueError(message)
    # Counting is faster than sorting as long as there are not many more counters than pixels.
    if int(labels.max(initial=0)) <= _COUNTERS * lengths.sum():
        areas = np.bincount(labels, weights=lengths, minlength=1).astype(np.int64)
        areas[0] = 0
        return np.cumsum(areas > 0)[labels] * (labels > 0), areas[areas > 0]
    distinct, index = np.unique(np.append(labels, labels.dtype.type(0)), return_inverse=True)
    areas = np.bincount(index[:-1], weights=lengths, minlength=len(distinct)).astype(np.int64)
    return index[:-1].astype(np.int64), areas[1:]


@dataclass(frozen=True, slots=True)
class JaccardSums:
    """Sums of intersections and unions over pairs of nuclei; additive over images.

    Parameters
    ----------
    intersection, union : int
        Pixels.
    """

    intersection: int = 0
    union: int = 0

    def __add__(self, other: "JaccardSums") -> "JaccardSums":
        """Pool the pairs of two images."""
        return JaccardSums(self.intersection + other.intersection, self.union + other.union)

    @property
    def index(self) -> float:
        """Intersections over unions; 1 if both sides are empty, 0 if one is."""
        return self.intersection / self.union if self.union else 1.0


def aji(overlaps: Overlaps) -> JaccardSums:
    """Compute the sums of the official Aggregated Jaccard Index.

    Kumar et al., IEEE TMI 36(7), 2017, algorithm 1. Every true nucleus is paired with the predicted one of highest
    Jaccard index; ties go to the lowest label. Intersections and unions of these pairs are summed. A true nucleus
    without an overlap adds its area to the union, and so does every predicted nucleus in no pair. A predicted nucleus
    may be in several pairs.
    """
    order = np.lexsort((overlaps.prediction, -overlaps.ious, overlaps.reference))
    _, first = np.unique(overlaps.reference[order], return_index=True)
    return _sum_pairs(overlaps, order[first])


def aji_plus(overlaps: Overlaps) -> JaccardSums:
    """Compute the sums of AJI+, the Aggregated Jaccard Index of a one-to-one matching.

    Graham et al., "HoVer-Net", Medical Image Analysis 58, 2019. The matching maximises the sum of the pairs' Jaccard
    indices. The rest is as in `aji`: unpaired nuclei of both sides add their area to the union.
    """
    return _sum_pairs(overlaps, _best_assignment(overlaps))


def _sum_pairs(overlaps: Overlaps, pairs: NDArray[np.intp]) -> JaccardSums:
    """Sum up the chosen pairs, and add the areas of all unpaired nuclei to the union."""
    intersection = overlaps.intersections[pairs].sum()
    union = overlaps.unions[pairs].sum()
    for areas, chosen in (
        (overlaps.reference_areas, overlaps.reference[pairs]),
        (overlaps.prediction_areas, overlaps.prediction[pairs]),
    ):
        union += areas.sum() - areas[np.unique(chosen)].sum()
    return JaccardSums(int(intersection), int(union))


def _best_assignment(overlaps: Overlaps) -> NDArray[np.intp]:
    """Choose pairs, each nucleus in at most one, that maximise the sum of Jaccard indices.

    Nuclei compete only within a connected component of the overlap graph, so each component is solved separately.
    """
    pairs = len(overlaps.ious)
    if not pairs:
        return np.zeros(0, dtype=np.intp)
    references, predictions = len(overlaps.reference_areas), len(overlaps.prediction_areas)
    graph = coo_array(
        (np.ones(pairs, dtype=bool), (overlaps.reference, references + overlaps.prediction)),
        shape=(references + predictions,) * 2,
    )
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[overlaps.reference], kind="stable")
    _, first = np.unique(group[overlaps.reference][order], return_index=True)
    chosen = []
    for members in np.split(order, first[1:]):
        if len(members) == 1:
            chosen.append(members)
            continue
        rows, row = np.unique(overlaps.reference[members], return_inverse=True)
        cols, col = np.unique(overlaps.prediction[members], return_inverse=True)
        gain = np.zeros((len(rows), len(cols)))
        gain[row, col] = overlaps.ious[members]
        index = np.full(gain.shape, -1, dtype=np.intp)
        index[row, col] = members
        pair = index[linear_sum_assignment(gain, maximize=True)]
        chosen.append(pair[pair >= 0])
    return np.concatenate(chosen)


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """Panoptic quality, PQ = DQ x SQ; additive over images.

    Parameters
    ----------
    tp, fp, fn : int
        Number of matched pairs, of unmatched predicted nuclei, and of unmatched true nuclei.
    iou_sum : float
        Sum of the matched pairs' IoU.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou_sum: float = 0.0

    def __add__(self, other: "PanopticQuality") -> "PanopticQuality":
        """Pool the nuclei of two images."""
        return PanopticQuality(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou_sum + other.iou_sum)

    @property
    def dq(self) -> float:
        """Detection quality, the F1 of detection; 1 if both sides are empty."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 1.0

    @property
    def sq(self) -> float:
        """Segmentation quality, the mean IoU of matched pairs; 1 if both sides are empty, 0 without a match."""
        if self.tp:
            return self.iou_sum / self.tp
        return float(self.fp + self.fn == 0)

    @property
    def pq(self) -> float:
        """Panoptic quality."""
        return self.dq * self.sq


def panoptic_quality(overlaps: Overlaps) -> PanopticQuality:
    """Match nuclei at IoU > 0.5, where a match is unique, and count the matches.

    Kirillov et al., "Panoptic Segmentation", CVPR 2019. A pair with an IoU of exactly 0.5 is not a match.
    """
    matches = 2 * overlaps.intersections > overlaps.unions
    tp = int(matches.sum())
    return PanopticQuality(
        tp=tp,
        fp=len(overlaps.prediction_areas) - tp,
        fn=len(overlaps.reference_areas) - tp,
        iou_sum=float(overlaps.ious[matches].sum()),
    )


AP_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
"""Thresholds of average precision; the IoU of a match must exceed them."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Numbers of matches at each of `AP_THRESHOLDS`; additive over images.

    Parameters
    ----------
    references, predictions : int
        Number of nuclei on each side.
    matches : tuple of int
        Number of pairs whose IoU exceeds each threshold.
    """

    references: int = 0
    predictions: int = 0
    matches: tuple[int, ...] = (0,) * len(AP_THRESHOLDS)

    def __add__(self, other: "Detections") -> "Detections":
        """Pool the nuclei of two images."""
        matches = tuple(one + another for one, another in zip(self.matches, other.matches, strict=True))
        return Detections(self.references + other.references, self.predictions + other.predictions, matches)

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN), averaged over the thresholds; 1 if both sides are empty.

        The metric of the Data Science Bowl 2018 (Caicedo et al., Nature Methods 16, 2019), which used 0.5 to 0.95.
        """
        both = self.references + self.predictions
        if not both:
            return 1.0
        return sum(matches / (both - matches) for matches in self.matches) / len(self.matches)


def detections(overlaps: Overlaps) -> Detections:
    """Match nuclei at every threshold of `AP_THRESHOLDS`; above 0.5, each nucleus has at most one match."""
    matches = tuple(int((overlaps.ious > threshold).sum()) for threshold in AP_THRESHOLDS)
    return Detections(len(overlaps.reference_areas), len(overlaps.prediction_areas), matches)
