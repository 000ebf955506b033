"""Shared by all commands: common options, progress, output and errors."""

import functools
import inspect
import json
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from monuseg_cli import __version__
from monuseg_cli.cli.command import end_with_usage_error
from monuseg_cli.cli.config_file import CONFIG_FILE, UsedConfig, apply_config_file, used_config
from monuseg_cli.cli.help import GENERAL
from monuseg_cli.cli.option_names import with_options
from monuseg_cli.core.errors import MonusegError
from monuseg_cli.core.home import HOME_VARIABLE, Home
from monuseg_cli.core.progress import Progress

CONTEXT = "context"
"""Name of the parameter of a command that receives its context."""

THREADS_HELP = "Threads of the network on the CPU."

_FILE_COLUMNS = 200


@dataclass(frozen=True, slots=True)
class Session:
    """The context of a command, beside its own options.

    Parameters
    ----------
    home : Home
        Home of data, runs and models.
    progress : Progress
        Progress for the stage that the command calls.
    as_json : bool
        Whether the result is printed as JSON.
    home_option : Path or None
        Value of --home, repeated in suggested commands.
    out, errors : Console
        Standard output and standard error.
    config : UsedConfig or None
        What was taken from a config file; None without one.
    """

    home: Home
    progress: Progress
    as_json: bool
    home_option: Path | None
    out: Console
    errors: Console
    config: UsedConfig | None = None

    def show(
        self, result: object, *lines: str | Table, then: str | None = None, written: Sequence[Path] | None = None
    ) -> None:
        """Print a result.

        Parameters
        ----------
        result : dataclass instance or mapping
            Printed with --json.
        *lines : str or rich.table.Table
            Printed without --json.
        then : str, optional
            Suggested next command, without ``monuseg``.
        written : sequence of Path, optional
            Files and folders that were written. They are listed with --json; `lines` must contain them, too.
        """
        if self.as_json:
            if written is not None:
                result = {**_fields(result), "written": written}
            if self.config is not None and (is_dataclass(result) or isinstance(result, Mapping)):
                result = {**_fields(result), "config": self.config}
            self.out.print(json.dumps(result, indent=2, default=_plain), soft_wrap=True)
            return
        for line in lines:
            self.out.print(line, soft_wrap=isinstance(line, str))
        if then is not None:
            self.out.print(f"Next: {self.command(then)}", soft_wrap=True)

    def fail(self, error: MonusegError) -> None:
        """Print an error as one line, and continue."""
        self.errors.print(f"error: {with_options(str(error))}", style="red")

    def command(self, words: str) -> str:
        """Return a monuseg command as the user would type it here."""
        home = f" --home {shlex.quote(str(self.home_option))}" if self.home_option else ""
        return f"monuseg {words}{home}"


def _plain(value: object) -> object:
    """Convert values that JSON does not support."""
    if is_dataclass(value) or isinstance(value, Mapping):
        return _fields(value)
    return with_options(str(value)) if isinstance(value, MonusegError) else str(value)


def _fields(value: object) -> dict[str, object]:
    if is_dataclass(value):
        return {part.name: getattr(value, part.name) for part in fields(value)}
    assert isinstance(value, Mapping)
    return dict(value)


_general = functools.partial(typer.Option, rich_help_panel=GENERAL)

_COMMON_OPTIONS: dict[str, tuple[Any, Any]] = {
    "home": (
        Annotated[
            Path | None,
            _general(
                "--home",
                metavar="FOLDER",
                help="Folder of data, runs and models.",
                show_default=f"{HOME_VARIABLE}, or the usual folder for user data",
            ),
        ],
        None,
    ),
    "as_json": (Annotated[bool, _general("--json", help="Print the result as JSON.")], False),
    "quiet": (Annotated[bool, _general("--quiet", "-q", help="Show no progress, only results and warnings.")], False),
    "verbose": (
        Annotated[bool, _general("--verbose", "-v", help="Also show files, settings and engines, with the time.")],
        False,
    ),
    "debug": (Annotated[bool, _general("--debug", help="Show tracebacks, and warnings of libraries.")], False),
}


