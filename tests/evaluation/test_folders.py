import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from conftest import Told
from monuseg_cli.annotations.read_labels import read_label_image
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.evaluation.folders import FoldersConfig, evaluate_folders
from support.own import feature, region, write_geojson

LABELS = np.zeros((40, 50), dtype=np.int32)
LABELS[2:10, 2:10], LABELS[2:10, 10:18], LABELS[20:30, 30:45] = 5, 9, 70000
XML = """<Annotations MicronsPerPixel="0.25"><Annotation><Regions>{}</Regions></Annotation></Annotations>"""
REGION = '<Region Id="1"><Vertices>{}</Vertices></Region>'
BOXES = ((2, 2, 10, 10), (10, 2, 18, 10), (30, 20, 45, 30))


def write_png(path: Path, labels: NDArray[np.int32]) -> None:
    path.with_suffix(".png").write_bytes(imagecodecs.png_encode(labels.astype(np.uint16)))


def write_tiff(path: Path, labels: NDArray[np.int32]) -> None:
    tifffile.imwrite(path.with_suffix(".tif"), labels, compression="zlib")


def write_npy(path: Path, labels: NDArray[np.int32]) -> None:
    np.save(path.with_suffix(".npy"), labels)


def write_xml(path: Path, labels: NDArray[np.int32]) -> None:
    del labels
    regions = []
    for left, top, right, bottom in BOXES:
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        regions.append(REGION.format("".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in corners)))
    path.with_suffix(".xml").write_text(XML.format("".join(regions)))


@pytest.mark.parametrize("write_reference", [write_png, write_tiff, write_npy, write_xml])
@pytest.mark.parametrize("write_prediction", [write_png, write_tiff, write_npy])
def test_a_perfect_prediction_in_any_format_is_perfect(
    tmp_path: Path,
    write_prediction: Callable[[Path, NDArray[np.int32]], None],
    write_reference: Callable[[Path, NDArray[np.int32]], None],
) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "truth").mkdir()
    small = np.where(LABELS == 70000, 7, LABELS)
    for name in ("a", "b"):
        write_prediction(tmp_path / "ours" / name, small)
        write_reference(tmp_path / "truth" / name, small)
    result = evaluate_folders(FoldersConfig((tmp_path / "ours",), tmp_path / "truth", output=tmp_path / "out"))
    (evaluation,) = result.evaluations
    mean = evaluation.summary.mean
    assert (mean.f1, mean.aji, mean.aji_plus, mean.pq, mean.ap, mean.loss) == (1, 1, 1, 1, 1, None)
    assert [image.case_id for image in evaluation.images] == ["a", "b"]
    assert (tmp_path / "out" / "scores.md").is_file()


def test_a_mask_is_numbered_and_a_label_image_is_not(tmp_path: Path) -> None:
    write_npy(tmp_path / "mask", (LABELS > 0) * 255)
    assert len(np.unique(read_label_image(tmp_path / "mask.npy").labels)) == 3  # two that touch are one
    write_npy(tmp_path / "labels", LABELS)
    np.testing.assert_array_equal(read_label_image(tmp_path / "labels.npy").labels, LABELS)
    write_npy(tmp_path / "nothing", LABELS * 0)
    assert not read_label_image(tmp_path / "nothing.npy").labels.any()
    np.save(tmp_path / "bool.npy", np.ones((3, 3), dtype=bool))
    assert (read_label_image(tmp_path / "bool.npy").labels == 1).all()


def test_several_folders_are_compared(tmp_path: Path) -> None:
    for name, labels in (("truth", LABELS), ("good", LABELS), ("bad", np.where(LABELS == 5, 9, LABELS))):
        (tmp_path / name).mkdir()
        write_npy(tmp_path / name / "x", labels)
    config = FoldersConfig((tmp_path / "good", tmp_path / "bad"), tmp_path / "truth", output=tmp_path / "out")
    result = evaluate_folders(config)
    assert result.differences[0].mean.f1 == 0
    assert result.differences[0].mean.pq < 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "bad",
        "comparison.csv",
        "comparison.md",
        "comparison.tex",
        "good",
    ]


