import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.nuclei.holes import fill_small_holes


def filled_by_scipy(mask: NDArray[np.bool_], area_px: float) -> NDArray[np.bool_]:
    """Fill the holes by the labels of their pixels."""
    background, _ = ndimage.label(~mask)
    small = np.bincount(background.reshape(-1)) < area_px
    small[0] = False
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        small[edge] = False
    filled: NDArray[np.bool_] = mask | small[background]
    return filled


@pytest.mark.parametrize("share", [0, 0.02, 0.4, 0.5, 0.6, 0.9, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (4, 4), (61, 207)])
def test_holes_are_those_of_labelled_pixels(shape: tuple[int, int], share: float) -> None:
    mask = np.random.default_rng(2).random(shape) < share
    filled = mask.copy()
    fill_small_holes(filled, 9.5)
    np.testing.assert_array_equal(filled, filled_by_scipy(mask, 9.5))


def test_a_hole_that_winds_is_one() -> None:
    mask = np.ones((40, 40), dtype=bool)
    for col in range(2, 38, 2):  # a serpentine of one pixel
        mask[2:38, col] = False
        mask[2 if col % 4 else 37, col : col + 2] = False
    mask[:, 38:] = True
    hole = int((~mask).sum())
    for area, is_filled in ((hole, False), (hole + 0.5, True)):
        filled = mask.copy()
        fill_small_holes(filled, area)
        assert filled.all() == is_filled
        assert is_filled or (filled == mask).all()


def test_an_empty_mask_stays_empty() -> None:
    fill_small_holes(np.zeros((0, 4), dtype=bool), 5)
