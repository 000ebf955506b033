"""Files that an earlier version wrote are still read: homes, data sets, runs, weights, and records beside outputs.

See README.md for what `files` holds. Everything goes through the command line, with options that both versions have.
"""

import csv
import hashlib
import importlib.util
import json
import os
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from typer.testing import Result

from monuseg_cli import __version__

FILES = Path(__file__).parent / "files"
PREDICTED_NS = 1_700_000_000_000_000_000
"""Time of modification of the picture that was predicted on, as its record states it."""

LONG_AGO = 1_600_000_000
"""Time of modification of files that must not be written again."""

RENAMED = {
    "second_target": "aux_target",
    "averaging": "ema_decay",
    "blank": "blank_prob",
    "separation": "postprocess",
    "depth": "saddle_depth",
}
"""Keys of an earlier version, and what they are called now."""

COMPUTE = ("--engine", "torch", "--device", "cpu")
OTHER_PROCESSOR = 0.1
"""How far off another processor may end, as a share of what the epoch changes. With two threads for one it is 0.01;
without the optimizer's state 0.79, without that of the moving average 0.21."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """A copy of the files, in a folder of the test's own, and the command line on its home."""

    root: Path
    run: Callable[..., Result]

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def own(self) -> Path:
        return self.root / "own"

    @property
    def own_data(self) -> Path:
        """What was made of the folder of own data; named after the hash of its path."""
        return self.home / "data" / f"own-{hashlib.sha256(str(self.own).encode()).hexdigest()[:8]}"

    def monuseg(self, *words: object) -> Result:
        """Run a command, which must succeed."""
        result = self.run(*words, "--home", self.home)
        assert result.exit_code == 0, result.output
        return result

    def recipe_of(self, name: str) -> dict[str, Any]:
        """Return a run's recipe as ``monuseg runs`` reads it."""
        (summary,) = json.loads(self.monuseg("runs", name, "--json").stdout)["runs"]
        recipe: dict[str, Any] = summary["recipe"]
        return recipe


@pytest.fixture
def legacy(tmp_path: Path, monuseg: Callable[..., Result]) -> Legacy:
    root = tmp_path / "legacy"
    shutil.copytree(FILES, root)
    for path in (*root.rglob("*.json"), *root.rglob("*.toml")):
        path.write_text(path.read_text(encoding="utf-8").replace("@ROOT@", root.as_posix()), encoding="utf-8")
    copy = Legacy(root, monuseg)
    (copy.home / "data" / "own").rename(copy.own_data)
    os.utime(root / "pictures" / "picture.png", ns=(PREDICTED_NS, PREDICTED_NS))
    return copy


def assert_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that every value of `before` is there now, under its name or its new one."""
    for name, value in before.items():
        assert (name in now) != (RENAMED.get(name, "") in now), name
        current = now[name] if name in now else now[RENAMED[name]]
        if isinstance(value, dict) and isinstance(current, dict):
            assert_same(value, current)
        else:
            assert current == value, name


def age(folder: Path) -> dict[Path, int]:
    """Set back the time of modification of every file in a folder; return what it is now."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (LONG_AGO, LONG_AGO))
    return modified(folder)


