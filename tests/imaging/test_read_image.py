from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.to_rgb import Conversion
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(48, seed=1)


def tiff(path: Path, pixels: NDArray[np.generic], **options: Any) -> Path:
    tifffile.imwrite(path, pixels, metadata=None, **options)
    return path


@pytest.mark.parametrize("compression", [None, "lzw", "packbits", "zlib", "zstd"])
def test_a_tiff_is_read_as_it_is(tmp_path: Path, compression: str | None) -> None:
    path = tiff(tmp_path / "a.tif", PICTURE, compression=compression, photometric="rgb")
    pixels, note = read_image(path)
    assert note is None
    np.testing.assert_array_equal(pixels, PICTURE)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_plain_images_are_read_as_they_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PICTURE).save(path, lossless=True)
    pixels, note = read_image(path)
    assert note is None
    np.testing.assert_array_equal(pixels, PICTURE)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a right angle, clockwise
    Image.fromarray(PICTURE[:24]).save(tmp_path / "a.png", exif=exif)
    pixels, _ = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels, np.rot90(PICTURE[:24], -1))


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    alpha = np.full((48, 48, 1), 255, dtype=np.uint8)
    alpha[:24] = 0
    rgba = np.concatenate([PICTURE, alpha], axis=-1)
    tiff(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        pixels, note = read_image(tmp_path / name)
        assert note == "transparency laid over white"
        assert (pixels[:24] == 255).all()
        np.testing.assert_array_equal(pixels[24:], PICTURE[24:])


def test_sixteen_bits_are_scaled_over_their_whole_range(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif", PICTURE.astype(np.uint16) * 257, photometric="rgb")
    pixels, note = read_image(tmp_path / "a.tif")
    assert note == "uint16 of range 0..65535 scaled to 8 bits"
    np.testing.assert_array_equal(pixels, PICTURE)


def test_floats_are_taken_within_0_and_1_and_refused_beyond(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif", (PICTURE / 255).astype(np.float32), photometric="rgb")
    pixels, note = read_image(tmp_path / "a.tif")
    assert note == "float32 of range 0..1 scaled to 8 bits"
    np.testing.assert_array_equal(pixels, PICTURE)
    for wrong in (PICTURE.astype(np.float32), np.full((8, 8, 3), np.nan, dtype=np.float32)):
        tiff(tmp_path / "b.tif", wrong, photometric="rgb")
        with pytest.raises(InputError, match=r"b\.tif: level 0, its floating-point samples are not within 0\.\.1"):
            read_image(tmp_path / "b.tif")


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = PICTURE[..., 1]
    tiff(tmp_path / "a.tif", grey, photometric="minisblack")
    tiff(tmp_path / "white.tif", 255 - grey, photometric="miniswhite")
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for name in ("a.tif", "white.tif", "a.png", "deep.png"):
        pixels, note = read_image(tmp_path / name)
        assert note is not None
        assert "grey taken as equal red, green and blue" in note
        np.testing.assert_array_equal(pixels, np.repeat(grey[..., None], 3, axis=-1))


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    index = (PICTURE[..., 0] // 64).astype(np.uint8)
    colours = np.zeros((3, 256), dtype=np.uint16)
    colours[:, :4] = np.array([[10, 20, 30, 40], [50, 60, 70, 80], [90, 100, 110, 120]]) * 257
    tiff(tmp_path / "a.tif", index, photometric="palette", colormap=colours)
    palette = Image.fromarray(index)
    palette.putpalette((colours[:, :4].T // 257).astype(np.uint8).tobytes())
    palette.save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        pixels, note = read_image(tmp_path / name)
        assert note == "palette looked up"
        np.testing.assert_array_equal(pixels, (colours // 257).T[index])


@pytest.mark.parametrize(
    ("pixels", "options", "reason"),
    [
        (PICTURE[..., 0] > 128, {"photometric": "minisblack"}, "one bit, a mask"),
        (PICTURE.astype(np.int32), {"photometric": "rgb"}, "int32, whose range has no defined meaning"),
        (PICTURE.repeat(2, axis=-1), {"photometric": "minisblack", "planarconfig": "contig"}, "6 channels"),
        (PICTURE, {"photometric": "cielab"}, "its colours are CIELAB"),
        (PICTURE, {"photometric": "ycbcr"}, "its colours are YCBCR"),
        (PICTURE.repeat(2, axis=-1)[..., :4], {"photometric": "minisblack", "planarconfig": "contig"}, "4 channels"),
    ],
)
def test_pixels_without_a_clear_meaning_are_refused(
    tmp_path: Path, pixels: NDArray[np.generic], options: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=rf"a\.tif: .*{reason}"):
        read_image(tiff(tmp_path / "a.tif", pixels, **options))


def test_planes_that_are_stored_one_after_the_other(tmp_path: Path) -> None:
    for tile in (None, (32, 32)):
        planes = PICTURE.transpose(2, 0, 1)
        tiff(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate", tile=tile)
        pixels, note = read_image(tmp_path / "a.tif")
        assert note is None
        np.testing.assert_array_equal(pixels, PICTURE)
        with Slide(tmp_path / "a.tif") as slide:
            np.testing.assert_array_equal(slide.read_region(0, 3, 5, 20, 17), PICTURE[3:23, 5:22])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_stored_turned_is_read_upright(tmp_path: Path, orientation: int) -> None:
    """As Pillow's transposition by EXIF, which has the same eight orientations."""
    picture = PICTURE[:40, :30]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as turned:
        expected = np.asarray(ImageOps.exif_transpose(turned))
    path = tiff(tmp_path / "a.tif", picture, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(read_image(path)[0], expected)
    with Slide(path) as slide:
        assert slide.shape == expected.shape[:2]
        np.testing.assert_array_equal(slide.read_region(0, 2, 3, 11, 7), expected[2:13, 3:10])


def test_inks_become_colours_as_in_pillow(tmp_path: Path) -> None:
    inks = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    pixels, note = read_image(tiff(tmp_path / "a.tif", inks, photometric="separated"))
    assert note == "CMYK converted to RGB"
    pillow = np.asarray(Image.fromarray(inks, mode="CMYK").convert("RGB"))
    assert np.abs(pixels.astype(int) - pillow).max() <= 1


def test_colours_multiplied_with_their_transparency(tmp_path: Path) -> None:
    alpha = np.random.default_rng(0).integers(1, 256, (*PICTURE.shape[:2], 1))
    plain = np.concatenate([PICTURE, alpha], axis=-1).astype(np.uint8)
    multiplied = np.concatenate([(PICTURE * alpha + 127) // 255, alpha], axis=-1).astype(np.uint8)
    expected, _ = read_image(tiff(tmp_path / "a.tif", plain, photometric="rgb", extrasamples=["unassalpha"]))
    pixels, note = read_image(tiff(tmp_path / "b.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"]))
    assert note == "transparency laid over white"
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_twelve_bits_have_their_own_white(tmp_path: Path) -> None:
    deep = PICTURE.astype(np.uint16) * 16 + 15
    conversion = Conversion(np.dtype(np.uint16), bits=12)
    assert conversion.note() == "uint16 of range 0..4095 scaled to 8 bits"
    assert np.abs(conversion.apply(deep).astype(int) - PICTURE).max() <= 1


def test_a_file_that_ends_early_is_said_to(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", PICTURE, photometric="rgb")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.tif: truncated: it ends at byte"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x89PNG\r\n\x1a\n half a head"])
def test_what_is_no_image_is_one_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name) as caught:
        read_image(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("gone.tif", "gone.png"):
        with pytest.raises(MissingError, match=f"no image .*{name}"):
            read_image(tmp_path / name)
