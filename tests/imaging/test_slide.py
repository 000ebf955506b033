import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.slide import Slide
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(200, seed=3)


def pyramid(path: Path, **options: Any) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(PICTURE, tile=(64, 64), subifds=2, metadata=None, **options)
        for factor in (2, 4):
            tiff.write(PICTURE[::factor, ::factor], tile=(64, 64), subfiletype=1, metadata=None)
    return path


def test_levels_and_regions_of_a_pyramid_are_read(tmp_path: Path) -> None:
    with Slide(pyramid(tmp_path / "a.tif")) as slide:
        assert [level.shape for level in slide.levels] == [(200, 200), (100, 100), (50, 50)]
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        np.testing.assert_array_equal(slide.read_region(0, 30, 50, 100, 77), PICTURE[30:130, 50:127])
        np.testing.assert_array_equal(slide.read_region(2, 1, 2, 40, 41), PICTURE[::4, ::4][1:41, 2:43])
        assert [slide.level_for(wanted) for wanted in (0.5, 1, 1.99, 2, 3, 4, 100)] == [0, 0, 1, 1, 1, 2, 2]


def test_a_plain_picture_is_a_slide_of_one_level(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    with Slide(tmp_path / "a.png") as slide:
        assert (slide.shape, len(slide.levels), slide.mpp, slide.note) == ((200, 200), 1, None, None)
        np.testing.assert_array_equal(slide.read_region(0, 5, 6, 7, 8), PICTURE[5:12, 6:14])


OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
    'DimensionOrder="XYCZT" Type="uint8" SizeX="200" SizeY="200" SizeC="3" SizeZ="1" SizeT="1" {}>'
    '<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData/></Pixels></Image></OME>'
)


@pytest.mark.parametrize(
    ("options", "mpp"),
    [
        ({"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}, 0.25),
        ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (96, 96), "resolutionunit": "INCH"}, None),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        ({"resolution": (1, 1), "resolutionunit": "NONE"}, None),
        ({}, None),
        ({"description": "Aperio Image Library v11\r\n200x200|AppMag = 20|MPP = 0.4990"}, 0.499),
        ({"description": "Aperio Image Library v11\r\n200x200|AppMag = 20"}, 0.5),
        ({"description": "Aperio Image Library v11\r\n200x200"}, None),
        ({"description": "ImageJ=1.53\nunit=micron\n", "resolution": (4, 4), "resolutionunit": "NONE"}, 0.25),
        ({"description": "ImageJ=1.53\nunit=pixel\n", "resolution": (4, 4), "resolutionunit": "NONE"}, None),
        ({"description": OME.format('PhysicalSizeX="0.227" PhysicalSizeXUnit="µm"').encode()}, 0.227),
        ({"description": OME.format('PhysicalSizeX="227" PhysicalSizeXUnit="nm"').encode()}, 0.227),
        ({"description": OME.format('PhysicalSizeX="0.227"').encode()}, 0.227),
        ({"description": OME.format("").encode()}, None),
        ({"description": OME.format('PhysicalSizeX="50" PhysicalSizeXUnit="µm"').encode()}, None),
    ],
)
def test_the_scale_is_read_where_it_is_credible(tmp_path: Path, options: dict[str, Any], mpp: float | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PICTURE, tile=(64, 64), metadata=None, **options)
    with Slide(path) as slide:
        assert slide.mpp == (None if mpp is None else pytest.approx(mpp))


def test_the_source_of_the_scale_is_stated(tmp_path: Path) -> None:
    said = {}
    stated: dict[str, dict[str, Any]] = {
        "tags": {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"},
        "odd": {"resolution": (72, 72), "resolutionunit": "INCH"},
        "none": {},
        "aperio": {"description": "Aperio Image Library v11\r\n200x200|AppMag = 20|MPP = 0.4990"},
    }
    for name, options in stated.items():
        tifffile.imwrite(tmp_path / "a.tif", PICTURE, tile=(64, 64), metadata=None, **options)
        with Slide(tmp_path / "a.tif") as slide:
            said[name] = slide.mpp_source
    assert said == {
        "tags": "resolution tags",
        "odd": "not credible: 352.8 um/px by resolution tags",
        "none": "not stated",
        "aperio": "Aperio's MPP",
    }


@pytest.mark.parametrize(("dpi", "mpp"), [(72, None), (96, None), (300, None), (101600, 0.25)])
def test_credible_dots_per_inch_are_the_scale(tmp_path: Path, dpi: int, mpp: float | None) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png", dpi=(dpi, dpi))
    with Slide(tmp_path / "a.png") as slide:
        assert slide.mpp == (None if mpp is None else pytest.approx(mpp, rel=1e-3))


def test_a_damaged_tile_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PICTURE, tile=(64, 64), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.dataoffsets[5]
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = b"\xff" * 20
    path.write_bytes(content)
    with Slide(path) as slide:
        slide.read_region(0, 0, 0, 64, 64)
        with pytest.raises(InputError, match=r"a\.tif: level 0, damaged at row 64, column 64: "):
            slide.read_region(0, 0, 0, 200, 200)
    with Slide(path, skip_damaged=True) as slide:
        pixels = slide.read_region(0, 0, 0, 200, 200)
        assert slide.damaged == ["level 0, row 64, column 64"]
    expected = PICTURE.copy()
    expected[64:128, 64:128] = 255
    np.testing.assert_array_equal(pixels, expected)


def test_a_level_that_ends_early_is_found_when_the_slide_is_opened(tmp_path: Path) -> None:
    path = pyramid(tmp_path / "a.tif")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"a\.tif: "):
        Slide(path)


def test_a_tag_of_hundreds_of_values_is_not_quoted_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    with tifffile.TiffFile(path) as tiff:
        count_at = tiff.pages.first.tags["PhotometricInterpretation"].offset + 4
    content = bytearray(path.read_bytes())
    struct.pack_into("<II", content, count_at, 400, 8)  # the values stand from byte 8 on
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tif: \(.* \.\.\.; ") as caught:
        Slide(path)
    assert len(str(caught.value)) < 400 + len(str(path))
