"""What is trained on beside the first data set, as recipes write it: ``"nuinsseg:0.125"``."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from monuseg_cli.core.errors import InputError

_WEIGHT = re.compile(r":\d*\.?\d+\Z")


@dataclass(frozen=True, slots=True)
class MoreData:
    """A data set that is trained on beside the first: a public one's name or a folder, and its weight."""

    name: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "MoreData":
        """Read ``NAME``, ``FOLDER``, or one of them with ``:WEIGHT`` behind it.

        Raises
        ------
        InputError
            If there is no name, or the weight is not above 0.
        """
        name, _, weight = text.rpartition(":") if isinstance(text, str) and _WEIGHT.search(text) else (text, "", "1")
        if not isinstance(name, str) or not name or not 0 < float(weight) < math.inf:
            message = f"`also` takes a data set's name or a folder, and a weight above 0 behind a colon, not {text!r}"
            raise InputError(message)
        return cls(name, float(weight))

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        return self.name if self.weight == 1 else f"{self.name}:{self.weight:g}"


def parse_more(texts: Sequence[str]) -> tuple[MoreData, ...]:
    """Read all of them.

    Raises
    ------
    InputError
        If one cannot be read, or a name comes twice.
    """
    more = tuple(MoreData.parse(text) for text in texts)
    names = [one.name for one in more]
    if twice := [name for name in names if names.count(name) > 1]:
        message = f"`also` names {twice[0]} twice; give it one weight"
        raise InputError(message)
    return more
