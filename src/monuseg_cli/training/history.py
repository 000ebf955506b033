"""What happened in each epoch: as a table, and as curves."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from monuseg_cli.atomic import write_bytes, write_text
from monuseg_cli.errors import InputError

HISTORY_FILE = "history.csv"
CURVES_FILE = "curves.png"


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: one line of ``history.csv``.

    Losses are the recipe's, means over patches. Accuracy and F1 are hard at 0.5, Dice is soft; all three are pooled
    over the pixels of all patches of the epoch. Train scores are taken while the weights change.
    """

    epoch: int
    learning_rate: float
    seconds: float
    patches_per_second: float
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
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [
            EpochRecord(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()}) for row in rows
        ]
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path} is damaged ({error})"
        raise InputError(message) from error


def draw_curves(run: Path, records: Sequence[EpochRecord]) -> None:
    """Draw loss, accuracy, Dice and F1 over the epochs, train and validation, to ``curves.png``."""
    from matplotlib.figure import Figure  # half a second to import, and no screen is needed

    epochs = [record.epoch for record in records]
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    titles = {"loss": "Loss", "accuracy": "Accuracy", "dice": "Soft Dice", "f1": "F1"}
    for panel, (name, title) in zip(panels, titles.items(), strict=True):
        panel.plot(epochs, [getattr(record, name) for record in records], label="train", color="#0072b2")
        panel.plot(epochs, [getattr(record, f"val_{name}") for record in records], label="validation", color="#d55e00")
        panel.set(title=title, xlabel="epoch")
        panel.grid(alpha=0.3)
        panel.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    write_bytes(run / CURVES_FILE, picture.getvalue())
