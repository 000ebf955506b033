"""All tables of nuclei of one slide, written together."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.nuclei.columns import Group, columns_of
from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.nuclei.neighbours import Neighbourhoods, Waiting
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs import nuclei_parquet, spreadsheet
from monuseg_cli.outputs.nuclei_csv import nuclei_csv
from monuseg_cli.outputs.nuclei_geojson import nuclei_geojson
from monuseg_cli.outputs.nuclei_xlsx import nuclei_xlsx
from monuseg_cli.outputs.target import NucleiWriter, Target


class TableFiles:
    """The tables of nuclei of one image, open until the stack is closed.

    If neighbours are measured, nuclei wait in a file until `finish`, since all of them must be known.

    Parameters
    ----------
    stack : ExitStack
        Closes the files.
    targets : sequence of (Path or binary stream, str)
        Each destination with the suffix that selects its format.
    image : str
        Name of the image.
    layout : Layout
        Scale, and the part of the image that was searched.
    measurements : collection of {"texture", "neighbours"}
        What is measured of each nucleus beside the columns that tables always have.
    rois : tuple of Roi
        Regions of interest.
    about : mapping
        What a GeoParquet states of itself; it can be completed until the stack is closed.
    simplify_px : float, optional
        See `simplify`.
    has_probability : bool
        Whether the nuclei were found by a network.
    """

    def __init__(
        self,
        stack: ExitStack,
        targets: Sequence[tuple[Target, str]],
        image: str,
        layout: Layout,
        measurements: Collection[Group],
        rois: tuple[Roi, ...],
        about: Mapping[str, Any],
        simplify_px: float | None = None,
        has_probability: bool = True,
    ) -> None:
        columns, has_regions = columns_of(measurements, has_probability), bool(rois)
        self._writers: list[NucleiWriter] = []
        for target, suffix in targets:
            if suffix == nuclei_parquet.SUFFIX:
                assert isinstance(target, Path)
                writer = nuclei_parquet.nuclei_parquet(target, columns, about, has_regions)
            elif suffix == spreadsheet.SUFFIX:
                assert isinstance(target, Path)
                writer = nuclei_xlsx(target, columns, image, about, has_regions)
            elif suffix == ".csv":
                writer = nuclei_csv(target, columns, has_regions)
            else:
                writer = nuclei_geojson(target, columns, image, simplify_px)
            self._writers.append(stack.enter_context(writer))
        self._waiting: Waiting | None = None
        if targets and "neighbours" in measurements:
            first = targets[0][0]
            self._waiting = stack.enter_context(Waiting(first.parent if isinstance(first, Path) else None))
            self._neighbourhoods = Neighbourhoods(layout, rois)

    def __bool__(self) -> bool:
        """Whether there is any table."""
        return bool(self._writers)

    def attach(self, writer: NucleiWriter) -> None:
        """Pass the nuclei on to a further writer."""
        self._writers.append(writer)

    def add(self, found: Detections) -> None:
        """Append nuclei, or keep them until `finish` if their neighbours are not measured yet."""
        if self._waiting is None or "nearest_um" in found.columns:
            self._write(found)
        else:
            self._neighbourhoods.add(found)
            self._waiting.add(found)

    def finish(self) -> None:
        """Append the nuclei that waited; nothing can be added afterwards."""
        if self._waiting is not None:
            for found in self._neighbourhoods.attach(self._waiting):
                self._write(found)

    def _write(self, found: Detections) -> None:
        for add in self._writers:
            add(found)
