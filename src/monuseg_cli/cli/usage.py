"""Errors of the command line itself, in one line like every other error, with what was probably meant."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from monuseg_cli.core.suggest import did_you_mean

EXIT_CODE = 2

# Typer brings its own copy of click in some versions and imports it in others: neither is named here.
_UsageError = cast("type[Exception]", typer.BadParameter.__base__)
_HELP_IN_PLACE_OF_NOTHING = "NoArgsIsHelpError"


class Command(TyperCommand):
    """A command whose usage errors are one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, or end with exit code 2."""
        with _in_one_line(ctx, args):
            return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A group of commands whose usage errors are one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before the subcommand, or end with exit code 2."""
        with _in_one_line(ctx, args):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the subcommand, or end with exit code 2."""
        try:
            return super().resolve_command(ctx, args)
        except _UsageError:
            name = args[0]
            message = f"{ctx.command_path} has no command {name}{did_you_mean(name, self.list_commands(ctx))}"
            end_with_usage_error(message, ctx.command_path)


def end_with_usage_error(message: str, command_path: str | None = None) -> NoReturn:
    """Print one line on standard error, and end with exit code 2.

    Parameters
    ----------
    message : str
        What is wrong; where it ends in a question, that begins with ``did you mean``.
    command_path : str, optional
        The command whose help tells more, as it is typed.
    """
    see = f"{' See' if message.endswith('?') else '; see'} {command_path} --help" if command_path else ""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    console.print(f"error: {message}{see}", style="red")
    raise typer.Exit(EXIT_CODE) from None


@contextmanager
def _in_one_line(ctx: Any, args: Sequence[str]) -> Iterator[None]:
    typed = list(args)  # parsing takes words away
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == _HELP_IN_PLACE_OF_NOTHING or ctx.resilient_parsing:
            raise
        end_with_usage_error(" ".join(_explain(error, ctx, typed).split()), ctx.command_path)


def _explain(error: Any, ctx: Any, typed: Sequence[str]) -> str:
    match type(error).__name__:
        case "NoSuchOption":
            return _explain_unknown_option(error.option_name, ctx)
        case "BadOptionUsage":
            return _explain_option_use(error.option_name, ctx)
        case "MissingParameter":
            return f"{ctx.command_path} needs {_name(error.param)}{_choose_from(error.param)}"
        case "BadParameter" if error.param is not None:
            return _explain_value(error, ctx, typed)
    left = ctx.command.make_parser(ctx).parse_args(list(typed))[1]
    if left and isinstance(ctx.command, Command):
        return f"{ctx.command_path} has no place for {' '.join(left)}"
    return str(error.format_message()).rstrip(".")


def _explain_unknown_option(option: str, ctx: Any) -> str:
    options = [name for param in ctx.command.get_params(ctx) for name in (*param.opts, *param.secondary_opts)]
    meant = did_you_mean(option, [name for name in options if name.startswith("--")])
    if not meant and ctx.parent is None:
        meant = "; options of a command stand behind it"
    return f"no option {option} for {ctx.command_path}{meant}"


def _explain_option_use(option: str, ctx: Any) -> str:
    param = next(param for param in ctx.command.get_params(ctx) if option in (*param.opts, *param.secondary_opts))
    if param.is_flag:
        return f"{option} takes no value"
    if param.nargs > 1:
        return f"{option} needs {param.nargs} values: {param.metavar or ''}"
    return f"{option} needs a value{_choose_from(param)}"


def _explain_value(error: Any, ctx: Any, typed: Sequence[str]) -> str:
    raw = ctx.command.make_parser(ctx).parse_args(list(typed))[0].get(error.param.name)
    value = " ".join(raw) if isinstance(raw, list | tuple) else str(raw)
    choices = _choices(error.param)
    if choices:
        return f"{_name(error.param)} takes {', '.join(choices)}, not {value!r}{did_you_mean(value, choices)}"
    # What pydantic says, in some versions of typer: "Input should be a valid integer, unable to parse ..."
    reason = str(error.message).removeprefix("Value error, ").replace("Input should", "it should")
    return f"{_name(error.param)} cannot be {value!r}: {reason.split(', unable')[0].rstrip('.')}"


def _name(param: Any) -> str:
    """Name an option by its long form, and an argument by what stands for it in the help."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name.upper())


def _choices(param: Any) -> tuple[str, ...]:
    kind = getattr(param, "type_descriptor", None) or getattr(param, "type", None)
    return tuple(map(str, getattr(kind, "choices", None) or ()))


def _choose_from(param: Any) -> str:
    choices = _choices(param)
    return f", one of {', '.join(choices)}" if choices else ""
