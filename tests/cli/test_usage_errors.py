"""What is typed wrongly: one line on standard error, exit code 2, and what was probably meant."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from conftest import Monuseg
from monuseg_cli.cli.app import app
from monuseg_cli.core.home import Home
from monuseg_cli.core.suggest import did_you_mean


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("train --epoch 3", "no option --epoch for monuseg train; did you mean --epochs? See monuseg train --help"),
        ("train -x", "no option -x for monuseg train; see monuseg train --help"),
        ("trian", "monuseg has no command trian; did you mean train? See monuseg --help"),
        ("models crad", "monuseg models has no command crad; did you mean card? See monuseg models --help"),
        ("--versio", "no option --versio for monuseg; did you mean --version? See monuseg --help"),
        (
            "--home x train",
            "no option --home for monuseg; options of a command follow its name; see monuseg --help",
        ),
        ("predict -o m.png", "monuseg predict needs IMAGE...; see monuseg predict --help"),
        ("predict a.png", "monuseg predict needs an output, such as -o mask.png; see monuseg predict --help"),
        ("models card", "monuseg models card needs RUN|WEIGHTS; see monuseg models card --help"),
        ("show a.png b c -o x", "monuseg show does not take b c; see monuseg show --help"),
        ("train --epochs", "--epochs needs a value; see monuseg train --help"),
        ("train --amp", "--amp needs a value, one of none, bf16, fp16; see monuseg train --help"),
        ("masks --preview=3", "--preview takes no value; see monuseg masks --help"),
        (
            "predict a.png -o m.png --region 1 2 3",
            "--region needs 4 values: X Y WIDTH HEIGHT; see monuseg predict --help",
        ),
        ("train --amp fp61", "--amp takes none, bf16, fp16, not 'fp61'; did you mean fp16? See monuseg train --help"),
        ("train --device gpu", "--device takes auto, cpu, cuda, mps, not 'gpu'; see monuseg train --help"),
        ("masks --quiet --verbose", "--quiet and --verbose contradict each other; leave one out"),
    ],
)
def test_a_usage_error_is_one_line(typed: str, error: str) -> None:
    result = CliRunner().invoke(app, typed.split(), prog_name="monuseg")
    assert (result.exit_code, result.stderr) == (2, f"error: {error}\n")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("typed", "begins"),
    [
        ("train --epochs x", "error: --epochs cannot be 'x': "),
        ("show a.png -o x.png --width-px 0", "error: --width-px cannot be '0': "),
        ("predict a.png -o m.png --region 1 2 3 x", "error: --region cannot be '1 2 3 x': "),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(monuseg: Monuseg, typed: str, begins: str) -> None:
    result = monuseg(*typed.split())
    assert result.exit_code == 2
    assert result.stderr.startswith(begins)
    assert result.stderr.count("\n") == 1


def test_misspelt_names_of_architectures_recipes_and_models(monuseg: Monuseg, trained_home: Home) -> None:
    home = ("--home", trained_home.root)
    for words, meant in (
        (("train", "--arch", "UNet-ES"), "unet-se"),
        (("train", "--recipe", "defualt"), "default"),
        (("predict", trained_home.root, "-o", "m.png", "--model", "defualt"), "default"),
        (("evaluate", "unet_se"), "unet-se"),
        (("runs", "unet_se"), "unet-se"),
    ):
        assert monuseg(*words, *home).stderr.endswith(f"did you mean {meant}?\n")
    assert "did you mean" not in monuseg("runs", "default", *home).stderr  # which is no run


@pytest.mark.parametrize(
    ("content", "typed", "error"),
    [
        ("lerning_rate = 1", (), "{recipe}: no such setting lerning_rate; did you mean learning_rate?"),
        ("epochs = 0", (), "{recipe}: epochs must be at least 1 and at most 1000000, not 0"),
        ("epochs = 3", ("--epochs", "0"), "--epochs must be at least 1 and at most 1000000, not 0"),
        ("crop_px = 300", ("--patch-px", "256"), "--crop-px 300 does not fit into --patch-px 256"),
        (
            'arch = "deeplabv3"',
            ("--init", "default", "--pretrained"),
            "--init and --pretrained both set the initial weights; ",
        ),
    ],
)
def test_a_setting_is_named_as_where_it_was_given(
    monuseg: Monuseg, tmp_path: Path, content: str, typed: tuple[str, ...], error: str
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(content)
    result = monuseg("train", "--recipe", recipe, *typed)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: {error.format(recipe=recipe)}")
    assert result.stderr.count("\n") == 1


def test_failures_in_json_name_options_too(monuseg: Monuseg, tmp_path: Path) -> None:
    draw = np.zeros((32, 32, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", draw, tile=(16, 16), compression="deflate")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        where = file.pages.first.dataoffsets[0]
    with (tmp_path / "a.tif").open("r+b") as broken:
        broken.seek(where)
        broken.write(b"\xff" * 8)
    result = monuseg("predict", tmp_path / "a.tif", "-o", tmp_path / "m.png", "--engine", "torch", "--json")
    (failure,) = json.loads(result.stdout)["failures"]
    assert (failure["file"], failure["code"]) == (str(tmp_path / "a.tif"), result.exit_code)
    assert failure["message"].endswith("; --skip-damaged continues without it")
    assert result.stderr.endswith("; --skip-damaged continues without it\n")


def test_only_what_is_alike_is_proposed() -> None:
    assert did_you_mean("--home", ["--help"]) == ""
    assert did_you_mean("AUTO", ["cpu", "auto"]) == "; did you mean auto?"


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        ("monuseg tr", ["train"]),
        ("monuseg train --arch un", ["unet", "unet-se", "unet-efficientnet"]),
        ("monuseg train --recipe ", ["default", "robust", "wide", "fine-tune", "baseline"]),
        ("monuseg train --loss f", ["focal", "focal+dice"]),
        ("monuseg train --ep", ["--epochs"]),
        ("monuseg train --home {home} --resume ", ["unet-se"]),
        ("monuseg predict a.png --home {home} --model ", ["default", "unet-se"]),
        ("monuseg models ", ["card"]),
    ],
)
def test_the_shell_completes_options_names_and_files(trained_home: Home, typed: str, proposed: list[str]) -> None:
    words = typed.format(home=trained_home.root)
    asked = {
        "_MONUSEG_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    printed = CliRunner().invoke(app, [], prog_name="monuseg", env=asked).stdout
    assert printed.split() == proposed


def test_the_script_for_the_shell() -> None:
    printed = CliRunner().invoke(app, [], prog_name="monuseg", env={"_MONUSEG_COMPLETE": "source_bash"})
    assert printed.exit_code == 0
    assert "_MONUSEG_COMPLETE=complete_bash" in printed.stdout


def test_verbose_says_more_and_when(monuseg: Monuseg, trained_home: Home) -> None:
    monuseg("masks", "--home", trained_home.root)
    plain, verbose = (monuseg("masks", "--home", trained_home.root, *more) for more in ((), ("--verbose",)))
    assert plain.stdout == verbose.stdout
    assert plain.stderr == ""
    lines = verbose.stderr.splitlines()
    assert lines[0].endswith(f"home {trained_home.root}")
    assert all(float(line.split(" s  ")[0]) >= 0 for line in lines)
    assert lines[-1].endswith(" s  done")
