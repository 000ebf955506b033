"""All output files of one slide, opened together and written as the results arrive."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli import __version__
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.models.card import Card
from monuseg_cli.prediction import parquet, spreadsheet
from monuseg_cli.prediction.detections import Detections, Layout, detect
from monuseg_cli.prediction.nuclei_xlsx import nuclei_xlsx
from monuseg_cli.prediction.outputs import TIFF_SUFFIXES, Outputs, suffix_of
from monuseg_cli.prediction.overlay import overlay_png
from monuseg_cli.prediction.parquet import nuclei_parquet
from monuseg_cli.prediction.rasters import RowWriter, mask_png, pyramid_tiff
from monuseg_cli.prediction.report import slide_report
from monuseg_cli.prediction.roi import Roi
from monuseg_cli.prediction.stitch import Nuclei
from monuseg_cli.prediction.tables import NucleiWriter, Target, nuclei_csv, nuclei_geojson


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
    has_regions : bool
        Whether regions of interest are given.
    """

    def __init__(
        self,
        stack: ExitStack,
        outputs: Outputs,
        layout: Layout,
        card: Card,
        about: Mapping[str, Any],
        has_regions: bool,
    ) -> None:
        self._stack, self._outputs, self._layout = stack, outputs, layout
        self._about, self._has_regions = about, has_regions
        self._rasters: list[RowWriter] = []
        self._tables: list[NucleiWriter] = []
        self._probability: RowWriter | None = None
        description = _describe(outputs, card)
        for path in outputs.results:
            suffix = suffix_of(path)
            if suffix == ".png":
                self._rasters.append(stack.enter_context(mask_png(path, layout.shape)))
            elif suffix in TIFF_SUFFIXES:
                dtype = np.int32 if outputs.labels else np.uint8
                add = stack.enter_context(pyramid_tiff(path, layout.shape, dtype, layout.mpp, description))
                self._rasters.append(add if outputs.labels else _as_mask(add))
            elif suffix == parquet.SUFFIX:
                self._tables.append(stack.enter_context(nuclei_parquet(path, about, has_regions)))
            elif suffix == spreadsheet.SUFFIX:
                self._tables.append(stack.enter_context(nuclei_xlsx(path, outputs.image.name, about, has_regions)))
            else:
                self._add_table(path, suffix)
        if outputs.stream:
            self._add_table(sys.stdout.buffer, f".{outputs.stream}")
        if outputs.probability:
            writer = pyramid_tiff(outputs.probability, layout.map_shape, np.uint8, layout.map_mpp, description)
            self._probability = stack.enter_context(writer)

    def _add_table(self, target: Target, suffix: str) -> None:
        if suffix == ".csv":
            writer = nuclei_csv(target, self._has_regions)
        else:
            writer = nuclei_geojson(target, self._outputs.image.name, self._outputs.simplify)
        self._tables.append(self._stack.enter_context(writer))

    def draw_on(self, slide: Slide) -> None:
        """Open the overlay, if it is an output."""
        if self._outputs.overlay:
            add = overlay_png(self._outputs.overlay, slide, self._layout.region)
            self._rasters.append(self._stack.enter_context(add))

    def report_on(self, slide: Slide, tissue: NDArray[np.bool_], mpp: float, rois: tuple[Roi, ...]) -> None:
        """Begin the report, if it is an output; see `slide_report`."""
        if self._outputs.report:
            report = slide_report(self._outputs.report, slide, self._layout, mpp, tissue, rois, self._about)
            self._tables.append(self._stack.enter_context(report))

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
            self.add_detections(detect(nuclei, self._layout.frame, regions))

    def add_detections(self, found: Detections) -> None:
        """Append nuclei to the tables."""
        for add in self._tables:
            add(found)

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
