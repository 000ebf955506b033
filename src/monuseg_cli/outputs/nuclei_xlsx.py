"""The nuclei of a slide as .xlsx, with sheets of the regions and of the slide."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monuseg_cli.nuclei.columns import Column
from monuseg_cli.nuclei.detections import REGION, Detections
from monuseg_cli.outputs.spreadsheet import MOST_ROWS, workbook
from monuseg_cli.outputs.summary_tables import REGION_COLUMNS, SUMMARY_COLUMNS, region_rows, summary_row
from monuseg_cli.outputs.target import NucleiWriter

_STATED_ELSEWHERE = ("status", "seconds", "exit_code", "message")


@contextmanager
def nuclei_xlsx(
    path: Path,
    columns: Sequence[Column],
    image: str,
    about: Mapping[str, Any],
    has_regions: bool = False,
    most_rows: int = MOST_ROWS,
) -> Iterator[NucleiWriter]:
    """Write one row per nucleus to the sheet ``nuclei``; what a sheet cannot hold goes to ``nuclei 2`` and so on.

    The sheets ``regions`` and ``summary`` state the counts of each region and of the slide.

    Parameters
    ----------
    path : Path
        Destination.
    columns : sequence of Column
        What is written of each nucleus.
    image : str
        Name of the slide.
    about : mapping
        What the nuclei were made of; `found` in it is read when the context ends. See `describe_nuclei`.
    has_regions : bool
        Whether regions of interest are given.
    most_rows : int
        Rows of a sheet, with its heading.
    """
    names = [*(column.name for column in columns), *([REGION] if has_regions else [])]
    with workbook(path, most_rows) as book:
        book.add("nuclei", names)

        def add(found: Detections) -> None:
            if found.regions is None:
                book.add("nuclei", names, found.rows(columns))
            else:
                rows = ((*row, name) for row, name in zip(found.rows(columns), found.regions, strict=True))
                book.add("nuclei", names, rows)

        yield add
        facts = about["found"]
        kept = [place for place, name in enumerate(SUMMARY_COLUMNS) if name not in _STATED_ELSEWHERE]
        row = summary_row(image, facts, "", None)
        book.add("regions", REGION_COLUMNS, region_rows(image, facts["rois"]))
        book.add("summary", [SUMMARY_COLUMNS[place] for place in kept], [[row[place] for place in kept]])
