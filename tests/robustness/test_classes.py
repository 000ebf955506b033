"""Files of classes that were changed or are none, and annotations that no classifier can be trained on."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

from robustness.conftest import Says
from support.classes import MPP, box, classified, made_classes, regions, write_features, write_two_kinds

KEY = "monuseg_classes"


def with_header(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    with safe_open(path, framework="numpy") as file:
        card = json.loads(file.metadata()[KEY])
    change(card)
    path.write_bytes(safetensors.numpy.save(safetensors.numpy.load_file(path), metadata={KEY: json.dumps(card)}))


def with_nan(path: Path) -> None:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = safetensors.numpy.load_file(path)
    arrays["coefficients"][0, 0] = np.nan
    path.write_bytes(safetensors.numpy.save(arrays, metadata=metadata))


FILES: dict[str, Callable[[Path], object]] = {
    "one class": lambda path: with_header(path, lambda card: card.update(classes=card["classes"][:1])),  # type: ignore[index]
    "other features": lambda path: with_header(path, lambda card: card.update(features=["size"])),
    "nan": with_nan,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"model": 1})),
    "weights": lambda path: path.write_bytes(safetensors.numpy.save({"a": np.zeros(1)}, metadata={"b": "{}"})),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_of_classes(says: Says, tmp_path: Path, kind: str) -> None:
    image, labels, _ = write_two_kinds(tmp_path)
    path = made_classes(tmp_path / "a.classes", "logistic regression")
    FILES[kind](path)
    says("measure", image, "--nuclei", labels, "-o", tmp_path / "n.csv", "--classes", path, "--mpp", MPP)


ANNOTATIONS = {
    "one nucleus": [*regions()[:4], classified(box(0, 600, 40, 40), "Long")],
    "one region": [
        *(one for one in regions() if one["properties"]["classification"]["name"] == "Round"),
        regions()[-1],
    ],
    "a class alone": [one for one in regions() if one["properties"]["classification"]["name"] == "Round"],
    "a long name": [classified(box(0, 0, 100, 100), "Round" * 100)],
    "no class": [classified(box(0, 0, 100, 100), "")],
    "a region without a class": [*regions(), classified(box(0, 0, 100, 100), "")],
    "a region beside the tissue": [*regions(), classified(box(5000, 0, 100, 100), "Round")],
    "another image": [
        classified(box(5000 + 100 * place, 0, 90, 90), name) for place in range(2) for name in ("Long", "Round")
    ],
}


@pytest.mark.parametrize("kind", ANNOTATIONS)
def test_annotations_of_classes(says: Says, tmp_path: Path, kind: str) -> None:
    image, labels, path = write_two_kinds(tmp_path)
    write_features(path, ANNOTATIONS[kind])
    words = ("classify", image, "--nuclei", labels, "--annotations", path, "--mpp", MPP)
    says(*words, "-o", tmp_path / "a.classes")


def test_damaged_annotations_of_classes(says: Says, tmp_path: Path) -> None:
    image, labels, path = write_two_kinds(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    words = ("classify", image, "--nuclei", labels, "--annotations", path, "--mpp", MPP)
    says(*words, "-o", tmp_path / "a.classes")
