"""What the tests with random input share: how many examples, and how valid files are changed."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from monuseg_cli.core.errors import MonusegError

EXAMPLES = int(os.environ.get("MONUSEG_FUZZ_EXAMPLES", "150"))
"""Of each kind; so many take some seconds."""

DEEP = 100_000
"""Lists inside each other, more than any reader can follow."""

bounded = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
edits = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 12), st.binary(max_size=12)), max_size=6)
"""Places, how many bytes go there, and what comes in their stead."""

Encode = Callable[[str], bytes]
encodings: st.SearchStrategy[Encode] = st.sampled_from(
    [
        *[lambda text: text.encode()] * 12,
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-32-be"),
        lambda text: text.encode("latin-1", errors="replace"),
        lambda text: text.encode()[: len(text) // 2],
        lambda text: text.encode() + b"\xff",
        lambda text: b"",
    ]
)
"""Mostly UTF-8; else another encoding, cut off, or with a byte that is no text."""


def fewer(part: int) -> settings:
    """Return settings with a share of the examples, for readers that take long."""
    return settings(bounded, max_examples=max(EXAMPLES // part, 1))


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


_ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**63), 2**64, 10**400, -(10**30)),
    *(0.5, -0.0, 1.5, -2.5, 1e-320, 1e300, math.nan, math.inf, -math.inf),
    *("", "a", "5", "nan", "\0", "\ud800", "../up", "/etc/x", "a\nb", "`mpp`", "é" * 1000, "val", "boundary"),
    *([], {}, [[]], [None], [1, 2, 3], {"a": 1}, {"": None}, {"a": {"b": [0]}}, _nested(40), _nested(700)),
]
odd = st.one_of(st.sampled_from(_ODD), st.integers(), st.floats(), st.text(max_size=5))
"""Values of other types, beyond all bounds, or that no file should hold."""

_Place = tuple[int, ...]
changes = st.lists(
    st.tuples(
        st.lists(st.integers(0, 50), min_size=1, max_size=6).map(tuple),
        st.sampled_from(["replace", "replace", "replace", "delete", "rename", "add", "wrap", "repeat"]),
        odd,
    ),
    min_size=1,
    max_size=3,
)
"""Places in a tree of lists and mappings, what is done there, and a value for that."""


def changed(content: Any, edited_places: list[tuple[_Place, str, Any]]) -> Any:
    """Return a copy of a tree in plain types with changes; a place leads from the root by remainders."""
    for place, action, value in edited_places:
        content = _change(content, place, action, value)
    return content


def _change(content: Any, place: _Place, action: str, value: Any) -> Any:
    if not isinstance(content, dict | list | tuple) or not content:
        return value
    names = list(content) if isinstance(content, dict) else list(range(len(content)))
    name = names[place[0] % len(names)]
    copied: Any = dict(content) if isinstance(content, dict) else list(content)
    if len(place) > 1 and isinstance(copied[name], dict | list | tuple) and copied[name]:
        copied[name] = _change(copied[name], place[1:], action, value)
    elif action == "delete":
        del copied[name]
    elif action == "wrap":
        copied[name] = [copied[name]]
    elif action in ("rename", "add", "repeat") and isinstance(copied, dict):
        moved = copied[name] if action == "add" else copied.pop(name)
        copied[f"{name}x" if action == "repeat" else str(value)[:50]] = moved
    elif action in ("rename", "add", "repeat"):
        copied.append(copied[name])
    else:
        copied[name] = value
    return copied


_JSON_FORMS: list[Callable[[str], str]] = [
    *[lambda text: text] * 12,
    lambda text: text.replace("{", '{"a": 1, "a": 2, ', 1),
    lambda text: text.replace("[", "[" * DEEP, 1),
    lambda text: text.replace("1", "1" * 5000, 1),
    lambda text: text + text,
    lambda text: text.replace(",", ",,", 1),
]
json_forms = st.sampled_from(_JSON_FORMS)
"""Mostly JSON as it is; else with a name twice, nested deeply, with a long number, or no JSON."""


def to_json(content: Any, form: Callable[[str], str], encode: Encode) -> bytes:
    """Write a tree as JSON, with NaN and lone surrogates where it has them."""
    return encode(form(json.dumps(content)))


def edited(content: bytes, edited_bytes: list[tuple[int, int, bytes]]) -> bytes:
    """Return bytes with changes."""
    for place, removed, new in edited_bytes:
        at = place % (len(content) + 1)
        content = content[:at] + new + content[at + removed :]
    return content


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for one example."""
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        shutil.rmtree(path)


def one_line_about(error: MonusegError, path: Path) -> None:
    """Check that an error is one line that names the file and a remedy."""
    assert str(path) in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 1500
    assert "; " in str(error)  # the remedy
