from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from monuseg_cli.imaging.scaled_source import ArraySource, SlideSource
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.write import write_picture
from monuseg_cli.models.card import Card
from monuseg_cli.prediction.stain_adaptation import look_at_stain, match_stain, sample_stain
from support.made import CARD
from support.tissue import draw_tissue

TISSUE, _ = draw_tissue(700, seed=4)
LEVELS = sample_stain(ArraySource(TISSUE)).levels


def test_a_file_and_an_array_have_the_same_levels(tmp_path: Path) -> None:
    write_picture(tmp_path / "tissue.png", TISSUE)
    with Slide(tmp_path / "tissue.png") as slide:
        assert sample_stain(SlideSource(slide, 1.0, (0, 0, 700, 700))).levels == LEVELS


def test_tissue_in_a_corner_of_a_large_slide_is_found() -> None:
    slide = np.full((6000, 6000, 3), 243, dtype=np.uint8)
    slide[:1400, :1400] = np.tile(TISSUE, (2, 2, 1))
    found = sample_stain(ArraySource(slide)).levels
    np.testing.assert_allclose(found["haematoxylin"], LEVELS["haematoxylin"], rtol=0.1)


def with_levels(factor: float) -> Card:
    """Build a card whose training images had so many times the stain of the test's tissue."""
    return replace(CARD, stain={name: (factor * low, factor * high) for name, (low, high) in LEVELS.items()})


@pytest.mark.parametrize(("factor", "matched"), [(1.0, False), (2.5, False), (4.0, True), (0.5, False), (0.3, True)])
def test_only_a_stain_beyond_what_the_model_was_trained_for_is_matched(factor: float, matched: bool) -> None:
    card = with_levels(factor)
    assert (match_stain(LEVELS, card, "auto") is not None) == matched
    assert match_stain(LEVELS, card, "off") is None


def test_tissue_with_eosin_alone_does_not_count_as_pale() -> None:
    low, high = LEVELS["haematoxylin"]
    card = replace(CARD, stain={**LEVELS, "haematoxylin": (5 * low, 5 * high)})
    assert match_stain(LEVELS, card, "auto") is None


def test_a_card_without_levels_changes_nothing() -> None:
    assert match_stain(LEVELS, CARD, "auto") is None


@pytest.mark.parametrize("value", [0, 243])
def test_black_and_glass_are_taken_as_they_are(value: int) -> None:
    plain = np.full((300, 400, 3), value, dtype=np.uint8)
    levels = sample_stain(ArraySource(plain)).levels
    assert match_stain(levels, with_levels(10), "auto") is None


def test_an_image_of_one_pixel_has_no_stain_levels() -> None:
    assert sample_stain(ArraySource(TISSUE[:1, :1])).levels == {}


class _Counted(ArraySource):
    """An image that counts the pixels that are read of it."""

    pixels = 0

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        self.pixels += height * width
        return super().read(row, col, height, width)


@pytest.mark.parametrize("factor", [1.0, 2.4, 2.6, 4.0, 0.5, 0.42, 0.38, 0.3])
def test_a_small_image_is_matched_as_if_all_windows_were_read(factor: float) -> None:
    source = ArraySource(TISSUE[:256, :256])
    _, match = look_at_stain(source, with_levels(factor), "auto")
    expected = match_stain(sample_stain(source).levels, with_levels(factor), "auto")
    assert (match and match.found) == (expected and expected.found)


def test_the_pixels_of_a_small_image_are_read_about_once() -> None:
    source = _Counted(TISSUE[:256, :256])
    _, match = look_at_stain(source, with_levels(1.0), "auto")
    assert match is None
    assert source.pixels == 256 * 256
