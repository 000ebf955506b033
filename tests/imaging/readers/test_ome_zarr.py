import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import zarr

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.slide import Slide
from support.ome_zarr import CHUNK, RGB, write_ome_zarr
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(150, seed=3)
PLANES = np.ascontiguousarray(np.moveaxis(PICTURE, -1, 0))
NAMED = "planes joined to RGB (channels named Red, Green, Blue)"
BOTH = pytest.mark.parametrize("zarr_format", [2, 3])

Format = Literal[2, 3]


@BOTH
@pytest.mark.parametrize("axes", ["cyx", "tczyx", "yxc"])
@pytest.mark.parametrize(("mpp", "unit"), [(0.25, "micrometer"), (250, "nanometer"), (2.5e-4, "millimeter")])
def test_a_store_is_read_with_its_scale_and_levels(
    tmp_path: Path, zarr_format: Format, axes: str, mpp: float, unit: str
) -> None:
    pixels = {"cyx": PLANES, "tczyx": PLANES[None, :, None], "yxc": PICTURE}[axes]
    path = write_ome_zarr(tmp_path / "a.zarr", pixels, axes, zarr_format=zarr_format, mpp=mpp, unit=unit)
    with Slide(path) as slide:
        assert (slide.kind, slide.note) == ("OME-Zarr", NAMED)
        assert slide.mpp == pytest.approx(0.25)
        assert [(level.shape, level.downsample, level.chunk) for level in slide.levels] == [
            ((150, 150), 1, (CHUNK, CHUNK)),
            ((75, 75), 2, (CHUNK, CHUNK)),
        ]
        np.testing.assert_array_equal(slide.read_region(0, 30, 50, 100, 77), PICTURE[30:130, 50:127])
        np.testing.assert_array_equal(slide.read_region(1, 1, 2, 70, 71), PICTURE[::2, ::2][1:71, 2:73])


@BOTH
@pytest.mark.parametrize("mpp", [None, 0.25])
def test_a_scale_without_a_unit_is_not_stated(tmp_path: Path, zarr_format: Format, mpp: float | None) -> None:
    with Slide(write_ome_zarr(tmp_path / "a", PLANES, "cyx", zarr_format=zarr_format, mpp=mpp, unit=None)) as slide:
        assert (slide.mpp, slide.mpp_source) == (None, "not stated")


def test_the_scale_of_all_levels_counts_too(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a", PLANES, "cyx", zarr_format=2, mpp=0.5)
    group = zarr.open_group(path)
    stored: Any = group.attrs["multiscales"]
    (multiscale,) = stored
    multiscale["coordinateTransformations"] = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    group.attrs["multiscales"] = [multiscale]
    with Slide(path) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "OME-Zarr's scale")


def test_the_scale_is_that_of_the_finest_level_whatever_is_listed_first(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a", PLANES, "cyx")
    with_metadata(path, lambda ome: ome["multiscales"][0]["datasets"].reverse())
    with Slide(path) as slide:
        assert [level.shape for level in slide.levels] == [(150, 150), (75, 75)]
        assert slide.mpp == 0.25


def with_metadata(path: Path, change: Callable[[Any], object]) -> None:
    """Change the metadata of OME-Zarr 0.5."""
    group = zarr.open_group(path)
    stored: Any = dict(group.attrs)["ome"]
    change(stored)
    group.attrs["ome"] = stored


@pytest.mark.parametrize(
    "change",
    [
        lambda ome: ome.update(multiscales={"a": 1}),
        lambda ome: ome["multiscales"][0].update(datasets="x"),
        lambda ome: ome["multiscales"][0].update(datasets=[]),
        lambda ome: ome["multiscales"][0]["datasets"][0].update(path="no such"),
        lambda ome: ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0].update(scale=["a", 1, 1]),
        lambda ome: ome.update(omero={"channels": [1, 2, 3]}),
        lambda ome: ome["multiscales"][0].update(axes=5),
    ],
    ids=["dict", "word", "no levels", "no array", "scale", "channels", "axes"],
)
def test_metadata_of_another_kind_are_refused(tmp_path: Path, change: Callable[[Any], object]) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", PLANES, "cyx")
    with_metadata(path, change)
    with pytest.raises(InputError, match=r"a\.zarr: its metadata are not those of OME-Zarr .*; write the store again"):
        Slide(path)