def test_predictions_and_references_that_do_not_match_are_named(tmp_path: Path) -> None:
    ours, truth = tmp_path / "ours", tmp_path / "truth"

    def score() -> None:
        evaluate_folders(FoldersConfig((ours,), truth))

    with pytest.raises(MissingError, match=r"no folder .*truth"):
        score()
    truth.mkdir()
    with pytest.raises(InputError, match=r"nothing to score in .*truth"):
        score()
    write_npy(truth / "a", LABELS)
    write_npy(truth / "b", LABELS)
    ours.mkdir()
    write_npy(ours / "a", LABELS)
    with pytest.raises(InputError, match=r"1 predictions are missing in .*ours, the first: b"):
        score()
    write_npy(ours / "b", LABELS[:30])
    with pytest.raises(InputError, match=r"b.npy is 50x30 pixels, its reference .*b.npy 50x40"):
        score()
    write_npy(ours / "c", LABELS)
    with pytest.raises(InputError, match=r"1 predictions in .*ours have no reference in .*truth, the first: c"):
        score()
    write_png(ours / "a", LABELS)
    with pytest.raises(InputError, match="ours has several files named a; keep one of them"):
        score()


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((9, 9, 5), dtype=np.uint8), "not one plane of integers"),
        (np.full((4, 4), 0.5), "it contains fractions, like a probability map"),
        (np.full((4, 4), -1), "holds -1 to -1; number its nuclei within 0 to"),
        (np.array([[object()]]), "not an NPY file of numbers"),
    ],
)
def test_files_that_hold_no_labels(tmp_path: Path, pixels: NDArray[np.generic], reason: str) -> None:
    np.save(tmp_path / "x.npy", pixels, allow_pickle=True)
    with pytest.raises(InputError, match=reason):
        read_label_image(tmp_path / "x.npy")


