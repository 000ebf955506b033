"""Outputs made from kept nuclei: equal to those of a prediction to the byte, and never of another setting."""

import dataclasses
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import tifffile
from PIL import Image

from conftest import Monuseg, Told
from monuseg_cli import api
from monuseg_cli.classes.classes_file import read_classes
from monuseg_cli.core.home import Home
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs.plan import OutputSpec
from monuseg_cli.prediction.batch import PredictResult, predict
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from support.classes import made_classes
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(150, seed=4)
RESULTS = ("m.png", "m.tif", "n.geojson", "n.geojson.gz", "n.csv")
BOX = np.array([(0, 0), (0, 150), (90, 150), (90, 0)], dtype=np.float64)


class Runs:
    """Predictions on one picture by one model; `told` are the lines of the latest."""

    def __init__(self, weights: Path, folder: Path) -> None:
        self.weights, self.folder, self.told = weights, folder, Told()
        self.picture = folder / "picture.tif"
        tifffile.imwrite(self.picture, PICTURE)

    def __call__(self, folder: str, *results: str, **asked: Any) -> PredictResult:
        """Predict; what goes to `OutputSpec` or to `PredictConfig` is given by its own name."""
        self.told = Told()
        into = self.folder / folder
        names = ("overlay", "tissue", "probability", "report", "labels", "simplify")
        spec = {name: asked.pop(name) for name in names if name in asked}
        spec = {name: str(into / value) if isinstance(value, str) else value for name, value in spec.items()}
        of_job = {name: asked.pop(name) for name in ("threshold", "overwrite", "engine") if name in asked}
        outputs = OutputSpec(tuple(str(into / name) for name in results), **spec)
        settings = SlideSettings(**{"mpp": 0.25, **asked})
        job = {"engine": "torch", **of_job}
        config = PredictConfig((self.picture,), outputs, self.weights, self.folder / "cache", settings, **job)
        result = predict(config, self.told)
        assert not result.failures, result.failures
        return result

    def made_from(self, folder: str, *results: str, **asked: Any) -> str | None:
        """Predict, and return the name of the file that the outputs were made from."""
        (one,) = self(folder, *results, **asked).predictions
        return one.made_from and os.path.relpath(one.made_from, self.folder)


@pytest.fixture
def runs(trained_home: Home, tmp_path: Path) -> Runs:
    return Runs(trained_home.find_weights("unet-se"), tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mpp": 0.4},  # the maps have another scale than the slide
        {"mpp": 0.1},
        {"region": (20, 30, 101, 93), "mpp": 0.26},
        {"rois": (Roi("upper part", ((BOX,),)),)},
    ],
    ids=["as it is", "coarse", "fine", "region", "roi"],
)
def test_outputs_equal_those_of_a_prediction_to_the_byte(runs: Runs, settings: dict[str, Any]) -> None:
    others = {"overlay": "o.png", "tissue": "t.png", "report": "r.html"}
    fresh = runs("fresh", *RESULTS, **others, **settings).predictions[0]
    runs("fresh", "l.tif", labels=True, **settings)
    runs("kept", "n.parquet", **settings)
    made = runs("kept", *RESULTS, **others, **settings).predictions[0]
    assert runs.told.lines == [f"picture.tif: made from {runs.folder}/kept/n.parquet, without the network"]
    assert runs.made_from("kept", "l.tif", labels=True, **settings) == "kept/n.parquet"
    for name in (*RESULTS, *others.values(), "l.tif"):
        assert (runs.folder / "kept" / name).read_bytes() == (runs.folder / "fresh" / name).read_bytes(), name
    assert tifffile.imread(runs.folder / "kept" / "l.tif").max() == made.nuclei > 1
    assert made.facts() == fresh.facts()


def test_neighbours_are_measured_from_kept_centres_and_what_needs_pixels_is_not(runs: Runs) -> None:
    for asked in (("neighbours",), ("texture", "neighbours"), ("texture", "neighbours", "network")):
        runs("fresh", "n.csv", "n.parquet", overwrite=True, measurements=asked)
        runs("kept", "n.parquet", overwrite=True)
        made_from = runs.made_from("kept", "n.csv", "n.parquet", measurements=asked)
        assert made_from == (None if "texture" in asked else "kept/n.parquet")
        for name in ("n.csv", "n.parquet"):
            assert (runs.folder / "kept" / name).read_bytes() == (runs.folder / "fresh" / name).read_bytes(), name
    assert any("differs: `measurements`" in line for line in runs.told.lines)
    for name, asked in (("a.geojson", ("neighbours", "texture")), ("b.geojson", ("network",))):
        assert runs.made_from("kept", name, measurements=asked) == "kept/n.parquet"
        runs("fresh", name, overwrite=True, measurements=asked)
        assert (runs.folder / "kept" / name).read_bytes() == (runs.folder / "fresh" / name).read_bytes()
    # What is kept, and not asked for, is left out.
    runs("plain", "n.csv")
    assert runs.made_from("kept", "n.csv") == "kept/n.parquet"
    assert (runs.folder / "kept" / "n.csv").read_bytes() == (runs.folder / "plain" / "n.csv").read_bytes()


