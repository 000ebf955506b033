"""The training loop."""

import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from monuseg_cli.errors import TrainingError
from monuseg_cli.progress import SILENT, Progress, Task
from monuseg_cli.training.history import EpochRecord, best_epoch
from monuseg_cli.training.losses import compute_loss
from monuseg_cli.training.meter import Meter
from monuseg_cli.training.running import Running, TrainConfig, keep_epoch, set_up
from monuseg_cli.training.schedule import is_over, learning_rate


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
    running = set_up(config, progress)
    recipe, records = running.recipe, running.records
    progress.info(f"{recipe.arch} on {running.device}, {len(recipe.train_cases())} train cases: {running.run}")
    interrupted = False
    try:
        with progress.task(running.run.name, recipe.epochs * running.patches, "patches") as task:
            task.advance(len(records) * running.patches)
            for epoch in range(len(records) + 1, recipe.epochs + 1):
                if is_over(recipe, running.val_losses):
                    progress.info(f"stopped early: {recipe.early_stopping} epochs did not lower the validation loss")
                    break
                record = _run_epoch(running, epoch, task)
                keep_epoch(running, record)
                progress.info(_epoch_line(record, recipe.epochs))
    except KeyboardInterrupt:
        if not records:
            shutil.rmtree(running.run)
            progress.warn("stopped before the first epoch was finished: nothing was learnt, and no run is kept")
            raise
        interrupted = True
    best = best_epoch(records)
    return TrainResult(running.run, len(records), best.epoch, best.validation_scores(), interrupted)


def _run_epoch(running: Running, epoch: int, task: Task) -> EpochRecord:
    """Go through all train patches once, then validate."""
    recipe, batches = running.recipe, len(running.training)
    # Every epoch has random numbers of its own, so that a resumed run draws those of an uninterrupted one.
    torch.manual_seed(int(np.random.default_rng([recipe.seed, epoch]).integers(1 << 62)))
    meter = Meter()
    began = time.perf_counter()
    seen = 0
    running.model.train()
    for step, (images, targets) in enumerate(running.training.epoch(epoch)):
        rate = learning_rate(recipe, (epoch - 1) * batches + step, recipe.epochs * batches, running.val_losses)
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


def _require_finite(running: Running, loss: float, where: str) -> None:
    if not math.isfinite(loss):
        message = (
            f"the loss is {loss} in {where}: {running.run} keeps {len(running.records)} finished epochs; "
            "try a lower --learning-rate"
        )
        raise TrainingError(message)


def _step(running: Running, images: Tensor, targets: Tensor, rate: float, meter: Meter) -> float:
    """Take one step; images (N, 3, P, P), targets (N, 1, P, P). Gives the loss, with no step taken if not finite."""
    for group in running.optimizer.param_groups:
        group["lr"] = rate
    logits = running.model(running.to_network(images))
    loss = compute_loss(logits, targets, running.recipe.loss)
    value = loss.item()
    if math.isfinite(value):
        running.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        running.optimizer.step()
        meter.add(loss.detach(), logits.detach(), targets)
    return value


@torch.no_grad()
def _validate(running: Running) -> dict[str, float]:
    meter = Meter()
    running.model.eval()
    for images, targets in running.validation:
        targets = targets.to(running.device)
        logits = running.model(running.to_network(images))
        meter.add(compute_loss(logits, targets, running.recipe.loss), logits, targets)
    return meter.scores()


def _last_dice(records: list[EpochRecord]) -> str:
    return f"  val Dice {records[-1].val_dice:.4f}" if records else ""


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    return (
        f"epoch {record.epoch}/{epochs}  loss {record.loss:.4f}  val loss {record.val_loss:.4f}  "
        f"val Dice {record.val_dice:.4f}  val F1 {record.val_f1:.4f}  {record.patches_per_second:.1f} patches/s"
    )
