"""What every reader of images shares: how files are opened and checked, and one clear error for whatever goes wrong."""

import logging
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tifffile
from PIL import Image, UnidentifiedImageError

from monuseg_cli.core.errors import InputError, MissingError, MonusegError
from monuseg_cli.core.home import is_special_file
from monuseg_cli.imaging.to_rgb import RESAVE_HINT, ImageError

LARGEST_WHOLE_BYTES = 2**29
"""Of pixels that cannot be read in parts, more are refused; three bytes a pixel, it is Pillow's limit, too."""

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
"""From this size on, offsets of 4 bytes do not reach to the end of a file."""

# What tifffile logs would stand beside the one line that an error is.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_PLAIN_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


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
    """Open a TIFF whose offsets are as long as they are: in Hamamatsu's NDPI, 8 bytes, whatever the file is called."""
    tiff = tifffile.TiffFile(path)
    is_called_so = path.suffix.lower() == ".ndpi"
    if is_called_so and not len(tiff.pages):
        tiff.close()
        return tifffile.TiffFile(path, is_ndpi=False)
    if not is_called_so and tiff.filehandle.size >= _CLASSIC_BYTES and tiff.pages and tiff.pages.first.is_ndpi:
        tiff.close()
        return tifffile.TiffFile(path, is_ndpi=True)
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