def test_kept_classes_are_left_out_unless_they_are_asked_for(runs: Runs) -> None:
    classes = read_classes(made_classes(runs.folder / "a.classes", "logistic regression"))
    runs("kept", "n.parquet", classes=classes)
    runs("fresh", "n.geojson", "n.csv", report="r.html")
    assert runs.made_from("kept", "n.geojson", "n.csv", report="r.html") == "kept/n.parquet"
    for name in ("n.geojson", "n.csv", "r.html"):
        assert (runs.folder / "kept" / name).read_bytes() == (runs.folder / "fresh" / name).read_bytes(), name


def test_the_kept_file_can_be_copied_and_is_left_as_it_is(runs: Runs) -> None:
    runs("a", "n.parquet")
    before = (runs.folder / "a" / "n.parquet").stat()
    assert runs.made_from("a", "n.parquet", "copy.parquet") == "a/n.parquet"
    after = (runs.folder / "a" / "n.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (runs.folder / "a" / "copy.parquet").read_bytes() == (runs.folder / "a" / "n.parquet").read_bytes()


def test_a_further_output_is_recorded_and_not_made_twice(runs: Runs) -> None:
    runs("a", "n.parquet")
    assert runs.made_from("a", "n.csv") == "a/n.parquet"
    again = runs("a", "n.csv")
    assert [outputs.results[0].name for outputs in again.skipped] == ["n.csv"]
    record = json.loads((runs.folder / "a" / "n.csv.monuseg.json").read_text(encoding="utf-8"))
    assert record["found"]["made_from"] == str(runs.folder / "a" / "n.parquet")


def test_simplified_outlines_are_made_from_exact_ones(runs: Runs) -> None:
    runs("a", "n.parquet", simplify=None)
    assert runs.made_from("a", "s.geojson", simplify=1.0) == "a/n.parquet"
    runs("b", "s.geojson", simplify=1.0)
    assert (runs.folder / "a" / "s.geojson").read_bytes() == (runs.folder / "b" / "s.geojson").read_bytes()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"threshold": 0.4}, "differs: `threshold`"),
        ({"region": (0, 0, 100, 100)}, "differs: `region`"),
        ({"mpp": 0.3, "tissue_only": False}, "differs: `mpp`, `tissue_mask`"),
        ({"rois": (Roi("upper part", ((BOX,),)),)}, "differs: `roi`"),
        ({"engine": "openvino"}, "differs: `engine`"),
        ({"probability": "p.tif"}, "probabilities are not kept in"),
    ],
)
def test_nuclei_of_another_setting_are_never_taken(runs: Runs, asked: dict[str, Any], reason: str) -> None:
    runs("a", "n.parquet")
    assert runs.made_from("a", "n.csv", **asked) is None
    said = [line for line in runs.told.lines if "the network runs, since" in line]
    assert len(said) == 1
    assert reason in said[0]


def test_a_changed_image_and_another_model_are_noticed(runs: Runs, tmp_path: Path) -> None:
    runs("a", "n.parquet")
    tifffile.imwrite(runs.picture, draw_tissue(150, seed=5)[0])
    os.utime(runs.picture, ns=(1, 1))
    assert runs.made_from("a", "n.csv") is None
    assert "another image, or a changed one" in runs.told.lines[0]
    runs("b", "n.parquet")
    other = tmp_path / "other.safetensors"
    content = bytearray(runs.weights.read_bytes())
    content[-4] ^= 1  # of the last number of the last layer
    other.write_bytes(content)
    runs.weights = other
    assert runs.made_from("b", "n.csv") is None
    assert "another model" in runs.told.lines[0]


def test_overwrite_runs_the_network(runs: Runs) -> None:
    runs("a", "n.parquet")
    assert runs.made_from("a", "n.csv", overwrite=True) is None


