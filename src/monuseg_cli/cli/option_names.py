"""Rewriting of messages for the command line: settings become options."""

import re
import shlex
from collections.abc import Mapping

OTHER_NAMES: Mapping[str, str] = {"outputs": "output", "splits": "split"}
"""Settings whose option has another name; options that may be repeated are in the singular."""

_SETTING = re.compile(r"(?<![\w`])`([a-z][a-z0-9_]*)(?:=([^`]*))?`(?![\w`])")


def with_options(message: str) -> str:
    """Return a message with every setting in backquotes replaced by its option.

    Below the command line, messages name settings as Python does. In backquotes, ``x_y`` becomes ``--x-y`` and
    ``x_y=value`` becomes ``--x-y value``; the flags ``x=True`` and ``x=False`` become ``--x`` and ``--no-x``.
    """
    return _SETTING.sub(_option, message)


def _option(setting: re.Match[str]) -> str:
    name = OTHER_NAMES.get(setting[1], setting[1]).replace("_", "-")
    match setting[2]:
        case None | "True":
            return f"--{name}"
        case "False":
            return f"--no-{name}"
        case value:
            return f"--{name} {shlex.quote(value)}"
