"""Messages for the command line: options in place of the settings that they name."""

import re
import shlex
from collections.abc import Mapping

OTHER_NAMES: Mapping[str, str] = {"outputs": "output", "splits": "split"}
"""Settings whose option is not spelt as they are; an option that may be repeated is in the singular."""

_SETTING = re.compile(r"(?<![\w`])`([a-z][a-z0-9_]*)(?:=([^`]*))?`(?![\w`])")


def with_options(message: str) -> str:
    """Return a message with an option in place of every setting that stands in it in backquotes.

    Below the command line, messages name settings as Python does: ``x_y`` in backquotes becomes ``--x-y``, and
    ``x_y=value`` becomes ``--x-y value``; a flag, ``x=True`` or ``x=False``, becomes ``--x`` or ``--no-x``.
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
