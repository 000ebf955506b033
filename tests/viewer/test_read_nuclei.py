from collections.abc import Mapping
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.viewer.read_nuclei import NucleiFile, read_nuclei
from support.tissue import aperio_xml, ellipse
from support.viewed import Feature, nuclei, polygon, regions, write_features

RING = ellipse(40, 30, 6, 4)


def read(path: Path) -> NucleiFile:
    return read_nuclei(path, lambda _: None)


def outlined(class_name: str = "", object_type: str = "annotation", name: str = "") -> Feature:
    properties: dict[str, object] = {"objectType": object_type, "name": name}
    if class_name:
        properties["classification"] = {"name": class_name}
    return {"type": "Feature", "geometry": polygon(RING), "properties": properties}


def test_detections_are_nuclei_and_annotations_beside_them_regions(tmp_path: Path) -> None:
    found = read(
        write_features(
            tmp_path / "a.geojson", [*regions(), *nuclei()[:3], outlined("Tumor", name="last"), outlined("Ignore*")]
        )
    )
    assert list(found.nuclei.names) == ["1", "2", "3"]
    assert list(found.nuclei.class_names) == ["Tumor"] * 3
    np.testing.assert_allclose(found.nuclei.measurements["Area µm^2"], [10, 11, 12])
    np.testing.assert_allclose(found.nuclei.centres, [(64, 64), (64, 192), (64, 320)], atol=0.1)
    assert [region.name for region in found.regions] == ["Left <b>half", "Corner", "last"]
    assert found.left_out == {"class Ignore*": 1}


def test_features_of_the_network_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("id,row_px,col_px,area_um2,network_1,network_64\n1,5,6,40,0.1,0.2\n")
    assert list(read(tmp_path / "n.csv").nuclei.measurements) == ["area_um2"]
    one = nuclei()[0]
    one["properties"]["measurements"]["Network 2"] = 0.5
    found = read(write_features(tmp_path / "n.geojson", [one])).nuclei.measurements
    assert "Area µm^2" in found
    assert "Network 2" not in found


@pytest.mark.parametrize(
    ("features", "count", "left_out"),
    [
        ([outlined(), outlined()], 2, {}),
        ([outlined("Nucleus"), outlined("Region*", name="here")], 1, {}),
        ([outlined("Nucleus"), outlined(object_type="tile")], 1, {"tiles": 1}),
        ([outlined("Nucleus"), {"geometry": {"type": "Point", "coordinates": [1, 2]}}], 1, {"points": 1}),
    ],
)
def test_annotations_alone_are_nuclei(
    tmp_path: Path, features: list[Feature], count: int, left_out: Mapping[str, int]
) -> None:
    found = read(write_features(tmp_path / "a.json", features))
    assert len(found.nuclei) == count
    assert found.left_out == left_out
    assert [region.name for region in found.regions] == ["here"] * (len(features) - count - len(left_out))


def test_colours_of_classes_are_read(tmp_path: Path) -> None:
    coloured = outlined("Tumor", "detection")
    coloured["properties"]["classification"]["color"] = [250, 10, 20]
    found = read(write_features(tmp_path / "a.geojson", [coloured, outlined("Stroma", "detection")]))
    assert found.colours == {"Tumor": (250, 10, 20)}


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN", "1e300", "null"])
def test_measurements_that_are_no_numbers_are_missing(tmp_path: Path, value: str) -> None:
    path = write_features(tmp_path / "a.geojson", nuclei()[:2])
    path.write_text(path.read_text().replace("10.0", value))
    area = read(path).nuclei.measurements["Area µm^2"]
    np.testing.assert_array_equal(area, np.array([np.nan, 11], dtype=np.float32))


def test_a_file_of_other_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"contains no nuclei, only tiles \(1\)"):
        read(write_features(tmp_path / "a.geojson", [outlined(object_type="tile")]))


def test_aperio_xml_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(aperio_xml([RING, RING + 50]))
    found = read(tmp_path / "a.xml").nuclei
    np.testing.assert_allclose(found.centres, [(40, 30), (90, 80)], atol=1e-3)


def test_a_table_of_monuseg_has_centres_and_measurements(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,row_px,col_px,area_um2,region\n7,40.5,30,12.5,Corner\n9,1,2,,\n")
    found = read(path).nuclei
    assert list(found.names) == ["7", "9"]
    assert found.centres.tolist() == [[40.5, 30], [1, 2]]
    assert list(found.measurements) == ["area_um2"]
    np.testing.assert_array_equal(found.measurements["area_um2"], np.array([12.5, np.nan], dtype=np.float32))
    assert found.find(41, 31, 5) == 0
    assert found.outline(0) == []


def test_geoparquet_of_geopandas_is_read_like_geojson(tmp_path: Path) -> None:
    hole = ellipse(40, 30, 2, 1)
    shapes = [
        shapely.Polygon(RING[:, ::-1], [hole[:, ::-1]]),
        shapely.MultiPolygon([shapely.Polygon(ring[:, ::-1]) for ring in (RING + 20, RING + 60)]),
        shapely.Polygon(RING[:, ::-1] + 90),
    ]
    table = {"id": [1, 2, 3], "area_um2": [1.5, 2.5, 3.5], "row_px": [0.0] * 3, "region": ["a"] * 3}
    frame = geopandas.GeoDataFrame(table, geometry=shapes)
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=2)
    shares: list[float] = []
    found = read_nuclei(tmp_path / "a.parquet", shares.append).nuclei
    assert shares == [0.5, 1]
    (tmp_path / "a.geojson").write_text(frame.to_json())
    same = read(tmp_path / "a.geojson").nuclei
    for name in ("centres", "points", "rings", "holes", "starts"):
        np.testing.assert_allclose(getattr(found, name), getattr(same, name), err_msg=name)
    assert list(found.names) == ["1", "2", "3"]
    assert list(found.measurements) == ["area_um2"]
    assert found.measurements["area_um2"].tolist() == [1.5, 2.5, 3.5]


def test_geometries_without_an_area_are_counted(tmp_path: Path) -> None:
    shapes = [shapely.Point(1, 2), shapely.Polygon(RING), None]
    geopandas.GeoDataFrame({"area": [1, 2, 3]}, geometry=shapes).to_parquet(tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")
    assert found.nuclei.measurements["area"].tolist() == [2]
    assert found.left_out == {"geometries that are not polygons": 2}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"PAR1 cut short", "not GeoParquet"),
        ("a.csv", b"x,y\n1,2\n", "no columns row_px and col_px"),
        ("a.csv", b"row_px,col_px\n1,two\n", "not a table of nuclei"),
        ("a.csv", b"row_px,col_px\n1\n", "not a table of nuclei"),
        ("a.csv", b"\xff\xfe\x00", "not a table of nuclei"),
        ("a.geojson", b"{", "not GeoJSON"),
        ("a.txt", b"", "cannot read nuclei"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["no.parquet", "no.geojson", "no.xml"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingError, match=name):
        read(tmp_path / name)
