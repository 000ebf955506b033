"""What became of the nuclei and pixels of one system, over all images."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.metrics.error_types import Faults
from monuseg_cli.metrics.instance import Overlaps

Side = Literal["truth", "prediction"]

# Colour-blind safe colours by Okabe and Ito and by Tol.
KINDS: Mapping[Side, Mapping[str, tuple[str, str]]] = {
    "truth": {
        "found": ("#0072b2", "true nucleus, found"),
        "missed": ("#d55e00", "true nucleus, not matched"),
        "merged": ("#cc79a7", "true nucleus, merged with another"),
        "split": ("#e69f00", "true nucleus, split"),
    },
    "prediction": {
        "found": ("#56b4e9", "predicted, right"),
        "false": ("#f0e442", "predicted, not matched"),
        "merge": ("#882255", "predicted over several nuclei"),
        "part": ("#44aa99", "predicted part of a nucleus"),
    },
}
"""Colour and description of each kind of nucleus; see `Faults`."""

BINS = 100


class SystemErrors:
    """Collects the errors of a system, image by image.

    Attributes
    ----------
    kinds : dict of {"truth", "prediction"} to Counter
        Number of nuclei of each kind.
    histogram : ndarray of shape (2, BINS), int64
        Number of background and of nuclear pixels, by probability, in bins of equal width over 0..1; all 0 without
        probabilities.
    """

    def __init__(self) -> None:
        self.kinds: dict[Side, Counter[str]] = {"truth": Counter(), "prediction": Counter()}
        self.histogram = np.zeros((2, BINS), dtype=np.int64)
        self._areas: list[NDArray[np.int64]] = []
        self._ious: list[NDArray[np.float64]] = []

    def add(
        self,
        overlaps: Overlaps,
        faults: Faults,
        reference: NDArray[np.int32],
        probability: NDArray[np.float32] | None,
    ) -> None:
        """Add an image.

        Parameters
        ----------
        overlaps, faults
            Its nuclei.
        reference : ndarray of shape (H, W), int32
            True label image.
        probability : ndarray of shape (H, W), float32, or None
            Predicted probabilities.
        """
        self.kinds["truth"].update(faults.reference)
        self.kinds["prediction"].update(faults.prediction)
        self._areas.append(overlaps.reference_areas)
        self._ious.append(faults.reference_ious)
        if probability is not None:
            bins = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
            for row, mask in enumerate((reference == 0, reference > 0)):
                self.histogram[row] += np.bincount(bins[mask], minlength=BINS)

    def sizes(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the area in pixels of every true nucleus (N,), and its highest IoU with a predicted nucleus (N,)."""
        return np.concatenate(self._areas), np.concatenate(self._ious)
