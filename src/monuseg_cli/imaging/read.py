"""An image file of any kind, as a whole -> (H, W, 3) uint8, or one clear error."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.decoding import decoding, require_moderate
from monuseg_cli.imaging.slide import Slide


def read_image(path: str | Path) -> tuple[NDArray[np.uint8], str | None]:
    """Read a whole image, upright; of a file with several, the one that `Slide` takes.

    Returns
    -------
    pixels : ndarray of shape (H, W, 3), uint8
    note : str or None
        What was chosen, and converted to come to 8-bit RGB; None where nothing was.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is no image, is damaged, too large to be read as a whole, or its pixels have no clear meaning.
    """
    with Slide(path) as slide:
        with decoding(slide.path):
            require_moderate(slide.shape, 3)
        return slide.read_region(0, 0, 0, *slide.shape), slide.note
