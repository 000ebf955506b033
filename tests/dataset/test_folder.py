import gzip
import json
import shutil
import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from conftest import Told
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.folder import scan_folder
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.dataset.masks import build_masks, labels_path, read_labels
from monuseg_cli.dataset.pixels import read_case
from monuseg_cli.nuclei.rasterise import rasterise
from support.own import KINDS, feature, region, write_folder, write_geojson
from support.scanners import write_mrxs, write_vms
from support.tissue import draw_tissue


def stem_of(case: Case) -> str:
    return case.case_id.split("-")[0]


def test_every_kind_of_annotation_gives_the_same_nuclei(tmp_path: Path) -> None:
    drawn = write_folder(tmp_path / "mine", ["a", "b", "c", "d", "e"], KINDS)
    dataset = scan_folder(tmp_path / "mine", tmp_path / "made")
    assert Dataset.load(tmp_path / "made") == dataset
    result = build_masks(MasksConfig(dataset.root, preview=True))
    for case, made in zip(dataset.cases, result.cases, strict=True):
        labels = read_labels(labels_path(dataset.root, case.case_id))
        expected = rasterise(drawn[stem_of(case)], (96, 96)).labels
        assert np.array_equal(labels > 0, expected > 0)
        if stem_of(case) != "e":  # a mask does not tell nuclei apart that touch
            assert made.nuclei == len(np.unique(expected)) - 1 == labels.max()
        assert made.regions >= made.nuclei > 5
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["annotations", "images"]


