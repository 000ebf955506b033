"""The samples of a TIFF page, read tile by tile or strip by strip."""

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from monuseg_cli.core.errors import first_line
from monuseg_cli.imaging.decoding import DECODING_ERRORS, require_moderate
from monuseg_cli.imaging.to_rgb import ImageError

_KEPT_BYTES = 32 << 20
_KEPT_SIDE_PX = 1152
"""Size of the cache of a level; it holds at least the chunks of a window of this side."""

# Compressions whose streams contain the size of the image.
_SELF_SIZED = (
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.JPEG2000,
    tifffile.COMPRESSION.APERIO_JP2000_YCBC,
    tifffile.COMPRESSION.APERIO_JP2000_RGB,
    tifffile.COMPRESSION.JPEG_2000_LOSSY,
    tifffile.COMPRESSION.PNG,
    tifffile.COMPRESSION.WEBP,
)


class Chunks:
    """The samples of a page, read tile by tile or strip by strip; the most recently used ones are cached.

    Tiles and strips that are not in the file (of offset or byte count 0, as scanners write glass) are white.

    Parameters
    ----------
    page : tifffile.TiffPage or tifffile.TiffFrame
        Of axes YX, YXS or SYX.
    white : int
        The sample value of white.
    skip : callable, optional
        Called with the position of each damaged tile or strip, which is then white; None: damage is an error.

    Attributes
    ----------
    missing : int
        Number of tiles or strips that are not in the file.

    Raises
    ------
    ImageError
        If a tile or strip is too large.
    """

    def __init__(
        self, page: tifffile.TiffPage | tifffile.TiffFrame, white: int, skip: Callable[[str], None] | None
    ) -> None:
        self._page = page = page.aspage()
        self._white, self._skip = white, skip
        self._planar = page.axes == "SYX"
        self._sides = chunk_shape(page)
        self._down, self._across = page.chunked[1:3] if self._planar else page.chunked[:2]
        self._kept: OrderedDict[tuple[int, int], NDArray[np.generic]] = OrderedDict()
        self._lock = threading.Lock()
        page.parent.filehandle.set_lock(True)  # levels share the file, and several threads read them
        pixel_bytes = page.samplesperpixel * np.dtype(page.dtype).itemsize
        require_moderate(self._sides, pixel_bytes)
        chunk_bytes = math.prod(self._sides) * pixel_bytes
        self._free = max(_KEPT_BYTES, chunk_bytes * math.prod(-(-_KEPT_SIDE_PX // side) + 1 for side in self._sides))
        self.missing = sum(map(self._is_missing, range(math.prod(page.chunked))))

    def __getitem__(self, window: tuple[slice, ...]) -> NDArray[np.generic]:
        """Read a window; its last two slices are rows and columns. Samples come first if planar, else last."""
        rows, cols = window[-2:]
        (tall, wide), parts = self._sides, []
        with self._lock:
            for i in range(rows.start // tall, -(-rows.stop // tall)):
                line = []
                for j in range(cols.start // wide, -(-cols.stop // wide)):
                    chunk = self._chunk(i, j)
                    across = slice(max(cols.start - j * wide, 0), cols.stop - j * wide)
                    down = slice(max(rows.start - i * tall, 0), rows.stop - i * tall)
                    line.append(chunk[:, down, across] if self._planar else chunk[down, across])
                parts.append(np.concatenate(line, axis=2 if self._planar else 1))
            return np.concatenate(parts, axis=1 if self._planar else 0)

    def _chunk(self, i: int, j: int) -> NDArray[np.generic]:
        if (i, j) in self._kept:
            self._kept.move_to_end((i, j))
            return self._kept[i, j]
        try:
            chunk = self._read(i, j)
        except DECODING_ERRORS as error:
            where = f"row {i * self._sides[0]}, column {j * self._sides[1]}"
            if self._skip is None:
                message = f"damaged at {where}: {first_line(error)}; `skip_damaged=True` continues without it"
                raise ImageError(message) from error
            self._skip(where)
            chunk = self._blank(i, j)
        self._kept[i, j] = chunk
        self._free -= chunk.nbytes
        while self._free < 0 and len(self._kept) > 1:
            self._free += self._kept.popitem(last=False)[1].nbytes
        return chunk

    def _read(self, i: int, j: int) -> NDArray[np.generic]:
        """Read and decode the tile or strip at (i, j), cropped to the image; of all planes if planar."""
        first = i * self._across + j
        if not self._planar:
            pixels = self._decode(first)
            return pixels if self._page.axes == "YXS" else pixels[..., 0]
        planes = range(first, self._page.samplesperpixel * self._down * self._across, self._down * self._across)
        return np.stack([self._decode(index)[..., 0] for index in planes])

    def _decode(self, index: int) -> NDArray[np.generic]:
        """Read and decode one tile or strip (h, w, samples), cropped to the image."""
        page = self._page
        stream = None if self._is_missing(index) else self._stream(index)
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        decoded, (_, _, top, left, _), shape = page.decode(stream, index, **tables)
        size = min(shape[1], page.imagelength - top), min(shape[2], page.imagewidth - left)
        if decoded is None:
            return np.full((*size, shape[3]), self._white, dtype=page.dtype)
        pixels = decoded[0, : size[0], : size[1]]
        if pixels.shape != (*size, shape[3]) or pixels.dtype != page.dtype:
            message = f"it contains {pixels.shape} samples of {pixels.dtype}, not {(*size, shape[3])} of {page.dtype}"
            raise ImageError(message)
        return pixels

    def _blank(self, i: int, j: int) -> NDArray[np.generic]:
        (tall, wide), page = self._sides, self._page
        size = min(tall, page.imagelength - i * tall), min(wide, page.imagewidth - j * wide)
        shape = {"YX": size, "YXS": (*size, page.samplesperpixel), "SYX": (page.samplesperpixel, *size)}[page.axes]
        return np.full(shape, self._white, dtype=page.dtype)

    def _is_missing(self, index: int) -> bool:
        """Return whether a tile or strip was omitted. Tables that end early mean this in Philips files only."""
        page = self._page
        if index >= min(len(page.dataoffsets), len(page.databytecounts)):
            return bool(page.parent.is_philips)
        return not (page.dataoffsets[index] and page.databytecounts[index])

    def _stream(self, index: int) -> bytes:
        """Read a tile or strip as stored, and check the size in its own header, which is what codecs use."""
        page, file = self._page, self._page.parent.filehandle
        with file.lock:
            file.seek(int(page.dataoffsets[index]))
            stream = file.read(int(page.databytecounts[index]))
        if page.compression in _SELF_SIZED:
            formats = ("JPEG", "JPEG2000", "PNG", "WEBP")
            with suppress(UnidentifiedImageError), Image.open(io.BytesIO(stream), formats=formats) as inside:
                require_moderate(inside.size[::-1], page.samplesperpixel)
        return stream


def chunk_shape(page: tifffile.TiffPage | tifffile.TiffFrame) -> tuple[int, int]:
    """Return height and width of the tiles or strips of a page, as stored."""
    page = page.aspage()
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth
