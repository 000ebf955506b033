import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import PATCHES, QUICK, Monuseg
from monuseg_cli.core.home import Home
from monuseg_cli.training.recipe import Recipe
from support.tissue import draw_tissue


def test_six_commands_from_archives_to_a_mask(monuseg: Monuseg, archives: tuple[Path, Path], tmp_path: Path) -> None:
    home = tmp_path / "a home with spaces, é"
    picture, _ = draw_tissue(100, seed=9)
    Image.fromarray(picture).save(tmp_path / "slide.png")
    steps = (
        ("download", "--archive", archives[0], "--archive", archives[1], "--allow-unverified"),
        ("masks",),
        ("patches", "--patch-px", 64, "--stride-px", 32),
        ("train", "--arch", "unet-se", *QUICK),
        ("evaluate", "unet-se", "--device", "cpu"),
        ("predict", tmp_path / "slide.png", "-o", tmp_path / "mask.png", "--model", "unet-se"),
    )
    predict = "predict IMAGE -o mask.png --model unet-se"
    following = (
        "masks",
        "patches",
        "train --arch unet-se --patch-px 64 --stride-px 32 --crop-px 64",
        "evaluate unet-se",
        predict,
        None,
    )
    for words, then in zip(steps, following, strict=True):
        result = monuseg(*words, "--home", home)
        assert result.exit_code == 0, result.stderr
        assert (f"Next: monuseg {then} --home '{home}'" in result.stdout) == (then is not None)
    with Image.open(tmp_path / "mask.png") as mask:
        assert set(np.unique(np.asarray(mask))) <= {0, 255}
    assert "Model: unet-se (unet-se, CC BY-NC-SA 4.0)" in result.stdout


def test_train_alone_makes_what_is_missing(monuseg: Monuseg, data_home: Home) -> None:
    result = monuseg("train", *QUICK, "--home", data_home.root)
    assert result.exit_code == 0
    assert "made 37 missing masks" in result.stderr
    assert "cut 148 missing patches" in result.stderr
    assert re.search(r"epoch 1/1 .* val Dice 0\.\d+ .* patches/s", result.stderr)
    again = monuseg("train", *QUICK, "--home", data_home.root)
    assert "missing" not in again.stderr
    assert str(data_home.runs / "unet-se-2") in again.stdout
    named = monuseg("train", *QUICK, "--name", "mine", "--home", data_home.root)
    assert str(data_home.runs / "mine") in named.stdout


