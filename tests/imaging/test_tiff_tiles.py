import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.tiff_tiles import Chunks
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(150, seed=3)
PICTURE = PICTURE[:, :131]
TILE = (64, 48)
COLS = 3
"""Tiles in a row of the picture, and in a column; the last ones reach beyond it."""


def leave_out(path: Path, which: set[int], page: int = 0) -> Path:
    """Leave tiles or strips out of a TIFF, as scanners leave out glass: byte counts of 0, and offsets."""
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages[page].aspage().tags
        kind = "Tile" if "TileOffsets" in tags else "Strip"
        for name, lacking in (
            (f"{kind}ByteCounts", which),
            (f"{kind}Offsets", {index for index in which if index % 2}),
        ):
            values = tags[name].value
            tags[name].overwrite(tuple(0 if index in lacking else value for index, value in enumerate(values)))
    return path


def write_sparse(path: Path, which: set[int], pixels: NDArray[np.generic] = PICTURE, **options: Any) -> Path:
    """Write a tiled TIFF and leave out some tiles."""
    tifffile.imwrite(path, pixels, **{"tile": TILE, "metadata": None, "photometric": "rgb", **options})
    return leave_out(path, which)


def with_white(pixels: NDArray[np.generic], which: set[int], white: float) -> NDArray[np.generic]:
    expected = pixels.copy()
    for index in which:
        row, col = (index // COLS) * TILE[0], (index % COLS) * TILE[1]
        expected[row : row + TILE[0], col : col + TILE[1]] = white
    return expected


@pytest.mark.parametrize("layout", [{"tile": TILE}, {"rowsperstrip": 64}, {"rowsperstrip": 1}, {}], ids=str)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"compression": "packbits"},
        {"compression": "jpeg"},
        {"compression": "jpeg2000"},
        {"compression": "webp"},
        {"compression": "png"},
        {"compression": "zstd"},
        {"byteorder": ">", "dtype": np.uint16},
        {"compression": "zlib", "predictor": True, "byteorder": ">", "dtype": np.uint16},
        {"compression": "zlib", "predictor": True, "dtype": np.float32},
    ],
    ids=str,
)
def test_every_layout_gives_the_samples_of_the_whole_page(
    tmp_path: Path, layout: dict[str, Any], planar: str, options: dict[str, Any]
) -> None:
    options = dict(options)
    pixels = PICTURE.astype(options.pop("dtype", np.uint8))
    if planar == "separate":
        if options.get("compression") == "webp":
            pytest.skip("WebP holds three or four samples")
        pixels = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig=planar, metadata=None, **layout, **options)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        whole = page.asarray()
        chunks = Chunks(page, 255, None)
        for rows, cols in [
            ((0, 150), (0, 131)),
            ((60, 131), (40, 100)),
            ((149, 150), (130, 131)),
            ((64, 128), (48, 96)),
        ]:
            window = slice(*rows), slice(*cols)
            found = chunks[:, *window] if planar == "separate" else chunks[window]
            np.testing.assert_array_equal(found, whole[..., *window] if planar == "separate" else whole[window])
            assert found.dtype == pixels.dtype
        assert chunks.missing == 0


@pytest.mark.parametrize(
    ("dtype", "options", "white"),
    [
        (np.uint8, {}, 255),
        (np.uint8, {"compression": "zlib", "predictor": True}, 255),
        (np.uint8, {"compression": "jpeg2000"}, 255),
        (np.uint16, {"byteorder": ">"}, 65535),
        (np.float32, {}, 1),
    ],
)
def test_missing_tiles_are_glass(tmp_path: Path, dtype: type, options: dict[str, Any], white: float) -> None:
    pixels = (PICTURE / 255).astype(dtype) if dtype is np.float32 else PICTURE.astype(dtype)
    path = write_sparse(tmp_path / "a.tif", {1, 4, 8}, pixels, **options)
    with tifffile.TiffFile(path) as tiff:
        chunks = Chunks(tiff.pages.first, int(white), None)
        np.testing.assert_array_equal(chunks[0:150, 0:131], with_white(pixels, {1, 4, 8}, white))
        assert chunks.missing == 3
    with Slide(path) as slide:
        assert slide.levels[0].missing == 3
        assert (slide.read_region(0, 0, 48, 64, 48) == 255).all()
        assert slide.damaged == []
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), read_image(path)[0])


def test_missing_tiles_of_each_level_are_glass(tmp_path: Path) -> None:
    path, half = tmp_path / "a.tif", PICTURE[::2, ::2]
    with tifffile.TiffWriter(path) as tiff:
        for pixels in (PICTURE, half):
            tiff.write(pixels, tile=TILE, photometric="rgb", metadata=None, subfiletype=int(pixels is half))
    leave_out(leave_out(path, {1}), {0, 3}, page=1)
    with Slide(path) as slide:
        assert [level.missing for level in slide.levels] == [1, 2]
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), with_white(PICTURE, {1}, 255))
        expected = half.copy()
        expected[:64, :48] = expected[64:, 48:] = 255
        np.testing.assert_array_equal(slide.read_region(1, 0, 0, *half.shape[:2]), expected)


