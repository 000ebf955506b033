"""Which image of a TIFF is taken, whatever stands first in the file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.slide import Slide
from support.scanners import halved, per_cm, write_ndpi, write_philips, write_scn
from support.tissue import draw_tissue

SCAN, _ = draw_tissue(256, seed=3)
OTHER, _ = draw_tissue(192, seed=4)
MACRO = np.full((120, 400, 3), 200, np.uint8)
LABEL = np.full((300, 280, 3), 230, np.uint8)
OME_SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
TILED: Mapping[str, Any] = {"tile": (64, 64), "photometric": "rgb"}

Pages = Sequence[tuple[NDArray[Any], dict[str, Any]]]


def write(path: Path, pages: Pages, **options: Any) -> Path:
    with tifffile.TiffWriter(path, **options) as tiff:
        for pixels, more in pages:
            tiff.write(pixels, **{"photometric": "rgb", "metadata": None, **more})
    return path


def require_scan(path: Path, levels: int = 1, note: str | None = None) -> Slide:
    with Slide(path) as slide:
        assert [level.shape for level in slide.levels] == [
            (SCAN.shape[0] >> level, SCAN.shape[1] >> level) for level in range(levels)
        ]
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), SCAN)
        for level in range(1, levels):
            expected = SCAN[:: 2**level, :: 2**level]
            np.testing.assert_array_equal(slide.read_region(level, 0, 0, *expected.shape[:2]), expected)
        assert slide.note == note
        np.testing.assert_array_equal(read_image(path)[0], SCAN)
        return slide


def ome(name: str | None = None, mpp: float | None = None) -> dict[str, Any]:
    named = {"Name": name} if name else {}
    return {"metadata": {"axes": "YXS", **named, **({"PhysicalSizeX": mpp, "PhysicalSizeY": mpp} if mpp else {})}}


@pytest.mark.parametrize("name", ["macro image", "label image", "Overview", "Thumbnail", "map", "slide 7 label"])
@pytest.mark.parametrize("first", [True, False])
def test_what_is_named_otherwise_is_no_scan_of_an_ome_tiff(tmp_path: Path, name: str, first: bool) -> None:
    """Also where it is larger than the scan."""
    pages = [(LABEL, {"tile": (64, 64), **ome(name, 2.0)}), (SCAN, {"tile": (64, 64), **ome("region", 0.25)})]
    slide = require_scan(write(tmp_path / "a.ome.tif", pages if first else pages[::-1], ome=True))
    assert slide.mpp == 0.25
    assert slide.series == (1 if first else 0)
    beside = slide.images[1 - slide.series]
    assert (beside.name, beside.shape, beside.role != "scan") == (name, LABEL.shape[:2], True)


def test_the_scale_is_never_that_of_another_image(tmp_path: Path) -> None:
    pages = [(SCAN, {"tile": (64, 64), **ome()}), (MACRO, ome("macro image", 2.0))]
    slide = require_scan(write(tmp_path / "a.ome.tif", pages, ome=True))
    assert (slide.mpp, slide.mpp_source) == (None, "not stated")
    assert slide.images[1].scale is not None


def test_the_largest_of_several_scans_is_taken_and_it_is_said(tmp_path: Path) -> None:
    pages = [(OTHER, ome("piece 1", 0.5)), (SCAN, ome("piece 2", 0.25)), (MACRO, ome("macro image", 2.0))]
    path = write(tmp_path / "a.ome.tif", pages, ome=True)
    note = "the largest of several images used (number 1 'piece 2'); choose another with `series`"
    slide = require_scan(path, note=note)
    assert slide.mpp == 0.25
    with Slide(path, series=0) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), OTHER)
        assert (slide.mpp, slide.note, slide.series) == (0.5, None, 0)
    with Slide(path, series=2) as slide:
        assert slide.shape == MACRO.shape[:2]
    for wrong in (3, -1):
        with pytest.raises(InputError, match=rf"a\.ome\.tif: it has no image {wrong}, only 0 to 2; give another"):
            Slide(path, series=wrong)


@pytest.mark.parametrize("container", ["a.ome.tif", "a.tif"])
def test_a_large_picture_without_a_name_is_no_pyramid(tmp_path: Path, container: str) -> None:
    """It is an overview, unless it has the proportions of the pyramid."""
    is_ome, half = container == "a.ome.tif", halved(SCAN)
    path = tmp_path / container

    def write_beside(picture: NDArray[np.uint8]) -> None:
        with tifffile.TiffWriter(path, ome=is_ome) as tiff:
            tiff.write(picture, photometric="rgb", metadata={"axes": "YXS"} if is_ome else None)
            tiff.write(SCAN, subifds=1, metadata={"axes": "YXS"} if is_ome else None, **TILED)
            tiff.write(half, subfiletype=1, metadata=None, **TILED)

    write_beside(LABEL)
    name = " 'Image1'" if is_ome else ""
    note = f"the largest pyramid of several images used (number 1{name}); choose another with `series`"
    require_scan(path, levels=2, note=note)
    write_beside(np.ascontiguousarray(np.tile(OTHER, (2, 2, 1))))
    with Slide(path) as slide:
        assert slide.series == 0
        assert (slide.note or "").startswith("the largest of several images used (number 0")


def test_of_equal_scans_the_first_is_taken(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([SCAN, SCAN[::-1]]), photometric="rgb", metadata=None)
    require_scan(tmp_path / "a.tif", note="the first of several images used (number 0); choose another with `series`")


def test_a_pyramid_of_pages_has_its_levels_in_any_order(tmp_path: Path) -> None:
    levels = [np.ascontiguousarray(SCAN[::step, ::step]) for step in (1, 2, 4)]
    for number, order in enumerate(((0, 1, 2), (2, 1, 0), (1, 0, 2))):
        for flagged in (True, False):
            pages: Pages = [
                (levels[one], {"tile": (64, 64), "subfiletype": int(flagged and one > 0), **per_cm(0.25 * 2**one)})
                for one in order
            ]
            slide = require_scan(write(tmp_path / f"{number}{flagged}.tif", pages), levels=3)
            assert slide.mpp == pytest.approx(0.25)


def test_pyramids_of_several_scans_are_kept_apart(tmp_path: Path) -> None:
    pages = [(level, {"tile": (64, 64)}) for scan in (SCAN[::-1], SCAN) for level in (scan, halved(scan))]
    path = write(tmp_path / "a.tif", pages)
    for series, scan in enumerate((SCAN[::-1], SCAN)):
        with Slide(path, series=series) as slide:
            assert [level.shape for level in slide.levels] == [(256, 256), (128, 128)]
            np.testing.assert_array_equal(slide.read_region(1, 0, 0, 128, 128), halved(scan))


def test_pyramids_whose_levels_are_stored_in_turn_are_kept_apart(tmp_path: Path) -> None:
    """First all scans, then all halves of them, and so on."""
    scans = SCAN, SCAN[::-1], SCAN[:, ::-1]
    pages = [(np.ascontiguousarray(scan[::step, ::step]), {"tile": (64, 64)}) for step in (1, 2, 4) for scan in scans]
    path = write(tmp_path / "a.tif", pages)
    for series, scan in enumerate(scans):
        with Slide(path, series=series) as slide:
            assert len(slide.levels) == 3
            for level in (1, 2):
                step = 2**level
                part = slide.read_region(level, 0, 0, *slide.levels[level].shape)
                np.testing.assert_array_equal(part, scan[::step, ::step])


def test_levels_of_which_it_is_not_certain_whose_they_are_are_not_taken(tmp_path: Path) -> None:
    pages: Pages = [(scan, {"tile": (64, 64)}) for scan in (SCAN, SCAN[::-1], halved(SCAN[::-1]))]
    path = write(tmp_path / "a.tif", pages)
    with Slide(path) as slide:
        assert [level.shape for level in slide.levels] == [(256, 256)]
        assert [image.shape for image in slide.images] == [(256, 256), (256, 256), (128, 128)]


def test_a_scan_of_half_the_size_of_another_is_no_level_of_it(tmp_path: Path) -> None:
    second = halved(SCAN[::-1])
    scans = SCAN, np.ascontiguousarray(SCAN[::4, ::4]), second, halved(second)
    path = write(tmp_path / "a.tif", [(scan, {"tile": (64, 64)}) for scan in scans])
    for series, (scan, level) in enumerate((scans[:2], scans[2:])):
        with Slide(path, series=series) as slide:
            np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), scan)
            np.testing.assert_array_equal(slide.read_region(1, 0, 0, *slide.levels[1].shape), level)


def test_a_reduced_picture_in_strips_is_a_level_of_a_tiled_scan_where_it_halves_it(tmp_path: Path) -> None:
    """Labels and thumbnails have any size."""
    third = np.ascontiguousarray(SCAN[::3, ::3])
    pages: Pages = [(SCAN, {"tile": (64, 64)}), (third, {"subfiletype": 1}), (halved(SCAN), {"subfiletype": 1})]
    slide = require_scan(write(tmp_path / "a.tif", pages), levels=2)
    assert [image.role for image in slide.images] == ["scan", "thumbnail"]


@pytest.mark.parametrize("is_in_subifds", [False, True])
def test_levels_are_turned_as_their_base_is(tmp_path: Path, is_in_subifds: bool) -> None:
    """The tag may stand in the first page alone."""
    turned = np.ascontiguousarray(np.rot90(SCAN))  # orientation 6: to be turned to the right
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tag = [(274, 3, 1, 6, True)]
        tiff.write(turned, subifds=int(is_in_subifds), extratags=tag, metadata=None, **TILED)
        tiff.write(halved(turned), subfiletype=1, metadata=None, **TILED)
    with Slide(tmp_path / "a.tif") as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), SCAN)
        np.testing.assert_array_equal(slide.read_region(1, 0, 0, 128, 128), np.rot90(halved(turned), -1))


def test_pyramids_in_subifds(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        tiff.write(MACRO, photometric="rgb", **ome("macro image"))
        tiff.write(SCAN, subifds=1, **TILED, **ome("scan", 0.25))
        tiff.write(halved(SCAN), subfiletype=1, **TILED)
    assert require_scan(tmp_path / "a.ome.tif", levels=2).mpp == 0.25


def test_a_picture_of_other_proportions_is_no_level(tmp_path: Path) -> None:
    pages: Pages = [(SCAN, {"tile": (64, 64)}), (np.ascontiguousarray(SCAN[:120:2, ::2]), {"tile": (64, 64)})]
    path = write(tmp_path / "a.tif", pages)
    require_scan(path, note="the largest of several images used (number 0); choose another with `series`")


def test_a_small_picture_in_strips_is_no_level_of_a_tiled_scan(tmp_path: Path) -> None:
    pages: Pages = [(halved(SCAN), {"subfiletype": 0}), (SCAN, {"tile": (64, 64)})]
    path = write(tmp_path / "a.tif", pages)
    require_scan(path, note="the largest of several images used (number 1); choose another with `series`")


def test_reduced_pages_and_masks_are_no_choice(tmp_path: Path) -> None:
    pages: Pages = [
        (MACRO, {"subfiletype": 1}),
        (SCAN, {"tile": (64, 64)}),
        (SCAN[..., 0] > 128, {"subfiletype": 4, "photometric": "minisblack"}),
        (MACRO, {"subfiletype": 9}),
    ]
    slide = require_scan(write(tmp_path / "a.tif", pages))
    assert [image.role for image in slide.images] == ["thumbnail", "scan", "mask", "macro"]


@pytest.mark.parametrize("tag", ["description", "page name"])
def test_pages_are_named_by_their_tags(tmp_path: Path, tag: str) -> None:
    more = {"description": "Label"} if tag == "description" else {"extratags": [(285, 2, 0, "Label", True)]}
    pages: Pages = [(LABEL, {"tile": (64, 64), **more}), (SCAN, {"tile": (64, 64)})]
    slide = require_scan(write(tmp_path / "a.tif", pages))
    assert [(image.name, image.role) for image in slide.images] == [("Label", "label"), ("", "scan")]


def test_only_what_lies_beside_a_scan_is_refused_unless_it_is_asked_for(tmp_path: Path) -> None:
    pages = [(MACRO, {"description": "Macro"}), (LABEL, {"description": "Label"})]
    path = write(tmp_path / "a.tif", pages)
    with pytest.raises(InputError, match=r"it contains no scan, only associated images \(0 macro, 1 label\); choose"):
        Slide(path)
    with Slide(path, series=1) as slide:
        assert slide.shape == LABEL.shape[:2]


def test_the_only_image_is_taken_whatever_its_name(tmp_path: Path) -> None:
    require_scan(write(tmp_path / "a.ome.tif", [(SCAN, ome("Overview.tif #1"))], ome=True))


def aperio(first: str) -> dict[str, Any]:
    return {"description": f"Aperio Image Library v12\r\n{first}"}


def test_an_svs_has_its_pictures_listed(tmp_path: Path) -> None:
    pages = [
        (SCAN, {"tile": (64, 64), **aperio("256x256 (64x64) JPEG/RGB Q=70|AppMag = 40|MPP = 0.25")}),
        (np.ascontiguousarray(SCAN[::4, ::4]), aperio("256x256 -> 64x64 - |AppMag = 40|MPP = 0.25")),
        (halved(SCAN), {"tile": (64, 64), **aperio("256x256 -> 128x128 JPEG/RGB Q=70")}),
        (LABEL, {"subfiletype": 1, **aperio("label 280x300")}),
        (MACRO, {"subfiletype": 9, **aperio("macro 400x120")}),
    ]
    slide = require_scan(write(tmp_path / "a.svs", pages), levels=2)
    assert slide.kind == "SVS"
    assert [image.role for image in slide.images] == ["scan", "thumbnail", "label", "macro"]
    assert [image.scale is not None for image in slide.images] == [True, False, False, False]


def test_an_svs_that_begins_with_its_macro_has_the_scale_of_the_scan(tmp_path: Path) -> None:
    pages = [(LABEL, aperio("macro 280x300")), (SCAN, {**TILED, **aperio("256x256|MPP = 0.2520")})]
    slide = require_scan(write(tmp_path / "a.svs", pages))
    assert (slide.mpp, slide.mpp_source) == (0.252, "Aperio's MPP")


def test_the_middle_focal_plane_of_an_svs_is_taken(tmp_path: Path) -> None:
    planes = [np.full_like(SCAN, 9), SCAN, np.full_like(SCAN, 7)]
    pages: list[tuple[NDArray[np.uint8], dict[str, Any]]] = [
        (plane, {"tile": (64, 64), **aperio("256x256 (64x64)|MPP = 0.25")}) for plane in planes
    ]
    pages.insert(1, (np.ascontiguousarray(SCAN[::4, ::4]), aperio("256x256 -> 64x64 - ")))
    pages += [(halved(plane), {"tile": (64, 64), **aperio("128x128")}) for plane in planes]
    path = write(tmp_path / "a.svs", pages)
    require_scan(path, levels=2, note="focal plane 1 of 3 used (the middle one); choose another with `plane`")
    with Slide(path, plane=2) as slide:
        assert (slide.read_region(0, 0, 0, 9, 9) == 7).all()
        assert (slide.read_region(1, 0, 0, 9, 9) == 7).all()
        assert slide.note == "focal plane 2 of 3 used (as asked for); choose another with `plane`"
    with pytest.raises(InputError, match=r"a\.svs: it has no focal plane 3, only 0 to 2; give another"):
        Slide(path, plane=3)


def differs(slide: Slide, expected: NDArray[np.uint8]) -> float:
    return float(np.abs(slide.read_region(0, 0, 0, *slide.shape).astype(int) - expected).mean())


@pytest.mark.parametrize(
    ("offsets", "taken", "reason"),
    [((-3000, 0, 3000), 1, "z = 0"), ((0, 3000), 0, "z = 0"), ((1000, 2000, 3000), 1, "the middle one")],
)
def test_the_focal_plane_of_an_ndpi_that_is_in_focus_is_taken(
    tmp_path: Path, offsets: Sequence[int], taken: int, reason: str
) -> None:
    grey = [np.full_like(SCAN, 60 * (number + 1)) for number in range(len(offsets))]
    path = write_ndpi(tmp_path / "a.ndpi", dict(zip(offsets, grey, strict=True)), MACRO)
    with Slide(path) as slide:
        assert slide.mpp == pytest.approx(0.25)
        assert (slide.kind, slide.plane) == ("NDPI", taken)
        assert slide.note == f"focal plane {taken} of {len(offsets)} used ({reason}); choose another with `plane`"
        assert [level.shape for level in slide.levels] == [(256, 256), (128, 128)]
        assert differs(slide, grey[taken]) < 1
        assert [image.role for image in slide.images] == ["scan", "macro"]
    with Slide(path, plane=0) as slide:
        assert differs(slide, grey[0]) < 1


def test_an_ndpi_of_one_plane_needs_no_word(tmp_path: Path) -> None:
    with Slide(write_ndpi(tmp_path / "a.ndpi", {0: SCAN}, MACRO)) as slide:
        assert slide.note is None


def test_a_tiff_that_is_only_called_ndpi_is_read(tmp_path: Path) -> None:
    require_scan(write(tmp_path / "a.ndpi", [(SCAN, {"tile": (64, 64)})]))


def test_the_scan_of_an_scn_is_taken_with_its_scale_and_place(tmp_path: Path) -> None:
    macro = np.full((1170, 404, 3), 235, np.uint8)
    with Slide(write_scn(tmp_path / "a.scn", [(SCAN, (6_575_000, 32_800_000))], macro)) as slide:
        assert (slide.kind, slide.mpp, slide.note) == ("SCN", 0.25, None)
        assert slide.origin == (131_200, 26_300)
        assert [level.shape for level in slide.levels] == [(256, 256), (128, 128)]
        assert [image.role for image in slide.images] == ["macro", "scan"]
        assert differs(slide, SCAN) < 8  # by JPEG


def test_the_largest_of_several_areas_of_an_scn_is_taken(tmp_path: Path) -> None:
    macro = np.full((1170, 404, 3), 235, np.uint8)
    path = write_scn(tmp_path / "a.scn", [(OTHER, (5_000_000, 5_000_000)), (SCAN, (6_575_000, 32_800_000))], macro)
    with Slide(path) as slide:
        assert slide.shape == SCAN.shape[:2]
        assert slide.note == "the largest of several images used (number 2 'image_3'); choose another with `series`"
    with Slide(path, series=1) as slide:
        assert slide.shape == OTHER.shape[:2]


def test_fluorescence_in_an_scn_is_refused(tmp_path: Path) -> None:
    macro = np.full((1170, 404, 3), 235, np.uint8)
    path = write_scn(tmp_path / "a.scn", [(SCAN, (6_575_000, 32_800_000))], macro, light="fluorescence")
    with pytest.raises(InputError, match="it is not H&E: 1 channels under fluorescence"):
        Slide(path)


def test_padding_and_missing_tiles_of_a_philips_tiff_are_no_tissue(tmp_path: Path) -> None:
    scan = np.tile(SCAN, (3, 3, 1))
    with Slide(write_philips(tmp_path / "a.tiff", scan, LABEL, missing=(4,))) as slide:
        assert (slide.kind, slide.mpp, slide.mpp_source) == ("Philips TIFF", 0.25, "Philips' pixel spacing")
        assert [level.shape for level in slide.levels] == [(768, 768), (384, 384)]
        assert [image.role for image in slide.images] == ["scan", "label"]
        assert slide.levels[0].missing == 1
        assert (slide.read_region(0, 256, 256, 256, 256) == 255).all()


def qpi(kind: str) -> dict[str, Any]:
    text = f"<?xml version='1.0'?><PerkinElmer-QPI-ImageDescription><ImageType>{kind}</ImageType>"
    return {"description": f"{text}</PerkinElmer-QPI-ImageDescription>", "software": "PerkinElmer-QPI"}


def test_a_qptiff_says_what_its_pages_are(tmp_path: Path) -> None:
    pages = [
        (SCAN, {"tile": (64, 64), **qpi("FullResolution"), **per_cm(0.25)}),
        (np.ascontiguousarray(SCAN[::4, ::4]), qpi("Thumbnail")),
        (halved(SCAN), {"tile": (64, 64), **qpi("ReducedResolution")}),
        (LABEL, qpi("Label")),
        (LABEL, {"tile": (64, 64), **qpi("Overview")}),
    ]
    slide = require_scan(write(tmp_path / "a.qptiff", pages), levels=2)
    assert slide.mpp == pytest.approx(0.25)
    assert slide.kind == "QPTIFF"
    assert [image.role for image in slide.images] == ["scan", "thumbnail", "label", "overview"]


def test_fluorescence_in_a_qptiff_is_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.qptiff") as tiff:
        for _ in range(3):
            tiff.write(SCAN[..., 0], tile=(64, 64), metadata=None, **qpi("FullResolution"))
    with pytest.raises(InputError, match="it is not H&E: 3 channels of fluorescence"):
        Slide(tmp_path / "a.qptiff")


def ome_of_files(*files: str, uuid: str = "") -> str:
    data = "".join(
        f'<TiffData IFD="0" FirstC="{number}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for number, name in enumerate(files)
    )
    channels = "".join(f'<Channel ID="Channel:0:{number}"/>' for number in range(len(files)))
    return (
        f'<OME xmlns="{OME_SPACE}" {uuid}><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYCZT" Type="uint8" SizeX="256" SizeY="256" SizeC="{len(files)}" SizeZ="1" SizeT="1">'
        f"{channels}{data}</Pixels></Image></OME>"
    )


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a", ome_of_files("a.ome.tif", "b.ome.tif", "c.ome.tif"), r"parts of it are in other files \(b\.ome\.tif, c"),
        (
            "a",
            ome_of_files("b.ome.tif", "c.ome.tif"),
            r"it is part of an image in several files \(b\.ome\.tif,",
        ),
        (
            "b",
            f'<OME xmlns="{OME_SPACE}"><BinaryOnly MetadataFile="a.ome.tif"/></OME>',
            r"it is part of an image in several files \(a\.ome\.tif\)",
        ),
    ],
)
def test_a_part_of_an_image_in_several_files_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    path = tmp_path / f"{name}.ome.tif"
    tifffile.imwrite(path, SCAN[..., 0], metadata=None, description=text)
    with pytest.raises(InputError, match=rf"{name}\.ome\.tif: {reason}"):
        Slide(path)


def ome_without_places(**sizes: int) -> str:
    images = "".join(
        f'<Image ID="Image:{number}" Name="{name}"><Pixels ID="Pixels:{number}" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="{size}" SizeY="{size}" SizeC="3" SizeZ="1" SizeT="1"><Channel SamplesPerPixel="3"/></Pixels></Image>'
        for number, (name, size) in enumerate(sizes.items())
    )
    return f'<OME xmlns="{OME_SPACE}">{images}</OME>'


def test_images_of_ome_that_do_not_say_where_they_lie_follow_each_other(tmp_path: Path) -> None:
    text = ome_without_places(label=100, scan=256)
    pages: Pages = [(LABEL[:100, :100], {"description": text}), (SCAN, {"tile": (64, 64)})]
    slide = require_scan(write(tmp_path / "a.ome.tif", pages))
    assert [(image.name, image.shape) for image in slide.images] == [("label", (100, 100)), ("scan", (256, 256))]


def test_a_page_of_another_size_is_not_the_scan_that_ome_names(tmp_path: Path) -> None:
    text = ome_without_places(scan=256, label=100)
    pages: Pages = [(LABEL[:100, :100], {"description": text}), (SCAN, {"tile": (64, 64)})]
    with pytest.raises(InputError, match="its OME-XML is of 256 x 256 pixels, but its page is not; save it again"):
        Slide(write(tmp_path / "a.ome.tif", pages))


def test_planes_beyond_the_file_are_refused(tmp_path: Path) -> None:
    text = ome_of_files("a.ome.tif").replace('IFD="0"', 'IFD="7"').replace('FileName="a.ome.tif"', "")
    tifffile.imwrite(tmp_path / "a.ome.tif", SCAN[..., 0], metadata=None, description=text)
    with pytest.raises(InputError, match="its OME-XML places all planes beyond the file's 1 pages; save it again"):
        Slide(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("uuid", ["", 'UUID="urn:uuid:old name.ome.tif"', 'UUID="urn:uuid:new"'])
def test_an_ome_tiff_may_be_renamed(tmp_path: Path, uuid: str) -> None:
    path = tmp_path / "new name.ome.tif"
    tifffile.imwrite(path, SCAN[..., 0], metadata=None, description=ome_of_files("old name.ome.tif", uuid=uuid))
    with Slide(path) as slide:
        assert (slide.kind, slide.note) == ("OME-TIFF", "grey taken as equal red, green and blue")
