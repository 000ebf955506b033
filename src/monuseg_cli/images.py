"""Pixels of any kind and depth -> (H, W, 3) uint8, or one clear error."""

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from monuseg_cli.errors import InputError, MissingError, MonusegError

SUFFIXES = frozenset({".tif", ".tiff", ".svs", ".png", ".jpg", ".jpeg", ".bmp", ".webp"})
"""By these the images in a folder are told from other files; what an image is, its first bytes tell."""

LARGEST_WHOLE_BYTES = 2**29
"""Of pixels that cannot be read in parts, more are refused; three bytes a pixel, it is Pillow's limit, too."""

ANEW = "save it anew, as PNG or as TIFF of 8-bit RGB"
"""What helps against most that is wrong with an image."""

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


class ImageError(ValueError):
    """What keeps an image from being used, with the remedy."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the pixels of one image become 8-bit RGB.

    Parameters
    ----------
    dtype : numpy dtype
        Of the stored samples.
    samples : int
        Samples a pixel: 1 (grey or palette), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha, or CMYK).
    palette : ndarray of shape (3, K), uint16, or None
        Colours of a palette image.
    inverted : bool
        True where 0 is white (TIFF's MINISWHITE).
    cmyk : bool
        True where the samples are cyan, magenta, yellow and black.
    premultiplied : bool
        True where colours are multiplied with their alpha.
    bits : int
        Bits that a sample uses, where it is an integer.
    """

    dtype: np.dtype[np.generic]
    samples: int = 3
    palette: NDArray[np.uint16] | None = None
    inverted: bool = False
    cmyk: bool = False
    premultiplied: bool = False
    bits: int = 16

    def require_clear(self) -> None:
        """Check that the meaning of such pixels is clear.

        Raises
        ------
        ImageError
            If it is not; the message says why.
        """
        problem = None
        if self.dtype == np.bool_:
            problem = "its pixels are one bit, a mask rather than an image; name the image that it was made of"
        elif self.dtype.type not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
            problem = f"its samples are {self.dtype}, whose range has no agreed meaning; save it as 8-bit RGB"
        elif not 1 <= self.samples <= 4:
            problem = f"it has {self.samples} channels, so it is no H&E image in RGB; save it as 8-bit RGB"
        if problem:
            raise ImageError(problem)

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes that a pixel takes, as stored."""
        return self.dtype.itemsize * self.samples

    @property
    def white(self) -> int:
        """The sample that means white."""
        if self.inverted or self.cmyk:
            return 0
        if self.dtype.kind == "f":
            return 1
        return 255 if self.dtype == np.uint8 else 2**self.bits - 1

    def note(self) -> str | None:
        """Say what is converted; None for 8-bit RGB, where nothing is."""
        parts = []
        if self.palette is not None:
            parts.append("palette looked up")
        elif self.dtype != np.uint8:
            kind = f"0..{2**self.bits - 1}" if self.dtype.kind == "u" else "0..1"
            parts.append(f"{self.dtype} of range {kind} scaled to 8 bits")
        if self.samples <= 2 and self.palette is None:
            parts.append("grey taken as equal red, green and blue")
        if self.cmyk:
            parts.append("CMYK converted to RGB")
        elif self.samples in (2, 4):
            parts.append("transparency laid over white")
        if self.inverted:
            parts.append("white-is-zero inverted")
        return ", ".join(parts) or None

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Convert pixels of this kind.

        Parameters
        ----------
        pixels : ndarray of shape (H, W) or (H, W, samples)
            Of the dtype given.

        Returns
        -------
        ndarray of shape (H, W, 3), uint8

        Raises
        ------
        ImageError
            If floating-point samples are not within 0..1, or a palette lacks a colour that is used.
        """
        if self.palette is not None:
            index = pixels.reshape(pixels.shape[:2]).astype(np.intp)
            if index.size and index.max() >= self.palette.shape[1]:
                message = f"a pixel names a colour that the palette does not have; {ANEW}"
                raise ImageError(message)
            return (self.palette.T[index] >> 8).astype(np.uint8)
        scaled = _to_uint8(pixels.reshape(*pixels.shape[:2], -1), self.bits)
        colour = scaled[..., : 3 if self.samples >= 3 else 1]
        if self.inverted:
            colour = 255 - colour
        if self.cmyk:
            ink, black = 255 - colour.astype(np.uint16), 255 - scaled[..., 3:].astype(np.uint16)
            colour = ((ink * black + 127) // 255).astype(np.uint8)
        elif self.samples in (2, 4):
            alpha = scaled[..., -1:].astype(np.uint16)
            through = 255 * (255 - alpha)
            over = 255 * np.minimum(colour, alpha) if self.premultiplied else colour * alpha
            colour = ((over + through + 127) // 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def _to_uint8(pixels: NDArray[np.generic], bits: int) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype == np.uint16:
        largest = 2**bits - 1
        scaled = (pixels.astype(np.uint32) * np.uint32(255) + np.uint32(largest // 2)) // np.uint32(largest)
        return np.asarray(scaled, dtype=np.uint8)
    values = pixels.astype(np.float64)
    if not (values.min(initial=0) >= 0 and values.max(initial=0) <= 1):  # also False for NaN
        message = "its floating-point samples are not within 0..1, so their range is unclear; save it as 8-bit RGB"
        raise ImageError(message)
    return np.rint(values * 255).astype(np.uint8)


_DECODE_TO_RGB = (
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.JPEG2000,
    tifffile.COMPRESSION.APERIO_JP2000_YCBC,
    tifffile.COMPRESSION.APERIO_JP2000_RGB,
    tifffile.COMPRESSION.JPEG_2000_LOSSY,
)
_INKS = 4
_ONE_SAMPLE = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.PALETTE)


def conversion_of_page(page: tifffile.TiffPage | tifffile.TiffFrame) -> Conversion:
    """Tell how the pixels of a TIFF page, as tifffile decodes them, become 8-bit RGB.

    Raises
    ------
    ImageError
        If the page is no single image, or the meaning of its pixels is not clear.
    """
    page = page.aspage()
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    is_rgb = photometric == tifffile.PHOTOMETRIC.RGB
    # The JPEG and JPEG 2000 codecs decode it to RGB; other compressions leave it as it is.
    is_decoded = photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression in _DECODE_TO_RGB
    is_cmyk = photometric == tifffile.PHOTOMETRIC.SEPARATED and page.samplesperpixel == _INKS
    problem = None
    if not (is_rgb or is_decoded or is_cmyk or photometric in _ONE_SAMPLE):
        problem = f"its colours are {photometric.name}, which is not supported; save it as 8-bit RGB"
    elif photometric in _ONE_SAMPLE and page.samplesperpixel > 2:
        problem = f"it has {page.samplesperpixel} channels that are not said to be colours; save it as 8-bit RGB"
    elif page.axes not in ("YX", "YXS", "SYX"):
        problem = f"its axes are {page.axes}, not those of a single image (YX, YXS or SYX); {ANEW}"
    if problem:
        raise ImageError(problem)
    conversion = Conversion(
        dtype=np.dtype(np.bool_) if page.bitspersample == 1 else np.dtype(page.dtype),
        samples=page.samplesperpixel,
        palette=page.colormap if photometric == tifffile.PHOTOMETRIC.PALETTE else None,
        inverted=photometric == tifffile.PHOTOMETRIC.MINISWHITE,
        cmyk=is_cmyk,
        premultiplied=tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples,
        bits=max(page.bitspersample, 1),
    )
    conversion.require_clear()
    return conversion


# TIFF 6.0, section 8: orientations 5 to 8 have rows and columns exchanged; then one, both or none are mirrored.
_ORIENTATION_TAG = 0x0112
_TURNED = (5, 6, 7, 8)
_MIRRORED: Mapping[int, tuple[int, ...]] = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}


class Upright:
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
        message = f"{path}: not an image, or damaged; {ANEW}"
        raise InputError(message) from error
    except Image.DecompressionBombError as error:
        message = f"{path}: more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels; save it as a tiled TIFF"
        raise InputError(message) from error
    except ImageError as error:
        message = f"{path}: {error}"
        raise InputError(message) from error
    except DECODING_ERRORS as error:
        is_systems = isinstance(error, OSError) and error.errno is not None
        remedy = "check what is there, and whether it may be read" if is_systems else ANEW
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
    if path.exists() and not (path.is_file() or path.is_dir()):
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
        message = f"it holds no image, or is damaged; {ANEW}"
        raise ImageError(message) from error
    except BaseException:
        tiff.close()
        raise
    return tiff


def require_whole(page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Check that every tile or strip of `page` has its place, and that the file reaches to its end.

    Raises
    ------
    ImageError
        If it does not, or the page has no pixels.
    """
    size = page.parent.filehandle.size
    expected = math.prod(page.chunked)
    if len(page.dataoffsets) < expected or len(page.databytecounts) < expected:
        message = f"damaged: of its {expected} tiles or strips, {len(page.dataoffsets)} are in the file; {ANEW}"
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
        message = f"it has no pixels; {ANEW}"
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
            upright, stored = Upright(page), page.asarray()
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
