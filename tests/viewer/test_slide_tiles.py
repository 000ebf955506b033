import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monuseg_cli.imaging.slide import Slide
from monuseg_cli.viewer.pyramid import TILE_PX, Pyramid
from monuseg_cli.viewer.slide_tiles import SlideTiles
from support.viewed import SHAPE, write_slide


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slide") / "slide.tif")


def test_levels_halve_until_one_tile_holds_the_slide() -> None:
    pyramid = Pyramid(SHAPE)
    assert (pyramid.first, pyramid.full, pyramid.step(pyramid.full - 1)) == (9, 12, 2)
    whole = pyramid.tile(9, 0, 0)
    assert whole is not None
    assert (whole.height, whole.width, whole.box) == (384, 512, (0, 0, 3072, 4096))
    last = pyramid.tile(12, 5, 7)
    assert last is not None
    assert last.box == (2560, 3584, 3072, 4096)
    for level, row, col in ((8, 0, 0), (12, 6, 0), (12, 0, 8), (13, 0, 0), (12, -1, 0), (10**6, 0, 0)):
        assert pyramid.tile(level, row, col) is None
    assert pyramid.tile(13, 11, 15, finer=1) is not None


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (512, 512), (513, 10)])
def test_small_images_have_tiles_that_cover_them(shape: tuple[int, int]) -> None:
    pyramid = Pyramid(shape)
    whole = pyramid.tile(pyramid.first, 0, 0)
    assert whole is not None
    assert max(whole.height, whole.width) <= TILE_PX
    assert pyramid.tile(pyramid.first, 0, 1) is None
    covered = [
        tile.height * tile.width
        for row in range(3)
        for col in range(3)
        if (tile := pyramid.tile(pyramid.full, row, col))
    ]
    assert sum(covered) == shape[0] * shape[1]


def test_tiles_show_the_pixels_of_the_slide(slide_path: Path) -> None:
    with Slide(slide_path) as slide:
        tiles, pyramid = SlideTiles(slide), Pyramid(slide.shape)
        for level, read in ((12, 0), (10, 1)):
            tile = pyramid.tile(level, 1, 1)
            assert tile is not None
            assert (tiles.read(tile) == slide.read_region(read, 512, 512, tile.height, tile.width)).all()
        between = pyramid.tile(11, 2, 3)
        assert between is not None
        full = slide.read_region(0, 2048, 3072, 1024, 1024).astype(float)
        mean = full.reshape(512, 2, 512, 2, 3).mean(axis=(1, 3))
        assert np.abs(tiles.read(between) - mean).mean() < 4
        with Image.open(io.BytesIO(tiles.jpeg(between))) as picture:
            assert picture.format == "JPEG"
            assert np.abs(np.asarray(picture) - mean).mean() < 6


def test_a_slide_without_levels_gets_an_overview(slide_path: Path, tmp_path: Path) -> None:
    path = write_slide(tmp_path / "flat.tif", levels=1)
    with Slide(path) as flat, Slide(slide_path) as slide:
        tiles, pyramid = SlideTiles(flat, largest_overview_px=600), Pyramid(flat.shape)
        assert tiles.lacks_overview
        assert not SlideTiles(slide, largest_overview_px=600).lacks_overview
        assert tiles.build_overview().shape == (384, 512, 3)
        whole, part = pyramid.tile(9, 0, 0), pyramid.tile(11, 2, 3)
        assert whole is not None
        assert part is not None
        for tile in (whole, part):
            shown, truth = (one.read(tile).astype(float) for one in (tiles, SlideTiles(slide)))
            assert np.abs(shown.mean(axis=(0, 1)) - truth.mean(axis=(0, 1))).max() < 2
