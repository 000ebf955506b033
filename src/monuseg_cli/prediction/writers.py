"""Label images -> files."""

from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.atomic import write_bytes, writing

_TILE = (512, 512)


def write_mask_png(path: Path, labels: NDArray[np.int32]) -> None:
    """Write where nuclei are as a PNG, 255 in nuclei and 0 elsewhere, whole or not at all."""
    write_bytes(path, imagecodecs.png_encode((labels > 0).astype(np.uint8) * 255))


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) picture as a PNG, whole or not at all."""
    write_bytes(path, imagecodecs.png_encode(pixels))


def write_tiff(path: Path, pixels: NDArray[np.uint8] | NDArray[np.int32], mpp: float | None) -> None:
    """Write a mask or a label image as a tiled, compressed TIFF, whole or not at all.

    Parameters
    ----------
    path : Path
        Destination.
    pixels : ndarray of shape (H, W), uint8 or int32
        0/255, or one integer a nucleus.
    mpp : float or None
        Micrometres per pixel, for the resolution tags; None leaves them out.
    """
    per_cm = None if mpp is None else (1e4 / mpp, 1e4 / mpp)
    unit = None if mpp is None else "CENTIMETER"
    with writing(path) as part:
        tifffile.imwrite(
            part, pixels, tile=_TILE, compression="zlib", metadata=None, resolution=per_cm, resolutionunit=unit
        )
