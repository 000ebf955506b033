"""Trainings of two real processes, started by torchrun as a user would."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from conftest import PATCHES
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.dataset.patches import PatchStore
from monuseg_cli.models.weights import load_model
from monuseg_cli.training.data import validation_batches
from monuseg_cli.training.distributed import World
from monuseg_cli.training.history import read_history
from monuseg_cli.training.losses import compute_loss
from monuseg_cli.training.meter import Meter
from monuseg_cli.training.recipe import Recipe

TESTS = Path(__file__).parents[1]
_PATH = os.pathsep.join([str(TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
# A loss, and variation, that do not depend on how a batch is shared.
COMPARABLE = (*PATCHES, "--arch", "unet-still", "--loss", "bce", "--aux-target", "none", "--device", "cpu")


def start(home: Home, *words: object, world_size: int) -> subprocess.Popen[str]:
    torchrun = (
        ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world_size}") if world_size > 1 else ()
    )
    command = [sys.executable, *torchrun, "-m", "support.still", *words, "--home", home.root]
    return subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, "PYTHONPATH": _PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_batch_4_are_one_at_batch_8(trained_home: Home) -> None:
    alone = start(trained_home, "train", *COMPARABLE, "--epochs", 2, "--batch-size", 8, "--name", "one", world_size=1)
    shared = start(trained_home, "train", *COMPARABLE, "--epochs", 2, "--batch-size", 4, "--name", "two", world_size=2)
    for process in (alone, shared):
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert out.count("Best: epoch") == 1  # one process prints
    one, two = (load_file(trained_home.runs / name / "last.safetensors") for name in ("one", "two"))
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-3, atol=1e-5)
    for mine, theirs in zip(*(read_history(trained_home.runs / name) for name in ("one", "two")), strict=True):
        for score in ("loss", "accuracy", "dice", "f1", "val_loss", "val_accuracy", "val_dice", "val_f1"):
            assert getattr(theirs, score) == pytest.approx(getattr(mine, score), abs=1e-4)


def test_all_processes_validate_with_the_norms_that_are_kept(trained_home: Home) -> None:
    words = ("--arch", "unet-se", "--ema-decay", 0, "--loss", "bce", "--learning-rate", 0.02, "--device", "cpu")
    process = start(trained_home, "train", *PATCHES, *words, "--epochs", 1, "--name", "norms", world_size=2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    run = trained_home.runs / "norms"
    (record,) = read_history(run)
    recipe = Recipe.load(run / "recipe.toml")
    store = PatchStore.load(PatchesConfig(trained_home.dataset, recipe.patch_px, recipe.stride_px).folder)
    model, _ = load_model(run / "last.safetensors")
    meter = Meter()
    with torch.inference_mode():
        for images, targets in validation_batches(store, store.of_cases(recipe.monuseg_cases()[1]), recipe):
            logits = model(images)
            meter.add(compute_loss(logits, targets, recipe.loss, recipe.aux_target), logits, targets)
    scores = meter.scores(World(torch.device("cpu")))
    assert scores["loss"] == pytest.approx(record.val_loss, rel=1e-4)
    assert scores["dice"] == pytest.approx(record.val_dice, rel=1e-4)


def test_a_process_that_dies_ends_the_run_with_one_line_and_it_can_be_resumed(trained_home: Home) -> None:
    run = trained_home.runs / "long"
    process = start(trained_home, "train", *COMPARABLE, "--epochs", 500, "--name", "long", world_size=2)
    deadline = time.monotonic() + 60
    while not (run / "state.pt").exists():
        assert time.monotonic() < deadline, "no epoch was finished"
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    world_size = {environment(child).get("RANK"): int(child) for child in children}
    os.kill(world_size["1"], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, errors
    assert lines[0].startswith("error: the training was stopped, or one of its processes died; the finished epochs")
    finished = len(read_history(run))
    assert finished >= 1
    alone = start(trained_home, "train", "--resume", "long", "--device", "cpu", world_size=1)
    differs = "was started with 2 processes, not 1, so its steps would differ"
    way = "start 2 processes with torchrun, or start a new run from its weights with --init long"
    assert f"{differs}; {way}" in alone.communicate(timeout=60)[1]
    again = start(trained_home, "train", "--resume", "long", "--device", "cpu", world_size=2)
    while len(read_history(run)) <= finished:
        assert again.poll() is None, again.communicate()[1]
        time.sleep(0.1)
    again.terminate()
    again.communicate(timeout=60)


def environment(process: str) -> dict[str, str]:
    entries = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def test_what_all_processes_find_wrong_is_said_once(trained_home: Home) -> None:
    process = start(trained_home, "train", "--resume", "gone", world_size=2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.count("error: no run named 'gone'") == 1
    process = start(trained_home, "train", *COMPARABLE, "--amp", "fp16", world_size=2)
    _, errors = process.communicate(timeout=60)
    assert errors.count("error: --amp fp16 does not work on cpu, which takes: none, bf16") == 1
