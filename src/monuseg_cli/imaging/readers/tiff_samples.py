"""The upright samples of one level of an image in a TIFF, from one or several pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.imaging.decoding import require_whole
from monuseg_cli.imaging.orientation import Orientation, Window
from monuseg_cli.imaging.readers.base import OnDamage
from monuseg_cli.imaging.tiff_tiles import Chunks, chunk_shape
from monuseg_cli.imaging.to_rgb import ImageError


@dataclass(frozen=True, slots=True)
class Plane:
    """Where the samples of one level and channel are stored.

    Parameters
    ----------
    page : tifffile.TiffPage
        The page that contains them, or has the same shape and type.
    offset : int, optional
        First byte of the samples, if they are stored after those of the page, without a page of their own (ImageJ).
    cut : tuple of int, optional
        Height and width of the image, if the page is padded to whole tiles.
    base : tifffile.TiffPage, optional
        The finest level, which tells how this one is stored if its own tags do not.
    """

    page: tifffile.TiffPage
    offset: int | None = None
    cut: tuple[int, int] | None = None
    base: tifffile.TiffPage | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, upright."""
        return self.cut or self.orientation.shape

    @property
    def orientation(self) -> Orientation:
        """How the page is stored."""
        stored = self.page.imagelength, self.page.imagewidth
        of_base = self.base.tags.valueof("Orientation", 1) if self.base else 1
        return Orientation(self.page.tags.valueof("Orientation", of_base), stored)


class PlaneReader(Protocol):
    """The samples of a plane; `missing` counts tiles or strips that are not in the file."""

    missing: int

    def read(self, window: Window) -> NDArray[np.generic]:
        """Read upright rows and columns: (H, W) or (H, W, S)."""


class _PageReader:
    """The samples of a page, read tile by tile."""

    def __init__(self, plane: Plane, white: int, on_damage: OnDamage) -> None:
        if on_damage is None:
            require_whole(plane.page)
        self._chunks = Chunks(plane.page, white, on_damage)
        self._orientation = plane.orientation
        self._planar = plane.page.axes == "SYX"
        self.missing = self._chunks.missing

    def read(self, window: Window) -> NDArray[np.generic]:
        """Read rows and columns."""
        stored = self._orientation.in_stored(window)
        pixels = self._chunks[(slice(None), *stored) if self._planar else stored]
        return self._orientation.upright(np.moveaxis(pixels, 0, -1) if self._planar else pixels)


class _RestOfFileReader:
    """Uncompressed samples that follow those of a page, as in stacks of ImageJ."""

    def __init__(self, plane: Plane, offset: int) -> None:
        page, file = plane.page, plane.page.parent
        sample = np.dtype(page.dtype)
        size = math.prod(page.shape) * sample.itemsize
        if offset + size > file.filehandle.size:
            message = (
                f"truncated: it ends at byte {file.filehandle.size}, its pixels at byte {offset + size}; copy it again"
            )
            raise ImageError(message)
        path = Path(file.filehandle.path)
        dtype = sample.newbyteorder(file.byteorder)
        self._samples = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=page.shape)
        self._orientation = plane.orientation
        self._planar = page.axes == "SYX"
        self._dtype = sample
        self.missing = 0

    def read(self, window: Window) -> NDArray[np.generic]:
        """Read rows and columns."""
        stored = self._orientation.in_stored(window)
        pixels = self._samples[(slice(None), *stored) if self._planar else stored].astype(self._dtype)
        return self._orientation.upright(np.moveaxis(pixels, 0, -1) if self._planar else pixels)


class _ChannelsReader:
    """Several planes of one sample each, combined as channels."""

    def __init__(self, planes: Sequence[PlaneReader]) -> None:
        self._planes = planes
        self.missing = max(plane.missing for plane in planes)

    def read(self, window: Window) -> NDArray[np.generic]:
        """Read rows and columns."""
        return np.stack([plane.read(window) for plane in self._planes], axis=-1)


def open_planes(planes: Sequence[Plane], white: int, on_damage: OnDamage) -> PlaneReader:
    """Open the planes of a level: one, or one for each channel.

    Parameters
    ----------
    planes : sequence of Plane
    white : int
        The sample value of parts that are not in the file.
    on_damage : callable, optional
        See `OnDamage`.

    Raises
    ------
    ImageError
        If the file ends before the last sample, or a tile or strip is too large.
    """
    readers: list[PlaneReader] = [
        _PageReader(plane, white, on_damage) if plane.offset is None else _RestOfFileReader(plane, plane.offset)
        for plane in planes
    ]
    return readers[0] if len(readers) == 1 else _ChannelsReader(readers)


def describe_plane(plane: Plane) -> tuple[tuple[int, int], str]:
    """Return height and width of the tiles or strips of a plane, and their compression."""
    return chunk_shape(plane.page), tifffile.COMPRESSION(plane.page.compression).name
