import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.scale import make_scale, parse_number, um_per_unit
from monuseg_cli.imaging.slide import Slide
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(64, seed=3)
OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="64" SizeC="3" '
    'SizeZ="1" SizeT="1" {}><Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData/></Pixels></Image></OME>'
)
TAGS: dict[str, Any] = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}


def write(path: Path, description: str | None = None, **options: Any) -> Path:
    tifffile.imwrite(
        path,
        PICTURE,
        tile=(64, 64),
        photometric="rgb",
        metadata=None,
        description=description.encode() if description else None,
        **options,
    )
    return path


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.25", 0.25),
        ("0,5021", 0.5021),
        (" 5E-7 ", 5e-7),
        (".5", 0.5),
        ("-1", -1.0),
        ("1.234,5", None),
        ("0.25 um", None),
        ("", None),
        (None, None),
    ],
)
def test_numbers_have_a_point_or_a_comma(text: str | None, number: float | None) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("unit", "um"),
    [
        ("m", 1e6),
        ("mm", 1e3),
        ("µm", 1),
        ("μm", 1),
        ("um", 1),
        ("micron", 1),
        ("micrometer", 1),
        ("\\u00B5m", 1),
        ("Âµm", 1),
        ("?m", 1),
        ("\N{REPLACEMENT CHARACTER}m", 1),
        ("nm", 1e-3),
        ("Å", 1e-4),
        ("inch", 25400),
        ("pixel", None),
        ("reference frame", None),
        ("", None),
        (None, None),
    ],
)
def test_units_of_length_are_recognised_in_any_spelling(unit: str | None, um: float | None) -> None:
    assert um_per_unit(unit) == (um if um is None else pytest.approx(um))


@pytest.mark.parametrize(
    ("attributes", "mpp"),
    [
        ('PhysicalSizeX="0.227" PhysicalSizeXUnit="µm"', 0.227),
        ('PhysicalSizeX="0.5" PhysicalSizeXUnit="&#181;m"', 0.5),
        ('PhysicalSizeX="0.5" PhysicalSizeXUnit="&#xB5;m"', 0.5),
        ('PhysicalSizeX="0.5" PhysicalSizeXUnit="&micro;m"', 0.5),
        ('PhysicalSizeX="5E-7" PhysicalSizeXUnit="m"', 0.5),
        ('PhysicalSizeX="227" PhysicalSizeXUnit="nm"', 0.227),
        ("PhysicalSizeX='0.25' PhysicalSizeY='0.25' PhysicalSizeXUnit='µm' PhysicalSizeYUnit='µm'", 0.25),
        ('PhysicalSizeX = "0.25"', 0.25),
        ('PhysicalSizeX="0,25" PhysicalSizeY="0,25"', 0.25),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25" PhysicalSizeYUnit="µm"', 0.25),
        ('PhysicalSizeX="50" PhysicalSizeXUnit="µm"', None),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"', None),
        ("", None),
    ],
)
def test_ome_states_a_scale_in_any_unit_and_spelling(tmp_path: Path, attributes: str, mpp: float | None) -> None:
    with Slide(write(tmp_path / "a.tif", OME.format(attributes))) as slide:
        assert slide.kind == "OME-TIFF"
        assert slide.mpp == (mpp if mpp is None else pytest.approx(mpp))


@pytest.mark.parametrize("attributes", ["", 'PhysicalSizeX="1" PhysicalSizeXUnit="pixel"', 'PhysicalSizeX="0"'])
def test_where_ome_says_nothing_the_tags_count(tmp_path: Path, attributes: str) -> None:
    with Slide(write(tmp_path / "a.tif", OME.format(attributes), **TAGS)) as slide:
        assert slide.mpp == pytest.approx(0.5)
        assert slide.mpp_source == "resolution tags"


def test_what_ome_says_counts_more_than_the_tags(tmp_path: Path) -> None:
    with Slide(write(tmp_path / "a.tif", OME.format('PhysicalSizeX="0.25"'), **TAGS)) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "OME's PhysicalSizeX")


def test_ome_of_an_image_of_another_size_is_ignored(tmp_path: Path) -> None:
    """As where a picture was made smaller, and its description kept."""
    text = OME.format('PhysicalSizeX="0.25"').replace('SizeX="64" SizeY="64"', 'SizeX="128" SizeY="128"')
    with Slide(write(tmp_path / "a.tif", text, **TAGS)) as slide:
        assert slide.mpp == pytest.approx(0.5)
        assert slide.note is not None
        assert "OME-XML ignored, since it states 128 x 128 pixels" in slide.note


