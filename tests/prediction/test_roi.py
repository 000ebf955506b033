import json
from pathlib import Path

import numpy as np
import pytest

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.prediction.roi import draw_rois, read_rois

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


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one], lambda one: one["geometry"]])
def test_a_feature_alone_or_in_a_list(tmp_path: Path, wrap: object) -> None:
    (roi,) = read_rois(written(tmp_path / "a.geojson", wrap(feature(SQUARE))))  # type: ignore[operator] # a function
    assert roi.name == "region 1"
    assert roi.area_px == 1600


def test_several_parts_are_one_region(tmp_path: Path) -> None:
    far = [[x + 100, y] for x, y in SQUARE]
    geometry = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [far]]}
    (roi,) = read_rois(written(tmp_path / "a.geojson", {"type": "Feature", "geometry": geometry}))
    assert roi.area_px == 3100
    assert roi.contains(np.array([[30.0, 120.0], [35.0, 25.0]])).tolist() == [True, False]


def test_drawn_on_a_thumbnail(tmp_path: Path) -> None:
    rois = read_rois(written(tmp_path / "a.geojson", feature(SQUARE, HOLE)))
    drawn = draw_rois(rois, (20, 20), (10, 0), 4.0)
    assert drawn[5, 4]
    assert not drawn[6, 6]  # the hole
    assert not drawn[15:].any()
    assert drawn.sum() * 16 == pytest.approx(1500, rel=0.35)


@pytest.mark.parametrize(
    "content",
    ["", "[", "7", '{"type": "FeatureCollection", "features": []}', '{"type": "Feature", "geometry": null}'],
)
def test_what_is_no_geojson_of_polygons(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(InputError, match=r"a\.geojson"):
        read_rois(tmp_path / "a.geojson")


@pytest.mark.parametrize("ring", [[[1, 2]], [[1, 2], [3, 4], [float("nan"), 5]], ["a", "b", "c"]])
def test_rings_that_cannot_be(tmp_path: Path, ring: list[list[int]]) -> None:
    with pytest.raises(InputError, match=r"a\.geojson is no GeoJSON of polygons"):
        read_rois(written(tmp_path / "a.geojson", feature(ring)))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no annotations"):
        read_rois(tmp_path / "gone.geojson")
