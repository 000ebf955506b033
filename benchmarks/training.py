"""Measure how well a training uses the machine.

usage: python benchmarks/training.py rate HOME [ROUNDS]
       python benchmarks/training.py memory HOME
       python benchmarks/training.py flops [ARCH ...]
       python benchmarks/training.py depthwise

HOME is a folder that `monuseg download --home HOME` filled. Nothing else should run on the machine meanwhile.

rate
    Patches a second of an epoch of `monuseg train --arch unet-se --batch-size 16` (default recipe) against a plain
    PyTorch loop over the same model, loss and optimizer: PNG patches read by a Dataset, varied by the same
    functions in two worker processes, channels-last. In turns. Also: the share of the time waited for crops.
memory
    Peak memory of `monuseg train --arch unet-se --epochs 1`, all processes summed, for 24 train cases (of 30), 31 (of
    37) and a store in which every patch of the 37 is there four times.
flops
    FLOPs that each architecture's training step needs a second, over the machine's float32 rate in a matrix product of
    2048 cubed, and where the time goes. A step is forward, backward (counted as twice forward) and the optimizer.
depthwise
    Patches a second under `--amp bf16`, of torch's own depthwise convolutions and of this toolkit's, in turns.
"""

import copy
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import machine
import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from monuseg_cli.core.home import Home
from monuseg_cli.core.malloc import keep_freed_memory
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.dataset.patches import PatchStore
from monuseg_cli.dataset.prepare import prepare_patches
from monuseg_cli.models import registry
from monuseg_cli.models.blocks import DepthwiseConv2d
from monuseg_cli.models.devices import to_device
from monuseg_cli.training.augment import augment
from monuseg_cli.training.history import read_history
from monuseg_cli.training.losses import compute_loss
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.targets import CLASSES, make_targets

THREADS = 2
BATCHES = {"unet": 8, "unet-se": 16, "unet-efficientnet": 8, "segnet": 8, "deeplabv3": 4, "deeplabv3-mobilenet": 16}


class PngPatches(Dataset[tuple[Tensor, Tensor]]):
    """The plain solution: a folder of images, read one by one."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.images = sorted(folder.glob("*_image.png"))
        self.recipe = recipe
        self.crops = len(recipe.monuseg_cases()[0]) * recipe.crops_per_case

    def __len__(self) -> int:
        """Return the number of crops."""
        return self.crops

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        """Read a pair of pictures and crop it."""
        path = self.images[position % len(self.images)]
        image = imagecodecs.png_decode(path.read_bytes())
        labels = imagecodecs.png_decode(path.with_name(path.name.replace("_image", "_labels")).read_bytes())
        image, labels = augment(image, labels.astype(np.int32), self.recipe, np.random.default_rng())
        targets = make_targets(labels, self.recipe.aux_target)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(targets)


def write_pngs(store: PatchStore, recipe: Recipe, folder: Path) -> None:
    """Write the train patches as pairs of pictures."""
    for index in store.of_cases(recipe.monuseg_cases()[0]):
        image, labels = store.read(int(index))
        (folder / f"{index:05d}_image.png").write_bytes(imagecodecs.png_encode(image))
        (folder / f"{index:05d}_labels.png").write_bytes(imagecodecs.png_encode(labels.astype(np.uint16)))


def plain_epoch(folder: Path, recipe: Recipe) -> float:
    """Train for an epoch in a plain loop; return patches per second, without the start of the workers."""
    model = _model(recipe.arch, recipe)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate)
    loader = DataLoader(PngPatches(folder, recipe), recipe.batch_size, shuffle=True, num_workers=2)
    seen, began = 0, 0.0
    for images, targets in loader:
        if not began:
            began = time.perf_counter()
        else:
            seen += len(images)
        images = images.to(memory_format=torch.channels_last)
        loss = compute_loss(model(images), targets, recipe.loss, recipe.aux_target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        optimizer.step()
    return (seen + recipe.batch_size) / (time.perf_counter() - began)


def _model(arch: str, recipe: Recipe) -> torch.nn.Module:
    architecture = registry.get(arch)
    dropout: dict[str, Any] = {"dropout": recipe.dropout} if "dropout" in architecture.defaults else {}
    model = registry.create(arch, out_channels=len(CLASSES[recipe.aux_target]), **dropout)
    to_device(model, torch.device("cpu"))
    return model.train()


def train_once(home: Home, name: str, *words: object) -> Path:
    """Run the command; return the run's folder."""
    command = _train_command(home, name, *words)
    subprocess.run(command, check=True, capture_output=True, env=_environment())
    return home.runs / name


def _train_command(home: Home, name: str, *words: object) -> list[str]:
    shutil.rmtree(home.runs / name, ignore_errors=True)
    options = ("--arch", "unet-se", "--epochs", 1, "--device", "cpu", "--name", name, "--home", home.root)
    return [sys.executable, "-m", "monuseg_cli", "train", *map(str, options), *map(str, words)]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(THREADS)}


