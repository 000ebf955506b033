"""Tables for spreadsheets: CSV and, by XlsxWriter, .xlsx.

Text that begins like a formula never becomes one: in .xlsx it is stored as text, and in CSV it begins with an
apostrophe, as OWASP advises (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monuseg_cli.core.atomic import write_text, writing
from monuseg_cli.core.extras import require_extra

SUFFIX = ".xlsx"
MOST_ROWS = 1_048_576
"""Rows of a sheet in Excel, https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3."""

Cell = str | int | float | None
Row = Sequence[Cell]

_LIKE_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_TEXT = 32_767  # characters of a cell in Excel
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32)), "\ufffd")  # not allowed in XML


def plain_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula when it opens a CSV file.

    Carriage returns, which Python's csv does not quote, become spaces.
    """
    safe = f"'{text}" if text.startswith(_LIKE_A_FORMULA) else text
    return safe.replace("\r", " ")


def require_xlsxwriter() -> None:
    """Check that XlsxWriter is installed; else raise a MissingError."""
    require_extra("tables", "an .xlsx", xlsxwriter="XlsxWriter")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table as CSV, atomically."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows([plain_text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    write_text(path, text.getvalue())


class Workbook:
    """The sheets of an .xlsx file, which are written to disk row by row.

    Parameters
    ----------
    book : xlsxwriter.Workbook
        A workbook that keeps no rows in memory.
    most_rows : int
        Rows of a sheet, with its heading; further ones go to another sheet, whose name has a number.
    """

    def __init__(self, book: Any, most_rows: int) -> None:
        self._book, self._most_rows = book, most_rows
        self._heading = book.add_format({"bold": True})
        self._sheets: dict[str, tuple[Any, int]] = {}
        self._numbers: dict[str, int] = {}

    def add(self, name: str, columns: Sequence[str], rows: Iterable[Row] = ()) -> None:
        """Append rows to a sheet; it begins with a heading."""
        sheet, number = self._sheets.get(name) or (self._begin(name, columns), 1)
        for row in rows:
            if number == self._most_rows:
                sheet, number = self._begin(name, columns), 1
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, column, _cell_text(cell))  # a text, never a formula
                elif cell is not None:
                    sheet.write_number(number, column, cell)
            number += 1
        self._sheets[name] = sheet, number

    def _begin(self, name: str, columns: Sequence[str]) -> Any:
        self._numbers[name] = number = self._numbers.get(name, 0) + 1
        sheet = self._book.add_worksheet(name if number == 1 else f"{name} {number}")
        sheet.freeze_panes(1, 0)
        for column, title in enumerate(columns):
            sheet.write_string(0, column, _cell_text(title), self._heading)
        return sheet


def _cell_text(text: str) -> str:
    return text.translate(_CONTROL)[:_LONGEST_TEXT]


@contextmanager
def workbook(path: Path, most_rows: int = MOST_ROWS) -> Iterator[Workbook]:
    """Write an .xlsx file, which appears when the context ends.

    Parameters
    ----------
    path : Path
        Destination.
    most_rows : int
        Rows of a sheet, with its heading.
    """
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    with writing(path) as part, TemporaryDirectory() as rows:
        book = xlsxwriter.Workbook(part, {"constant_memory": True, "tmpdir": rows, "use_zip64": True})
        yield Workbook(book, most_rows)
        try:
            book.close()
        except FileCreateError as error:  # carries the error of the operating system
            raise error.args[0] from error


def write_tables(path: Path, tables: Mapping[str, tuple[Sequence[str], Iterable[Row]]]) -> None:
    """Write tables, by name, as the sheets of an .xlsx file."""
    with workbook(path) as book:
        for name, (columns, rows) in tables.items():
            book.add(name, columns, rows)
