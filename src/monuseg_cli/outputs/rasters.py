"""Streaming writers of image files, row by row: PNG masks and pyramidal TIFF.

Each writer is a context manager that yields a function to append rows. Its file appears when the context ends without
an error.
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
"""Larger masks become PNG files with one bit per pixel, since viewers read a PNG as a whole."""

_OME_SUFFIXES = (".ome.tif", ".ome.tiff")
_TILE_PX = 256
_COARSEST_PX = 1024  # a level whose longer side is at most this is the last of the pyramid
_CHUNK_BYTES = 2**16
_FAST = 1  # deflate level; higher ones hardly reduce the size of masks and labels


@contextmanager
def mask_png(path: Path, shape: tuple[int, int], largest_8_bit_px: int = LARGEST_8_BIT_PX) -> Iterator[RowWriter]:
    """Write label images as a PNG mask: 255 in nuclei and 0 elsewhere, or one bit per pixel for large slides.

    Parameters
    ----------
    path : Path
        Destination.
    shape : tuple of int
        Height and width of the whole image.
    largest_8_bit_px : int
        Number of pixels above which the file has one bit per pixel.
    """
    bits = 8 if shape[0] * shape[1] <= largest_8_bit_px else 1
    packer = zlib.compressobj(_FAST)
    with writing(path) as part, part.open("wb") as file:
        packed = bytearray()

        def chunk(kind: bytes, content: bytes) -> None:
            check = zlib.crc32(kind + content)
            file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check))

        def add(labels: NDArray[np.generic]) -> None:
            inside = labels != 0
            lines = np.packbits(inside, axis=1) if bits == 1 else inside.astype(np.uint8) * 255
            # Every line starts with its filter type, 0 for none.
            packed.extend(packer.compress(np.pad(lines, ((0, 0), (1, 0))).tobytes()))
            while len(packed) >= _CHUNK_BYTES:  # of one size, however the rows arrive
                chunk(b"IDAT", bytes(packed[:_CHUNK_BYTES]))
                del packed[:_CHUNK_BYTES]

        file.write(b"\x89PNG\r\n\x1a\n")
        chunk(b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], bits, 0, 0, 0, 0))
        yield add
        chunk(b"IDAT", bytes(packed) + packer.flush())
        chunk(b"IEND", b"")


@contextmanager
def pyramid_tiff(
    path: Path, shape: tuple[int, int], dtype: type[np.generic], mpp: float | None, about: dict[str, Any]
) -> Iterator[RowWriter]:
    """Write rows as a tiled, compressed, pyramidal BigTIFF; as OME-TIFF if the name ends in .ome.tif.

    Coarser levels take every second pixel, so that labels remain valid.

    Parameters
    ----------
    path : Path
        Destination.
    shape : tuple of int
        Height and width of the whole image.
    dtype : type
        Type of the samples.
    mpp : float or None
        Micrometres per pixel, for the resolution tags; None omits them.
    about : dict
        Metadata for the file's description.
    """
    levels: list[_Level] = []
    while not levels or max(levels[-1].shape) > _COARSEST_PX:
        size = shape if not levels else (-(-levels[-1].shape[0] // 2), -(-levels[-1].shape[1] // 2))
        levels.append(_Level(size, dtype))
    # A level must be written at once, so tiles are kept in an anonymous file, which vanishes with the process.
    with writing(path) as part, tempfile.TemporaryFile(dir=part.parent) as waiting:

        def add(rows: NDArray[np.generic]) -> None:
            for level in levels:
                rows = level.add(rows, waiting)

        yield add
        for level in levels:
            level.finish(waiting)
        _assemble(part, levels, waiting, mpp, about, is_ome=path.name.lower().endswith(_OME_SUFFIXES))


class _Level:
    """A level of a pyramid, which compresses rows into tiles and keeps these in a file."""

    def __init__(self, shape: tuple[int, int], dtype: type[np.generic]) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._waiting = np.zeros((_TILE_PX, -(-shape[1] // _TILE_PX) * _TILE_PX), dtype)  # the current row of tiles
        self._filled = 0
        self._skipped = 0  # rows so far; the next level takes the even ones
        self._empty = _packed(np.zeros((_TILE_PX, _TILE_PX), dtype))
        self._spans: list[tuple[int, int] | None] = []  # offset and length of each tile; None if empty

    def add(self, rows: NDArray[np.generic], file: BinaryIO) -> NDArray[np.generic]:
        """Append rows, and return those of the next level."""
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
        """Write the remaining rows."""
        if self._filled:
            self._waiting[self._filled :] = 0
            self._write(file)

    def _write(self, file: BinaryIO) -> None:
        self._filled = 0
        for col in range(0, self._waiting.shape[1], _TILE_PX):
            tile = self._waiting[:, col : col + _TILE_PX]
            if not tile.any():
                self._spans.append(None)
                continue
            packed = _packed(tile)
            self._spans.append((file.tell(), len(packed)))
            file.write(packed)

    def tiles(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the compressed tiles in row-major order."""
        for span in self._spans:
            if span is None:
                yield self._empty
            else:
                offset, length = span
                file.seek(offset)
                yield file.read(length)


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
