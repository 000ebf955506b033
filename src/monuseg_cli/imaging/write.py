"""Writing of images to files."""

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.atomic import write_bytes


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) image as a PNG, completely or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_bytes(path, imagecodecs.png_encode(pixels))