def rate(home: Home, rounds: int) -> None:
    """Take turns, so that the ratio holds when the machine's speed drifts."""
    recipe = Recipe(batch_size=16)
    store = prepare_patches(PatchesConfig(home.dataset, recipe.patch_px, recipe.stride_px))
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        write_pngs(store, recipe, Path(folder))
        for _ in range(rounds):
            # A process of its own, as the command is: what one of them does to memory must not help the other.
            command = [sys.executable, __file__, "plain", folder]
            plain = float(subprocess.run(command, check=True, capture_output=True, env=_environment()).stdout)
            record = read_history(train_once(home, "benchmark-rate", "--batch-size", 16))[0]
            ratios.append(record.patches_per_second / plain)
            print(
                f"plain {plain:5.2f}   monuseg train {record.patches_per_second:5.2f} patches/s   "
                f"ratio {ratios[-1]:.2f}   waited for crops {record.data_wait:.1%}"
            )
    print(f"median ratio {statistics.median(ratios):.2f} (bar: 1.15; wait: 5 %)")


def memory(home: Home) -> None:
    """Run one epoch for each size of the train set, and watch the whole tree of processes."""
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        larger = Home(Path(folder))
        shutil.copytree(home.dataset, larger.dataset)
        _quadruple(PatchesConfig(larger.dataset).folder)
        for name, words, where in (
            ("24 of 30 cases", ("--train-set", 30), home),
            ("31 of 37 cases", ("--train-set", 37), home),
            ("31 of 37 cases, four times", ("--train-set", 37), larger),
        ):
            peaks[name] = machine.run(_train_command(where, "benchmark-memory", *words), _environment())[1]
            print(f"{name:30s} {peaks[name] / 2**30:.2f} GiB", flush=True)
    print(f"largest over smallest {max(peaks.values()) / min(peaks.values()):.3f}")


def _quadruple(folder: Path) -> None:
    """Write every patch of a store four times."""
    for name in ("images", "labels"):
        array = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", np.concatenate([array] * 4))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["patches"] *= 4
    (folder / "manifest.json").write_text(json.dumps(manifest))


def flops(names: list[str]) -> None:
    """Print, for every architecture, a line for the table and a short profile."""
    keep_freed_memory()
    for name in names:
        _measure_step(name, BATCHES[name])


def _stepper(model: torch.nn.Module, batch: int, recipe: Recipe) -> Callable[[], None]:
    """Return a function that takes a training step on random patches."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    images = torch.rand(batch, 3, 256, 256).to(memory_format=torch.channels_last)
    targets = (torch.rand(batch, len(CLASSES[recipe.aux_target]), 256, 256) > 0.7).float()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.amp == "bf16"):
            logits = model(images)
        loss = compute_loss(logits.float(), targets, recipe.loss, recipe.aux_target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        optimizer.step()

    step()  # the first one makes the kernels
    return step


def _measure_step(name: str, batch: int) -> None:
    recipe = Recipe()
    model = _model(name, recipe)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(2, 3, 256, 256))
    forward = counter.get_total_flops() / 2
    step = _stepper(model, batch, recipe)
    seconds, rates = [], []
    for _ in range(5):
        rates.append(machine.matmul_rate())
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    patches = batch / statistics.median(seconds)
    rate = statistics.median(rates)
    print(
        f"{name:20s} batch {batch:2d}   {forward / 1e9:6.2f} GFLOP forward   {patches:6.2f} patches/s   "
        f"{3 * forward * patches / 1e9:6.1f} of {rate / 1e9:.1f} GFLOP/s = {3 * forward * patches / rate:.2f}"
    )
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    for event in events[:6]:
        print(f"    {event.self_cpu_time_total / total:5.1%}  {event.key}")


def depthwise() -> None:
    """Take turns, so that the ratio holds when the machine's speed drifts."""
    keep_freed_memory()
    recipe = Recipe(amp="bf16")
    for name in ("deeplabv3-mobilenet", "unet-efficientnet"):
        ours = _model(name, recipe)
        plain = copy.deepcopy(ours)
        for layer in plain.modules():
            if isinstance(layer, DepthwiseConv2d):
                layer.__class__ = torch.nn.Conv2d  # type: ignore[assignment] # a subclass that only computes otherwise
        steps = {"plain": _stepper(plain, recipe.batch_size, recipe), "ours": _stepper(ours, recipe.batch_size, recipe)}
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for _ in range(8):
            for which, step in steps.items():
                began = time.perf_counter()
                step()
                seconds[which].append(time.perf_counter() - began)
        rates = {which: recipe.batch_size / statistics.median(taken) for which, taken in seconds.items()}
        print(f"{name:20s} plain {rates['plain']:5.2f}   ours {rates['ours']:5.2f} patches/s", end="   ")
        print(f"ratio {rates['ours'] / rates['plain']:.2f}")


def main() -> None:
    """Run the benchmark named on the command line."""
    torch.set_num_threads(THREADS)
    match sys.argv[1:]:
        case ["rate", home, *rounds]:
            rate(Home(Path(home)), int(rounds[0]) if rounds else 3)
        case ["plain", folder]:
            print(plain_epoch(Path(folder), Recipe(batch_size=16)))
        case ["memory", home]:
            memory(Home(Path(home)))
        case ["flops", *names]:
            flops(names or list(BATCHES))
        case ["depthwise"]:
            depthwise()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
