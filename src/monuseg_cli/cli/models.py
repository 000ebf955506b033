"""``monuseg models``."""

from monuseg_cli.cli.console import Session, command, table


@command(example="monuseg models")
def models(session: Session) -> None:
    """List the architectures, and the weights that were trained or put here."""
    from monuseg_cli.models import registry
    from monuseg_cli.models.weights import list_weights

    architectures = [registry.get(name) for name in registry.names()]
    known = table("architecture", "")
    known.columns[1].justify = "left"
    for architecture in architectures:
        known.add_row(architecture.name, architecture.summary)
    weights = list_weights(session.home)
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
    if weights:
        session.show(content, known, "", rows)
    else:
        session.show(content, known, "", "No weights yet.", then="train --arch unet-se")
