"""What a file of classes states of itself: classes, features, examples and scores."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from monuseg_cli.classes.features import RADIUS_UM, feature_names
from monuseg_cli.classes.models import ModelKind
from monuseg_cli.core.schema import FRACTION, FROM_0, FROM_1, POSITIVE, Range, SchemaError, parse_json, read_as
from monuseg_cli.nuclei.columns import ALL_COLUMNS, Group

Colour = tuple[int, int, int]
"""Red, green and blue, 0..255."""

SCHEMA: Literal[1] = 1
MOST_CLASSES = 50
LONGEST_NAME = 100

_Count = Annotated[int, FROM_0]
_Part = Annotated[int, Range(0, 255)]
_Share = Annotated[float, FRACTION]


@dataclass(frozen=True, slots=True)
class NucleusClass:
    """A class: its name, its colour, and the nuclei and regions that it was learned from."""

    name: str
    colour: tuple[_Part, _Part, _Part]
    nuclei: Annotated[int, FROM_1]
    regions: Annotated[int, FROM_1]


@dataclass(frozen=True, slots=True)
class Score:
    """A score of nuclei in regions that were held out, with the ends of its 95 % confidence interval."""

    value: _Share
    low: _Share
    high: _Share


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of one class.

    Parameters
    ----------
    recall : Score
        Share of its nuclei that were found to be of it.
    precision : Score or None
        Share of the nuclei found to be of it that are; None if there are none.
    f1 : Score
        Harmonic mean of both.
    """

    recall: Score
    precision: Score | None
    f1: Score


@dataclass(frozen=True, slots=True)
class Validation:
    """What cross-validation over regions found.

    Parameters
    ----------
    folds : int
        Parts that the regions were divided into; each was held out once.
    accuracy : Score
        Share of nuclei whose class was found.
    balanced_accuracy : Score
        Mean of the recall of all classes.
    classes : mapping of str to ClassScores
        Scores of each class.
    confusion : tuple of tuple of int
        Nuclei by their class (rows) and the class that was found (columns), in the order of the classes.
    candidates : mapping of str to float
        Balanced accuracy of each kind of classifier that was tried.
    without_network : Score, optional
        Where the network's features are used: the balanced accuracy without them, of the better kind of classifier.
    """

    folds: Annotated[int, Range(2)]
    accuracy: Score
    balanced_accuracy: Score
    classes: Mapping[str, ClassScores]
    confusion: tuple[tuple[_Count, ...], ...]
    candidates: Mapping[str, _Share]
    without_network: Score | None = None


@dataclass(frozen=True, slots=True)
class FoundBy:
    """The model that found the nuclei."""

    architecture: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ClassesCard:
    """The header of a file of classes.

    Parameters
    ----------
    model : {"logistic regression", "gradient boosting"}
        Kind of classifier.
    classes : tuple of NucleusClass
        The classes, in the order of the classifier's probabilities.
    features : tuple of str
        What the classifier takes, in order.
    units : tuple of str
        Unit of each feature; empty: none.
    measurements : tuple of {"texture", "neighbours", "network"}
        Measurements that the features are made of, beside those that are always made.
    radius_um : float
        Distance up to which nuclei are the neighbourhood of another.
    images : tuple of str
        Names of the images that the nuclei are of.
    mpp : tuple of float
        Their micrometres per pixel.
    found_by : FoundBy or None
        The model that found the nuclei; None: another tool, or a person.
    validation : Validation
        Scores in regions that were held out.
    versions : mapping of str to str
        Versions of monuseg and scikit-learn.

    Raises
    ------
    SchemaError
        If the parts do not fit each other, or the features are not those of this version.
    """

    model: ModelKind
    classes: tuple[NucleusClass, ...]
    features: tuple[str, ...]
    units: tuple[str, ...]
    measurements: tuple[Group, ...]
    radius_um: Annotated[float, POSITIVE]
    images: tuple[str, ...]
    mpp: tuple[Annotated[float, POSITIVE], ...]
    found_by: FoundBy | None
    validation: Validation
    versions: Mapping[str, str]
    schema: Literal[1] = SCHEMA

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        names = self.names
        if not 2 <= len(names) <= MOST_CLASSES:
            message = f"must be 2 to {MOST_CLASSES} classes, not {len(names)}"
            raise SchemaError(message, "classes")
        for name, count in Counter(names).items():
            if not is_class_name(name) or count > 1:
                message = f"must be different names of at most {LONGEST_NAME} printable characters"
                raise SchemaError(message, "classes")
        if self.features != feature_names(self.measurements) or self.radius_um != RADIUS_UM:
            message = "are not those that this version of monuseg computes"
            raise SchemaError(message, "features")
        if set(self.validation.classes) != set(names):
            message = "must have the scores of each class"
            raise SchemaError(message, "validation.classes")
        if [len(row) for row in self.validation.confusion] != [len(names)] * len(names):
            message = "must have a row and a column for each class"
            raise SchemaError(message, "validation.confusion")
        if self.uses_network and self.found_by is None:
            message = "must be the model whose features are used"
            raise SchemaError(message, "found_by")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(one.name for one in self.classes)

    @property
    def colours(self) -> dict[str, Colour]:
        """Colour of each class."""
        return {one.name: one.colour for one in self.classes}

    @property
    def uses_network(self) -> bool:
        """Whether features of the network are used, which have no meaning for another one."""
        return "network" in self.measurements

    def to_json(self) -> str:
        """Return the card as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ClassesCard":
        """Read a card.

        Raises
        ------
        ValueError
            If it is not one.
        """
        return read_as(cls, parse_json(text))


@dataclass(frozen=True, slots=True)
class _Coloured:
    colour: tuple[_Part, _Part, _Part]


def read_colour(value: object) -> Colour:
    """Read a colour from JSON.

    Raises
    ------
    SchemaError
        If it is not three numbers of 0 to 255.
    """
    return read_as(_Coloured, {"colour": value}).colour


def is_class_name(name: str) -> bool:
    """Return whether a text can be the name of a class."""
    return bool(name.strip()) and name == name.strip() and name.isprintable() and len(name) <= LONGEST_NAME


def units_of(features: tuple[str, ...]) -> tuple[str, ...]:
    """Return the unit of each feature; a mean has that of its measurement."""
    units = {column.name: column.unit for column in ALL_COLUMNS}
    return tuple(units[name.split(",")[0]] for name in features)
