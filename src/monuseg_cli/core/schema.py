"""Values of JSON, TOML and CSV files -> typed Python values, each checked before it is used."""

import csv
import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from monuseg_cli.core.suggest import did_you_mean

MAX_DEPTH = 32
"""Lists and mappings inside each other; deeper ones exhaust Python's stack."""

_INT_LIMIT = 2**64
_LONGEST_SHOWN = 60
_NAMES: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    NoneType: "null",
}

T = TypeVar("T")


class SchemaError(ValueError):
    """A value that its field does not take.

    Parameters
    ----------
    problem : str
        What is wrong, as the rest of a sentence about the field: ``"must be text, not 3"``.
    field : str
        The field, as in ``cases[3].mpp``; empty: the content as a whole.
    """

    def __init__(self, problem: str, field: str = "") -> None:
        super().__init__(f"{field or 'its content'} {problem}")
        self.problem = problem
        self.field = field


@dataclass(frozen=True, slots=True)
class Range:
    """Finite numbers from `least` to `most`; an open end is excluded."""

    least: float
    most: float = math.inf
    open_below: bool = False
    open_above: bool = False

    def __contains__(self, value: float) -> bool:
        """Return whether a number is in the range."""
        above = value > self.least if self.open_below else value >= self.least
        below = value < self.most if self.open_above else value <= self.most
        return above and below and -math.inf < value < math.inf

    def __str__(self) -> str:
        """Return the range as it stands in messages, behind "must be"."""
        lower = f"{'above' if self.open_below else 'at least'} {self.least}"
        upper = f"{'below' if self.open_above else 'at most'} {self.most}" if self.most < math.inf else "finite"
        return f"{lower} and {upper}"


FROM_0, FROM_1 = Range(0), Range(1)
POSITIVE = Range(0, open_below=True)
FRACTION, FRACTION_BELOW_1 = Range(0, 1), Range(0, 1, open_above=True)
INSIDE_0_1 = Range(0, 1, open_below=True, open_above=True)


def parse_json(text: str | bytes) -> Any:
    """Read JSON in which no object has the same name twice, and no number is NaN or infinite.

    Raises
    ------
    ValueError
        If the text is not such JSON, not UTF-8, UTF-16 or UTF-32, or nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except RecursionError as error:
        message = "has lists or objects nested too deeply"
        raise SchemaError(message) from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"has the name {show_value(twice)} twice in an object"
        raise SchemaError(message)
    return content


def _refuse_constant(name: str) -> None:
    message = f"has {name}, which is not a number in JSON"
    raise SchemaError(message)


def read_rows(file: Iterable[str]) -> list[dict[str, str]]:
    """Read the rows of a CSV table by the names in its first line; missing cells are empty.

    Raises
    ------
    ValueError
        If it is not CSV, a name occurs twice in the first line, or a row has more cells than that.
    """
    try:
        lines = csv.DictReader(file, restval="", strict=True)
        names = lines.fieldnames or []
        rows: list[dict[str, Any]] = list(lines)
    except csv.Error as error:
        message = f"is not CSV: {error}"
        raise SchemaError(message) from error
    if len(set(names)) < len(names):
        message = f"has the column {show_value(next(name for name in names if names.count(name) > 1))} twice"
        raise SchemaError(message)
    for number, row in enumerate(rows, start=2):
        if None in row:
            message = f"has more cells than the {len(names)} columns"
            raise SchemaError(message, f"line {number}")
        for name, cell in row.items():
            read_as(str, cell, f"line {number}, {name}")
    return rows


def read_as(kind: type[T], value: Any, field: str = "") -> T:
    """Read a value from a file as a type; nothing is converted, except a whole number to a float and a list to a tuple.

    Parameters
    ----------
    kind : type
        ``str``, ``int`` (of moderate size), ``float`` (finite), ``bool``, ``None``, ``Any`` (of these), a ``Literal``,
        union, tuple, list or mapping of such types, or a dataclass with such fields. ``Annotated`` adds a `Range`.
    value : object
        Value from the file, in plain types.
    field : str
        Name of the value in messages.

    Raises
    ------
    SchemaError
        If the value, or a value inside, is of another type, out of its range, missing, or has an unknown name.
    """
    result: T = _read(kind, value, field)
    return result


def read_text_as(kind: type[T], text: str | None, field: str = "") -> T:
    """Read a cell of a table as text, a whole number or a finite number.

    Raises
    ------
    SchemaError
        If there is no such cell, or it is something else.
    """
    value: Any = text
    if kind is not str and text is not None:
        with suppress(ValueError):
            value = int(text) if kind is int else float(text)
    return read_as(kind, value, field)


def _read(kind: Any, value: Any, field: str) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        base, allowed = get_args(kind)
        read = _read(base, value, field)
        require_in(allowed, read, field)
        return read
    if origin is Literal:
        return _read_literal(get_args(kind), value, field)
    if origin in (Union, UnionType):
        return _read_union(get_args(kind), value, field)
    if origin in (tuple, list):
        return _read_list(kind, value, field)
    if origin is not None and issubclass(origin, Mapping):
        return _read_mapping(get_args(kind)[1], value, field)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_dataclass(kind, value, field)
    if kind is Any:
        require_shallow(value, field)
        return value
    return _read_scalar(kind, value, field)


def require_in(allowed: Range, value: Any, field: str = "") -> None:
    """Check that a number is in a range.

    Raises
    ------
    SchemaError
        If it is not.
    """
    if value not in allowed:
        message = f"must be {allowed}, not {show_value(value)}"
        raise SchemaError(message, field)


def is_file_name(text: str) -> bool:
    """Return whether a text can be the name of a file in a folder, and leads nowhere else."""
    return text not in ("", ".", "..") and not {"/", os.sep, "\0"} & set(text)


def require_shallow(value: Any, field: str = "", depth: int = MAX_DEPTH) -> None:
    """Check that lists and mappings are not nested too deeply.

    Raises
    ------
    SchemaError
        If they are.
    """
    if not isinstance(value, list | tuple | Mapping):
        return
    if not depth:
        message = f"has more than {MAX_DEPTH} lists or mappings inside each other"
        raise SchemaError(message, field)
    for inner in value.values() if isinstance(value, Mapping) else value:
        require_shallow(inner, field, depth - 1)


def show_value(value: Any) -> str:
    """Return a value for a message, in one line of moderate length."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and abs(value) >= _INT_LIMIT:
        return "a number of more than 64 bits"
    if not isinstance(value, str | int | float | None):
        return f"a {type(value).__name__}"
    shown = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