def modified(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def read_history(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def distance(weights: Mapping[str, NDArray[Any]], others: Mapping[str, NDArray[Any]]) -> float:
    """Compute the Euclidean distance of two networks' weights and norms' statistics."""
    floats = [name for name, values in others.items() if np.issubdtype(values.dtype, np.floating)]
    return float(np.sqrt(sum(np.square(weights[name] - others[name]).sum() for name in floats)))


def card_of(weights: Path) -> dict[str, Any]:
    with safe_open(weights, framework="numpy") as file:
        card: dict[str, Any] = json.loads(file.metadata()["monuseg_card"])
    return card


def share_equal(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert one.shape == other.shape
    return float((one == other).mean())


@pytest.mark.parametrize("name", ["finished", "interrupted"])
def test_runs_are_listed_with_every_value_of_their_recipe(legacy: Legacy, name: str) -> None:
    written = tomllib.loads((legacy.home / "runs" / name / "recipe.toml").read_text(encoding="utf-8"))
    assert {"second_target", "averaging", "blank"} <= written.keys()
    assert_same(written, legacy.recipe_of(name))
    (summary,) = json.loads(legacy.monuseg("runs", name, "--json").stdout)["runs"]
    history = read_history(FILES / "home" / "runs" / name / "history.csv")
    best = max(history, key=lambda epoch: epoch["val_f1"])
    assert (summary["epochs"], summary["best_epoch"]) == (2, best["epoch"])
    assert summary["scores"]["f1"] == best["val_f1"]


def test_runs_are_compared_by_their_curves(legacy: Legacy) -> None:
    legacy.monuseg("runs", "--curves", legacy.root / "curves.png")
    picture = imagecodecs.png_decode((legacy.root / "curves.png").read_bytes())
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 10


def test_a_recipe_file_is_trained_by_once_more(legacy: Legacy) -> None:
    recipe = legacy.home / "runs" / "finished" / "recipe.toml"
    options = ("--epochs", 1, "--crops-per-case", 4, "--device", "cpu")
    legacy.monuseg("train", "--recipe", recipe, "--name", "again", *options)
    written = tomllib.loads(recipe.read_text(encoding="utf-8"))
    assert_same({**written, "epochs": 1, "crops_per_case": 4}, legacy.recipe_of("again"))


def test_an_interrupted_run_ends_as_it_would_have_ended(legacy: Legacy) -> None:
    run = legacy.home / "runs" / "interrupted"
    begun = load_file(run / "last.safetensors")
    legacy.monuseg("train", "--resume", "interrupted", "--device", "cpu")
    expected = load_file(FILES / "expected" / "interrupted-last.safetensors")
    weights = load_file(run / "last.safetensors")
    assert weights.keys() == expected.keys()
    assert distance(weights, expected) < OTHER_PROCESSOR * distance(begun, expected)
    history = read_history(run / "history.csv")
    ended = read_history(FILES / "expected" / "interrupted-history.csv")
    assert history[:2] == ended[:2]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    for name in ("learning_rate", "loss", "val_loss", "val_dice"):
        assert history[2][name] == pytest.approx(ended[2][name], rel=0.05)


def test_patches_and_masks_of_own_data_are_used_and_not_made_again(legacy: Legacy) -> None:
    masks, patches = (age(legacy.own_data / name) for name in ("masks", "patches"))
    legacy.monuseg("train", "--resume", "interrupted", "--device", "cpu")
    assert modified(legacy.own_data / "patches") == patches
    assert modified(legacy.own_data / "masks") == masks


def test_masks_of_monuseg_are_used_and_not_made_again(legacy: Legacy) -> None:
    dataset = legacy.home / "data" / "monuseg"
    before = age(dataset)
    result = json.loads(legacy.monuseg("masks", "--json").stdout)
    assert (len(result["cases"]), result["made"]) == (14, 0)
    assert modified(dataset) == before
    out = legacy.root / "scored"
    legacy.monuseg("evaluate", "small", "--split", "test", "-o", out, "--device", "cpu")
    images = json.loads((out / "scores.json").read_text(encoding="utf-8"))["images"]
    assert [image["case_id"] for image in images] == sorted(path.stem for path in dataset.rglob("*.xml"))
    assert modified(dataset) == before


@pytest.mark.parametrize("name", ["finished", "small"])
def test_cards_are_read_with_every_value(legacy: Legacy, name: str) -> None:
    weights = {"finished": "runs/finished/best.safetensors", "small": "models/small.safetensors"}[name]
    written = card_of(legacy.home / weights)
    assert "depth" in written["separation"]
    read = json.loads(legacy.monuseg("models", "card", name, "--json").stdout)
    assert_same({**written, "schema": read["schema"]}, read)
    assert name in json.loads(legacy.monuseg("models", "--json").stdout)["weights"]
    assert "boundary out" in legacy.monuseg("models", "card", name).stdout


def test_a_run_of_an_earlier_version_predicts_the_same(legacy: Legacy) -> None:
    out = legacy.root / "now"
    outputs = ("-o", out / "mask.png", "-o", out / "nuclei.csv", "--probability", out / "probability.tif")
    options = ("--mpp", 0.25, "--threshold", 0.45, *COMPUTE)
    legacy.monuseg("predict", legacy.root / "pictures" / "picture.png", "--model", "finished", *outputs, *options)
    before, now = (tifffile.imread(folder / "probability.tif").astype(int) for folder in (FILES / "predicted", out))
    assert np.abs(now - before).max() <= 2
    before, now = (imagecodecs.png_decode((folder / "mask.png").read_bytes()) for folder in (FILES / "predicted", out))
    assert share_equal(before, now) > 0.995
    assert before.any()
    rows = [(folder / "nuclei.csv").read_text(encoding="utf-8").splitlines() for folder in (FILES / "predicted", out)]
    assert set(rows[0][0].split(",")) < set(rows[1][0].split(","))
    assert len(rows[0]) == len(rows[1]) == 4


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_model_of_half_precision_with_ranges_predicts_what_it_predicted(legacy: Legacy, engine: str) -> None:
    if not importlib.util.find_spec(engine):
        pytest.skip(f"{engine} is not installed")
    pictures, out = legacy.root / "pictures", legacy.root / "now.tif"
    options = ("--labels", "--roi", pictures / "roi.geojson", "--region", 4, 8, 56, 48)
    compute = ("--engine", engine, "--device", "cpu")
    legacy.monuseg("predict", pictures / "picture.png", "--model", "small", "-o", out, *options, *compute)
    before, now = tifffile.imread(FILES / "predicted" / "labels.tif"), tifffile.imread(out)
    assert now.dtype == np.int32
    assert now.max() == before.max() == 3
    assert share_equal(before, now) > (0.995 if engine == "torch" else 0.98)


def test_a_run_of_an_earlier_version_has_the_same_scores(legacy: Legacy) -> None:
    out = legacy.root / "scored"
    choice = ("--data", legacy.own, "--split", "val")
    legacy.monuseg("evaluate", "finished", *choice, "-o", out, "--device", "cpu")
    written = FILES / "home" / "runs" / "finished" / "evaluation" / "best-own-val" / "scores.json"
    before, now = (json.loads(path.read_text(encoding="utf-8"))["images"] for path in (written, out / "scores.json"))
    assert [image["case_id"] for image in now] == [image["case_id"] for image in before]
    for image, its in zip(now, before, strict=True):  # those of old evaluations go into the cards of new models
        assert image["scores"] == pytest.approx(its["scores"], abs=0.02)


def test_a_training_begins_with_the_weights_of_a_run(legacy: Legacy) -> None:
    crops = ("--patch-px", 40, "--stride-px", 24, "--crop-px", 32, "--crops-per-case", 4)
    options = ("--init", "finished", "--epochs", 1, "--name", "tuned", "--device", "cpu")
    legacy.monuseg("train", "--train", legacy.own, *options, *crops)
    assert_same({"options": {"width": 4, "depth": 1}, "second_target": "boundary"}, legacy.recipe_of("tuned"))
    tuned, begun = (card_of(legacy.home / "runs" / name / "last.safetensors") for name in ("tuned", "finished"))
    assert tuned["train_cases"] == begun["train_cases"]


@pytest.mark.parametrize("first", ["mask.png", "labels.tif"])
def test_what_was_predicted_before_is_skipped(legacy: Legacy, first: str) -> None:
    pictures, predicted = legacy.root / "pictures", legacy.root / "predicted"
    record = predicted / f"{first}.monuseg.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    # Another version predicts again, whatever the record holds; here its form counts.
    record.write_text(json.dumps({**content, "monuseg": __version__}), encoding="utf-8")
    options: tuple[object, ...] = ("--model", "small", "--labels", "-o", predicted / "labels.tif")
    options += ("--roi", pictures / "roi.geojson", "--region", 4, 8, 56, 48)
    if first == "mask.png":
        outputs = (word for name in ("mask.png", "nuclei.csv", "nuclei.geojson") for word in ("-o", predicted / name))
        others = ("--overlay", predicted / "overlay.png", "--probability", predicted / "probability.tif")
        options = ("--model", "finished", "--mpp", 0.25, "--threshold", 0.45, *outputs, *others)
    before = age(predicted)
    legacy.monuseg("predict", pictures / "picture.png", *options, *COMPUTE)
    assert modified(predicted) == before
    legacy.monuseg("predict", pictures / "picture.png", *options, *COMPUTE, "--min-area-um2", 6.5)
    assert modified(predicted)[predicted / first] != before[predicted / first]
