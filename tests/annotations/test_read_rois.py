import json
from pathlib import Path

import numpy as np
import pytest

from conftest import Told
from monuseg_cli.annotations.read_rois import read_rois
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.nuclei.rois import draw_rois

SQUARE = [[10, 20], [50, 20], [50, 60], [10, 60], [10, 20]]  # x, y
HOLE = [[20, 30], [30, 30], [30, 40], [20, 40], [20, 30]]


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def feature(*rings: list[list[int]], **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": rings}, "properties": properties}


def test_polygons_with_holes_as_qupath_exports_them(tmp_path: Path) -> None:
    content = {
        "type": "FeatureCollection",
        "features": [
            feature(SQUARE, HOLE, name="tumour"),
            feature(SQUARE, classification={"name": "Stroma"}),
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}},
        ],
    }
    first, second = read_rois(written(tmp_path / "a.geojson", content))
    assert (first.name, second.name) == ("tumour", "Stroma")
    assert (first.area_px, second.area_px) == (1500, 1600)
    points = np.array([[25.0, 15.0], [35.0, 25.0], [15.0, 25.0], [59.0, 49.0]])  # row, column
    assert first.contains(points).tolist() == [True, False, False, True]
    assert second.contains(points).tolist() == [True, True, False, True]


def test_detections_and_ignored_classes_of_an_export_are_not_regions(tmp_path: Path) -> None:
    annotation = {"objectType": "annotation"}
    point, line = (
        {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": annotation}
        for kind, coordinates in (("Point", [1, 2]), ("LineString", [[0, 0], [30, 0], [30, 30]]))
    )
    closed = {"type": "LineString", "coordinates": SQUARE}
    content = [
        feature(SQUARE, name="whole tissue", **annotation, classification={"name": "Tissue"}),
        feature(SQUARE, **annotation, classification={"name": "Tumor"}),
        feature(SQUARE, **annotation),
        {"type": "Feature", "geometry": closed, "properties": {**annotation, "name": "drawn as a line"}},
        feature(SQUARE, **annotation, classification={"name": "Ignore*"}),
        feature(HOLE, objectType="detection", classification={"name": "Tumor"}),
        feature(HOLE, objectType="detection"),
        {**feature(SQUARE, objectType="cell"), "nucleusGeometry": {"type": "Polygon", "coordinates": [HOLE]}},
        point,
        line,
        {"type": "Feature", "geometry": None, "properties": annotation},
    ]
    told = Told()
    path = written(tmp_path / "a.geojson", content)
    rois = read_rois(path, told)
    assert [roi.name for roi in rois] == ["whole tissue", "Tumor", "region 3", "drawn as a line"]
    assert {roi.area_px for roi in rois} == {1600}
    left_out = (
        "cells (1), class Ignore* (1), detections (2), objects without a geometry (1), open lines (1), points (1)"
    )
    assert told.lines == [f"not regions, left out: {left_out}; in {path}, of which 4 regions are used"]


def test_no_warning_if_everything_is_a_region(tmp_path: Path) -> None:
    told = Told()
    assert len(read_rois(written(tmp_path / "a.geojson", feature(SQUARE, objectType="annotation")), told)) == 1
    assert told.lines == []


def test_a_file_of_detections_has_no_region(tmp_path: Path) -> None:
    found = [feature(HOLE, objectType="detection", classification={"name": "Nucleus"}) for _ in range(3)]
    with pytest.raises(InputError, match=r"a\.geojson has no region, only detections \(3\); draw an area in QuPath"):
        read_rois(written(tmp_path / "a.geojson", found))


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one], lambda one: one["geometry"]])
def test_a_single_feature_and_a_list_are_read(tmp_path: Path, wrap: object) -> None:
    (roi,) = read_rois(written(tmp_path / "a.geojson", wrap(feature(SQUARE))))  # type: ignore[operator] # a function
    assert roi.name == "region 1"
    assert roi.area_px == 1600


def test_a_region_is_outside_if_no_part_of_it_is_in_the_image(tmp_path: Path) -> None:
    (roi,) = read_rois(written(tmp_path / "a.geojson", feature(SQUARE)))  # rows 20 to 60, columns 10 to 50
    assert [roi.is_outside(shape) for shape in ((20, 99), (99, 10), (21, 11), (99, 99))] == [True, True, False, False]
    left = [[x - 50, y] for x, y in SQUARE]
    (roi,) = read_rois(written(tmp_path / "a.geojson", feature(left)))
    assert roi.is_outside((99, 99))


