"""GeoParquet, read by geopandas, pyarrow and shapely."""

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow.parquet
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.nuclei.columns import columns_of
from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.outputs.nuclei_parquet import nuclei_parquet, read_about, read_nuclei
from support.halves import PICTURE, predict_halves
from support.processes import run_without
from support.rows import read_rows

COLUMNS = columns_of()


@pytest.fixture
def folder(trained_home: Home, tmp_path: Path) -> Path:
    """A folder with nuclei of one picture as GeoParquet, GeoJSON and CSV, inside both halves."""
    outputs = (tmp_path / f"n.{form}" for form in ("parquet", "geojson", "csv"))
    predict_halves(trained_home, tmp_path / "picture.png", *outputs)
    return tmp_path


def test_geopandas_reads_what_the_other_tables_say(folder: Path) -> None:
    frame = geopandas.read_parquet(folder / "n.parquet")
    rows = read_rows(folder / "n.csv")
    assert len(frame) == len(rows) > 20
    for column in COLUMNS:
        expected = [float(row[column.name] or "nan") for row in rows]
        np.testing.assert_array_equal(frame[column.name].to_numpy(), expected, column.name)
    assert frame["region"].tolist() == [row["region"] for row in rows]
    assert set(frame["region"]) == {"top", "bottom"}
    features = json.loads((folder / "n.geojson").read_text(encoding="utf-8"))["features"]
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in features]
    assert all(frame.geometry.geom_equals_exact(geopandas.GeoSeries(shapes), tolerance=0))
    assert frame.crs is None


def test_geopandas_reads_a_part_by_the_column_of_boxes(folder: Path) -> None:
    whole = geopandas.read_parquet(folder / "n.parquet")
    part = geopandas.read_parquet(folder / "n.parquet", bbox=(20, 30, 60, 70))
    wanted = whole[whole.geometry.envelope.intersects(shapely.box(20, 30, 60, 70))]
    assert 0 < len(part) < len(whole)
    assert part["id"].tolist() == wanted["id"].tolist()


def test_the_metadata_state_scale_model_and_regions(folder: Path) -> None:
    about = read_about(folder / "n.parquet")
    record = json.loads((folder / "n.parquet.monuseg.json").read_text(encoding="utf-8"))
    assert about["record"] == {name: record[name] for name in about["record"]}
    assert about["record"]["model"]["sha256"] == record["model"]["sha256"]
    assert about["layout"]["mpp"] == 0.4
    assert [roi["name"] for roi in about["found"]["rois"]] == ["top", "bottom"]
    assert sum(roi["nuclei"] for roi in about["found"]["rois"]) == about["found"]["nuclei"]
    assert about["engine"] == "torch"
    geo = json.loads(pyarrow.parquet.read_metadata(folder / "n.parquet").metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    column = geo["columns"][geo["primary_column"]]
    assert (column["encoding"], column["crs"]) == ("WKB", None)
    assert column["bbox"] == geopandas.read_parquet(folder / "n.parquet").total_bounds.tolist()


def squares(first: int, count: int) -> Detections:
    """Make square nuclei in a row, with ids from `first` on."""
    ids = first + np.arange(count)
    columns: dict[str, NDArray[Any]] = {column.name: ids if column.is_whole else ids * 0.5 for column in COLUMNS}
    columns["orientation_deg"] = np.where(ids % 3, 20.0, np.nan)
    return Detections(columns, shapely.box(ids, 0, ids + 0.5, 1), None)


def test_row_groups_have_one_size_however_the_nuclei_arrive(tmp_path: Path) -> None:
    for name, sizes in {"a": [7, 1, 60, 32], "b": [100]}.items():
        with nuclei_parquet(tmp_path / f"{name}.parquet", COLUMNS, {}, rows_per_group=40) as add:
            first = 1
            for size in sizes:
                add(squares(first, size))
                first += size
    metadata = pyarrow.parquet.read_metadata(tmp_path / "a.parquet")
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [40, 40, 20]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    groups = list(read_nuclei(tmp_path / "a.parquet"))
    assert [len(group) for group in groups] == [40, 40, 20]
    whole = squares(1, 100)
    for name, values in whole.columns.items():
        read = np.concatenate([group.columns[name] for group in groups])
        assert read.dtype == values.dtype
        np.testing.assert_array_equal(read, values)
    assert shapely.equals_exact(np.concatenate([group.shapes for group in groups]), whole.shapes).all()


def test_multipolygons_are_named_among_the_types(tmp_path: Path) -> None:
    parts = shapely.multipolygons([shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2)])
    one = squares(1, 1)
    with nuclei_parquet(tmp_path / "a.parquet", COLUMNS, {}) as add:
        add(one)
        add(Detections(one.columns, np.array([parts]), None))
    geo = json.loads(pyarrow.parquet.read_metadata(tmp_path / "a.parquet").metadata[b"geo"])
    assert geo["columns"]["geometry"]["geometry_types"] == ["Polygon", "MultiPolygon"]
    assert geopandas.read_parquet(tmp_path / "a.parquet").geom_type.tolist() == ["Polygon", "MultiPolygon"]


def test_no_nuclei_are_a_table_without_rows(tmp_path: Path) -> None:
    with nuclei_parquet(tmp_path / "a.parquet", COLUMNS, {"record": 1}, ["region"]):
        pass
    assert len(geopandas.read_parquet(tmp_path / "a.parquet")) == 0
    assert list(read_nuclei(tmp_path / "a.parquet")) == []
    assert read_about(tmp_path / "a.parquet") == {"record": 1}


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with nuclei_parquet(tmp_path / "a.parquet", COLUMNS, {}) as add:
            add(squares(1, 3))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_ours_or_damaged_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")
    geopandas.GeoDataFrame({"id": [1]}, geometry=[shapely.box(0, 0, 1, 1)]).to_parquet(tmp_path / "b.parquet")
    for name in "abc":  # the last does not exist
        with pytest.raises(InputError, match=rf"{name}\.parquet is not a file of nuclei that monuseg wrote"):
            read_about(tmp_path / f"{name}.parquet")
    with nuclei_parquet(tmp_path / "d.parquet", COLUMNS, {}) as add:
        add(squares(1, 30_000))
    content = bytearray((tmp_path / "d.parquet").read_bytes())
    content[1000:3000] = bytes(2000)
    (tmp_path / "d.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"d\.parquet is damaged \(.*\); delete it, and predict again"):
        list(read_nuclei(tmp_path / "d.parquet"))


def test_without_pyarrow_it_says_what_to_install_before_anything_is_done(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    said = run_without("pyarrow", "predict", "a.png", "-o", "n.parquet", "--home", "home", folder=tmp_path)
    assert (said.returncode, said.stdout) == (4, "")
    assert said.stderr.strip().endswith("not installed: pip install 'monuseg-cli[tables]'")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
