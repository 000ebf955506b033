"""Tables over all slides of a prediction: one row per slide, and one row per region of interest."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monuseg_cli.nuclei.distributions import MEASURED
from monuseg_cli.outputs.spreadsheet import SUFFIX, Cell, Row, write_csv, write_tables

SUMMARY_COLUMNS = (
    "image",
    "status",
    "width_px",
    "height_px",
    "mpp",
    "tissue_mm2",
    "nuclei",
    "nuclei_per_mm2",
    *(f"median_{name}" for name in MEASURED),
    "seconds",
    "warnings",
    "exit_code",
    "message",
)
REGION_COLUMNS = ("image", "region", "region_mm2", "nuclei", "nuclei_per_mm2")


def columns_with(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the table of slides: with the number of nuclei of each class, where there are any."""
    return (*SUMMARY_COLUMNS, *(f"nuclei_{name}" for name in classes))


def summary_row(
    image: str, found: Mapping[str, Any], status: str, seconds: float | None, classes: Sequence[str] = ()
) -> Row:
    """Return the row of a slide; see `Prediction.facts` for `found`, and `columns_with` for `classes`.

    The ``tissue_mm2`` of `found` may be None: not known.
    """
    warnings = "; ".join(describe_warnings(found["warnings"], found["damaged"]))
    medians = [found["medians"].get(name) for name in MEASURED]
    tissue, nuclei = found["tissue_mm2"], found["nuclei"]
    counts = (None if tissue is None else round(tissue, 6), nuclei, _per_mm2(nuclei, tissue))
    shown = None if seconds is None else round(seconds, 2)
    of_classes = [found["classes"].get(name) for name in classes]
    known = (image, status, found["width"], found["height"], found["mpp"], *counts, *medians, shown, warnings, 0, "")
    return (*known, *of_classes)


def failure_row(image: str, exit_code: int, message: str, classes: Sequence[str] = ()) -> Row:
    """Return the row of a slide that failed; see `columns_with`."""
    known: dict[str, Cell] = {"image": image, "status": "failed", "exit_code": exit_code, "message": message}
    return tuple(known.get(column) for column in columns_with(classes))


def region_rows(image: str, rois: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return a row for each region of interest of a slide."""
    return [
        (image, roi["name"], round(roi["mm2"], 6), roi["nuclei"], _per_mm2(roi["nuclei"], roi["mm2"])) for roi in rois
    ]


def _per_mm2(nuclei: int, mm2: float | None) -> float | None:
    return round(nuclei / mm2, 2) if mm2 else None


def write_summary(path: Path, slides: Sequence[Row], regions: Sequence[Row], classes: Sequence[str] = ()) -> None:
    """Write the table of slides as CSV, or both tables as sheets of an .xlsx; see `columns_with`.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    if path.suffix.lower() == SUFFIX:
        write_tables(path, {"summary": (columns_with(classes), slides), "regions": (REGION_COLUMNS, regions)})
    else:
        write_csv(path, columns_with(classes), slides)


def write_regions(path: Path, regions: Sequence[Row]) -> None:
    """Write the table of regions as CSV.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_csv(path, REGION_COLUMNS, regions)


def describe_warnings(warnings: tuple[str, ...], damaged: tuple[str, ...]) -> list[str]:
    """Return the warnings on a slide as sentences."""
    tiles = [f"{len(damaged)} damaged tiles were treated as glass (the first: {damaged[0]})"] if damaged else []
    return [*warnings, *tiles]
