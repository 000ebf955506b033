"""Opening and checking of image files; every failure becomes one clear error."""

import logging
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tifffile
from PIL import Image, UnidentifiedImageError

from monuseg_cli.core.errors import InputError, MissingError, MonusegError, first_line
from monuseg_cli.core.home import is_special_file
from monuseg_cli.imaging.to_rgb import RESAVE_HINT, ImageError

LARGEST_WHOLE_BYTES = 2**29
"""Limit for pixels that cannot be read in parts. At three bytes per pixel, this is also Pillow's limit."""

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

_CLASSIC_BYTES = 2**32
"""From this file size on, offsets of 4 bytes cannot address the end of the file."""

# An error is one line; messages that tifffile logs would add more.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_PLAIN_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Convert exceptions of the decoding libraries for missing, damaged or unsupported images into one clear error.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If the image cannot be read for any other reason.
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
        is_from_system = isinstance(error, OSError) and error.errno is not None
        remedy = "check the path and its permissions" if is_from_system else RESAVE_HINT
        message = f"{path}: {first_line(error)}; {remedy}"
        raise InputError(message) from error


def is_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF (classic or BigTIFF), by its first bytes; the name does not matter.

    Raises
    ------
    ImageError
        If it is not a regular file, such as a pipe.
    """
    if is_special_file(path):
        message = "it is not a regular file; name an image"
        raise ImageError(message)
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_plain(path: Path) -> Image.Image:
    """Open a PNG, JPEG, BMP or WebP with any file name; call this within `decoding`."""
    return Image.open(path, formats=_PLAIN_FORMATS)


def is_one_image(path: Path, most_px: int) -> bool:
    """Return whether a file is a PNG, JPEG, BMP, WebP or TIFF of one image of at most `most_px` pixels, by its header.

    Of other files, and of those that cannot be read, False is returned.
    """
    try:
        with Image.open(path, formats=(*_PLAIN_FORMATS, "TIFF")) as image:
            return image.width * image.height <= most_px and getattr(image, "n_frames", 1) == 1
    except (*DECODING_ERRORS, EOFError):
        return False


def open_tiff(path: Path, *, whole: bool = True) -> tifffile.TiffFile:
    """Open a TIFF and check, if `whole`, that its first page is complete; call this within `decoding`.

    Raises
    ------
    ImageError
        If the file contains no image, or ends before the last pixel of its first page.
    """
    tiff = _open_by_offsets(path)
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


def _open_by_offsets(path: Path) -> tifffile.TiffFile:
    """Open a TIFF with the right length of offsets: 8 bytes in a Hamamatsu NDPI, even if the file is renamed."""
    tiff = tifffile.TiffFile(path)
    has_ndpi_name = path.suffix.lower() == ".ndpi"
    if has_ndpi_name and not len(tiff.pages):
        tiff.close()
        return tifffile.TiffFile(path, is_ndpi=False)
    if not has_ndpi_name and tiff.filehandle.size >= _CLASSIC_BYTES and tiff.pages and tiff.pages.first.is_ndpi:
        tiff.close()
        return tifffile.TiffFile(path, is_ndpi=True)
    return tiff


def require_whole(page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Check that all tiles or strips of `page` are listed, and that the file is long enough to contain them.

    Tiles of offset 0 or byte count 0 were omitted by the scanner, since they show glass. In Philips files, so were
    tiles beyond the end of the tables.

    Raises
    ------
    ImageError
        If they are not, or the page has no pixels.
    """
    size = page.parent.filehandle.size
    expected = math.prod(page.chunked)
    listed = min(len(page.dataoffsets), len(page.databytecounts))
    if listed < expected and not page.parent.is_philips:
        message = f"damaged: only {listed} of its {expected} tiles or strips are in the file; {RESAVE_HINT}"
        raise ImageError(message)
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    require_pixels(page.shape if ends else ())
    if max(ends) > size:
        message = f"truncated: it ends at byte {size}, its pixels at byte {max(ends)}; copy it again"
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
    """Check that an image that must be read as a whole is not too large.

    Raises
    ------
    ImageError
        If it takes more than `LARGEST_WHOLE_BYTES`.
    """
    if math.prod(shape) * bytes_per_pixel > LARGEST_WHOLE_BYTES:
        size = " x ".join(str(side) for side in reversed(shape))
        message = (
            f"{size} pixels of {bytes_per_pixel} bytes must be read as a whole, and exceed "
            f"{LARGEST_WHOLE_BYTES >> 20} MiB; crop it, or save it as a tiled TIFF"
        )
        raise ImageError(message)