@pytest.mark.parametrize(
    ("fields", "mpp", "source"),
    [
        ("AppMag = 20|MPP = 0.4990", 0.499, "Aperio's MPP"),
        ("MPP = 0,5021", 0.5021, "Aperio's MPP"),
        ("AppMag = 20|MPP = 0,2521", 0.2521, "Aperio's MPP"),
        ("AppMag = 20", 0.5, "Aperio's AppMag"),
        ("AppMag = 20x", 0.5, "Aperio's AppMag"),
        ("MPP = '0.25'", 0.25, "Aperio's MPP"),
        ('Mpp = "0.5" ', 0.5, "Aperio's MPP"),
        ("AppMag = 20|MPP = 0", 0.5, "Aperio's AppMag"),
        ("AppMag = 20|OriginalMPP = 0.1", 0.5, "Aperio's AppMag"),
        ("MPP=0.25", 0.25, "Aperio's MPP"),
        ("Date = 1", None, "not stated"),
    ],
)
@pytest.mark.parametrize("dots", [None, 1, 72])
def test_aperio_states_a_scale(tmp_path: Path, fields: str, mpp: float | None, source: str, dots: int | None) -> None:
    """What the tags say by themselves is then no scale, and not worth a word."""
    text = f"Aperio Image Library v12\r\n64x64 [0,0 64x64] (64x64) JPEG/RGB Q=70|{fields}"
    tags: dict[str, Any] = {"resolution": (dots, dots), "resolutionunit": "INCH"} if dots else {}
    with Slide(write(tmp_path / "a.svs", text, **tags)) as slide:
        assert slide.mpp == (mpp if mpp is None else pytest.approx(mpp))
        assert slide.mpp_source == source


def test_aperio_in_strips_states_a_scale_as_well(tmp_path: Path) -> None:
    text = "Aperio Image Library v12\r\n64x64|MPP = 0.25"
    tifffile.imwrite(tmp_path / "a.svs", PICTURE, photometric="rgb", metadata=None, description=text)
    with Slide(tmp_path / "a.svs") as slide:
        assert slide.mpp == 0.25


def test_pixels_that_are_not_square_are_refused_beyond_2_percent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", resolution=(40000, 20000), resolutionunit="CENTIMETER")
    with Slide(path) as slide:
        assert slide.mpp is None
        assert slide.mpp_source == "pixels that are not square: 0.25 x 0.5 um/px by resolution tags"
        with pytest.raises(InputError, match=r"a\.tif states pixels that are not square: 0\.25 x 0\.5 um/px"):
            slide.require_square()


def test_pixels_that_are_about_square_have_the_scale_of_rows(tmp_path: Path) -> None:
    with Slide(write(tmp_path / "a.tif", resolution=(40000, 40400), resolutionunit="CENTIMETER")) as slide:
        assert slide.mpp == pytest.approx(0.25)
        slide.require_square()


def test_dots_that_are_not_credible_are_not_said_to_be_square_or_not(tmp_path: Path) -> None:
    with Slide(write(tmp_path / "a.tif", resolution=(72, 36), resolutionunit="INCH")) as slide:
        assert slide.mpp_source == "not credible: 352.8 x 705.6 um/px by resolution tags"
        slide.require_square()


def test_a_plain_picture_may_have_dots_that_are_not_square(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png", dpi=(101600, 50800))
    with Slide(tmp_path / "a.png") as slide:
        assert slide.mpp is None
        with pytest.raises(InputError, match="not square"):
            slide.require_square()


@pytest.mark.parametrize("value", [None, 0.0, -1.0, math.inf, math.nan])
def test_what_is_no_length_is_not_stated(value: float | None) -> None:
    assert make_scale(value, value, "tags") is None
    one = make_scale(value, 0.5, "tags")
    assert one is not None
    assert one.mpp == 0.5


@pytest.mark.parametrize(("unit", "per_unit"), [("MILLIMETER", 4000), ("MICROMETER", 4)])
def test_units_that_tifffile_adds_to_those_of_tiff(tmp_path: Path, unit: str, per_unit: int) -> None:
    options: dict[str, Any] = {"resolution": (per_unit, per_unit), "resolutionunit": unit, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, photometric="rgb", **options)
    with Slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("unit", "per_unit", "of_tags"),
    [("micron", 4, "INCH"), ("cm", 40_000, "INCH"), ("cm", 40_000, "NONE"), ("micron", 40_000, "CENTIMETER")],
)
def test_imagejs_unit_counts_more_than_that_of_the_tags_where_it_is_credible(
    tmp_path: Path, unit: str, per_unit: int, of_tags: str
) -> None:
    """40,000 pixels per micrometre are not, and 40,000 per centimetre are."""
    options: dict[str, Any] = {"resolution": (per_unit, per_unit), "resolutionunit": of_tags}
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, imagej=True, metadata={"unit": unit, "axes": "YXS"}, **options)
    with Slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx(0.25)


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m", "mm", "nm"])
def test_imagej_names_the_unit_of_the_tags(tmp_path: Path, unit: str) -> None:
    per_unit = {"mm": 4000.0, "nm": 0.004}.get(unit, 4.0)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.ascontiguousarray(PICTURE),
        imagej=True,
        resolution=(per_unit, per_unit),
        metadata={"unit": unit, "axes": "YXS"},
    )
    with Slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx(0.25)
        assert slide.mpp_source == "ImageJ's scale"


def test_a_document_type_in_ome_is_refused(tmp_path: Path) -> None:
    text = OME.format('PhysicalSizeX="&big;"').replace("<OME", '<!DOCTYPE OME [<!ENTITY big "0.5">]><OME', 1)
    with pytest.raises(InputError, match=r"a\.tif: its XML has a document type, which can define entities"):
        Slide(write(tmp_path / "a.tif", text))


def test_ome_that_is_cut_off_states_nothing(tmp_path: Path) -> None:
    text = OME.format('PhysicalSizeX="0.25"').replace("</Pixels>", "") + "<!-- </OME>"
    with Slide(write(tmp_path / "a.tif", text)) as slide:
        assert (slide.mpp, slide.mpp_source) == (None, "not stated")
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 64, 64), PICTURE)
