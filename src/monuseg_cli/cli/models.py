"""``monuseg models`` and ``monuseg models card``."""

from typing import Annotated

import typer

from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.paths import DEFAULT_MODEL


@command(example="monuseg models")
def models(session: Session, context: typer.Context) -> None:
    """List the architectures, and the weights that came with the package, were trained, or put here."""
    from monuseg_cli.models import registry
    from monuseg_cli.models.weights import list_weights

    if context.invoked_subcommand:
        return
    architectures = [registry.get(name) for name in registry.names()]
    known = table("architecture", "")
    known.columns[1].justify = "left"
    for architecture in architectures:
        known.add_row(architecture.name, architecture.summary)
    weights = list_weights(session.home, session.progress)
    rows = table("weights", "architecture", "epoch", "val F1", "train set", "licence")
    for name, card in weights.items():
        score = f"{card.scores['f1']:.4f}" if "f1" in card.scores else "-"
        rows.add_row(name, card.architecture, str(card.epoch), score, str(card.train_set), card.licence)
    content = {
        "architectures": [
            {"name": spec.name, "summary": spec.summary, "options": dict(spec.options)} for spec in architectures
        ],
        "weights": weights,
    }
    session.show(content, known, "", rows, then=f"models card {DEFAULT_MODEL}")


@command(example="monuseg models card default")
def card(
    session: Session,
    model: Annotated[str, typer.Argument(metavar="RUN|WEIGHTS", help="A run, a weights file, or default.")],
) -> None:
    """Print a model's card: network, training, scores, licence, and what it is not for."""
    from monuseg_cli.models.card import describe
    from monuseg_cli.models.weights import read_card

    weights = session.home.find_weights(model)
    read = read_card(weights)
    session.show(read, describe(read, session.home.name_of_weights(weights)))
