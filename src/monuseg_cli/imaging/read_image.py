"""A whole image file of any kind -> (H, W, 3) uint8, or one clear error."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.decoding import decoding, require_moderate
from monuseg_cli.imaging.slide import Slide


def read_image(path: str | Path) -> tuple[NDArray[np.uint8], str | None]:
    """Read a whole image, upright; of a file with several images, the one that `Slide` chooses.

    Returns
    -------
    pixels : ndarray of shape (H, W, 3), uint8
    note : str or None
        Which image was chosen, and what was converted to obtain 8-bit RGB; None if neither was needed.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is not an image, is damaged, too large to be read as a whole, or the meaning of its pixels is unclear.
    """
    with Slide(path) as slide:
        with decoding(slide.path):
            require_moderate(slide.shape, 3)
        return slide.read_region(0, 0, 0, *slide.shape), slide.note
