"""The class of all commands: custom help, and usage errors in one line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup

EXIT_CODE = 2

# Some versions of Typer vendor click and others import it, so neither is imported here.
_UsageError = cast("type[Exception]", typer.BadParameter.__base__)
_HELP_IN_PLACE_OF_NOTHING = "NoArgsIsHelpError"


class Command(TyperCommand):
    """A command whose usage errors are one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, or end with exit code 2."""
        with _in_one_line(ctx, args):
            return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: object) -> None:
        """Print the help."""
        _print_help(self, ctx)


class Group(TyperGroup):
    """A group of commands whose usage errors are one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments before the subcommand, or end with exit code 2."""
        with _in_one_line(ctx, args):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the subcommand, or end with exit code 2."""
        try:
            return super().resolve_command(ctx, args)
        except _UsageError:
            from monuseg_cli.core.suggest import did_you_mean

            name = args[0]
            message = f"{ctx.command_path} has no command {name}{did_you_mean(name, self.list_commands(ctx))}"
            end_with_usage_error(message, ctx.command_path)

    def format_help(self, ctx: Any, formatter: object) -> None:
        """Print the help."""
        _print_help(self, ctx)


def end_with_usage_error(message: str, command_path: str | None = None) -> NoReturn:
    """Print one line on standard error, and end with exit code 2.

    Parameters
    ----------
    message : str
        The error; a question at its end begins with ``did you mean``.
    command_path : str, optional
        The command whose help is referred to.
    """
    from rich.console import Console

    see = f"{' See' if message.endswith('?') else '; see'} {command_path} --help" if command_path else ""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    console.print(f"error: {message}{see}", style="red")
    raise typer.Exit(EXIT_CODE) from None


def _print_help(command: Any, context: Any) -> None:
    from monuseg_cli.cli.help import print_help

    print_help(command, context)


@contextmanager
def _in_one_line(ctx: Any, args: Sequence[str]) -> Iterator[None]:
    typed = list(args)  # parsing removes arguments
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == _HELP_IN_PLACE_OF_NOTHING or ctx.resilient_parsing:
            raise
        from monuseg_cli.cli.usage_errors import explain

        end_with_usage_error(explain(error, ctx, typed), ctx.command_path)
