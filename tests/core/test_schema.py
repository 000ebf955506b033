from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from monuseg_cli.core.schema import (
    FRACTION_BELOW_1,
    FROM_0,
    FROM_1,
    INSIDE_0_1,
    MAX_DEPTH,
    Range,
    SchemaError,
    is_file_name,
    parse_json,
    read_as,
    read_rows,
    read_text_as,
    show_value,
)


@dataclass(frozen=True)
class Part:
    size: Annotated[int, FROM_1]
    name: str = "a"


@dataclass(frozen=True)
class Whole:
    """One field of every kind."""

    parts: tuple[Part, ...]
    box: tuple[int, int] | None
    kind: Literal["x", "y"]
    share: Annotated[float, INSIDE_0_1]
    more: Mapping[str, bool] = field(default_factory=dict)
    anything: Any = None

    def __post_init__(self) -> None:
        if len(self.parts) > 2:
            message = "there are too many parts"
            raise ValueError(message)


GOOD: dict[str, Any] = {"parts": [{"size": 1}], "box": [1, 2], "kind": "x", "share": 0.5, "more": {"a": True}}


def test_plain_values_become_a_dataclass() -> None:
    assert read_as(Whole, GOOD) == Whole((Part(1),), (1, 2), "x", 0.5, {"a": True})
    assert read_as(Whole, {**GOOD, "box": None}).box is None
    assert read_as(Whole, {**GOOD, "anything": [{"b": [None]}]}).anything == [{"b": [None]}]


def test_a_whole_number_is_read_as_a_float_and_nothing_else_is_converted() -> None:
    read = read_as(float, 3)
    assert (read, type(read)) == (3.0, float)
    for kind, value in (
        (int, 3.0),
        (int, True),
        (int, "3"),
        (str, 3),
        (bool, 1),
        (float, True),
        (float, "1"),
        (str, None),
    ):
        with pytest.raises(SchemaError):
            read_as(kind, value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": [{"size": 1}, {"size": 0}]}, "parts[1].size must be at least 1 and finite, not 0"),
        ({"parts": [{"size": 1, "nmae": "b"}]}, "parts[0] has no field 'nmae'; did you mean name?"),
        ({"parts": [{}]}, "parts[0] lacks the field 'size'"),
        ({"parts": [3]}, "parts[0] must be a mapping of names to values, not 3"),
        ({"parts": "ab"}, "parts must be a list, not 'ab'"),
        ({"parts": [{"size": 1}] * 3}, "its content cannot be used: there are too many parts"),
        ({"box": [1, 2, 3]}, "box must be a list of 2, not of 3"),
        ({"box": [1, None]}, "box[1] must be a whole number, not None"),
        ({"kind": "z"}, "kind takes x or y, not 'z'"),
        ({"kind": ["x"]}, "kind takes x or y, not a list"),
        ({"share": 1}, "share must be above 0 and below 1, not 1.0"),
        ({"share": float("nan")}, "share must be a finite number, not nan"),
        ({"share": 10**400}, "share must be a finite number, not a number of more than 64 bits"),
        ({"more": {"a b": 1}}, "more['a b'] must be true or false, not 1"),
        ({"more": {3: True}}, "a name in more must be text, not 3"),
    ],
)
def test_what_does_not_fit_is_named_with_its_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        read_as(Whole, {**GOOD, **changes})
    assert str(caught.value) == message


def test_text_can_be_written_in_utf_8_and_be_the_name_of_a_file() -> None:
    assert read_as(str, "é\n") == "é\n"
    for text in ("a\0b", "\ud800"):
        with pytest.raises(SchemaError, match="characters that are not Unicode, or null"):
            read_as(str, text)


def test_values_of_any_type_are_not_nested_deeply() -> None:
    deep: list[Any] = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert read_as(Any, deep[0]) == deep[0]
    with pytest.raises(SchemaError, match="has more than 32 lists or mappings inside each other"):
        read_as(Any, deep)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "has the name 'c' twice"),
        ('{"a": NaN}', "has NaN, which is not a number in JSON"),
        ("[-Infinity]", "has -Infinity, which is not a number"),
        ("[" * 100_000, "nested too deeply"),
        ("{} {}", "Extra data"),
        ("1" * 5000, "Exceeds the limit"),
        (b"\xff{}", "codec can't decode"),
    ],
)
def test_json_that_is_ambiguous_or_damaged_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_every_encoding_of_unicode(encoding: str) -> None:
    assert parse_json('{"é": [1, 2.5, null]}'.encode(encoding)) == {"é": [1, 2.5, None]}


def test_ranges_have_open_and_closed_ends() -> None:
    assert [value in Range(1, 2) for value in (0.9, 1, 2, 2.1)] == [False, True, True, False]
    assert [value in INSIDE_0_1 for value in (0, 0.1, 1)] == [False, True, False]
    assert [value in FROM_0 for value in (-1, 0, float("inf"), float("nan"))] == [False, True, False, False]
    assert str(Range(1, 2)) == "at least 1 and at most 2"
    assert str(FRACTION_BELOW_1) == "at least 0 and below 1"


def test_tables_are_read_by_their_first_line() -> None:
    assert read_rows(["a,b\n", "1,2\n", '"x, y"\n']) == [{"a": "1", "b": "2"}, {"a": "x, y", "b": ""}]
    assert read_rows([]) == []
    for lines, message in (
        (["a,a\n", "1,2\n"], "has the column 'a' twice"),
        (["a\n", "1,2\n"], "line 2 has more cells than the 1 columns"),
        (["a\n", '"1\n'], "is not CSV"),
        (["a\n", "\0\n"], "line 2, a has characters that are not Unicode, or null"),
    ):
        with pytest.raises(SchemaError, match=message):
            read_rows(lines)


def test_cells_are_numbers_of_the_type_that_is_asked_for() -> None:
    assert read_text_as(int, "3") == 3
    assert read_text_as(float, "1e-3") == 0.001
    assert read_text_as(str, "1") == "1"
    for kind, text in ((int, "3.0"), (int, ""), (float, "nan"), (float, "a"), (str, None)):
        with pytest.raises(SchemaError, match="line 2 must be"):
            read_text_as(kind, text, "line 2")


def test_values_are_shown_in_one_short_line() -> None:
    assert show_value("a\nb") == r"'a\nb'"
    assert len(show_value("x" * 10**6)) < 100
    assert show_value(1 << 20_000) == "a number of more than 64 bits"
    values: list[Any] = [[1], {}, 1.5, None]
    assert [show_value(value) for value in values] == ["a list", "a mapping", "1.5", "None"]


def test_names_of_files_lead_nowhere_else() -> None:
    assert [is_file_name(name) for name in ("a", "a.b", "TCGA-1", "", ".", "..", "a/b", "/a", "a\0")] == [
        *[True] * 3,
        *[False] * 6,
    ]
