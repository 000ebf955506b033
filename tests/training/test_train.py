import csv
import dataclasses
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from conftest import PATCHES, RECIPE
from monuseg_cli.core.errors import InputError, MissingError, TrainingError
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.models import registry
from monuseg_cli.models.weights import read_card
from monuseg_cli.training import train as module
from monuseg_cli.training.losses import compute_loss
from monuseg_cli.training.session import TrainConfig, TrainSession
from monuseg_cli.training.train import train
from support.interrupt import StopAt


def config(home: Home, **overrides: Any) -> TrainConfig:
    return TrainConfig(home, **{"recipe": RECIPE, "device": "cpu", **overrides})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_contains_all_documented_files(trained_home: Home) -> None:
    run = trained_home.find_run("unet-se")
    assert sorted(path.name for path in run.iterdir()) == [
        "best.safetensors",
        "curves.png",
        "history.csv",
        "last.safetensors",
        "recipe.toml",
        "state.pt",
    ]
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "accuracy", "dice", "f1", "val_loss", "val_accuracy", "val_dice", "val_f1"} <= rows[0].keys()
    with Image.open(run / "curves.png") as curves:
        assert curves.size == (1000, 700)
    card = read_card(run / "best.safetensors")
    assert (card.architecture, card.train_set, len(card.train_cases), len(card.val_cases)) == ("unet-se", 30, 24, 6)
    best = max(rows, key=lambda row: float(row["val_f1"]))
    assert (card.epoch, card.scores["f1"]) == (int(best["epoch"]), float(best["val_f1"]))
    assert read_card(run / "last.safetensors").epoch == 2


def test_two_runs_of_one_seed_are_the_same_and_of_another_not(trained_home: Home) -> None:
    first = trained_home.find_run("unet-se")
    same = train(config(trained_home)).run
    other = train(config(trained_home, recipe=dataclasses.replace(RECIPE, seed=1))).run
    assert (same.name, other.name) == ("unet-se-2", "unet-se-3")
    assert sha256(same / "last.safetensors") == sha256(first / "last.safetensors")
    assert sha256(other / "last.safetensors") != sha256(first / "last.safetensors")


def test_workers_give_the_same_weights(trained_home: Home) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1)
    alone = train(config(trained_home, recipe=recipe)).run
    helped = train(config(trained_home, recipe=dataclasses.replace(recipe, workers=1))).run
    one, other = (load_file(run / "last.safetensors") for run in (alone, helped))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("after", ["interrupt", "crash while writing"])
