"""Prediction on many images: finished ones are skipped, and a failure does not stop the others."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monuseg_cli import __version__
from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import InputError, MonusegError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import require_threads
from monuseg_cli.models.weights import read_card
from monuseg_cli.nuclei.postprocess_params import PostprocessParams
from monuseg_cli.outputs.plan import STANDARD_OUTPUT, BatchOutputs, Outputs, find_images, plan_batch, plan_outputs
from monuseg_cli.outputs.result import Prediction
from monuseg_cli.prediction.batch_files import write_batch_files
from monuseg_cli.prediction.config import PredictConfig, require_number
from monuseg_cli.prediction.image_job import Job
from monuseg_cli.prediction.small_images import run_images


@dataclass(frozen=True, slots=True)
class PredictResult:
    """Result of `predict`.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    card : Card
        Card of the model, with the post-processing that was used.
    predictions : tuple of Prediction
        Results of the images that were predicted on in this call.
    skipped : tuple of Outputs
        Outputs of the images that were done before with the same settings.
    failures : tuple of (Path, MonusegError)
        The images that failed, with the error of each.
    together : BatchOutputs
        The files on all images together that were written.
    """

    weights: Path
    card: Card
    predictions: tuple[Prediction, ...]
    skipped: tuple[Outputs, ...]
    failures: tuple[tuple[Path, MonusegError], ...]
    together: BatchOutputs


@dataclass(frozen=True, slots=True)
class Batch:
    """The images of a prediction, whose settings are checked: the job, its outputs, and those on all images."""

    job: Job
    plans: list[Outputs]
    together: BatchOutputs


def open_batch(config: PredictConfig, progress: Progress = SILENT) -> Batch:
    """Check the settings of a prediction, and find its images and outputs, before anything is computed or written.

    Raises
    ------
    MissingError
        If an image or the weights do not exist.
    InputError
        If a setting, the weights or an output name is unusable.
    """
    if not 1 <= config.part <= config.num_parts:
        message = f"`part={config.part}` of `num_parts={config.num_parts}`: parts are counted from 1"
        raise InputError(message)
    if config.scheduler and STANDARD_OUTPUT in config.outputs.results:
        message = "workers of a `scheduler` cannot write to the standard output; give a file in `outputs`"
        raise InputError(message)
    require_threads(config.threads)
    images = find_images(config.images, progress)
    plans = plan_outputs(images, config.outputs)[config.part - 1 :: config.num_parts]
    _require_use(config, plans)
    together = _plan_together(config, len(images) == 1, progress)
    card = read_card(config.weights)
    card = replace(card, postprocess=with_overrides(card.postprocess, config.threshold, config.min_area_um2))
    for roi in config.settings.rois:
        if roi.repaired:
            progress.warn(f"region {roi.name} crosses itself: everything inside its outline is taken")
    job = Job(config, card, hashlib.sha256(config.weights.read_bytes()).hexdigest())
    if config.settings.classes:
        from monuseg_cli.classes.classes_file import check_model

        check_model(config.settings.classes, job.sha256, progress)
    return Batch(job, plans, together)


def predict(config: PredictConfig, progress: Progress = SILENT) -> PredictResult:
    """Find the nuclei of one or more images and write the outputs.

    An image of another scale than the model's is resampled for the network, and the result is resampled back to the
    pixels of the image. An image whose outputs exist already, made with the same settings, is skipped.

    Raises
    ------
    MissingError
        If an image or the weights do not exist.
    InputError
        If a setting, the weights, the engine or an output name is unusable; nothing is written then.
    """
    batch = open_batch(config, progress)
    job, plans, together, card = batch.job, batch.plans, batch.together, batch.job.card
    coming = run_images(job, plans, progress)
    if config.scheduler:
        from monuseg_cli.prediction.dask import run_on_cluster

        coming = run_on_cluster(config.scheduler, job, plans, progress)
    outcomes = []
    for number, outcome in enumerate(coming, start=1):
        outcomes.append(outcome)
        if len(plans) > 1 and not outcome.skipped:
            progress.info(f"{number} of {len(plans)}: {outcome.summary()}")
    places = {outputs.image: place for place, outputs in enumerate(plans)}
    outcomes.sort(key=lambda outcome: places[outcome.outputs.image])
    classifier = config.settings.classes
    write_batch_files(together, outcomes, _describe(card), classifier.card.colours if classifier else {})
    return PredictResult(
        weights=config.weights,
        card=card,
        predictions=tuple(outcome.prediction for outcome in outcomes if outcome.prediction and not outcome.skipped),
        skipped=tuple(outcome.outputs for outcome in outcomes if outcome.skipped),
        failures=tuple((outcome.outputs.image, outcome.error) for outcome in outcomes if outcome.error),
        together=together,
    )


def _require_use(config: PredictConfig, plans: Sequence[Outputs]) -> None:
    """Refuse measurements and classes that no output shows."""
    if not plans or any(plan.has_table for plan in plans):
        return
    if config.settings.classes:
        if not config.outputs.summary and not any(plan.report for plan in plans):
            formats = ".csv, .xlsx, .geojson, .parquet, .zarr or report"
            message = f"`classes` are a column of tables, and no output is a {formats}"
            raise InputError(message)
    elif config.settings.measurements:
        message = "`measurements` are columns of tables, and no output is a .csv, .xlsx, .geojson, .parquet or .zarr"
        raise InputError(message)


def _plan_together(config: PredictConfig, is_one: bool, progress: Progress) -> BatchOutputs:
    """Resolve the files on all images together, which a part of the images cannot have."""
    together = plan_batch(config.outputs, is_one)
    if config.num_parts > 1:
        if together.summary or together.roi_summary:
            name = "summary" if together.summary else "roi_summary"
            message = f"`{name}` is a table of all images; ask for it without `num_parts` when all parts are done"
            raise InputError(message)
        if together.report:
            progress.info(f"{together.report}, on all images, is written without `num_parts` when all parts are done")
        return replace(together, report=None)
    if together.roi_summary and not config.settings.rois:
        message = "`roi_summary` is a table of regions of interest; name their file in `roi`"
        raise InputError(message)
    for path in together.files:
        require_writable(path)
    return together


def _describe(card: Card) -> str:
    return f"monuseg {__version__}, model: {card.architecture}, {card.licence}"


def with_overrides(
    postprocess: PostprocessParams, threshold: float | None, min_area_um2: float | None
) -> PostprocessParams:
    """Return the card's post-processing parameters with the user's overrides; None keeps the card's value.

    Raises
    ------
    InputError
        If a value is invalid.
    """
    given = {"threshold": threshold, "min_area_um2": min_area_um2}
    overrides = {name: require_number(name, value) for name, value in given.items() if value is not None}
    try:
        return replace(postprocess, **overrides)
    except ValueError as error:
        name, reason = str(error).split(" ", 1)
        message = f"`{name}` {reason}"
        raise InputError(message) from error
