"""The history of a training, as a table and as learning curves."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from monuseg_cli.core.atomic import write_bytes, write_text
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.schema import FROM_0, SchemaError, read_rows, read_text_as, require_in, show_value

HISTORY_FILE = "history.csv"
CURVES_FILE = "curves.png"

_PANELS = {"loss": "Loss", "accuracy": "Accuracy", "dice": "Soft Dice", "f1": "F1"}

# Colour-blind safe colours by Okabe and Ito.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


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


def draw_curves(run: Path, records: Sequence[EpochRecord]) -> None:
    """Plot loss, accuracy, Dice and F1 over the epochs, train and validation, to the run's ``curves.png``."""
    epochs = [record.epoch for record in records]
    lines = {
        name: {
            "train": (epochs, [getattr(record, name) for record in records]),
            "validation": (epochs, [getattr(record, f"val_{name}") for record in records]),
        }
        for name in _PANELS
    }
    _draw(run / CURVES_FILE, lines)


def draw_comparison(picture: Path, histories: Mapping[str, Sequence[EpochRecord]]) -> None:
    """Plot the validation loss, accuracy, Dice and F1 of several runs, by name, into one PNG."""
    lines = {
        name: {
            run: ([record.epoch for record in records], [getattr(record, f"val_{name}") for record in records])
            for run, records in histories.items()
        }
        for name in _PANELS
    }
    _draw(picture, lines)


def _draw(picture: Path, panels: Mapping[str, Mapping[str, tuple[list[int], list[float]]]]) -> None:
    """Plot the lines of every panel over the epochs, with their labels."""
    from matplotlib.figure import Figure  # takes half a second to import; without pyplot, no display is needed

    # Fixed margins, which hold the labels of all scores: to fit them takes as long as to draw, after every epoch.
    figure = Figure(figsize=(10, 7))
    figure.subplots_adjust(left=0.065, right=0.985, bottom=0.075, top=0.95, wspace=0.16, hspace=0.3)
    for axes, (name, lines) in zip(figure.subplots(2, 2).ravel(), panels.items(), strict=True):
        for index, (label, (epochs, values)) in enumerate(lines.items()):
            axes.plot(epochs, values, label=label, marker=".", color=_COLOURS[index % len(_COLOURS)])
        axes.set(title=_PANELS[name], xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    write_bytes(picture, content.getvalue())