def test_json_is_all_that_is_printed(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    def content(*words: object) -> dict[str, object]:
        result = monuseg(*words, "--json", "--quiet", "--home", trained_home.root)
        assert result.exit_code == 0
        assert result.stderr == ""
        parsed: dict[str, object] = json.loads(result.stdout)
        return parsed

    Image.fromarray(draw_tissue(64, seed=2)[0]).save(tmp_path / "a.png")
    assert len(content("masks")["cases"]) == 51  # type: ignore[arg-type] # checked by len
    assert content("patches", "--patch-px", 64, "--stride-px", 32)["patches"] == 148
    evaluations: Any = content("evaluate", "unet-se")["evaluations"]
    assert evaluations[0]["summary"]["mean"]["f1"] > 0
    assert content("predict", tmp_path / "a.png", "-o", tmp_path / "m.png", "--model", "unet-se")["failures"] == []
    assert set(content("models")) == {"architectures", "weights"}
    assert content("train", *QUICK)["epochs"] == 1


def test_the_home_is_taken_from_the_environment(
    monuseg: Monuseg, trained_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONUSEG_HOME", str(trained_home.root))
    result = monuseg("masks")
    assert str(trained_home.dataset / "masks") in result.stdout
    assert "--home" not in result.stdout


def test_train_cases_are_marked_in_the_table(monuseg: Monuseg, trained_home: Home) -> None:
    refused = monuseg("evaluate", "unet-se", "--split", "train", "--home", trained_home.root)
    assert refused.exit_code == 8
    marked = monuseg("evaluate", "unet-se", "--split", "train", "--include-train", "--home", trained_home.root)
    assert marked.stdout.count(" *") >= 24
    assert "* the model was trained on this case" in marked.stdout


def test_systems_are_compared_and_other_tools_scored(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    home = ("--home", trained_home.root)
    last = trained_home.runs / "unet-se" / "last.safetensors"
    compared = monuseg("evaluate", "unet-se", last, "--device", "cpu", *home)
    assert compared.exit_code == 0, compared.stderr
    alone = monuseg("evaluate", "unet-se", "--device", "cpu", *home)
    assert re.findall(r"mean of (\d+) +(\w+)", alone.stdout) == [("2", "breast")]
    assert re.search(r"AJI +0\.\d{4}. \(0\.\d{4}-0\.\d{4}\) ", compared.stdout)
    assert "6 images (val); intervals of 95 %" in compared.stdout
    one = monuseg("evaluate", "unet-se", last, "--cases", "G9-6356", "--device", "cpu", *home)
    assert re.search(r"AJI +0\.\d{4}\* +0\.\d{4}. +[+-]0\.\d{4}$", one.stdout, re.MULTILINE)  # no interval
    assert "1 image (" in one.stdout
    assert "intervals" not in one.stdout
    notebook = monuseg("evaluate", "unet-se", "--protocol", "notebook", "--device", "cpu", *home)
    assert notebook.exit_code == 3
    assert "96x96 pixels, smaller than the protocol's windows of 256" in notebook.stderr
    predicted = tmp_path / "predicted"
    images = trained_home.dataset / "test" / "images"
    assert monuseg("predict", images, "-o", predicted, "--model", "unet-se", "--labels", *home).exit_code == 0
    annotations = trained_home.dataset / "test" / "annotations"
    scored = monuseg("evaluate", "--predictions", predicted, "--reference", annotations, "-o", tmp_path / "scores")
    assert scored.exit_code == 0, scored.stderr
    assert "mean over 14 images" in scored.stdout
    assert (tmp_path / "scores" / "scores.csv").is_file()
    nothing = monuseg("evaluate", "--predictions", predicted)
    assert nothing.exit_code == 3
    assert "give either models, or --predictions and --reference" in nothing.stderr


def test_models_lists_architectures_weights_and_their_licence(monuseg: Monuseg, trained_home: Home) -> None:
    printed = monuseg("models", "--home", trained_home.root).stdout
    assert re.search(r"deeplabv3-mobilenet +11\.05 M +19\.0 +DeepLabV3 with a MobileNetV3", printed)
    assert re.search(r"default +unet-efficientnet +\d+ +0\.8\d\d +0\.6\d\d +0\.6\d\d +test +CC BY-NC-SA 4", printed)
    assert re.search(r"unet-se +unet-se .* CC BY-NC-SA 4\.0", printed)


def test_models_warns_of_damaged_weights_and_lists_the_others(monuseg: Monuseg, trained_home: Home) -> None:
    trained_home.models.mkdir()
    (trained_home.models / "junk.safetensors").write_bytes(b"junk")
    whole = trained_home.find_weights("unet-se").read_bytes()
    (trained_home.models / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    result = monuseg("models", "--home", trained_home.root)
    assert result.exit_code == 0
    said = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert said == [["warning", "cut is left out"], ["warning", "junk is left out"]]
    assert re.search(r"unet-se +unet-se .* CC BY-NC-SA 4\.0", result.stdout)


def test_resuming_from_the_command_line(monuseg: Monuseg, trained_home: Home) -> None:
    options = ("--resume", "unet-se", "--device", "cpu", "--home", trained_home.root)
    done = monuseg("train", *options)
    assert done.exit_code == 0
    assert "2 of 2 epochs" in done.stdout
    other = monuseg("train", *options, "--epochs", 5)
    assert other.exit_code == 3
    assert "was started with epochs 2, not 5" in other.stderr


def test_options_override_a_recipe_file(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    saved = trained_home.runs / "unet-se" / "recipe.toml"
    home = ("--home", trained_home.root, "--device", "cpu")
    again = monuseg("train", "--recipe", saved, *home)
    assert again.exit_code == 0, again.stderr
    first, second = (trained_home.runs / run / "last.safetensors" for run in ("unet-se", "unet-se-2"))
    assert first.read_bytes() == second.read_bytes()
    other = monuseg("train", "--recipe", saved, "--epochs", 1, "--name", "short", *home)
    assert "1 of 1 epochs" in other.stdout
    assert Recipe.load(trained_home.runs / "short" / "recipe.toml").options == Recipe.load(saved).options
    assert monuseg("train", "--recipe", tmp_path / "gone.toml", *home).exit_code == 4
    assert monuseg("train", "--recipe", saved, "--resume", "unet-se", *home).exit_code == 3


def test_runs_lists_scores_and_unfinished_runs(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    home = ("--home", trained_home.root)
    assert monuseg("train", *QUICK, "--name", "other", *home).exit_code == 0
    (trained_home.runs / "begun").mkdir()
    Recipe().save(trained_home.runs / "begun" / "recipe.toml")
    listed = monuseg("runs", *home)
    assert re.search(
        r"unet-se +unet-se +default, dropout 0.05, patch_px 64, \d more +1 +2/2 +[12] +\d\.\d{4}", listed.stdout
    )
    assert re.search(r"begun +unet-se +default +1 +0/40 +- +- ", listed.stdout)
    drawn = monuseg("runs", "unet-se", "other", "--curves", tmp_path / "both.png", *home)
    assert drawn.exit_code == 0, drawn.stderr
    assert "begun " not in drawn.stdout.split("\n", 1)[1]
    with Image.open(tmp_path / "both.png") as picture:
        assert picture.size == (1000, 700)
    runs = json.loads(monuseg("runs", "--json", *home).stdout)["runs"]
    assert [run["epochs"] for run in runs] == [2, 1, 0]
    assert monuseg("runs", "begun", "--curves", tmp_path / "none.png", *home).exit_code == 3
    assert monuseg("runs", "unet-se", "--curves", tmp_path / "none.jpg", *home).exit_code == 3
    assert not (tmp_path / "none.png").exists()
    assert "No runs in" in monuseg("runs", "--home", tmp_path).stdout


def start_training(home: Home, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "monuseg_cli", "train", "--home", str(home.root), "--device", "cpu", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


LONG = ("--epochs", "200", *PATCHES, "--name", "long")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_what_was_learnt_and_says_how_to_go_on(trained_home: Home) -> None:
    process = start_training(trained_home, *LONG)
    wait_for(trained_home.runs / "long" / "state.pt", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert f"Next: monuseg train --resume long --home {trained_home.root}" in out
    assert "Traceback" not in err
    assert trained_home.find_weights("long").is_file()
