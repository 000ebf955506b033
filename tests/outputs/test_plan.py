"""Formats and destinations of the tables of nuclei, as a person asks for them."""

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import geopandas
import jsonschema
import pytest
from PIL import Image

from conftest import Monuseg, Told
from monuseg_cli.annotations.read_rois import read_rois
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.outputs.plan import OutputSpec, plan_outputs
from monuseg_cli.prediction.batch import predict
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from support.rows import read_rows
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(150, seed=4)
SCHEMA = json.loads(Path(__file__).with_name("geojson.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def weights(trained_home: Home) -> Path:
    return trained_home.find_weights("unet-se")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(PICTURE).save(path)
    return path


def run(picture: Path, weights: Path, output: Path | tuple[Path, ...], **settings: Any) -> Any:
    """Predict on the picture; what goes to `OutputSpec` is given by its own name."""
    named = {name: settings.pop(name) for name in ("simplify", "format") if name in settings}
    outputs = OutputSpec(tuple(map(str, output if isinstance(output, tuple) else (output,))), **named)
    slide = SlideSettings(tissue_only=False, **settings)
    result = predict(PredictConfig((picture,), outputs, weights, weights.parent, slide, engine="torch"), Told())
    assert not result.failures
    return result


def features(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["features"]
    return found


def draw_regions(path: Path, **boxes: tuple[int, int, int, int]) -> Path:
    """Write rectangles (first column, first row, last column, last row) as QuPath exports annotations."""
    content = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[a, b], [c, b], [c, d], [a, d], [a, b]]]},
            "properties": {"name": name.rstrip("_")},
        }
        for name, (a, b, c, d) in boxes.items()
    ]
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_ids_stay_unique_over_regions_of_a_slide(weights: Path, picture: Path, tmp_path: Path) -> None:
    parts = {"whole": None, "left": (0, 0, 75, 150), "right": (75, 0, 75, 150)}
    ids = {}
    for name, region in parts.items():
        run(picture, weights, tmp_path / f"{name}.geojson", region=region)
        ids[name] = {one["id"]: one for one in features(tmp_path / f"{name}.geojson")}
    assert len(ids["whole"]) > 20
    assert min(len(ids["left"]), len(ids["right"])) > 5
    assert not ids["left"].keys() & ids["right"].keys()
    of_both = ids["left"] | ids["right"]
    again = ids["whole"].keys() & of_both.keys()
    assert len(again) > len(of_both) / 2  # the same nucleus has the same id
    for identity in again:
        one, other = (found[identity]["geometry"]["coordinates"] for found in (ids["whole"], of_both))
        assert one[0][0] == other[0][0]


def test_ids_do_not_change_when_shapes_are_simplified(weights: Path, picture: Path, tmp_path: Path) -> None:
    run(picture, weights, tmp_path / "a.geojson")
    run(picture, weights, tmp_path / "b.geojson", simplify=1.0)
    exact, simple = (features(tmp_path / f"{name}.geojson") for name in "ab")
    assert [one["id"] for one in exact] == [one["id"] for one in simple]
    assert len(json.dumps(simple)) < 0.8 * len(json.dumps(exact))


