"""The training loop."""

import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from monuseg_cli.core.errors import TrainingError
from monuseg_cli.core.home import BEST_WEIGHTS, LAST_WEIGHTS
from monuseg_cli.core.malloc import keep_freed_memory
from monuseg_cli.core.progress import SILENT, Progress, Task
from monuseg_cli.models.devices import limit_threads
from monuseg_cli.training.curves import CURVES_FILE
from monuseg_cli.training.distributed import World, joined
from monuseg_cli.training.history import HISTORY_FILE, EpochRecord, best_epoch
from monuseg_cli.training.losses import compute_loss
from monuseg_cli.training.meter import Meter
from monuseg_cli.training.rng import derive
from monuseg_cli.training.schedule import is_over, learning_rate
from monuseg_cli.training.session import TrainConfig, TrainSession, keep_epoch, set_up
from monuseg_cli.training.teacher import distillation_loss

_SAID_OUT_OF_MEMORY = ("can't allocate memory", "could not create a primitive")
"""Error messages of torch's allocator and of oneDNN on a CPU."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Result of `train`.

    Parameters
    ----------
    run : Path
        Folder of the run.
    epochs : int
        Number of finished epochs, including those before a resume.
    best_epoch : int
        The epoch of highest validation F1, whose weights are saved as the best.
    scores : dict
        Validation loss, accuracy, soft Dice and F1 of that epoch, over patches.
    interrupted : bool
        Whether the training was interrupted.
    """

    run: Path
    epochs: int
    best_epoch: int
    scores: dict[str, float]
    interrupted: bool

    @property
    def files(self) -> tuple[Path, ...]:
        """Best and last weights, and the table and the picture of the learning curves."""
        return tuple(self.run / name for name in (BEST_WEIGHTS, LAST_WEIGHTS, HISTORY_FILE, CURVES_FILE))


def train(config: TrainConfig, progress: Progress = SILENT) -> TrainResult:
    """Train a model; missing masks and patches are built first.

    The run's folder contains ``recipe.toml``, ``history.csv``, ``curves.png``, ``best.safetensors``,
    ``last.safetensors`` and ``state.pt``; all but the recipe are updated after every epoch. An interrupt (Ctrl-C or
    SIGTERM) ends the training; finished epochs are kept. Under torchrun, all processes share one training, and rank
    zero writes and reports.

    Raises
    ------
    MissingError
        If the data set, a case of the recipe, or the run to resume does not exist.
    InputError
        If the recipe or the data differ from those of the resumed run.
    TrainingError
        If the loss is no longer finite, memory is exhausted, or another process of a distributed training ends;
        finished epochs are kept.
    ContaminationError
        If the initial weights were trained on a validation case.
    OutputError
        If the run's folder cannot be written.
    """
    keep_freed_memory()
    limit_threads(config.threads)
    with joined(config.device) as world, _ended_by_sigterm():
        return _train(config, world, progress if world.is_first else SILENT)


