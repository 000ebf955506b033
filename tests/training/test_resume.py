"""Runs that are resumed after something was moved or changed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import RECIPE, Monuseg
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.models.weights import read_card
from monuseg_cli.training.history import read_history
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.session import TrainConfig
from monuseg_cli.training.train import train
from support.interrupt import StopAt
from support.own import write_folder

TRAINED = 3
"""Images that an epoch trains on, a crop each."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Own data: three images to train on, one to validate on, and their scales."""
    folder = tmp_path / "mine"
    write_folder(folder, ["a", "b", "c", "d"])
    write_table(folder)
    return folder


def write_table(folder: Path, mpp: float = 0.25) -> None:
    lines = [f"{stem}.png,{'val' if stem == 'd' else 'train'},{mpp}" for stem in "abcd"]
    (folder / "split.csv").write_text("\n".join(["image,split,mpp", *lines]))


def recipe_of(data: Path, **overrides: Any) -> Recipe:
    return replace(RECIPE, train=str(data), crops_per_case=1, ema_decay=0.0, **overrides)


def begin(home: Home, recipe: Recipe) -> tuple[Path, bytes]:
    """Train a run that is interrupted in its second epoch; returns it, and the weights of an uninterrupted one."""
    whole = train(TrainConfig(home, recipe, "whole", device="cpu")).run
    stopped = train(TrainConfig(home, recipe, "cut", device="cpu"), StopAt(TRAINED + 1))
    assert stopped.epochs == 1
    return stopped.run, (whole / "last.safetensors").read_bytes()


def test_a_folder_that_was_moved_is_named_and_the_run_ends_with_the_same_weights(
    monuseg: Monuseg, home: Home, data: Path, tmp_path: Path
) -> None:
    run, whole = begin(home, recipe_of(data))
    moved = tmp_path / "other disk" / "renamed"
    moved.parent.mkdir()
    shutil.move(data, moved)
    words = ("train", "--resume", "cut", "--device", "cpu", "--home", home.root)
    lost = monuseg(*words)
    assert lost.exit_code == 4
    assert f"no folder {data}, which {run} was started with" in lost.stderr
    assert "if it was moved, give its new path with --train FOLDER" in lost.stderr
    resumed = monuseg(*words, "--train", moved)
    assert resumed.exit_code == 0, resumed.stderr
    assert (run / "last.safetensors").read_bytes() == whole
    assert Recipe.load(run / "recipe.toml").train == str(moved)
    assert monuseg(*words).exit_code == 0


def test_a_home_that_was_moved_goes_on(home: Home, data: Path, tmp_path: Path) -> None:
    _, whole = begin(home, recipe_of(data))
    moved = Home(tmp_path / "elsewhere")
    shutil.move(home.root, moved.root)
    run = train(TrainConfig(moved, recipe_of(data), resume=moved.runs / "cut", device="cpu")).run
    assert (run / "last.safetensors").read_bytes() == whole


def test_folders_to_validate_on_and_beside_may_move_too(home: Home, tmp_path: Path) -> None:
    for number, name in enumerate(("train", "val", "more")):
        write_folder(tmp_path / name, ["a", "b"] if name == "train" else ["c"], first_seed=500 + 10 * number)
    recipe = replace(recipe_of(tmp_path / "train"), val=str(tmp_path / "val"), extra_data=(f"{tmp_path / 'more'}:1",))
    run, whole = begin(home, recipe)
    for name in ("train", "val", "more"):
        shutil.move(tmp_path / name, tmp_path / f"new-{name}")
    places: dict[str, Any] = {
        "train": str(tmp_path / "new-train"),
        "val": str(tmp_path / "new-val"),
        "extra_data": (str(tmp_path / "new-more"),),
    }
    for setting, place in places.items():
        with pytest.raises(MissingError, match=f"give its new path with `{setting}=FOLDER`"):
            train(TrainConfig(home, recipe, resume=run, device="cpu"))
        recipe = replace(recipe, **{setting: place})
    train(TrainConfig(home, recipe, resume=run, device="cpu"))
    assert (run / "last.safetensors").read_bytes() == whole
    other_weight = replace(recipe, extra_data=(f"{tmp_path / 'new-more'}:2",))
    with pytest.raises(InputError, match="was started with extra_data"):
        train(TrainConfig(home, other_weight, resume=run, device="cpu"))


@pytest.mark.parametrize("changed", ["trained", "validated", "split", "scale"])
def test_a_folder_whose_content_differs_is_refused(home: Home, data: Path, changed: str) -> None:
    run, _ = begin(home, recipe_of(data))
    if changed == "scale":
        write_table(data, mpp=0.5)
    elif changed == "split":
        table = (data / "split.csv").read_text()
        (data / "split.csv").write_text(table.replace("d.png,val", "d.png,train").replace("c.png,train", "c.png,val"))
    else:
        annotation = data / "annotations" / ("a.geojson" if changed == "trained" else "d.geojson")
        content = json.loads(annotation.read_text())
        del content["features"][0]
        annotation.write_text(json.dumps(content))
    before = (run / "last.safetensors").read_bytes()
    with pytest.raises(InputError, match=r"was started on other .* start a new run from its weights with `init=cut`"):
        train(TrainConfig(home, recipe_of(data), resume=run, device="cpu"))
    assert (run / "last.safetensors").read_bytes() == before


def test_the_number_of_workers_may_change(home: Home, data: Path) -> None:
    run, whole = begin(home, recipe_of(data))
    train(TrainConfig(home, recipe_of(data, workers=1), resume=run, device="cpu"))
    assert (run / "last.safetensors").read_bytes() == whole
    assert len(read_history(run)) == 2


def test_a_run_killed_in_its_first_epoch_starts_on_the_same_folder_only(home: Home, data: Path) -> None:
    run = home.make_run("killed")
    recipe_of(data).save(run / "recipe.toml")
    shutil.copytree(data, data.with_name("copy"))
    with pytest.raises(InputError, match=r"was started with train .*; resume it with its own settings, or train a new"):
        train(TrainConfig(home, recipe_of(data.with_name("copy")), resume=run, device="cpu"))


def test_the_way_to_more_epochs_that_the_error_names_works(monuseg: Monuseg, home: Home, data: Path) -> None:
    begin(home, recipe_of(data))
    words = ("train", "--resume", "whole", "--device", "cpu", "--home", home.root)
    refused = monuseg(*words, "--epochs", 3)
    assert refused.exit_code == 3
    recipe = home.runs / "whole" / "recipe.toml"
    way = f"start a new run from its weights with --init whole, --recipe {recipe} and --epochs 3"
    assert f"was started with epochs 2, not 3; resume it with its own settings, or {way}" in refused.stderr
    named = ("--init", "whole", "--recipe", recipe, "--epochs", 3)
    longer = monuseg("train", *named, "--device", "cpu", "--home", home.root)
    assert longer.exit_code == 0, longer.stderr
    assert "3 of 3 epochs" in longer.stdout
    card = read_card(home.find_weights("unet-se"))
    assert (card.recipe["init"], card.recipe["epochs"], len(card.val_cases)) == ("whole", 3, 1)
