"""Whether the brightness of an image is plausible for H&E-stained tissue on glass."""

import numpy as np
from numpy.typing import NDArray

_DARKEST_LIGHT = 80
"""Even in dense tissue without glass, the lightest 1 % of pixels are above this."""

_LIGHTEST_DARK = 225
"""Even in the thumbnail of a slide with little tissue, the darkest 0.1 % of pixels are below this."""


def doubt_brightness(thumbnail: NDArray[np.uint8]) -> str | None:
    """Return a warning if an image is nearly black or nearly white, else None.

    Parameters
    ----------
    thumbnail : ndarray of shape (H, W, 3), uint8
        The image at a low resolution.
    """
    green = thumbnail[..., 1]
    light, dark = float(np.quantile(green, 0.99)), float(np.quantile(green, 0.001))
    if light < _DARKEST_LIGHT:
        return (
            f"comes out nearly black (99 % of it is darker than {light:.0f} of 255): its samples may use fewer bits "
            "than it says, or it is not H&E"
        )
    if dark > _LIGHTEST_DARK:
        return f"comes out nearly white (nothing is darker than {dark:.0f} of 255): there may be no tissue in it"
    return None
