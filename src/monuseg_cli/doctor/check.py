"""What was looked at, and what was found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        What.
    found : str
        What was found: a version, a place, a number, or what is wrong.
    state : {"ok", "note", "broken"}
        Whether it is well; ``"note"``: monuseg does without it, or less well.
    fix : str
        What to do about it; empty where all is well.
    """

    name: str
    found: str
    state: State = "ok"
    fix: str = ""
