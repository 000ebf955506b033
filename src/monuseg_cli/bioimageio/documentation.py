"""The documentation of a package, as Markdown."""

import re
from dataclasses import asdict

from monuseg_cli.models.card import Card, describe

_TEXT = """# {name}

{use}

Licence of the weights: {licence}. Data: {attribution}.

## Input

| property | value |
|---|---|
| image | H&E-stained tissue in brightfield, as RGB: red, green, blue |
| scale | {mpp} um/px; resample the image to this scale first, or the result is wrong |
| intensities | 0 to 255, as in the file; the package divides them by 255 |
| normalisation | inside the network: mean {mean} and standard deviation {std} of values of 0 to 1; do not normalise |
| size | any; large images in tiles that overlap by {overlap_px} px; crop the outer {halo_px} px of each tile |

## Output

One map per class, each within 0..1, in this order: {classes}. The sigmoid is inside the network.

## Post-processing is not included

The maps are not yet nuclei. The post-processing that was used for the scores below has these parameters:
{postprocess}. The simplest substitute: threshold the map `nucleus` at {threshold}, and label its connected components;
touching nuclei are then one. `monuseg predict` does everything: resampling, tiles, separation of touching nuclei,
outlines and tables.

## Validation

To validate the model on your own images, annotate some of them, and compare the result with the annotations:
`monuseg evaluate`, or the same scores by another program. The scores below were computed by `monuseg evaluate`.

{card}
"""


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
    return _TEXT.format(
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