def test_each_nucleus_names_its_regions(weights: Path, picture: Path, tmp_path: Path) -> None:
    boxes = {"Tumor": (0, 0, 150, 60), "Tumor_": (0, 60, 150, 150), "Rim": (0, 40, 150, 80)}
    rois = read_rois(draw_regions(tmp_path / "rois.geojson", **boxes))
    assert [roi.name for roi in rois] == ["Tumor", "Tumor (2)", "Rim"]
    result = run(picture, weights, (tmp_path / "n.csv", tmp_path / "n.geojson"), rois=rois)
    found = [row["region"] for row in read_rows(tmp_path / "n.csv")]
    assert set(found) == {"Tumor", "Tumor (2)", "Tumor; Rim", "Tumor (2); Rim"}
    counted = Counter(name for names in found for name in names.split("; "))
    assert counted == {roi.name: roi.nuclei for roi in result.predictions[0].rois}
    content = json.loads((tmp_path / "n.geojson").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    assert [one["properties"]["metadata"]["region"] for one in content["features"]] == found
    run(picture, weights, tmp_path / "n.csv")
    assert "region" not in read_rows(tmp_path / "n.csv")[0]


def test_geopandas_reads_the_packed_geojson(weights: Path, picture: Path, tmp_path: Path) -> None:
    result = run(picture, weights, (tmp_path / "n.geojson.gz", tmp_path / "n.csv"))
    with gzip.open(tmp_path / "n.geojson.gz") as file:
        frame = geopandas.read_file(io.BytesIO(file.read())).set_crs(None, allow_override=True)  # pixels, not degrees
    assert len(frame) == result.predictions[0].nuclei
    assert frame.geometry.is_valid.all()
    areas = [float(row["area_um2"]) for row in read_rows(tmp_path / "n.csv")]
    assert (frame.geometry.area * 0.25**2).round(3).tolist() == pytest.approx(areas, abs=2e-3)


def test_an_outline_of_another_precision_is_written_anew(weights: Path, picture: Path, tmp_path: Path) -> None:
    skipped = [
        len(run(picture, weights, tmp_path / "n.geojson", **named).skipped)
        for named in ({}, {}, {"simplify": 0.5}, {"simplify": 0.5}, {"simplify": 1.0}, {})
    ]
    assert skipped == [0, 1, 0, 1, 0, 0]


def test_a_record_without_a_precision_still_counts(weights: Path, picture: Path, tmp_path: Path) -> None:
    run(picture, weights, tmp_path / "n.geojson")
    path = tmp_path / "n.geojson.monuseg.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    del record["simplify"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert len(run(picture, weights, tmp_path / "n.geojson").skipped) == 1


@pytest.mark.parametrize("form", ["csv", "geojson"])
def test_the_standard_output_holds_the_table_alone(
    monuseg: Monuseg, trained_home: Home, picture: Path, tmp_path: Path, form: str
) -> None:
    common = ("--model", "unet-se", "--engine", "torch", "--home", trained_home.root)
    file = tmp_path / f"n.{form}"
    assert monuseg("predict", picture, "-o", file, *common).exit_code == 0
    for _ in range(2):  # what is piped is not skipped the second time
        piped = monuseg("predict", picture, "-o", "-", "--format", form, *common)
        assert piped.exit_code == 0, piped.stderr
        assert piped.stdout_bytes == file.read_bytes()
    assert "Written: the standard output" in piped.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("n")) == sorted(
        [file.name, f"{file.name}.monuseg.json"]
    )


def test_a_folder_takes_files_of_the_format(picture: Path, tmp_path: Path) -> None:
    for form in ("png", "tif", "geojson", "geojson.gz", "csv", "parquet"):
        (plan,) = plan_outputs([picture], OutputSpec((f"{tmp_path}/out/",), format=form))
        assert plan.results == (tmp_path / "out" / f"picture.{form}",)


@pytest.mark.parametrize(
    ("output", "knobs", "reason"),
    [
        ("n.csv", {"simplify": 0.5}, "no output is a .geojson"),
        ("n.geojson", {"simplify": 0.0}, "must be a distance in pixels above 0, not 0.0"),
        ("n.geojson", {"simplify": float("nan")}, "above 0, not nan"),
        ("n.geojson", {"format": "csv"}, r"`format` is for a folder or -; the format of n\.geojson follows"),
        ("out", {"format": "ods"}, "`format` takes png or tif or geojson or .* not 'ods'"),
        ("-", {}, "the standard output needs `format=geojson` or `format=csv`"),
        ("-", {"format": "png"}, "the standard output needs `format=geojson` or `format=csv`"),
        ("-", {"format": "csv", "overlay": "o.png"}, "must be the only output"),
        ("-", {"format": "csv", "labels": True}, "cannot write labels to -"),
        ("n.gz", {}, "must end in"),
    ],
)
def test_outputs_that_cannot_be(output: str, knobs: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        plan_outputs([Path("a.png")], OutputSpec((output,), **knobs))


def test_the_standard_output_takes_one_image_and_no_second_content(
    monuseg: Monuseg, picture: Path, tmp_path: Path
) -> None:
    other = picture.with_name("other.png")
    other.write_bytes(picture.read_bytes())
    home = ("--home", tmp_path / "home")
    two = monuseg("predict", picture, other, "-o", "-", "--format", "csv", *home)
    assert (two.exit_code, two.stderr.strip()) == (
        3,
        "error: the standard output takes one image, not 2; give a folder in --output",
    )
    cluster = monuseg("predict", picture, "-o", "-", "--format", "csv", "--scheduler", "tcp://10.0.0.1:1", *home)
    assert (cluster.exit_code, "cannot write to the standard output" in cluster.stderr) == (3, True)
    both = monuseg("predict", picture, "-o", "-", "--format", "csv", "--json", *home)
    assert (both.exit_code, "leave one out" in both.stderr) == (2, True)
