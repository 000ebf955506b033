"""One-line explanations of usage errors, with suggestions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monuseg_cli.cli.help import choices_of
from monuseg_cli.core.suggest import did_you_mean

# Some versions of Typer vendor click and others import it, so errors are distinguished by name.
Explain = Callable[[Any, Any, Sequence[str]], str]


def explain(error: Any, context: Any, typed: Sequence[str]) -> str:
    """Describe a usage error.

    Parameters
    ----------
    error : click's UsageError
        Error raised by the parser.
    context : click's Context
        Context of the command.
    typed : sequence of str
        Arguments of the command.
    """
    explanation = _BY_ERROR.get(type(error).__name__, _explain_other)
    return " ".join(explanation(error, context, typed).split())


def _explain_unknown_option(error: Any, context: Any, _: Sequence[str]) -> str:
    options = [name for param in context.command.get_params(context) for name in (*param.opts, *param.secondary_opts)]
    meant = did_you_mean(error.option_name, [name for name in options if name.startswith("--")])
    if not meant and context.parent is None:
        meant = "; options of a command follow its name"
    return f"no option {error.option_name} for {context.command_path}{meant}"


def _explain_option_use(error: Any, context: Any, _: Sequence[str]) -> str:
    option = error.option_name
    params = context.command.get_params(context)
    param = next(param for param in params if option in (*param.opts, *param.secondary_opts))
    if param.is_flag:
        return f"{option} takes no value"
    if param.nargs > 1:
        return f"{option} needs {param.nargs} values: {param.metavar or ''}"
    return f"{option} needs a value{_choose_from(param)}"


def _explain_missing(error: Any, context: Any, _: Sequence[str]) -> str:
    return f"{context.command_path} needs {_name(error.param)}{_choose_from(error.param)}"


def _explain_value(error: Any, context: Any, typed: Sequence[str]) -> str:
    if error.param is None:
        return _explain_other(error, context, typed)
    raw = context.command.make_parser(context).parse_args(list(typed))[0].get(error.param.name)
    value = " ".join(raw) if isinstance(raw, list | tuple) else str(raw)
    choices = choices_of(error.param)
    if choices:
        return f"{_name(error.param)} takes {', '.join(choices)}, not {value!r}{did_you_mean(value, choices)}"
    # Pydantic's message, in some versions of Typer: "Input should be a valid integer, unable to parse ..."
    reason = str(error.message).removeprefix("Value error, ").replace("Input should", "it should")
    return f"{_name(error.param)} cannot be {value!r}: {reason.split(', unable')[0].rstrip('.')}"


def _explain_other(error: Any, context: Any, typed: Sequence[str]) -> str:
    left = context.command.make_parser(context).parse_args(list(typed))[1]
    if left and not hasattr(context.command, "list_commands"):
        return f"{context.command_path} does not take {' '.join(left)}"
    return str(error.format_message()).rstrip(".")


_BY_ERROR: Mapping[str, Explain] = {
    "NoSuchOption": _explain_unknown_option,
    "BadOptionUsage": _explain_option_use,
    "MissingParameter": _explain_missing,
    "BadParameter": _explain_value,
}


def _name(param: Any) -> str:
    """Return the long form of an option, or the metavar of an argument."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name.upper())


def _choose_from(param: Any) -> str:
    choices = choices_of(param)
    return f", one of {', '.join(choices)}" if choices else ""
