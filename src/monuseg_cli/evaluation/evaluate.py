"""Images and a model -> scores."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from monuseg_cli.atomic import write_json, write_text
from monuseg_cli.dataset.catalog import Split
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.dataset.masks import labels_path, read_labels
from monuseg_cli.dataset.prepare import prepare_masks
from monuseg_cli.errors import ContaminationError, InputError
from monuseg_cli.evaluation.report import scores_csv
from monuseg_cli.evaluation.scores import ImageScores, Scores, mean_scores, score_image, scores_per_organ
from monuseg_cli.images import read_image
from monuseg_cli.models.devices import Device, pick_device, place
from monuseg_cli.models.weights import Card, load_model
from monuseg_cli.nuclei import separate
from monuseg_cli.outlines import GREEN, YELLOW, draw_outlines
from monuseg_cli.paths import Home
from monuseg_cli.prediction.engine import predict_probability
from monuseg_cli.prediction.writers import write_picture
from monuseg_cli.progress import SILENT, Progress

EvaluationSplit = Literal["val", "test", "train"]


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """What `evaluate` does.

    Parameters
    ----------
    home : Home
        Where the data set is.
    weights : Path
        Weights file of the model.
    split : {"val", "test", "train"}
        The model's own validation cases, the 14 test cases, or the cases that it was trained on.
    include_train : bool
        Also evaluate on cases that the model was trained on; they are marked.
    overlays : bool
        Also write each image with the reference's outlines (yellow) and the prediction's (green).
    output : Path, optional
        Folder for the results. None: ``evaluation/WEIGHTS-SPLIT`` beside the weights.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    """

    home: Home
    weights: Path
    split: EvaluationSplit = "val"
    include_train: bool = False
    overlays: bool = False
    output: Path | None = None
    device: Device = "auto"


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """Scores of every image, over organs and over all, and where they were written.

    Parameters
    ----------
    folder : Path
        Holds ``scores.csv``, ``scores.json`` and, if asked for, ``overlays``.
    weights : Path
        Weights file of the model.
    split : {"val", "test", "train"}
        What was evaluated on.
    card : Card
        The model's.
    images : tuple of ImageScores
        In order of case id.
    organs : dict
        Organ to number of images and mean over them.
    mean : Scores
        Mean over images.
    """

    folder: Path
    weights: Path
    split: EvaluationSplit
    card: Card
    images: tuple[ImageScores, ...]
    organs: dict[str, tuple[int, Scores]]
    mean: Scores


def evaluate(config: EvaluateConfig, progress: Progress = SILENT) -> EvaluateResult:
    """Predict on whole images, tiles blended, and score against the reference masks, which are made if missing.

    Images are taken as they are, whatever scale their annotation states, as published figures are.

    Raises
    ------
    ContaminationError
        If the model was trained on one of the cases and `include_train` is not set.
    MissingError
        If the data set or the weights are not there.
    InputError
        If the weights cannot be used, or the split has no case.
    OutputError
        If the results cannot be written.
    """
    device = pick_device(config.device)
    model, card = load_model(config.weights)
    place(model, device)
    dataset = Dataset.load(config.home.dataset)
    cases = _choose_cases(config, dataset, card)
    splits: dict[Split, None] = {case.split: None for case in cases}
    prepare_masks(MasksConfig(dataset.root, tuple(splits)), progress)
    folder = config.output or config.weights.parent / "evaluation" / f"{config.weights.stem}-{config.split}"
    images = []
    with progress.task(f"evaluate on {config.split}", len(cases), "images") as task:
        for case in cases:
            task.status(case.case_id)
            images.append(_evaluate_case(dataset, case, model, card, device, folder if config.overlays else None))
            task.advance()
    result = EvaluateResult(
        folder=folder,
        weights=config.weights,
        split=config.split,
        card=card,
        images=tuple(images),
        organs=scores_per_organ(images),
        mean=mean_scores(images),
    )
    write_json(folder / "scores.json", asdict(result))
    write_text(folder / "scores.csv", scores_csv(result.images, result.organs, result.mean))
    return result


def _choose_cases(config: EvaluateConfig, dataset: Dataset, card: Card) -> tuple[Case, ...]:
    if config.split == "test":
        cases = dataset.of_split("test")
    else:
        cases = dataset.select(card.val_cases if config.split == "val" else card.train_cases)
    if not cases:
        message = f"{config.weights} has no {config.split} cases"
        raise InputError(message)
    trained_on = [case.case_id for case in cases if case.case_id in card.train_cases]
    if trained_on and not config.include_train:
        message = (
            f"{config.weights} was trained on {len(trained_on)} of these {len(cases)} cases (the first: "
            f"{trained_on[0]}), so the scores would flatter it; --include-train scores them all the same, marked"
        )
        raise ContaminationError(message)
    return cases


def _evaluate_case(
    dataset: Dataset, case: Case, model: nn.Module, card: Card, device: torch.device, overlays: Path | None
) -> ImageScores:
    pixels, _ = read_image(dataset.image_path(case))
    reference = read_labels(labels_path(dataset.root, case.case_id))
    maps = predict_probability(pixels, model, card, device)
    labels = separate(maps, card.classes, threshold=card.threshold, min_area_um2=card.min_area_um2, mpp=card.mpp)
    if overlays is not None:
        both = draw_outlines(draw_outlines(pixels, reference, YELLOW), labels, GREEN)
        write_picture(overlays / "overlays" / f"{case.case_id}.png", both)
    scores = score_image(reference, maps[0], labels)
    return ImageScores(case.case_id, case.organ, case.case_id in card.train_cases, scores)