def test_several_parts_are_one_region(tmp_path: Path) -> None:
    far = [[x + 100, y] for x, y in SQUARE]
    geometry = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [far]]}
    (roi,) = read_rois(written(tmp_path / "a.geojson", {"type": "Feature", "geometry": geometry}))
    assert roi.area_px == 3100
    assert roi.contains(np.array([[30.0, 120.0], [35.0, 25.0]])).tolist() == [True, False]


def test_regions_of_interest_are_drawn_on_a_thumbnail(tmp_path: Path) -> None:
    rois = read_rois(written(tmp_path / "a.geojson", feature(SQUARE, HOLE)))
    drawn = draw_rois(rois, (20, 20), (10, 0), 4.0)
    assert drawn[5, 4]
    assert not drawn[6, 6]  # the hole
    assert not drawn[15:].any()
    assert drawn.sum() * 16 == pytest.approx(1500, rel=0.35)


def test_a_point_on_an_edge_that_two_regions_share_is_in_one_of_them(tmp_path: Path) -> None:
    corners = [[0, 0], [0, 10], [10, 10], [10, 0], [4, 5]]
    content = [feature([corners[i], corners[j], corners[4], corners[i]]) for i, j in ((0, 1), (1, 2), (2, 3), (3, 0))]
    rois = read_rois(written(tmp_path / "a.geojson", content))
    points = np.array([[row, col] for row in range(-1, 12) for col in range(-1, 12)], dtype=np.float64)
    in_square = ((points >= 0) & (points < 10)).all(axis=1)  # top and left are in
    counts = np.sum([roi.contains(points) for roi in rois], axis=0)
    np.testing.assert_array_equal(counts, in_square)


@pytest.mark.parametrize(
    ("ring", "area", "inside", "outside"),
    [
        ([[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]], 50, [[2, 5], [8, 5]], [[5, 2], [5, 8]]),  # a bow tie
        (
            [[0, 0], [10, 0], [10, 10], [4, 10], [4, 4], [14, 4], [14, 14], [0, 14], [0, 0]],
            180,
            [[1, 5], [5, 7], [9, 13]],  # the second is gone around twice
            [[12, 2]],
        ),
    ],
)
def test_an_outline_that_crosses_itself_stands_for_all_that_it_goes_around(
    tmp_path: Path, ring: list[list[int]], area: float, inside: list[list[float]], outside: list[list[float]]
) -> None:
    (roi,) = read_rois(written(tmp_path / "a.geojson", feature(ring, name="tumour")))
    assert roi.repaired
    assert roi.area_px == area
    assert roi.contains(np.array([[y, x] for x, y in inside], dtype=np.float64)).all()
    assert not roi.contains(np.array([[y, x] for x, y in outside], dtype=np.float64)).any()
    assert draw_rois((roi,), (15, 15), (0, 0), 1.0).sum() >= area


def test_parts_that_overlap_count_once_and_parts_that_touch_are_as_drawn(tmp_path: Path) -> None:
    moved = [[[x + shift, y] for x, y in SQUARE] for shift in (20, 40)]
    geometries = [{"type": "MultiPolygon", "coordinates": [[SQUARE], [part]]} for part in moved]
    content = [{"type": "Feature", "geometry": geometry} for geometry in geometries]
    overlapping, touching = read_rois(written(tmp_path / "a.geojson", content))
    assert (overlapping.area_px, overlapping.repaired) == (2400, True)
    assert (touching.area_px, touching.repaired) == (3200, False)


def test_a_region_without_an_area(tmp_path: Path) -> None:
    path = written(tmp_path / "a.geojson", feature([[1, 1], [5, 5], [9, 9], [1, 1]], name="slip"))
    with pytest.raises(InputError, match=r"a\.geojson: slip has no area; delete it in QuPath"):
        read_rois(path)


@pytest.mark.parametrize(
    "content",
    ["", "[", "7", '{"type": "FeatureCollection", "features": []}', '{"type": "Feature", "geometry": null}'],
)
def test_what_is_no_geojson_of_polygons(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(InputError, match=r"a\.geojson"):
        read_rois(tmp_path / "a.geojson")


@pytest.mark.parametrize("ring", [[[1], [2], [3]], [[1, 2], [3, 4], [float("nan"), 5]], ["a", "b", "c"]])
def test_invalid_rings_are_refused(tmp_path: Path, ring: list[list[int]]) -> None:
    with pytest.raises(InputError, match=r"a\.geojson is not GeoJSON of polygons"):
        read_rois(written(tmp_path / "a.geojson", feature(ring)))


def test_a_missing_file_of_regions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no annotations"):
        read_rois(tmp_path / "gone.geojson")