def test_the_first_of_several_times_is_taken_and_it_is_said(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", np.stack([PLANES, 255 - PLANES]), "tcyx")
    with Slide(path) as slide:
        assert slide.note == f"{NAMED}, the first of 2 times taken"
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), PICTURE)


@BOTH
def test_pixels_that_are_not_square_are_refused(tmp_path: Path, zarr_format: Format) -> None:
    path = write_ome_zarr(tmp_path / "a", PLANES, "cyx", zarr_format=zarr_format)
    group = zarr.open_group(path)
    stored: Any = group.attrs if zarr_format == 2 else group.attrs["ome"]
    attributes: dict[str, Any] = dict(stored)
    attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] = [1, 0.25, 0.5]
    group.attrs.update(attributes if zarr_format == 2 else {"ome": attributes})
    with Slide(path) as slide, pytest.raises(InputError, match=r"pixels that are not square: 0\.5 x 0\.25 um/px"):
        slide.require_square()


def with_hole(value: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    picture = PICTURE.copy()
    picture[CHUNK : 2 * CHUNK, :CHUNK] = value
    return picture


@BOTH
@pytest.mark.parametrize("axes", ["cyx", "tczyx", "yxc"])
@pytest.mark.parametrize("sharded", [False, True])
def test_missing_chunks_are_glass(tmp_path: Path, zarr_format: Format, axes: str, sharded: bool) -> None:
    """Chunks of zeros are not written."""
    if sharded and (zarr_format == 2 or axes != "cyx"):
        pytest.skip("only Zarr 3 has shards")
    black = with_hole(0)
    planes = np.moveaxis(black, -1, 0)
    pixels = {"cyx": planes, "tczyx": planes[None, :, None], "yxc": black}[axes]
    options: dict[str, Any] = {"shards": (1, 2 * CHUNK, 2 * CHUNK)} if sharded else {}
    path = write_ome_zarr(tmp_path / "a", pixels, axes, zarr_format=zarr_format, **options)
    with Slide(path) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), with_hole(255))
        np.testing.assert_array_equal(slide.read_region(0, 70, 10, 20, 90), with_hole(255)[70:90, 10:100])


@BOTH
def test_a_colour_that_is_missing_alone_is_black(tmp_path: Path, zarr_format: Format) -> None:
    """As the red of blue ink."""
    ink = PICTURE.copy()
    ink[CHUNK : 2 * CHUNK, :CHUNK, 0] = 0
    path = write_ome_zarr(tmp_path / "a", np.moveaxis(ink, -1, 0), "cyx", zarr_format=zarr_format)
    with Slide(path) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), ink)
        np.testing.assert_array_equal(slide.read_region(0, 70, 10, 20, 90), ink[70:90, 10:100])


@BOTH
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_the_bit_depth_is_derived_from_the_largest_sample(tmp_path: Path, zarr_format: Format, bits: int) -> None:
    light = PICTURE.copy()
    light[:2] = 255
    planes = np.moveaxis(light, -1, 0).astype(np.uint16) << (bits - 8)
    with Slide(write_ome_zarr(tmp_path / "a", planes, "cyx", zarr_format=zarr_format)) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), light)
        reason = " (by its largest sample)" if bits < 16 else ""
        assert slide.note == f"{NAMED}, uint16 of range 0..{2**bits - 1}{reason} scaled to 8 bits"


def test_channels_in_another_order(tmp_path: Path) -> None:
    with Slide(write_ome_zarr(tmp_path / "a", PLANES[::-1], "cyx", channels=RGB[::-1])) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), PICTURE)


def test_channels_of_stains_are_refused(tmp_path: Path) -> None:
    stains = [{"label": name, "color": "FF0000"} for name in ("DAPI", "FITC", "Cy5")]
    with pytest.raises(InputError, match="it has channels named DAPI, FITC, Cy5, not red, green and blue"):
        Slide(write_ome_zarr(tmp_path / "a", PLANES, "cyx", channels=stains))


def test_the_middle_focal_plane_is_taken(tmp_path: Path) -> None:
    stack = np.stack([np.full_like(PLANES, 9), PLANES, np.full_like(PLANES, 7)], axis=1)
    path = write_ome_zarr(tmp_path / "a", stack, "czyx")
    with Slide(path) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), PICTURE)
        assert slide.note == f"{NAMED}, focal plane 1 of 3 used (the middle one); choose another with `plane`"
    with Slide(path, plane=2) as slide:
        assert (slide.read_region(1, 0, 0, 75, 75) == 7).all()


