"""The state of a training: set up for a new or a resumed run, and saved after every epoch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import BEST_WEIGHTS, LAST_WEIGHTS, RECIPE_FILE, Home, require_run_name
from monuseg_cli.core.progress import Progress
from monuseg_cli.models import registry
from monuseg_cli.models.blocks import count_weights
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import Device, to_device
from monuseg_cli.models.normalise import normalise
from monuseg_cli.models.weights import read_card, save_weights
from monuseg_cli.training.checkpoint import Checkpoint, restore
from monuseg_cli.training.curves import CURVES_FILE, Training, draw_curves
from monuseg_cli.training.data import Batch, Pool, TrainBatches, validation_batches
from monuseg_cli.training.distributed import World
from monuseg_cli.training.ema import make_ema
from monuseg_cli.training.finetune import require_unseen, transfer_weights
from monuseg_cli.training.history import EpochRecord, best_epoch, write_history
from monuseg_cli.training.provenance import begin_card, derive_card, hash_of_cases
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.recipes import describe
from monuseg_cli.training.resume import finished_epochs, recipe_to_resume, state_to_resume, with_whole_paths
from monuseg_cli.training.splits import TrainValSplit, find_splits
from monuseg_cli.training.targets import CLASSES
from monuseg_cli.training.teacher import load_teacher

_AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of `train`.

    Parameters
    ----------
    home : Home
        Home folder with the data set and the runs.
    recipe : Recipe
        Recipe of the training. With `resume`, it must be the run's own recipe; only the number of workers, and the
        places of folders, may differ.
    name : str, optional
        Name of the new run; None: the architecture's name. A resumed run keeps its name.
    resume : Path, optional
        Folder of a run to resume, instead of starting a new one.
    device : {"auto", "cpu", "cuda", "mps"}
        Device to train on.
    threads : int, optional
        Threads of each process on the CPU; by default, as many as PyTorch chooses.
    """

    home: Home
    recipe: Recipe
    name: str | None = None
    resume: Path | None = None
    device: Device = "auto"
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class TrainSession:
    """The state of a training loop.

    `model` is the trained model; `network` is the same model as the loop calls it, wrapped for distributed training.
    `averaged` is the moving average of the weights, or None. `teacher` is a model and its card, or None.
    """

    run: Path
    recipe: Recipe
    world: World
    model: nn.Module
    network: nn.Module
    averaged: AveragedModel | None
    teacher: tuple[nn.Module, Card] | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    training: TrainBatches
    validation: DataLoader[Batch]
    train_cases: int
    cases_sha256: str
    card: Card
    records: list[EpochRecord]

    @property
    def result(self) -> nn.Module:
        """The model that is validated and saved."""
        return self.averaged.module if self.averaged else self.model

    @property
    def val_losses(self) -> list[float]:
        """Validation losses of the finished epochs."""
        return [record.val_loss for record in self.records]

    def logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """Run the trained network on images (N, 3, P, P) within 0..1; return logits (N, C, P, P), float32."""
        return self._run(network, self.card, images)

    @torch.no_grad()
    def teacher_logits(self, images: Tensor) -> Tensor | None:
        """Run the teacher, if there is one, like `logits`."""
        return self._run(*self.teacher, images) if self.teacher else None

    def _run(self, network: nn.Module, card: Card, images: Tensor) -> Tensor:
        device = self.world.device
        pixels = normalise(images.to(device, memory_format=torch.channels_last), card)
        with torch.autocast(device.type, _AMP_TYPES.get(self.recipe.amp), enabled=self.recipe.amp != "none"):
            logits: Tensor = network(pixels)
        return logits.float()


