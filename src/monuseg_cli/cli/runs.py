"""``monuseg runs``."""

from pathlib import Path
from typing import Annotated

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.console import Session, command, table

_WIDE = 110  # columns of a terminal that shows every column of the table


@command(example="monuseg runs unet-se unet --curves compared.png")
def runs(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN...]", help="Only these; else all.", autocompletion=complete.runs),
    ] = None,
    curves: Annotated[
        Path | None, typer.Option(help="Draw the validation curves of these runs into one picture (.png).")
    ] = None,
) -> None:
    """List the training runs, oldest first, with their best validation scores."""
    from monuseg_cli.training.recipe import describe
    from monuseg_cli.training.runs import compare_runs, list_runs

    wanted = [session.home.find_run(name) for name in names or ()]
    summaries = [
        summary for summary in list_runs(session.home, session.progress) if not wanted or summary.run in wanted
    ]
    if curves:
        compare_runs(wanted or [summary.run for summary in summaries], curves)
    is_wide = session.out.width >= _WIDE
    more = ("fold", "val loss", "val soft Dice") if is_wide else ()
    rows = table("run", "architecture", "recipe", "epochs", "best", "val F1", *more, "begun")
    for summary in summaries:
        f1, loss, dice = (f"{summary.scores[name]:.4f}" if summary.scores else "-" for name in ("f1", "loss", "dice"))
        course = (f"{summary.epochs}/{summary.recipe.epochs}", str(summary.best_epoch or "-"), f1)
        fold, begun = str(summary.recipe.fold), f"{summary.begun:%Y-%m-%d %H:%M}"
        what = (summary.run.name, summary.recipe.arch, describe(summary.recipe))
        rows.add_row(*what, *course, *((fold, loss, dice) if is_wide else ()), begun)
    drawn = [f"Curves: {curves}"] if curves else []
    if summaries:
        session.show({"runs": summaries}, rows, *drawn)
    else:
        session.show({"runs": []}, f"No runs in {session.home.runs}.", then="train --arch unet-se")
