"""Slides that OpenSlide reads, against what was drawn, and both readers where both can."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pydicom
import pytest
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.imaging.slide import Slide
from support.scanners import (
    TILE,
    jpeg_bytes,
    write_bif,
    write_dicom,
    write_mrxs,
    write_ndpi,
    write_philips,
    write_scn,
    write_trestle,
    write_vms,
)
from support.tissue import draw_tissue

SCAN, _ = draw_tissue(3 * TILE, seed=3)
LABEL = np.full((100, 60, 3), 230, np.uint8)
MACRO = np.full((90, 200, 3), 200, np.uint8)
OVERLAP = 16
JOINED = 3 * TILE - 2 * OVERLAP
"""Side of three tiles that overlap."""

Write = Callable[[Path], Path]


def distance(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """Mean difference in grey levels: the drawn tissue loses 3 to 5 by JPEG, and is 50 from any other part of it."""
    return float(np.abs(found.astype(int) - expected).mean())


FORMATS: dict[str, tuple[Write, str, int, list[str]]] = {
    "MRXS": (lambda folder: write_mrxs(folder / "a.mrxs", SCAN, OVERLAP), "3DHISTECH MRXS", JOINED, []),
    "BIF": (lambda folder: write_bif(folder / "a.bif", SCAN, LABEL, OVERLAP), "Ventana BIF", JOINED, ["macro"]),
    "BIF called TIFF": (lambda folder: write_bif(folder / "a.tif", SCAN, LABEL, 0), "Ventana BIF", 3 * TILE, ["macro"]),
    "Trestle": (lambda folder: write_trestle(folder / "a.tif", SCAN, OVERLAP), "Trestle TIFF", JOINED, []),
    "VMS": (lambda folder: write_vms(folder / "a.vms", SCAN, MACRO), "Hamamatsu VMS", 3 * TILE, ["macro"]),
    "DICOM folder": (lambda folder: write_dicom(folder / "a", SCAN, LABEL), "DICOM", 3 * TILE, ["label"]),
    "DICOM file": (
        lambda folder: write_dicom(folder / "a", SCAN, LABEL) / "1.2.3.4.0.dcm",
        "DICOM",
        3 * TILE,
        ["label"],
    ),
    "DICOM label": (
        lambda folder: write_dicom(folder / "a", SCAN, LABEL) / "1.2.3.4.2.dcm",
        "DICOM",
        3 * TILE,
        ["label"],
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_scan_is_read_where_tiles_overlap_or_lie_in_many_files(tmp_path: Path, name: str) -> None:
    write, kind, side, beside = FORMATS[name]
    with Slide(write(tmp_path)) as slide:
        assert (slide.kind, slide.mpp, slide.note) == (kind, 0.25, None)
        assert slide.shape == (side, side)
        assert [image.role for image in slide.images] == ["scan", *beside]
        assert distance(slide.read_region(0, 0, 0, side, side), SCAN[:side, :side]) < 6
        window = slide.read_region(0, 200, 300, 120, 90)  # across the places where tiles meet
        assert distance(window, SCAN[200:320, 300:390]) < 6


@pytest.mark.parametrize("name", ["VMS", "DICOM folder", "BIF called TIFF"])
def test_coarser_levels_lie_where_they_should(tmp_path: Path, name: str) -> None:
    with Slide(FORMATS[name][0](tmp_path)) as slide:
        assert slide.levels[1].downsample == 2
        assert slide.levels[1].shape == (3 * TILE // 2, 3 * TILE // 2)
        found = slide.read_region(1, 100, 150, 60, 70)
        blurred = SCAN.astype(float).reshape(3 * TILE // 2, 2, 3 * TILE // 2, 2, 3).mean(axis=(1, 3))
        assert distance(found, blurred[100:160, 150:220].astype(np.uint8)) < 12


def test_what_lies_beside_the_scan_can_be_asked_for(tmp_path: Path) -> None:
    with Slide(write_vms(tmp_path / "a.vms", SCAN, MACRO), series=1) as slide:
        assert distance(slide.read_region(0, 0, 0, *slide.shape), MACRO) < 1
        assert slide.mpp is None


def test_missing_tiles_are_glass(tmp_path: Path) -> None:
    with Slide(write_mrxs(tmp_path / "a.mrxs", SCAN, missing=(4,))) as slide:
        assert slide.sparse
        assert (slide.read_region(0, TILE, TILE, TILE, TILE) == 255).all()
        assert distance(slide.read_region(0, 0, 0, TILE, TILE), SCAN[:TILE, :TILE]) < 6


def test_what_was_scanned_is_cut_out_of_the_canvas(tmp_path: Path) -> None:
    """And where it lies on the canvas is told: an MRXS has room for tiles that were not scanned."""
    missing = (0, 1, 2, 3, 6)
    with Slide(write_mrxs(tmp_path / "a.mrxs", SCAN, missing=missing)) as slide:
        assert (slide.shape, slide.origin) == ((2 * TILE, 2 * TILE), (TILE, TILE))
        assert distance(slide.read_region(0, 0, 0, *slide.shape), SCAN[TILE:, TILE:]) < 6


def damage(path: Path) -> Path:
    """Damage the middle of the pixels of an MRXS: the JPEG of its fifth image."""
    data = path.with_suffix("") / "Data0000.dat"
    content = bytearray(data.read_bytes())
    starts = [at for at in range(len(content)) if content[at : at + 3] == b"\xff\xd8\xff"]
    content[starts[4] : starts[4] + 300] = bytes(300)
    data.write_bytes(content)
    return path


def test_a_damaged_part_is_an_error_or_glass(tmp_path: Path) -> None:
    path = damage(write_mrxs(tmp_path / "a.mrxs", SCAN))
    with Slide(path) as slide:
        for _ in range(2):
            with pytest.raises(
                InputError, match=r"a\.mrxs: level 0, damaged at row 0, column 0: .*`skip_damaged=True`"
            ):
                slide.read_region(0, 0, 0, 600, 600)
            assert distance(slide.read_region(0, 0, 0, TILE, TILE), SCAN[:TILE, :TILE]) < 6
    with Slide(path, skip_damaged=True) as slide:
        pixels = slide.read_region(0, 100, 90, 500, 520)
        assert slide.damaged == ["level 0, row 256, column 256"]
    assert (pixels[TILE - 100 : 2 * TILE - 100, TILE - 90 : 2 * TILE - 90] == 255).all()
    pixels[TILE - 100 : 2 * TILE - 100, TILE - 90 : 2 * TILE - 90] = SCAN[TILE : 2 * TILE, TILE : 2 * TILE]
    assert distance(pixels, SCAN[100:600, 90:610]) < 6


BOTH: dict[str, Write] = {
    "NDPI": lambda folder: write_ndpi(folder / "a.ndpi", {0: SCAN}, MACRO),
    "SCN": lambda folder: write_scn(folder / "a.scn", [(SCAN, (6_575_000, 32_800_000))], MACRO),
    "Philips": lambda folder: write_philips(folder / "a.tiff", SCAN, LABEL),
}


@pytest.mark.parametrize("name", BOTH)
def test_both_readers_agree_where_both_can(tmp_path: Path, name: str) -> None:
    require_agreement(BOTH[name](tmp_path))


@pytest.mark.data
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "tcga-cr-7395-01a-01-ts1.svs"])
def test_both_readers_agree_on_real_slides(real_data: Path, name: str) -> None:
    require_agreement(real_data / "slides" / name)


def require_agreement(path: Path) -> None:
    """Compare pixels, levels, scale and bounds of a slide that tifffile reads here with what OpenSlide makes of it."""
    with Slide(path) as slide, openslide.OpenSlide(str(path)) as other:
        assert slide.levels[0].compression != "by OpenSlide"
        properties = other.properties
        top, left, height, width = (
            int(properties.get(f"openslide.bounds-{side}", default))
            for side, default in (("y", 0), ("x", 0), ("height", other.dimensions[1]), ("width", other.dimensions[0]))
        )
        assert (slide.origin, slide.shape) == ((top, left), (height, width))
        mpp = properties.get("openslide.mpp-x")
        assert slide.mpp == (None if mpp is None else pytest.approx(float(mpp), rel=1e-3))
        downsamples = [level.downsample for level in slide.levels]
        assert downsamples == pytest.approx(other.level_downsamples[: len(downsamples)], rel=1e-3)
        for number, level in enumerate(slide.levels):
            tall, wide = min(level.shape[0], 300), min(level.shape[1], 400)
            middle = (level.shape[0] - tall) // 2, (level.shape[1] - wide) // 2
            row, col = (0, 0) if number else middle  # OpenSlide shifts coarser levels by parts of their pixels
            at = left + round(col * level.downsample), top + round(row * level.downsample)
            expected = np.asarray(other.read_region(at, number, (wide, tall)).convert("RGB"))
            assert distance(slide.read_region(number, row, col, tall, wide), expected) < 0.5


@pytest.mark.parametrize(
    ("make", "name", "kind"),
    [
        (lambda path: write_mrxs(path, SCAN), "a.mrxs", "3DHISTECH MRXS"),
        (lambda path: write_bif(path, SCAN, LABEL, 0), "a.bif", "Ventana BIF"),
        (lambda path: write_trestle(path, SCAN, 0), "a.tif", "Trestle TIFF"),
        (lambda path: write_vms(path, SCAN, MACRO), "a.vms", "Hamamatsu VMS"),
        (lambda path: path.write_bytes(b"ZISRAWFILE" + bytes(2000)), "a.czi", "Zeiss CZI"),
    ],
)
def test_without_openslide_one_line_names_the_format_and_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Write, name: str, kind: str
) -> None:
    make(tmp_path / name)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(InputError) as caught:
        Slide(tmp_path / name)
    said = f"{kind} is read through OpenSlide, which is not installed; pip install 'monuseg-cli[slides]'"
    assert str(caught.value) == f"{tmp_path / name}: {said}"


def test_an_mrxs_without_its_folder_is_refused(tmp_path: Path) -> None:
    """It is a small picture, which is not the slide."""
    (tmp_path / "a.mrxs").write_bytes(jpeg_bytes(MACRO))
    with pytest.raises(InputError, match=r"a\.mrxs: 3DHISTECH MRXS without its folder a, which contains the pixels"):
        Slide(tmp_path / "a.mrxs")


def test_the_folder_of_an_mrxs_names_the_file(tmp_path: Path) -> None:
    write_mrxs(tmp_path / "a.mrxs", SCAN)
    with pytest.raises(InputError, match=r"a: it is the folder of an MRXS; name a\.mrxs beside it"):
        Slide(tmp_path / "a")


def test_a_vms_without_one_of_its_parts_is_refused(tmp_path: Path) -> None:
    write_vms(tmp_path / "a.vms", SCAN, MACRO)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(InputError, match=r"a\.vms: Hamamatsu VMS whose part a\.jpg is missing; copy all of its parts"):
        Slide(tmp_path / "a.vms")


def test_what_openslide_cannot_read_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE" + bytes(2000))
    with pytest.raises(
        InputError, match=r"a\.czi: Zeiss CZI that OpenSlide cannot read \(.+\); convert it to OME-TIFF, with QuPath or"
    ):
        Slide(tmp_path / "a.czi")


@pytest.mark.parametrize("has_places", [False, True])
@pytest.mark.parametrize("is_folder", [False, True])
def test_sparse_dicom_must_say_where_its_tiles_are(tmp_path: Path, has_places: bool, is_folder: bool) -> None:
    """OpenSlide crashes on a file that does not."""
    folder = write_dicom(tmp_path / "a", SCAN, LABEL)
    for number in range(2):
        file = folder / f"1.2.3.4.{number}.dcm"
        data = pydicom.dcmread(file)
        data.DimensionOrganizationType = "TILED_SPARSE"
        if has_places:
            data.PerFrameFunctionalGroupsSequence = [
                frame_at(index, data.TotalPixelMatrixColumns) for index in range(data.NumberOfFrames)
            ]
        data.save_as(file, enforce_file_format=True)
    path = folder if is_folder else file
    if has_places:
        with Slide(path) as slide:
            assert distance(slide.read_region(0, 0, 0, *slide.shape), SCAN) < 6
    else:
        with pytest.raises(InputError, match=r"1\.2\.3\.4\.0\.dcm does not say where its tiles are; convert it"):
            Slide(path)


def frame_at(index: int, width: int) -> pydicom.Dataset:
    """Make the functional groups of a frame, of those that run row by row."""
    across = -(-width // TILE)
    place, groups = pydicom.Dataset(), pydicom.Dataset()
    place.ColumnPositionInTotalImagePixelMatrix = index % across * TILE + 1
    place.RowPositionInTotalImagePixelMatrix = index // across * TILE + 1
    groups.PlanePositionSlideSequence = [place]
    return groups


def test_a_folder_of_several_dicom_slides_is_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a", SCAN, LABEL, series="1.2.3.4")
    write_dicom(tmp_path / "a", SCAN[::-1].copy(), LABEL, series="1.2.3.5")
    with pytest.raises(
        InputError, match=r"a: it is a folder of 2 slides in DICOM; name a file of one: 1\.2\.3\.4\.0\.dcm"
    ):
        Slide(tmp_path / "a")
    with Slide(tmp_path / "a" / "1.2.3.5.1.dcm") as slide:
        assert distance(slide.read_region(0, 0, 0, *slide.shape), SCAN[::-1]) < 6


def test_a_slide_of_openslide_has_one_focal_plane(tmp_path: Path) -> None:
    path = write_mrxs(tmp_path / "a.mrxs", SCAN)
    with pytest.raises(InputError, match=r"a\.mrxs: it has no focal plane 1, only 0 to 0; give another `plane`"):
        Slide(path, plane=1)
