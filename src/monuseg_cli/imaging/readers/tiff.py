"""TIFF of every kind, through tifffile."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.imaging.decoding import open_tiff
from monuseg_cli.imaging.depth import count_samples, find_depth
from monuseg_cli.imaging.orientation import Window
from monuseg_cli.imaging.readers.base import ImageInfo, Level, OnDamage
from monuseg_cli.imaging.readers.series_and_plane import note_plane, require_plane
from monuseg_cli.imaging.readers.tiff_formats import list_images
from monuseg_cli.imaging.readers.tiff_images import Levels, TiffImage, tag_bits
from monuseg_cli.imaging.readers.tiff_samples import describe_plane, open_planes
from monuseg_cli.imaging.to_rgb import RESAVE_HINT, Conversion, ImageError, conversion_of_page

_SEARCHED_PX = 4_000_000
_SAMPLED_PX = 512
_SAMPLED_SIDE = 4
"""The largest sample is searched in a level of at most this many pixels, else in a grid of windows of the coarsest."""


class TiffReader:
    """The images of a TIFF; see `Reader`.

    Parameters
    ----------
    path : Path
        A TIFF or BigTIFF.

    Raises
    ------
    ImageError
        If it contains no image.
    """

    def __init__(self, path: Path) -> None:
        self._tiff = open_tiff(path, whole=False)
        try:
            self.kind, self._images = list_images(self._tiff)
            if not self._images:
                message = f"it holds no image, or is damaged; {RESAVE_HINT}"
                raise ImageError(message)
            self.images = tuple(_describe(image) for image in self._images)
        except BaseException:
            self._tiff.close()
            raise

    def open(self, index: int, plane: int | None, on_damage: OnDamage) -> "_TiffImage":
        """Open an image; see `Reader.open`.

        Raises
        ------
        ImageError
            If it cannot be read as H&E, or the file ends before its last sample.
        """
        image = self._images[index]
        if problem := self.images[index].problem:
            raise ImageError(problem)
        if plane is None:
            return _TiffImage(image, image.plane, image.plane_reason, on_damage)
        return _TiffImage(image, require_plane(plane, len(image.stacks)), "as asked for", on_damage)

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()


class _TiffImage:
    """The pixels of one image at one focal plane; see `OpenImage`."""

    def __init__(self, image: TiffImage, plane: int, reason: str, on_damage: OnDamage) -> None:
        levels = image.stacks[plane]
        self._conversion = _find_depth(image, levels, _conversion_of(image))
        self._readers = []
        described = []
        width = levels[0][0].shape[1]
        for number, planes in enumerate(levels):

            def skip(where: str, number: int = number) -> None:
                if on_damage:
                    on_damage(f"level {number}, {where}")

            reader = open_planes(planes, self._conversion.white, skip if on_damage else None)
            self._readers.append(reader)
            shape, (chunk, compression) = planes[0].shape, describe_plane(planes[0])
            described.append(Level(shape, width / shape[1], chunk, compression, reader.missing))
        self.levels = tuple(described)
        notes = (*image.notes, note_plane(plane, len(image.stacks), reason), self._conversion.note())
        self.notes = tuple(note for note in notes if note)
        self.plane = plane
        self.origin = image.origin
        self.sparse = any(level.missing for level in described)

    def read(self, level: int, window: Window) -> NDArray[np.uint8]:
        """Read rows and columns of a level."""
        return self._conversion.apply(self._readers[level].read(window))


def _describe(image: TiffImage) -> ImageInfo:
    problem = image.problem
    if problem is None:
        try:
            _conversion_of(image)
        except ImageError as error:
            problem = str(error)
    planes, levels = len(image.stacks), len(image.stacks[0])
    return ImageInfo(image.name, image.base.shape, image.role, image.scale, planes, problem, levels)


def _conversion_of(image: TiffImage) -> Conversion:
    page = image.base.page
    if len(image.stacks[0][0]) == 1:
        return conversion_of_page(page, rgb=image.rgb)
    conversion_of_page(page)  # each channel must be valid by itself
    inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    return Conversion(np.dtype(page.dtype), inverted=inverted, bits=page.bitspersample)


def _find_depth(image: TiffImage, levels: Levels, conversion: Conversion) -> Conversion:
    """Set how many of 16 bits are in use: as stated in the file, else by the largest sample."""
    page = image.base.page
    if conversion.dtype != np.uint16 or conversion.palette is not None or page.bitspersample < 16:
        return conversion
    stated, source = (image.bits, image.bits_source) if image.bits else (tag_bits(page), "by MaxSampleValue")
    bits, source = find_depth(_count_samples(levels, conversion.colours), stated, source)
    return replace(conversion, bits=bits, bits_source=source)


def _count_samples(levels: Levels, colours: int) -> NDArray[np.int64]:
    """Count the samples of the finest level that is small enough to search, else of parts of the coarsest."""
    small = [planes for planes in levels if math.prod(planes[0].shape) <= _SEARCHED_PX]
    planes = small[0] if small else levels[-1]
    reader, shape = open_planes(planes, 0, lambda _: None), planes[0].shape
    counts = count_samples(np.zeros(0, dtype=np.uint16))
    for rows in _parts(shape[0], whole=bool(small)):
        for cols in _parts(shape[1], whole=bool(small)):
            pixels = reader.read((rows, cols))
            counts += count_samples(pixels if pixels.ndim == 2 else pixels[..., :colours])
    return counts


def _parts(length: int, *, whole: bool) -> Sequence[slice]:
    if whole or length <= _SAMPLED_SIDE * _SAMPLED_PX:
        return [slice(first, min(first + _SAMPLED_PX, length)) for first in range(0, length, _SAMPLED_PX)]
    starts = np.linspace(0, length - _SAMPLED_PX, _SAMPLED_SIDE).astype(int)
    return [slice(int(start), int(start) + _SAMPLED_PX) for start in starts]
