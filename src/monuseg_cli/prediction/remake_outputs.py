"""Further outputs of a slide whose nuclei are kept in a file: made of that file, without the network."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import resolve_links
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.core.schema import SchemaError, read_as, require_mapping
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.models.card import Card
from monuseg_cli.nuclei.label_rows import label_rows
from monuseg_cli.nuclei.rois import warn_outside
from monuseg_cli.outputs import nuclei_parquet
from monuseg_cli.outputs.plan import Outputs
from monuseg_cli.outputs.result import Prediction
from monuseg_cli.outputs.slide_files import Writers
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.engines.select import EngineName
from monuseg_cli.prediction.files_of_nuclei import FilesOfNuclei
from monuseg_cli.prediction.predict_slide import describe_classes
from monuseg_cli.prediction.tissue import TissueMap

_MEASUREMENTS, _CLASSES = "measurements", "classes"
_OPTIONS = {"tissue_only": "tissue_mask", "rois": "roi"}
"""Settings that are named otherwise where they are asked for."""


@dataclass(frozen=True, slots=True)
class KeptNuclei:
    """A file with all nuclei of a slide.

    Parameters
    ----------
    path : Path
        The file.
    about : dict
        What it states of itself; see `describe_nuclei`.
    layout : Layout
        Where the maps lie on the slide.
    prediction : Prediction
        What was found.
    """

    path: Path
    about: dict[str, Any]
    layout: Layout
    prediction: Prediction

    @classmethod
    def read(cls, path: Path, outputs: Outputs) -> "KeptNuclei":
        """Read what a file states of itself.

        Raises
        ------
        InputError
            If it cannot be read.
        SchemaError
            If it does not describe the nuclei of a slide.
        """
        about = nuclei_parquet.read_about(path)
        layout = read_as(Layout, about.get("layout"), "layout")
        found = require_mapping(about.get("found"), "found")
        return cls(path, about, layout, Prediction.from_facts(outputs, {**found, "seconds": 0.0}))


def find_kept(
    outputs: Outputs,
    identity: Mapping[str, Any],
    engine: EngineName,
    progress: Progress = SILENT,
    files: FilesOfNuclei | None = None,
) -> KeptNuclei | None:
    """Find a file of nuclei in a folder of the outputs that was made of the same image, by the same model and settings.

    A line says why a file of nuclei of the image cannot be used.

    Parameters
    ----------
    outputs : Outputs
        The files to write.
    identity : mapping
        Everything that the nuclei depend on, as JSON.
    engine : {"auto", "torch", "openvino"}
        Requested engine; with a name, nuclei that the other engine found are not used.
    progress : Progress
        Receives messages.
    files : FilesOfNuclei, optional
        The files to look among; by default, those that are there now.
    """
    name = outputs.image.name
    wanted = json.loads(json.dumps(identity))
    for path in (files or FilesOfNuclei()).of(outputs, progress):
        try:
            kept = KeptNuclei.read(path, outputs)
        except (InputError, SchemaError) as error:
            progress.info(f"{name}: the network runs, since {path} cannot be used: {error}")
            continue
        differing = _differences(kept.about, wanted, engine)
        if differing:
            progress.info(f"{name}: the network runs, since {path} differs: {', '.join(differing)}")
        elif outputs.probability:
            progress.info(f"{name}: the network runs, since probabilities are not kept in {path}")
        else:
            return kept
    return None


def _differences(about: Mapping[str, Any], wanted: Mapping[str, Any], engine: EngineName) -> list[str]:
    """Name what differs between the record of a file and what is asked for."""
    record = about["record"]
    texts = {
        "image": "another image, or a changed one",
        "model": "another model",
        "monuseg": "another version of monuseg",
    }
    found = [text for part, text in texts.items() if record.get(part) != wanted[part]]
    for part in ("postprocess", "settings"):
        before, now = record.get(part), wanted[part]
        before = before if isinstance(before, dict) else {}
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if _CLASSES in names:
            names.remove(_CLASSES)  # found anew from the measurements
        if _MEASUREMENTS in names and _are_enough(before.get(_MEASUREMENTS), now.get(_MEASUREMENTS)):
            names.remove(_MEASUREMENTS)
        found += [f"`{_OPTIONS.get(name, name)}`" for name in names]
    if engine not in ("auto", about["engine"]):
        found.append("`engine`")
    return found


def _are_enough(kept: object, asked: Sequence[str] | None) -> bool:
    """Return whether kept measurements include those asked for; neighbours are measured from kept centres."""
    return {*(asked or ())} - {"neighbours"} <= {*(kept if isinstance(kept, list) else ())}


def _columns_of(settings: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """Return what the columns of a file of nuclei depend on: its measurements and its classes."""
    return list(settings.get(_MEASUREMENTS, [])), settings.get(_CLASSES)


def make_outputs(
    kept: KeptNuclei,
    outputs: Outputs,
    settings: SlideSettings,
    card: Card,
    identity: Mapping[str, Any],
    progress: Progress = SILENT,
) -> Prediction:
    """Write the outputs of a slide from its kept nuclei, byte for byte equal to those of a prediction.

    The image is opened only for an overlay, a report, the mask of tissue, a SpatialData store, or to compare regions of
    interest with its size.

    Parameters
    ----------
    kept : KeptNuclei
        The nuclei.
    outputs : Outputs
        The image, and the files to write; the file of the nuclei itself may be among them, and is left as it is unless
        it has other measurements.
    settings : SlideSettings
        Settings of the slide, with which the nuclei were found.
    card : Card
        Card of the model that found them.
    identity : mapping
        Everything that the outputs depend on, for the metadata of files of nuclei.
    progress : Progress
        Receives messages.

    Raises
    ------
    InputError
        If the file is damaged, or the image is needed and unusable.
    OutputError
        If a file cannot be written.
    """
    began = time.perf_counter()
    for path in outputs.files:
        require_writable(path)
    asked, layout = outputs, kept.layout
    prediction = kept.prediction if settings.classes else replace(kept.prediction, classes={})
    of_nuclei = {name: value for name, value in kept.about.items() if name != _CLASSES}
    about = {**of_nuclei, "record": identity, "found": prediction.facts(), **describe_classes(settings.classes)}
    if _columns_of(kept.about["record"]["settings"]) == _columns_of(identity["settings"]):
        others = tuple(path for path in outputs.results if resolve_links(path) != resolve_links(kept.path))
        asked = replace(outputs, results=others)
    with ExitStack() as stack:
        slide = None
        if asked.overlay or asked.tissue or asked.report or asked.stores or settings.rois:
            opened = Slide(asked.image, settings.skip_damaged, settings.series, settings.plane)
            slide = stack.enter_context(opened)
            warn_outside(slide, settings.rois, progress)
        writers = Writers(
            stack, asked, layout, card, about, settings.measurements, settings.rois, settings.classes, slide
        )
        if slide and asked.overlay:
            writers.draw_on(slide)
        if slide and (asked.tissue or asked.report):
            mpp = layout.mpp or card.mpp
            tissue = TissueMap(slide, layout.region, mpp, layout.map_shape, settings)
            writers.add_tissue(tissue.found)
            if asked.report:
                from monuseg_cli.reports.slide_report import slide_report  # imported only for reports

                report = slide_report(asked.report, slide, layout, mpp, tissue.found, settings.rois, about)
                writers.attach(stack.enter_context(report))
        if writers.need_nuclei:
            for found in nuclei_parquet.read_nuclei(kept.path):
                writers.add_detections(replace(found, classes=None))  # kept classes may be those of another classifier
            writers.finish()
            prediction = replace(kept.prediction, classes=writers.class_counts)
            about["found"] = prediction.facts()
        if writers.need_labels:
            for rows in label_rows(nuclei_parquet.read_nuclei(kept.path), nuclei_parquet.read_tops(kept.path), layout):
                writers.add_labels(rows)
    prediction = replace(prediction, seconds=time.perf_counter() - began, made_from=str(kept.path))
    for warning in prediction.warnings:
        progress.warn(f"{outputs.image.name}: {warning}")
    if prediction.damaged:
        progress.warn(f"{outputs.image.name}: {len(prediction.damaged)} damaged tiles were treated as glass")
    return prediction
