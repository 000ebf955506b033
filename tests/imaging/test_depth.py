"""How many of 16 bits are in use."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.slide import Slide
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(96, seed=3)
PICTURE[:3] = 255  # glass, which reaches to the top of the range
MAX_SAMPLE_VALUE = 281


def deep(bits: int) -> NDArray[np.uint16]:
    return PICTURE.astype(np.uint16) * np.uint16(2 ** (bits - 8))


def write(path: Path, pixels: NDArray[np.generic], **options: Any) -> Path:
    tifffile.imwrite(path, pixels, photometric="rgb", **{"metadata": None, **options})
    return path


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_ome_says_how_many_bits_are_in_use(tmp_path: Path, bits: int) -> None:
    metadata = {"axes": "YXS", "SignificantBits": bits}
    pixels, note = read_image(write(tmp_path / "a.ome.tif", deep(bits), ome=True, metadata=metadata))
    assert note == f"uint16 of range 0..{2**bits - 1} (by SignificantBits) scaled to 8 bits"
    np.testing.assert_array_equal(pixels, PICTURE)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_tag_says_how_many_bits_are_in_use(tmp_path: Path, bits: int) -> None:
    tags = [(MAX_SAMPLE_VALUE, 3, 3, (2**bits - 1,) * 3, True)]
    pixels, note = read_image(write(tmp_path / "a.tif", deep(bits), extratags=tags))
    assert note == f"uint16 of range 0..{2**bits - 1} (by MaxSampleValue) scaled to 8 bits"
    np.testing.assert_array_equal(pixels, PICTURE)


@pytest.mark.parametrize("opaque", [4095, 65535])
@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_opacity_may_use_more_bits_than_the_colours(tmp_path: Path, name: str, opaque: int) -> None:
    pixels = np.dstack([deep(12), np.full(PICTURE.shape[:2], opaque, np.uint16)])
    if name == "a.png":
        (tmp_path / name).write_bytes(imagecodecs.png_encode(pixels))
    else:
        write(tmp_path / name, pixels, extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(tmp_path / name)[0], PICTURE)


@pytest.mark.parametrize("bits", [5, 7])
def test_fewer_than_8_bits_are_spread_over_all_shades(tmp_path: Path, bits: int) -> None:
    pixels = PICTURE.astype(np.uint16) >> (8 - bits)
    metadata = {"axes": "YXS", "SignificantBits": bits}
    read, note = read_image(write(tmp_path / "a.ome.tif", pixels, ome=True, metadata=metadata))
    assert note == f"uint16 of range 0..{2**bits - 1} (by SignificantBits) scaled to 8 bits"
    np.testing.assert_array_equal(read, pixels * 255 // (2**bits - 1))


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize("options", [{}, {"tile": (32, 32), "compression": "zlib"}, {"byteorder": ">"}], ids=str)
def test_else_the_largest_sample_says_so(tmp_path: Path, bits: int, options: dict[str, Any]) -> None:
    pixels, note = read_image(write(tmp_path / "a.tif", deep(bits), **options))
    assert note == f"uint16 of range 0..{2**bits - 1} (by its largest sample) scaled to 8 bits"
    np.testing.assert_array_equal(pixels, PICTURE)


@pytest.mark.parametrize(("largest", "bits"), [(440, 10), (460, 9), (1700, 12), (7000, 14), (7400, 13), (28000, 16)])
def test_an_unusual_depth_must_be_used_up_to_its_limit(tmp_path: Path, largest: int, bits: int) -> None:
    """For a dark image of 10, 12 or 14 bits also ends below half of its range."""
    pixels = (PICTURE.astype(np.uint32) * largest // 255).astype(np.uint16)
    read, note = read_image(write(tmp_path / "a.tif", pixels))
    assert note is not None
    assert f"0..{2**bits - 1}" in note
    np.testing.assert_array_equal(read, pixels >> (bits - 8))


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.png"])
def test_isolated_hot_pixels_do_not_darken_an_image(tmp_path: Path, name: str, bits: int) -> None:
    pixels, expected = deep(bits), PICTURE.copy()
    pixels[50, 60], expected[50, 60] = 65535, 255
    source = "by its largest sample, apart from isolated ones"
    if name == "a.ome.tif":
        write(tmp_path / name, pixels, ome=True, metadata={"axes": "YXS", "SignificantBits": bits})
        source = "by SignificantBits"
    elif name == "a.png":
        (tmp_path / name).write_bytes(imagecodecs.png_encode(pixels))
    else:
        write(tmp_path / name, pixels)
    read, note = read_image(tmp_path / name)
    assert note == f"uint16 of range 0..{2**bits - 1} ({source}) scaled to 8 bits"
    np.testing.assert_array_equal(read, expected)


def test_more_than_a_few_large_samples_are_no_hot_pixels(tmp_path: Path) -> None:
    pixels = deep(12)
    pixels[50:54, 60:64] = 65535
    read, note = read_image(write(tmp_path / "a.tif", pixels))
    assert note == "uint16 of range 0..65535 scaled to 8 bits"
    np.testing.assert_array_equal(read, pixels >> 8)


def test_a_hot_pixel_that_turns_up_later_is_cut_off(tmp_path: Path) -> None:
    large = np.full((2600, 2600, 3), 4000, dtype=np.uint16)
    large[600, 600] = 65535
    with Slide(write(tmp_path / "a.tif", large, tile=(256, 256), compression="zlib")) as slide:
        read = slide.read_region(0, 512, 512, 256, 256)
    assert (read[88, 88] == 255).all()
    assert np.count_nonzero(read == 4000 >> 4) == read.size - 3


@pytest.mark.parametrize("factor", [256, 257])
def test_16_bits_in_use_need_no_reason(tmp_path: Path, factor: int) -> None:
    pixels, note = read_image(write(tmp_path / "a.tif", PICTURE.astype(np.uint16) * np.uint16(factor)))
    assert note == "uint16 of range 0..65535 scaled to 8 bits"
    np.testing.assert_array_equal(pixels, PICTURE)


@pytest.mark.parametrize("stated", [10, 16])
def test_the_largest_sample_counts_more_than_what_is_stated_wrongly(tmp_path: Path, stated: int) -> None:
    metadata = {"axes": "YXS", "SignificantBits": stated}
    pixels, note = read_image(write(tmp_path / "a.ome.tif", deep(12), ome=True, metadata=metadata))
    assert note == "uint16 of range 0..4095 (by its largest sample) scaled to 8 bits"
    np.testing.assert_array_equal(pixels, PICTURE)


def test_a_large_image_is_sampled(tmp_path: Path) -> None:
    """And what no sample told of is an error where it is met, not a wrong colour."""
    large = np.full((2600, 2600, 3), 4000, dtype=np.uint16)
    path = write(tmp_path / "a.tif", large, tile=(256, 256), compression="zlib")
    with Slide(path) as slide:
        assert slide.note == "uint16 of range 0..4095 (by its largest sample) scaled to 8 bits"
    large[600:610, 600:610] = 30000
    write(path, large, tile=(256, 256), compression="zlib")
    with Slide(path) as slide, pytest.raises(InputError, match="a sample of 30000 does not fit into 12 bits"):
        slide.read_region(0, 512, 512, 256, 256)


def test_a_pyramid_is_searched_in_a_small_level(tmp_path: Path) -> None:
    large = np.full((2600, 2600, 3), 700, dtype=np.uint16)
    large[:9, :9] = 1000
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        options: dict[str, Any] = {"tile": (256, 256), "compression": "zlib", "photometric": "rgb", "metadata": None}
        tiff.write(large, subifds=1, **options)
        tiff.write(np.ascontiguousarray(large[::4, ::4]), subfiletype=1, **options)
    with Slide(tmp_path / "a.tif") as slide:
        assert slide.note == "uint16 of range 0..1023 (by its largest sample) scaled to 8 bits"


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("channels", ["grey", "rgb", "rgba"])
def test_16_bit_pngs_of_any_depth_are_scaled_to_8_bits(tmp_path: Path, bits: int, channels: str) -> None:
    pixels, expected = deep(bits), PICTURE
    if channels == "grey":
        pixels, expected = pixels[..., 1], np.repeat(PICTURE[..., 1:2], 3, axis=2)
    elif channels == "rgba":
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 2**bits - 1, np.uint16)])
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    found, note = read_image(tmp_path / "a.png")
    reason = " (by its largest sample)" if bits < 16 else ""
    assert note is not None
    assert note.startswith(f"uint16 of range 0..{2**bits - 1}{reason} scaled to 8 bits")
    np.testing.assert_array_equal(found, expected)


def test_a_fourth_sample_is_opacity_only_where_it_is_said_to_be(tmp_path: Path) -> None:
    four = np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)])
    for kind in ("unspecified", None):
        options = {"extrasamples": [kind]} if kind else {}
        path = write(tmp_path / "a.tif", four, **options)
        if kind is None:
            with tifffile.TiffFile(path, mode="r+") as tiff:
                tiff.pages.first.tags["ExtraSamples"].overwrite(0)
        pixels, note = read_image(path)
        assert note == "extra samples ignored, since they are not declared as opacity"
        np.testing.assert_array_equal(pixels, PICTURE)
    pixels, note = read_image(write(tmp_path / "b.tif", four, extrasamples=["unassalpha"]))
    assert note == "transparency laid over white"
    assert (pixels == 255).all()


def test_opacity_is_found_behind_other_samples(tmp_path: Path) -> None:
    opacity = np.full(PICTURE.shape[:2], 255, np.uint8)
    opacity[:20] = 0
    five = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 7, np.uint8), opacity])
    pixels, note = read_image(write(tmp_path / "a.tif", five, extrasamples=["unspecified", "unassalpha"]))
    assert note == "transparency laid over white"
    assert (pixels[:20] == 255).all()
    np.testing.assert_array_equal(pixels[20:], PICTURE[20:])
