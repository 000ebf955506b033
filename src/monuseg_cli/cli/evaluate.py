"""``monuseg evaluate``."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.models.devices import Device

_SHOWN = ("loss", "accuracy", "soft_dice", "f1", "iou", "precision", "recall", "aji", "pq")


@command(example="monuseg evaluate unet-se --split val --overlays")
def evaluate(
    session: Session,
    model: Annotated[str, typer.Argument(metavar="RUN|WEIGHTS", help="A run's name or folder, or a weights file.")],
    split: Annotated[
        Literal["val", "test", "train"],
        typer.Option(help="The model's validation cases, the 14 test cases, or its train cases."),
    ] = "val",
    include_train: Annotated[
        bool, typer.Option("--include-train", help="Also score cases that the model was trained on, marked with *.")
    ] = False,
    overlays: Annotated[
        bool, typer.Option("--overlays", help="Also write images with outlines: reference yellow, prediction green.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder.", show_default="beside the weights"),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "auto",
) -> None:
    """Score a model on whole images: per image, per organ, and the mean over images."""
    from monuseg_cli.evaluation.evaluate import EvaluateConfig
    from monuseg_cli.evaluation.evaluate import evaluate as run

    weights = session.home.find_weights(model)
    config = EvaluateConfig(session.home, weights, split, include_train, overlays, output, device)
    result = run(config, session.progress)
    rows = table("", "organ", *(name.replace("_", " ") for name in _SHOWN))
    rows.columns[1].justify = "left"

    def add(label: str, organ: str, scores: object) -> None:
        rows.add_row(label, organ, *(f"{getattr(scores, name):.4f}" for name in _SHOWN))

    for image in result.images:
        add(f"{image.case_id}{' *' if image.trained_on else ''}", image.organ, image.scores)
    for organ, (images, scores) in result.organs.items():
        add(f"mean of {images}", organ, scores)
    add(f"mean over {len(result.images)} images", "", result.mean)
    marked = ["* the model was trained on this case"] if any(image.trained_on for image in result.images) else []
    session.show(
        result,
        rows,
        *marked,
        f"Model: {weights} ({result.card.architecture}, epoch {result.card.epoch})",
        f"Scores: {result.folder / 'scores.csv'} and scores.json",
        then=f"predict IMAGE -o mask.png --model {shlex.quote(model)}",
    )
