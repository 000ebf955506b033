"""One face for every kind of image: levels, micrometres per pixel, regions."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.imaging.read import (
    OrientedPage,
    decode_plain,
    decoding,
    is_tiff,
    open_plain,
    open_tiff,
    require_whole,
)
from monuseg_cli.imaging.tiff_tiles import Chunks, chunk_shape
from monuseg_cli.imaging.to_rgb import ImageError, conversion_of_page

MIN_MPP, MAX_MPP = 0.05, 5.0
"""A stated scale outside of this is taken for not stated: 72 or 96 dots an inch, say, are 353 and 265 um/px."""

_UM_TIMES_X = 10.0
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
    chunk : tuple of int
        Height and width of what is read at a time: a tile or a strip, or the whole level.
    compression : str
        As the format names it.
    missing : int
        Tiles or strips that the file leaves out; they read as white, which is glass.
    """

    shape: tuple[int, int]
    downsample: float
    chunk: tuple[int, int]
    compression: str
    missing: int = 0


class Slide:
    """An open image. Use it in a ``with`` statement.

    Parameters
    ----------
    path : Path
        A TIFF, SVS or other file that tifffile reads, or a PNG, JPEG, BMP or WebP.
    skip_damaged : bool
        Take tiles that cannot be read for white, and list them, in place of raising an error.

    Attributes
    ----------
    levels : tuple of Level
        At least one; level 0 is full resolution, and each further one is coarser.
    mpp : float or None
        Micrometres per pixel of level 0; None where the file does not state a credible one.
    mpp_source : str
        Where it stands in the file, or why there is none.
    kind : str
        What the file is.
    damaged : list of str
        Tiles that were taken for white, by level, row and column.
    note : str or None
        What is converted to come to 8-bit RGB.

    Raises
    ------
    MissingError
        If there is no such file.
    InputError
        If it is no image, ends early, or its pixels have no clear meaning.
    """

    def __init__(self, path: Path, skip_damaged: bool = False) -> None:
        self.path = path
        self.damaged: list[str] = []
        self._skip_damaged = skip_damaged
        self._close: Callable[[], None] = lambda: None
        self._read: list[Callable[[tuple[slice, slice]], NDArray[np.generic]]] = []
        self._convert: Callable[[NDArray[np.generic]], NDArray[np.uint8]] = lambda pixels: pixels.astype(np.uint8)
        self.note: str | None
        self.mpp: float | None
        self.mpp_source: str
        self.kind: str
        self.levels: tuple[Level, ...]
        with decoding(path):
            if is_tiff(path):
                self._open_tiff()
            else:
                self._open_plain()

    def _open_plain(self) -> None:
        with open_plain(self.path) as image:
            dpi = float(image.info.get("dpi", (0, 0))[0])
            self.kind = str(image.format)
            pixels, self.note = decode_plain(image)
        self.mpp, self.mpp_source = _credible(25400 / dpi if dpi > 0 else None, "dots per inch")
        shape = (pixels.shape[0], pixels.shape[1])
        self.levels = (Level(shape, 1.0, shape, self.kind),)
        self._read = [lambda window: pixels[window]]

    def _open_tiff(self) -> None:
        tiff = open_tiff(self.path, whole=not self._skip_damaged)
        self._close = tiff.close
        try:
            page = tiff.pages.first
            conversion = conversion_of_page(page)
            self._convert = conversion.apply
            notes = [conversion.note(), "the first of several images taken" if _has_other_images(tiff, page) else None]
            self.note = ", ".join(note for note in notes if note) or None
            self.mpp, self.mpp_source = _credible(*_stated_mpp(tiff, page))
            self.kind = _kind(tiff)
            width = OrientedPage(page).shape[1]
            self.levels = tuple(
                self._add_level(level, number, width, conversion.white)
                for number, level in enumerate([page, *_coarser_pages(tiff, page)])
            )
        except BaseException:
            tiff.close()
            raise

    def _add_level(self, page: tifffile.TiffPage | tifffile.TiffFrame, number: int, width: int, white: int) -> Level:
        """Add a reader that decodes of a level what it is asked for, and describe the level; `width` is level 0's."""

        def skip(where: str) -> None:
            self.damaged.append(f"level {number}, {where}")

        if not self._skip_damaged:
            require_whole(page)
        stored, upright = Chunks(page, white, skip if self._skip_damaged else None), OrientedPage(page)
        self._read.append(lambda window: upright.read(stored, window))
        return Level(
            upright.shape,
            width / upright.shape[1],
            chunk_shape(page),
            tifffile.COMPRESSION(page.aspage().compression).name,
            stored.missing,
        )

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
            try:
                return self._convert(self._read[level]((slice(row, row + height), slice(col, col + width))))
            except ImageError as error:
                message = f"level {level}, {error}"
                raise ImageError(message) from error


def _has_other_images(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> bool:
    """Tell whether there are images beside `page` and its pyramid; an SVS's label, macro and thumbnail do not count."""
    return not tiff.is_svs and (len(tiff.series) > 1 or tiff.series[0].shape != page.shape)


def _coarser_pages(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """List the pages of the pyramid that `page` is the base of, finest first."""
    levels = tiff.series[0].levels[1:] if tiff.series[0].shape == page.shape else []
    pages = [level.keyframe for level in levels]
    kind = (page.axes, page.samplesperpixel, page.dtype)
    return [level for level in pages if (level.axes, level.samplesperpixel, level.dtype) == kind]


def _kind(tiff: tifffile.TiffFile) -> str:
    kinds = {"SVS": tiff.is_svs, "OME-TIFF": tiff.is_ome, "NDPI": tiff.is_ndpi, "SCN": tiff.is_scn}
    named = [kind for kind, is_so in kinds.items() if is_so]
    return named[0] if named else "BigTIFF" if tiff.is_bigtiff else "TIFF"


def _credible(mpp: float | None, source: str) -> tuple[float | None, str]:
    """Give a stated scale and where it was found; none where it is not within `MIN_MPP` .. `MAX_MPP`."""
    if mpp is None:
        return None, "not stated"
    if not MIN_MPP <= mpp <= MAX_MPP:
        return None, f"not credible: {mpp:.4g} um/px by {source}"
    return mpp, source


def _stated_mpp(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[float | None, str]:
    """Read the scale from where the format keeps it, and name that: a description, else the resolution tags."""
    if tiff.is_svs:
        stated = {
            key: float(found[1])
            for key in ("MPP", "AppMag")
            if (found := re.search(rf"{key}\s*=\s*([0-9.]+)", page.description))
        }
        if stated.get("MPP"):
            return stated["MPP"], "Aperio's MPP"
        # An objective of 40x comes with about 0.25 um/px.
        return (_UM_TIMES_X / stated["AppMag"], "Aperio's AppMag") if stated.get("AppMag") else (None, "")
    if tiff.is_ome:
        size = re.search(r'PhysicalSizeX="([0-9.eE+-]+)"', tiff.ome_metadata or "")
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', tiff.ome_metadata or "")
        factor = _UM_PER_UNIT.get(unit[1] if unit else "µm")
        return (float(size[1]) * factor, "OME's PhysicalSizeX") if size and factor else (None, "")
    per_unit = page.get_resolution()[0]
    um = {2: 25400.0, 3: 10000.0}.get(int(page.resolutionunit))
    source = "resolution tags"
    if tiff.is_imagej and not um:
        unit_name = str((tiff.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")
        um, source = _UM_PER_UNIT.get({"micron": "um"}.get(unit_name, unit_name)), "ImageJ's scale"
    return (um / per_unit, source) if um and per_unit > 0 else (None, "")
