"""The command ``monuseg`` and its subcommands, each of which is loaded when it is called for."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from monuseg_cli import __version__
from monuseg_cli.cli.usage import Command, Group

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "Find nuclei in a picture that is here already: a first look, without a network.",
        "doctor": "Tell what monuseg finds on this machine, and what is wrong with it.",
        "download": "Fetch, check and unpack MoNuSeg (CC BY-NC-SA 4.0), or NuInsSeg (CC BY 4.0).",
        "masks": "Make a label image and a binary mask of every case from its annotation.",
        "patches": "Cut images and masks into patches, each of which knows its case.",
        "train": "Train a model on the patches; masks and patches that are missing are made first.",
        "runs": "List the training runs, oldest first, with their best validation scores.",
        "evaluate": "Score models, or any folder of predictions: per image, per organ, and the mean with its interval.",
        "predict": "Find the nuclei in images and slides, and write them as masks or label images.",
        "slide-info": "Tell size, levels, tiles, compression and scale of a slide, and where the scale comes from.",
        "show": "Draw the outlines of nuclei on an image.",
        "export": "Write a model for other programs: from intensities within 0..1 to probabilities, with its card.",
        "models": "List the architectures, and the weights that came with the package, were trained, or put here.",
    }
)
"""Every subcommand with its line in the list: the first of its docstring, which is not read for the list."""


class LazyCommand(TyperCommand):
    """A subcommand of which only name and line are known; its file is read when it is called for."""

    def __init__(self, name: str) -> None:
        super().__init__(name, help=COMMANDS[name])

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the subcommand's options, by the subcommand itself."""
        return load(str(self.name)).make_context(info_name, args, parent, **extra)


class _Commands(Group):
    """The subcommands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": {name: LazyCommand(name) for name in COMMANDS}})


def app_of(name: str) -> typer.Typer:
    """Give a subcommand's app: that of its file where it is a group, else one of the function of its name alone."""
    module = importlib.import_module(f"monuseg_cli.cli.{name.replace('-', '_')}")
    own: typer.Typer | None = getattr(module, "app", None)
    if own is None:
        own = typer.Typer(add_completion=False)
        own.command(name, cls=Command)(getattr(module, name.replace("-", "_")))
    return own


def load(name: str) -> Any:
    """Give a subcommand, as click has them."""
    return typer.main.get_command(app_of(name))


app = typer.Typer(
    name="monuseg",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"monuseg {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: monuseg demo")
def monuseg(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find nuclei in H&E tissue: download MoNuSeg, train, evaluate, predict."""


def main() -> None:
    """Run the command line."""
    app(prog_name="monuseg")
