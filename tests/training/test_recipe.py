from pathlib import Path

import pytest

from monuseg_cli.errors import InputError, MissingError
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.schedule import learning_rate


def test_a_recipe_comes_back_from_its_file(tmp_path: Path) -> None:
    recipe = Recipe(arch="segnet", options={"width": 8}, fold=3, learning_rate=0.5, augment="none", train_set=37)
    recipe.save(tmp_path / "recipe.toml")
    assert Recipe.load(tmp_path / "recipe.toml") == recipe


def test_train_and_validation_share_no_case() -> None:
    for fold in range(1, 6):
        recipe = Recipe(fold=fold, train_set=37)
        assert not set(recipe.train_cases()) & set(recipe.val_cases())
        assert (len(recipe.train_cases()), len(recipe.val_cases())) == (31, 6)


@pytest.mark.parametrize(
    ("knobs", "reason"),
    [
        ({"arch": "vgg"}, "unknown architecture 'vgg'; choose from"),
        ({"fold": 6}, "--fold takes 1 to 5"),
        ({"train_set": 31}, "--train-set takes 30 or 37"),
        ({"loss": "hinge"}, "--loss takes bce or bce.dice, not 'hinge'"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"arch": "deeplabv3", "batch_size": 1}, "--batch-size must be at least 2 for deeplabv3"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"learning_rate": float("inf")}, "--learning-rate must be above 0"),
        ({"epochs": 2.5}, "--epochs cannot be 2.5"),
        ({"options": 3}, "--options cannot be 3"),
        ({"pretrained": "no"}, "--pretrained cannot be 'no'"),
        ({"seed": True}, "--seed cannot be True"),
        ({"learning_rate": float("nan")}, "--learning-rate must be above 0"),
    ],
)
def test_values_that_cannot_be_used_name_their_option(knobs: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Recipe(**knobs)  # type: ignore[arg-type] # what a file may hold


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    for content in ("epochs = ", "colour = 1", 'epochs = "many"', "fold = 9"):
        path.write_text(content)
        with pytest.raises(InputError, match=r"recipe.toml"):
            Recipe.load(path)
    with pytest.raises(MissingError, match="no recipe"):
        Recipe.load(tmp_path / "gone.toml")


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    recipe = Recipe(learning_rate=1.0)
    rates = [learning_rate(recipe, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 6)
    assert max(rates) == rates[5] == 1
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.001
    assert learning_rate(Recipe(schedule="constant", learning_rate=0.3), 99, 100) == 0.3
