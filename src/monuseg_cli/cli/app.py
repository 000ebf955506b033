"""The command ``monuseg`` and its subcommands."""

from typing import Annotated

import typer

from monuseg_cli import __version__
from monuseg_cli.cli.download import download
from monuseg_cli.cli.evaluate import evaluate
from monuseg_cli.cli.export import export
from monuseg_cli.cli.masks import masks
from monuseg_cli.cli.models import card, models
from monuseg_cli.cli.patches import patches
from monuseg_cli.cli.predict import predict
from monuseg_cli.cli.runs import runs
from monuseg_cli.cli.show import show
from monuseg_cli.cli.slide_info import slide_info
from monuseg_cli.cli.train import train

app = typer.Typer(
    name="monuseg",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for subcommand in (download, masks, patches, train, runs, evaluate, predict, slide_info, show, export):
    app.command()(subcommand)
about_models = typer.Typer()
about_models.callback(invoke_without_command=True)(models)
about_models.command()(card)
app.add_typer(about_models, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"monuseg {__version__}")
        raise typer.Exit


@app.callback()
def monuseg(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find nuclei in H&E tissue: download MoNuSeg, train, evaluate, predict."""


def main() -> None:
    """Run the command line."""
    app()
