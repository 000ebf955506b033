"""One face for every kind of image: levels, micrometres per pixel, regions."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from monuseg_cli.images import (
    conversion_of_page,
    decode_plain,
    decoding,
    is_tiff,
    open_plain,
    open_tiff,
    require_whole,
)

MIN_MPP, MAX_MPP = 0.05, 5.0
"""A stated scale outside of this is taken for not stated: 72 or 96 dots an inch, say, are 353 and 265 um/px."""

_UM_PER_UNIT = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4}


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a slide.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    downsample : float
        Pixels of level 0 along one of its own.
    """

    shape: tuple[int, int]
    downsample: float


class Slide:
    """An open image. Use it in a ``with`` statement.

    Parameters
    ----------
    path : Path
        A TIFF, SVS or other file that tifffile reads, or a PNG, JPEG, BMP or WebP.

    Attributes
    ----------
    levels : tuple of Level
        At least one; level 0 is full resolution, and each further one is coarser.
    mpp : float or None
        Micrometres per pixel of level 0; None where the file does not state a credible one.
    note : str or None
        What is converted to come to 8-bit RGB.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is no image, ends early, or its pixels have no clear meaning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._close: Callable[[], None] = lambda: None
        self._read: list[Callable[[tuple[slice, slice]], NDArray[np.generic]]] = []
        self._convert: Callable[[NDArray[np.generic]], NDArray[np.uint8]] = lambda pixels: pixels.astype(np.uint8)
        self.note: str | None
        self.mpp: float | None
        self.levels: tuple[Level, ...]
        with decoding(path):
            if is_tiff(path):
                self._open_tiff()
            else:
                self._open_plain()

    def _open_plain(self) -> None:
        with open_plain(self.path) as image:
            dpi = float(image.info.get("dpi", (0, 0))[0])
            pixels, self.note = decode_plain(image)
        self.mpp = credible_mpp(25400 / dpi) if dpi > 0 else None
        self.levels = (Level((pixels.shape[0], pixels.shape[1]), 1.0),)
        self._read = [lambda window: pixels[window]]

    def _open_tiff(self) -> None:
        tiff = open_tiff(self.path)
        self._close = tiff.close
        try:
            page = tiff.pages.first
            conversion = conversion_of_page(page)
            self._convert = conversion.apply
            notes = [conversion.note(), "the first of several images taken" if _has_other_images(tiff, page) else None]
            self.note = ", ".join(note for note in notes if note) or None
            self.mpp = _stated_mpp(tiff, page)
            pages = [page, *_coarser_pages(tiff, page)]
            self.levels = tuple(
                Level((level.imagelength, level.imagewidth), page.imagewidth / level.imagewidth) for level in pages
            )
            for level in pages:
                require_whole(level)
                self._read.append(_lazy_reader(level))
        except BaseException:
            tiff.close()
            raise

    def __enter__(self) -> "Slide":
        """Give the slide itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self._close()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0, in pixels."""
        return self.levels[0].shape

    def level_for(self, downsample: float) -> int:
        """Give the index of the coarsest level that is not coarser than `downsample` (by more than 1 %)."""
        fine = [index for index, level in enumerate(self.levels) if level.downsample <= 1.01 * downsample]
        return max(fine, key=lambda index: self.levels[index].downsample, default=0)

    def read_region(self, level: int, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Read a window of a level.

        Parameters
        ----------
        level : int
            Index into `levels`.
        row, col, height, width : int
            First pixel and size, in pixels of that level, within it.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8

        Raises
        ------
        InputError
            If the file is damaged there.
        """
        with decoding(self.path):
            return self._convert(self._read[level]((slice(row, row + height), slice(col, col + width))))


def _has_other_images(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> bool:
    """Tell whether there are images beside `page` and its pyramid; an SVS's label, macro and thumbnail do not count."""
    return not tiff.is_svs and (len(tiff.series) > 1 or tiff.series[0].shape != page.shape)


def _coarser_pages(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """List the pages of the pyramid that `page` is the base of, finest first."""
    levels = tiff.series[0].levels[1:] if tiff.series[0].shape == page.shape else []
    pages = [level.keyframe for level in levels]
    return [level for level in pages if level.shape[2:] == page.shape[2:] and level.dtype == page.dtype]


def _lazy_reader(page: tifffile.TiffPage) -> Callable[[tuple[slice, slice]], NDArray[np.generic]]:
    array: Any = zarr.open_array(page.aszarr(), mode="r")

    def read(window: tuple[slice, slice]) -> NDArray[np.generic]:
        pixels: NDArray[np.generic] = np.asarray(array[window])
        return pixels

    return read


def credible_mpp(mpp: float | None) -> float | None:
    """Give `mpp` if it lies within `MIN_MPP` .. `MAX_MPP`, else None."""
    return mpp if mpp is not None and MIN_MPP <= mpp <= MAX_MPP else None


def _stated_mpp(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    """Read the scale from where the format keeps it: Aperio's or OME's description, else the resolution tags."""
    if tiff.is_svs:
        found = re.search(r"MPP\s*=\s*([0-9.]+)", page.description)
        return credible_mpp(float(found[1])) if found else None
    if tiff.is_ome:
        size = re.search(r'PhysicalSizeX="([0-9.eE+-]+)"', tiff.ome_metadata or "")
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', tiff.ome_metadata or "")
        factor = _UM_PER_UNIT.get(unit[1] if unit else "µm")
        return credible_mpp(float(size[1]) * factor) if size and factor else None
    um = {2: 25400.0, 3: 10000.0}.get(int(page.resolutionunit))
    per_unit = page.get_resolution()[0] if um else 0
    return credible_mpp(um / per_unit) if um and per_unit > 0 else None
