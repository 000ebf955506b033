"""Scores of nuclei written straight from the papers' formulas, mask by mask: slow, and independent of ours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Labels = NDArray[np.int32]


def masks(labels: Labels) -> list[NDArray[np.bool_]]:
    return [labels == label for label in np.unique(labels) if label]


def iou_table(reference: Labels, prediction: Labels) -> NDArray[np.float64]:
    truth, found = masks(reference), masks(prediction)
    table = np.zeros((len(truth), len(found)))
    for i, one in enumerate(truth):
        for j, other in enumerate(found):
            table[i, j] = (one & other).sum() / (one | other).sum()
    return table


@dataclass(frozen=True)
class SlowScores:
    aji: float
    aji_plus: float
    pq: float
    dq: float
    ap: float


def score(reference: Labels, prediction: Labels) -> SlowScores:
    truth, found = masks(reference), masks(prediction)
    table = iou_table(reference, prediction)
    matched = table[table > 0.5]
    half = len(truth) + len(found)
    precision = [
        (table > threshold).sum() / (half - (table > threshold).sum()) if half else 1.0
        for threshold in np.arange(50, 95, 5) / 100
    ]
    return SlowScores(
        aji=aji(reference, prediction, table),
        aji_plus=aji_plus(reference, prediction, table),
        pq=matched.sum() / (half / 2) if half else 1.0,
        dq=2 * len(matched) / half if half else 1.0,
        ap=float(np.mean(precision)),
    )


def aji(reference: Labels, prediction: Labels, table: NDArray[np.float64]) -> float:
    """Kumar et al. 2017, algorithm 1, as it is written there."""
    truth, found = masks(reference), masks(prediction)
    used: set[int] = set()
    above = below = 0
    for i, nucleus in enumerate(truth):
        if not len(found) or not table[i].any():
            below += int(nucleus.sum())
            continue
        best = int(np.argmax(table[i]))
        above += int((nucleus & found[best]).sum())
        below += int((nucleus | found[best]).sum())
        used.add(best)
    below += sum(int(mask.sum()) for j, mask in enumerate(found) if j not in used)
    return above / below if below else 1.0


def aji_plus(reference: Labels, prediction: Labels, table: NDArray[np.float64]) -> float:
    """Graham et al. 2019: the same over the one-to-one pairs of highest total IoU."""
    truth, found = masks(reference), masks(prediction)
    pairs = [(i, j) for i, j in zip(*linear_sum_assignment(table, maximize=True), strict=True) if table[i, j]]
    above = sum(int((truth[i] & found[j]).sum()) for i, j in pairs)
    below = sum(int((truth[i] | found[j]).sum()) for i, j in pairs)
    below += sum(int(mask.sum()) for i, mask in enumerate(truth) if i not in {i for i, _ in pairs})
    below += sum(int(mask.sum()) for j, mask in enumerate(found) if j not in {j for _, j in pairs})
    return above / below if below else 1.0


def random_pair(random: np.random.Generator) -> tuple[Labels, Labels]:
    """Draw two label images of discs that touch, with gaps between ids; now and then an empty one."""
    size = int(random.integers(20, 70))
    rows, cols = np.indices((size, size))
    images = []
    discs = [(*random.uniform(0, size, 2), random.uniform(2, 9)) for _ in range(random.integers(1, 30))]
    for _ in range(2):
        labels = np.zeros((size, size), dtype=np.int32)
        ids = random.permutation(1000)[: len(discs)] + 1
        for number, (row, col, radius) in zip(ids, discs, strict=True):
            if random.random() < 0.2:
                continue
            row, col, radius = np.array([row, col, radius]) + random.normal(0, 1, 3)
            labels[(rows - row) ** 2 + (cols - col) ** 2 < max(radius, 1) ** 2] = number
        images.append(labels if random.random() > 0.05 else np.zeros_like(labels))
    return images[0], images[1]