def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(trained_home: Home, after: str) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=3)
    whole = train(config(trained_home, recipe=recipe)).run
    patches = 24 * 4
    stopped = train(config(trained_home, recipe=recipe, name="cut"), StopAt(patches + patches // 2))
    assert (stopped.epochs, stopped.interrupted) == (1, True)
    if after == "crash while writing":  # the second epoch's files are there, its state is not
        state = (stopped.run / "state.pt").read_bytes()
        train(config(trained_home, recipe=recipe, resume=stopped.run), StopAt(2 * patches + 8))
        (stopped.run / "state.pt").write_bytes(state)
    result = train(config(trained_home, recipe=recipe, resume=stopped.run))
    assert (result.epochs, result.interrupted) == (3, False)
    assert sha256(result.run / "last.safetensors") == sha256(whole / "last.safetensors")
    assert sha256(result.run / "best.safetensors") == sha256(whole / "best.safetensors")
    with (result.run / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def test_stopped_in_the_first_epoch_no_run_is_left(trained_home: Home) -> None:
    progress = StopAt(10)
    with pytest.raises(KeyboardInterrupt):
        train(config(trained_home, name="short"), progress)
    assert not (trained_home.runs / "short").exists()
    assert "no run is kept" in progress.lines[-1]


def test_resuming_with_another_recipe_lists_the_differences(trained_home: Home) -> None:
    run = trained_home.find_run("unet-se")
    recipe = dataclasses.replace(RECIPE, epochs=9, seed=4)
    with pytest.raises(InputError, match="was started with epochs 2, not 9; seed 0, not 4"):
        train(config(trained_home, recipe=recipe, resume=run))


def test_resuming_what_is_not_there_damaged_or_of_other_data(trained_home: Home) -> None:
    run = trained_home.find_run("unet-se")
    dataset = Dataset.load(trained_home.dataset)
    other = dataclasses.replace(dataset.archives[0], sha256="ab" * 32)
    dataclasses.replace(dataset, archives=(other, *dataset.archives[1:])).save()
    with pytest.raises(InputError, match="was started on other data"):
        train(config(trained_home, resume=run))
    dataset.save()
    (run / "history.csv").write_text((run / "history.csv").read_text().split("\n")[0] + "\n")
    with pytest.raises(InputError, match="a history of 0 epochs and a state after 2; train again"):
        train(config(trained_home, resume=run))
    (run / "state.pt").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"state.pt is damaged"):
        train(config(trained_home, resume=run))


def test_a_run_without_its_state_is_neither_begun_again_nor_removed(trained_home: Home) -> None:
    run = trained_home.find_run("unet-se")
    (run / "state.pt").unlink()
    with pytest.raises(InputError, match=r"has finished epochs but no state.pt"):
        train(config(trained_home, resume=run))
    (run / "history.csv").unlink()
    with pytest.raises(KeyboardInterrupt):
        train(config(trained_home, resume=run), StopAt(10))
    assert (run / "best.safetensors").is_file()


def test_a_run_killed_in_its_first_epoch_begins_again(trained_home: Home) -> None:
    whole = trained_home.find_run("unet-se")
    killed = trained_home.make_run("killed")
    RECIPE.save(killed / "recipe.toml")
    train(config(trained_home, resume=killed))
    assert sha256(killed / "last.safetensors") == sha256(whole / "last.safetensors")


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_epoch(
    trained_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(range(1000))

    def fails_in_the_second_epoch(logits: torch.Tensor, *others: Any) -> torch.Tensor:
        value = compute_loss(logits, *others)
        return value * torch.nan if logits.requires_grad and next(steps) == 13 else value

    monkeypatch.setattr(module, "compute_loss", fails_in_the_second_epoch)
    with pytest.raises(TrainingError, match="the loss is nan in epoch 2, batch 2 of 12"):
        train(config(trained_home, name="nan"))
    card = read_card(trained_home.runs / "nan" / "last.safetensors")
    assert card.epoch == 1


def test_weights_that_are_no_numbers_are_not_kept(trained_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    validate = module._validate

    def spoiled(running: TrainSession) -> dict[str, float]:
        if len(running.records) == 1:
            for weight in running.result.parameters():
                weight.data.fill_(torch.nan)
        return validate(running)

    monkeypatch.setattr(module, "_validate", spoiled)
    with pytest.raises(
        TrainingError, match=r"the loss is nan in the validation of epoch 2: .* keeps 1 finished epochs"
    ):
        train(config(trained_home, name="nan"))
    assert read_card(trained_home.runs / "nan" / "last.safetensors").epoch == 1


def test_missing_masks_and_patches_are_built_and_reported(data_home: Home) -> None:
    progress = StopAt(10**6)
    train(config(data_home, recipe=dataclasses.replace(RECIPE, epochs=1)), progress)
    assert progress.lines[0].startswith("made 37 missing masks in ")
    assert progress.lines[1].startswith("cut 148 missing patches into ")


def test_a_run_that_gains_nothing_stops_early_and_resumes_to_the_same(trained_home: Home) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=20, learning_rate=0.5, schedule="plateau", early_stopping=1)
    progress = StopAt(10**6)
    result = train(config(trained_home, recipe=recipe, name="still"), progress)
    assert 1 < result.epochs < 20
    assert not result.interrupted
    assert progress.lines[-1] == "stopped early: 1 epochs did not lower the validation loss"
    weights = sha256(result.run / "last.safetensors")
    assert train(config(trained_home, recipe=recipe, resume=result.run)).epochs == result.epochs
    assert sha256(result.run / "last.safetensors") == weights


def test_training_without_a_data_set_names_the_download(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="get it with: monuseg download"):
        train(config(Home(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_model_learns_two_patches_by_heart() -> None:
    torch.manual_seed(0)
    model = registry.create("unet-se", width=8, depth=2, dropout=0.0)
    images = torch.rand(2, 3, 32, 32)
    targets = (images[:, :1] > 0.6).float()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(150):
        loss = compute_loss(model(images), targets, "bce+dice", "none")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.slow
def test_half_precision_on_a_cpu_is_near_the_full_one_and_resumes(trained_home: Home) -> None:
    full = train(config(trained_home, recipe=RECIPE)).scores
    recipe = dataclasses.replace(RECIPE, amp="bf16")
    half = train(config(trained_home, recipe=recipe, name="half"))
    assert half.scores["loss"] == pytest.approx(full["loss"], rel=0.1)
    stopped = train(config(trained_home, recipe=recipe, name="cut"), StopAt(24 * 4 + 8)).run
    train(config(trained_home, recipe=recipe, resume=stopped))
    assert sha256(stopped / "last.safetensors") == sha256(half.run / "last.safetensors")
    with pytest.raises(InputError, match="`amp=fp16` does not work on cpu"):
        train(config(trained_home, recipe=dataclasses.replace(RECIPE, amp="fp16")))


def test_out_of_memory_proposes_a_smaller_batch(trained_home: Home) -> None:
    class Exhaust(StopAt):
        def advance(self, steps: int = 1) -> None:
            if steps:
                torch.empty(1 << 50)  # more than any machine can address

    with pytest.raises(TrainingError, match="out of memory on cpu with `batch_size=8`: try `batch_size=4`"):
        train(config(trained_home, name="large"), Exhaust(0))


@contextmanager
def long_training(home: Home, name: str, *options: Any) -> Iterator[subprocess.Popen[str]]:
    """Train in a process of its own, one epoch of which is finished."""
    words = ("train", *PATCHES, "--epochs", 500, *options, "--name", name, "--device", "cpu", "--home", home.root)
    process = subprocess.Popen(
        [sys.executable, "-m", "monuseg_cli", *map(str, words)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not (home.runs / name / "state.pt").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no epoch was finished"
            time.sleep(0.1)
        yield process
    finally:
        process.kill()


def require_interrupted(process: subprocess.Popen[str], name: str) -> None:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"Next: monuseg train --resume {name}" in out
    assert all(line.startswith(("unet-se on cpu", "epoch ")) for line in errors.splitlines()), errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal for it")
def test_a_termination_signal_keeps_what_was_learnt(trained_home: Home) -> None:
    with long_training(trained_home, "job") as process:
        process.terminate()
        require_interrupted(process, "job")


def test_signal_handlers_are_put_back(trained_home: Home) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert train(config(trained_home, name="handlers"), StopAt(24 * 4 + 8)).interrupted
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
def test_ctrl_c_ends_workers_with_one_line(trained_home: Home) -> None:
    with long_training(trained_home, "group", "--workers", 1) as process:
        os.killpg(process.pid, signal.SIGINT)
        require_interrupted(process, "group")


def test_a_run_copied_elsewhere_can_be_resumed(trained_home: Home, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=3)
    stopped = train(config(trained_home, recipe=recipe, name="moved"), StopAt(24 * 4 + 8)).run
    shutil.move(stopped, tmp_path / "elsewhere")
    assert train(config(trained_home, recipe=recipe, resume=tmp_path / "elsewhere")).epochs == 3
