"""Messages name settings as Python does, and the command line puts its options in their place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import monuseg_cli
from monuseg_cli.cli.app import COMMANDS, load
from monuseg_cli.cli.bars import ConsoleProgress
from monuseg_cli.cli.option_names import OTHER_NAMES, with_options

PACKAGE = Path(monuseg_cli.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "cli")
WHOLE_COMMAND = re.compile(r"\b(monuseg|pip install|torchrun) [^;,)]*")
"""What a message may tell the user to run; options in it are no settings of Python."""
QUOTED = re.compile(r"`([^`]*)`")


def params(command: Any) -> Iterator[Any]:
    yield from command.params
    for below in getattr(command, "commands", {}).values():
        yield from params(below)


PARAMS = [param for name in COMMANDS for param in params(load(name)) if param.param_type_name == "option"]
OPTIONS = {option for param in PARAMS for option in (*param.opts, *param.secondary_opts)}
SWITCHES = {option for param in PARAMS if param.is_flag for option in (*param.opts, *param.secondary_opts)}


def literals(source: str) -> Iterator[str]:
    """Give every string that is no docstring; what is filled in stands as ``{}``."""
    tree = ast.parse(source)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    parts |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


def spelt_options(text: str) -> list[str]:
    """List the options of ours that a message spells, outside of whole commands."""
    return [
        word for word in re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", WHOLE_COMMAND.sub("", text)) if word in OPTIONS
    ]


def is_setting(quoted: str) -> bool:
    """Tell whether what stands in backquotes becomes an option that a command has; names that are filled in may."""
    if quoted.startswith("{}"):
        return True
    option, _, value = with_options(f"`{quoted}`").partition(" ")
    return option in (OPTIONS - SWITCHES if value else SWITCHES if "=" in quoted else OPTIONS)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_messages_below_the_command_line_name_settings_and_spell_no_option(module: Path) -> None:
    for text in literals(module.read_text(encoding="utf-8")):
        assert spelt_options(text) == []
        assert [quoted for quoted in QUOTED.findall(text) if not is_setting(quoted)] == []


def test_options_and_settings_in_messages_are_recognised() -> None:
    source = '"""Docstring with --mpp."""\nmessage = f"try {x} --mpp, or: monuseg train --arch {y}; or -o"'
    (text,) = literals(source)
    assert text == "try {} --mpp, or: monuseg train --arch {}; or -o"
    assert spelt_options(text) == ["--mpp", "-o"]
    assert all(map(is_setting, ("mpp", "min_area_um2", "skip_damaged=True", "pretrained=False", "engine=torch", "{}")))
    assert not any(map(is_setting, ("mp", "labels=False", "mpp=True", "skip_damaged=1", "a file", "")))


def test_every_other_name_belongs_to_an_option() -> None:
    assert {f"--{name}" for name in OTHER_NAMES.values()} <= OPTIONS


@pytest.mark.parametrize(
    ("message", "worded"),
    [
        ("`mpp` must be between 0.05 and 5.0", "--mpp must be between 0.05 and 5.0"),
        ("`min_area_um2` and `num_parts=2`", "--min-area-um2 and --num-parts 2"),
        ("`skip_damaged=True` goes on; `pretrained=False`", "--skip-damaged goes on; --no-pretrained"),
        ("go on with `resume=/a b/run`", "go on with --resume '/a b/run'"),
        ("give other `outputs`", "give other --output"),
        ("no image a`mpp`b.png, nor `A B`, nor ``mpp``", "no image a`mpp`b.png, nor `A B`, nor ``mpp``"),
    ],
)
def test_settings_in_messages_become_options(message: str, worded: str) -> None:
    assert with_options(message) == worded


def test_progress_speaks_of_options(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ConsoleProgress(Console(width=200), verbose=True)
    for tell in (progress.info, progress.warn, progress.detail):
        tell("`mpp` sets another")
    plain, warning, detail = capsys.readouterr().out.splitlines()
    assert (plain, warning) == ("--mpp sets another", "warning: --mpp sets another")
    assert detail.endswith(" s  --mpp sets another")
