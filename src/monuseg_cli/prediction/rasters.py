"""Rows of pixels -> picture files, from top to bottom: PNG masks, and TIFF with a pyramid.

Each writer is a context that gives a function to add rows with; its file appears when the context ends, and only if it
ends without an error.
"""

import json
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.core.atomic import writing

RowWriter = Callable[[NDArray[np.generic]], None]

LARGEST_8_BIT_PX = 200_000_000
"""Larger masks become PNG files of one bit a pixel, since they are read whole."""

_OME_SUFFIXES = (".ome.tif", ".ome.tiff")
_TILE_PX = 256
_COARSEST_PX = 1024  # longer side from which on a pyramid needs no further level
_FAST = 1  # of deflate's levels; the others make masks and labels hardly smaller


@contextmanager
def mask_png(path: Path, shape: tuple[int, int], largest_8_bit_px: int = LARGEST_8_BIT_PX) -> Iterator[RowWriter]:
    """Write label images as a PNG with 255 in nuclei and 0 elsewhere; of large slides with 1 and 0, of one bit.

    Parameters
    ----------
    path : Path
        Destination.
    shape : tuple of int
        Height and width of all rows together.
    largest_8_bit_px : int
        Number of pixels above which the file has one bit per pixel.
    """
    bits = 8 if shape[0] * shape[1] <= largest_8_bit_px else 1
    packer = zlib.compressobj(_FAST)
    with writing(path) as part, part.open("wb") as file:

        def chunk(kind: bytes, content: bytes) -> None:
            check = zlib.crc32(kind + content)
            file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check))

        def add(labels: NDArray[np.generic]) -> None:
            inside = labels != 0
            lines = np.packbits(inside, axis=1) if bits == 1 else inside.astype(np.uint8) * 255
            # A 0 before every line: no filter.
            if packed := packer.compress(np.pad(lines, ((0, 0), (1, 0))).tobytes()):
                chunk(b"IDAT", packed)

        file.write(b"\x89PNG\r\n\x1a\n")
        chunk(b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], bits, 0, 0, 0, 0))
        yield add
        chunk(b"IDAT", packer.flush())
        chunk(b"IEND", b"")


@contextmanager
def pyramid_tiff(
    path: Path, shape: tuple[int, int], dtype: type[np.generic], mpp: float | None, about: dict[str, Any]
) -> Iterator[RowWriter]:
    """Write rows as a tiled, compressed BigTIFF with coarser levels; as OME-TIFF where its name ends in .ome.tif.

    Coarser levels take every second pixel, so that labels stay labels.

    Parameters
    ----------
    path : Path
        Destination.
    shape : tuple of int
        Height and width of all rows together.
    dtype : type
        Of the samples.
    mpp : float or None
        Micrometres per pixel, for the resolution tags; None leaves them out.
    about : dict
        What is written into the file's description.
    """
    levels: list[_Level] = []
    while not levels or max(levels[-1].shape) > _COARSEST_PX:
        size = shape if not levels else (-(-levels[-1].shape[0] // 2), -(-levels[-1].shape[1] // 2))
        levels.append(_Level(size, dtype))
    # Tiles wait in a nameless file, which is gone with the process: a level is written in one go.
    with writing(path) as part, tempfile.TemporaryFile(dir=part.parent) as waiting:

        def add(rows: NDArray[np.generic]) -> None:
            for level in levels:
                rows = level.add(rows, waiting)

        yield add
        for level in levels:
            level.finish(waiting)
        _assemble(part, levels, waiting, mpp, about, is_ome=path.name.lower().endswith(_OME_SUFFIXES))


class _Level:
    """A level of a pyramid: takes rows, and keeps their compressed tiles in a file."""

    def __init__(self, shape: tuple[int, int], dtype: type[np.generic]) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._waiting = np.zeros((_TILE_PX, -(-shape[1] // _TILE_PX) * _TILE_PX), dtype)  # of a row of tiles
        self._filled = 0
        self._skipped = 0  # rows so far, of which the next level takes those of even number
        self._empty = _packed(np.zeros((_TILE_PX, _TILE_PX), dtype))
        self.places: list[tuple[int, int] | None] = []

    def add(self, rows: NDArray[np.generic], file: BinaryIO) -> NDArray[np.generic]:
        """Take rows, and give those of the next level."""
        coarser = rows[self._skipped % 2 :: 2, ::2]
        self._skipped += len(rows)
        while len(rows):
            fitting, rows = np.split(rows, [_TILE_PX - self._filled])
            self._waiting[self._filled : self._filled + len(fitting), : self.shape[1]] = fitting
            self._filled += len(fitting)
            if self._filled == _TILE_PX:
                self._write(file)
        return coarser

    def finish(self, file: BinaryIO) -> None:
        """Write the last rows."""
        if self._filled:
            self._waiting[self._filled :] = 0
            self._write(file)

    def _write(self, file: BinaryIO) -> None:
        self._filled = 0
        for col in range(0, self._waiting.shape[1], _TILE_PX):
            tile = self._waiting[:, col : col + _TILE_PX]
            if not tile.any():
                self.places.append(None)
                continue
            packed = _packed(tile)
            self.places.append((file.tell(), len(packed)))
            file.write(packed)

    def tiles(self, file: BinaryIO) -> Iterator[bytes]:
        """Give the compressed tiles, row by row."""
        for place in self.places:
            if place is None:
                yield self._empty
            else:
                file.seek(place[0])
                yield file.read(place[1])


def _packed(tile: NDArray[np.generic]) -> bytes:
    return bytes(imagecodecs.deflate_encode(tile.tobytes(), level=_FAST, raw=False))


def _assemble(
    part: Path, levels: list[_Level], waiting: BinaryIO, mpp: float | None, about: dict[str, Any], *, is_ome: bool
) -> None:
    metadata: dict[str, Any] = {"axes": "YX", "Description": json.dumps(about)}
    if mpp:
        metadata |= {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    with tifffile.TiffWriter(part, bigtiff=True, ome=is_ome) as tiff:
        for number, level in enumerate(levels):
            per_cm = 1e4 / (mpp * 2**number) if mpp else None
            tiff.write(
                level.tiles(waiting),
                shape=level.shape,
                dtype=level.dtype,
                tile=(_TILE_PX, _TILE_PX),
                compression="zlib",
                photometric="minisblack",
                resolution=(per_cm, per_cm) if per_cm else None,
                resolutionunit="CENTIMETER" if per_cm else None,
                subifds=len(levels) - 1 if number == 0 else None,
                subfiletype=0 if number == 0 else 1,
                description=json.dumps(about) if number == 0 and not is_ome else None,
                metadata=metadata if is_ome else None,
            )
