import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from conftest import SIZE
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import build_masks, labels_path, read_labels
from monuseg_cli.nuclei.rasterise import rasterise
from support.tissue import aperio_xml, area, ellipse


def square(row: float, col: float, side: float) -> NDArray[np.float64]:
    return np.array([[row, col], [row, col + side], [row + side, col + side], [row + side, col]], dtype=np.float64)


def test_a_square_on_pixel_corners_covers_exactly_its_pixels() -> None:
    raster = rasterise([square(1, 2, 3)], (6, 7))
    expected = np.zeros((6, 7), dtype=np.int32)
    expected[1:4, 2:5] = 1
    np.testing.assert_array_equal(raster.labels, expected)
    assert raster.areas_px.tolist() == [9]


def test_centres_on_an_edge_are_in_at_top_and_left_and_out_at_bottom_and_right() -> None:
    labels = rasterise([square(0.5, 0.5, 2)], (4, 4)).labels
    np.testing.assert_array_equal(labels, np.pad(np.ones((2, 2), dtype=np.int32), (0, 2)))


def test_regions_that_touch_share_no_pixel() -> None:
    halves = [square(0.5, 0.5, 3), square(0.5, 3.5, 3)]
    for polygons in (halves, halves[::-1]):
        raster = rasterise(polygons, (8, 8))
        assert raster.areas_px.tolist() == [9, 9]
        assert np.bincount(raster.labels.reshape(-1))[1:].tolist() == [9, 9]


def test_the_smaller_lies_on_top_whatever_the_order() -> None:
    large, small = square(0, 0, 6), square(2, 2, 2)
    assert rasterise([large, small], (6, 6)).labels[2, 2] == 2
    assert rasterise([small, large], (6, 6)).labels[2, 2] == 1
    assert rasterise([large, large], (6, 6)).labels[0, 0] == 2  # of equal ones the later


def test_what_lies_outside_is_clipped_and_never_wraps() -> None:
    labels = rasterise([square(-3, -3, 5), square(4, 4, 100), square(-50, -50, 9)], (6, 6)).labels
    expected = np.zeros((6, 6), dtype=np.int32)
    expected[:2, :2], expected[4:, 4:] = 1, 2
    np.testing.assert_array_equal(labels, expected)


def test_an_outline_that_crosses_itself_has_no_hole() -> None:
    once = square(1, 1, 4)
    assert rasterise([np.concatenate([once, once])], (6, 6)).areas_px.tolist() == [16]


def test_a_nucleus_between_pixel_centres_keeps_the_pixel_it_lies_in() -> None:
    raster = rasterise([square(2.6, 3.6, 0.3), square(-0.4, 2, 0.3)], (6, 6))
    assert raster.areas_px.tolist() == [1, 0]
    assert raster.labels[2, 3] == 1


def test_polygons_that_share_an_edge_share_no_pixel() -> None:
    shared = np.array([[0.3, 7.1], [19.7, 12.9]])
    left = np.array([[0.3, 0.0], *shared, [19.7, 0.0]])
    right = np.array([[0.3, 20.0], *shared, [19.7, 20.0]])
    both = np.array([[0.3, 0.0], [0.3, 20.0], [19.7, 20.0], [19.7, 0.0]])
    areas = [rasterise([polygon], (20, 20)).areas_px[0] for polygon in (left, right, both)]
    assert areas[0] + areas[1] == areas[2]


def test_an_annotation_without_polygons_is_an_empty_mask() -> None:
    assert not rasterise([], (3, 4)).labels.any()