def test_missing_strips_are_glass(tmp_path: Path) -> None:
    path = write_sparse(tmp_path / "a.tif", {1}, tile=None, rowsperstrip=64, compression="zlib")
    expected = PICTURE.copy()
    expected[64:128] = 255
    with Slide(path) as slide:
        assert slide.levels[0].missing == 1
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), expected)


def test_a_missing_tile_of_one_sample_is_full_in_that_sample(tmp_path: Path) -> None:
    planes = np.zeros((3, *PICTURE.shape[:2]), dtype=np.uint8)
    path = write_sparse(tmp_path / "a.tif", {0}, planes, planarconfig="separate")
    with Slide(path) as slide:
        assert slide.read_region(0, 0, 47, 1, 2).tolist() == [[[255, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize(("photometric", "there"), [("miniswhite", 155), ("minisblack", 100)])
def test_missing_tiles_of_grey_images_are_glass(tmp_path: Path, photometric: str, there: int) -> None:
    grey = np.full((64, 96), 100, dtype=np.uint8)
    path = write_sparse(tmp_path / "a.tif", {0}, grey, photometric=photometric)
    with Slide(path) as slide:
        assert slide.read_region(0, 0, 47, 1, 2).tolist() == [[[255] * 3, [there] * 3]]


def test_missing_tiles_of_a_palette_take_its_lightest_colour(tmp_path: Path) -> None:
    colours = np.zeros((3, 256), dtype=np.uint16)
    colours[:, 7] = 0xF000, 0xE000, 0xF000
    index = np.zeros(TILE, dtype=np.uint8)
    path = write_sparse(tmp_path / "a.tif", {0}, index, photometric="palette", colormap=colours)
    with Slide(path) as slide:
        assert (slide.read_region(0, 0, 0, *TILE) == (0xF0, 0xE0, 0xF0)).all()


def cut_tables(path: Path, count: int) -> Path:
    """Let the tables of tiles end after `count` of them."""
    with tifffile.TiffFile(path, mode="r+") as file:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = file.pages.first.tags[name]
            tag.overwrite(tag.value[:count])
    return path


def test_tables_that_end_early_mean_glass_in_philips_files_and_damage_elsewhere(tmp_path: Path) -> None:
    philips: dict[str, Any] = {
        "software": "Philips DP v1.0",
        "description": '<?xml version="1.0"?><DataObject></DataObject>',
    }
    path = cut_tables(write_sparse(tmp_path / "philips.tif", {0}, **philips), 6)
    with Slide(path) as slide:
        assert slide.levels[0].missing == 4
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), with_white(PICTURE, {0, 6, 7, 8}, 255))
    path = cut_tables(write_sparse(tmp_path / "other.tif", {0}), 6)
    with pytest.raises(InputError, match="damaged: only 6 of its 9 tiles or strips are in the file"):
        Slide(path)
    with Slide(path, skip_damaged=True) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), with_white(PICTURE, {0, 6, 7, 8}, 255))
        assert slide.damaged == [f"level 0, row 128, column {col}" for col in (0, 48, 96)]


@pytest.mark.parametrize("claims", [{"BitsPerSample": (8, 8, 8)}, {"TileWidth": 64, "ImageWidth": 64}], ids=str)
def test_a_tile_of_another_depth_or_size_is_damaged(tmp_path: Path, claims: dict[str, object]) -> None:
    path = tmp_path / "a.tif"
    pixels = PICTURE[:64, :48].astype(np.uint16)
    tifffile.imwrite(path, pixels, tile=TILE, compression="png", photometric="rgb", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag, value in claims.items():
            file.pages.first.tags[tag].overwrite(value)
    with Slide(path) as slide, pytest.raises(InputError, match=r"a\.tif: level 0, damaged at row 0, column 0: "):
        slide.read_region(0, 0, 0, *TILE)


def test_levels_are_read_by_several_threads_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, tile=(16, 16), subifds=1, photometric="rgb", metadata=None)
        tiff.write(pixels[::2, ::2], tile=(16, 16), subfiletype=1, photometric="rgb", metadata=None)
    expected, wrong = [pixels, pixels[::2, ::2]], []
    with Slide(path) as slide:

        def read(level: int) -> None:
            found = slide.read_region(level, 0, 0, *slide.levels[level].shape)
            if not np.array_equal(found, expected[level]):
                wrong.append(level)

        threads = [threading.Thread(target=read, args=(level,)) for level in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
