import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from monuseg_cli.annotations.geojson import read_geojson
from monuseg_cli.annotations.geojson_stream import stream_features
from monuseg_cli.core.errors import InputError, MissingError

RING = [[0, 0], [4, 0], [4, 3], [0, 3], [0, 0]]


def feature(name: str, **properties: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [RING]}
    return {"type": "Feature", "geometry": geometry, "properties": {"name": name, **properties}}


CONTENTS = {
    "a collection": {"type": "FeatureCollection", "features": [feature("a"), feature("b,]}"), feature('"c\\')]},
    "a collection with other keys first": {"crs": {"type": "name"}, "features": [feature("a"), feature("é")]},
    "a list": [feature("a"), feature("b")],
    "a feature": feature("alone"),
    "an empty collection": {"type": "FeatureCollection", "features": []},
    "an empty list": [],
}


def names(path: Path, characters: int = 1 << 20) -> list[str]:
    return [found.name for found, _ in stream_features(path, lambda _: None, characters) if found]


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("indent", [None, 2])
def test_objects_are_those_of_the_whole_file_wherever_it_is_cut(tmp_path: Path, content: Any, indent: int) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=False), encoding="utf-8")
    whole = [found.name for found in read_geojson(path).features]
    assert [names(path, characters) for characters in (1, 40, 61, 1 << 20)] == [whole] * 4


def test_packed_files_are_read(tmp_path: Path) -> None:
    text = json.dumps(CONTENTS["a collection"]).encode()
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inside.geojson", text)
        archive.writestr("__MACOSX/._inside.geojson", b"litter")
    assert names(tmp_path / "a.geojson.gz") == names(tmp_path / "a.zip") == ["a", "b,]}", '"c\\']


def test_measurements_of_all_versions_of_qupath_are_read(tmp_path: Path) -> None:
    new = feature("new", measurements={"Area µm^2": 3, "missing": None, "flag": True})
    old = feature("old", measurements=[{"name": "Area µm^2", "value": 3.5}, {"name": "text", "value": "x"}])
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([new, old, feature("none")]))
    found = [found.measurements for found, _ in stream_features(path, lambda _: None) if found]
    assert found == [{"Area µm^2": 3.0}, {"Area µm^2": 3.5}, {}]


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([feature("a" * 1000) for _ in range(100)]))
    shares: list[float] = []
    list(stream_features(path, shares.append))
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"features": [{"type": "Feature"}, {"type"', "not GeoJSON"),
        ("no json", "not GeoJSON"),
        ('{"features": [3]}', "not GeoJSON of polygons"),
        ('{"a": 1}', "not GeoJSON"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[[1], [2], [3]]]}}]', "not GeoJSON of polygons"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"a\.geojson is {reason}"):
        names(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"nothing\.geojson"):
        names(tmp_path / "nothing.geojson")
