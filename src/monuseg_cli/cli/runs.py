"""``monuseg runs``."""

from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command, table

_COLUMNS = ("run", "architecture", "recipe", "fold", "epochs", "best", "val loss", "val soft Dice", "val F1", "begun")
_WIDE = 110  # terminal width from which on all columns are shown
_LEFT_OUT = ("fold", "val loss", "val soft Dice")  # columns hidden on a narrower terminal


@command(
    {
        "all runs": "monuseg runs",
        "the learning curves of a run, for a paper": "monuseg runs unet-se --curves curves.pdf",
        "those of two runs, compared": "monuseg runs unet-se unet --curves compared.png",
    }
)
def runs(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN...]", help="Runs to list.", show_default="all", autocompletion=complete.runs),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also plot the curves of a run, or the validation curves of several (.png, .svg, .pdf).",
        ),
    ] = None,
) -> None:
    """List the training runs with their best validation scores."""
    from monuseg_cli.training.recipes import describe
    from monuseg_cli.training.runs import compare_runs, list_runs

    chosen = [session.home.find_run(name) for name in names or ()]
    summaries = [
        summary for summary in list_runs(session.home, session.progress) if not chosen or summary.run in chosen
    ]
    if curves:
        compare_runs(chosen or [summary.run for summary in summaries], curves)
    columns = [column for column in _COLUMNS if session.out.width >= _WIDE or column not in _LEFT_OUT]
    rows = table(*columns)
    for summary in summaries:
        loss, dice, f1 = (f"{summary.scores[name]:.4f}" if summary.scores else "-" for name in ("loss", "dice", "f1"))
        epochs = f"{summary.epochs}/{summary.recipe.epochs}"
        best, fold, begun = summary.best_epoch or "-", summary.recipe.fold, f"{summary.begun:%Y-%m-%d %H:%M}"
        what = (summary.run.name, summary.recipe.arch, describe(summary.recipe), str(fold))
        cells = dict(zip(_COLUMNS, (*what, epochs, str(best), loss, dice, f1, begun), strict=True))
        rows.add_row(*(cells[column] for column in columns))
    drawn = [f"Curves: {curves}"] if curves else []
    if summaries:
        session.show({"runs": summaries}, rows, *drawn, written=[curves] if curves else ())
    else:
        session.show({"runs": []}, f"No runs in {session.home.runs}.", then="train --arch unet-se", written=())