def test_scale_comes_from_the_table_the_annotation_or_the_image(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_folder(folder, ["a", "b", "c", "d"], [".xml", ".geojson", ".geojson", ".geojson"])
    picture, _ = draw_tissue(96, seed=900)
    (folder / "images" / "c.png").unlink()
    resolution = (1e4 / 0.4, 1e4 / 0.4)
    tifffile.imwrite(folder / "images" / "c.tif", picture, resolution=resolution, resolutionunit="CENTIMETER")
    (folder / "split.csv").write_text("image,split,mpp,organ\na,train,,\nb.png,val,0.3,liver\nc,test,,\nd,train,,\n")
    told = Told()
    dataset = scan_folder(folder, tmp_path / "made", told)
    assert [case.mpp for case in dataset.cases] == [0.5, 0.3, pytest.approx(0.4), None]
    assert [(case.split, case.organ) for case in dataset.cases][1] == ("val", "liver")
    assert dataset.splits == ("train", "val", "test")
    assert [line.split(" (")[0] for line in told.lines] == ["1 of 4 cases state no scale"]


def test_images_and_outlines_may_be_side_by_side(tmp_path: Path) -> None:
    write_folder(tmp_path / "two", ["a.b", "c"])
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (tmp_path / "two").rglob("*.*"):
        shutil.copy(path, flat)
    cases = scan_folder(flat, tmp_path / "made").cases
    assert [case.case_id.rsplit("-", 1)[0] for case in cases] == ["a.b", "c"]
    assert {case.case_id for case in cases} == {
        case.case_id for case in scan_folder(tmp_path / "two", tmp_path / "m").cases
    }


def test_regions_are_cases_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (polygons,) = write_folder(folder, ["a"], size=160).values()
    boxes = {"train": (10, 20, 64, 70), "val": (90, 64, 60, 96), "": (80, 0, 50, 50)}
    drawn = {**boxes, "val": (90, 64, 60, 110)}  # over the edge of the image
    regions = [region(name, *box) for name, box in drawn.items()]
    write_geojson(folder / "annotations" / "a.geojson", [*map(feature, polygons), *regions])
    dataset = scan_folder(folder, tmp_path / "made")
    result = build_masks(MasksConfig(dataset.root))
    whole, _ = draw_tissue(160, seed=500)
    labels = rasterise(polygons, (160, 160)).labels
    for case, made in zip(dataset.cases, result.cases, strict=True):
        assert case.box is not None
        row, col, height, width = case.box
        window = np.s_[row : row + height, col : col + width]
        assert np.array_equal(read_case(dataset, case), whole[window])
        own = read_labels(labels_path(dataset.root, case.case_id))
        assert np.array_equal(own > 0, labels[window] > 0)
        assert made.outside == 0
    assert [(case.split, case.box) for case in dataset.cases] == [
        ("train", boxes["train"]),
        ("val", boxes["val"]),
        ("train", boxes[""]),
    ]


def test_cells_of_qupath_give_their_nuclei(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (polygons,) = write_folder(folder, ["a"]).values()
    cells = []
    for polygon in polygons:
        around = (polygon - polygon.mean(axis=0)) * 1.5 + polygon.mean(axis=0)
        cells.append({**feature(around, objectType="cell"), "nucleusGeometry": feature(polygon)["geometry"]})
    write_geojson(folder / "annotations" / "a.geojson", cells)
    dataset = scan_folder(folder, tmp_path / "made")
    build_masks(MasksConfig(dataset.root))
    labels = read_labels(labels_path(dataset.root, dataset.cases[0].case_id))
    assert np.array_equal(labels, rasterise(polygons, (96, 96)).labels)


def test_geojson_of_any_suffix_is_an_annotation_where_an_image_has_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    drawn = write_folder(folder, ["a", "b", "c"])
    annotations = folder / "annotations"
    (annotations / "a.geojson").rename(annotations / "a.json")
    with zipfile.ZipFile(annotations / "b.zip", "w") as archive:
        archive.write(annotations / "b.geojson", "b.geojson")
    (annotations / "b.geojson").unlink()
    (annotations / "c.geojson.gz").write_bytes(gzip.compress((annotations / "c.geojson").read_bytes()))
    (annotations / "c.geojson").unlink()
    (annotations / "classes.json").write_text("{}")
    (annotations / "a.json.monuseg.json").write_text("{}")
    dataset = scan_folder(folder, tmp_path / "made")
    build_masks(MasksConfig(dataset.root))
    for case in dataset.cases:
        expected = rasterise(drawn[stem_of(case)], (96, 96)).labels
        np.testing.assert_array_equal(read_labels(labels_path(dataset.root, case.case_id)), expected)


def test_what_is_no_nucleus_is_left_out_of_masks_and_said_once(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    around = [(1, 1), (1, 95), (95, 95), (95, 1)]
    drawn = write_folder(folder, ["a", "b"])
    point: dict[str, object] = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [5, 5]}}
    for stem, polygons in drawn.items():
        nuclei = [feature(polygon) for polygon in polygons]
        write_geojson(folder / "annotations" / f"{stem}.geojson", [feature(around), point, *nuclei])
    told = Told()
    dataset = scan_folder(folder, tmp_path / "made")
    result = build_masks(MasksConfig(dataset.root), told)
    first, second = (case.case_id for case in dataset.cases)
    line = f"not nuclei, left out: outlines around other objects (2), points (2); in {first}, {second}; if one marks"
    assert any(one.startswith(line) for one in told.lines)
    for case, made in zip(dataset.cases, result.cases, strict=True):
        expected = rasterise(drawn[stem_of(case)], (96, 96)).labels
        np.testing.assert_array_equal(read_labels(labels_path(dataset.root, case.case_id)), expected)
        assert made.left_out == {"outlines around other objects": 1, "points": 1}


def test_outlines_on_a_slide_without_a_region_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (polygons,) = write_folder(folder, ["a"]).values()
    (folder / "images" / "a.png").unlink()
    slide = np.full((2048, 2048, 3), 230, dtype=np.uint8)
    with tifffile.TiffWriter(folder / "images" / "a.tif") as tiff:
        tiff.write(slide, tile=(256, 256), subifds=1, photometric="rgb", metadata=None)
        tiff.write(slide[::4, ::4], tile=(256, 256), subfiletype=1, photometric="rgb", metadata=None)
    with pytest.raises(InputError, match=r'on a whole slide of 2048x2048 pixels.*; draw a rectangle of class "Region'):
        scan_folder(folder, tmp_path / "made")
    nuclei = [feature(polygon) for polygon in polygons]
    write_geojson(folder / "annotations" / "a.geojson", [region("", 0, 0, 96, 96), *nuclei])
    (case,) = scan_folder(folder, tmp_path / "made").cases
    assert case.box == (0, 0, 96, 96)


def test_implausible_masks_cause_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_folder(folder, ["a", "b"], [".png"])
    (folder / "split.csv").write_text("image,split,mpp\na,train,2\nb,val,2\n")
    told = Told()
    build_masks(MasksConfig(scan_folder(folder, tmp_path / "made").root), told)
    (line,) = [line for line in told.lines if "median" in line]
    assert line.startswith("the median area of nuclei is not within 5 to 500 um2, as with a wrong scale")
    assert "a-" in line
    assert "b-" in line


def spoil(folder: Path, what: str) -> None:
    images, annotations = folder / "images", folder / "annotations"
    table = folder / "split.csv"
    match what:
        case "no annotation":
            (annotations / "b.geojson").unlink()
        case "no image":
            (images / "b.png").unlink()
        case "two images of one stem":
            shutil.copy(images / "b.png", images / "b.tif")
        case "a turned region":
            diamond = feature([(0, 30), (30, 60), (60, 30), (30, 0)], name="lower", classification={"name": "Region*"})
            write_geojson(annotations / "a.geojson", [diamond])
        case "a region outside":
            write_geojson(annotations / "a.geojson", [region("x", 96, 50, 60, 20)])
        case "labels of another size":
            (annotations / "a.geojson").unlink()
            np.save(annotations / "a.npy", np.zeros((96, 90), dtype=np.int32))
        case "an inverted mask":
            (annotations / "a.geojson").unlink()
            inverted = np.full((120, 120), 255, dtype=np.uint8)
            inverted[10:30, 10:30] = 0
            np.save(annotations / "a.npy", inverted)
            picture, _ = draw_tissue(120, seed=7)
            (images / "a.png").write_bytes(imagecodecs.png_encode(picture))
        case "classes":
            (annotations / "a.geojson").unlink()
            labels = np.kron(np.arange(36).reshape(6, 6) % 3, np.pad(np.ones((8, 8), dtype=np.int32), 4))
            np.save(annotations / "a.npy", labels)
        case "micrometres":
            _, polygons = draw_tissue(96, seed=500)
            write_geojson(annotations / "a.geojson", [feature(polygon / 4) for polygon in polygons])
        case "a table without an image":
            table.write_text("image,split\na,train\n")
        case "a table with an unknown image":
            table.write_text("image,split\na,train\nb,val\nq,val\n")
        case "a table with another split":
            table.write_text("image,split\na,train\nb,validation\n")
        case "a table with no scale":
            table.write_text("image,split,mpp\na,train,250\nb,val,\n")
        case "no images":
            shutil.rmtree(images)
            images.mkdir()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("no annotation", "1 images in .* have no annotation of the same name, the first: b"),
        ("no image", "1 annotations in .* have no image of the same name, the first: b"),
        ("two images of one stem", "b.png and .*b.tif have the same stem"),
        ("a turned region", "a.geojson: the region 'lower' is not an upright rectangle"),
        ("a region outside", "a.geojson: the region 'x' is outside of its image of 96x96 pixels"),
        ("labels of another size", "a.npy is 90 x 96 pixels, its image .*a.png 96 x 96"),
        ("an inverted mask", "a.npy: nuclei cover more than 80 % of the image, as in an inverted mask"),
        ("classes", "a.npy: each of its 2 values forms 12 separate pieces on average, as in a class map"),
        ("micrometres", "the coordinates in .*a.geojson look like micrometres: all are within 24 x 24"),
        ("a table without an image", "split.csv has no line for 1 images, the first: b.png"),
        ("a table with an unknown image", "split.csv, line 4, names no image"),
        ("a table with another split", "split.csv, line 3: the split is 'validation', not one of train, val, test"),
        ("a table with no scale", "split.csv, line 2: mpp is '250', and must be between 0.05 and 5.0"),
        ("no images", "no images in .*; it needs images/ and annotations/"),
    ],
)
def test_invalid_own_data_are_one_clear_error(tmp_path: Path, what: str, told: str) -> None:
    write_folder(tmp_path / "mine", ["a", "b"])
    spoil(tmp_path / "mine", what)
    with pytest.raises(InputError, match=told):
        build_masks(MasksConfig(scan_folder(tmp_path / "mine", tmp_path / "made").root))


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no folder .*gone"):
        scan_folder(tmp_path / "gone", tmp_path / "made")


