"""All tables of nuclei of one slide, written together."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.columns import Group, columns_of
from monuseg_cli.nuclei.detections import CLASS, REGION, Detections
from monuseg_cli.nuclei.neighbours import Neighbourhoods, Waiting
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs import nuclei_parquet, nuclei_spatialdata, spreadsheet
from monuseg_cli.outputs.nuclei_csv import nuclei_csv
from monuseg_cli.outputs.nuclei_geojson import nuclei_geojson
from monuseg_cli.outputs.nuclei_xlsx import nuclei_xlsx
from monuseg_cli.outputs.target import NucleiWriter, Target

if TYPE_CHECKING:
    from monuseg_cli.classes.assign import ClassAssigner
    from monuseg_cli.classes.classes_file import NucleusClassifier


class TableFiles:
    """The tables of nuclei of one image, open until the stack is closed.

    If neighbours are measured or classes found, nuclei wait in a file until `finish`, since all of them must be known.

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
    measurements : collection of {"texture", "neighbours", "network"}
        What is measured of each nucleus beside the columns that tables always have.
    rois : tuple of Roi
        Regions of interest.
    about : mapping
        What a GeoParquet or SpatialData store states of itself; it can be completed until the stack is closed.
    simplify_px : float, optional
        See `simplify`.
    has_probability : bool
        Whether the nuclei were found by a network.
    classifier : NucleusClassifier, optional
        Finds the classes of the nuclei.
    slide : Slide, optional
        The open image, to which a SpatialData store refers.
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
        classifier: "NucleusClassifier | None" = None,
        slide: Slide | None = None,
    ) -> None:
        columns = columns_of(measurements, has_probability, has_classes=classifier is not None)
        texts = [name for name, is_given in {CLASS: classifier, REGION: rois}.items() if is_given]
        colours = classifier.card.colours if classifier else {}
        self._writers: list[NucleiWriter] = []
        for target, suffix in targets:
            if suffix == nuclei_parquet.SUFFIX:
                assert isinstance(target, Path)
                writer = nuclei_parquet.nuclei_parquet(target, columns, about, texts)
            elif suffix == spreadsheet.SUFFIX:
                assert isinstance(target, Path)
                writer = nuclei_xlsx(target, columns, image, about, texts)
            elif suffix == nuclei_spatialdata.SUFFIX:
                assert isinstance(target, Path)
                assert slide is not None
                writer = nuclei_spatialdata.nuclei_spatialdata(target, columns, slide, layout, about, colours)
            elif suffix == ".csv":
                writer = nuclei_csv(target, columns, texts)
            else:
                writer = nuclei_geojson(target, columns, image, simplify_px, colours)
            self._writers.append(stack.enter_context(writer))
        self._waiting: Waiting | None = None
        self._neighbourhoods = Neighbourhoods(layout, rois) if targets and "neighbours" in measurements else None
        self._assigner = _open_assigner(classifier, layout.um_per_px) if classifier else None
        if self._neighbourhoods or self._assigner:
            first = targets[0][0] if targets else None
            self._waiting = stack.enter_context(Waiting(first.parent if isinstance(first, Path) else None))

    def __bool__(self) -> bool:
        """Whether nuclei are needed: for a table, or to count their classes."""
        return bool(self._writers) or self._assigner is not None

    def attach(self, writer: NucleiWriter) -> None:
        """Pass the nuclei on to a further writer."""
        self._writers.append(writer)

    def add(self, found: Detections) -> None:
        """Append nuclei, or keep them until `finish` if something of them depends on all others."""
        if self._waiting is None or (self._assigner is None and "nearest_um" in found.columns):
            self._write(found)
            return
        if self._neighbourhoods:
            self._neighbourhoods.add(found)
        if self._assigner:
            self._assigner.add(found)
        self._waiting.add(found)

    def finish(self) -> None:
        """Append the nuclei that waited; nothing can be added afterwards."""
        if self._waiting is None:
            return
        complete: Iterable[Detections] = self._waiting
        if self._neighbourhoods:
            complete = self._neighbourhoods.attach(complete)
        if self._assigner:
            complete = self._assigner.attach(complete)
        for found in complete:
            self._write(found)

    @property
    def class_counts(self) -> Mapping[str, int]:
        """Number of nuclei of each class, once `finish` was called; empty without a classifier."""
        return self._assigner.counts if self._assigner else {}

    def _write(self, found: Detections) -> None:
        for add in self._writers:
            add(found)


def _open_assigner(classifier: "NucleusClassifier", um_per_px: float) -> "ClassAssigner":
    from monuseg_cli.classes.assign import ClassAssigner  # imported only for classes

    return ClassAssigner(classifier, um_per_px)
