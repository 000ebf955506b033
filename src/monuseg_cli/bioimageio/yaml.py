"""Nested mappings and lists -> YAML, without a library."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

_CONSTANTS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""Names that YAML 1.1 takes for constants."""


def to_yaml(content: Mapping[str, Any]) -> str:
    """Write a mapping as YAML: text in double quotes, numbers and constants as in JSON, of which YAML is a superset.

    Parameters
    ----------
    content : mapping
        Values are mappings, lists or tuples of any depth, text, finite numbers, true, false and None. Empty mappings
        and lists are allowed.
    """
    return "\n".join(_lines(content)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    """Yield the lines of a value that is a mapping or list with content."""
    items = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for name, item in items:
        head = "-" if name is None else f"{_name(name)}:"
        if not (isinstance(item, Mapping | list | tuple) and item):
            yield f"{head} {_scalar(item)}"
            continue
        inner = list(_lines(item))
        if name is None:
            yield f"{head} {inner[0]}"
            yield from (f"  {line}" for line in inner[1:])
        else:
            yield head
            yield from (f"  {line}" for line in inner)


def _name(name: str) -> str:
    return name if name.isidentifier() and name.lower() not in _CONSTANTS else json.dumps(name, ensure_ascii=False)


def _scalar(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")  # YAML 1.1 takes 1e-09 for text
    return text
