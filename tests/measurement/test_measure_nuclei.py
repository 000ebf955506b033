"""Nuclei of other tools: the same numbers as those of a prediction, and refusals of what does not fit."""

import csv
import json
from pathlib import Path

import geopandas
import numpy as np
import openpyxl
import pandas
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import cdist

import monuseg_cli
from conftest import Monuseg, Told
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import SILENT
from monuseg_cli.measurement.measure_nuclei import MeasureConfig, measure_nuclei
from monuseg_cli.nuclei.columns import PROBABILITY, Group, columns_of
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.prediction.config import SlideSettings
from support.processes import run_without
from support.tissue import draw_tissue

PICTURE, OUTLINES = draw_tissue(150, seed=4)
LABELS = rasterise(OUTLINES, (150, 150)).labels
EVERYTHING: tuple[Group, ...] = ("texture", "neighbours")

Rows = dict[int, dict[str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    tifffile.imwrite(tmp_path / "labels.tif", LABELS)
    return tmp_path


def rows_of(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["id"]): row for row in csv.DictReader(file)}


def geojson_of(outlines: list[NDArray[np.float64]], object_type: str = "detection") -> str:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*outline[:, ::-1].tolist(), outline[0, ::-1].tolist()]]},
            "properties": {"objectType": object_type},
        }
        for outline in outlines
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def measured(folder: Path, nuclei: str, *outputs: str, **settings: object) -> Told:
    told = Told()
    chosen = SlideSettings(**{"mpp": 0.25, "measurements": EVERYTHING, **settings})  # type: ignore[arg-type]
    paths = tuple(folder / name for name in outputs)
    measure_nuclei(MeasureConfig(folder / "picture.png", folder / nuclei, paths, chosen), told)
    return told


@pytest.mark.parametrize("nuclei", ["predicted.tif", "predicted.geojson"])
def test_predicted_nuclei_have_the_numbers_of_their_prediction(
    monuseg: Monuseg, trained_home: Home, folder: Path, nuclei: str
) -> None:
    common = ("--model", "unet-se", "--engine", "torch", "--mpp", 0.25, "--home", trained_home.root)
    predict = ("predict", folder / "picture.png", "-o", folder / "p.csv", "-o", folder / nuclei)
    labels = ("--labels",) if nuclei.endswith(".tif") else ()
    assert monuseg(*predict, *labels, "--measurements", "all", *common).exit_code == 0
    measure = ("measure", folder / "picture.png", "--nuclei", folder / nuclei, "-o", folder / "m.csv")
    said = monuseg(*measure, "--mpp", 0.25, "--measurements", "texture", "--measurements", "neighbours")
    assert said.exit_code == 0
    predicted, again = rows_of(folder / "p.csv"), rows_of(folder / "m.csv")
    assert len(again) > 20
    assert f"Written: {folder}/m.csv, {len(again)} nuclei at 0.25 um/px" in said.stdout
    for row in predicted.values():
        del row[PROBABILITY]
    assert again == predicted
    assert list(again[1]) == [column.name for column in columns_of(EVERYTHING, has_probability=False)]


def test_outlines_have_the_numbers_of_their_label_image(folder: Path) -> None:
    (folder / "outlines.geojson").write_text(geojson_of(OUTLINES), encoding="utf-8")
    measured(folder, "labels.tif", "a.csv")
    measured(folder, "outlines.geojson", "b.csv")
    assert rows_of(folder / "a.csv") == rows_of(folder / "b.csv")
    assert len(rows_of(folder / "a.csv")) == len(OUTLINES)


