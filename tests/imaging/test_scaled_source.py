from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from monuseg_cli.imaging.scaled_source import ArraySource, SlideSource, read_thumbnail
from monuseg_cli.imaging.slide import Slide
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(200, seed=2)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    with tifffile.TiffWriter(tmp_path / "s.tif") as tiff:
        tiff.write(PICTURE, tile=(64, 64), photometric="rgb", subifds=1)
        half = np.asarray(Image.fromarray(PICTURE).resize((100, 100), Image.Resampling.BOX))
        tiff.write(half, tile=(64, 64), photometric="rgb", subfiletype=1)
    return tmp_path / "s.tif"


@pytest.mark.parametrize("scale", [1.0, 2.0, 1.3, 0.7, 0.5, 0.23])
def test_windows_of_a_source_equal_the_whole_image(slide: Path, scale: float) -> None:
    with Slide(slide) as opened:
        source = SlideSource(opened, scale, (0, 0, 200, 200))
        height, width = source.shape
        assert (height, width) == ((200, 200) if scale == 1 else (round(200 * scale),) * 2)
        whole = source.read(0, 0, height, width)
        for row in range(0, height, 37):
            for col in range(0, width, 53):
                window = source.read(row, col, 37, 53)
                inside = window[: height - row, : width - col]
                expected = whole[row : row + 37, col : col + 53]
                assert np.abs(inside.astype(int) - expected).max() <= 2  # Pillow rounds after each axis


def test_at_the_scale_of_the_model_pixels_are_unchanged(slide: Path) -> None:
    with Slide(slide) as opened:
        whole = SlideSource(opened, 1.0, (0, 0, 200, 200))
        np.testing.assert_array_equal(whole.read(10, 20, 30, 40), PICTURE[10:40, 20:60])
        part = SlideSource(opened, 1.0, (50, 60, 100, 110))
        assert part.shape == (100, 110)
        np.testing.assert_array_equal(part.read(10, 20, 30, 40), PICTURE[60:90, 80:120])


def test_resampled_it_is_near_what_pillow_makes_of_the_whole(slide: Path) -> None:
    with Slide(slide) as opened:
        read = SlideSource(opened, 1.5, (0, 0, 200, 200)).read(0, 0, 300, 300)
        again = SlideSource(opened, 0.5, (0, 0, 200, 200)).read(0, 0, 100, 100)
    bicubic = np.asarray(Image.fromarray(PICTURE).resize((300, 300), Image.Resampling.BICUBIC))
    assert np.abs(read.astype(int) - bicubic).max() <= 1
    assert np.abs(again.astype(int) - PICTURE.reshape(100, 2, 100, 2, 3).mean(axis=(1, 3))).max() <= 1


def test_beyond_the_image_it_is_mirrored(slide: Path) -> None:
    mirrored = np.pad(PICTURE[150:], ((0, 300), (0, 20), (0, 0)), mode="symmetric")
    with Slide(slide) as opened:
        for source in (SlideSource(opened, 1.0, (0, 0, 200, 200)), ArraySource(PICTURE)):
            np.testing.assert_array_equal(source.read(150, 0, 350, 220), mirrored)


def test_a_thumbnail_shows_the_part(slide: Path) -> None:
    with Slide(slide) as opened:
        small = read_thumbnail(opened, 4, (100, 0, 100, 200))
    assert small.shape == (25, 50, 3)
    assert np.abs(small.mean() - PICTURE[100:].mean()) < 2
