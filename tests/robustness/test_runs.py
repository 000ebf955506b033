"""Runs that are resumed on something else, and results that would get among others."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from monuseg_cli.core.home import Home
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.session import TrainConfig
from monuseg_cli.training.train import train
from robustness.conftest import RECIPE, Says
from support.own import write_folder


@pytest.fixture
def own(home: Home, tmp_path: Path) -> Path:
    """Own data, on which the run ``own`` was trained."""
    write_folder(tmp_path / "own", ["a", "b"], size=48)
    recipe = dataclasses.replace(RECIPE, train=str(tmp_path / "own"))
    train(TrainConfig(home, recipe, name="own", device="cpu"))
    return tmp_path / "own"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("--epochs 9", id="epochs"),
        pytest.param("--arch segnet", id="architecture"),
    ],
)
def test_settings_that_a_run_was_not_started_with(says: Says, home: Home, words: str) -> None:
    says("train", "--resume", "run", *words.split(), "--device", "cpu", "--home", home.root)


def move(own: Path) -> None:
    shutil.move(own, own.with_name("moved"))


def test_a_moved_folder_that_is_not_named(says: Says, home: Home, own: Path) -> None:
    move(own)
    says("train", "--resume", "own", "--device", "cpu", "--home", home.root)


def test_a_moved_folder_that_is_named(says: Says, home: Home, own: Path) -> None:
    move(own)
    says("train", "--resume", "own", "--train", own.with_name("moved"), "--device", "cpu", "--home", home.root)
    assert Recipe.load(home.runs / "own" / "recipe.toml").train == str(own.with_name("moved"))


def test_a_folder_with_the_scores_of_other_cases(says: Says, home: Home, tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "scores.json").write_text(json.dumps({"images": [{"case_id": "mine"}]}))
    says("evaluate", "run", "--device", "cpu", "-o", tmp_path / "scores", "--home", home.root)
