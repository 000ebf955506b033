"""An image in memory, with the interface of a slide."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.decoding import decoding
from monuseg_cli.imaging.orientation import ORIENTATION_TAG, Orientation
from monuseg_cli.imaging.readers.base import ArrayImage, ImageInfo, OnDamage, OpenImage
from monuseg_cli.imaging.readers.plain import decode_plain
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.to_rgb import ImageError

Picture = NDArray[Any] | Image.Image | str | Path
"""An image in memory, or the path of one."""

_CHANNELS = 3
_WITH_ALPHA = 4
_MODES_OF_FILES = frozenset(
    ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "I", "I;16", "I;16B", "I;16L", "F")
)
"""Pillow's modes of images that were opened from PNG, JPEG, BMP, WebP and TIFF files."""


class ArraySlide(Slide):
    """An image in memory: one level, no stated scale.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), uint8
        Red, green, blue; not copied.
    name : str
        Its name in messages.
    note : str, optional
        What was converted to obtain 8-bit RGB.

    Raises
    ------
    InputError
        If `pixels` is any other kind of array; see `require_rgb`.
    """

    def __init__(self, pixels: NDArray[np.uint8], name: str = "the image", note: str | None = None) -> None:
        require_rgb(pixels)
        self.path = Path(name)
        self._read_from(_ArrayReader(pixels, note), skip_damaged=False, series=None, plane=None)


class _ArrayReader:
    """An array as the only image of a file; see `Reader`."""

    kind = "array"

    def __init__(self, pixels: NDArray[np.uint8], note: str | None) -> None:
        self._pixels, self._notes = pixels, (note,) if note else ()
        self.images: tuple[ImageInfo, ...] = (ImageInfo("", (pixels.shape[0], pixels.shape[1]), "scan", None),)

    def open(self, index: int, plane: int | None, on_damage: OnDamage) -> OpenImage:
        return ArrayImage(self._pixels, "none", self._notes)

    def close(self) -> None:
        """Close nothing."""


def require_rgb(image: object) -> None:
    """Check that an image in memory is an array of shape (H, W, 3) and type uint8.

    Other arrays are not converted, since their meaning would have to be guessed.

    Raises
    ------
    InputError
        If it is not; the message says how to convert it.
    """
    if not isinstance(image, np.ndarray):
        message = f"an image must be an array, a PIL image or a path, not {type(image).__name__}"
        raise InputError(message)
    if remedy := _shape_remedy(image) or _dtype_remedy(image):
        found = f"{image.dtype} of shape {image.shape}"
        message = f"an image in memory must be uint8 of shape (H, W, 3), not {found}; {remedy}"
        raise InputError(message)


def _shape_remedy(image: NDArray[np.generic]) -> str | None:
    """Return how to obtain the shape (H, W, 3); None if the array has it."""
    shape = image.shape
    if not image.size:
        return "it has no pixels"
    if image.ndim == 2:
        return "it is grey; if it shows H&E-stained tissue, convert it: numpy.stack([image] * 3, axis=-1)"
    if image.ndim == 4:
        return "pass one image at a time"
    if image.ndim != 3:
        return "pass rows, columns and three channels"
    if shape[2] == _CHANNELS:
        return None
    if shape[2] == _WITH_ALPHA:
        return "drop the fourth channel: image[..., :3]"
    if shape[0] in (_CHANNELS, _WITH_ALPHA):
        return "move the channels to the end: numpy.moveaxis(image[:3], 0, -1)"
    return "pass red, green and blue"


def _dtype_remedy(image: NDArray[np.generic]) -> str | None:
    """Return how to obtain 8 bits per sample; None if the array has them."""
    if image.dtype == np.uint8:
        return None
    if image.dtype == np.bool_:
        return "it is a mask; pass the image itself"
    if image.dtype.kind not in "iuf":
        return "pass numbers"
    if not np.isfinite(image).all():
        return "some of its values are not finite"
    low, high = image.min(), image.max()
    if image.dtype.kind == "f" and 0 <= low <= high <= 1:
        return "convert it: (image * 255).round().astype('uint8')"
    if 0 <= low <= high <= 255:
        return "convert it: image.round().astype('uint8')"
    return "scale its values to 0..255, and convert it: image.round().astype('uint8')"


def open_picture(
    image: Picture, skip_damaged: bool = False, series: int | None = None, plane: int | None = None
) -> Slide:
    """Open an image, in memory or in a file.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8, or PIL image, or str or Path
        A PIL image is converted in the same way as a file of its mode.
    skip_damaged, series, plane
        As in `Slide`, for files; an image in memory has only one series and plane.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If the image cannot be used, or has no such series or plane.
    """
    if isinstance(image, str | Path):
        return Slide(Path(image).expanduser(), skip_damaged, series, plane)
    if series or plane:
        message = "an image in memory has no `series` or `plane` to choose; pass the path of its file"
        raise InputError(message)
    if not isinstance(image, Image.Image):
        return ArraySlide(image)
    name = Path(getattr(image, "filename", "") or "the image")
    with decoding(name):
        if image.mode not in _MODES_OF_FILES:
            message = f"its mode is {image.mode}; convert it: image.convert('RGB')"
            raise ImageError(message)
        stored, note = decode_plain(image)
        orientation = Orientation(image.getexif().get(ORIENTATION_TAG, 1), (image.height, image.width))
    return ArraySlide(orientation.upright(stored), name.name, note)
