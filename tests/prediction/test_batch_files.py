"""Reports and tables over several slides, from the command line."""

import json
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pytest
import tifffile

from conftest import Monuseg
from monuseg_cli.core.home import Home
from support.browser import opened
from support.tissue import draw_tissue

SIZE = 120


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Two slides, of which one has a name that could break a page or a table, and a file that is damaged."""
    folder = tmp_path / "slides"
    folder.mkdir()
    for seed, name in enumerate(("=a<i>.tif", "b.tif")):
        tifffile.imwrite(folder / name, draw_tissue(SIZE, seed)[0], resolution=(40_000, 40_000), resolutionunit=3)
    (folder / "c.tif").write_bytes((folder / "b.tif").read_bytes()[:5000])
    return folder


@pytest.fixture
def rois(tmp_path: Path) -> Path:
    path = tmp_path / "rois.geojson"
    ring = [[0, 0], [SIZE, 0], [SIZE, 60], [0, 60], [0, 0]]
    feature = {
        "type": "Feature",
        "properties": {"objectType": "annotation", "name": "=top"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    return path


@pytest.fixture
def predict(monuseg: Monuseg, trained_home: Home, slides: Path) -> Any:
    def run(*words: object) -> Any:
        options = ("--model", "unet-se", "--engine", "torch", "--home", trained_home.root)
        return monuseg("predict", slides, *words, *options)

    return run


def test_a_folder_has_a_report_of_each_slide_and_of_all(predict: Any, tmp_path: Path, rois: Path) -> None:
    result = predict("--report", tmp_path / "report", "--roi", rois)
    assert result.exit_code == 3
    assert f"On all images: {tmp_path / 'report' / 'index.html'}" in result.stdout.replace("\n", "")
    assert sorted(path.name for path in (tmp_path / "report").glob("*.html")) == ["=a<i>.html", "b.html", "index.html"]
    with opened(tmp_path / "report" / "index.html", width=390) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.locator("h1").inner_text() == "Nuclei of 3 slides"
        assert "c.tif failed" in tab.locator(".warnings").inner_text()
        names = tab.locator("table").first.locator("tbody .text:nth-child(2)").all_inner_texts()
        assert names == ["=a<i>.tif", "b.tif", "c.tif"]
        assert tab.locator("img").evaluate_all(
            "all => all.map((one) => one.naturalWidth > 0 && one.clientWidth > 0)"
        ) == [
            True,
            True,
        ]
        tab.locator("a", has_text="=a<i>.tif").click()
        assert tab.locator("h1").inner_text() == "=a<i>.tif"
        assert tab.locator("table td").first.inner_text() == "=top"


@pytest.mark.parametrize(
    ("asked", "of_all", "of_each"),
    [
        ("r.html", "r.html", "r/b.html"),
        ("out/{stem}/r.html", "out/index.html", "out/b/r.html"),
        ("out/x-{stem}.html", "out/index.html", "out/x-b.html"),
    ],
)
def test_where_reports_of_a_folder_are(predict: Any, tmp_path: Path, asked: str, of_all: str, of_each: str) -> None:
    predict("--report", tmp_path / asked)
    assert (tmp_path / of_all).is_file()
    assert (tmp_path / of_each).is_file()


def test_a_summary_has_a_row_for_slides_done_now_done_before_and_failed(predict: Any, tmp_path: Path) -> None:
    asked = ("-o", f"{tmp_path}/out/", "--format", "csv", "--summary", tmp_path / "s.csv")
    assert predict(*asked).exit_code == 3
    first = pandas.read_csv(tmp_path / "s.csv")
    (tmp_path / "out" / "b.csv").unlink()
    predict(*asked)
    second = pandas.read_csv(tmp_path / "s.csv")
    assert first["status"].tolist() == ["predicted", "predicted", "failed"]
    assert second["status"].tolist() == ["skipped", "predicted", "failed"]
    assert second["exit_code"].tolist() == [0, 0, 3]
    assert second["message"][2].startswith(str(tmp_path / "slides" / "c.tif"))
    unchanged = [name for name in first.columns if name not in ("status", "seconds")]
    pandas.testing.assert_frame_equal(first[unchanged], second[unchanged])
    for row, name in enumerate(("=a<i>", "b")):
        nuclei = pandas.read_csv(tmp_path / "out" / f"{name}.csv")
        assert second["nuclei"][row] == len(nuclei) > 0
        for column in ("area_um2", "eccentricity", "solidity", "haematoxylin_mean"):
            assert second[f"median_{column}"][row] == pytest.approx(nuclei[column].median(), abs=1e-4)


def test_counts_of_regions_are_those_of_the_tables(predict: Any, tmp_path: Path, rois: Path) -> None:
    tables = (
        "--summary",
        tmp_path / "s.xlsx",
        "--roi-summary",
        tmp_path / "r.csv",
        "-o",
        f"{tmp_path}/n/{{stem}}.xlsx",
    )
    predict(*tables, "--roi", rois)
    regions = pandas.read_csv(tmp_path / "r.csv")
    assert regions["region"].tolist() == ["'=top", "'=top"]
    of_all = pandas.read_excel(tmp_path / "s.xlsx", sheet_name="regions")
    assert of_all["nuclei"].tolist() == regions["nuclei"].tolist()
    for row, name in enumerate(("=a<i>", "b")):
        nuclei = pandas.read_excel(tmp_path / "n" / f"{name}.xlsx", sheet_name="nuclei")
        assert regions["nuclei"][row] == (nuclei["region"] == "=top").sum() == len(nuclei) > 0
        book = openpyxl.load_workbook(tmp_path / "n" / f"{name}.xlsx")
        (region,) = (cells[1] for cells in book["nuclei"].iter_cols(max_row=2) if cells[0].value == "region")
        assert (region.value, region.data_type) == ("=top", "s")


def test_a_summary_alone_needs_no_other_output(predict: Any, tmp_path: Path) -> None:
    result = predict("--summary", tmp_path / "s.csv", "--json")
    shown = json.loads(result.stdout)
    assert shown["written"] == [str(tmp_path / "s.csv")]
    assert shown["failures"][0]["code"] == result.exit_code == 3
    assert shown["failures"][0]["file"] == str(tmp_path / "slides" / "c.tif")
    assert "card" not in shown
    assert pandas.read_csv(tmp_path / "s.csv")["nuclei"].tolist()[:2] == [one["nuclei"] for one in shown["predictions"]]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (("--summary", "s.txt"), "ends in .csv or .xlsx"),
        (("--summary", "{stem}.csv"), "ends in .csv or .xlsx"),
        (("--report", "r.pdf"), "the name must end in .html"),
        (("--roi-summary", "r.csv"), "name their file in --roi"),
        (("--summary", "s.csv", "--num-parts", "2"), "--summary is a table of all images"),
        (("--summary", "x.csv", "--roi-summary", "x.csv"), "would be written more than once"),
        (("--report", "{stem}.html", "-o", "index.html"), "the name must end in"),
    ],
)
def test_what_cannot_be_asked_for(predict: Any, asked: tuple[str, ...], reason: str) -> None:
    result = predict(*asked)
    assert result.exit_code == 3
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_parts_leave_the_report_of_all_to_the_last_run(predict: Any, tmp_path: Path) -> None:
    for part in (1, 2):
        result = predict("--report", tmp_path / "r.html", "--num-parts", 2, "--part", part)
        assert "is written without --num-parts when all parts are done" in result.stderr.replace("\n", " ")
        assert not (tmp_path / "r.html").exists()
    again = predict("--report", tmp_path / "r.html")
    assert "Skipped, done before: 2 of 3" in again.stdout
    assert (tmp_path / "r.html").is_file()
