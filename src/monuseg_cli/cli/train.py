"""``monuseg train``."""

import shlex
from dataclasses import replace
from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command
from monuseg_cli.errors import InputError
from monuseg_cli.models.devices import Device
from monuseg_cli.paths import RECIPE_FILE
from monuseg_cli.tiling import Edge
from monuseg_cli.training.recipe import BUILT_IN, Augment, Loss, Recipe, Schedule, find_recipe

_DEFAULT = BUILT_IN["default"]


@command(example="monuseg train --arch unet-se --epochs 40")
def train(
    session: Session,
    context: typer.Context,
    arch: Annotated[str, typer.Option(help="Architecture; monuseg models lists them.")] = _DEFAULT.arch,
    epochs: Annotated[int, typer.Option(help="Times that every patch is seen.")] = _DEFAULT.epochs,
    train_set: Annotated[
        int, typer.Option(help="30: the challenge's cases; 37: with the bonus cases.")
    ] = _DEFAULT.train_set,
    fold: Annotated[int, typer.Option(help="Which of the five folds to validate on.")] = _DEFAULT.fold,
    name: Annotated[str | None, typer.Option(help="Name of the run.", show_default="the architecture")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with this run.")] = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|TOML", help="default, baseline or a file: every knob that is not typed.")
    ] = "default",
    batch_size: Annotated[int, typer.Option(help="Patches a step.")] = _DEFAULT.batch_size,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate of AdamW.")] = _DEFAULT.learning_rate,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW.")] = _DEFAULT.weight_decay,
    schedule: Annotated[Schedule, typer.Option(help="Course of the learning rate.")] = _DEFAULT.schedule,
    plateau_patience: Annotated[
        int, typer.Option(help="Epochs without a gain before a tenth of the rate (schedule plateau).")
    ] = _DEFAULT.plateau_patience,
    early_stopping: Annotated[
        int, typer.Option(help="Stop after so many epochs without a gain; 0: never.")
    ] = _DEFAULT.early_stopping,
    loss: Annotated[Loss, typer.Option(help="What is minimised.")] = _DEFAULT.loss,
    augment: Annotated[Augment, typer.Option(help="How patches are varied.")] = _DEFAULT.augment,
    patch_px: Annotated[int, typer.Option("--patch-px", help="Side of a patch.")] = _DEFAULT.patch_px,
    stride_px: Annotated[int, typer.Option("--stride-px", help="Step between patches.")] = _DEFAULT.stride_px,
    edge: Annotated[Edge, typer.Option(help="Patches at an image's edge.")] = _DEFAULT.edge,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from ImageNet weights (DeepLabV3 only; needs the network).")
    ] = _DEFAULT.pretrained,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = _DEFAULT.seed,
    workers: Annotated[int, typer.Option(help="Processes that prepare patches.")] = _DEFAULT.workers,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "auto",
) -> None:
    """Train a model on the patches; masks and patches that are missing are made first."""
    from monuseg_cli.training.running import TrainConfig
    from monuseg_cli.training.train import train as run

    if resume and (name or _was_typed(context, "recipe")):
        message = "--resume goes on with a run under its own name and recipe; leave out --name and --recipe"
        raise InputError(message)
    run_to_resume = session.home.find_run(resume) if resume else None
    knobs = {knob: value for knob, value in context.params.items() if knob in Recipe.__dataclass_fields__}
    typed = {knob: value for knob, value in knobs.items() if _was_typed(context, knob)}
    chosen = replace(Recipe.load(run_to_resume / RECIPE_FILE) if run_to_resume else find_recipe(recipe), **typed)
    result = run(TrainConfig(session.home, chosen, name, run_to_resume, device), session.progress)
    scores = "  ".join(f"{score} {value:.4f}" for score, value in result.scores.items())
    name = shlex.quote(session.home.name_of(result.run))
    session.show(
        result,
        f"Run: {result.run}, {result.epochs} of {chosen.epochs} epochs",
        f"Best: epoch {result.best_epoch}, validation {scores}",
        then=f"train --resume {name}" if result.interrupted else f"evaluate {name}",
    )
    if result.interrupted:
        raise typer.Exit(130)


def _was_typed(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"
