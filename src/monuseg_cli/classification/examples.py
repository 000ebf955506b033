"""Nuclei whose class is known, in groups, and whether they are enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.card import MOST_CLASSES, Colour, NucleusClass
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import Progress

FEWEST_NUCLEI, FEW_NUCLEI = 10, 50
FEWEST_REGIONS, FEW_REGIONS = 2, 4
"""Of each class: with fewer nothing is trained, and below the second number a warning is given."""

_COLOURS: Sequence[Colour] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Of classes whose colour is not stated: Okabe and Ito (2008), which stay apart in colour blindness."""


@dataclass(frozen=True, slots=True)
class Examples:
    """N nuclei whose class is known.

    Parameters
    ----------
    features : ndarray of shape (N, F), float64
        Their features; NaN where one is missing.
    classes : ndarray of shape (N,), int64
        Their classes, 0..K-1.
    group : ndarray of shape (N,), int64
        Their groups, 0..G-1.
    names : tuple of str
        Names of the classes.
    """

    features: NDArray[np.float64]
    classes: NDArray[np.int64]
    group: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Nuclei of each group and class (G, K)."""
        counts = np.zeros((int(self.group.max(initial=-1)) + 1, len(self.names)), dtype=np.int64)
        np.add.at(counts, (self.group, self.classes), 1)
        return counts


def build_examples(features: NDArray[np.float64], names: Sequence[str], groups: Sequence[object]) -> Examples:
    """Build examples from the class and the group of each nucleus; classes are in the order of their names."""
    known = tuple(sorted(set(names)))
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    return Examples(
        features,
        np.array([known.index(name) for name in names], dtype=np.int64),
        np.array([places[group] for group in groups], dtype=np.int64),
        known,
    )


def require_enough(examples: Examples, drawn: Mapping[str, int], progress: Progress) -> None:
    """Check that every class has enough nuclei and regions to be learned and to be validated.

    Parameters
    ----------
    examples : Examples
        The nuclei.
    drawn : mapping of str to int
        Number of annotated objects of each class.
    progress : Progress
        Receives a warning for classes with few examples.

    Raises
    ------
    InputError
        If there is one class only, or too many; or a class has no nuclei, or too few nuclei or regions.
    """
    if not 2 <= len(drawn) <= MOST_CLASSES:
        only = f"only one class, {next(iter(drawn))}" if len(drawn) == 1 else f"{len(drawn)} classes"
        message = f"the annotations have {only}; a classifier needs 2 to {MOST_CLASSES}"
        raise InputError(message)
    for name in drawn:
        if name not in examples.names:
            message = f"no nucleus lies in an object of class {name}; draw it around nuclei, on this slide"
            raise InputError(message)
    for place, name in enumerate(examples.names):
        counts = examples.counts[:, place]
        nuclei, regions = int(counts.sum()), int((counts > 0).sum())
        if nuclei < FEWEST_NUCLEI:
            has = "1 nucleus" if nuclei == 1 else f"{nuclei} nuclei"
            raise InputError(describe_too_few(name, f"it has {has}, and needs {FEWEST_NUCLEI}"))
        if regions < FEWEST_REGIONS:
            raise InputError(
                describe_too_few(
                    name, f"its nuclei are in 1 region, and cross-validation over regions needs {FEWEST_REGIONS}"
                )
            )
        if nuclei < FEW_NUCLEI or regions < FEW_REGIONS:
            progress.warn(
                f"class {name} has {nuclei} nuclei in {regions} regions: its scores are uncertain; {FEW_NUCLEI} nuclei "
                f"in {FEW_REGIONS} regions or more are better"
            )


def describe_too_few(name: str, reason: str) -> str:
    """Return the message on a class with too few examples."""
    return f"class {name} has too few examples: {reason}; annotate further regions of it, apart from the others"


def describe_classes(examples: Examples, colours: Mapping[str, Colour]) -> tuple[NucleusClass, ...]:
    """Return the classes with their colours, and the numbers of nuclei and regions."""
    counts = examples.counts
    return tuple(
        NucleusClass(
            name,
            colours.get(name, _COLOURS[place % len(_COLOURS)]),
            int(counts[:, place].sum()),
            int((counts[:, place] > 0).sum()),
        )
        for place, name in enumerate(examples.names)
    )
