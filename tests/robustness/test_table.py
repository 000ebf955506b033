"""The table itself: every row has its test, every test its row, and there are enough of both."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from monuseg_cli.core.errors import MonusegError
from support.table import read_table

ROOT = Path(__file__).parents[2]
GROUPS = {
    "Archives",
    "XML and GeoJSON",
    "Images and masks",
    "Slides",
    "Viewer",
    "Measurements",
    "Weights",
    "Recipes",
    "Config files",
    "Files of classes",
    "Runs and scores",
    "File system",
}
COMMANDS = {
    "download",
    "masks",
    "patches",
    "train",
    "runs",
    "evaluate",
    "predict",
    "slide-info",
    "show",
    "measure",
    "classify",
    "export",
    "view",
}


def test_every_row_has_a_test_and_every_test_a_row() -> None:
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/robustness"]
    printed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    collected = {line for line in printed.splitlines() if "::" in line}
    beside = ("tests/robustness/test_fuzz", "tests/robustness/test_table.py")
    named = [row.test for row in read_table()]
    assert sorted(named) == sorted(name for name in collected if not name.startswith(beside))


def test_there_are_enough_of_every_group_and_command() -> None:
    rows = read_table()
    assert len({(row.given, row.command) for row in rows}) >= 60
    groups = Counter(row.group for row in rows)
    assert groups.keys() == GROUPS
    assert min(groups.values()) >= 5
    commands = Counter(row.command.split()[0] for row in rows)
    assert commands.keys() == COMMANDS | {"models"}
    assert min(commands.values()) >= 5


def test_every_error_has_a_documented_code_and_a_remedy() -> None:
    codes = {kind.exit_code for kind in MonusegError.__subclasses__()}
    for row in (row for row in read_table() if row.code):
        assert row.code in codes
        assert "; " in row.said, row.said
