"""Classes of the nuclei of a slide, once all of them are known."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from monuseg_cli.classes.classes_file import NucleusClassifier
from monuseg_cli.classes.features import feature_blocks, measurements_used
from monuseg_cli.nuclei.columns import CLASS_PROBABILITY
from monuseg_cli.nuclei.detections import Detections, rounded


class ClassAssigner:
    """Takes the measurements of all nuclei of a slide, and then adds their classes.

    Parameters
    ----------
    classifier : NucleusClassifier
        Finds the classes.
    um_per_px : float
        Micrometres per pixel of level 0.
    """

    def __init__(self, classifier: NucleusClassifier, um_per_px: float) -> None:
        self._classifier, self._um_per_px = classifier, um_per_px
        self._groups = classifier.card.measurements
        names = ("row_px", "col_px", *measurements_used(self._groups))
        self._columns = {name: [np.empty(0)] for name in names}
        self.counts = dict.fromkeys(classifier.card.names, 0)

    def add(self, found: Detections) -> None:
        """Take the measurements of further nuclei."""
        for name, parts in self._columns.items():
            parts.append(found.columns[name])

    def attach(self, parts: Iterable[Detections]) -> Iterator[Detections]:
        """Yield the nuclei that were added, in the same order, with their classes; then `counts` is complete."""
        columns = {name: np.concatenate(values) for name, values in self._columns.items()}
        names: list[str] = []
        probabilities = np.empty(len(columns["row_px"]))
        for features in feature_blocks(columns, self._um_per_px, self._groups):
            of_block, probabilities[len(names) : len(names) + len(features)] = self._classifier.classify(features)
            names += of_block
        self.counts |= Counter(names)
        begin = 0
        for found in parts:
            own = slice(begin, begin + len(found))
            known = {**found.columns, CLASS_PROBABILITY: probabilities[own]}
            yield replace(found, columns=rounded(known), classes=names[own])
            begin += len(found)


def with_classes(parts: Sequence[Detections], classifier: NucleusClassifier, um_per_px: float) -> list[Detections]:
    """Return all nuclei of a slide with their classes."""
    assigner = ClassAssigner(classifier, um_per_px)
    for found in parts:
        assigner.add(found)
    return list(assigner.attach(parts))