def _read_config(context: typer.Context, file: Path | None) -> Path | None:
    """Take the command's defaults from a config file, before its other options are read."""
    if not context.resilient_parsing:
        with _failing_in_one_line(_error_console(), debug=False):
            apply_config_file(context, file, context.command.callback.__annotations__)
    return file


_COMMON_OPTIONS["config"] = (
    Annotated[
        Path | None,
        _general(
            "--config",
            metavar="FILE",
            help="Read options that are not given here from this TOML file.",
            show_default=f"{CONFIG_FILE} in the working folder, if there is one",
            is_eager=True,
            callback=_read_config,
        ),
    ],
    None,
)


def command(examples: Mapping[str, str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that turns a function whose first parameter is a `Session` into a command.

    The command has the function's other parameters and the common options. A `MonusegError` ends it with one line on
    standard error and the error's exit code.

    Parameters
    ----------
    examples : mapping of str to str
        Example command lines for the help, keyed by their descriptions.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        takes_context = CONTEXT in inspect.signature(function).parameters

        @functools.wraps(function)
        def run(
            context: typer.Context,
            home: Path | None,
            as_json: bool,
            quiet: bool,
            verbose: bool,
            debug: bool,
            config: Path | None,
            **arguments: Any,
        ) -> None:
            from monuseg_cli.cli.bars import ConsoleProgress, QuietProgress

            errors = _error_console()
            if quiet and verbose:
                end_with_usage_error("--quiet and --verbose contradict each other; leave one out")
            progress = QuietProgress(errors) if quiet else ConsoleProgress(errors, verbose)
            used = used_config(context)
            session = Session(Home.resolve(home), progress, as_json, home, _output_console(), errors, used)
            if used:
                errors.print(str(used))  # also with --quiet: it decides the result
            if takes_context:
                arguments["context"] = context
            # matplotlib would write to the user's own folders; where that is wanted, the variable is set already
            os.environ.setdefault("MPLCONFIGDIR", str(session.home.cache / "matplotlib"))
            python = ".".join(map(str, sys.version_info[:3]))
            progress.detail(f"monuseg {__version__}, Python {python}, home {session.home.root}")
            with _failing_in_one_line(errors, debug):
                function(session, **arguments)
            progress.detail("done")

        own = list(inspect.signature(function).parameters.values())[1:]
        common = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for name, (annotation, default) in _COMMON_OPTIONS.items()
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own if parameter.name != CONTEXT]
        passed = inspect.Parameter(CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        signature = inspect.Signature([*own, *common, passed])
        run.__signature__ = signature  # type: ignore[attr-defined] # functions accept attributes
        run.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        run.examples = examples  # type: ignore[attr-defined] # functions accept attributes
        return run

    return decorate


def _error_console() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def _output_console() -> Console:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _FILE_COLUMNS  # a log or a pipe has no terminal width
    return console


@contextmanager
def _failing_in_one_line(console: Console, debug: bool) -> Iterator[None]:
    """End the command with one line and an exit code; warnings and logs of libraries are shown only with --debug."""
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
                logging.disable()
            yield
    except KeyboardInterrupt:
        console.print("stopped")
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # The reader of our output is gone; redirect it, so that Python's final flush does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except (MonusegError, OSError, MemoryError) as error:
        if debug:
            console.print_exception()
        reason = with_options(str(error)) or "out of memory"
        console.print(f"error: {' '.join(reason.split())}", style="red")
        raise typer.Exit(error.exit_code if isinstance(error, MonusegError) else MonusegError.exit_code) from None
    finally:
        logging.disable(logging.NOTSET)


def table(*columns: str) -> Table:
    """Build an empty table: the first column is text, the others are numbers."""
    begun = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        begun.add_column(column, justify="right" if index else "left", overflow="fold")
    return begun
