"""All output files of one slide, except the report: opened together, and written as results arrive."""

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli import __version__
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.models.card import Card
from monuseg_cli.nuclei.columns import Group
from monuseg_cli.nuclei.detections import Detections, detect
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs.overlay_png import overlay_png
from monuseg_cli.outputs.plan import PLOT_SUFFIXES, TIFF_SUFFIXES, Outputs, suffix_of
from monuseg_cli.outputs.rasters import RowWriter, mask_png, pyramid_tiff
from monuseg_cli.outputs.slide_tables import TableFiles
from monuseg_cli.outputs.target import NucleiWriter, Target

if TYPE_CHECKING:
    from monuseg_cli.classes.classes_file import NucleusClassifier


class Writers:
    """The writers of all output files of a slide, open until the stack is closed.

    Parameters
    ----------
    stack : ExitStack
        Closes the files.
    outputs : Outputs
        Which files.
    layout : Layout
        Where the maps lie on the slide.
    card : Card
        Card of the model.
    about : mapping
        What a file of nuclei states of itself; it can be completed until the stack is closed.
    measurements : collection of {"texture", "neighbours", "network"}
        What is measured of each nucleus beside the columns that tables always have.
    rois : tuple of Roi
        Regions of interest.
    classifier : NucleusClassifier, optional
        Finds the classes of the nuclei.
    slide : Slide, optional
        The open image, to which a SpatialData store refers.
    """

    def __init__(
        self,
        stack: ExitStack,
        outputs: Outputs,
        layout: Layout,
        card: Card,
        about: Mapping[str, Any],
        measurements: Collection[Group],
        rois: tuple[Roi, ...],
        classifier: "NucleusClassifier | None" = None,
        slide: Slide | None = None,
    ) -> None:
        self._stack, self._outputs, self._layout = stack, outputs, layout
        self._measurements = measurements
        self._rasters: list[RowWriter] = []
        self._probability: RowWriter | None = None
        description = _describe(outputs, card)
        tables: list[tuple[Target, str]] = []
        plots: list[Path] = []
        for path in outputs.results:
            suffix = suffix_of(path)
            if suffix == ".png":
                self._rasters.append(stack.enter_context(mask_png(path, layout.shape)))
            elif suffix in TIFF_SUFFIXES:
                dtype = np.int32 if outputs.labels else np.uint8
                add = stack.enter_context(pyramid_tiff(path, layout.shape, dtype, layout.mpp, description))
                self._rasters.append(add if outputs.labels else _as_mask(add))
            elif suffix in PLOT_SUFFIXES:
                plots.append(path)
            else:
                tables.append((path, suffix))
        if outputs.stream:
            tables.append((sys.stdout.buffer, f".{outputs.stream}"))
        self._tables = TableFiles(
            stack,
            tables,
            outputs.image.name,
            layout,
            measurements,
            rois,
            about,
            outputs.simplify,
            classifier=classifier,
            slide=slide,
        )
        if plots:
            # matplotlib takes half a second to import, so it is imported only for plots
            from monuseg_cli.outputs.histograms import histograms

            for path in plots:
                self._tables.attach(stack.enter_context(histograms(path)))
        if outputs.probability:
            writer = pyramid_tiff(outputs.probability, layout.map_shape, np.uint8, layout.map_mpp, description)
            self._probability = stack.enter_context(writer)

    def draw_on(self, slide: Slide) -> None:
        """Open the overlay, if it is an output."""
        if self._outputs.overlay:
            add = overlay_png(self._outputs.overlay, slide, self._layout.region)
            self._rasters.append(self._stack.enter_context(add))

    def attach(self, writer: NucleiWriter) -> None:
        """Pass the nuclei on to a further writer, such as that of the report."""
        self._tables.attach(writer)

    def add_tissue(self, tissue: NDArray[np.bool_]) -> None:
        """Write the mask of detected tissue (H, W), if it is an output."""
        if self._outputs.tissue:
            self._stack.enter_context(mask_png(self._outputs.tissue, tissue.shape))(tissue)

    def add_probability(self, rows: NDArray[np.uint8]) -> None:
        """Write the next rows (R, W) of the probability of nuclei."""
        if self._probability:
            self._probability(rows)

    def add_labels(self, rows: NDArray[np.int32]) -> None:
        """Write the next rows (R, W) of the label image."""
        for add in self._rasters:
            add(rows)

    def add_nuclei(self, nuclei: Nuclei, regions: Sequence[str] | None) -> None:
        """Measure nuclei, and append them to the tables."""
        if self._tables:
            self._tables.add(detect(nuclei, self._layout.frame, regions, self._measurements))

    def add_detections(self, found: Detections) -> None:
        """Append nuclei to the tables."""
        self._tables.add(found)

    def finish(self) -> None:
        """Complete the tables when all nuclei are added."""
        self._tables.finish()

    @property
    def class_counts(self) -> Mapping[str, int]:
        """Number of nuclei of each class; see `TableFiles`."""
        return self._tables.class_counts

    @property
    def need_labels(self) -> bool:
        """Whether any output is made of the label image."""
        return bool(self._rasters)

    @property
    def need_nuclei(self) -> bool:
        """Whether any output is a table of nuclei."""
        return bool(self._tables)


def _as_mask(add: RowWriter) -> RowWriter:
    return lambda labels: add((labels != 0).astype(np.uint8) * np.uint8(255))


def _describe(outputs: Outputs, card: Card) -> dict[str, Any]:
    return {
        "software": f"monuseg {__version__}",
        "image": outputs.image.name,
        "model": card.architecture,
        "licence": card.licence,
        "postprocess": asdict(card.postprocess),
        "content": "255 or a nucleus' id where a label is, 0 elsewhere",
    }
