"""A training between its steps: set up anew or from its last finished epoch, and kept after every epoch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from monuseg_cli import __version__
from monuseg_cli.dataset.catalog import ATTRIBUTION, LICENCE
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.dataset.manifest import Dataset, SourceArchive
from monuseg_cli.dataset.prepare import prepare_patches
from monuseg_cli.errors import InputError
from monuseg_cli.models import registry
from monuseg_cli.models.devices import Device, pick_device, place
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import Card, save_weights
from monuseg_cli.paths import BEST_WEIGHTS, LAST_WEIGHTS, RECIPE_FILE, Home, require_run_name
from monuseg_cli.progress import Progress
from monuseg_cli.training.checkpoint import STATE_FILE, Checkpoint
from monuseg_cli.training.data import TrainBatches, validation_batches
from monuseg_cli.training.history import EpochRecord, best_epoch, draw_curves, read_history, write_history
from monuseg_cli.training.recipe import Recipe

TRAIN_MPP = 0.25
"""Micrometres per pixel of the 40x images; MoNuSeg's 40x cases state 0.2456 to 0.2527."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


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
class Running:
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

    @property
    def val_losses(self) -> list[float]:
        """Validation losses of the epochs that are finished."""
        return [record.val_loss for record in self.records]

    def to_network(self, images: Tensor) -> Tensor:
        """Bring images (N, 3, P, P), within 0..1, to the device, normalised as the card says."""
        images = images.to(self.device, memory_format=torch.channels_last)
        return normalise(images, self.card)


def set_up(config: TrainConfig, progress: Progress) -> Running:
    """Bring together data, model and optimizer; of a new run, or of one to resume after its last finished epoch.

    Raises
    ------
    MonusegError
        As `monuseg_cli.training.train.train` does.
    """
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
    return Running(
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


def keep_epoch(running: Running, newest: EpochRecord) -> None:
    """Write weights, history, curves and, last, the state after the newest epoch."""
    run, records = running.run, [*running.records, newest]
    card = replace(running.card, epoch=newest.epoch, scores=newest.validation_scores())
    state = running.model.state_dict()
    save_weights(run / LAST_WEIGHTS, state, card)
    if best_epoch(records) is newest:
        save_weights(run / BEST_WEIGHTS, state, card)
    write_history(run, records)
    draw_curves(run, records)
    Checkpoint(newest.epoch, state, running.optimizer.state_dict(), card.data_sha256).save(run)
    running.records.append(newest)
