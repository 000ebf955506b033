"""An image file of any kind -> (H, W, 3) uint8, or one clear error."""

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from monuseg_cli.core.errors import InputError, MissingError, MonusegError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.imaging.to_rgb import RESAVE_HINT, Conversion, ImageError, conversion_of_page

SUFFIXES = frozenset({".tif", ".tiff", ".svs", ".png", ".jpg", ".jpeg", ".bmp", ".webp"})
"""By these the images in a folder are told from other files; what an image is, its first bytes tell."""

LARGEST_WHOLE_BYTES = 2**29
"""Of pixels that cannot be read in parts, more are refused; three bytes a pixel, it is Pillow's limit, too."""

_BLOCK_PX = 1024  # side of the blocks in which a whole image is converted

# What tifffile, imagecodecs, Pillow and numpy raise for damaged or hostile files: imagecodecs' errors are
# RuntimeErrors, tifffile's ValueErrors, Pillow's for broken PNG chunks SyntaxErrors, absurd sizes MemoryErrors.
DECODING_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    SyntaxError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
)

_PLAIN_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


# TIFF 6.0, section 8: orientations 5 to 8 have rows and columns exchanged; then one, both or none are mirrored.
_ORIENTATION_TAG = 0x0112
_TURNED = (5, 6, 7, 8)
_MIRRORED: Mapping[int, tuple[int, ...]] = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}


