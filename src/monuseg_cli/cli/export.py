"""``monuseg export``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command


@command({"the model in the package": "monuseg export default -o model.onnx"})
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
    format: Annotated[Literal["onnx"], typer.Option(help="Format of the file.")] = "onnx",
) -> None:
    """Export a model to ONNX, for other programs.

    The exported model takes intensities of 0 to 1 and returns probabilities; its metadata hold the model card.
    """
    from monuseg_cli.models.export import MULTIPLE_PX, export_onnx

    result = export_onnx(session.home.find_weights(model), output, session.progress)
    session.show(
        result,
        f"Written: {result.path}, {result.bytes / 2**20:.1f} MiB of {format.upper()}",
        f"Input {result.input}: (N, 3, H, W) float32, RGB within 0..1, H and W multiples of {MULTIPLE_PX}",
        f"Output {result.output}: (N, C, H, W) float32 within 0..1: {', '.join(result.card.classes)}",
        f"Scale: {result.card.mpp} um/px. Licence: {result.card.licence}",
        written=[result.path],
    )