def test_results_of_two_folders_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    for folder in ("a/masks", "b/masks", "truth"):
        (tmp_path / folder).mkdir(parents=True)
        write_npy(tmp_path / folder / "x", LABELS)
    both = (tmp_path / "a" / "masks", tmp_path / "b" / "masks")
    with pytest.raises(InputError, match="would write to one folder, masks"):
        evaluate_folders(FoldersConfig(both, tmp_path / "truth", output=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_prediction_of_another_size_than_its_annotation(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "truth").mkdir()
    write_npy(tmp_path / "ours" / "a", LABELS[:20, :20])
    write_xml(tmp_path / "truth" / "a", LABELS)
    with pytest.raises(InputError, match=r"a.xml has 1 regions outside of 20x20 pixels, so it is of another image"):
        evaluate_folders(FoldersConfig((tmp_path / "ours",), tmp_path / "truth"))


def test_pictures_for_a_report_must_fit(tmp_path: Path) -> None:
    for folder in ("ours", "images"):
        (tmp_path / folder).mkdir()
    write_npy(tmp_path / "ours" / "$1_$2", LABELS)
    config = FoldersConfig((tmp_path / "ours",), tmp_path / "ours", tmp_path / "images", report=tmp_path / "r.html")
    picture = np.zeros((9, 7, 3), dtype=np.uint8)
    (tmp_path / "images" / "other.png").write_bytes(imagecodecs.png_encode(picture))
    with pytest.raises(InputError, match=r"1 images are missing in .*images, the first: \$1_\$2"):
        evaluate_folders(config)
    (tmp_path / "images" / "$1_$2.png").write_bytes(imagecodecs.png_encode(picture))
    with pytest.raises(InputError, match="is of another size than its prediction, 50x40 pixels"):
        evaluate_folders(config)
    (tmp_path / "images" / "$1_$2.png").write_bytes(imagecodecs.png_encode(np.zeros((40, 50, 3), dtype=np.uint8)))
    evaluate_folders(config)
    assert "$1_$2" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran"])
def test_damaged_arrays_are_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"x.npy"):
        read_label_image(tmp_path / "x.npy")


def test_a_line_of_pixels_is_an_image(tmp_path: Path) -> None:
    np.save(tmp_path / "line.npy", np.array([[0, 3, 3, 9]]))
    assert read_label_image(tmp_path / "line.npy").labels.shape == (1, 4)
    np.save(tmp_path / "stack.npy", np.array([[[0, 3, 3, 9]]]))
    assert read_label_image(tmp_path / "stack.npy").labels.shape == (1, 4)


def write_geojson_of(path: Path, boxes: Sequence[Sequence[int]], *more: dict[str, object]) -> None:
    corners = [((top, left), (top, right), (bottom, right), (bottom, left)) for left, top, right, bottom in boxes]
    write_geojson(path, [*map(feature, corners), *more])


def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("ours", "truth"):
        (tmp_path / name).mkdir()
    return tmp_path / "ours", tmp_path / "truth"


@pytest.mark.parametrize("suffix", [".geojson", ".json", ".geojson.gz"])
def test_only_regions_of_a_reference_are_scored(tmp_path: Path, suffix: str) -> None:
    ours, truth = folders(tmp_path)
    wrong = np.where(LABELS == 9, 0, LABELS)
    wrong[35:39, 2:6] = 8  # in no region
    write_npy(ours / "a", wrong)
    regions = (region("one", 0, 0, 15, 10), region("two", 15, 10, 20, 40))
    path = truth / f"a{suffix}"
    write_geojson_of(path, BOXES, *regions)
    if suffix.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    (evaluation,) = evaluate_folders(FoldersConfig((ours,), truth)).evaluations
    assert [image.case_id for image in evaluation.images] == ["a-region1", "a-region2"]
    assert [(image.scores.f1, image.scores.pq) for image in evaluation.images] == [(1, 1), (1, 1)]
    write_geojson_of(path.with_name("a.geojson"), BOXES)
    if suffix == ".geojson.gz":
        path.unlink()
    (evaluation,) = evaluate_folders(FoldersConfig((ours,), truth)).evaluations
    (image,) = evaluation.images
    assert image.scores.pq == pytest.approx(2 / 3)  # of three nuclei one is missed, and one found that is none


def test_pictures_of_regions_are_cut_for_the_report(tmp_path: Path) -> None:
    ours, truth = folders(tmp_path)
    write_npy(ours / "a", LABELS)
    write_geojson_of(truth / "a.geojson", BOXES, region("", 0, 0, 20, 25))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(imagecodecs.png_encode(np.zeros((40, 50, 3), dtype=np.uint8)))
    evaluate_folders(FoldersConfig((ours,), truth, tmp_path / "images", report=tmp_path / "r.html"))
    assert "a-region1" in (tmp_path / "r.html").read_text()


def test_left_out_objects_and_thresholds_are_reported_once(tmp_path: Path) -> None:
    ours, truth = folders(tmp_path)
    soft = np.asarray(
        Image.fromarray((LABELS > 0).astype(np.uint8) * 255).resize((150, 120), Image.Resampling.BILINEAR)
    )
    for name in ("a", "b"):
        (ours / f"{name}.png").write_bytes(imagecodecs.png_encode(soft))
        larger = tuple(tuple(3 * side for side in box) for box in BOXES)
        write_geojson_of(truth / f"{name}.geojson", larger, feature(BOXES_AROUND, classification="Tissue"))
    told = Told()
    (evaluation,) = evaluate_folders(FoldersConfig((ours,), truth), told).evaluations
    assert evaluation.summary.mean.f1 == pytest.approx(1, abs=0.05)
    left_out, cut = told.lines
    assert left_out == "not nuclei, left out: class Tissue (2); in truth/a.geojson, truth/b.geojson"
    assert cut.startswith("grey values along the edges of a mask")
    assert "values, threshold 127.5; ours/b.png" in cut


BOXES_AROUND = ((0, 0), (0, 145), (115, 145), (115, 0))


def test_outlines_on_a_whole_slide_need_a_region(tmp_path: Path) -> None:
    ours, truth = folders(tmp_path)
    labels = np.zeros((5000, 5001), dtype=np.uint8)
    labels[2:10, 2:10] = 1
    np.save(ours / "a.npy", labels)
    write_geojson_of(truth / "a.geojson", BOXES[:1])
    with pytest.raises(InputError, match=r'a whole slide of 5001x5000 pixels.*; draw a rectangle of class "Region'):
        evaluate_folders(FoldersConfig((ours,), truth))
    write_geojson_of(truth / "a.geojson", BOXES[:1], region("", 0, 0, 50, 50))
    (evaluation,) = evaluate_folders(FoldersConfig((ours,), truth)).evaluations
    assert evaluation.images[0].scores.pq == 1


def test_an_inverted_reference_is_refused_and_such_a_prediction_is_scored(tmp_path: Path) -> None:
    ours, truth = folders(tmp_path)
    mask = np.zeros((200, 200), dtype=np.int32)
    mask[20:60, 20:60] = 255
    write_npy(ours / "a", 255 - mask)
    write_npy(truth / "a", mask)
    told = Told()
    evaluate_folders(FoldersConfig((ours,), truth), told)
    assert "cover more than 80 % of the image, as in an inverted mask" in told.lines[0]
    with pytest.raises(InputError, match=r"a.npy: nuclei cover more than 80 % of the image, as in an inverted mask"):
        evaluate_folders(FoldersConfig((truth,), ours))
