"""A dry run: what a prediction would read, write, skip and refuse."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import MonusegError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.models.card import Card
from monuseg_cli.outputs.plan import BatchOutputs, Outputs
from monuseg_cli.prediction.batch import open_batch
from monuseg_cli.prediction.config import ESTIMATE, PredictConfig
from monuseg_cli.prediction.engines.select import choose_engine
from monuseg_cli.prediction.image_job import Action, Job
from monuseg_cli.prediction.prepared_slide import PreparedSlide


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """What a prediction would do with an image.

    Parameters
    ----------
    outputs : Outputs
        The image, and the files of it.
    action : {"predict", "remake", "skip", "refuse"}
        Whether the network would run, the outputs would be made from kept nuclei, the image was done before, or it
        cannot be used.
    height, width : int or None
        Size of the image, or of its region, in pixels of level 0; None where that is not needed or not known.
    mpp : float or None
        Micrometres per pixel of level 0; None if neither the image nor the user states it.
    step : float or None
        Pixels of level 0 per pixel of the network's image; 1 without resampling.
    error : MonusegError or None
        Why the image would be refused.
    """

    outputs: Outputs
    action: Action
    height: int | None = None
    width: int | None = None
    mpp: float | None = None
    step: float | None = None
    error: MonusegError | None = None


@dataclass(frozen=True, slots=True)
class PredictPlan:
    """What a prediction would do.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    card : Card
        Card of the model, with the post-processing that would be used.
    engine : {"openvino", "torch"}
        What would run the network.
    threads : int or None
        Threads of the network; None: as many as the engine chooses.
    images : tuple of PlannedImage
        The images, in order.
    together : BatchOutputs
        The files on all images together.
    is_scale_estimated : bool
        Whether the scale of each image would be estimated, which takes the network.
    """

    weights: Path
    card: Card
    engine: str
    threads: int | None
    images: tuple[PlannedImage, ...]
    together: BatchOutputs
    is_scale_estimated: bool = False


def plan_predict(config: PredictConfig, progress: Progress = SILENT) -> PredictPlan:
    """Check everything that `predict` checks before it computes, and write nothing.

    Every image is opened, and its tissue found; the network is not loaded. An image that cannot be used is listed with
    its error.

    Raises
    ------
    MissingError, InputError, OutputError
        As `predict` does before it computes.
    """
    batch = open_batch(config, progress)
    engine = choose_engine(config.engine, config.device, progress)
    images = tuple(_plan_images(batch.job, batch.plans, progress))
    is_estimated = config.settings.mpp == ESTIMATE
    return PredictPlan(config.weights, batch.job.card, engine, config.threads, images, batch.together, is_estimated)


def _plan_images(job: Job, plans: list[Outputs], progress: Progress) -> Iterator[PlannedImage]:
    with progress.task("images", len(plans), "images") as task:
        for outputs in plans:
            yield _plan_image(job, outputs, progress)
            task.advance()


def _plan_image(job: Job, outputs: Outputs, progress: Progress) -> PlannedImage:
    settings = job.config.settings
    try:
        action = job.foresee(outputs, progress)
        if action == "skip":
            return PlannedImage(outputs, action)
        job.require_replaceable(outputs)
        for path in outputs.files:
            require_writable(path)
        with Slide(outputs.image, settings.skip_damaged, settings.series, settings.plane) as slide:
            if settings.mpp == ESTIMATE:  # takes the network
                height, width = PreparedSlide(slide, replace(settings, mpp=None), job.card).shape
                return PlannedImage(outputs, action, height, width)
            prepared = PreparedSlide(slide, settings, job.card)
            height, width = prepared.shape
            return PlannedImage(outputs, action, height, width, prepared.mpp, max(prepared.source.step))
    except MonusegError as error:
        return PlannedImage(outputs, "refuse", error=error)
