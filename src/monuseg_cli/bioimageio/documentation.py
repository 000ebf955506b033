"""The documentation of a package, as Markdown; its text is in documentation.md."""

import re
from dataclasses import asdict
from importlib import resources

from monuseg_cli.models.card import Card, describe


def document(card: Card, name: str, *, halo_px: int) -> str:
    """Write the documentation of a model: what a program that runs it must know, and its card.

    Parameters
    ----------
    card : Card
        Card of the model.
    name : str
        Name of the model.
    halo_px : int
        Width of the border of the maps that depends on what lies outside a tile, in pixels.
    """
    text = resources.files(__package__).joinpath("documentation.md").read_text(encoding="utf-8")
    return text.format(
        name=name,
        use=card.use,
        licence=card.licence,
        attribution=card.attribution,
        mpp=card.mpp,
        mean=_list(card.mean),
        std=_list(card.std),
        halo_px=halo_px,
        overlap_px=2 * halo_px,
        classes=", ".join(f"`{channel}`" for channel in card.classes),
        postprocess=", ".join(f"{setting} {value}" for setting, value in asdict(card.postprocess).items()),
        threshold=card.postprocess.threshold,
        card=re.sub(r"^#", "##", describe(card, "Card of the model"), flags=re.MULTILINE),
    )


def _list(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.4g}" for value in values)
