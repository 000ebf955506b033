"""``monuseg export``."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.command import end_with_usage_error
from monuseg_cli.cli.console import Session, command
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import SHIPPED, weights_stem

DEVELOPERS = ("The monuseg developers",)
"""The authors of the default model."""


@command(
    {
        "the model in the package": "monuseg export default -o model.onnx",
        "tiles of 512 x 512, for QuPath": "monuseg export default -o tiles.onnx --size 512",
        "a package of bioimage.io, for ilastik, deepImageJ and others": (
            "monuseg export default --format bioimageio -o default.zip"
        ),
    }
)
def export(
    session: Session,
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|WEIGHTS",
            help="Name or folder of a run, a weights file, or default.",
            autocompletion=complete.weights,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write (.onnx, .zip).")],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="PX|WxH",
            help="Fix the size of the images, as OpenCV 4 and QuPath need; without it, images of any size.",
        ),
    ] = None,
    format: Annotated[
        Literal["onnx", "bioimageio"],
        typer.Option(
            help="ONNX, or a package of bioimage.io: ONNX and TorchScript with description, example, documentation."
        ),
    ] = "onnx",
    author: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Who made the model, for a package of bioimage.io; may be repeated.",
            show_default="for the default model, its developers",
        ),
    ] = None,
) -> None:
    """Export a model to ONNX, or as a package of bioimage.io.

    The exported model takes intensities of 0 to 1 and returns probabilities; its metadata hold the model card.
    """
    from monuseg_cli.models.export import export_onnx

    weights = session.home.find_weights(model)
    if format == "bioimageio":
        if size is not None:
            end_with_usage_error("--size is for ONNX; a package of bioimage.io takes images of any size")
        _export_package(session, weights, output, author or (DEVELOPERS if weights == SHIPPED else ()))
        return
    if author:
        end_with_usage_error("--author is for --format bioimageio; the author is not stated in ONNX")
    result = export_onnx(weights, output, session.progress, size=None if size is None else _parse_size(size))
    n, height, width = (1, *result.size) if result.size else ("N", "H", "W")
    session.show(
        result,
        f"Written: {result.path}, {result.bytes / 2**20:.1f} MiB of {format.upper()}",
        f"Input {result.input}: ({n}, 3, {height}, {width}) float32, RGB within 0..1"
        f"{'' if result.size else '; any N, H and W'}",
        f"Output {result.output}: ({n}, C, {height}, {width}) float32 within 0..1: {', '.join(result.card.classes)}",
        f"Scale: {result.card.mpp} um/px. Licence: {result.card.licence}",
        written=[result.path],
    )


def _export_package(session: Session, weights: Path, output: Path, authors: Sequence[str]) -> None:
    from monuseg_cli.bioimageio.package import export_package

    result = export_package(weights, output, weights_stem(weights), authors, session.progress)
    session.show(
        result,
        f"Written: {result.path}, {result.bytes / 2**20:.1f} MiB: {', '.join(result.files)}",
        f"Title: {result.title}. Authors: {', '.join(authors)}",
        f"Scale: {result.card.mpp} um/px. Licence: {result.card.licence}",
        "Not included: resampling to that scale, tiles, and post-processing; README.md in the package says what to do",
        written=[result.path],
    )


def _parse_size(text: str) -> tuple[int, int]:
    """Read PX or WxH; return height and width."""
    sides = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", text.lower())
    if not sides:
        message = f"--size takes a side or width and height, not {text!r}; write it as 512 or 640x480"
        raise InputError(message)
    return int(sides[2] or sides[1]), int(sides[1])