def test_all_formats_hold_the_same_numbers(folder: Path) -> None:
    measured(folder, "labels.tif", "m.csv", "m.geojson", "m.parquet")
    rows = rows_of(folder / "m.csv")
    frame = geopandas.read_parquet(folder / "m.parquet").set_index("id")
    features = json.loads((folder / "m.geojson").read_text(encoding="utf-8"))["features"]
    measurements = {int(feature["properties"]["name"]): feature["properties"]["measurements"] for feature in features}
    assert rows.keys() == set(frame.index) == measurements.keys()
    for column in columns_of(EVERYTHING, has_probability=False)[1:]:
        for number, row in rows.items():
            expected = float(row[column.name] or "nan")
            np.testing.assert_equal(frame[column.name][number], expected)
            if column.label:
                np.testing.assert_equal(measurements[number].get(column.label, float("nan")), expected)
    areas = frame.geometry.area * 0.25**2
    np.testing.assert_allclose(areas, frame["area_um2"], atol=0.001)


def test_excel_gets_the_nuclei_their_regions_and_a_summary(monuseg: Monuseg, folder: Path) -> None:
    square = np.array([(20.0, 30), (20, 130), (100, 130), (100, 30)])
    (folder / "roi.geojson").write_text(geojson_of([square], "annotation"), encoding="utf-8")
    outputs = [word for name in ("m.xlsx", "m.csv", "m.parquet") for word in ("-o", folder / name)]
    tables = ("--summary", folder / "s.csv", "--roi-summary", folder / "r.csv", "--roi", folder / "roi.geojson")
    said = monuseg(
        "measure", folder / "picture.png", "--nuclei", folder / "labels.tif", *outputs, *tables, "--mpp", 0.25, "--json"
    )
    assert said.exit_code == 0, said.stderr
    written = [folder / name for name in ("m.xlsx", "m.csv", "m.parquet", "s.csv", "r.csv")]
    assert json.loads(said.stdout)["written"] == list(map(str, written))
    book = openpyxl.load_workbook(folder / "m.xlsx")
    assert book.sheetnames == ["nuclei", "regions", "summary"]
    nuclei = pandas.read_excel(folder / "m.xlsx")
    frame = pandas.read_csv(folder / "m.csv")
    pandas.testing.assert_frame_equal(nuclei, frame, check_dtype=False)
    count = len(frame)
    region = {"image": "picture.png", "region": "region 1", "nuclei": count, "region_mm2": 0.0005}
    (row,) = pandas.read_excel(folder / "m.xlsx", sheet_name="regions").to_dict("records")
    assert {name: row[name] for name in region} == region
    (row,) = pandas.read_csv(folder / "r.csv").to_dict("records")
    assert {name: row[name] for name in region} == {**region, "image": str(folder / "picture.png")}
    (summary,) = pandas.read_csv(folder / "s.csv").to_dict("records")
    assert (summary["status"], summary["nuclei"], summary["width_px"]) == ("measured", count, 150)
    assert summary["median_area_um2"] == pytest.approx(frame["area_um2"].median(), abs=1e-4)
    assert pandas.isna(summary["tissue_mm2"])
    assert pandas.isna(summary["nuclei_per_mm2"])


def test_neighbours_are_counted_over_all_windows(folder: Path) -> None:
    measured(folder, "labels.tif", "m.csv")
    rows = list(rows_of(folder / "m.csv").values())
    centres = np.array([(float(row["row_px"]), float(row["col_px"])) for row in rows]) * 0.25
    distances = cdist(centres, centres)
    assert [int(row["neighbours_20um"]) for row in rows] == ((distances <= 20).sum(axis=1) - 1).tolist()
    nearest = np.where(np.eye(len(rows)), np.inf, distances).min(axis=1)
    np.testing.assert_allclose([float(row["nearest_um"]) for row in rows], nearest, atol=0.002)
    border = np.minimum(centres, 150 * 0.25 - centres).min(axis=1)
    np.testing.assert_allclose([float(row["border_um"]) for row in rows], border, atol=0.002)


