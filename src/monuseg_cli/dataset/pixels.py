"""The pixels of a case: a whole image, or a part of a slide."""

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.tiling import Box

LARGEST_PX = 100_000_000
"""A case of more pixels is refused, since it is kept in memory with its labels."""


def read_case(dataset: Dataset, case: Case) -> NDArray[np.uint8]:
    """Read the image of a case.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If it is not an image, is damaged, or the case is too large.
    """
    with Slide(dataset.image_path(case)) as slide:
        return slide.read_region(0, *_box(slide, case))


def shape_of_case(dataset: Dataset, case: Case) -> tuple[int, int]:
    """Return height and width of a case in pixels, without reading all of them.

    Raises
    ------
    MonusegError
        As `read_case` does.
    """
    with Slide(dataset.image_path(case)) as slide:
        _, _, height, width = _box(slide, case)
    return height, width


def shape_of_image(dataset: Dataset, case: Case) -> tuple[int, int]:
    """Return height and width of the whole image that contains a case, in pixels.

    Raises
    ------
    MonusegError
        If it cannot be opened.
    """
    with Slide(dataset.image_path(case)) as slide:
        return slide.shape


def _box(slide: Slide, case: Case) -> Box:
    row, col, height, width = case.box or (0, 0, *slide.shape)
    if height * width > LARGEST_PX:
        message = (
            f"{slide.path} is {width} x {height} pixels, too many for a training case; mark the annotated part "
            'by a rectangle of class "Region*"'
        )
        raise InputError(message)
    return row, col, height, width
