"""PNG, JPEG, BMP and WebP, decoded as a whole through Pillow."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.imaging.decoding import LARGEST_WHOLE_BYTES, open_plain, require_pixels
from monuseg_cli.imaging.depth import count_samples, find_depth
from monuseg_cli.imaging.orientation import ORIENTATION_TAG, Orientation, Window
from monuseg_cli.imaging.readers.base import ArrayImage, ImageInfo, OnDamage, OpenImage
from monuseg_cli.imaging.readers.series_and_plane import require_plane
from monuseg_cli.imaging.scale import make_scale
from monuseg_cli.imaging.to_rgb import Conversion

_BLOCK_PX = 1024  # side of the blocks in which an image is converted
_COUNTED_ROWS = 64  # counting needs 8 bytes per sample

_NOTES = {
    "P": "palette looked up",
    "L": "grey taken as equal red, green and blue",
    "CMYK": "CMYK converted to RGB",
    "YCbCr": None,
    "RGB": None,
}
_TRANSPARENT = ("RGBA", "LA", "PA", "RGBa", "La")


class PlainReader:
    """One image, held in memory; see `Reader`.

    Parameters
    ----------
    path : Path
        A PNG, JPEG, BMP or WebP, with any file name.
    """

    def __init__(self, path: Path) -> None:
        with open_plain(path) as image:
            self.kind = str(image.format)
            dpi = [float(value) for value in image.info.get("dpi", (0, 0))]
            self._pixels, note = _decode_deep(path) if _is_deep(image) else decode_plain(image)
            orientation = Orientation(image.getexif().get(ORIENTATION_TAG, 1), self._pixels.shape[:2])
        self._pixels = orientation.upright(self._pixels)
        x, y = (25400 / value if value > 0 else None for value in dpi)
        self._note = note
        self.images: tuple[ImageInfo, ...] = (
            ImageInfo("", orientation.shape, "scan", make_scale(x, y, "dots per inch")),
        )

    def open(self, index: int, plane: int | None, on_damage: OnDamage) -> OpenImage:
        """Open the image, which is complete: damaged files raise an error earlier. See `Reader.open`."""
        require_plane(plane or 0, 1)
        return ArrayImage(self._pixels, self.kind, (self._note,) if self._note else ())

    def close(self) -> None:
        """Do nothing: the file is closed already."""


def _is_deep(image: Image.Image) -> bool:
    """Return whether samples have 16 bits, of which Pillow would keep the upper 8; large images are left to Pillow."""
    stored = any("16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    is_moderate = 2 * len(image.getbands()) * image.width * image.height <= LARGEST_WHOLE_BYTES
    return stored and image.mode in ("RGB", "RGBA", "LA") and "transparency" not in image.info and is_moderate


def _decode_deep(path: Path) -> tuple[NDArray[np.uint8], str | None]:
    """Read a PNG of 16 bits per sample as 8-bit RGB, as stored; with a note of what was converted."""
    pixels: NDArray[np.uint16] = imagecodecs.png_decode(path.read_bytes())
    require_pixels(pixels.shape)
    samples = pixels.shape[2] if pixels.ndim > 2 else 1
    return _convert_whole(pixels, Conversion(pixels.dtype, samples, alpha=samples - 1 if samples in (2, 4) else None))


def decode_plain(image: Image.Image) -> tuple[NDArray[np.uint8], str | None]:
    """Convert an image opened by `open_plain` to 8-bit RGB, as stored; with a note of what was converted."""
    require_pixels(image.size)
    kind, note = image.mode, _NOTES.get(image.mode)
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        kind, note = "RGBA", "transparency laid over white"
    elif image.mode in _NOTES:
        kind = "RGB"
    else:
        Conversion(_samples(image.crop((0, 0, 1, 1))).dtype, 1).require_clear()
        pixels = _samples(image)
        return _convert_whole(pixels, Conversion(pixels.dtype, 1))
    if image.mode == "RGB" and any("16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        note = "uint16 of range 0..65535 scaled to 8 bits"

    def convert(block: Window) -> NDArray[np.uint8]:
        rows, cols = block
        pixels = np.asarray(image.crop((cols.start, rows.start, cols.stop, rows.stop)).convert(kind))
        return Conversion(pixels.dtype, pixels.shape[2], alpha=3 if kind == "RGBA" else None).apply(pixels)

    return _in_blocks((image.height, image.width), convert), note


def _convert_whole(pixels: NDArray[np.generic], conversion: Conversion) -> tuple[NDArray[np.uint8], str | None]:
    """Convert samples of any depth; the largest ones determine how many of 16 bits are in use."""
    if pixels.dtype == np.uint16:
        counts = count_samples(np.zeros(0, dtype=np.uint16))
        for top in range(0, pixels.shape[0], _COUNTED_ROWS):
            block = pixels[top : top + _COUNTED_ROWS]
            counts += count_samples(block if block.ndim == 2 else block[..., : conversion.colours])
        bits, source = find_depth(counts)
        conversion = replace(conversion, bits=bits, bits_source=source)
    converted = _in_blocks((pixels.shape[0], pixels.shape[1]), lambda block: conversion.apply(pixels[block]))
    return converted, conversion.note()


def _samples(image: Image.Image) -> NDArray[np.generic]:
    pixels = np.asarray(image)
    return pixels.astype(np.uint16) if image.mode.startswith("I;16") else pixels


def _in_blocks(shape: tuple[int, int], convert: Callable[[Window], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Build an image (H, W, 3) block by block, so that the conversion needs little memory."""
    height, width = shape
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _BLOCK_PX):
        for left in range(0, width, _BLOCK_PX):
            block = slice(top, min(top + _BLOCK_PX, height)), slice(left, min(left + _BLOCK_PX, width))
            pixels[block] = convert(block)
    return pixels