def write_as_bioformats2raw(path: Path) -> Path:
    """Write a store of a scan and a larger label, whose names stand in OME-XML."""
    zarr.open_group(path, mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    label = np.full((1, 3, 1, 200, 300), 230, np.uint8)
    write_ome_zarr(path / "0", label, "tczyx", zarr_format=2, mpp=2.0)
    write_ome_zarr(path / "1", PLANES[None, :, None], "tczyx", zarr_format=2)
    pixels = '<Pixels DimensionOrder="XYCZT" SizeX="9" SizeY="9" SizeC="3" SizeZ="1" SizeT="1" Type="uint8"/>'
    (path / "OME").mkdir()
    (path / "OME" / "METADATA.ome.xml").write_text(
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image Name="label image">{pixels}</Image><Image Name="a.svs">{pixels}</Image></OME>'
    )
    return path


def test_the_scan_of_a_store_with_several_images_is_taken(tmp_path: Path) -> None:
    path = write_as_bioformats2raw(tmp_path / "a.zarr")
    with Slide(path) as slide:
        assert [(image.name, image.role) for image in slide.images] == [("label image", "label"), ("a.svs", "scan")]
        assert (slide.series, slide.mpp, slide.note) == (1, 0.25, NAMED)
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), PICTURE)
    with Slide(path / "1") as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 150), PICTURE)


@BOTH
def test_a_damaged_chunk_is_an_error_or_glass(tmp_path: Path, zarr_format: Format) -> None:
    path = write_ome_zarr(tmp_path / "a", PLANES, "cyx", zarr_format=zarr_format)
    chunk = path / ("0/1.1.1" if zarr_format == 2 else "0/c/1/1/1")
    chunk.write_bytes(b"damaged")
    with Slide(path) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 64, 150), PICTURE[:64])
        with pytest.raises(
            InputError, match=r"a: level 0, damaged at row 0, column 0: .*; `skip_damaged=True` continues"
        ):
            slide.read_region(0, 0, 0, 150, 150)
    with Slide(path, skip_damaged=True) as slide:
        pixels = slide.read_region(0, 0, 0, 150, 150)
        assert slide.damaged == ["level 0, row 64, column 64"]
    expected = PICTURE.copy()
    expected[64:128, 64:128] = 255
    np.testing.assert_array_equal(pixels, expected)


@BOTH
def test_stores_without_an_image_are_refused(tmp_path: Path, zarr_format: Format) -> None:
    group = zarr.open_group(tmp_path / "a", mode="w", zarr_format=zarr_format)
    with pytest.raises(InputError, match="a: it is a Zarr store without OME-Zarr images; name the folder of an image"):
        Slide(tmp_path / "a")
    plate: dict[str, Any] = {"plate": {"wells": []}}
    group.attrs.update(plate if zarr_format == 2 else {"ome": plate})
    with pytest.raises(InputError, match="a: it is a plate of wells; name the folder of an image in it"):
        Slide(tmp_path / "a")
    zarr.create_array(tmp_path / "b", shape=(8, 8), dtype="u1", zarr_format=zarr_format)
    with pytest.raises(InputError, match=r"b: a Zarr store without OME-Zarr images \("):
        Slide(tmp_path / "b")


@pytest.mark.parametrize(
    "attributes",
    [
        {"multiscales": "no list"},
        {"multiscales": [{}]},
        {"multiscales": [{"datasets": []}]},
        {"multiscales": [{"datasets": [{"path": "gone"}]}]},
        {"multiscales": [{"datasets": [{"path": "../../a"}]}]},
        {"multiscales": [{"axes": 5, "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["y"], "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["y", "x", "q"], "datasets": [{"path": "0"}]}]},
    ],
    ids=str,
)
def test_metadata_without_a_meaning_are_one_error(tmp_path: Path, attributes: dict[str, Any]) -> None:
    group = zarr.open_group(tmp_path / "a", mode="w", zarr_format=2)
    group.create_array("0", shape=(8, 8, 3), dtype="u1")
    group.attrs.update(attributes)
    with pytest.raises(InputError, match="a: ") as caught:
        Slide(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_without_zarr_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ome_zarr(tmp_path / "a", PLANES, "cyx")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError) as caught:
        Slide(path)
    said = "OME-Zarr is read through zarr, which is not installed; pip install 'monuseg-cli[slides]'"
    assert str(caught.value) == f"{path}: {said}"
