"""Scores of nuclei as objects, all read from one table of overlaps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_COUNTERS = 4  # a pixel
_BLOCK = 1 << 17  # pixels


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
    # Along a row most pixels are as the one before: runs of equal pairs are counted, not pixels.
    starts, lengths = _runs(reference, prediction)
    reference_index, reference_areas = _number(reference.reshape(-1)[starts], lengths)
    prediction_index, prediction_areas = _number(prediction.reshape(-1)[starts], lengths)
    both = (reference_index > 0) & (prediction_index > 0)
    shape = (len(reference_areas), len(prediction_areas))
    places = (reference_index[both] - 1, prediction_index[both] - 1)
    table = coo_array((lengths[both], places), shape=shape).tocsr().tocoo()  # through rows, which adds up equal pairs
    reference_pair, prediction_pair = (axis.astype(np.intp) for axis in (table.row, table.col))
    return Overlaps(reference_areas, prediction_areas, reference_pair, prediction_pair, table.data.astype(np.int64))


def number_labels(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Renumber labels to 1..N, ascending, 0 staying 0; and count the pixels of each.

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
    """Cut images of one shape into runs of pixels, row by row, in which none of them changes: starts and lengths."""
    size = images[0].size
    flat = [image.reshape(-1) for image in images]
    found = []
    for first in range(1, size, _BLOCK):  # small enough for the processor's cache
        block = slice(first, first + _BLOCK)
        before = slice(first - 1, min(first + _BLOCK, size) - 1)
        changes = flat[0][block] != flat[0][before]
        for labels in flat[1:]:
            changes |= labels[block] != labels[before]
        found.append(np.flatnonzero(changes) + first)
    starts = np.concatenate([np.zeros(min(size, 1), dtype=np.int64), *found])
    return starts, np.diff(starts, append=size)


def _number(labels: NDArray[np.integer], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Renumber the labels of runs to 1..N, ascending, 0 staying 0; and add up the lengths of each."""
    if labels.size and labels.min() < 0:
        message = "a label image has negative labels"
        raise ValueError(message)
    # Counting is faster than sorting, as long as the counters fit beside the image.
    if int(labels.max(initial=0)) <= _COUNTERS * lengths.sum():
        areas = np.bincount(labels, weights=lengths, minlength=1).astype(np.int64)
        areas[0] = 0
        return np.cumsum(areas > 0)[labels] * (labels > 0), areas[areas > 0]
    distinct, index = np.unique(np.append(labels, labels.dtype.type(0)), return_inverse=True)
    areas = np.bincount(index[:-1], weights=lengths, minlength=len(distinct)).astype(np.int64)
    return index[:-1].astype(np.int64), areas[1:]


@dataclass(frozen=True, slots=True)
class JaccardSums:
    """Sums of intersections and unions over pairs of nuclei; they add up over images.

    Parameters
    ----------
    intersection, union : int
        Pixels.
    """

    intersection: int = 0
    union: int = 0

    def __add__(self, other: "JaccardSums") -> "JaccardSums":
        """Pool two images."""
        return JaccardSums(self.intersection + other.intersection, self.union + other.union)

    @property
    def index(self) -> float:
        """Intersections over unions; 1 where both sides are empty, 0 where one is."""
        return self.intersection / self.union if self.union else 1.0


def aji(overlaps: Overlaps) -> JaccardSums:
    """Sum up the official Aggregated Jaccard Index.

    Kumar et al., IEEE TMI 36(7), 2017, algorithm 1: every true nucleus takes the predicted one of highest Jaccard
    index (of equal ones the one of lowest label); intersections and unions of these pairs are summed; a true nucleus
    that meets none adds its area to the union, and so does every predicted nucleus that none took. A predicted
    nucleus may be taken more than once.
    """
    order = np.lexsort((overlaps.prediction, -overlaps.ious, overlaps.reference))
    _, first = np.unique(overlaps.reference[order], return_index=True)
    return _sum_pairs(overlaps, order[first])


def aji_plus(overlaps: Overlaps) -> JaccardSums:
    """Sum up AJI+, the Aggregated Jaccard Index of a one-to-one matching.

    Graham et al., "HoVer-Net", Medical Image Analysis 58, 2019: nuclei are paired so that the sum of the pairs' Jaccard
    indices is the highest possible; then as `aji`, unpaired nuclei on both sides adding their area to the union.
    """
    return _sum_pairs(overlaps, _best_assignment(overlaps))


def _sum_pairs(overlaps: Overlaps, pairs: NDArray[np.intp]) -> JaccardSums:
    """Add up chosen pairs, and the areas of all nuclei that are in none of them."""
    intersection = overlaps.intersections[pairs].sum()
    union = overlaps.unions[pairs].sum()
    for areas, chosen in (
        (overlaps.reference_areas, overlaps.reference[pairs]),
        (overlaps.prediction_areas, overlaps.prediction[pairs]),
    ):
        union += areas.sum() - areas[np.unique(chosen)].sum()
    return JaccardSums(int(intersection), int(union))


def _best_assignment(overlaps: Overlaps) -> NDArray[np.intp]:
    """Choose pairs, each nucleus in one at most, of highest sum of Jaccard indices.

    Nuclei that touch no common one do not compete: each group that hangs together is solved by itself.
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
        place = np.full(gain.shape, -1, dtype=np.intp)
        place[row, col] = members
        pair = place[linear_sum_assignment(gain, maximize=True)]
        chosen.append(pair[pair >= 0])
    return np.concatenate(chosen)


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

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou_sum: float = 0.0

    def __add__(self, other: "PanopticQuality") -> "PanopticQuality":
        """Pool the nuclei of two images."""
        return PanopticQuality(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou_sum + other.iou_sum)

    @property
    def dq(self) -> float:
        """Detection quality, which is the F1 of detection; 1 where both sides are empty."""
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


AP_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
"""What a match's IoU must exceed, for average precision."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Matches at each of `AP_THRESHOLDS`; they add up over images.

    Parameters
    ----------
    references, predictions : int
        Number of nuclei on each side.
    matches : tuple of int
        Pairs whose IoU exceeds each threshold.
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
        """TP / (TP + FP + FN), averaged over the thresholds; 1 where both sides are empty.

        As the Data Science Bowl 2018 counted (Caicedo et al., Nature Methods 16, 2019), there over 0.5 to 0.95.
        """
        both = self.references + self.predictions
        if not both:
            return 1.0
        return sum(matches / (both - matches) for matches in self.matches) / len(self.matches)


def detections(overlaps: Overlaps) -> Detections:
    """Match nuclei at every threshold of `AP_THRESHOLDS`; above 0.5, each nucleus has one match at most."""
    matches = tuple(int((overlaps.ious > threshold).sum()) for threshold in AP_THRESHOLDS)
    return Detections(len(overlaps.reference_areas), len(overlaps.prediction_areas), matches)
