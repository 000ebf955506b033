import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monuseg_cli.annotations.geojson import read_geojson
from monuseg_cli.core.errors import InputError

SQUARE = [[10, 20], [50, 20], [50, 60], [10, 60], [10, 20]]  # x, y
AS_READ = np.array(SQUARE, dtype=float)[:, ::-1]
FEATURE: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
    "properties": {"objectType": "detection", "name": "7", "classification": {"name": "Tumor"}},
}
TEXT = json.dumps({"type": "FeatureCollection", "features": [FEATURE]})


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("CMU-1.geojson", TEXT)
        archive.writestr("__MACOSX/._CMU-1.geojson", b"\0litter")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.json", lambda path: path.write_text(TEXT)),
        ("a.geojson", lambda path: path.write_text(TEXT, encoding="utf-8-sig")),
        ("a.geojson", lambda path: path.write_text(TEXT, encoding="utf-16")),
        ("a.geojson.gz", lambda path: path.write_bytes(gzip.compress(TEXT.encode()))),
        ("a.geojson", lambda path: path.write_bytes(gzip.compress(TEXT.encode()))),
        ("a.zip", zipped),
    ],
)
def test_compressed_geojson_is_read(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    (feature,) = read_geojson(tmp_path / name).features
    assert (feature.name, feature.class_name, feature.object_type) == ("7", "Tumor", "detection")
    np.testing.assert_array_equal(feature.polygons[0][0], AS_READ)


def test_archives_without_one_geojson_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.geojson", TEXT)
        archive.writestr("b.geojson", TEXT)
    (tmp_path / "cut.geojson.gz").write_bytes(gzip.compress(TEXT.encode())[:60])
    (tmp_path / "cut.zip").write_bytes((tmp_path / "two.zip").read_bytes()[:60])
    (tmp_path / "coco.json").write_text('{"images": [], "annotations": []}')
    for name, reason in (
        ("two.zip", "a zip of 2 GeoJSON files"),
        ("cut.geojson.gz", "ended before"),
        ("cut.zip", "not a zip file"),
        ("coco.json", "neither features nor a type"),
    ):
        with pytest.raises(InputError, match=rf"{name} is not GeoJSON.*{reason}"):
            read_geojson(tmp_path / name)


def read_one(tmp_path: Path, **parts: Any) -> Any:
    (tmp_path / "a.geojson").write_text(json.dumps({**FEATURE, **parts}))
    return read_geojson(tmp_path / "a.geojson")


@pytest.mark.parametrize(
    ("properties", "class_name", "object_type"),
    [
        ({"classification": "Stroma"}, "Stroma", ""),
        ({"classification": {"names": ["Tumor", "Positive"]}, "object_type": "cell"}, "Tumor: Positive", "cell"),
        ({"classification": ["Tumor"]}, "Tumor", ""),
        ({"classification": None, "objectType": "tmaCore"}, "", ""),
        ({"classification": {}, "objectType": "tma_core"}, "", "tma_core"),
        (None, "", ""),
    ],
)
def test_classes_and_types_as_the_versions_of_qupath_write_them(
    tmp_path: Path, properties: object, class_name: str, object_type: str
) -> None:
    (feature,) = read_one(tmp_path, properties=properties).features
    assert (feature.class_name, feature.object_type) == (class_name, object_type)


def test_before_0_3_the_type_stands_in_the_id(tmp_path: Path) -> None:
    (feature,) = read_one(tmp_path, id="PathTileObject", properties={}).features
    assert feature.object_type == "tile"


CLOSED = {"type": "LineString", "coordinates": SQUARE}
OPEN = {"type": "LineString", "coordinates": SQUARE[:4]}
POINT = {"type": "Point", "coordinates": [1, 2]}
FAR = [[x + 100, y] for x, y in SQUARE]
TWO = {"type": "MultiPolygon", "coordinates": [[SQUARE], [FAR]]}


@pytest.mark.parametrize(
    ("geometry", "parts"),
    [
        (CLOSED, 1),
        (TWO, 2),
        ({"type": "MultiLineString", "coordinates": [SQUARE, SQUARE[:3]]}, 1),
        ({"type": "GeometryCollection", "geometries": [CLOSED, POINT, TWO]}, 3),
    ],
)
def test_what_has_an_area_is_one_object_with_all_its_parts(tmp_path: Path, geometry: object, parts: int) -> None:
    content = read_one(tmp_path, geometry=geometry)
    assert [len(feature.polygons) for feature in content.features] == [parts]
    assert not content.left_out


@pytest.mark.parametrize(
    ("geometry", "kind"),
    [
        (None, "objects without a geometry"),
        ({}, "objects without a geometry"),
        (POINT, "points"),
        ({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}, "points"),
        (OPEN, "open lines"),
        ({"type": "GeometryCollection", "geometries": [OPEN, OPEN]}, "open lines"),
        ({"type": "GeometryCollection", "geometries": []}, "objects without a geometry"),
        ({"type": "Polygon", "coordinates": []}, "outlines with fewer than three points"),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}, "outlines with fewer than three points"),
        ({"type": "Circle", "coordinates": [1, 2, 3]}, "objects of type Circle"),
    ],
)
def test_what_has_no_area_is_counted(tmp_path: Path, geometry: object, kind: str) -> None:
    content = read_one(tmp_path, geometry=geometry)
    assert (content.features, dict(content.left_out)) == ((), {kind: 1})


@pytest.mark.parametrize("far", [1.1e7, -1.1e7, 1e308])
def test_points_far_outside_of_any_slide_are_refused(tmp_path: Path, far: float) -> None:
    geometry = {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, far]]]}
    with pytest.raises(InputError, match="feature 1 has points farther than 10000000 px"):
        read_one(tmp_path, geometry=geometry)


def test_an_empty_object_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert read_geojson(tmp_path / "a.json").features == ()


def test_a_file_of_bare_geometries_has_an_object_for_each(tmp_path: Path) -> None:
    squares = [[[[x, 0], [x + 9, 0], [x + 9, 9], [x, 0]]] for x in (0, 20, 40)]
    geometries = [{"type": "Polygon", "coordinates": square} for square in squares]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "GeometryCollection", "geometries": geometries}))
    assert [len(feature.polygons) for feature in read_geojson(tmp_path / "a.geojson").features] == [1, 1, 1]
