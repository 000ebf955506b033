"""Nuclei as CSV, nucleus by nucleus."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from monuseg_cli.nuclei.columns import Column
from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.outputs.spreadsheet import plain_text
from monuseg_cli.outputs.target import NucleiWriter, Target, open_text


@contextmanager
def nuclei_csv(target: Target, columns: Sequence[Column], texts: Sequence[str] = ()) -> Iterator[NucleiWriter]:
    """Write one row per nucleus: its columns, empty where there is no value, then its texts.

    Parameters
    ----------
    target : Path or binary stream
        Destination.
    columns : sequence of Column
        What is written.
    texts : sequence of str
        Columns of texts, by the names of `Detections.texts`.
    """
    with open_text(target) as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([*(column.name for column in columns), *texts])

        def add(found: Detections) -> None:
            words = [map(plain_text, found.texts[name]) for name in texts]
            rows = zip(found.rows(columns), *words, strict=True)
            lines.writerows((*row, *cells) for row, *cells in rows)

        yield add
