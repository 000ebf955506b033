import numpy as np
import pytest
from numpy.typing import NDArray

from monuseg_cli.imaging.channel_order import doubt_colours
from support.tissue import draw_tissue

TISSUE, _ = draw_tissue(300, seed=4)


def pixels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image.reshape(-1, 3)


def test_blue_nuclei_raise_no_doubt() -> None:
    assert doubt_colours(pixels(TISSUE)) is None


def test_swapped_channels_are_suspected() -> None:
    assert "are red and blue swapped (BGR)" in str(doubt_colours(pixels(TISSUE[..., ::-1])))


def test_brown_nuclei_are_suspected_to_be_of_another_stain() -> None:
    brown = np.full((300, 300, 3), (180, 170, 215), np.uint8)  # pale counterstain
    brown[::3, ::3] = (110, 70, 40)  # DAB
    assert str(doubt_colours(pixels(brown))).endswith("or is it another stain?")


@pytest.mark.parametrize("colour", [(0, 0, 0), (250, 250, 250), (200, 120, 160)])
def test_a_plain_colour_raises_no_doubt(colour: tuple[int, int, int]) -> None:
    assert doubt_colours(np.full((5000, 3), colour, np.uint8)) is None


def test_a_few_pixels_are_too_few_to_tell() -> None:
    assert doubt_colours(pixels(TISSUE[:15, :15, ::-1])) is None
