"""``monuseg train``."""

import shlex
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import RECIPE_FILE
from monuseg_cli.imaging.tiling import Edge
from monuseg_cli.models.devices import Device
from monuseg_cli.training.recipe import Amp, AuxTarget, Loss, Recipe, Schedule
from monuseg_cli.training.recipes import BUILT_IN, find_recipe

_DEFAULT = BUILT_IN["default"]


_data = partial(typer.Option, rich_help_panel="Data and crops")
_model = partial(typer.Option, rich_help_panel="Model")
_variation = partial(typer.Option, rich_help_panel="Variation of crops")
_course = partial(typer.Option, rich_help_panel="Course of the training")


@command(example="monuseg train --arch unet-se --epochs 40")
def train(
    session: Session,
    context: typer.Context,
    arch: Annotated[
        str, typer.Option(help="Architecture; monuseg models lists them.", autocompletion=complete.architectures)
    ] = _DEFAULT.arch,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME|TOML",
            help="default, robust, wide, fine-tune, baseline or a file: the knobs that are not typed.",
            autocompletion=complete.recipes,
        ),
    ] = "default",
    epochs: Annotated[int, typer.Option(help="Times that the crops of every case are seen.")] = _DEFAULT.epochs,
    batch_size: Annotated[int, typer.Option(help="Crops a step, of each process.")] = _DEFAULT.batch_size,
    name: Annotated[str | None, typer.Option(help="Name of the run.", show_default="the architecture")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this run.", autocompletion=complete.runs)
    ] = None,
    init: Annotated[
        str,
        typer.Option(
            metavar="RUN|WEIGHTS",
            help="Start from these weights, and with their network.",
            autocompletion=complete.weights,
        ),
    ] = _DEFAULT.init,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "auto",
    amp: Annotated[Amp, typer.Option(help="Mixed precision: bf16 on CUDA and CPU, fp16 on CUDA.")] = _DEFAULT.amp,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = _DEFAULT.seed,
    workers: Annotated[int, typer.Option(help="Processes that prepare crops; 0: a thread does.")] = _DEFAULT.workers,
    train: Annotated[
        str,
        _data(
            metavar="FOLDER", help="Train on a folder of your own: images/ and annotations/.", show_default="MoNuSeg"
        ),
    ] = _DEFAULT.train,
    val: Annotated[
        str,
        _data(metavar="FOLDER", help="Validate on this one.", show_default="by its split.csv, regions or folds"),
    ] = _DEFAULT.val,
    also: Annotated[
        list[str] | None,
        _data(
            metavar="DATA[:WEIGHT]",
            help="Train on nuinsseg or a folder as well, with so many times the crops of a case; may be repeated.",
        ),
    ] = None,
    train_set: Annotated[int, _data(help="30: the challenge's cases; 37: with the bonus cases.")] = _DEFAULT.train_set,
    fold: Annotated[int, _data(help="Which of the five folds to validate on.")] = _DEFAULT.fold,
    patch_px: Annotated[int, _data(help="Side of a patch.")] = _DEFAULT.patch_px,
    stride_px: Annotated[int, _data(help="Step between patches.")] = _DEFAULT.stride_px,
    edge: Annotated[Edge, _data(help="Patches at an image's edge.")] = _DEFAULT.edge,
    crop_px: Annotated[int, _data(help="Side of the crops that the network sees.")] = _DEFAULT.crop_px,
    rescale: Annotated[bool, _data(help="Resample 20x cases to 0.25 um/px; your own are always.")] = _DEFAULT.rescale,
    crops_per_case: Annotated[int, _data(help="Crops of each case in an epoch.")] = _DEFAULT.crops_per_case,
    aux_target: Annotated[
        AuxTarget, _model(help="What is learnt to separate nuclei that touch.")
    ] = _DEFAULT.aux_target,
    dropout: Annotated[float, _model(help="Share of values dropped, in the U-Nets.")] = _DEFAULT.dropout,
    pretrained: Annotated[
        bool, _model(help="Start from ImageNet weights (unet-efficientnet; DeepLabV3 fetches them).")
    ] = _DEFAULT.pretrained,
    flips: Annotated[bool, _variation(help="Flip, and turn by right angles.")] = _DEFAULT.flips,
    warp: Annotated[float, _variation(help="Share of crops scaled, turned freely and bent.")] = _DEFAULT.warp,
    scale: Annotated[float, _variation(help="Warped crops: scaled by up to 1 + this.")] = _DEFAULT.scale,
    rotation_deg: Annotated[float, _variation(help="Warped crops: turned by up to this.")] = _DEFAULT.rotation_deg,
    elastic_px: Annotated[
        float, _variation(help="Warped crops: bent by this standard deviation.")
    ] = _DEFAULT.elastic_px,
    stain: Annotated[float, _variation(help="Haematoxylin and eosin scaled by up to 1 + this.")] = _DEFAULT.stain,
    pale: Annotated[float, _variation(help="Stains: multiplied by down to this, in place of stain.")] = _DEFAULT.pale,
    dark: Annotated[float, _variation(help="Stains: multiplied by up to this, in place of stain.")] = _DEFAULT.dark,
    scanner: Annotated[float, _variation(help="Gamma, saturation and white point: by up to this.")] = _DEFAULT.scanner,
    blank_prob: Annotated[
        float, _variation(help="Share of crops replaced by glass or ink, without nuclei.")
    ] = _DEFAULT.blank_prob,
    brightness: Annotated[float, _variation(help="Intensities scaled by up to 1 ± this.")] = _DEFAULT.brightness,
    degrade: Annotated[float, _variation(help="Share of crops blurred, made noisy, compressed.")] = _DEFAULT.degrade,
    blur_px: Annotated[float, _variation(help="Blur: by up to this standard deviation.")] = _DEFAULT.blur_px,
    noise: Annotated[float, _variation(help="Noise: of up to this standard deviation, of 0..1.")] = _DEFAULT.noise,
    jpeg_quality: Annotated[int, _variation(help="Compression: down to this quality.")] = _DEFAULT.jpeg_quality,
    loss: Annotated[Loss, _course(help="What is minimised.")] = _DEFAULT.loss,
    learning_rate: Annotated[float, _course(help="Peak learning rate of AdamW.")] = _DEFAULT.learning_rate,
    weight_decay: Annotated[float, _course(help="Weight decay of AdamW.")] = _DEFAULT.weight_decay,
    schedule: Annotated[Schedule, _course(help="Course of the learning rate.")] = _DEFAULT.schedule,
    plateau_patience: Annotated[
        int,
        _course(help="Epochs without a gain before a tenth of the rate (schedule plateau)."),
    ] = _DEFAULT.plateau_patience,
    early_stopping: Annotated[
        int, _course(help="Stop after so many epochs without a gain; 0: never.")
    ] = _DEFAULT.early_stopping,
    ema_decay: Annotated[
        float, _course(help="Decay of the moving average of the weights; 0: none.")
    ] = _DEFAULT.ema_decay,
) -> None:
    """Train a model on the patches; masks and patches that are missing are made first."""
    from monuseg_cli.models.weights import read_card
    from monuseg_cli.training.distributed import is_first, raise_on_rank_zero
    from monuseg_cli.training.finetune import adopt_architecture
    from monuseg_cli.training.session import TrainConfig
    from monuseg_cli.training.train import train as run

    with raise_on_rank_zero():
        if resume and (name or _was_typed(context, "recipe")):
            message = "--resume goes on with a run under its own name and recipe; leave out --name and --recipe"
            raise InputError(message)
        run_to_resume = session.home.find_run(resume) if resume else None
        knobs = {knob: value for knob, value in context.params.items() if knob in Recipe.__dataclass_fields__}
        typed = {knob: value for knob, value in knobs.items() if _was_typed(context, knob)}
        if also:
            typed["also"] = tuple(also)
        begun = Recipe.load(run_to_resume / RECIPE_FILE) if run_to_resume else find_recipe(recipe)
        if init and not run_to_resume:
            begun = adopt_architecture(begun, read_card(session.home.find_weights(init)))
        chosen = replace(begun, **typed)
    result = run(TrainConfig(session.home, chosen, name, run_to_resume, device), session.progress)
    if not is_first():
        return
    scores = "  ".join(f"{score} {value:.4f}" for score, value in result.scores.items())
    name = shlex.quote(session.home.name_of(result.run))
    session.show(
        result,
        f"Run: {result.run}, {result.epochs} of {chosen.epochs} epochs",
        f"Best: epoch {result.best_epoch}, validation {scores}",
        then=f"train --resume {name}" if result.interrupted else f"evaluate {name}{_own_data(chosen)}",
    )
    if result.interrupted:
        raise typer.Exit(130)


def _own_data(recipe: Recipe) -> str:
    folder = recipe.val or recipe.train
    return f" --data {shlex.quote(folder)}" if folder else ""


def _was_typed(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"
