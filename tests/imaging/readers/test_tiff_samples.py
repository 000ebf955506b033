"""Red, green and blue in planes of their own, and focal planes."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.slide import Slide
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(160, seed=3)
PLANES = np.ascontiguousarray(np.moveaxis(PICTURE, -1, 0))
NAMES = ("Red", "Green", "Blue")
COLOURS = (0xFF0000FF - 2**32, 0x00FF00FF, 0x0000FFFF)
"""Red, green and blue as OME writes them: signed, with opacity last."""


def write_ome(
    path: Path, planes: NDArray[Any], channel: dict[str, Any] | None, *, levels: int = 1, **more: Any
) -> Path:
    """Write planes (C, H, W), or (Z, C, H, W), each in a page of its own."""
    axes = "ZCYX"[-planes.ndim :]
    metadata = {"axes": axes, **({"Channel": channel} if channel else {}), **more}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options: dict[str, Any] = {"tile": (64, 64), "photometric": "minisblack"}
        tiff.write(planes, subifds=levels - 1, metadata=metadata, **options)
        for level in range(1, levels):
            tiff.write(np.ascontiguousarray(planes[..., :: 2**level, :: 2**level]), subfiletype=1, **options)
    return path


def require_picture(path: Path, note: str, levels: int = 1) -> None:
    with Slide(path) as slide:
        assert slide.note == note
        assert len(slide.levels) == levels
        for level in range(levels):
            expected = PICTURE[:: 2**level, :: 2**level]
            np.testing.assert_array_equal(slide.read_region(level, 0, 0, *expected.shape[:2]), expected)
        np.testing.assert_array_equal(slide.read_region(0, 30, 50, 70, 20), PICTURE[30:100, 50:70])
    np.testing.assert_array_equal(read_image(path)[0], PICTURE)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("levels", [1, 3])
def test_planes_named_as_colours_are_rgb(tmp_path: Path, order: tuple[int, ...], levels: int) -> None:
    names = [NAMES[one] for one in order]
    path = write_ome(tmp_path / "a.ome.tif", PLANES[list(order)], {"Name": names}, levels=levels)
    require_picture(path, f"planes joined to RGB (channels named {', '.join(names)})", levels)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_planes_coloured_red_green_and_blue_are_rgb(tmp_path: Path, order: tuple[int, ...]) -> None:
    path = write_ome(tmp_path / "a.ome.tif", PLANES[list(order)], {"Color": [COLOURS[one] for one in order]})
    require_picture(path, "planes joined to RGB (channels coloured red, green and blue)")


def test_three_planes_of_8_bits_without_names_are_rgb_and_it_is_said(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", PLANES, None)
    require_picture(path, "planes joined to RGB (three 8-bit channels without names taken as red, green and blue)")


def test_planes_of_stains_are_refused(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", PLANES, {"Name": ["DAPI", "FITC", "Cy5"], "Color": list(COLOURS)})
    with pytest.raises(
        InputError, match=r"a\.ome\.tif: it has channels named DAPI, FITC, Cy5, not red, green and blue; save it as"
    ):
        Slide(path)


@pytest.mark.parametrize("count", [2, 4])
def test_other_numbers_of_planes_are_refused(tmp_path: Path, count: int) -> None:
    planes = np.concatenate([PLANES, PLANES])[:count]
    with pytest.raises(InputError, match=rf"it has {count} channels, not red, green and blue"):
        Slide(write_ome(tmp_path / "a.ome.tif", planes, None))


def test_planes_of_16_bits_are_rgb_where_they_are_named(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", PLANES.astype(np.uint16) * 16, {"Name": list(NAMES)}, SignificantBits=12)
    require_picture(
        path,
        "planes joined to RGB (channels named Red, Green, Blue), "
        "uint16 of range 0..4095 (by SignificantBits) scaled to 8 bits",
    )


@pytest.mark.parametrize(("names", "is_rgb"), [(list(NAMES), True), (["Blue", "Green", "Red"], False)])
def test_planes_of_one_page_are_rgb_where_they_are_named(tmp_path: Path, names: list[str], is_rgb: bool) -> None:
    """As Bio-Formats may tell of separate samples."""
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYCZT" Type="uint8" SizeX="160" SizeY="160" SizeC="3" SizeZ="1" SizeT="1">'
        + "".join(f'<Channel ID="Channel:0:{number}" Name="{name}"/>' for number, name in enumerate(names))
        + '<TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )
    options: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "separate", "metadata": None}
    tifffile.imwrite(tmp_path / "a.ome.tif", PLANES, description=text, **options)
    if is_rgb:
        np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif")[0], PICTURE)
    else:
        with pytest.raises(InputError, match="3 channels that are not declared as colours"):
            Slide(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("is_one_page", [False, True])
@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"mode": "composite"}, "channels coloured red, green and blue"),
        ({"mode": "composite", "Labels": ["Red", "Green", "Blue"]}, "channels named Red, Green, Blue"),
        ({"mode": "color"}, "three 8-bit channels without names taken as red, green and blue"),
    ],
)
def test_composites_of_fiji_are_rgb(tmp_path: Path, metadata: dict[str, Any], reason: str, is_one_page: bool) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANES, imagej=True, metadata={"axes": "CYX", **metadata})
    if is_one_page:
        keep_first_page(path)
    require_picture(path, f"planes joined to RGB ({reason})")


def test_an_rgb_stack_of_imagej_is_rgb(tmp_path: Path) -> None:
    """It has slices, not channels, whose labels name the colours."""
    metadata = {"axes": "ZYX", "Labels": ["Red", "Green", "Blue"]}
    tifffile.imwrite(tmp_path / "a.tif", PLANES, imagej=True, metadata=metadata)
    require_picture(tmp_path / "a.tif", "planes joined to RGB (channels named Red, Green, Blue)")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_pages_named_as_colours_are_rgb_with_their_pyramids(tmp_path: Path, order: tuple[int, ...]) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for step in (1, 2):
            for index in order:
                plane = np.ascontiguousarray(PLANES[index, ::step, ::step])
                name = [(285, 2, 0, ("Red", "Green", "Blue")[index], True)]
                tiff.write(plane, tile=(64, 64), photometric="minisblack", extratags=name, metadata=None)
    names = ", ".join(("Red", "Green", "Blue")[index] for index in order)
    require_picture(tmp_path / "a.tif", f"planes joined to RGB (channels named {names})", levels=2)


def test_pages_with_other_names_are_images_of_their_own(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for plane, name in zip(PLANES, ("Red", "Green", "DAPI"), strict=True):
            tiff.write(plane, photometric="minisblack", extratags=[(285, 2, 0, name, True)], metadata=None)
    with Slide(tmp_path / "a.tif") as slide:
        assert [image.name for image in slide.images] == ["Red", "Green", "DAPI"]


def keep_first_page(path: Path) -> None:
    """Cut off the chain of pages, as ImageJ writes large stacks: the other planes lie behind the first."""
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.offset
    content = bytearray(path.read_bytes())
    (count,) = struct.unpack_from("<H" if content[:2] == b"II" else ">H", content, offset)
    end = offset + 2 + 12 * count
    content[end : end + 4] = bytes(4)
    path.write_bytes(content)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1


def lut(*colour: int) -> NDArray[np.uint8]:
    return np.stack([np.linspace(0, value, 256) for value in colour]).astype(np.uint8)


def test_look_up_tables_of_a_composite_identify_its_channels(tmp_path: Path) -> None:
    luts = [lut(0, 0, 255), lut(0, 255, 0), lut(255, 0, 0)]
    metadata = {"axes": "CYX", "mode": "composite", "LUTs": luts}
    tifffile.imwrite(tmp_path / "a.tif", PLANES[::-1], imagej=True, metadata=metadata)
    require_picture(tmp_path / "a.tif", "planes joined to RGB (channels coloured red, green and blue)")
    luts[1] = lut(255, 0, 255)
    tifffile.imwrite(tmp_path / "b.tif", PLANES[::-1], imagej=True, metadata={**metadata, "LUTs": luts})
    with pytest.raises(InputError, match="it has channels of other colours, not red, green and blue"):
        Slide(tmp_path / "b.tif")


def test_a_composite_with_a_pyramid_behind_it(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif", imagej=False) as tiff:
        text = "ImageJ=1.54f\nimages=3\nchannels=3\nmode=composite\nunit=micron\n"
        for level in range(2):
            for number, plane in enumerate(PLANES[:, :: 2**level, :: 2**level]):
                tiff.write(
                    np.ascontiguousarray(plane),
                    tile=(64, 64),
                    description=text if (level, number) == (0, 0) else None,
                    resolution=(4, 4),
                    resolutionunit="NONE",
                    photometric="minisblack",
                    subfiletype=int(level > 0),
                    metadata=None,
                )
    require_picture(tmp_path / "a.tif", "planes joined to RGB (channels coloured red, green and blue)", levels=2)
    with Slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx(0.25)


def test_the_middle_focal_plane_of_a_stack_is_taken(tmp_path: Path) -> None:
    stack = np.stack([np.full_like(PLANES, 50), PLANES, np.full_like(PLANES, 90), np.full_like(PLANES, 99)])
    joined = "planes joined to RGB (channels named Red, Green, Blue)"
    path = write_ome(tmp_path / "a.ome.tif", stack, {"Name": list(NAMES)}, levels=2)
    require_picture(path, f"{joined}, focal plane 1 of 4 used (the middle one); choose another with `plane`", levels=2)
    with Slide(path, plane=3) as slide:
        assert (slide.read_region(1, 0, 0, 80, 80) == 99).all()
    tifffile.imwrite(tmp_path / "b.tif", stack, imagej=True, metadata={"axes": "ZCYX", "mode": "composite"})
    with Slide(tmp_path / "b.tif") as slide:
        assert (slide.plane, slide.images[0].planes) == (1, 4)
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 160, 160), PICTURE)


def test_times_are_images_of_their_own(tmp_path: Path) -> None:
    series = np.stack([PLANES, PLANES[:, ::-1]])
    tifffile.imwrite(tmp_path / "a.tif", series, imagej=True, metadata={"axes": "TCYX", "mode": "composite"})
    with Slide(tmp_path / "a.tif") as slide:
        assert [image.name for image in slide.images] == ["t=0", "t=1"]
        assert slide.note is not None
        assert slide.note.startswith("the first of several images used (number 0 't=0'); choose another with `series`")
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 160, 160), PICTURE)
    with Slide(tmp_path / "a.tif", series=1) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 160, 160), PICTURE[::-1])


def test_a_stack_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANES, imagej=True, metadata={"axes": "CYX", "mode": "composite"})
    keep_first_page(path)
    path.write_bytes(path.read_bytes()[: 160 * 160 * 2])
    with pytest.raises(InputError, match=r"a\.tif: truncated: it ends at byte"):
        Slide(path)
