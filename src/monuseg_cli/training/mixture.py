"""Additional training data, written in recipes as ``"nuinsseg:0.125"``."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from monuseg_cli.core.errors import InputError

_WEIGHT = re.compile(r":\d*\.?\d+\Z")


@dataclass(frozen=True, slots=True)
class MoreData:
    """An additional training data set: the name of a public one or a folder, and its weight."""

    name: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "MoreData":
        """Parse ``NAME`` or ``FOLDER``, optionally followed by ``:WEIGHT``.

        Raises
        ------
        InputError
            If the name is empty, or the weight is not above 0.
        """
        name, _, weight = text.rpartition(":") if isinstance(text, str) and _WEIGHT.search(text) else (text, "", "1")
        if not isinstance(name, str) or not name or not 0 < float(weight) < math.inf:
            message = f"`extra_data` takes a data set or folder, and a weight above 0 after a colon, not {text!r}"
            raise InputError(message)
        return cls(name, float(weight))

    def __str__(self) -> str:
        """Format the data set so that `parse` can read it."""
        return self.name if self.weight == 1 else f"{self.name}:{self.weight:g}"


def parse_more(texts: Sequence[str]) -> tuple[MoreData, ...]:
    """Parse several data sets.

    Raises
    ------
    InputError
        If one is invalid, or a name occurs twice.
    """
    more = tuple(MoreData.parse(text) for text in texts)
    names = [one.name for one in more]
    if twice := [name for name in names if names.count(name) > 1]:
        message = f"`extra_data` names {twice[0]} twice; give it one weight"
        raise InputError(message)
    return more
