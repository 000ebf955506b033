"""The training loop."""

import math
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from monuseg_cli import __version__
from monuseg_cli.dataset.catalog import ATTRIBUTION, LICENCE
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.dataset.manifest import Dataset, SourceArchive
from monuseg_cli.dataset.prepare import prepare_patches
from monuseg_cli.errors import InputError, TrainingError
from monuseg_cli.models import registry
from monuseg_cli.models.devices import Device, pick_device, place
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import Card, save_weights
from monuseg_cli.paths import BEST_WEIGHTS, LAST_WEIGHTS, RECIPE_FILE, Home, require_run_name
from monuseg_cli.progress import SILENT, Progress, Task
from monuseg_cli.training.checkpoint import STATE_FILE, Checkpoint
from monuseg_cli.training.data import TrainBatches, validation_batches
from monuseg_cli.training.history import EpochRecord, draw_curves, read_history, write_history
from monuseg_cli.training.losses import compute_loss
from monuseg_cli.training.meter import Meter
from monuseg_cli.training.recipe import Recipe

TRAIN_MPP = 0.25
"""Micrometres per pixel of the 40x images; MoNuSeg's 40x cases state 0.2456 to 0.2527."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_WARMUP_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What `train` does.

    Parameters
    ----------
    home : Home
        Where the data set is, and where the run goes.
    recipe : Recipe
        How to train. With `resume` it must be the one that the run was begun with.
    name : str, optional
        Name of the new run; None: the architecture's. A resumed run keeps its own.
    resume : Path, optional
        Folder of a run to go on with, instead of a new one.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    """

    home: Home
    recipe: Recipe
    name: str | None = None
    resume: Path | None = None
    device: Device = "auto"


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of a training.

    Parameters
    ----------
    run : Path
        Its folder.
    epochs : int
        Epochs finished, over all sittings.
    best_epoch : int
        The epoch of highest validation F1, whose weights are the best.
    scores : dict
        Validation loss, accuracy, soft Dice and F1 of that epoch, over patches.
    interrupted : bool
        Whether the user stopped it early.
    """

    run: Path
    epochs: int
    best_epoch: int
    scores: dict[str, float]
    interrupted: bool


def train(config: TrainConfig, progress: Progress = SILENT) -> TrainResult:
    """Train a model; masks and patches that are missing are made first.

    The run's folder holds ``recipe.toml``, ``history.csv``, ``curves.png``, ``best.safetensors``,
    ``last.safetensors`` and ``state.pt``, each written anew after every epoch. An interrupt (Ctrl-C) ends the training;
    the epochs that are finished are kept.

    Raises
    ------
    MissingError
        If the data set, a case of the recipe, or the run to resume is not there.
    InputError
        If the recipe is not the resumed run's, or its data are others.
    TrainingError
        If the loss stops being a finite number; the last finished epoch is kept.
    OutputError
        If the run's folder cannot be written.
    """
    running = _set_up(config, progress)
    recipe, records = running.recipe, running.records
    progress.info(f"{recipe.arch} on {running.device}, {len(recipe.train_cases())} train cases: {running.run}")
    interrupted = False
    try:
        with progress.task(running.run.name, recipe.epochs * running.patches, "patches") as task:
            task.advance(len(records) * running.patches)
            for epoch in range(len(records) + 1, recipe.epochs + 1):
                record = _run_epoch(running, epoch, task)
                _keep_epoch(running, record)
                progress.info(_epoch_line(record, recipe.epochs))
    except KeyboardInterrupt:
        if not records:
            shutil.rmtree(running.run)
            progress.warn("stopped before the first epoch was finished: nothing was learnt, and no run is kept")
            raise
        interrupted = True
    best = _best(records)
    return TrainResult(running.run, len(records), best.epoch, best.validation_scores(), interrupted)


@dataclass(frozen=True, slots=True)
class _Running:
    """Everything that the loop holds in its hands."""

    run: Path
    recipe: Recipe
    device: torch.device
    model: nn.Module
    optimizer: torch.optim.Optimizer
    training: TrainBatches
    validation: DataLoader[tuple[Tensor, Tensor]]
    card: Card
    records: list[EpochRecord]

    @property
    def patches(self) -> int:
        """Patches of an epoch."""
        return self.training.patches

    def to_network(self, images: Tensor) -> Tensor:
        """Bring images (N, 3, P, P), within 0..1, to the device, normalised as the card says."""
        images = images.to(self.device, memory_format=torch.channels_last)
        return normalise(images, self.card)


def _set_up(config: TrainConfig, progress: Progress) -> _Running:
    recipe = config.recipe
    require_run_name(config.name or recipe.arch)
    if config.resume:
        _require_same_recipe(config.resume, recipe)
    device = pick_device(config.device)
    source = _require_data(config.home, recipe)
    store = prepare_patches(
        PatchesConfig(config.home.dataset, recipe.patch_px, recipe.stride_px, recipe.edge), progress
    )
    min_batch = registry.get(recipe.arch).min_train_batch
    training = TrainBatches(store, store.of_cases(recipe.train_cases()), recipe, min_batch)
    if not len(training):
        message = f"{training.patches} patches are too few for a batch of {min_batch}, which {recipe.arch} needs"
        raise InputError(message)
    torch.manual_seed(recipe.seed)
    options: dict[str, Any] = dict(recipe.options)
    model = registry.create(recipe.arch, pretrained=recipe.pretrained and not config.resume, **options)
    place(model, device)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    validation = validation_batches(store, store.of_cases(recipe.val_cases()), recipe.batch_size)
    card = _card(recipe, source)
    records = _restore(config.resume, model, optimizer, source) if config.resume else []
    return _Running(
        run=config.resume or _new_run(config),
        recipe=recipe,
        device=device,
        model=model,
        optimizer=optimizer,
        training=training,
        validation=validation,
        card=card,
        records=records,
    )


def _require_same_recipe(run: Path, recipe: Recipe) -> None:
    begun, wanted = Recipe.load(run / RECIPE_FILE).to_dict(), recipe.to_dict()
    differences = [f"{name} {begun[name]!r}, not {wanted[name]!r}" for name in begun if begun[name] != wanted[name]]
    if differences:
        message = f"{run} was begun with {'; '.join(differences)}: go on with its own recipe, or train a new run"
        raise InputError(message)


def _require_data(home: Home, recipe: Recipe) -> SourceArchive:
    dataset = Dataset.load(home.dataset)
    dataset.of_split("train")
    dataset.select(recipe.train_cases() + recipe.val_cases())
    source = dataset.archive_of("train")
    assert source is not None
    return source


def _new_run(config: TrainConfig) -> Path:
    run = config.home.make_run(config.name or config.recipe.arch)
    config.recipe.save(run / RECIPE_FILE)
    return run


def _card(recipe: Recipe, source: SourceArchive) -> Card:
    architecture = registry.get(recipe.arch)
    card = Card(
        architecture=recipe.arch,
        options={**architecture.options, **recipe.options},
        mpp=TRAIN_MPP,
        licence=LICENCE,
        attribution=ATTRIBUTION,
        train_set=recipe.train_set,
        train_cases=recipe.train_cases(),
        val_cases=recipe.val_cases(),
        data_sha256=source.sha256,
        data_verified=source.verified,
        epoch=0,
        scores={},
        recipe=recipe.to_dict(),
        version=__version__,
    )
    return replace(card, mean=_IMAGENET_MEAN, std=_IMAGENET_STD) if recipe.pretrained else card


def _restore(run: Path, model: nn.Module, optimizer: torch.optim.Optimizer, source: SourceArchive) -> list[EpochRecord]:
    """Bring model and optimizer to the state after the last finished epoch, and give the history up to it.

    A run that was killed in its first epoch has no state, and begins again: all it depends on is its recipe.
    """
    if not (run / STATE_FILE).exists():
        return []
    checkpoint = Checkpoint.load(run)
    if checkpoint.data_sha256 != source.sha256:
        message = f"{run} was begun on other data (archive {checkpoint.data_sha256[:12]}, here {source.sha256[:12]})"
        raise InputError(message)
    # The state is written last: where the history is one epoch ahead, that epoch is run again.
    records = read_history(run)[: checkpoint.epoch]
    if len(records) < checkpoint.epoch:
        message = f"{run} has a history of {len(records)} epochs and a state after {checkpoint.epoch}; train anew"
        raise InputError(message)
    model.load_state_dict(checkpoint.model)
    optimizer.load_state_dict(checkpoint.optimizer)
    return records


def _run_epoch(running: _Running, epoch: int, task: Task) -> EpochRecord:
    """Go through all train patches once, then validate."""
    recipe, batches = running.recipe, len(running.training)
    # Every epoch has random numbers of its own, so that a resumed run draws those of an uninterrupted one.
    torch.manual_seed(int(np.random.default_rng([recipe.seed, epoch]).integers(1 << 62)))
    meter = Meter()
    began = time.perf_counter()
    seen = 0
    running.model.train()
    for step, (images, targets) in enumerate(running.training.epoch(epoch)):
        rate = learning_rate(recipe, (epoch - 1) * batches + step, recipe.epochs * batches)
        loss = _step(running, images, targets.to(running.device), rate, meter)
        _require_finite(running, loss, f"epoch {epoch}, batch {step + 1} of {batches}")
        seen += len(images)
        task.advance(len(images))
        task.status(f"epoch {epoch}/{recipe.epochs}  loss {loss:.4f}{_last_dice(running.records)}")
    seconds = time.perf_counter() - began
    validation = _validate(running)
    _require_finite(running, validation["loss"], f"the validation of epoch {epoch}")
    return EpochRecord(
        epoch=epoch,
        learning_rate=rate,
        seconds=seconds,
        patches_per_second=seen / seconds,
        **meter.scores(),
        **{f"val_{name}": score for name, score in validation.items()},
    )


def _require_finite(running: _Running, loss: float, where: str) -> None:
    if not math.isfinite(loss):
        message = (
            f"the loss is {loss} in {where}: {running.run} keeps {len(running.records)} finished epochs; "
            "try a lower --learning-rate"
        )
        raise TrainingError(message)


def _step(running: _Running, images: Tensor, targets: Tensor, rate: float, meter: Meter) -> float:
    """Take one step; images (N, 3, P, P), targets (N, 1, P, P). Gives the loss, with no step taken if not finite."""
    for group in running.optimizer.param_groups:
        group["lr"] = rate
    logits = running.model(running.to_network(images))
    loss = compute_loss(logits, targets, running.recipe.loss)
    value = loss.item()
    if math.isfinite(value):
        running.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        running.optimizer.step()
        meter.add(loss.detach(), logits.detach(), targets)
    return value


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Give the learning rate of step `step` (from 0) of `steps` in the whole training."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    warmup = _WARMUP_SHARE * steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (math.floor(warmup) + 1)
    progress = (step - warmup) / (steps - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def _validate(running: _Running) -> dict[str, float]:
    meter = Meter()
    running.model.eval()
    for images, targets in running.validation:
        targets = targets.to(running.device)
        logits = running.model(running.to_network(images))
        meter.add(compute_loss(logits, targets, running.recipe.loss), logits, targets)
    return meter.scores()


def _keep_epoch(running: _Running, newest: EpochRecord) -> None:
    """Write weights, history, curves and, last, the state after the newest epoch."""
    run, records = running.run, [*running.records, newest]
    card = replace(running.card, epoch=newest.epoch, scores=newest.validation_scores())
    state = running.model.state_dict()
    save_weights(run / LAST_WEIGHTS, state, card)
    if _best(records) is newest:
        save_weights(run / BEST_WEIGHTS, state, card)
    write_history(run, records)
    draw_curves(run, records)
    Checkpoint(newest.epoch, state, running.optimizer.state_dict(), card.data_sha256).save(run)
    running.records.append(newest)


def _best(records: list[EpochRecord]) -> EpochRecord:
    """Give the epoch of highest validation F1, of equal ones the first."""
    return max(records, key=lambda record: record.val_f1)


def _last_dice(records: list[EpochRecord]) -> str:
    return f"  val Dice {records[-1].val_dice:.4f}" if records else ""


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    return (
        f"epoch {record.epoch}/{epochs}  loss {record.loss:.4f}  val loss {record.val_loss:.4f}  "
        f"val Dice {record.val_dice:.4f}  val F1 {record.val_f1:.4f}  {record.patches_per_second:.1f} patches/s"
    )