def _train(config: TrainConfig, world: World, progress: Progress) -> TrainResult:
    running = set_up(config, world, progress)
    recipe, records, crops = running.recipe, running.records, running.training.crops
    processes = f" in {world.world_size} processes" if world.world_size > 1 else ""
    place = f"{world.device}{processes}{f', threads: {config.threads}' if config.threads else ''}"
    progress.info(f"{recipe.arch} on {place}, {running.train_cases} train cases: {running.run}")
    interrupted = False
    try:
        with progress.task(running.run.name, recipe.epochs * crops, "patches") as task:
            task.advance(len(records) * crops)
            for epoch in range(len(records) + 1, recipe.epochs + 1):
                if is_over(recipe, running.val_losses):
                    progress.info(f"stopped early: {recipe.early_stopping} epochs did not lower the validation loss")
                    break
                with _fitting_in_memory(running):
                    record = _run_epoch(running, epoch, task)
                keep_epoch(running, record)
                progress.info(_epoch_line(record, recipe.epochs))
    except KeyboardInterrupt:
        if not records and config.resume is None and world.world_size == 1:
            shutil.rmtree(running.run)
            progress.warn("stopped before the first epoch was finished: no run is kept")
        if not records or world.world_size > 1:
            raise
        interrupted = True
    best = best_epoch(records)
    return TrainResult(running.run, len(records), best.epoch, best.validation_scores(), interrupted)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Treat SIGTERM, with which schedulers end a job, like Ctrl-C; only possible in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _fitting_in_memory(running: TrainSession) -> Iterator[None]:
    """Convert out-of-memory errors of torch into a TrainingError with a remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError, like that of the CPU
        is_named = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not is_named and not any(said in str(error) for said in _SAID_OUT_OF_MEMORY):
            raise
        batch = running.recipe.batch_size
        smaller = f"`batch_size={batch // 2}`" if batch > 1 else "`crop_px=128`"
        message = f"out of memory on {running.world.device} with `batch_size={batch}`: try {smaller}"
        raise TrainingError(message) from error


def _run_epoch(running: TrainSession, epoch: int, task: Task) -> EpochRecord:
    """Train on the crops of an epoch, then validate."""
    recipe, world, batches = running.recipe, running.world, len(running.training)
    # Every epoch is seeded separately, so that a resumed run draws the same numbers as an uninterrupted one.
    torch.manual_seed(int(derive("step", recipe.seed, epoch, world.rank).integers(1 << 62)))
    meter = Meter()
    began = time.perf_counter()
    seen, waited = 0, 0.0
    running.network.train()
    with closing(running.training.epoch(epoch)) as training:
        for step in range(batches):
            asked = time.perf_counter()
            images, targets = next(training)
            waited += time.perf_counter() - asked
            rate = learning_rate(recipe, (epoch - 1) * batches + step, recipe.epochs * batches, running.val_losses)
            loss = _step(running, images, targets.to(world.device), rate, meter)
            _require_finite(running, loss, f"epoch {epoch}, batch {step + 1} of {batches}")
            seen += len(images) * world.world_size
            task.advance(len(images) * world.world_size)
            task.status(f"epoch {epoch}/{recipe.epochs}  loss {loss:.4f}{_last_dice(running.records)}")
    seconds = time.perf_counter() - began
    validation = _validate(running)
    _require_finite(running, validation["loss"], f"the validation of epoch {epoch}")
    return EpochRecord(
        epoch=epoch,
        learning_rate=rate,
        seconds=seconds,
        patches_per_second=seen / seconds,
        data_wait=waited / seconds,
        **meter.scores(world),
        **{f"val_{name}": score for name, score in validation.items()},
    )


def _require_finite(running: TrainSession, loss: float, where: str) -> None:
    if not math.isfinite(loss):
        message = (
            f"the loss is {loss} in {where}: {running.run} keeps {len(running.records)} finished epochs; "
            "try a lower `learning_rate`"
        )
        raise TrainingError(message)


def _step(running: TrainSession, images: Tensor, targets: Tensor, rate: float, meter: Meter) -> float:
    """Take one optimiser step on images (N, 3, P, P) and targets (N, C, P, P).

    Returns the loss over all processes, with the share of the teacher; if it is not finite, no step is taken. The meter
    gets the loss without it, as in a validation.
    """
    for group in running.optimizer.param_groups:
        group["lr"] = rate
    logits = running.logits(running.network, images)
    annotated = compute_loss(logits, targets, running.recipe.loss, running.recipe.aux_target)
    teacher = running.teacher_logits(images)
    loss = annotated
    if teacher is not None:
        loss = torch.lerp(annotated, distillation_loss(logits, teacher), running.recipe.teacher_weight)
    value = running.world.sum(loss.detach()).item() / running.world.world_size
    if math.isfinite(value):
        running.optimizer.zero_grad()
        running.scaler.scale(loss).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        running.scaler.step(running.optimizer)
        running.scaler.update()
        if running.averaged:
            running.averaged.update_parameters(running.model)
        meter.add(annotated.detach(), logits.detach(), targets)
    return value


@torch.no_grad()
def _validate(running: TrainSession) -> dict[str, float]:
    meter = Meter()
    model = running.result.eval()
    for module in (running.model, model):
        running.world.sync_buffers(module)  # batch norm statistics differ, since each process saw other crops
    for images, targets in running.validation:
        targets = targets.to(running.world.device)
        logits = running.logits(model, images)
        meter.add(compute_loss(logits, targets, running.recipe.loss, running.recipe.aux_target), logits, targets)
    return meter.scores(running.world)


def _last_dice(records: list[EpochRecord]) -> str:
    return f"  val Dice {records[-1].val_dice:.4f}" if records else ""


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    return (
        f"epoch {record.epoch}/{epochs}  loss {record.loss:.4f}  val loss {record.val_loss:.4f}  "
        f"val Dice {record.val_dice:.4f}  val F1 {record.val_f1:.4f}  {record.patches_per_second:.1f} patches/s"
    )
