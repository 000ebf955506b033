"""The command ``monuseg`` and its subcommands, each of which is loaded when it is called."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from monuseg_cli import __version__
from monuseg_cli.cli.command import Command, Group

PANELS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Find nuclei": {
            "demo": "Find the nuclei in a sample image that comes with the package; works offline.",
            "predict": "Find the nuclei in images and slides: masks, label images, GeoJSON, tables.",
            "view": "Look at a slide and its nuclei in the browser.",
            "measure": "Measure nuclei that any tool found: size, shape, stain, texture, neighbours.",
            "classify": "Train a classifier of nuclei on regions or nuclei that were given classes.",
            "slide-info": "Show the size, levels, tiles, compression and scale of a slide.",
            "show": "Draw the outlines of nuclei on an image.",
        },
        "Train and evaluate": {
            "download": "Download, verify and unpack MoNuSeg (CC BY-NC-SA 4.0), or read NuInsSeg (CC BY 4.0).",
            "masks": "Build a label image and a binary mask of each case from its annotation.",
            "patches": "Cut images and masks into patches for training.",
            "train": "Train a model; missing masks and patches are built first.",
            "runs": "List the training runs with their best validation scores.",
            "evaluate": "Score models, or the output of other tools, against a reference.",
        },
        "Models and setup": {
            "models": "List the architectures and the available weights.",
            "export": "Export a model to ONNX, or as a package of bioimage.io.",
            "doctor": "Check this machine: software, hardware, files and a first prediction.",
        },
    }
)
"""Every subcommand with its summary: the first line of its docstring, repeated here so that help loads no command."""

COMMANDS: Mapping[str, str] = MappingProxyType(
    {name: line for panel in PANELS.values() for name, line in panel.items()}
)


class LazyCommand(TyperCommand):
    """A subcommand with its name and summary; its module is imported when it is called."""

    def __init__(self, name: str, panel: str) -> None:
        super().__init__(name, help=COMMANDS[name], rich_help_panel=panel)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Import the subcommand, and let it parse its options."""
        return load(str(self.name)).make_context(info_name, args, parent, **extra)


class _Commands(Group):
    """The subcommands."""

    def __init__(self, **attributes: Any) -> None:
        commands = {name: LazyCommand(name, panel) for panel, names in PANELS.items() for name in names}
        super().__init__(**{**attributes, "commands": commands})


def app_of(name: str) -> typer.Typer:
    """Return the app of a subcommand: that of its module if it is a group, else one with only its function."""
    module = importlib.import_module(f"monuseg_cli.cli.{name.replace('-', '_')}")
    own: typer.Typer | None = getattr(module, "app", None)
    if own is None:
        own = typer.Typer(add_completion=False)
        own.command(name, cls=Command)(getattr(module, name.replace("-", "_")))
    return own


def load(name: str) -> Any:
    """Return a subcommand as a click command."""
    return typer.main.get_command(app_of(name))


app = typer.Typer(
    name="monuseg",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"monuseg {__version__}")
        raise typer.Exit


@app.callback()
def monuseg(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find nuclei in H&E tissue: predict, train, evaluate.

    A first look: monuseg demo
    """


def main() -> None:
    """Run the command line."""
    app(prog_name="monuseg")
