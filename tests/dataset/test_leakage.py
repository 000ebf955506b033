import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from conftest import Told
from monuseg_cli.core.errors import ContaminationError, InputError
from monuseg_cli.dataset.catalog import CATALOG, PIXELS
from monuseg_cli.dataset.folder import scan_folder
from monuseg_cli.dataset.leakage import (
    Footprint,
    find_overlaps,
    find_trained,
    hash_pixels,
    require_no_test_images,
    with_pixel_hashes,
)
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.imaging.slide import Slide
from support.made import CARD
from support.own import feature, region, write_folder, write_geojson
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(96, seed=500)
A, B, C = "a" * 16, "b" * 16, "c" * 16


def save_png(path: Path, picture: NDArray[np.uint8]) -> Path:
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(picture)))
    return path


def save_tiles(path: Path, picture: NDArray[np.uint8]) -> Path:
    tifffile.imwrite(path, picture, tile=(32, 32), compression="lzw", photometric="rgb", resolution=(72, 72))
    return path


def save_deep(path: Path, picture: NDArray[np.uint8]) -> Path:
    tifffile.imwrite(path, picture.astype(np.uint16) * 257, photometric="rgb")
    return path


def hashed(path: Path, box: tuple[int, int, int, int] | None = None, largest_px: int = 10**8) -> str:
    with Slide(path) as slide:
        return hash_pixels(slide, box, largest_px)


def test_the_hash_is_of_the_pixels_not_of_the_file(tmp_path: Path) -> None:
    png = save_png(tmp_path / "a.png", PICTURE)
    for save in (save_tiles, save_deep):
        assert hashed(save(tmp_path / "b.tif", PICTURE)) == hashed(png)
    assert hashed(png, (8, 16, 40, 30)) == hashed(save_png(tmp_path / "c.png", PICTURE[8:48, 16:46]))
    changed = PICTURE.copy()
    changed[95, 95, 2] ^= 1
    others = [
        hashed(save_png(tmp_path / "d.png", other))
        for other in (changed, PICTURE[:, ::-1], PICTURE.reshape(64, 144, 3))
    ]
    assert len({hashed(png), *others}) == 4


def test_of_a_large_image_windows_on_a_grid_are_hashed(tmp_path: Path) -> None:
    large = np.zeros((3000, 2600, 3), dtype=np.uint8)
    path = save_png(tmp_path / "a.png", large)
    first = hashed(path, largest_px=10**6)
    assert first != hashed(path)
    large[2999, 2599] = 9  # in the last window
    assert hashed(save_png(path, large), largest_px=10**6) != first


@pytest.mark.parametrize(
    ("one", "other", "is_shared"),
    [
        (Footprint(A, None, A), Footprint(A, None, A), True),
        (Footprint(A, None, A), Footprint(B, None, B), False),
        (Footprint(A, None, A), Footprint(A, (0, 0, 5, 5), B), True),
        (Footprint(A, (0, 0, 9, 9), B), Footprint(A, (2, 3, 4, 4), C), True),  # one inside another
        (Footprint(A, (0, 0, 9, 9), B), Footprint(A, (8, 8, 9, 9), C), True),
        (Footprint(A, (0, 0, 9, 9), B), Footprint(A, (9, 0, 9, 9), C), False),  # side by side
        (Footprint(A, (0, 0, 9, 9), B), Footprint(A, (0, 9, 9, 9), C), False),
        (Footprint(A, (0, 0, 9, 9), B), Footprint(B, None, B), True),  # a region saved as an image
        (Footprint(A, (0, 0, 9, 9), B), Footprint(C, (5, 5, 9, 9), B), True),
    ],
)
def test_footprints_overlap_if_they_share_pixels(one: Footprint, other: Footprint, is_shared: bool) -> None:
    assert one.overlaps(other) is other.overlaps(one) is is_shared
    assert Footprint.parse(str(one)) == one
    assert Footprint.parse(str(other)) == other


@pytest.mark.parametrize("text", ["", A[:-1], f"{A}@1,2,3={B}", f"{A}@1,2,3,x={B}", 7, f"{A}\n"])
def test_footprints_that_are_none(text: object) -> None:
    with pytest.raises(InputError, match="the card's train_pixels cannot be"):
        Footprint.parse(text)


def split_table(folder: Path, **splits: str) -> None:
    lines = [f"{image},{split}\n" for image, split in splits.items()]
    (folder / "split.csv").write_text("".join(["image,split\n", *lines]))


@pytest.mark.parametrize("save", [save_tiles, save_deep])
def test_one_image_in_two_files_of_two_splits_is_refused(
    tmp_path: Path, save: Callable[[Path, NDArray[np.uint8]], Path]
) -> None:
    folder = tmp_path / "mine"
    write_folder(folder, ["a", "b", "c"])
    (folder / "images" / "c.png").unlink()
    save(folder / "images" / "c.tif", PICTURE)  # that of a
    split_table(folder, a="train", b="train", c="val")
    with pytest.raises(
        ContaminationError, match=r"a.png \(train\) and c.tif \(val\) in .*mine share pixels.*; leave one"
    ):
        scan_folder(folder, tmp_path / "made")
    split_table(folder, a="train", b="val", c="train")
    told = Told()
    scan_folder(folder, tmp_path / "made", told)
    assert "a.png and c.tif in mine share pixels, which are used twice (such pairs: 1)" in told.lines


