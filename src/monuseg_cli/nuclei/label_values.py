"""What the values of a mask or a label image mean, before it is taken for one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.imaging.to_rgb import ImageError

LARGEST_LABEL = 2**31 - 1


def number_nuclei(pixels: NDArray[Any]) -> tuple[NDArray[np.int32], str | None]:
    """Make a label image of the pixels of a mask or a label image.

    A mask holds 0 and one other value; its connected parts (4 neighbours) are the nuclei.

    Returns
    -------
    labels : ndarray of shape (H, W), int32
    note : str or None
        What was done to the values; None where nothing was.

    Raises
    ------
    ImageError
        If it is not one plane of whole numbers within 0..`LARGEST_LABEL`.
    """
    while pixels.ndim > 2 and 1 in (pixels.shape[0], pixels.shape[-1]):
        pixels = pixels[0] if pixels.shape[0] == 1 else pixels[..., 0]
    if pixels.ndim != 2 or not (np.issubdtype(pixels.dtype, np.integer) or pixels.dtype == np.bool_):
        message = f"it holds {pixels.dtype} of shape {pixels.shape}; what can be scored is one plane of integers"
        raise ImageError(message)
    values = np.unique(pixels)
    if values.size and (int(values[0]) < 0 or int(values[-1]) > LARGEST_LABEL):
        message = f"it holds {values[0]} to {values[-1]}; number its nuclei within 0 to {LARGEST_LABEL}"
        raise ImageError(message)
    if len(values) <= 2 and (not values.size or values[0] == 0 or len(values) == 1):
        pixels, _ = ndimage.label(pixels != 0)
    return np.asarray(pixels, dtype=np.int32), None