def _read_scalar(kind: Any, value: Any, field: str) -> Any:
    accepted = (int, float) if kind is float else kind
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    if fits and is_number:
        fits = math.isfinite(value) if isinstance(value, float) else abs(value) < _INT_LIMIT
    if not fits:
        message = f"must be {_NAMES[kind]}, not {show_value(value)}"
        raise SchemaError(message, field)
    if isinstance(value, str) and not _is_unicode(value):
        message = "has characters that are not Unicode, or null"
        raise SchemaError(message, field)
    return float(value) if kind is float else value


def _is_unicode(text: str) -> bool:
    """Return whether a text can be written in UTF-8, and has no null character, which no file name may have."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _read_literal(choices: tuple[Any, ...], value: Any, field: str) -> Any:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    message = f"takes {' or '.join(map(str, choices))}, not {show_value(value)}"
    raise SchemaError(message, field)


def _read_union(kinds: tuple[Any, ...], value: Any, field: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    errors = []
    for kind in kinds:
        if kind is not NoneType:
            try:
                return _read(kind, value, field)
            except SchemaError as error:
                errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    message = f"must be {' or '.join(map(_name, kinds))}, not {show_value(value)}"
    raise SchemaError(message, field)


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return _NAMES.get(kind, "a list or mapping")


def _read_list(kind: Any, value: Any, field: str) -> Any:
    origin, kinds = get_origin(kind), get_args(kind)
    if not isinstance(value, list | tuple):
        message = f"must be a list, not {show_value(value)}"
        raise SchemaError(message, field)
    if origin is list or kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        message = f"must be a list of {len(kinds)}, not of {len(value)}"
        raise SchemaError(message, field)
    items = enumerate(zip(kinds, value, strict=True))
    return origin(_read(inner, item, f"{field}[{index}]") for index, (inner, item) in items)


def require_mapping(value: Any, field: str = "") -> dict[str, Any]:
    """Return a value that is a mapping with names.

    Raises
    ------
    SchemaError
        If it is something else.
    """
    if not isinstance(value, Mapping):
        message = f"must be a mapping of names to values, not {show_value(value)}"
        raise SchemaError(message, field)
    for name in value:
        _read_scalar(str, name, f"a name in {field}" if field else "a name in it")
    return value if isinstance(value, dict) else dict(value)


def _read_mapping(kind: Any, value: Any, field: str) -> dict[str, Any]:
    content = require_mapping(value, field)
    return {name: _read(kind, item, _inside(field, name)) for name, item in content.items()}


def _read_dataclass(kind: Any, value: Any, field: str) -> Any:
    content = require_mapping(value, field)
    hints = _hints_of(kind)
    for name in content:
        if name not in hints:
            message = f"has no field {show_value(name)}{did_you_mean(name, hints)}"
            raise SchemaError(message, field)
    values = {name: _read(hints[name], item, _inside(field, name)) for name, item in content.items()}
    for part in dataclasses.fields(kind):
        is_required = part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING
        if is_required and part.name not in values:
            message = f"lacks the field {part.name!r}"
            raise SchemaError(message, field)
    try:
        return kind(**values)
    except SchemaError:
        raise
    except ValueError as error:
        message = f"cannot be used: {error}"
        raise SchemaError(message, field) from error


@lru_cache
def _hints_of(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _inside(field: str, name: str) -> str:
    if not name.isidentifier():
        return f"{field}[{show_value(name)}]"
    return f"{field}.{name}" if field else name
