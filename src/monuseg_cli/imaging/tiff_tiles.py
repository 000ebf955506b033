"""The samples of a TIFF page, read tile by tile or strip by strip."""

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from monuseg_cli.imaging.read import DECODING_ERRORS, first_line, require_moderate
from monuseg_cli.imaging.to_rgb import ImageError

_KEPT_BYTES = 32 << 20
_KEPT_SIDE_PX = 1152
"""Of a level, so much of what was read is kept, and at least the chunks around a window of this size."""

# Compressions whose streams state a size of their own.
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
    """The samples of a page, read tile by tile or strip by strip, of which the last used ones are kept.

    Parameters
    ----------
    page : tifffile.TiffPage or tifffile.TiffFrame
    skip : callable, optional
        Is told of a damaged one where it is, and gives the sample to fill it with; None: it is an error.

    Raises
    ------
    ImageError
        If the file cannot be read in parts, and the whole is too large.
    """

    def __init__(self, page: tifffile.TiffPage | tifffile.TiffFrame, skip: Callable[[str], int] | None) -> None:
        self._page = page = page.aspage()
        self._path = Path(page.parent.filehandle.path)
        self._skip = skip
        self._array: Any = zarr.open_array(page.aszarr(), mode="r")
        self._planar = page.axes == "SYX"
        tall, wide = self._array.chunks[1:] if self._planar else self._array.chunks[:2]
        self._sides = int(tall), int(wide)
        self._kept: OrderedDict[tuple[int, int], NDArray[np.generic]] = OrderedDict()
        self._lock = threading.Lock()
        pixel_bytes = page.samplesperpixel * np.dtype(page.dtype).itemsize
        require_moderate(self._sides, pixel_bytes)
        chunk_bytes = math.prod(self._sides) * pixel_bytes
        self._free = max(_KEPT_BYTES, chunk_bytes * math.prod(-(-_KEPT_SIDE_PX // side) + 1 for side in self._sides))

    def __getitem__(self, window: tuple[slice, ...]) -> NDArray[np.generic]:
        """Read a window, given by rows and columns, the last two slices; as stored, so with samples first if planar."""
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

    def _blank(self, i: int, j: int, sample: int) -> NDArray[np.generic]:
        shape: tuple[int, ...] = self._array.shape
        height, width = shape[1:] if self._planar else shape[:2]
        size = (min(self._sides[0], height - i * self._sides[0]), min(self._sides[1], width - j * self._sides[1]))
        whole = (shape[0], *size) if self._planar else (*size, *shape[2:])
        return np.full(whole, sample, dtype=self._array.dtype)

    def _chunk(self, i: int, j: int) -> NDArray[np.generic]:
        if (i, j) in self._kept:
            self._kept.move_to_end((i, j))
            return self._kept[i, j]
        (tall, wide) = self._sides
        place = (slice(i * tall, (i + 1) * tall), slice(j * wide, (j + 1) * wide))
        try:
            self._require_moderate_stream(i, j)
            chunk: NDArray[np.generic] = np.asarray(self._array[:, *place] if self._planar else self._array[place])
        except DECODING_ERRORS as error:
            where = f"row {i * tall}, column {j * wide}"
            if self._skip is None:
                message = f"damaged at {where}: {first_line(error)}; `skip_damaged=True` goes on without it"
                raise ImageError(message) from error
            chunk = self._blank(i, j, self._skip(where))
        self._kept[i, j] = chunk
        self._free -= chunk.nbytes
        while self._free < 0 and len(self._kept) > 1:
            self._free += self._kept.popitem(last=False)[1].nbytes
        return chunk

    def _require_moderate_stream(self, i: int, j: int) -> None:
        """Check the size that a compressed tile states for itself: its codec believes that, not the TIFF's."""
        if self._page.compression not in _SELF_SIZED:
            return
        down, across = self._page.chunked[1:] if self._planar else self._page.chunked[:2]
        for index in range(i * across + j, len(self._page.dataoffsets), down * across):
            with self._path.open("rb") as file, suppress(UnidentifiedImageError):
                file.seek(self._page.dataoffsets[index])
                stream = io.BytesIO(file.read(self._page.databytecounts[index]))
                with Image.open(stream, formats=("JPEG", "JPEG2000", "PNG", "WEBP")) as inside:
                    require_moderate(inside.size[::-1], self._page.samplesperpixel)
