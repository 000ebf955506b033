"""Many images -> their nuclei: one after the other, none twice, and one's failure stops no other."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from monuseg_cli.core.errors import InputError, MonusegError
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import read_card
from monuseg_cli.nuclei.params import PostprocessParams
from monuseg_cli.prediction.config import PredictConfig
from monuseg_cli.prediction.job import Job, Outcome
from monuseg_cli.prediction.outputs import Outputs, find_images, plan_outputs
from monuseg_cli.prediction.slide import Prediction


@dataclass(frozen=True, slots=True)
class PredictResult:
    """What came of a prediction.

    Parameters
    ----------
    weights : Path
        Weights file of the model.
    card : Card
        The model's, with the post-processing that was used.
    predictions : tuple of Prediction
        Of the images that were predicted on now.
    skipped : tuple of Outputs
        Of the images that were done before, in the same way.
    failures : tuple of (Path, MonusegError)
        The images that failed, and why.
    """

    weights: Path
    card: Card
    predictions: tuple[Prediction, ...]
    skipped: tuple[Outputs, ...]
    failures: tuple[tuple[Path, MonusegError], ...]


def predict(config: PredictConfig, progress: Progress = SILENT) -> PredictResult:
    """Find the nuclei of one or more images and write them.

    An image that states another scale than the model's is resampled for the model, and the result is brought back to
    the pixels of the image. An image whose outputs are there, made in the same way, is left as it is.

    Raises
    ------
    MissingError
        If an image or the weights do not exist.
    InputError
        If an option, the weights or the outputs' names cannot be used; nothing is written then.
    """
    if not 1 <= config.part <= config.num_parts:
        message = f"`part={config.part}` of `num_parts={config.num_parts}`: parts are counted from 1"
        raise InputError(message)
    plans = plan_outputs(find_images(config.images, progress), config.outputs)[config.part - 1 :: config.num_parts]
    card = read_card(config.weights)
    card = replace(card, postprocess=with_overrides(card.postprocess, config))
    for roi in config.settings.rois:
        if roi.repaired:
            progress.warn(f"region {roi.name} crosses itself: taken for all that its outline goes around")
    job = Job(config, card, hashlib.sha256(config.weights.read_bytes()).hexdigest())
    coming: Iterator[Outcome] = (job.run(outputs, progress) for outputs in plans)
    if config.scheduler:
        from monuseg_cli.prediction.dask import run_on_cluster

        coming = run_on_cluster(config.scheduler, job, plans, progress)
    outcomes = []
    for number, outcome in enumerate(coming, start=1):
        outcomes.append(outcome)
        if len(plans) > 1 and not outcome.skipped:
            progress.info(f"{number} of {len(plans)}: {outcome.told()}")
    return PredictResult(
        weights=config.weights,
        card=card,
        predictions=tuple(outcome.prediction for outcome in outcomes if outcome.prediction),
        skipped=tuple(outcome.outputs for outcome in outcomes if outcome.skipped),
        failures=tuple((outcome.outputs.image, outcome.error) for outcome in outcomes if outcome.error),
    )


def with_overrides(postprocess: PostprocessParams, config: PredictConfig) -> PostprocessParams:
    """Put the user's values in place of the card's."""
    overrides = {"threshold": config.threshold, "min_area_um2": config.min_area_um2}
    try:
        return replace(postprocess, **{name: value for name, value in overrides.items() if value is not None})
    except ValueError as error:
        name, reason = str(error).split(" ", 1)
        message = f"`{name}` {reason}"
        raise InputError(message) from error
