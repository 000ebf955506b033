"""``monuseg demo``."""

from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command
from monuseg_cli.core.home import DEFAULT_MODEL


@command(example="monuseg demo")
def demo(
    session: Session,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")] = Path("monuseg-demo"),
    model: Annotated[
        str,
        typer.Option(metavar="RUN|WEIGHTS", help="A run, a weights file, or default.", autocompletion=complete.weights),
    ] = DEFAULT_MODEL,
) -> None:
    """Find nuclei in a picture that is here already: a first look, without a network."""
    from monuseg_cli.prediction.demo import DemoConfig
    from monuseg_cli.prediction.demo import demo as run

    weights = session.home.find_weights(model)
    result = run(DemoConfig(output, weights, session.home.cache), session.progress)
    found = result.prediction
    session.show(
        result,
        result.about,
        f"{found.nuclei} nuclei in {found.width} x {found.height} pixels, {found.seconds:.1f} s",
        f"Look at: {result.overlay}",
        f"Model: {session.home.name_of_weights(weights)} ({result.card.architecture}, {result.card.licence})",
        then="predict slide.tif -o mask.png",
    )
