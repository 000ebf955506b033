"""The result of a check."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Parameters
    ----------
    name : str
        Name of the check.
    found : str
        What was found: a version, a path, a number, or the problem.
    state : {"ok", "note", "broken"}
        Verdict; ``"note"``: monuseg works without it, possibly less well.
    fix : str
        What to do about the problem; empty if there is none.
    """

    name: str
    found: str
    state: State = "ok"
    fix: str = ""