def set_up(config: TrainConfig, world: World, progress: Progress) -> TrainSession:
    """Set up data, model and optimizer of a new run, or of a run to resume after its last finished epoch.

    Raises
    ------
    MonusegError
        As `monuseg_cli.training.train.train` does.
    """
    recipe = config.recipe
    require_run_name(config.name or recipe.arch)
    _require_precision(recipe, world)
    registry.check(recipe.arch, recipe.model_options())
    if config.resume:
        recipe = recipe_to_resume(config.resume, recipe, config.home)
    else:
        recipe = with_whole_paths(recipe, config.home)
    shares = world.on_rank_zero(lambda: find_splits(config.home, recipe, progress))
    pools = [Pool(subset.store, subset.indices, subset.weight) for subset in shares.trained]
    training = TrainBatches(pools, recipe, world.rank, world.world_size)
    validation = validation_batches(shares.val.store, shares.val.indices, recipe, world.rank, world.world_size)
    torch.manual_seed(recipe.seed)
    state = state_to_resume(config.resume, shares, world.world_size, config.home) if config.resume else None
    for weights in (recipe.teacher, "" if state else recipe.init):
        if weights:
            require_unseen(shares.val, read_card(Path(weights)), Path(weights))
    teacher = load_teacher(recipe) if recipe.teacher else None
    model, card = _build(recipe, shares, teacher[1] if teacher else None, begins=state is None)
    if config.resume and state:
        begun = read_card(config.resume / LAST_WEIGHTS)
        card = replace(
            card,
            mean=begun.mean,
            std=begun.std,
            train_cases=begun.train_cases,
            train_pixels=tuple(sorted({*card.train_pixels, *begun.train_pixels})),
            licence=begun.licence,
            attribution=begun.attribution,
            data_sets=begun.data_sets or card.data_sets,
            recipe=begun.recipe,
        )
    to_device(model, world.device)
    if teacher:
        to_device(teacher[0], world.device)
    progress.detail(f"recipe {describe(recipe)}; patches {shares.train.store.folder}; {count_weights(model):,} weights")
    averaged = make_ema(model, recipe.ema_decay) if recipe.ema_decay else None
    fused = world.device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused
    )
    scaler = torch.amp.GradScaler(world.device.type, enabled=recipe.amp == "fp16")
    records: list[EpochRecord] = []
    if config.resume and state:
        records = finished_epochs(config.resume, state)
        steps = state.epoch * len(training)
        restore(state, config.resume, model, optimizer, scaler, averaged, steps, records[-1].learning_rate)
    return TrainSession(
        run=world.on_rank_zero(lambda: _begin_run(config, recipe)),
        recipe=recipe,
        world=world,
        model=model,
        network=world.wrap_ddp(model),
        averaged=averaged,
        teacher=teacher,
        optimizer=optimizer,
        scaler=scaler,
        training=training,
        validation=validation,
        train_cases=sum(len(subset.cases) for subset in shares.trained),
        cases_sha256=hash_of_cases(shares),
        card=card,
        records=records,
    )


def _require_precision(recipe: Recipe, world: World) -> None:
    supported = {"cuda": ("none", "bf16", "fp16"), "cpu": ("none", "bf16")}.get(world.device.type, ("none",))
    if recipe.amp not in supported:
        message = f"`amp={recipe.amp}` does not work on {world.device.type}, which takes: {', '.join(supported)}"
        raise InputError(message)


def _begin_run(config: TrainConfig, recipe: Recipe) -> Path:
    """Create the folder of a new run, and save the recipe; that of a resumed run is saved again if it has changed."""
    run = config.resume or config.home.make_run(config.name or recipe.arch)
    if not config.resume or Recipe.load(run / RECIPE_FILE) != recipe:
        recipe.save(run / RECIPE_FILE)
    return run


def _build(recipe: Recipe, shares: TrainValSplit, teacher: Card | None, begins: bool) -> tuple[nn.Module, Card]:
    """Build the model and its card; if the training begins, with the initial weights of the recipe."""
    options: dict[str, Any] = recipe.model_options()
    classes = CLASSES[recipe.aux_target]
    model = registry.create(recipe.arch, out_channels=len(classes), pretrained=recipe.pretrained and begins, **options)
    card = begin_card(recipe, shares)
    sources = [teacher] if teacher else []
    if recipe.init and begins:
        first = transfer_weights(model, recipe, Path(recipe.init))
        card = replace(card, mean=first.mean, std=first.std)
        sources.append(first)
    return model, derive_card(card, sources, own_data=bool(recipe.train)) if sources else card


def keep_epoch(running: TrainSession, newest: EpochRecord) -> None:
    """Write weights, history, curves and, last, the state after the newest epoch; only on rank zero."""
    if running.world.is_first:
        _write_epoch(running, newest)
    running.records.append(newest)


def _write_epoch(running: TrainSession, newest: EpochRecord) -> None:
    run, records = running.run, [*running.records, newest]
    card = replace(running.card, epoch=newest.epoch, scores=newest.validation_scores())
    weights = running.result.state_dict()
    save_weights(run / LAST_WEIGHTS, weights, card)
    if best_epoch(records) is newest:
        save_weights(run / BEST_WEIGHTS, weights, card)
    write_history(run, records)
    draw_curves(run / CURVES_FILE, [Training(run.name, running.recipe.loss_terms, records)])
    Checkpoint(
        epoch=newest.epoch,
        model=running.model.state_dict(),
        optimizer=running.optimizer.state_dict(),
        scaler=running.scaler.state_dict(),
        averaged=running.averaged.state_dict() if running.averaged else {},
        world_size=running.world.world_size,
        data_sha256=card.data_sha256,
        cases_sha256=running.cases_sha256,
    ).save(run)
