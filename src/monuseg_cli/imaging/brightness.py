"""Whether an image is as bright as H&E tissue on glass can be."""

import numpy as np
from numpy.typing import NDArray

_DARKEST_LIGHT = 80
"""The lightest hundredth of dense tissue without any glass is lighter than this."""

_LIGHTEST_DARK = 225
"""The darkest thousandth of a slide with little tissue, seen small, is darker than this."""


def doubt_brightness(thumbnail: NDArray[np.uint8]) -> str | None:
    """Say that an image comes out nearly black or nearly white; None where it does not.

    Parameters
    ----------
    thumbnail : ndarray of shape (H, W, 3), uint8
        The image, seen small.
    """
    green = thumbnail[..., 1]
    light, dark = float(np.quantile(green, 0.99)), float(np.quantile(green, 0.001))
    if light < _DARKEST_LIGHT:
        return (
            f"comes out nearly black (99 % of it is darker than {light:.0f} of 255): its samples may use fewer bits "
            "than it says, or it is no H&E"
        )
    if dark > _LIGHTEST_DARK:
        return f"comes out nearly white (nothing is darker than {dark:.0f} of 255): there may be no tissue in it"
    return None
