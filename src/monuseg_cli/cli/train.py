"""``monuseg train``."""

import shlex
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.config_file import is_given
from monuseg_cli.cli.console import THREADS_HELP, Session, command
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import RECIPE_FILE
from monuseg_cli.imaging.tiling import Edge
from monuseg_cli.models.devices import Device
from monuseg_cli.training.recipe import Amp, AuxTarget, Loss, Recipe, Schedule
from monuseg_cli.training.recipes import BUILT_IN, find_recipe

_DEFAULT = BUILT_IN["default"]

_run = partial(typer.Option, rich_help_panel="Run")
_data = partial(typer.Option, rich_help_panel="Data")
_crops = partial(typer.Option, rich_help_panel="Patches and crops")
_model = partial(typer.Option, rich_help_panel="Model")
_augmentation = partial(typer.Option, rich_help_panel="Augmentation")
_optimisation = partial(typer.Option, rich_help_panel="Optimisation")
_hardware = partial(typer.Option, rich_help_panel="Hardware")


@command(
    {
        "on MoNuSeg": "monuseg train --arch unet-se --epochs 40",
        "on your own annotated images, from the model in the package": (
            "monuseg train --train slides/ --init default --recipe fine-tune"
        ),
        "on MoNuSeg and NuInsSeg, for other hospitals": "monuseg train --recipe wide --extra-data nuinsseg:0.125",
        "a recipe of your own, with one setting changed": "monuseg train --recipe mine.toml --learning-rate 5e-4",
        "continue after an interruption": "monuseg train --resume unet-se",
        "on several GPUs": "torchrun --nproc-per-node 2 -m monuseg_cli train --amp bf16",
    }
)
def train(
    session: Session,
    context: typer.Context,
    recipe: Annotated[
        str,
        _run(
            metavar="NAME|FILE",
            help="Defaults of all settings: default, robust, wide, fine-tune, baseline, or a TOML file.",
            autocompletion=complete.recipes,
        ),
    ] = "default",
    name: Annotated[str | None, _run(metavar="NAME", help="Name of the run.", show_default="the architecture")] = None,
    resume: Annotated[str | None, _run(metavar="RUN", help="Continue this run.", autocompletion=complete.runs)] = None,
    seed: Annotated[int, _run(help="Seed of all random numbers.")] = _DEFAULT.seed,
    train: Annotated[
        str,
        _data(
            metavar="FOLDER",
            help="Train on your own data: a folder with images/ and annotations/.",
            show_default="MoNuSeg",
        ),
    ] = _DEFAULT.train,
    val: Annotated[
        str,
        _data(
            metavar="FOLDER",
            help="Validate on this folder.",
            show_default="by the split.csv, regions or folds of --train",
        ),
    ] = _DEFAULT.val,
    extra_data: Annotated[
        list[str] | None,
        _data(
            metavar="DATA[:WEIGHT]",
            help="Train on nuinsseg or a folder as well, with WEIGHT times the crops per case; may be repeated.",
        ),
    ] = None,
    train_set: Annotated[
        int, _data(help="Cases of MoNuSeg. 30: the challenge's; 37: with the bonus cases.")
    ] = _DEFAULT.train_set,
    fold: Annotated[int, _data(help="Fold to validate on, 1 to 5.")] = _DEFAULT.fold,
    patch_px: Annotated[int, _crops(help="Side of the patches in pixels.")] = _DEFAULT.patch_px,
    stride_px: Annotated[int, _crops(help="Step between patches in pixels.")] = _DEFAULT.stride_px,
    edge: Annotated[
        Edge, _crops(help="At the edge of an image: shift the last patch inwards, or drop the rest.")
    ] = _DEFAULT.edge,
    rescale: Annotated[
        bool, _crops(help="Resample 20x cases to 0.25 um/px; your own data always are.")
    ] = _DEFAULT.rescale,
    crop_px: Annotated[int, _crops(help="Side of the crops that the network sees.")] = _DEFAULT.crop_px,
    crops_per_case: Annotated[int, _crops(help="Crops of each case per epoch.")] = _DEFAULT.crops_per_case,
    arch: Annotated[
        str,
        _model(metavar="NAME", help="Architecture; monuseg models lists them.", autocompletion=complete.architectures),
    ] = _DEFAULT.arch,
    init: Annotated[
        str,
        _model(
            metavar="RUN|WEIGHTS",
            help="Start from these weights, with their architecture.",
            autocompletion=complete.weights,
        ),
    ] = _DEFAULT.init,
    teacher: Annotated[
        str,
        _model(
            metavar="RUN|WEIGHTS",
            help="Learn to repeat the predictions of these weights, besides the annotations.",
            autocompletion=complete.weights,
        ),
    ] = _DEFAULT.teacher,
    teacher_weight: Annotated[float, _model(help="With --teacher: its share in the loss.")] = _DEFAULT.teacher_weight,
    pretrained: Annotated[
        bool, _model(help="Start from ImageNet weights: unet-efficientnet; DeepLabV3, which downloads them.")
    ] = _DEFAULT.pretrained,
    aux_target: Annotated[
        AuxTarget, _model(help="What is learnt besides the mask, to separate touching nuclei.")
    ] = _DEFAULT.aux_target,
    dropout: Annotated[float, _model(help="Dropout rate of the U-Nets.")] = _DEFAULT.dropout,
    epochs: Annotated[int, _optimisation(help="Passes over the crops of all cases.")] = _DEFAULT.epochs,
    batch_size: Annotated[int, _optimisation(help="Crops per step and process.")] = _DEFAULT.batch_size,
    loss: Annotated[Loss, _optimisation(help="Loss of the mask.")] = _DEFAULT.loss,
    learning_rate: Annotated[float, _optimisation(help="Peak learning rate of AdamW.")] = _DEFAULT.learning_rate,
    weight_decay: Annotated[float, _optimisation(help="Weight decay of AdamW.")] = _DEFAULT.weight_decay,
    schedule: Annotated[Schedule, _optimisation(help="Schedule of the learning rate.")] = _DEFAULT.schedule,
    plateau_patience: Annotated[
        int,
        _optimisation(help="With --schedule plateau: epochs without a lower loss before the rate drops to a tenth."),
    ] = _DEFAULT.plateau_patience,
    early_stopping: Annotated[
        int, _optimisation(help="Stop after this many epochs without a lower validation loss; 0: never.")
    ] = _DEFAULT.early_stopping,
    ema_decay: Annotated[
        float, _optimisation(help="Decay of the moving average of the weights; 0: no averaging.")
    ] = _DEFAULT.ema_decay,
    flips: Annotated[bool, _augmentation(help="Flip, and rotate by multiples of 90 degrees.")] = _DEFAULT.flips,
    warp: Annotated[float, _augmentation(help="Fraction of crops scaled, rotated and deformed.")] = _DEFAULT.warp,
    scale: Annotated[float, _augmentation(help="Scale warped crops by up to 1 + this.")] = _DEFAULT.scale,
    rotation_deg: Annotated[
        float, _augmentation(help="Rotate warped crops by up to this angle.")
    ] = _DEFAULT.rotation_deg,
    elastic_px: Annotated[
        float, _augmentation(help="Standard deviation of the elastic deformation of warped crops.")
    ] = _DEFAULT.elastic_px,
    stain: Annotated[float, _augmentation(help="Scale haematoxylin and eosin by up to 1 ± this.")] = _DEFAULT.stain,
    stain_min: Annotated[
        float, _augmentation(help="Smallest factor of the stains, in place of --stain; 1: off.")
    ] = _DEFAULT.stain_min,
    stain_max: Annotated[
        float, _augmentation(help="Largest factor of the stains, in place of --stain; 1: off.")
    ] = _DEFAULT.stain_max,
    scanner: Annotated[
        float, _augmentation(help="Vary gamma, saturation and white point by up to this.")
    ] = _DEFAULT.scanner,
    blank_prob: Annotated[
        float, _augmentation(help="Fraction of crops replaced by images without nuclei: glass, ink, flakes.")
    ] = _DEFAULT.blank_prob,
    brightness: Annotated[float, _augmentation(help="Scale intensities by up to 1 ± this.")] = _DEFAULT.brightness,
    degrade: Annotated[
        float, _augmentation(help="Fraction of crops blurred, and as many with noise, and compressed.")
    ] = _DEFAULT.degrade,
    blur_px: Annotated[float, _augmentation(help="Largest standard deviation of the blur.")] = _DEFAULT.blur_px,
    noise: Annotated[
        float, _augmentation(help="Largest standard deviation of the noise, for intensities of 0 to 1.")
    ] = _DEFAULT.noise,
    jpeg_quality: Annotated[int, _augmentation(help="Lowest JPEG quality of the compression.")] = _DEFAULT.jpeg_quality,
    device: Annotated[Device, _hardware(help="Where the network runs.")] = "auto",
    threads: Annotated[int | None, _hardware(help=THREADS_HELP, show_default="PyTorch's choice")] = None,
    amp: Annotated[Amp, _hardware(help="Mixed precision: bf16 on CUDA and CPU, fp16 on CUDA.")] = _DEFAULT.amp,
    workers: Annotated[int, _hardware(help="Processes that prepare crops; 0: a thread instead.")] = _DEFAULT.workers,
) -> None:
    """Train a model; missing masks and patches are built first."""
    from monuseg_cli.models.weights import read_card
    from monuseg_cli.training.distributed import is_first, raise_on_rank_zero
    from monuseg_cli.training.finetune import adopt_architecture
    from monuseg_cli.training.session import TrainConfig
    from monuseg_cli.training.train import train as run

    with raise_on_rank_zero():
        where = ("line",) if resume else ("line", "file")  # the recipe of a run beats the config file
        if resume and (is_given(context, "name", "line") or is_given(context, "recipe", "line")):
            message = "--resume continues a run under its own name and recipe; leave out --name and --recipe"
            raise InputError(message)
        run_to_resume = session.home.find_run(resume) if resume else None
        settings = {name: value for name, value in context.params.items() if name in Recipe.__dataclass_fields__}
        typed = {name: value for name, value in settings.items() if is_given(context, name, *where)}
        if resume and any(is_given(context, name, "file") for name in (*settings, "name", "recipe")):
            session.progress.info(
                "--resume keeps the recipe and name of the run; those of the config file are not used"
            )
        if extra_data and "extra_data" in typed:
            typed["extra_data"] = tuple(extra_data)
        begun = Recipe.load(run_to_resume / RECIPE_FILE) if run_to_resume else find_recipe(recipe)
        if init and not run_to_resume:
            begun = adopt_architecture(begun, read_card(session.home.find_weights(init)))
        if run_to_resume and typed.get("arch", begun.arch) != begun.arch:
            typed["options"] = {}  # those of the run are not of this architecture; the error is about the architecture
        chosen = replace(begun, **typed)
    config = TrainConfig(session.home, chosen, None if resume else name, run_to_resume, device, threads)
    result = run(config, session.progress)
    if not is_first():
        return
    scores = "  ".join(f"{score} {value:.4f}" for score, value in result.scores.items())
    name = shlex.quote(session.home.name_of(result.run))
    session.show(
        result,
        f"Run: {result.run}, {result.epochs} of {chosen.epochs} epochs",
        f"Best: epoch {result.best_epoch}, validation {scores}",
        f"Written: {', '.join(map(str, result.files))}",
        then=f"train --resume {name}" if result.interrupted else f"evaluate {name}{_own_data(chosen)}",
        written=result.files,
    )
    if result.interrupted:
        raise typer.Exit(130)


def _own_data(recipe: Recipe) -> str:
    folder = recipe.val or recipe.train
    return f" --data {shlex.quote(folder)}" if folder else ""
