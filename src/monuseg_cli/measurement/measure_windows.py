"""Nuclei measured window by window, or in memory."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.assign import with_classes
from monuseg_cli.classes.classes_file import check_model
from monuseg_cli.core.progress import SILENT, Progress, Task
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.stains import density_to_8_bits, haematoxylin_density
from monuseg_cli.nuclei.columns import columns_of
from monuseg_cli.nuclei.detections import Detections, detect
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.neighbours import with_neighbours
from monuseg_cli.nuclei.nucleus_table import NucleusTable
from monuseg_cli.nuclei.rois import RoiCounter
from monuseg_cli.nuclei.runs import label_runs
from monuseg_cli.nuclei.windows import NucleusWindows, Window
from monuseg_cli.prediction.config import SlideSettings


def measured(
    slide: Slide,
    windows: NucleusWindows,
    settings: SlideSettings,
    counter: RoiCounter,
    layout: Layout,
    task: Task,
) -> Iterator[Detections]:
    """Measure the nuclei of each window, without their neighbourhoods.

    Parameters
    ----------
    slide : Slide
        The open slide.
    windows : NucleusWindows
        The nuclei.
    settings : SlideSettings
        What is measured.
    counter : RoiCounter
        Counts the nuclei in regions of interest; those outside of all are left out.
    layout : Layout
        Scale of the slide.
    task : Task
        Advanced by one for every window.
    """
    for window in windows:
        centres = _centres(window)
        if counter:
            inside = counter.contains(centres)
            window, centres = window.select(inside), centres[inside]
        if len(window.ids):
            pixels = slide.read_region(0, *window.corner, *window.labels.shape)
            nuclei = Nuclei(
                first=1,
                centres=centres,
                window=window.labels,
                probability=None,
                haematoxylin=density_to_8_bits(haematoxylin_density(pixels)),
                corner=np.array(window.corner),
            )
            found = detect(nuclei, layout.frame, counter.add(centres), settings.measurements)
            yield replace(found, columns={**found.columns, "id": window.ids})
        task.advance()


def measure_in_memory(
    slide: Slide, windows: NucleusWindows, settings: SlideSettings, layout: Layout, progress: Progress = SILENT
) -> NucleusTable:
    """Measure the nuclei of an open image, and return them as a table.

    Parameters
    ----------
    slide : Slide
        The open image.
    windows : NucleusWindows
        Its nuclei.
    settings : SlideSettings
        What is measured.
    layout : Layout
        From `layout_of`.
    progress : Progress
        Receives messages.
    """
    counter = RoiCounter((), layout.frame)
    with progress.task(slide.path.name, len(windows), "blocks") as task:
        parts = list(measured(slide, windows, settings, counter, layout, task))
    if windows.covered:
        progress.warn(f"{windows.covered} nuclei are covered by others, and left out")
    if "neighbours" in settings.measurements:
        parts = with_neighbours(parts, layout, ())
    if settings.classes:
        check_model(settings.classes, None, progress)
        parts = with_classes(parts, settings.classes, layout.um_per_px)
    return NucleusTable(
        parts, columns_of(settings.measurements, has_probability=False, has_classes=bool(settings.classes))
    )


def _centres(window: Window) -> NDArray[np.float64]:
    """Compute the centre of each nucleus of a window, row and column in pixels of the image (N, 2)."""
    centres: NDArray[np.float64] = label_runs(window.labels).centres(len(window.ids))[1:] + window.corner
    return centres
