"""The table in docs/robustness.md: what is given, what the tool says, and the test that holds it to that."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "robustness.md"
ANYTHING = "…"
"""Stands in a line for what differs from run to run."""

_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Row:
    """One way to fail.

    `said` is the line on standard error, or a line of the output where `code` is 0; folders of the test are left out.
    """

    group: str
    given: str
    command: str
    code: int
    said: str
    test: str

    def matches(self, line: str) -> bool:
        """Tell whether a line that the tool printed is the one in the table."""
        return re.fullmatch(".*".join(map(re.escape, self.said.split(ANYTHING))), line) is not None


def read_table() -> list[Row]:
    """Read every row of the document."""
    rows, group = [], ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        cells = [cell.strip() for cell in _CELL.split(line)[1:-1]]
        if len(cells) == 5 and cells[2].isdigit():
            given, command, code, said, test = cells
            rows.append(Row(group, given, command.strip("`"), int(code), said.strip("`"), test.strip("`")))
    return rows


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file and link below a folder, by its name in there."""
    files = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    states = {path.relative_to(folder).as_posix(): path.lstat() for path in files}
    return {name: (state.st_size, state.st_mtime_ns) for name, state in states.items() if not name.startswith("unused")}


def hold(row: Row, code: int, out: str, errors: str, folder: Path) -> None:
    """Check exit code and line, the only one of its kind and the last, against the table."""
    lines = [line.replace(f"{folder}/", "") for line in errors.splitlines()]
    assert code == row.code, errors
    assert not any("Traceback" in line or "Warning" in line for line in lines)
    if not row.code:
        printed = [*lines, *(line.replace(f"{folder}/", "").strip() for line in out.splitlines())]
        assert any(row.matches(line) for line in printed), printed
        return
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert error == lines[-1]
    assert row.matches(error.removeprefix("error: ")), error
