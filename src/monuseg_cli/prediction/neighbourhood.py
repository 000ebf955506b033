"""Neighbourhoods of nuclei, measured when all nuclei of a slide are known."""

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.neighbours import measure_neighbours
from monuseg_cli.prediction.detections import Detections, Layout, rounded
from monuseg_cli.prediction.roi import Roi


class Neighbourhoods:
    """Takes the centres of all nuclei, and then adds the columns of the group "neighbours".

    Parameters
    ----------
    layout : Layout
        Scale, and the part of the slide that was searched.
    rois : tuple of Roi
        Regions of interest, whose borders count.
    """

    def __init__(self, layout: Layout, rois: tuple[Roi, ...]) -> None:
        self._layout = layout
        self._outlines = [ring for roi in rois for polygon in roi.polygons for ring in polygon]
        self._centres: list[NDArray[np.float64]] = [np.empty((0, 2))]

    def add(self, found: Detections) -> None:
        """Take the centres of further nuclei."""
        self._centres.append(np.stack([found.columns["row_px"], found.columns["col_px"]], axis=1))

    def attach(self, parts: Iterable[Detections]) -> Iterator[Detections]:
        """Yield the nuclei that were added, in the same order, with their neighbourhoods."""
        centres = np.concatenate(self._centres)
        known = measure_neighbours(centres, self._layout.um_per_px, self._layout.region, self._outlines)
        begin = 0
        for found in parts:
            own = {name: values[begin : begin + len(found)] for name, values in known.items()}
            yield replace(found, columns=rounded({**found.columns, **own}))
            begin += len(found)


def with_neighbours(parts: Sequence[Detections], layout: Layout, rois: tuple[Roi, ...]) -> list[Detections]:
    """Return all nuclei of a slide with the columns of the group "neighbours"."""
    neighbourhoods = Neighbourhoods(layout, rois)
    for found in parts:
        neighbourhoods.add(found)
    return list(neighbourhoods.attach(parts))


class Waiting:
    """Nuclei that wait in a file without a name, which vanishes with the process. Use it in a ``with`` statement.

    Parameters
    ----------
    folder : Path, optional
        Where the file is; None: the usual place of temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 # closed by __exit__
        self._count = 0

    def __enter__(self) -> "Waiting":
        """Return the nuclei themselves."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the file."""
        self._file.close()

    def add(self, found: Detections) -> None:
        """Append nuclei."""
        pickle.dump(found, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def __iter__(self) -> Iterator[Detections]:
        """Iterate over the nuclei, in the order in which they were added."""
        self._file.seek(0)
        for _ in range(self._count):
            yield pickle.load(self._file)