def winding_number(polygon: NDArray[np.float64], row: float, col: float) -> int:
    """Sum the turns that a polygon takes around a point, edge by edge, half-open."""
    total = 0
    for (row0, col0), (row1, col1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if min(row0, row1) <= row < max(row0, row1):
            crossing = Fraction(col0) + Fraction(row - row0) * Fraction(col1 - col0) / Fraction(row1 - row0)
            if crossing <= col:
                total += 1 if row1 > row0 else -1
    return total


quarters = st.integers(-8, 40).map(lambda number: number / 4)
polygons_strategy = st.lists(st.tuples(quarters, quarters), min_size=3, max_size=8)


@given(polygons_strategy)
def test_every_pixel_agrees_with_the_definition(vertices: list[tuple[float, float]]) -> None:
    polygon = np.array(vertices)
    labels = rasterise([polygon], (8, 8)).labels
    expected = np.array([[winding_number(polygon, row + 0.5, col + 0.5) != 0 for col in range(8)] for row in range(8)])
    if expected.any():
        np.testing.assert_array_equal(labels > 0, expected)
    else:
        assert labels.sum() <= 1  # the one pixel of its mean vertex, at most


@given(st.floats(5, 40), st.floats(5, 40), st.floats(3, 15), st.floats(3, 15), st.floats(0, 3.2))
def test_areas_are_those_drawn(row: float, col: float, height: float, width: float, turn: float) -> None:
    polygon = ellipse(row + 20, col + 20, height, width, turn)
    assert rasterise([polygon], (100, 100)).areas_px[0] == pytest.approx(area(polygon), abs=2 * (height + width))


def test_masks_are_written_as_label_images_binary_masks_and_previews(data_home: Home) -> None:
    result = build_masks(MasksConfig(data_home.dataset, preview=True))
    assert (len(result.cases), result.made) == (51, 51)
    for case in result.cases:
        labels = tifffile.imread(labels_path(data_home.dataset, case.case_id))
        with Image.open(result.folder / "binary" / f"{case.case_id}.png") as binary:
            mask = np.asarray(binary)
        with Image.open(result.folder / "preview" / f"{case.case_id}.png") as preview:
            assert (preview.size, preview.mode) == ((SIZE, SIZE), "RGB")
        assert labels.dtype == np.int32
        assert labels.shape == (SIZE, SIZE)
        assert len(np.unique(labels)) - 1 == case.nuclei > 0
        np.testing.assert_array_equal(mask, np.where(labels, 255, 0))
    drawn = sum(case.drawn_area_px for case in result.cases)
    assert not any(case.hidden for case in result.cases)
    assert drawn > 0


def test_what_is_there_is_not_made_again_until_its_annotation_changes(data_home: Home) -> None:
    config = MasksConfig(data_home.dataset)
    build_masks(config)
    assert build_masks(config).made == 0
    assert build_masks(MasksConfig(data_home.dataset, preview=True)).made == 51
    gone = labels_path(data_home.dataset, Dataset.load(data_home.dataset).cases[0].case_id)
    gone.unlink()
    assert build_masks(config).made == 1
    assert gone.is_file()
    manifest = data_home.dataset / "masks" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["cases"][3]["annotation_sha256"] = "other"
    manifest.write_text(json.dumps(content))
    assert build_masks(config).made == 1
    content["rule"] = "last drawn wins"
    manifest.write_text(json.dumps(content))
    assert build_masks(config).made == 51
    manifest.write_text("{ damaged")
    assert build_masks(config).made == 51


def test_previews_of_older_annotations_are_removed(data_home: Home) -> None:
    dataset = Dataset.load(data_home.dataset)
    build_masks(MasksConfig(dataset.root, preview=True))
    case = dataset.cases[0]
    preview = data_home.dataset / "masks" / "preview" / f"{case.case_id}.png"
    before = preview.read_bytes()
    dataset.annotation_path(case).write_text("<Annotations/>")
    changed = dataclasses.replace(case, annotation_sha256="new")
    dataclasses.replace(dataset, cases=(changed, *dataset.cases[1:])).save()
    assert build_masks(MasksConfig(dataset.root)).made == 1
    assert build_masks(MasksConfig(dataset.root, preview=True)).made == 1
    assert preview.read_bytes() != before


class Listener:
    """Keeps warnings."""

    def __init__(self) -> None:
        from monuseg_cli.core.progress import SILENT

        self.task = SILENT.task
        self.warnings: list[str] = []

    def info(self, message: str) -> None:
        del message

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def detail(self, message: str) -> None:
        del message


def test_what_is_left_out_is_counted_and_named(data_home: Home) -> None:
    dataset = Dataset.load(data_home.dataset)
    first, second = dataset.cases[:2]
    line = '<Region><Vertices><Vertex X="1" Y="1"/><Vertex X="2" Y="2"/></Vertices></Region>'
    polygons = [square(500, 500, 5), square(10, 10, 4), square(10, 10, 4)]
    dataset.annotation_path(first).write_text(aperio_xml(polygons, more=line))
    dataset.annotation_path(second).write_text("<Annotations/>")
    listener = Listener()
    made = {case.case_id: case for case in build_masks(MasksConfig(data_home.dataset), listener).cases}
    case = made[first.case_id]
    assert (case.regions, case.nuclei, case.degenerate, case.outside, case.hidden) == (4, 1, 1, 1, 1)
    assert sorted(listener.warnings) == [
        f"left out: 1 regions that are covered by smaller ones (in {first.case_id})",
        f"left out: 1 regions that have fewer than three vertices (in {first.case_id})",
        f"left out: 1 regions that lie outside their image (in {first.case_id})",
        f"the annotation of {second.case_id} contains no region; its mask is empty",
    ]


def test_a_missing_or_damaged_source_is_one_error(data_home: Home) -> None:
    dataset = Dataset.load(data_home.dataset)
    image = dataset.image_path(dataset.cases[0])
    whole = image.read_bytes()
    image.write_bytes(b"no image")
    with pytest.raises(InputError, match=dataset.cases[0].case_id):
        build_masks(MasksConfig(data_home.dataset))
    image.write_bytes(whole)
    dataset.annotation_path(dataset.cases[0]).unlink()
    with pytest.raises(MissingError, match="no annotation"):
        build_masks(MasksConfig(data_home.dataset))
    with pytest.raises(MissingError, match="monuseg download"):
        build_masks(MasksConfig(Path("nowhere")))
    with pytest.raises(MissingError, match="no image"):
        read_labels(Path("nowhere.tif"))
