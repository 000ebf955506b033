"""Tables for spreadsheets, read back by openpyxl and pandas."""

import csv
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas
import pytest

from monuseg_cli.nuclei.columns import columns_of
from monuseg_cli.outputs.nuclei_csv import nuclei_csv
from monuseg_cli.outputs.nuclei_xlsx import nuclei_xlsx
from monuseg_cli.outputs.spreadsheet import Row, write_csv, write_tables
from monuseg_cli.outputs.summary_tables import SUMMARY_COLUMNS, failure_row, summary_row, write_summary
from support.squares import squares

COLUMNS = columns_of()
DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://a.org")', "\t=1", "\r=1"]
FOUND: dict[str, Any] = {
    "height": 100,
    "width": 200,
    "mpp": 0.25,
    "tissue_mm2": 0.5,
    "nuclei": 7,
    "rois": [{"name": "=tumour", "mm2": 0.25, "nuclei": 5}, {"name": "empty", "mm2": 0.0, "nuclei": 0}],
    "damaged": (),
    "stain": {},
    "warnings": ("odd", "-odder"),
    "classes": {},
    "medians": {"area_um2": 20.5, "eccentricity": 0.5, "solidity": 0.9, "haematoxylin_mean": 1.25},
}


def values(sheet: Any) -> list[tuple[Any, ...]]:
    return list(sheet.iter_rows(values_only=True))


def test_text_is_never_a_formula_in_xlsx(tmp_path: Path) -> None:
    texts = [*DANGEROUS[:5], "plain"]
    write_tables(tmp_path / "a.xlsx", {"a": (("text", "number"), [(text, -1.5) for text in texts])})
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")["a"]
    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert [cell.value for cell in cells] == texts
    assert {cell.data_type for cell in cells} == {"s"}
    assert [row[1].value for row in sheet.iter_rows(min_row=2)] == [-1.5] * len(texts)
    assert b"<f>" not in zipfile.ZipFile(tmp_path / "a.xlsx").read("xl/worksheets/sheet1.xml")


def test_text_is_never_a_formula_in_csv(tmp_path: Path) -> None:
    rows: list[Row] = [(text, -1.5) for text in (*DANGEROUS, "plain")]
    write_csv(tmp_path / "a.csv", ("text", "number"), rows)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.reader(file))
    assert [row[0] for row in read[1:]] == [*(f"'{text}".replace("\r", " ") for text in DANGEROUS), "plain"]
    assert {row[1] for row in read[1:]} == {"-1.5"}
    with nuclei_csv(tmp_path / "n.csv", COLUMNS, ["region"]) as add:
        add(squares(np.array([[5.0, 5], [9, 9]]), regions=["=1+1", "tumour"]))
    assert pandas.read_csv(tmp_path / "n.csv")["region"].tolist() == ["'=1+1", "tumour"]


def test_text_that_xml_cannot_hold_is_replaced(tmp_path: Path) -> None:
    write_tables(tmp_path / "a.xlsx", {"a": (("text",), [("a\x00b\x1bc",), ("x" * 40_000,)])})
    heading, odd, long = values(openpyxl.load_workbook(tmp_path / "a.xlsx")["a"])
    assert (heading, odd) == (("text",), ("a\ufffdb\ufffdc",))
    assert len(long[0]) == 32_767


@pytest.mark.parametrize("regions", [None, ["=tumour", "=tumour; b", "b"]])
def test_xlsx_has_the_nuclei_the_regions_and_the_summary(tmp_path: Path, regions: list[str] | None) -> None:
    found = squares(np.array([[5.0, 5], [30, 30], [60, 60]]), regions=regions)
    with nuclei_xlsx(tmp_path / "n.xlsx", COLUMNS, "a.svs", {"found": FOUND}, ["region"] if regions else []) as add:
        add(found)
    book = openpyxl.load_workbook(tmp_path / "n.xlsx")
    assert book.sheetnames == ["nuclei", "regions", "summary"]
    names, *nuclei = values(book["nuclei"])
    assert list(names) == [*(column.name for column in COLUMNS), *(["region"] if regions else [])]
    assert [row[: len(COLUMNS)] for row in nuclei] == list(found.rows(COLUMNS))
    assert regions is None or [row[-1] for row in nuclei] == regions
    assert values(book["regions"])[1:] == [("a.svs", "=tumour", 0.25, 5, 20), ("a.svs", "empty", 0, 0, None)]
    (summary,) = pandas.read_excel(tmp_path / "n.xlsx", sheet_name="summary").to_dict("records")
    assert (summary["nuclei"], summary["nuclei_per_mm2"], summary["median_area_um2"]) == (7, 14, 20.5)
    assert book["nuclei"].freeze_panes == "A2"


def test_rows_that_a_sheet_cannot_hold_go_to_another(tmp_path: Path) -> None:
    with nuclei_xlsx(tmp_path / "n.xlsx", COLUMNS, "a.svs", {"found": FOUND}, most_rows=4) as add:
        for first in (1, 6):
            add(squares(np.full((5, 2), 9.0), first=first))
    sheets = pandas.read_excel(tmp_path / "n.xlsx", sheet_name=None)
    ids = {name: sheet["id"].tolist() for name, sheet in sheets.items() if "nuclei" in name}
    assert ids == {"nuclei": [1, 2, 3], "nuclei 2": [4, 5, 6], "nuclei 3": [7, 8, 9], "nuclei 4": [10]}


def test_a_summary_has_what_was_found_and_what_failed(tmp_path: Path) -> None:
    rows = [summary_row("a.svs", FOUND, "predicted", 1.234), failure_row("b.svs", 3, "truncated")]
    for name, read in (("s.csv", pandas.read_csv), ("s.xlsx", pandas.read_excel)):
        write_summary(tmp_path / name, rows, [("a.svs", "tumour", 0.25, 5, 20.0)])
        done, failed = read(tmp_path / name).to_dict("records")
        assert tuple(done) == SUMMARY_COLUMNS
        assert (done["image"], done["warnings"], done["seconds"]) == ("a.svs", "odd; -odder", 1.23)
        assert (done["exit_code"], failed["exit_code"], failed["status"]) == (0, 3, "failed")
        assert failed["message"] == "truncated"
        assert pandas.isna(failed["nuclei"])
    assert pandas.read_excel(tmp_path / "s.xlsx", sheet_name="regions")["region"].tolist() == ["tumour"]


def test_a_summary_has_the_number_of_nuclei_of_each_class(tmp_path: Path) -> None:
    names, found = ("=Long", "Round"), {**FOUND, "classes": {"Round": 3, "=Long": 1}}
    rows = [summary_row("a.svs", found, "predicted", 1.0, names), failure_row("b.svs", 3, "truncated", names)]
    for name, read in (("s.csv", pandas.read_csv), ("s.xlsx", pandas.read_excel)):
        write_summary(tmp_path / name, rows, [], names)
        done, failed = read(tmp_path / name).to_dict("records")
        assert (done["nuclei_=Long"], done["nuclei_Round"]) == (1, 3)
        assert pandas.isna(failed["nuclei_Round"])