def test_regions_of_two_splits_may_touch_and_not_overlap(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (polygons,) = write_folder(folder, ["a"]).values()

    def scan(*val: int) -> Dataset:
        regions = [region("train", 0, 0, 60, 60), region("val", *val)]
        write_geojson(folder / "annotations" / "a.geojson", [*regions, *map(feature, polygons)])
        return scan_folder(folder, tmp_path / "made")

    for inside in ((10, 10, 20, 20), (59, 59, 30, 30)):
        with pytest.raises(
            ContaminationError, match=r"a.png, region1 \(train\) and a.png, region2 \(val\) in .* share"
        ):
            scan(*inside)
    assert {case.split for case in scan(60, 0, 30, 60).cases} == {"train", "val"}


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_folder(folder, ["a", "b"])
    first = scan_folder(folder, tmp_path / "made")
    manifest = tmp_path / "made" / "manifest.json"
    content = json.loads(manifest.read_text())
    for case in content["cases"]:
        case["pixels"] = case["image_pixels"] = case["image_sha256"][:16]
    manifest.write_text(json.dumps(content))
    assert [case.pixels for case in scan_folder(folder, tmp_path / "made").cases] == [
        case.image_sha256[:16] for case in first.cases
    ]
    manifest.write_text("{")
    assert scan_folder(folder, tmp_path / "made") == first


def case_of(case_id: str, pixels: str, box: tuple[int, int, int, int] | None = None) -> Case:
    return Case(case_id, "liver", "train", 0.25, f"{case_id}.png", "", "", "", box, pixels, A if box else pixels)


def test_cases_that_have_their_hashes_are_not_read() -> None:
    cases = (case_of("x", B), case_of("y", C, (0, 0, 5, 5)))
    assert with_pixel_hashes(Dataset(Path("nowhere")), cases) == cases
    assert find_overlaps(cases, cases) == []
    (pair,) = find_overlaps(cases, [case_of("z", C)])
    assert [case.case_id for case in pair] == ["y", "z"]


def test_the_catalogue_knows_every_image_by_its_pixels() -> None:
    assert PIXELS.keys() == CATALOG.keys()
    assert len(set(PIXELS.values())) == 51
    assert all(len(mark) == 16 and int(mark, 16) for mark in PIXELS.values())


def test_monusegs_test_images_are_kept_out_of_other_data() -> None:
    test, train = ((case_id, PIXELS[case_id]) for case_id in ("TCGA-HT-8564-01Z-00-DX1", "TCGA-18-5592-01Z-00-DX1"))
    require_no_test_images([case_of("x", train[1])], "mine")
    for case in (case_of("x", test[1]), case_of("x", test[1], (0, 0, 9, 9))):
        with pytest.raises(
            ContaminationError, match=rf"1 cases of mine .*x.png.* is {test[0]}\), which are reserved for"
        ):
            require_no_test_images([case_of("y", B), case], "mine")


def test_old_cards_find_images_of_monuseg_by_the_catalogue() -> None:
    seen, test = "TCGA-18-5592-01Z-00-DX1", "TCGA-HT-8564-01Z-00-DX1"
    old = replace(CARD, train_cases=(seen, "b-12345678"))
    cases = [
        case_of("x", PIXELS[seen]),
        case_of("part", PIXELS[seen], (0, 0, 9, 9)),
        case_of("b-12345678", C),
        case_of("test", PIXELS[test]),
        case_of("new", B),
    ]
    assert find_trained(Dataset(Path("nowhere")), cases, old) == {"x", "part", "b-12345678"}
    new = replace(old, train_pixels=(f"{C}@0,0,9,9={B}",))
    assert find_trained(Dataset(Path("nowhere")), cases, new) == {"x", "part", "b-12345678", "new"}


def test_old_cards_find_renamed_files_by_their_hash() -> None:
    old = replace(CARD, train_cases=("a-12345678", "b-23456789-region1"))
    names = ("renamed-12345678", "c-23456789-region1", "c-23456789-region2", "a-87654321")
    cases = [case_of(name, f"{number:016d}") for number, name in enumerate(names)]
    assert find_trained(Dataset(Path("nowhere")), cases, old) == set(names[:2])


def test_among_monusegs_own_ids_no_image_is_read() -> None:
    train, test = "TCGA-18-5592-01Z-00-DX1", "TCGA-HT-8564-01Z-00-DX1"
    cases = [replace(case_of(case_id, ""), image="gone.tif") for case_id in (train, test)]
    assert find_trained(Dataset(Path("nowhere")), cases, replace(CARD, train_cases=(train,))) == {train}
