"""Types of error per nucleus: missed, merged, split, or false positive."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.metrics.instance import Overlaps

ReferenceKind = Literal["found", "missed", "merged", "split"]
PredictionKind = Literal["found", "false", "merge", "part"]


@dataclass(frozen=True, slots=True)
class Faults:
    """The kind of every nucleus, in the order of `Overlaps`.

    Parameters
    ----------
    reference : tuple of {"found", "missed", "merged", "split"}
        Per true nucleus. ``"found"``: matched at IoU > 0.5. ``"merged"``: inside a prediction that also covers another
        nucleus. ``"split"``: covered by several predictions. ``"missed"``: none of these. The first that applies.
    prediction : tuple of {"found", "false", "merge", "part"}
        Per predicted nucleus. ``"found"``: matched. ``"merge"``: covers several true nuclei. ``"part"``: one of several
        parts of a true nucleus. ``"false"``: none of these. The first that applies.
    reference_ious, prediction_ious : ndarray of shape (R,) and (P,), float64
        Highest IoU with any nucleus of the other side; 0 without an overlap.
    """

    reference: tuple[ReferenceKind, ...]
    prediction: tuple[PredictionKind, ...]
    reference_ious: NDArray[np.float64]
    prediction_ious: NDArray[np.float64]


def find_faults(overlaps: Overlaps) -> Faults:
    """Classify every nucleus; one is inside another if more than half of its pixels are."""
    references, predictions = len(overlaps.reference_areas), len(overlaps.prediction_areas)
    matched = 2 * overlaps.intersections > overlaps.unions
    found, taken = np.zeros(references, dtype=bool), np.zeros(predictions, dtype=bool)
    found[overlaps.reference[matched]] = True
    taken[overlaps.prediction[matched]] = True

    # Each nucleus lies with more than half of its pixels in at most one nucleus of the other side.
    swallowed = 2 * overlaps.intersections > overlaps.reference_areas[overlaps.reference]
    held = np.bincount(overlaps.prediction[swallowed], minlength=predictions)
    merged = np.zeros(references, dtype=bool)
    merged[overlaps.reference[swallowed]] = ((held >= 2) | taken)[overlaps.prediction[swallowed]]

    within = 2 * overlaps.intersections > overlaps.prediction_areas[overlaps.prediction]
    pieces = np.bincount(overlaps.reference[within], minlength=references)
    part = np.zeros(predictions, dtype=bool)
    part[overlaps.prediction[within]] = ((pieces >= 2) | found)[overlaps.reference[within]]

    reference = np.select([found, merged, pieces >= 2], ["found", "merged", "split"], "missed")
    prediction = np.select([taken, held >= 2, part], ["found", "merge", "part"], "false")
    reference_ious, prediction_ious = np.zeros(references), np.zeros(predictions)
    np.maximum.at(reference_ious, overlaps.reference, overlaps.ious)
    np.maximum.at(prediction_ious, overlaps.prediction, overlaps.ious)
    return Faults(tuple(reference.tolist()), tuple(prediction.tolist()), reference_ious, prediction_ious)