def test_regions_of_interest_keep_and_name_their_nuclei(monuseg: Monuseg, folder: Path) -> None:
    square = np.array([(20.0, 30), (20, 130), (90, 130), (90, 30)])
    (folder / "roi.geojson").write_text(geojson_of([square], "annotation"), encoding="utf-8")
    options = ("--mpp", 0.25, "--measurements", "neighbours", "--roi", folder / "roi.geojson")
    paths = ("measure", folder / "picture.png", "--nuclei", folder / "labels.tif", "-o", folder / "m.csv")
    said = monuseg(*paths, *options)
    assert said.exit_code == 0
    rows = list(rows_of(folder / "m.csv").values())
    centres = np.array([(float(row["row_px"]), float(row["col_px"])) for row in rows])
    whole = rows_of_whole(folder)
    inside = [number for number, (row, col) in whole.items() if 20 <= row < 90 and 30 <= col < 130]
    assert [int(row["id"]) for row in rows] == inside
    assert 0 < len(inside) < len(whole)
    assert {row["region"] for row in rows} == {"region 1"}
    assert said.stdout.splitlines()[1].split()[:5] == ["picture.png:", "region", "1", "0.000", str(len(inside))]
    border = np.minimum(centres - (20, 30), np.array([90, 130]) - centres).min(axis=1) * 0.25
    np.testing.assert_allclose([float(row["border_um"]) for row in rows], border, atol=0.003)


def rows_of_whole(folder: Path) -> dict[int, tuple[float, float]]:
    measured(folder, "labels.tif", "whole.csv")
    return {
        number: (float(row["row_px"]), float(row["col_px"])) for number, row in rows_of(folder / "whole.csv").items()
    }


def test_python_returns_the_table(folder: Path) -> None:
    measured(folder, "labels.tif", "m.csv")
    rows = rows_of(folder / "m.csv")
    for labels in (LABELS, folder / "labels.tif"):
        table = monuseg_cli.measure(PICTURE, labels, 0.25, measurements=["all"], progress=SILENT)
        assert len(table) == len(rows)
        for found in table:
            expected = {name: float(value or "nan") for name, value in rows[int(found["id"])].items()}
            np.testing.assert_equal(found, expected)


def test_what_covers_others_is_said(folder: Path) -> None:
    outlines = [OUTLINES[0], OUTLINES[0], *OUTLINES[1:]]
    (folder / "outlines.geojson").write_text(geojson_of(outlines), encoding="utf-8")
    told = measured(folder, "outlines.geojson", "m.csv")
    assert "outlines.geojson: 1 nuclei are covered by others, and left out" in told.lines
    assert len(rows_of(folder / "m.csv")) == len(OUTLINES)


def test_an_implausible_scale_is_warned_of(folder: Path) -> None:
    picture, outlines = draw_tissue(250, seed=4)
    Image.fromarray(picture).save(folder / "picture.png")
    tifffile.imwrite(folder / "labels.tif", rasterise(outlines, (250, 250)).labels)
    told = measured(folder, "labels.tif", "m.csv", mpp=2.0)
    assert any("which is large at 2 um/px" in line for line in told.lines)


def test_an_image_without_nuclei_makes_empty_tables(folder: Path) -> None:
    Image.fromarray(np.zeros((150, 150), dtype=np.uint8)).save(folder / "none.png")
    measured(folder, "none.png", "m.csv", "m.parquet", "m.geojson")
    assert rows_of(folder / "m.csv") == {}
    assert len(geopandas.read_parquet(folder / "m.parquet")) == 0
    assert json.loads((folder / "m.geojson").read_text(encoding="utf-8"))["features"] == []


