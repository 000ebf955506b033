"""Scanner formats with overlapping tiles, several files or a container of their own, through OpenSlide."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.core.errors import first_line
from monuseg_cli.imaging.decoding import require_moderate
from monuseg_cli.imaging.orientation import Window
from monuseg_cli.imaging.readers.base import ArrayImage, ImageInfo, Level, OnDamage, OpenImage, role_of_name
from monuseg_cli.imaging.readers.series_and_plane import require_plane
from monuseg_cli.imaging.scale import UM_TIMES_X, Scale, make_scale, parse_number
from monuseg_cli.imaging.to_rgb import Conversion, ImageError

EXTRA_HINT = "pip install 'monuseg-cli[slides]'"
CONVERT_HINT = "convert it to OME-TIFF, with QuPath or bfconvert"
SKIP_HINT = "`skip_damaged=True` continues without it"

_BLOCK_PX = 256
"""Side of the blocks that are read one by one around damage."""

_UNKNOWN_CHUNK_PX = 512


def load_openslide(kind: str) -> ModuleType:
    """Import OpenSlide.

    Raises
    ------
    ImageError
        If it is not installed, or cannot be loaded; the message names the format and the extra.
    """
    try:
        import openslide
    except ModuleNotFoundError as error:
        message = f"{kind} is read through OpenSlide, which is not installed; {EXTRA_HINT}"
        raise ImageError(message) from error
    except (ImportError, OSError) as error:
        message = f"{kind} is read through OpenSlide, which cannot be loaded ({error}); {EXTRA_HINT}"
        raise ImageError(message) from error
    return openslide


class OpenSlideReader:
    """A slide and its associated images; see `Reader`.

    Parameters
    ----------
    path : Path
        The file that OpenSlide opens; the slide may consist of several.
    kind : str
        The name of the format.

    Raises
    ------
    ImageError
        If OpenSlide is not installed, or cannot read the file.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.kind = kind
        self._path = path
        self._module = load_openslide(kind)
        self._slide = self.reopen()
        properties = self._slide.properties
        self._beside = sorted(self._slide.associated_images)
        beside = []
        for name in self._beside:
            sides = (properties.get(f"openslide.associated.{name}.{side}") for side in ("height", "width"))
            height, width = (int(side or 0) for side in sides)
            role = role_of_name(name)
            beside.append(ImageInfo(name, (height, width), "thumbnail" if role == "scan" else role, None))
        self.images = (ImageInfo("", _bounds(self._slide)[2:], "scan", _stated_scale(properties)), *beside)

    def reopen(self) -> Any:
        """Open the file again: after an error, OpenSlide raises the same error for every part of the file."""
        try:
            return self._module.OpenSlide(str(self._path))
        except self._module.OpenSlideError as error:
            message = f"{self.kind} that OpenSlide cannot read ({first_line(error)}); {CONVERT_HINT}"
            raise ImageError(message) from error

    def open(self, index: int, plane: int | None, on_damage: OnDamage) -> OpenImage:
        """Open the slide, which has one focal plane, or an associated image; see `Reader.open`."""
        require_plane(plane or 0, 1)
        if index:
            require_moderate(self.images[index].shape, 4)
            pixels = _on_white(self._slide.associated_images[self._beside[index - 1]])
            return ArrayImage(pixels, self.kind, ())
        return _SlideImage(self._slide, self.reopen, self._module.OpenSlideError, on_damage)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


class _SlideImage:
    """The pixels of a slide, cropped to its bounds; see `OpenImage`."""

    def __init__(self, slide: Any, reopen: Callable[[], Any], errors: type[Exception], on_damage: OnDamage) -> None:
        self._slide, self._reopen, self._errors, self._on_damage = slide, reopen, errors, on_damage
        self._lock = threading.Lock()
        top, left, height, width = _bounds(slide)
        self.origin = (top, left)
        levels = []
        for number, (size, downsample) in enumerate(zip(slide.level_dimensions, slide.level_downsamples, strict=True)):
            shape = (
                max(min(round(height / downsample), size[1]), 1),
                max(min(round(width / downsample), size[0]), 1),
            )
            sides = (slide.properties.get(f"openslide.level[{number}].tile-{side}") for side in ("height", "width"))
            tall, wide = (int(side or _UNKNOWN_CHUNK_PX) for side in sides)
            levels.append(Level(shape, downsample, (tall, wide), "by OpenSlide"))
        self.levels = tuple(levels)
        self.notes: tuple[str, ...] = ()
        self.plane = 0
        self.sparse = True

    def read(self, level: int, window: Window) -> NDArray[np.uint8]:
        """Read rows and columns of a level."""
        rows, cols = window
        with self._lock:
            try:
                return self._read(level, rows, cols)
            except self._errors as error:
                self._slide = self._reopen()
                if self._on_damage is None:
                    message = f"damaged at row {rows.start}, column {cols.start}: {first_line(error)}; {SKIP_HINT}"
                    raise ImageError(message) from error
            return self._read_around(level, rows, cols, self._on_damage)

    def _read(self, level: int, rows: slice, cols: slice) -> NDArray[np.uint8]:
        downsample = self.levels[level].downsample
        row, col = self.origin[0] + round(rows.start * downsample), self.origin[1] + round(cols.start * downsample)
        size = cols.stop - cols.start, rows.stop - rows.start
        return _on_white(self._slide.read_region((col, row), level, size))

    def _read_around(self, level: int, rows: slice, cols: slice, on_damage: Callable[[str], None]) -> NDArray[np.uint8]:
        """Read block by block, and leave damaged blocks white."""
        pixels = np.full((rows.stop - rows.start, cols.stop - cols.start, 3), 255, dtype=np.uint8)
        for down in _blocks(rows):
            for across in _blocks(cols):
                place = (
                    slice(down.start - rows.start, down.stop - rows.start),
                    slice(across.start - cols.start, across.stop - cols.start),
                )
                try:
                    pixels[place] = self._read(level, down, across)
                except self._errors:
                    self._slide = self._reopen()
                    row, col = (part.start // _BLOCK_PX * _BLOCK_PX for part in (down, across))
                    on_damage(f"level {level}, row {row}, column {col}")
        return pixels


def _blocks(span: slice) -> list[slice]:
    """Divide a span at multiples of the side of a block."""
    firsts = range(span.start // _BLOCK_PX * _BLOCK_PX, span.stop, _BLOCK_PX)
    return [slice(max(first, span.start), min(first + _BLOCK_PX, span.stop)) for first in firsts]


def _on_white(picture: Image.Image) -> NDArray[np.uint8]:
    """Composite an image with opacity over white, which is glass."""
    pixels = np.asarray(picture.convert("RGBA"))
    return Conversion(pixels.dtype, pixels.shape[2], alpha=3).apply(pixels)


def _bounds(slide: Any) -> tuple[int, int, int, int]:
    """Return the scanned part of the canvas: row, column, height and width, in pixels of level 0."""
    width, height = slide.dimensions
    values = [slide.properties.get(f"openslide.bounds-{name}") for name in ("y", "x", "height", "width")]
    if any(value is None for value in values):
        return 0, 0, height, width
    top, left, tall, wide = (int(value) for value in values)
    return top, left, min(tall, height - top), min(wide, width - left)


def _stated_scale(properties: Mapping[str, str]) -> Scale | None:
    """Read the scale, else the magnification of the objective."""
    x, y = (parse_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    power = parse_number(properties.get("openslide.objective-power"))
    return make_scale(x, y, "OpenSlide's mpp") or make_scale(
        UM_TIMES_X / power if power else None, None, "the objective's power"
    )
