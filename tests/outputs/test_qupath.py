"""What QuPath reads of a prediction, by its own rules."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile

from conftest import Monuseg
from monuseg_cli.nuclei.columns import columns_of
from support.classes import COLOURS, MPP, made_classes, write_two_kinds
from support.qupath import read_objects, trace_labels
from support.rows import read_rows
from support.tissue import draw_tissue


@pytest.fixture
def outputs(monuseg: Monuseg, tmp_path: Path) -> Path:
    """A folder with all that is known of the nuclei of a picture at the scale of the model."""
    tifffile.imwrite(tmp_path / "picture.tif", draw_tissue(200, seed=3)[0])
    names = ("n.geojson", "n.geojson.gz", "n.csv", "l.tif")
    words = [word for name in names for word in ("-o", tmp_path / name)]
    done = monuseg("predict", tmp_path / "picture.tif", *words, "--labels", "--mpp", 0.25, "--engine", "torch")
    assert done.exit_code == 0, done.stderr
    return tmp_path


def test_nuclei_become_detections_with_measurements(outputs: Path) -> None:
    objects, rows = read_objects(outputs / "n.geojson"), read_rows(outputs / "n.csv")
    assert len(objects) == len(rows) > 20
    columns = [column for column in columns_of() if column.label]
    for one, row in zip(objects, rows, strict=True):
        assert (one.kind, one.name, one.class_name) == ("detection", row["id"], "Nucleus")
        expected = {str(column.label): float(row[column.name]) for column in columns if row[column.name]}
        assert one.measurements == expected
        assert one.roi.is_valid
    assert len({one.identity for one in objects} - {None}) == len(objects)
    assert len({one.colour for one in objects}) == 1


def test_a_label_image_is_traced_to_the_outlines_of_the_geojson(outputs: Path) -> None:
    traced = trace_labels(tifffile.imread(outputs / "l.tif"))
    objects = read_objects(outputs / "n.geojson")
    assert [one.name for one in objects] == sorted(traced, key=int)
    for one in objects:
        assert one.name is not None
        assert shapely.equals(one.roi, traced[one.name])


def test_a_compressed_geojson_must_be_unpacked(outputs: Path) -> None:
    """As docs/predict.md says."""
    assert read_objects(outputs / "n.geojson.gz") == []


def test_classes_keep_their_colours_and_regions_become_metadata(monuseg: Monuseg, tmp_path: Path) -> None:
    image, labels, areas = write_two_kinds(tmp_path)
    named = json.loads(areas.read_text(encoding="utf-8"))
    for number, feature in enumerate(named["features"]):
        feature["properties"]["name"] = f"area {number}"
    areas.write_text(json.dumps(named), encoding="utf-8")
    classes = made_classes(tmp_path / "k.classes", "logistic regression")
    words = ("measure", image, "--nuclei", labels, "--mpp", MPP, "--classes", classes, "--roi", areas)
    done = monuseg(*words, "-o", tmp_path / "n.geojson", "-o", tmp_path / "n.csv")
    assert done.exit_code == 0, done.stderr
    objects, rows = read_objects(tmp_path / "n.geojson"), read_rows(tmp_path / "n.csv")
    assert [one.class_name for one in objects] == [row["class"] for row in rows]
    assert {one.class_name: one.colour for one in objects}["Long"] == tuple(COLOURS["Long"])
    assert [one.metadata for one in objects] == [{"region": row["region"]} for row in rows]
    assert len({row["region"] for row in rows}) == len(named["features"])
    probabilities = [one.measurements["Class probability"] for one in objects]
    np.testing.assert_array_equal(probabilities, [float(row["class_probability"]) for row in rows])
