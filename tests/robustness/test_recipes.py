"""Recipes with options and settings that no network or training can have."""

from pathlib import Path

import pytest

from monuseg_cli.core.home import Home
from robustness.conftest import Says


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("[options]\nwidth = [8]", id="list"),
        pytest.param('[options]\nwidth = "8"', id="word"),
        pytest.param("[options.width]\na = 1", id="table"),
        pytest.param("[options]\nwidth = 0", id="zero"),
        pytest.param("[options]\ndepth = -1", id="negative"),
        pytest.param("[options]\ndropout = nan", id="nan"),
        pytest.param("[options]\nwdith = 8", id="unknown"),
        pytest.param("[options]\nwidth = 1024\ndepth = 8", id="large network"),
        pytest.param('arch = ["unet"]', id="architecture"),
        pytest.param("learning_rate = 1" + "0" * 400, id="huge number"),
        pytest.param("epochs = " + "9" * 5000, id="number of 5000 digits"),
        pytest.param("extra_data = " + "[" * 5000, id="nested"),
        pytest.param("epochs = 1\nepochs = 2", id="twice"),
        pytest.param("workers = 100000", id="workers"),
        pytest.param("seed = 2024-01-01", id="date"),
    ],
)
def test_recipes_that_are_refused(says: Says, home: Home, tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    says("train", "--recipe", path, "--device", "cpu", "--home", home.root)


def test_a_run_whose_recipe_has_an_option_that_is_a_list(says: Says, home: Home) -> None:
    path = home.runs / "run" / "recipe.toml"
    path.write_text(path.read_text().replace("width = 8", "width = [8]"))
    says("train", "--resume", "run", "--device", "cpu", "--home", home.root)
