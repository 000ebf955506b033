"""Tables as rows."""

import csv
from pathlib import Path


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV; every cell is text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
