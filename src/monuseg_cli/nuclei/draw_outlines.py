"""Label image -> outlines drawn on an image; used for all pictures with outlines."""

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError

GREEN = (0, 255, 64)
YELLOW = (255, 225, 0)


def outline_pixels(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the outermost pixels of every nucleus, so that touching nuclei have one line each.

    Parameters
    ----------
    labels : ndarray of shape (H, W), integer
        Label image, 0 background.

    Returns
    -------
    ndarray of shape (H, W), bool
        True if a pixel of a nucleus has a 4-neighbour of another label, or is at the border of the image.
    """
    padded = np.pad(labels, 1)
    inner = padded[1:-1, 1:-1]
    different = np.zeros(labels.shape, dtype=np.bool_)
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        different |= neighbour != inner
    different &= inner != 0
    return different


def draw_outlines(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    colour: tuple[int, int, int] = GREEN,
    width_px: int = 1,
) -> NDArray[np.uint8]:
    """Draw the outline of every nucleus on a copy of the image.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
        The image to draw on; it is not changed.
    labels : ndarray of shape (H, W), integer
        Label image, 0 background.
    colour : tuple of int
        Red, green, blue.
    width_px : int
        Width of the line, from the outermost pixels of the nucleus outwards.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8

    Raises
    ------
    InputError
        If image and labels differ in size.
    """
    if image.shape[:2] != labels.shape:
        message = f"an image of shape {image.shape} and labels of shape {labels.shape} differ in size"
        raise InputError(message)
    line = outline_pixels(labels)
    if width_px > 1:
        from scipy import ndimage  # slow to import

        line = ndimage.binary_dilation(line, iterations=width_px - 1)
    drawn = image.copy()
    drawn[line] = colour
    return drawn
