"""Nuclei as CSV, nucleus by nucleus."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from monuseg_cli.nuclei.columns import Column
from monuseg_cli.nuclei.detections import REGION, Detections
from monuseg_cli.outputs.spreadsheet import plain_text
from monuseg_cli.outputs.target import NucleiWriter, Target, open_text


@contextmanager
def nuclei_csv(target: Target, columns: Sequence[Column], has_regions: bool = False) -> Iterator[NucleiWriter]:
    """Write one row per nucleus: its columns, empty where there is no value, and its regions if there are any.

    Parameters
    ----------
    target : Path or binary stream
        Destination.
    columns : sequence of Column
        What is written.
    has_regions : bool
        Whether regions of interest are given.
    """
    with open_text(target) as file:
        lines = csv.writer(file, lineterminator="\n")
        names = [column.name for column in columns]
        lines.writerow([*names, REGION] if has_regions else names)

        def add(found: Detections) -> None:
            if found.regions is None:
                lines.writerows(found.rows(columns))
            else:
                names = map(plain_text, found.regions)
                lines.writerows((*row, name) for row, name in zip(found.rows(columns), names, strict=True))

        yield add
