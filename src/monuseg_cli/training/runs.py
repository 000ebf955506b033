"""Listing and comparison of the runs in a home."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import RECIPE_FILE, Home
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.training.curves import CURVES_SUFFIXES, Training, draw_curves
from monuseg_cli.training.history import best_epoch, read_history
from monuseg_cli.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Summary of a run.

    Parameters
    ----------
    run : Path
        Folder of the run.
    recipe : Recipe
        Recipe of the run.
    epochs : int
        Number of finished epochs.
    best_epoch : int or None
        The epoch of highest validation F1; None before the first epoch is finished.
    scores : dict of str to float
        Validation loss, accuracy, soft Dice and F1 of that epoch; empty before the first epoch is finished.
    begun : datetime
        Start of the run in local time.
    """

    run: Path
    recipe: Recipe
    epochs: int
    best_epoch: int | None
    scores: dict[str, float]
    begun: datetime


def list_runs(home: Home, progress: Progress = SILENT) -> tuple[RunSummary, ...]:
    """Summarise every run in `home`, oldest first; runs with a damaged recipe or history are skipped with a warning."""
    folders = [path.parent for path in home.runs.glob(f"*/{RECIPE_FILE}")]
    summaries = []
    for folder in folders:
        progress.detail(f"reads {folder}")
        try:
            summaries.append(_summarise(folder))
        except InputError as error:
            progress.warn(f"run {folder.name} is left out: {error}")
    return tuple(sorted(summaries, key=lambda summary: (summary.begun, summary.run.name)))


def compare_runs(runs: Sequence[Path], picture: Path) -> None:
    """Plot the curves of one run, or the validation curves of several; see `draw_curves`.

    Raises
    ------
    InputError
        If a run has no finished epoch, its recipe is damaged, or the picture's name has another suffix.
    MissingError
        If a run has no recipe.
    OutputError
        If the picture cannot be written.
    """
    if picture.suffix.lower() not in CURVES_SUFFIXES:
        message = f"cannot write {picture}: the name must end in {' or '.join(CURVES_SUFFIXES)}"
        raise InputError(message)
    trainings = []
    for run in runs:
        records = read_history(run)
        if not records:
            message = f"run {run.name} has no finished epoch, so no curves; leave it out"
            raise InputError(message)
        trainings.append(Training(run.name, Recipe.load(run / RECIPE_FILE).loss_terms, records))
    draw_curves(picture, trainings)


def _summarise(run: Path) -> RunSummary:
    records = read_history(run)
    best = best_epoch(records) if records else None
    return RunSummary(
        run=run,
        recipe=Recipe.load(run / RECIPE_FILE),
        epochs=len(records),
        best_epoch=best.epoch if best else None,
        scores=best.validation_scores() if best else {},
        begun=datetime.fromtimestamp((run / RECIPE_FILE).stat().st_mtime),
    )