@pytest.mark.parametrize(
    ("nuclei", "output", "settings", "reason"),
    [
        ("labels.tif", "m.csv", {"mpp": None}, r"picture\.png states no credible scale .*; set it with `mpp`"),
        ("small.png", "m.csv", {}, r"small\.png: the labels are 100x90 pixels, the image is 150x150"),
        ("far.geojson", "m.csv", {}, r"far\.geojson has 1 nuclei outside of 150x150 pixels, so it is of another image"),
        ("labels.tif", "m.png", {}, r"m\.png: the name must end in \.geojson or .* or \.parquet or \.xlsx"),
        ("labels.tif", "labels.tif", {}, r"labels\.tif: the name must end in"),
        ("near.geojson", "near.geojson", {}, r"near\.geojson is an input, and would be replaced by the table"),
        ("labels.tif", "m.csv", {"measurements": "all"}, "`measurements` takes a list of names, not 'all'"),
        (
            "labels.tif",
            "m.csv",
            {"measurements": ["shape"]},
            "`measurements` takes texture, neighbours, network or all",
        ),
        (
            "labels.tif",
            "m.csv",
            {"measurements": ["network"]},
            "features of a network, which nuclei of other tools do not",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    folder: Path, nuclei: str, output: str, settings: dict[str, object], reason: str
) -> None:
    Image.fromarray(LABELS[:90, :100].astype(np.uint8)).save(folder / "small.png")
    (folder / "near.geojson").write_text(geojson_of(OUTLINES), encoding="utf-8")
    (folder / "far.geojson").write_text(geojson_of([*OUTLINES, OUTLINES[0] + 500]), encoding="utf-8")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=reason):
        measured(folder, nuclei, output, **settings)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_prediction_in_memory_has_the_measurements_of_the_file(trained_home: Home, folder: Path) -> None:
    model = monuseg_cli.load("unet-se", engine="torch", home=trained_home.root, progress=SILENT)
    table = model.predict(folder / "picture.png", 0.25, measurements=["all"]).nuclei
    model.predict_slide(folder / "picture.png", [folder / "p.csv"], 0.25, measurements=EVERYTHING)
    rows = rows_of(folder / "p.csv")
    assert list(table.columns) == list(rows[1])
    for found in table:
        expected = {name: float(value or "nan") for name, value in rows[int(found["id"])].items()}
        np.testing.assert_equal(found, expected)


def test_measurements_without_a_table_are_refused(monuseg: Monuseg, folder: Path) -> None:
    said = monuseg("predict", folder / "picture.png", "-o", folder / "m.png", "--measurements", "neighbours")
    assert said.exit_code == 3
    assert (
        "--measurements are columns of tables, and no output is a .csv, .xlsx, .geojson, .parquet or .zarr"
        in said.stderr
    )


def test_without_scikit_image_it_says_what_to_install_before_anything_is_done(folder: Path) -> None:
    words = ["measure", "picture.png", "--nuclei", "labels.tif", "-o", "m.csv", "--mpp", "0.25", "--measurements"]
    results = [run_without("skimage", *words, name, folder=folder) for name in ("texture", "neighbours")]
    assert [result.returncode for result in results] == [4, 0]
    assert results[0].stderr.strip().endswith("not installed: pip install 'monuseg-cli[texture]'")


def test_only_nuclei_in_annotated_regions_are_measured(folder: Path) -> None:
    document = json.loads(geojson_of(OUTLINES))
    corners = [[0, 0], [75, 0], [75, 150], [0, 150], [0, 0]]
    document["features"].append(
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [corners]},
            "properties": {"objectType": "annotation", "classification": {"name": "Region*"}},
        }
    )
    (folder / "a.geojson").write_text(json.dumps(document))
    told = measured(folder, "a.geojson", "m.csv")
    left = {number for number, outline in enumerate(OUTLINES) if outline[:, 1].mean() < 75}
    assert 3 < len(left) < len(OUTLINES) - 3
    assert f"a.geojson: {len(OUTLINES) - len(left)} nuclei are outside of the annotated regions, and left out" in (
        told.lines
    )
    assert all(float(row["col_px"]) < 80 for row in rows_of(folder / "m.csv").values())
    assert 0 <= len(left) - len(rows_of(folder / "m.csv")) <= 2  # one may be covered by another
