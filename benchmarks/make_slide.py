"""Write a large slide out of many real fields: a pyramid of JPEG tiles, some three quarters of it tissue.

usage: python benchmarks/make_slide.py HOME SIDE_PX SLIDE.tif [full]

HOME is a folder that `monuseg download --home HOME` filled. Fields of 1000 x 1000 px are the train images, each turned
and mirrored in eight ways before one comes again; a quarter of the places, in diagonals, is glass, or none of a full
slide.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.core.home import Home
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.imaging.read_image import read_image

FIELD_PX = 1000
TILE_PX = 256
GLASS_EVERY = 4
MPP = 0.25

Pixels = NDArray[np.uint8]


def fields(home: Home) -> list[Pixels]:
    """Read the train images of 40x."""
    dataset = Dataset.load(home.dataset)
    cases = [case for case in dataset.of_split("train") if (case.mpp or MPP) < 0.3]
    return [read_image(dataset.image_path(case))[0][:FIELD_PX, :FIELD_PX] for case in cases]


def strips(images: list[Pixels], side: int, *, full: bool) -> Iterator[Pixels]:
    """Yield the slide in strips of a field's height."""
    random = np.random.default_rng(0)
    across = -(-side // FIELD_PX)
    for i in range(across):
        strip = []
        for j in range(across):
            number = i * across + j
            if not full and (i + j) % GLASS_EVERY == GLASS_EVERY // 2:
                glass = random.normal(243, 2, (FIELD_PX, FIELD_PX, 3))
                strip.append(glass.clip(0, 255).astype(np.uint8))
                continue
            turns, mirrored = number // len(images) % 4, number // (4 * len(images)) % 2
            field = np.rot90(images[number % len(images)], turns)
            strip.append(field[:, ::-1] if mirrored else field)
        rows = min(FIELD_PX, side - i * FIELD_PX)
        yield np.concatenate(strip, axis=1)[:rows, :side]


def tiles(rows: Iterator[Pixels]) -> Iterator[Pixels]:
    """Cut strips of any height into tiles, row by row."""
    waiting = np.empty((0, 0, 3), dtype=np.uint8)
    for strip in rows:
        waiting = np.concatenate([waiting, strip]) if waiting.size else strip
        whole = len(waiting) // TILE_PX * TILE_PX
        yield from _cut(waiting[:whole])
        waiting = waiting[whole:]
    if len(waiting):
        yield from _cut(np.pad(waiting, ((0, TILE_PX - len(waiting)), (0, 0), (0, 0)), constant_values=243))


def _cut(rows: Pixels) -> Iterator[Pixels]:
    wide = np.pad(rows, ((0, 0), (0, -rows.shape[1] % TILE_PX), (0, 0)), constant_values=243)
    for row in range(0, len(wide), TILE_PX):
        for col in range(0, wide.shape[1], TILE_PX):
            yield np.ascontiguousarray(wide[row : row + TILE_PX, col : col + TILE_PX])


def main(home: Home, side: int, path: Path, *, full: bool = False) -> None:
    """Write the levels, each a quarter of the one before along both sides."""
    images = fields(home)
    downsamples = [4**power for power in range(10) if side // 4**power >= 2 * TILE_PX]
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for number, downsample in enumerate(downsamples):
            shape = (side // downsample, side // downsample)
            rows = strips(images, side, full=full)
            if downsample > 1:
                rows = iter([_shrunk(rows, shape, downsample)])
            tiff.write(
                tiles(rows),
                shape=(*shape, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 85},
                resolution=(1e4 / MPP / downsample, 1e4 / MPP / downsample),
                resolutionunit="CENTIMETER",
                subifds=len(downsamples) - 1 if number == 0 else None,
                subfiletype=0 if number == 0 else 1,
                metadata=None,
            )


def _shrunk(rows: Iterator[Pixels], shape: tuple[int, int], downsample: int) -> Pixels:
    small = [np.asarray(Image.fromarray(strip).reduce(downsample)) for strip in rows]
    return np.asarray(Image.fromarray(np.concatenate(small)).resize(shape[::-1]))


if __name__ == "__main__":
    main(Home.resolve(Path(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3]), full="full" in sys.argv[4:])
