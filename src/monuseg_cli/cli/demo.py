"""``monuseg demo``."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command
from monuseg_cli.core.home import DEFAULT_MODEL

_OPENERS = {"darwin": "open", "win32": "explorer"}
"""Commands that open a file with the program that the system has for it; xdg-open elsewhere."""


@command({"a first look": "monuseg demo", "with a model of your own": "monuseg demo --model unet-se -o look/"})
def demo(
    session: Session,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder to write to.")] = Path(
        "monuseg-demo"
    ),
    model: Annotated[
        str,
        typer.Option(
            metavar="RUN|WEIGHTS",
            help="Name or folder of a run, or a weights file.",
            show_default=f"{DEFAULT_MODEL}, in the package",
            autocompletion=complete.weights,
        ),
    ] = DEFAULT_MODEL,
) -> None:
    """Find the nuclei in a sample image that comes with the package; works offline."""
    from monuseg_cli.prediction.demo import DemoConfig
    from monuseg_cli.prediction.demo import demo as run

    weights = session.home.find_weights(model)
    result = run(DemoConfig(output, weights, session.home.cache), session.progress)
    found = result.prediction
    written = (result.mask, result.overlay, result.geojson, result.table, result.report, result.image)
    opener = _OPENERS.get(sys.platform, "xdg-open")
    session.show(
        result,
        result.about,
        f"{found.nuclei} nuclei in {found.width} x {found.height} pixels, {found.seconds:.1f} s",
        f"Written: {', '.join(map(str, written))}",
        f"See the outlines: {opener} {shlex.quote(str(result.overlay))}",
        f"See the report: {opener} {shlex.quote(str(result.report))}",
        f"In QuPath: open {result.image}, and drag {result.geojson.name} onto it",
        f"Model: {session.home.name_of_weights(weights)} ({result.card.architecture}, {result.card.licence})",
        then="predict slide.tif -o mask.png",
        written=written,
    )
