"""Prediction on one slide, from the image file to the output files."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from monuseg_cli import __version__
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.malloc import return_freed_memory
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.outputs.plan import Outputs
from monuseg_cli.outputs.result import Prediction
from monuseg_cli.outputs.slide_files import Writers
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.oriented import with_tta
from monuseg_cli.prediction.find_nuclei import find_nuclei, report_doubts
from monuseg_cli.prediction.prepared_slide import PreparedSlide, report_slide
from monuseg_cli.prediction.scale_estimate import with_scale

if TYPE_CHECKING:
    from monuseg_cli.classes.classes_file import NucleusClassifier


def predict_slide(
    outputs: Outputs,
    settings: SlideSettings,
    engine: Engine,
    progress: Progress = SILENT,
    record: Mapping[str, Any] = MappingProxyType({}),
    threads: int | None = None,
) -> Prediction:
    """Find the nuclei of one image and write the outputs, in memory that grows with its width, not with its height.

    Parameters
    ----------
    outputs : Outputs
        The image, and the files to write.
    settings : SlideSettings
        Settings of the slide.
    engine : Engine
        Runs the network.
    progress : Progress
        Receives messages.
    record : mapping
        What the result depends on, as JSON, for the metadata of files of nuclei.
    threads : int, optional
        Number of cores to use beside the network's; see `find_nuclei`.

    Raises
    ------
    InputError
        If the image or the region is unusable, or the scale cannot be estimated.
    OutputError
        If a file cannot be written.
    """
    began = time.perf_counter()
    return_freed_memory()
    for path in outputs.files:
        require_writable(path)
    with (
        Slide(outputs.image, settings.skip_damaged, settings.series, settings.plane) as slide,
        ExitStack() as stack,
    ):
        settings, estimate = with_scale(slide, settings, engine, progress)
        engine = with_tta(engine, settings.tta)
        prepared = PreparedSlide(slide, settings, engine.card, engine)
        report_slide(prepared, engine, progress, [path for path in outputs.files if path != outputs.overlay])
        about = {**describe_nuclei(record, engine, prepared.layout), **describe_classes(settings.classes)}
        writers = Writers(
            stack,
            outputs,
            prepared.layout,
            engine.card,
            about,
            settings.measurements,
            settings.rois,
            settings.classes,
            slide,
        )
        writers.draw_on(slide)
        if outputs.report:
            from monuseg_cli.reports.slide_report import slide_report  # imported only for reports

            mpp, tissue = prepared.mpp or engine.card.mpp, prepared.tissue.found
            report = slide_report(outputs.report, slide, prepared.layout, mpp, tissue, settings.rois, about)
            writers.attach(stack.enter_context(report))
        writers.add_tissue(prepared.tissue.found)
        found = find_nuclei(prepared, settings.rois, engine, writers, progress, threads, settings.measurements)
        writers.finish()
        prediction = Prediction(
            outputs=outputs,
            height=prepared.shape[0],
            width=prepared.shape[1],
            mpp=prepared.mpp,
            mpp_range=(estimate.low, estimate.high) if estimate else None,
            tissue_mm2=prepared.tissue.mm2,
            nuclei=len(found.areas_um2),
            seconds=0.0,
            rois=found.rois,
            damaged=prepared.damaged,
            stain=prepared.match.found if prepared.match else {},
            warnings=report_doubts(prepared, found, engine, progress, estimate),
            medians=found.medians,
            classes=writers.class_counts,
        )
        about["found"] = prediction.facts()
    return replace(prediction, seconds=time.perf_counter() - began)


def describe_classes(classifier: "NucleusClassifier | None") -> dict[str, Any]:
    """Return what a file of nuclei states of their classes, as JSON; empty without a classifier."""
    if classifier is None:
        return {}
    card = classifier.card
    stated = {"file": classifier.path.name, "sha256": classifier.sha256, "model": card.model, "colours": card.colours}
    return {"classes": {**stated, "accuracy": asdict(card.validation.accuracy)}}


def describe_nuclei(record: Mapping[str, Any], engine: Engine, layout: Layout) -> dict[str, Any]:
    """Return what a file of nuclei states of itself, as JSON; what was found is added at the end."""
    return {
        "software": f"monuseg {__version__}",
        "licence": engine.card.licence,
        "coordinates": "x and y in pixels of the image at full resolution, y downwards",
        "engine": engine.name,
        "layout": asdict(layout),
        "record": record,
    }
