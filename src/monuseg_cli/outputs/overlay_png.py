"""Overlay images: the input with the outlines of the nuclei."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.resample import resize_image
from monuseg_cli.imaging.scaled_source import read_thumbnail
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.write import write_picture
from monuseg_cli.nuclei.draw_outlines import GREEN, draw_outlines
from monuseg_cli.outputs.rasters import RowWriter

LONGEST_PX = 5000
"""Largest side of an overlay; larger images are downsampled."""


@contextmanager
def overlay_png(path: Path, slide: Slide, region: tuple[int, int, int, int]) -> Iterator[RowWriter]:
    """Draw the outlines of a label image, added row by row, on the image, as a PNG with at most 5000 pixels per side.

    Parameters
    ----------
    path : Path
        Destination.
    slide : Slide
        The open slide.
    region : tuple of int
        First row, first column, height and width of the part to show, in pixels of level 0.
    """
    every = -(-max(region[2:]) // LONGEST_PX)
    kept: list[NDArray[np.generic]] = []
    seen = 0

    def add(labels: NDArray[np.generic]) -> None:
        nonlocal seen
        kept.append(labels[-seen % every :: every, ::every].copy())
        seen += len(labels)

    yield add
    labels = np.concatenate(kept).astype(np.int32)
    picture = resize_image(read_thumbnail(slide, every, region), (labels.shape[0], labels.shape[1]))
    write_picture(path, draw_outlines(picture, labels, GREEN))
