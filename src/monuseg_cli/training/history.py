"""The history of a training, as a table."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from monuseg_cli.core.atomic import write_text
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.schema import FROM_0, SchemaError, read_rows, read_text_as, require_in, show_value

HISTORY_FILE = "history.csv"


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: one row of ``history.csv``.

    `data_wait` is the share of `seconds` spent waiting for crops. The losses are the recipe's, as means over crops.
    Accuracy and F1 are at threshold 0.5, Dice is soft; all three are pooled over the pixels of all crops of the epoch.
    Train scores are computed during the epoch, while the weights change.
    """

    epoch: int
    learning_rate: float
    seconds: float
    patches_per_second: float
    data_wait: float
    loss: float
    accuracy: float
    dice: float
    f1: float
    val_loss: float
    val_accuracy: float
    val_dice: float
    val_f1: float

    def validation_scores(self) -> dict[str, float]:
        """Return the validation scores by name, as in the card."""
        return {name: getattr(self, f"val_{name}") for name in ("loss", "accuracy", "dice", "f1")}


def write_history(run: Path, records: Iterable[EpochRecord]) -> None:
    """Write ``history.csv`` to the run's folder atomically."""
    table = io.StringIO()
    writer = csv.DictWriter(table, [column.name for column in fields(EpochRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in records)
    write_text(run / HISTORY_FILE, table.getvalue())


def read_history(run: Path) -> list[EpochRecord]:
    """Read ``history.csv``; return an empty list if it does not exist.

    Raises
    ------
    InputError
        If the file is damaged: a column or number is missing, a number is not finite or in range, or an epoch is.
    """
    path = run / HISTORY_FILE
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_read_row(row, number) for number, row in enumerate(read_rows(file), start=1)]
    except (OSError, ValueError) as error:
        message = f"{path} is damaged ({error}); bring it back from a copy, or train again"
        raise InputError(message) from error


def _read_row(row: Mapping[str, Any], number: int) -> EpochRecord:
    """Read the row of an epoch, whose number is that of the row."""
    columns: dict[str, Any] = {column.name: column.type for column in fields(EpochRecord)}
    if row.keys() != columns.keys():
        strange = sorted({*map(str, row)} ^ columns.keys())
        message = f"must have the columns {', '.join(columns)}; see {show_value(strange[0])}"
        raise SchemaError(message, f"line {number + 1}")
    values = {name: read_text_as(kind, row[name], f"line {number + 1}, {name}") for name, kind in columns.items()}
    for name, value in values.items():
        if "loss" not in name:  # a Dice loss may be below 0 by rounding
            require_in(FROM_0, value, f"line {number + 1}, {name}")
    if values["epoch"] != number:
        message = f"must be {number}, not {values['epoch']}"
        raise SchemaError(message, f"line {number + 1}, epoch")
    return EpochRecord(**values)


def best_epoch(records: Sequence[EpochRecord]) -> EpochRecord:
    """Return the epoch of highest validation F1; ties go to the first."""
    return max(records, key=lambda record: record.val_f1)