def test_masks_of_an_earlier_version_are_kept_unless_the_annotation_is_understood_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (polygons,) = write_folder(folder, ["a"]).values()
    dataset = scan_folder(folder, tmp_path / "made")

    def as_by_an_earlier_version(labels: np.ndarray) -> Path:
        """Write the label image and the manifest that an earlier version would have written."""
        build_masks(MasksConfig(dataset.root))
        manifest = dataset.root / "masks" / "manifest.json"
        content = json.loads(manifest.read_text())
        for case in content["cases"]:
            for name in ("left_out", "doubts", "reading"):
                case.pop(name, None)
        manifest.write_text(json.dumps(content))
        path = labels_path(dataset.root, dataset.cases[0].case_id)
        tifffile.imwrite(path, labels.astype(np.int32))
        return path

    expected = rasterise(polygons, (96, 96)).labels
    as_by_an_earlier_version(expected)
    assert build_masks(MasksConfig(dataset.root)).made == 0
    path = as_by_an_earlier_version(np.ones((96, 96)))
    assert build_masks(MasksConfig(dataset.root)).made == 1
    np.testing.assert_array_equal(read_labels(path), expected)


def test_slides_of_scanners_are_cases_by_their_regions(tmp_path: Path) -> None:
    """Also those in several files, a change in any of which is noticed, and which are never taken for images."""
    scan, _ = draw_tissue(768, seed=5)
    folder = tmp_path / "mine"
    folder.mkdir()
    write_mrxs(folder / "a.mrxs", scan)
    write_vms(folder / "b.vms", scan, scan[:90])
    for stem in "ab":
        write_geojson(folder / f"{stem}.geojson", [feature([(20, 20), (60, 20), (60, 60)]), region("x", 0, 0, 96, 96)])
    dataset = scan_folder(folder, tmp_path / "made")
    assert [(stem_of(case), case.mpp, case.box) for case in dataset.cases] == [
        ("a", 0.25, (0, 0, 96, 96)),
        ("b", 0.25, (0, 0, 96, 96)),
    ]
    for case in dataset.cases:
        assert np.abs(read_case(dataset, case).astype(int) - scan[:96, :96]).mean() < 6
    data = folder / "a" / "Data0000.dat"
    data.write_bytes(data.read_bytes() + b"more")
    again = scan_folder(folder, tmp_path / "again")
    assert [one.image_sha256 == other.image_sha256 for one, other in zip(dataset.cases, again.cases, strict=True)] == [
        False,
        True,
    ]


def test_images_without_square_pixels_need_a_scale(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_folder(folder, ["a"])
    (image,) = (folder / "images").iterdir()
    picture, _ = draw_tissue(96, seed=900)
    image.unlink()
    tifffile.imwrite(folder / "images" / "a.tif", picture, resolution=(40000, 20000), resolutionunit="CENTIMETER")
    with pytest.raises(InputError, match="states pixels that are not square"):
        scan_folder(folder, tmp_path / "made")
    (folder / "split.csv").write_text("image,split,mpp\na,train,0.25\n")
    assert [case.mpp for case in scan_folder(folder, tmp_path / "made").cases] == [0.25]
