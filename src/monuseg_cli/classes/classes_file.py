"""Files of classes: safetensors with the arrays of a classifier, and its card in the header."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.card import ClassesCard
from monuseg_cli.classes.models import DTYPES, MODELS, ClassModel
from monuseg_cli.core.atomic import write_bytes
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.core.progress import Progress

SUFFIX = ".classes"
_CARD_KEY = "monuseg_classes"
_FILL = "fill"
_REMEDY = "train it again with monuseg classify"
_MOST_BYTES = 2**28


@dataclass(frozen=True, slots=True, eq=False)
class NucleusClassifier:
    """A trained classifier.

    Parameters
    ----------
    card : ClassesCard
        Classes, features and scores.
    model : ClassModel
        Computes probabilities.
    fill : ndarray of shape (F,), float64
        What stands in for each feature where it is missing: its median over the examples.
    sha256 : str
        SHA-256 of its file.
    path : Path
        Its file.
    """

    card: ClassesCard
    model: ClassModel
    fill: NDArray[np.float64]
    sha256: str
    path: Path

    def classify(self, features: NDArray[np.float64]) -> tuple[list[str], NDArray[np.float64]]:
        """Return the most probable class of each nucleus, and its probability (N,), from features (N, F)."""
        found = self.model.probabilities(fill_missing(features, self.fill))
        best = found.argmax(axis=1)
        names = self.card.names
        return [names[index] for index in best.tolist()], found.max(axis=1, initial=0)


def check_model(classifier: NucleusClassifier, sha256: str | None, progress: Progress) -> None:
    """Warn if a classifier was not trained on nuclei of the same model, given its SHA-256; None: nuclei of a file.

    Raises
    ------
    InputError
        If it then uses features of the network, which have no meaning for another one.
    """
    found_by = classifier.card.found_by
    if (found_by.sha256 if found_by else None) == sha256:
        return
    origin = "another tool, or of several models"
    if found_by:
        origin = f"the model {found_by.architecture} (SHA-256 {found_by.sha256[:12]})"
    if classifier.card.uses_network:
        message = (
            f"{classifier.path} uses features of {origin}, which these nuclei do not have; predict with that model, "
            "or train the classes again"
        )
        raise InputError(message)
    progress.warn(
        f"{classifier.path} was trained on nuclei of {origin}; the measurements of these nuclei may differ, so check "
        "the classes, or train it again"
    )


def fill_missing(features: NDArray[np.float64], fill: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features (N, F) with one value per feature (F,) in place of NaN."""
    return np.where(np.isnan(features), fill, features)


def save_classes(path: Path, card: ClassesCard, model: ClassModel, fill: NDArray[np.float64]) -> None:
    """Write a file of classes, atomically.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from safetensors.numpy import save

    arrays = {part.name: getattr(model, part.name) for part in fields(model)} | {_FILL: fill}  # type: ignore[arg-type] # every ClassModel is a dataclass of arrays
    content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(path, save(content, metadata={_CARD_KEY: card.to_json()}))


def read_classes(path: Path) -> NucleusClassifier:
    """Read a file of classes; nothing of it is run, and every number is checked.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is not such a file, is damaged, or was made for other features.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if is_special_file(path):
        message = f"{path} is not a regular file; name a file of classes"
        raise InputError(message)
    try:
        if path.stat().st_size > _MOST_BYTES:
            message = f"{path} is too large for a file of classes; name another one"
            raise InputError(message)
        content = path.read_bytes()
        card_text, arrays = _metadata(path).get(_CARD_KEY), load(content)
    except FileNotFoundError as error:
        message = f"no file of classes {path}; train one with monuseg classify"
        raise MissingError(message) from error
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        message = f"{path} is not a complete file of classes ({error}); {_REMEDY}"
        raise InputError(message) from error
    if card_text is None:
        message = f"{path} holds no classes; name a file that monuseg classify wrote"
        raise InputError(message)
    try:
        card = ClassesCard.from_json(card_text)
        model, fill = _build(card, arrays)
    except ValueError as error:
        message = f"{path}: {error}; {_REMEDY}"
        raise InputError(message) from error
    return NucleusClassifier(card, model, fill, hashlib.sha256(content).hexdigest(), path)


def _metadata(path: Path) -> Mapping[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def _build(card: ClassesCard, arrays: Mapping[str, NDArray[Any]]) -> tuple[ClassModel, NDArray[np.float64]]:
    """Build the classifier of arrays, each of which is checked; raise ValueError if they are not those of the card."""
    kind = MODELS[card.model]
    names = {part.name for part in fields(kind)}
    if set(arrays) != names | {_FILL}:
        message = f"its arrays are not those of {card.model}"
        raise ValueError(message)
    for name, array in arrays.items():
        if array.dtype != DTYPES.get(name, np.float64) or not np.isfinite(array).all():
            message = f"{name} has values that are not finite numbers of 64 bits"
            raise ValueError(message)
    model = kind(**{name: arrays[name] for name in names})
    model.check(len(card.features), len(card.classes))
    if arrays[_FILL].shape != (len(card.features),):
        message = f"{_FILL} has the shape {arrays[_FILL].shape}, not ({len(card.features)},)"
        raise ValueError(message)
    return model, arrays[_FILL]
