import numpy as np
import pytest

from monuseg_cli.imaging.brightness import doubt_brightness
from support.tissue import draw_tissue

TISSUE, _ = draw_tissue(100, seed=3)


def test_tissue_is_not_doubted() -> None:
    assert doubt_brightness(TISSUE) is None


def test_a_small_piece_of_tissue_on_glass_is_not_doubted() -> None:
    slide = np.full((300, 300, 3), 250, np.uint8)
    slide[100:112, 100:112] = TISSUE[:12, :12]
    assert doubt_brightness(slide) is None


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_tissue_of_fewer_bits_comes_out_nearly_black(bits: int) -> None:
    doubt = doubt_brightness(TISSUE >> np.uint8(bits))
    assert (doubt is None) == (bits == 1)
    assert doubt is None or doubt.startswith("comes out nearly black (99 % of it is darker than ")


def test_glass_alone_comes_out_nearly_white() -> None:
    doubt = doubt_brightness(np.full((50, 50, 3), 244, np.uint8))
    assert doubt == "comes out nearly white (nothing is darker than 244 of 255): there may be no tissue in it"
