"""Help that fits 80 columns: usage, examples, and panels of options with their meaning, choices and default."""

import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

ARGUMENTS, OPTIONS, GENERAL = "Arguments", "Options", "General"
"""Titles of panels: arguments, options without a panel, and options common to all commands."""

REQUIRED = "required"
_WIDEST_PAGE = 100
_WIDEST_NAME = 32
_GAP = 2
_SHORT_NOTE = 24
_NO_BREAK = "\N{NO-BREAK SPACE}"
_VALUES: Mapping[str, str] = {"int": "N", "integer": "N", "integer range": "N", "float": "NUMBER"}
"""Default metavars, by the name of the value's type in different versions of Typer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An argument, option or subcommand in the help.

    Parameters
    ----------
    panel : str
        Title of its panel.
    typed : str
        Names and metavar.
    meaning : str
        Help text.
    choices : tuple of str
        The accepted words; empty if other values are accepted.
    default : str
        Default value, or ``"required"``; empty if there is nothing to show.
    """

    panel: str
    typed: str
    meaning: str
    choices: tuple[str, ...] = ()
    default: str = ""

    @property
    def note(self) -> str:
        """Choices and default in one line; empty if there are none."""
        default = self.default if self.default in ("", REQUIRED) else f"default: {self.default}"
        return "; ".join(part for part in (", ".join(self.choices), default) if part)


def choices_of(param: Any) -> tuple[str, ...]:
    """List the words that an argument or option accepts; empty if it accepts other values."""
    kind = getattr(param, "type_descriptor", None) or getattr(param, "type", None)
    return tuple(map(str, getattr(kind, "choices", None) or ()))


def list_entries(command: Any, context: Any) -> list[Entry]:
    """List the arguments, options and subcommands of a command in the order of its help, general options last."""
    params = [_describe(param, context) for param in command.get_params(context) if not getattr(param, "hidden", False)]
    names = command.list_commands(context) if hasattr(command, "list_commands") else ()
    below = [_describe_command(command.get_command(context, name)) for name in names]
    return sorted([*params, *below], key=lambda entry: (entry.panel != ARGUMENTS, entry.panel == GENERAL))


def list_examples(command: Any) -> Mapping[str, str]:
    """Return the example command lines of a command, keyed by their descriptions."""
    examples: Mapping[str, str] = getattr(command.callback, "examples", {})
    return examples


def print_help(command: Any, context: Any) -> None:
    """Print the help of a command."""
    console = Console(highlight=False, markup=False)
    console.width = min(console.width, _WIDEST_PAGE)
    entries = list_entries(command, context)
    console.print(Text.assemble(("Usage: ", "yellow"), (_usage(command, context), "bold")))
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        console.print(f"\n{textwrap.fill(paragraph, console.width, break_on_hyphens=False)}")
    console.print()
    for what, line in list_examples(command).items():
        console.print(f"  # {what}", style="dim")
        console.print(f"  {line}\n", soft_wrap=True)
    names_width = min(max(len(entry.typed) for entry in entries), _WIDEST_NAME)
    meanings_width = console.width - names_width - len("│  │") - _GAP
    for title in dict.fromkeys(entry.panel for entry in entries):
        rows = Table.grid(padding=(0, _GAP))
        rows.add_column(width=names_width, style="cyan")
        for entry in entries:
            if entry.panel == title:
                rows.add_row(entry.typed, _wrapped(entry, meanings_width))
        console.print(Panel(rows, title=title, title_align="left", border_style="dim"))


def _wrapped(entry: Entry, width: int) -> Text:
    """Wrap meaning and note; a short note is not broken."""
    note = f"[{entry.note}]" if entry.note else ""
    if len(note) <= _SHORT_NOTE:
        note = note.replace(" ", _NO_BREAK)
    lines = textwrap.wrap(f"{entry.meaning} {note}".strip(), width, break_on_hyphens=False)
    text = Text("\n".join(lines).replace(_NO_BREAK, " "))
    text.stylize("dim", len(entry.meaning))
    return text


def _usage(command: Any, context: Any) -> str:
    arguments = [_names(param) for param in command.get_params(context) if param.param_type_name == "argument"]
    below = ["COMMAND"] if hasattr(command, "list_commands") else []
    if below and getattr(command, "invoke_without_command", False):
        below = ["[COMMAND]"]
    return " ".join([context.command_path, "[OPTIONS]", *arguments, *below])


def _describe(param: Any, context: Any) -> Entry:
    usual = GENERAL if "--help" in param.opts or hasattr(context.command, "list_commands") else OPTIONS
    panel = ARGUMENTS if param.param_type_name == "argument" else getattr(param, "rich_help_panel", None) or usual
    return Entry(panel, _names(param), param.help or "", choices_of(param), _default(param, context))


def _describe_command(command: Any) -> Entry:
    meaning = inspect.cleandoc(command.help or "").partition("\n\n")[0]
    return Entry(getattr(command, "rich_help_panel", None) or "Commands", command.name, meaning)


def _names(param: Any) -> str:
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    names = ", ".join(sorted((*param.opts, *param.secondary_opts), key=lambda name: not name.startswith("--")))
    return names if param.is_flag else f"{names} {_value(param)}"


def _value(param: Any) -> str:
    if param.metavar:
        return str(param.metavar)
    if choices_of(param):
        return "NAME"
    descriptor = getattr(param, "type_descriptor", None)
    return _VALUES[descriptor.annotation.__name__ if descriptor else param.type.name]


def _default(param: Any, context: Any) -> str:
    if param.required:
        return REQUIRED
    if isinstance(param.show_default, str):
        return param.show_default
    value = param.get_default(context, call=False)
    match value:
        case bool():
            return ("on" if value else "off") if param.secondary_opts else ""
        case int() | float() | str() | Path():
            return str(value)
    return ""
