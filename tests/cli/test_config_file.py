"""Defaults of options from monuseg.toml."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from conftest import QUICK, Monuseg
from monuseg_cli.cli.app import COMMANDS, load
from monuseg_cli.cli.config_file import NOT_IN_FILES
from monuseg_cli.core.home import Home
from monuseg_cli.training.recipe import Recipe
from support.tissue import draw_tissue

PREDICT = ("predict", "a.png", "--engine", "torch")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an image."""
    folder = tmp_path / "work"
    folder.mkdir()
    Image.fromarray(draw_tissue(64, seed=2)[0]).save(folder / "a.png")
    monkeypatch.chdir(folder)
    return folder


def config(text: str, name: str = "monuseg.toml") -> None:
    Path(name).write_text(text, encoding="utf-8")


def test_options_of_the_working_folder_are_used_said_and_recorded(monuseg: Monuseg) -> None:
    config(
        '[predict]\noutput = "m.png"\nmpp = 0.5\nregion = [0, 0, 32, 32]\ntissue_mask = false\n[train]\nepochs = 1\n'
    )
    result = monuseg(*PREDICT, "--quiet", "--json")
    assert result.exit_code == 0, result.stderr
    line = 'settings from monuseg.toml: output = ["m.png"], mpp = 0.5, region = [0, 0, 32, 32], tissue-mask = false'
    assert line in result.stderr.splitlines()
    said = json.loads(result.stdout)
    assert said["config"]["file"] == "monuseg.toml"
    assert said["config"]["settings"] == {
        "output": ["m.png"],
        "mpp": 0.5,
        "region": [0, 0, 32, 32],
        "tissue-mask": False,
    }
    assert (said["predictions"][0]["mpp"], said["predictions"][0]["width"]) == (0.5, 32)
    recorded = json.loads(Path("m.png.monuseg.json").read_bytes())["settings"]
    assert (recorded["mpp"], recorded["tissue_only"]) == (0.5, False)


def test_the_command_line_beats_the_file(monuseg: Monuseg) -> None:
    config('[predict]\nmpp = 0.5\noutput = ["one.png"]\n')
    result = monuseg(*PREDICT, "--mpp", "0.3", "-o", "two.png", "--json")
    said = json.loads(result.stdout)
    assert said["predictions"][0]["mpp"] == 0.3
    assert said["written"] == ["two.png"]
    assert "config" not in said
    assert "settings from" not in result.stderr


def test_a_named_file_is_read_instead(monuseg: Monuseg) -> None:
    config("[predict]\nmpp = 0.5\n")
    config("[predict]\nmpp = 0.3\n", "other.toml")
    result = monuseg(*PREDICT, "-o", "m.png", "--config", "other.toml", "--json")
    assert json.loads(result.stdout)["predictions"][0]["mpp"] == 0.3
    config("", "empty.toml")
    result = monuseg(*PREDICT, "-o", "n.png", "--config", "empty.toml", "--json")
    assert json.loads(result.stdout)["predictions"][0]["mpp"] is None
    assert "settings from empty.toml: none for this command" in result.stderr


def test_no_file_is_read_from_the_null_device(monuseg: Monuseg) -> None:
    config("[predict]\nmpp = 0.5\n")
    result = monuseg(*PREDICT, "-o", "m.png", "--config", os.devnull, "--json")
    assert json.loads(result.stdout)["predictions"][0]["mpp"] is None


def test_help_needs_no_usable_file(monuseg: Monuseg) -> None:
    config("[predict")
    assert monuseg("predict", "--help").exit_code == 0


def test_settings_of_a_recipe_come_from_the_file(monuseg: Monuseg, trained_home: Home) -> None:
    config("[train]\nbatch_size = 4\nseed = 7\nepochs = 9\nname = 'mine'\n")
    result = monuseg("train", *QUICK, "--home", trained_home.root)
    assert result.exit_code == 0, result.stderr
    recipe = Recipe.load(trained_home.runs / "mine" / "recipe.toml")
    assert (recipe.batch_size, recipe.seed, recipe.epochs) == (4, 7, 1)


def test_a_resumed_run_keeps_its_recipe(monuseg: Monuseg, trained_home: Home) -> None:
    config("[train]\nbatch_size = 4\nname = 'mine'\nrecipe = 'wide'\ndevice = 'cpu'\nextra_data = ['nuinsseg']\n")
    result = monuseg("train", "--resume", "unet-se", "--home", trained_home.root)
    assert result.exit_code == 0, result.stderr
    assert "--resume keeps the recipe and name of the run" in result.stderr
    recipe = Recipe.load(trained_home.runs / "unet-se" / "recipe.toml")
    assert (recipe.batch_size, recipe.extra_data) == (8, ())
    refused = monuseg("train", "--resume", "unet-se", "--name", "mine", "--home", trained_home.root)
    assert "leave out --name and --recipe" in refused.stderr


def test_the_example_of_the_documentation_is_valid(monuseg: Monuseg) -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    config(example.replace("unet-se", "default"))
    result = monuseg(*PREDICT, "-o", "out/", "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    taken = json.loads(result.stdout)["config"]["settings"]
    assert taken.keys() == {"model", "format", "mpp", "measurements", "tissue-mask"}


def test_commands_of_a_group_take_no_file(monuseg: Monuseg) -> None:
    config("[models]\n")
    assert monuseg("models", "card", "default").exit_code == 0
    refused = monuseg("models", "card", "default", "--config", "monuseg.toml")
    assert refused.exit_code == 3
    assert "takes no --config" in refused.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_reads_the_file(name: str) -> None:
    options = [param for param in load(name).params if param.param_type_name == "option"]
    assert "config" in {param.name for param in options}
    assert {param.name for param in options} & NOT_IN_FILES >= {"config", "home", "as_json", "quiet", "debug"}


def test_toml_is_not_loaded_without_a_file(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom monuseg_cli.cli.app import app\n"
        "try:\n    app(['slide-info', 'a.png'])\nexcept SystemExit:\n    pass\n"
        "print('\\n' + str('tomllib' in sys.modules))"
    )
    for text, loaded in ((None, "False"), ("", "True")):
        if text is not None:
            config(text)
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.splitlines()[-1] == loaded