def test_a_file_that_is_replaced_in_the_same_process_is_read_again(runs: Runs) -> None:
    runs("a", "n.parquet")
    assert runs.made_from("a", "n.csv", threshold=0.4) is None
    runs("a", "n.parquet", threshold=0.4)
    assert runs.made_from("a", "n.geojson", threshold=0.4) == "a/n.parquet"


def test_other_files_in_the_folder_are_passed_over(runs: Runs) -> None:
    folder = runs.folder / "a"
    folder.mkdir()
    (folder / "a.parquet").write_bytes(b"PAR1 and then nothing")
    pyarrow.parquet.write_table(pyarrow.table({"id": [1]}), folder / "b.parquet")
    table = pyarrow.table({"id": [1]}).replace_schema_metadata({"monuseg": '{"record": []}'})
    pyarrow.parquet.write_table(table, folder / "c.parquet")
    image = {"name": runs.picture.name}
    table = table.replace_schema_metadata({"monuseg": json.dumps({"record": {"image": image}})})
    pyarrow.parquet.write_table(table, folder / "d.parquet")
    assert runs.made_from("a", "n.csv") is None
    assert runs.told.lines == []
    runs("a", "z.parquet")
    assert runs.made_from("a", "n.geojson") == "a/z.parquet"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layout": {"region": [0, 0, 150]}}, "cannot be used: layout.region must be a list of 4, not of 3"),
        ({"layout": 3}, "cannot be used: layout must be a mapping"),
        ({"found": {"nuclei": "many"}}, "cannot be used: nuclei must be a whole number, not 'many'"),
        ({"record": {"image": {"name": "picture.tif"}, "settings": []}}, "differs: "),
    ],
)
def test_files_with_changed_statements_are_never_taken(runs: Runs, changes: dict[str, Any], reason: str) -> None:
    runs("a", "n.parquet")
    path = runs.folder / "a" / "n.parquet"
    table = pyarrow.parquet.read_table(path)
    metadata = pyarrow.parquet.read_metadata(path).metadata
    about = json.loads(metadata[b"monuseg"])
    changed = {name: {**about[name], **value} if name == "found" else value for name, value in changes.items()}
    table = table.replace_schema_metadata({**metadata, b"monuseg": json.dumps({**about, **changed})})
    pyarrow.parquet.write_table(table, path)
    assert runs.made_from("a", "n.csv") is None
    assert f"the network runs, since {path} {reason}" in "\n".join(runs.told.lines)


def test_warnings_are_repeated(runs: Runs) -> None:
    (fresh,) = runs("a", "n.parquet", mpp=2.0, threshold=0.99).predictions
    assert fresh.warnings
    (made,) = runs("a", "n.csv", mpp=2.0, threshold=0.99).predictions
    assert made.warnings == fresh.warnings
    assert f"picture.tif: {fresh.warnings[0]}" in runs.told.lines


def test_regions_outside_of_the_image_are_warned_of_again(runs: Runs) -> None:
    settings = {"rois": (Roi("far", ((BOX + 1000,),)), Roi("near", ((BOX,),)))}
    for output, made_from in (("n.parquet", None), ("n.csv", "a/n.parquet")):
        assert runs.made_from("a", output, **settings) == made_from
        assert [line for line in runs.told.lines if "1 of 2 regions of interest are outside of the image" in line]


def test_the_standard_output_takes_nuclei_from_the_current_folder(
    monuseg: Monuseg, trained_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PICTURE).save("picture.png")
    common = ("--model", "unet-se", "--engine", "torch", "--home", trained_home.root)
    assert monuseg("predict", "picture.png", "-o", "n.parquet", "-o", "n.csv", *common).exit_code == 0
    piped = monuseg("predict", "picture.png", "-o", "-", "--format", "csv", *common)
    assert piped.stdout_bytes == Path("n.csv").read_bytes()
    assert "picture.png: made from n.parquet, without the network" in piped.stderr


def test_python_makes_further_outputs_in_the_same_way(trained_home: Home, tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    model = api.load("unet-se", engine="torch", home=trained_home.root)
    model.predict_slide(tmp_path / "picture.png", [tmp_path / "n.parquet"], 0.25)
    made = model.predict_slide(tmp_path / "picture.png", [tmp_path / "n.geojson.gz"], 0.25)
    assert made.made_from == str(tmp_path / "n.parquet")
    assert len(json.loads(gzip.decompress((tmp_path / "n.geojson.gz").read_bytes()))["features"]) == made.nuclei


def test_facts_leave_out_what_is_not_of_the_slide(runs: Runs) -> None:
    (one,) = runs("a", "n.csv").predictions
    assert one.facts() == dataclasses.replace(one, seconds=1.0, made_from="x.parquet").facts()