class OrientedPage:
    """The pixels of a TIFF page, stored in whatever order, seen upright.

    Parameters
    ----------
    page : tifffile.TiffPage or tifffile.TiffFrame

    Attributes
    ----------
    shape : tuple of int
        Height and width, upright.
    """

    def __init__(self, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
        page = page.aspage()
        orientation = page.tags.valueof("Orientation", 1)
        self._turned = orientation in _TURNED
        self._mirror = _MIRRORED.get(orientation, ())
        self._planar = page.axes == "SYX"
        stored = (page.imagelength, page.imagewidth)
        self.shape = stored[::-1] if self._turned else stored

    def read(self, stored: Any, window: tuple[slice, slice]) -> NDArray[np.generic]:
        """Read a window, given by its upright rows and columns, out of an array as stored; (H, W) or (H, W, S)."""
        sides = list(window)
        for axis in self._mirror:
            length = self.shape[axis]
            sides[axis] = slice(length - sides[axis].stop, length - sides[axis].start)
        if self._turned:
            sides.reverse()
        pixels = np.asarray(stored[:, *sides] if self._planar else stored[tuple(sides)])
        if self._planar:
            pixels = np.moveaxis(pixels, 0, -1)
        if self._turned:
            pixels = pixels.swapaxes(0, 1)
        return np.flip(pixels, self._mirror)


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn what the decoding libraries raise for a missing, damaged or unsupported image into one clear error.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        For everything else that keeps the image from being read.
    """
    try:
        yield
    except MonusegError:
        raise
    except FileNotFoundError as error:
        message = f"no image {path}; check its name"
        raise MissingError(message) from error
    except UnidentifiedImageError as error:
        message = f"{path}: not an image, or damaged; {RESAVE_HINT}"
        raise InputError(message) from error
    except Image.DecompressionBombError as error:
        message = f"{path}: more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels; save it as a tiled TIFF"
        raise InputError(message) from error
    except ImageError as error:
        message = f"{path}: {error}"
        raise InputError(message) from error
    except DECODING_ERRORS as error:
        is_systems = isinstance(error, OSError) and error.errno is not None
        remedy = "check what is there, and whether it may be read" if is_systems else RESAVE_HINT
        message = f"{path}: {first_line(error)}; {remedy}"
        raise InputError(message) from error


def first_line(error: BaseException) -> str:
    """Give the first line of what a decoding library says, which may be nothing; of the system's errors, the reason."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().split("\n")[0] or type(error).__name__


def is_tiff(path: Path) -> bool:
    """Tell from a file's first bytes, whatever its name, whether it is a TIFF (classic or BigTIFF).

    Raises
    ------
    ImageError
        If it is something that never ends, such as a pipe.
    """
    if is_special_file(path):
        message = "it is no regular file; name an image"
        raise ImageError(message)
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_plain(path: Path) -> Image.Image:
    """Open a PNG, JPEG, BMP or WebP, whatever its name; call it within `decoding`."""
    return Image.open(path, formats=_PLAIN_FORMATS)


def open_tiff(path: Path, *, whole: bool = True) -> tifffile.TiffFile:
    """Open a TIFF and check, if `whole`, that all of its first page is there; call it within `decoding`.

    Raises
    ------
    ImageError
        If the file holds no image, or ends before the pixels of its first page do.
    """
    tiff = tifffile.TiffFile(path)
    try:
        first = tiff.pages.first
        if whole:
            require_whole(first)
    except IndexError as error:
        tiff.close()
        message = f"it holds no image, or is damaged; {RESAVE_HINT}"
        raise ImageError(message) from error
    except BaseException:
        tiff.close()
        raise
    return tiff


def require_whole(page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Check that every tile or strip of `page` has its place, and that the file reaches to its end.

    One of offset 0 or byte count 0 is left out on purpose, as glass; so is, in Philips' files, one beyond the tables.

    Raises
    ------
    ImageError
        If it does not, or the page has no pixels.
    """
    size = page.parent.filehandle.size
    expected = math.prod(page.chunked)
    listed = min(len(page.dataoffsets), len(page.databytecounts))
    if listed < expected and not page.parent.is_philips:
        message = f"damaged: of its {expected} tiles or strips, {listed} are in the file; {RESAVE_HINT}"
        raise ImageError(message)
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    require_pixels(page.shape if ends else ())
    if max(ends) > size:
        message = f"truncated: it ends at byte {size}, its pixels at byte {max(ends)}; copy it anew"
        raise ImageError(message)


def require_pixels(shape: Sequence[int]) -> None:
    """Check that an image of this shape has pixels.

    Raises
    ------
    ImageError
        If it has none.
    """
    if not shape or not all(shape):
        message = f"it has no pixels; {RESAVE_HINT}"
        raise ImageError(message)


def require_moderate(shape: Sequence[int], bytes_per_pixel: int) -> None:
    """Check that pixels that must be read as a whole fit into moderate memory.

    Raises
    ------
    ImageError
        If they are more than `LARGEST_WHOLE_BYTES`.
    """
    if math.prod(shape) * bytes_per_pixel > LARGEST_WHOLE_BYTES:
        size = " x ".join(str(side) for side in reversed(shape))
        message = (
            f"{size} pixels of {bytes_per_pixel} bytes are read as a whole, and more than "
            f"{LARGEST_WHOLE_BYTES >> 20} MiB; save it in tiles, or cut it"
        )
        raise ImageError(message)


def read_image(path: Path) -> tuple[NDArray[np.uint8], str | None]:
    """Read a whole image: the first page of a TIFF, or a PNG, JPEG, BMP or WebP, upright.

    Returns
    -------
    pixels : ndarray of shape (H, W, 3), uint8
    note : str or None
        What was converted to come to 8-bit RGB; None where nothing was.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is no image, is damaged, or its pixels have no clear meaning.
    """
    with decoding(path):
        if not is_tiff(path):
            with open_plain(path) as image:
                return decode_plain(image)
        with open_tiff(path) as tiff:
            page = tiff.pages.first
            conversion = conversion_of_page(page)
            require_moderate(page.shape[:2] if page.axes != "SYX" else page.shape[1:], conversion.bytes_per_pixel)
            page.nodata = conversion.white  # of tiles that the file leaves out
            upright, stored = OrientedPage(page), page.asarray()
            pixels = _in_blocks(upright.shape, lambda block: conversion.apply(upright.read(stored, block)))
            return pixels, conversion.note()


def _in_blocks(
    shape: tuple[int, int], convert: Callable[[tuple[slice, slice]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Put an image (H, W, 3) together, block by block: what a conversion takes in between stays small."""
    height, width = shape
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _BLOCK_PX):
        for left in range(0, width, _BLOCK_PX):
            block = slice(top, min(top + _BLOCK_PX, height)), slice(left, min(left + _BLOCK_PX, width))
            pixels[block] = convert(block)
    return pixels


def decode_plain(image: Image.Image) -> tuple[NDArray[np.uint8], str | None]:
    """Decode an image opened by `open_plain`, upright, as 8-bit RGB; with a note of what was converted."""
    notes = {
        "P": "palette looked up",
        "L": "grey taken as equal red, green and blue",
        "CMYK": "CMYK converted to RGB",
        "YCbCr": None,
        "RGB": None,
    }
    is_deep = any("16" in str(tile[3]) for tile in getattr(image, "tile", ())) and image.mode.startswith("RGB")
    if is_deep:  # Pillow keeps the upper eight bits
        notes["RGB"] = "uint16 of range 0..65535 scaled to 8 bits"
    require_pixels(image.size)
    kind, note = image.mode, notes.get(image.mode)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        kind, note = "RGBA", "transparency laid over white"
    elif image.mode in notes:
        kind = "RGB"
    else:
        conversion = Conversion(_samples(image.crop((0, 0, 1, 1))).dtype, 1)
        conversion.require_clear()
        note = conversion.note()

    def convert(block: tuple[slice, slice]) -> NDArray[np.uint8]:
        rows, cols = block
        pixels = _samples(image.crop((cols.start, rows.start, cols.stop, rows.stop)).convert(kind))
        return Conversion(pixels.dtype, pixels.shape[2] if pixels.ndim > 2 else 1).apply(pixels)

    # EXIF's orientations are TIFF's. Taken after decoding: crops decode the image.
    pixels = _in_blocks((image.height, image.width), convert)
    orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    if orientation in _TURNED:
        pixels = pixels.swapaxes(0, 1)
    return np.flip(pixels, _MIRRORED.get(orientation, ())), note


def _samples(image: Image.Image) -> NDArray[np.generic]:
    pixels = np.asarray(image)
    return pixels.astype(np.uint16) if image.mode.startswith("I;16") else pixels
