"""The nuclei of a slide as .xlsx, with sheets of the regions and of the slide."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monuseg_cli.nuclei.columns import Column
from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.outputs.spreadsheet import MOST_ROWS, workbook
from monuseg_cli.outputs.summary_tables import REGION_COLUMNS, columns_with, region_rows, summary_row
from monuseg_cli.outputs.target import NucleiWriter

_STATED_ELSEWHERE = ("status", "seconds", "exit_code", "message")


@contextmanager
def nuclei_xlsx(
    path: Path,
    columns: Sequence[Column],
    image: str,
    about: Mapping[str, Any],
    texts: Sequence[str] = (),
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
    texts : sequence of str
        Columns of texts, by the names of `Detections.texts`.
    most_rows : int
        Rows of a sheet, with its heading.
    """
    names = [*(column.name for column in columns), *texts]
    with workbook(path, most_rows) as book:
        book.add("nuclei", names)

        def add(found: Detections) -> None:
            words = [found.texts[name] for name in texts]
            rows = zip(found.rows(columns), *words, strict=True)
            book.add("nuclei", names, ((*row, *cells) for row, *cells in rows))

        yield add
        facts = about["found"]
        classes = tuple(facts["classes"])
        stated = columns_with(classes)
        kept = [place for place, name in enumerate(stated) if name not in _STATED_ELSEWHERE]
        row = summary_row(image, facts, "", None, classes)
        book.add("regions", REGION_COLUMNS, region_rows(image, facts["rois"]))
        book.add("summary", [stated[place] for place in kept], [[row[place] for place in kept]])
