"""Whether the colours of an image are plausible for tissue that is stained with haematoxylin and eosin."""

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.stains import OPTICAL_DENSITY, select_tissue

_FEWEST_PIXELS = 400
_DENSEST_SHARE = 0.9  # the quantile from which on pixels are mostly nuclei
_MOST_REDDISH = -0.15
"""All 439 fields of MoNuSeg's train set and of NuInsSeg are above -0.1. With red and blue swapped, those of MoNuSeg are
below this bound, and two thirds of those of NuInsSeg."""


def doubt_colours(pixels: NDArray[np.uint8]) -> str | None:
    """Return a warning if dense structures are redder than the rest, else None.

    Haematoxylin, and so a nucleus, absorbs more red than blue; eosin absorbs both alike. If red and blue are swapped,
    or if the dense stain is brown, it is the other way round.

    Parameters
    ----------
    pixels : ndarray of shape (N, 3), uint8
        Pixels from all over the image.
    """
    density = OPTICAL_DENSITY[select_tissue(pixels)]
    if len(density) < _FEWEST_PIXELS:
        return None
    red, _, blue = density.T
    is_dense = red + blue >= np.quantile(red + blue, _DENSEST_SHARE)
    if is_dense.all():
        return None
    redness = (red - blue)[is_dense].mean() - (red - blue)[~is_dense].mean()
    if redness >= _MOST_REDDISH * density.mean():
        return None
    return (
        "its dense structures are brown or red, where nuclei in H&E are blue: are red and blue swapped (BGR), or is it "
        "another stain?"
    )
