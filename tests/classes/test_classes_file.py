"""Files of classes: what is written is read again, and a file that was tampered with ends in one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

from conftest import Told
from monuseg_cli.classes.card import FoundBy
from monuseg_cli.classes.classes_file import check_model, read_classes, save_classes
from monuseg_cli.classes.features import feature_names
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.schema import SchemaError
from support.classes import made_classes

KEY = "monuseg_classes"


@pytest.fixture(params=["logistic regression", "gradient boosting"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made_classes(tmp_path / "a.classes", request.param)


def test_a_file_is_read_as_it_was_written(made: Path) -> None:
    found = read_classes(made)
    again = made.with_name("b.classes")
    save_classes(again, found.card, found.model, found.fill)
    assert again.read_bytes() == made.read_bytes()
    features = np.random.default_rng(0).normal(size=(50, len(found.card.features)))
    names, probabilities = found.classify(features)
    assert set(names) <= {"Long", "Round"}
    assert (probabilities >= 0.5).all()
    assert read_classes(again).sha256 == found.sha256


def test_missing_values_are_filled(made: Path) -> None:
    found = read_classes(made)
    missing = np.full((1, len(found.card.features)), np.nan)
    assert found.classify(missing)[1] == found.classify(found.fill[None])[1]


def test_it_is_not_pickled(made: Path) -> None:
    assert made.read_bytes()[8:9] == b"{"
    assert b"\x80\x04\x95" not in made.read_bytes()


Card = dict[str, Any]
Arrays = dict[str, Any]


def change(path: Path, on_card: Callable[[Card], object], on_arrays: Callable[[Arrays], object]) -> None:
    """Write a file again with another header or other arrays."""
    with safe_open(path, framework="numpy") as file:
        card = json.loads(file.metadata()[KEY])
    arrays = safetensors.numpy.load_file(path)
    on_card(card)
    on_arrays(arrays)
    path.write_bytes(safetensors.numpy.save(arrays, metadata={KEY: json.dumps(card)}))


CARDS: dict[str, tuple[Callable[[Card], object], str]] = {
    "another kind": (lambda card: card.update(model="forest"), "model takes logistic regression or gradient boosting"),
    "other features": (
        lambda card: card.update(features=["size"]),
        "features are not those that this version of monuseg computes",
    ),
    "features in another order": (lambda card: card["features"].reverse(), "features are not those"),
    "another radius": (lambda card: card.update(radius_um=20), "features are not those"),
    "one class": (lambda card: card.update(classes=card["classes"][:1]), "classes must be 2 to 50 classes, not 1"),
    "a class twice": (lambda card: card["classes"][0].update(name="Round"), "classes must be different names"),
    "a name of two lines": (lambda card: card["classes"][0].update(name="a\nb"), "classes must be different names"),
    "a colour that is none": (lambda card: card["classes"][0].update(colour=[0, 0, 256]), "must be at least 0 and"),
    "a negative number": (lambda card: card["classes"][0].update(nuclei=-1), "nuclei must be at least 1"),
    "no scores": (lambda card: card["validation"].update(classes={}), "validation.classes must have the scores"),
    "a square that is none": (lambda card: card["validation"]["confusion"].pop(), "must have a row and a column"),
    "a later version": (lambda card: card.update(schema=2), "schema takes 1, not 2"),
    "a field too many": (lambda card: card.update(code="x"), "has no field 'code'"),
    "a field too few": (lambda card: card.pop("mpp"), "lacks the field 'mpp'"),
    "a number that is none": (lambda card: card["mpp"].__setitem__(0, float("nan")), "NaN, which is not a number"),
}


@pytest.mark.parametrize("kind", CARDS)
def test_a_changed_header_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = made_classes(tmp_path / "a.classes", "logistic regression")
    on_card, message = CARDS[kind]
    change(path, on_card, lambda _: None)
    with pytest.raises(InputError) as raised:
        read_classes(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert str(raised.value).endswith("; train it again with monuseg classify")
    assert "\n" not in str(raised.value)


def put(name: str, index: int, value: float) -> Callable[[Arrays], object]:
    return lambda arrays: arrays[name].reshape(-1).__setitem__(index, value)


ARRAYS: dict[str, tuple[str, Callable[[Arrays], object], str]] = {
    "nan": ("logistic regression", put("coefficients", 3, np.nan), "coefficients has values that are not finite"),
    "infinity": ("gradient boosting", put("value", 0, np.inf), "value has values that are not finite"),
    "32 bits": (
        "logistic regression",
        lambda arrays: arrays.update(mean=arrays["mean"].astype(np.float32)),
        "mean has values that are not finite numbers of 64 bits",
    ),
    "a scale of 0": ("logistic regression", put("scale", 0, 0.0), "scale must be above 0"),
    "too few coefficients": (
        "logistic regression",
        lambda arrays: arrays.update(coefficients=arrays["coefficients"][:, 1:]),
        "coefficients has the shape (1, 17), not (1, 18)",
    ),
    "an array too few": ("logistic regression", lambda arrays: arrays.pop("fill"), "its arrays are not those of"),
    "an array too many": ("logistic regression", lambda arrays: arrays.update(a=np.zeros(1)), "its arrays are not"),
    "fill of another length": (
        "gradient boosting",
        lambda arrays: arrays.update(fill=np.zeros(2)),
        "fill has the shape (2,), not (18,)",
    ),
    "an endless path": ("gradient boosting", put("left", 0, 0), "the nodes of its trees do not follow each other"),
    "a node beyond the last": ("gradient boosting", put("right", 0, 10**9), "the nodes of its trees do not follow"),
    "a root beyond the last": ("gradient boosting", put("roots", 0, 10**9), "its trees have no nodes"),
    "a feature beyond the last": ("gradient boosting", put("feature", 0, 99), "its trees compare unknown features"),
    "no trees": (
        "gradient boosting",
        lambda arrays: arrays.update(roots=np.zeros((0, 1), dtype=np.int64)),
        "its trees have no nodes",
    ),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_changed_arrays_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    model, on_arrays, message = ARRAYS[kind]
    path = made_classes(tmp_path / "a.classes", model)
    change(path, lambda _: None, on_arrays)
    with pytest.raises(InputError) as raised:
        read_classes(path)
    assert message in str(raised.value)
    assert str(raised.value).endswith("; train it again with monuseg classify")


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_truncated_file_is_refused(made: Path, length: int) -> None:
    made.write_bytes(made.read_bytes()[:length])
    with pytest.raises(InputError, match="is not a complete file of classes"):
        read_classes(made)


def test_other_files_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "a.safetensors"
    weights.write_bytes(safetensors.numpy.save({"a": np.zeros(1)}, metadata={"monuseg_card": "{}"}))
    with pytest.raises(InputError, match="holds no classes; name a file that monuseg classify wrote"):
        read_classes(weights)
    with pytest.raises(MissingError, match="no file of classes"):
        read_classes(tmp_path / "none.classes")
    with pytest.raises(InputError, match="is not a complete file of classes"):
        read_classes(tmp_path)


def test_another_model_is_warned_of(made: Path) -> None:
    of_tool, told = read_classes(made), Told()
    assert of_tool.card.found_by is None
    of_model = replace(of_tool, card=replace(of_tool.card, found_by=FoundBy("unet", "0123456789abcdef")))
    check_model(of_tool, None, told)
    check_model(of_model, "0123456789abcdef", told)
    assert told.lines == []
    for classifier, sha256 in ((of_model, "f00d"), (of_model, None), (of_tool, "f00d")):
        check_model(classifier, sha256, told)
    origins = [line.split("was trained on nuclei of ")[1].split(";")[0] for line in told.lines]
    assert origins == ["the model unet (SHA-256 0123456789ab)"] * 2 + ["another tool, or of several models"]


def test_another_model_is_refused_where_features_of_the_network_are_used(made: Path) -> None:
    classifier = read_classes(made)
    used: dict[str, Any] = {"measurements": ("network",), "features": feature_names(["network"])}
    with pytest.raises(SchemaError, match="found_by must be the model whose features are used"):
        replace(classifier.card, **used)
    card = replace(classifier.card, **used, found_by=FoundBy("unet", "0123456789abcdef"))
    classifier, told = replace(classifier, card=card), Told()
    check_model(classifier, "0123456789abcdef", told)
    for sha256 in ("f00d", None):
        with pytest.raises(InputError, match=r"uses features of the model unet \(SHA-256 0123456789ab\), which these"):
            check_model(classifier, sha256, told)
    assert told.lines == []
