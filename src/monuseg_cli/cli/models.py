"""``monuseg models`` and ``monuseg models card``."""

from typing import Annotated

import typer

from monuseg_cli.cli import complete
from monuseg_cli.cli.command import Command, Group
from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.core.home import DEFAULT_MODEL

_WHOLE_IMAGES = {"test": "test", "validation": "val"}
"""Results of a card to show, the first available one, with their titles."""


@command({"list them": "monuseg models", "the card of one": "monuseg models card default"})
def models(session: Session, context: typer.Context) -> None:
    """List the architectures and the available weights.

    Weights are those in the package, those of your runs, and those in the folder models of the home.
    """
    from monuseg_cli.models import registry
    from monuseg_cli.models.weights import list_weights

    if context.invoked_subcommand:
        return
    architectures = [registry.get(name) for name in registry.names()]
    known = table("architecture", "weights", "GFLOP", "")
    known.columns[3].justify = "left"
    for spec in architectures:
        known.add_row(spec.name, f"{spec.weights / 1e6:.2f} M", f"{spec.gflop:.1f}", spec.summary)
    weights = list_weights(session.home, session.progress)
    rows = table("weights", "architecture", "cases", "F1", "AJI", "PQ", "of", "licence")
    for name, card in weights.items():
        scored = next((cases for cases in _WHOLE_IMAGES if cases in card.results), "windows")
        scores = card.results.get(scored, card.scores)
        shown = [f"{scores[score]:.3f}" if score in scores else "-" for score in ("f1", "aji", "pq")]
        cases = str(len(card.train_cases))
        rows.add_row(name, card.architecture, cases, *shown, _WHOLE_IMAGES.get(scored, scored), card.licence)
    session.show(
        {"architectures": architectures, "weights": weights},
        known,
        "GFLOP: for a prediction on 256 x 256 pixels",
        "",
        rows,
        "cases: training cases; of: scores on test or validation images, or on validation windows during training",
        then=f"models card {DEFAULT_MODEL}",
    )


@command({"the model in the package": "monuseg models card default"})
def card(
    session: Session,
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|WEIGHTS",
            help="Name or folder of a run, a weights file, or default.",
            autocompletion=complete.weights,
        ),
    ],
) -> None:
    """Print a model card: network, training, scores, licence and intended use."""
    from monuseg_cli.models.card import describe
    from monuseg_cli.models.weights import read_card

    weights = session.home.find_weights(model)
    read = read_card(weights)
    session.show(read, describe(read, session.home.name_of_weights(weights)))


app = typer.Typer(cls=Group, add_completion=False)
app.callback(invoke_without_command=True)(models)
app.command(cls=Command)(card)
