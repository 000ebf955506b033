"""``monuseg export``."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command
from monuseg_cli.core.errors import InputError


@command(
    {
        "the model in the package": "monuseg export default -o model.onnx",
        "tiles of 512 x 512, for QuPath": "monuseg export default -o tiles.onnx --size 512",
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
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write (.onnx).")],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="PX|WxH",
            help="Fix the size of the images, as OpenCV 4 and QuPath need; without it, images of any size.",
        ),
    ] = None,
    format: Annotated[Literal["onnx"], typer.Option(help="Format of the file.")] = "onnx",
) -> None:
    """Export a model to ONNX, for other programs.

    The exported model takes intensities of 0 to 1 and returns probabilities; its metadata hold the model card.
    """
    from monuseg_cli.models.export import export_onnx

    weights = session.home.find_weights(model)
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


def _parse_size(text: str) -> tuple[int, int]:
    """Read PX or WxH; return height and width."""
    sides = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", text.lower())
    if not sides:
        message = f"--size takes a side or width and height, not {text!r}; write it as 512 or 640x480"
        raise InputError(message)
    return int(sides[2] or sides[1]), int(sides[1])
