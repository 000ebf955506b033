"""What happened in each epoch: as a table, and as curves."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from monuseg_cli.core.atomic import write_bytes, write_text
from monuseg_cli.core.errors import InputError

HISTORY_FILE = "history.csv"
CURVES_FILE = "curves.png"

_PANELS = {"loss": "Loss", "accuracy": "Accuracy", "dice": "Soft Dice", "f1": "F1"}

# Okabe and Ito's colours, which the colour-blind can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: one line of ``history.csv``.

    `data_wait` is the share of `seconds` in which the training waited for crops. Losses are the recipe's, means over
    crops. Accuracy and F1 are hard at 0.5, Dice is soft; all three are pooled
    over the pixels of all crops of the epoch. Train scores are taken while the weights change.
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
        """Give the validation scores by name, as the card records them."""
        return {name: getattr(self, f"val_{name}") for name in ("loss", "accuracy", "dice", "f1")}


def write_history(run: Path, records: Iterable[EpochRecord]) -> None:
    """Write ``history.csv`` to the run's folder, whole or not at all."""
    table = io.StringIO()
    writer = csv.DictWriter(table, [column.name for column in fields(EpochRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in records)
    write_text(run / HISTORY_FILE, table.getvalue())


def read_history(run: Path) -> list[EpochRecord]:
    """Read ``history.csv``; empty where there is none.

    Raises
    ------
    InputError
        If a line of it cannot be understood.
    """
    path = run / HISTORY_FILE
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [
            EpochRecord(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()}) for row in rows
        ]
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        message = f"{path} is damaged ({error}); bring it back from a copy, or train again"
        raise InputError(message) from error


def best_epoch(records: Sequence[EpochRecord]) -> EpochRecord:
    """Give the epoch of highest validation F1, of equal ones the first."""
    return max(records, key=lambda record: record.val_f1)


def draw_curves(run: Path, records: Sequence[EpochRecord]) -> None:
    """Draw loss, accuracy, Dice and F1 over the epochs, train and validation, to the run's ``curves.png``."""
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
    """Draw the validation loss, accuracy, Dice and F1 of several runs, by name, into one PNG."""
    lines = {
        name: {
            run: ([record.epoch for record in records], [getattr(record, f"val_{name}") for record in records])
            for run, records in histories.items()
        }
        for name in _PANELS
    }
    _draw(picture, lines)


def _draw(picture: Path, panels: Mapping[str, Mapping[str, tuple[list[int], list[float]]]]) -> None:
    """Draw, for every panel, each line by its label over the epochs."""
    from matplotlib.figure import Figure  # half a second to import, and no screen is needed

    figure = Figure(figsize=(10, 7), layout="constrained")
    for axes, (name, lines) in zip(figure.subplots(2, 2).ravel(), panels.items(), strict=True):
        for index, (label, (epochs, values)) in enumerate(lines.items()):
            axes.plot(epochs, values, label=label, marker=".", color=_COLOURS[index % len(_COLOURS)])
        axes.set(title=_PANELS[name], xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    write_bytes(picture, content.getvalue())
