"""Prediction on one slide, from the image file to the output files."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Annotated, Any

from monuseg_cli import __version__
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.malloc import return_freed_memory
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.core.schema import FROM_0, POSITIVE, read_as
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.stains import StainLevels
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.detections import Layout
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.oriented import with_tta
from monuseg_cli.prediction.outputs import Outputs
from monuseg_cli.prediction.roi import RoiCount
from monuseg_cli.prediction.view import View, find_nuclei, report_doubts, report_view
from monuseg_cli.prediction.writers import Writers

_Count = Annotated[int, FROM_0]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of one image.

    Parameters
    ----------
    outputs : Outputs
        The image, and the files written for it.
    height, width : int
        Size of the image, or of its region, in pixels of level 0.
    mpp : float or None
        Micrometres per pixel of level 0 that were used; None if neither the image nor the user stated it.
    tissue_mm2 : float
        Area of tissue; without tissue detection, the whole area that was predicted on.
    nuclei : int
        Number of nuclei.
    seconds : float
        Wall time from opening the image to the last written file.
    rois : tuple of RoiCount
        Nuclei in each region of interest.
    damaged : tuple of str
        Unreadable tiles of the slide, which were treated as glass.
    stain : StainLevels
        Stain levels of the slide, which were matched to those of the training images; empty without matching.
    warnings : tuple of str
        Why the result is implausible; see `find_doubt`.
    medians : mapping of str to float
        Median of each measurement of the nuclei; empty without nuclei.
    made_from : str, optional
        File of nuclei, found before, that the outputs were made from; None: the network ran.
    """

    outputs: Outputs
    height: int
    width: int
    mpp: float | None
    tissue_mm2: float
    nuclei: int
    seconds: float
    rois: tuple[RoiCount, ...]
    damaged: tuple[str, ...]
    stain: StainLevels
    warnings: tuple[str, ...]
    medians: Mapping[str, float] = field(default_factory=dict)
    made_from: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return what is known of the slide, whichever files are written of it."""
        not_of_the_slide = ("outputs", "seconds", "made_from")
        return {name: value for name, value in asdict(self).items() if name not in not_of_the_slide}

    @classmethod
    def from_facts(cls, outputs: Outputs, facts: object) -> "Prediction":
        """Build a prediction from its other fields, as read from JSON.

        Raises
        ------
        SchemaError
            If they are not those of a prediction.
        """
        found = read_as(_Found, facts)
        return cls(outputs, **{part.name: getattr(found, part.name) for part in fields(found)})

    @property
    def per_mm2(self) -> float:
        """Nuclei per square millimetre of tissue; 0 without tissue."""
        return self.nuclei / self.tissue_mm2 if self.tissue_mm2 else 0.0


@dataclass(frozen=True, slots=True)
class _Found:
    """The part of a record, or of a file of nuclei, that becomes a `Prediction` again."""

    height: _Count
    width: _Count
    mpp: Annotated[float, POSITIVE] | None
    tissue_mm2: Annotated[float, FROM_0]
    nuclei: _Count
    seconds: Annotated[float, FROM_0]
    rois: tuple[RoiCount, ...]
    damaged: tuple[str, ...]
    stain: Mapping[str, tuple[float, float]]
    warnings: tuple[str, ...]
    medians: Mapping[str, float] = field(default_factory=dict)
    made_from: str | None = None


def predict_slide(
    outputs: Outputs,
    settings: SlideSettings,
    engine: Engine,
    progress: Progress = SILENT,
    record: Mapping[str, Any] = MappingProxyType({}),
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

    Raises
    ------
    InputError
        If the image or the region is unusable.
    OutputError
        If a file cannot be written.
    """
    began = time.perf_counter()
    return_freed_memory()
    for path in outputs.files:
        require_writable(path)
    engine = with_tta(engine, settings.tta)
    with (
        Slide(outputs.image, settings.skip_damaged, settings.series, settings.plane) as slide,
        ExitStack() as stack,
    ):
        view = View(slide, settings, engine.card)
        report_view(view, engine, progress, [path for path in outputs.files if path != outputs.overlay])
        about = describe_nuclei(record, engine, view.layout)
        writers = Writers(stack, outputs, view.layout, engine.card, about, settings)
        writers.draw_on(slide)
        writers.report_on(slide, view.tissue.found, view.mpp or engine.card.mpp, settings.rois)
        writers.add_tissue(view.tissue.found)
        found = find_nuclei(view, settings.rois, engine, writers, progress)
        writers.finish()
        prediction = Prediction(
            outputs=outputs,
            height=view.shape[0],
            width=view.shape[1],
            mpp=view.mpp,
            tissue_mm2=view.tissue.mm2,
            nuclei=len(found.areas_um2),
            seconds=0.0,
            rois=found.rois,
            damaged=view.damaged,
            stain=view.match.found if view.match else {},
            warnings=report_doubts(view, found, engine, progress),
            medians=found.medians,
        )
        about["found"] = prediction.facts()
    return replace(prediction, seconds=time.perf_counter() - began)


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
