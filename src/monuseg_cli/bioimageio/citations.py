"""Licence and publications of a model, in the terms of bioimage.io."""

import re

from monuseg_cli.dataset.catalog import ATTRIBUTION, DOIS, OTHER_DATASETS
from monuseg_cli.models.card import Card

_CREATIVE_COMMONS = re.compile(r"CC (BY(?:-NC)?(?:-SA|-ND)?) ([1-4]\.[05])")


def spdx_of(licence: str) -> str | None:
    """Return the SPDX identifier of a Creative Commons licence; None for any other text."""
    found = _CREATIVE_COMMONS.fullmatch(licence)
    return f"CC-{found[1]}-{found[2]}" if found else None


def publications_of(card: Card) -> list[dict[str, str]]:
    """List the publications of the public data sets that a model was trained on, with their DOIs."""
    known = {ATTRIBUTION: DOIS, **{other.attribution: (other.doi,) for other in OTHER_DATASETS.values()}}
    return [
        {"text": attribution, "doi": doi}
        for attribution, dois in known.items()
        if attribution in card.attribution
        for doi in dois
    ]
