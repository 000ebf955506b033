"""Evaluation of models on whole images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import DEFAULT_MODEL, SHIPPED, Home
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.dataset.catalog import UNKNOWN_ORGAN
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.leakage import find_trained
from monuseg_cli.dataset.manifest import Case, Dataset
from monuseg_cli.dataset.masks import labels_path, read_labels
from monuseg_cli.dataset.pixels import read_case
from monuseg_cli.dataset.prepare import open_dataset, prepare_masks
from monuseg_cli.evaluation.cases import CaseChoice, choose_cases
from monuseg_cli.evaluation.notebook import (
    BASELINE,
    NotebookScores,
    WindowCounts,
    WindowProtocol,
    count_windows,
    score_windows,
)
from monuseg_cli.evaluation.report import Report
from monuseg_cli.evaluation.results import (
    EvaluateResult,
    Evaluation,
    Stopwatch,
    build_evaluation,
    compare_evaluations,
    overlays_folder,
    remove_overlays,
    require_apart,
    require_same_cases,
)
from monuseg_cli.evaluation.scores import ImageScores, count_image
from monuseg_cli.imaging.write import write_picture
from monuseg_cli.models.card import Card
from monuseg_cli.models.devices import Device, limit_threads, pick_device
from monuseg_cli.models.weights import load_model, read_card
from monuseg_cli.nuclei.draw_outlines import GREEN, YELLOW, draw_outlines
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.oriented import with_tta
from monuseg_cli.prediction.engines.torch import TorchEngine
from monuseg_cli.prediction.predict_array import predict_array
from monuseg_cli.prediction.stain_adaptation import Adapt


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Settings of `evaluate`.

    Parameters
    ----------
    home : Home
        Home folder with the data set.
    weights : tuple of Path
        Weights files of the models; each is compared with the first.
    choice : CaseChoice
        The cases.
    include_train : bool
        Also evaluate on cases that a model was trained on; they are marked.
    overlays : bool
        Also write each image with the outlines of the reference (yellow) and of the prediction (green).
    output : Path, optional
        Folder for the results; with several models, it gets a subfolder per model, and ``comparison.csv``, ``.md`` and
        ``.tex``. None: ``evaluation/WEIGHTS-CASES`` next to the weights, or in the home for the default model; other
        cases, another `adapt` or `tta` have another folder.
    report : Path, optional
        Write an HTML report here, which shows all models side by side.
    plots : Path, optional
        Folder for the plots of the report, each as SVG and PDF.
    adapt : {"auto", "off"}
        Whether the stain of each image is matched to that of the model's training images.
    tta : bool
        Average the network over the eight orientations of each tile.
    device : {"auto", "cpu", "cuda", "mps"}
        Device that runs the network.
    threads : int, optional
        Threads of the network on the CPU; by default, as many as PyTorch chooses.
    """

    home: Home
    weights: tuple[Path, ...]
    choice: CaseChoice = field(default_factory=CaseChoice)
    include_train: bool = False
    overlays: bool = False
    output: Path | None = None
    report: Path | None = None
    plots: Path | None = None
    adapt: Adapt = "auto"
    tta: bool = False
    device: Device = "auto"
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class NotebookEvaluation:
    """Scores of a model under the protocol of the baseline's notebooks."""

    name: str
    cases: str
    weights: Path
    card: Card
    images: int
    scores: NotebookScores
    trained_on: int


@dataclass(frozen=True, slots=True)
class NotebookResult:
    """Evaluations of one or more models under the notebooks' protocol."""

    evaluations: tuple[NotebookEvaluation, ...]


def evaluate(config: EvaluateConfig, progress: Progress = SILENT) -> EvaluateResult:
    """Predict on whole images with blended tiles, and score against the reference masks, which are built if missing.

    If a case states another scale than the model's, its image is resampled for the network; a case without a scale is
    taken to have the model's. Scores are computed on the pixels of the original image.

    Raises
    ------
    ContaminationError
        If a model was trained on one of the cases and `include_train` is not set.
    MissingError
        If the data set, a case or the weights do not exist.
    InputError
        If the weights are unusable, no case is selected, or the models' own cases differ.
    OutputError
        If the results cannot be written.
    """
    limit_threads(config.threads)
    device = pick_device(config.device)
    report = Report(config.report, config.plots)
    if config.output is not None and len(config.weights) > 1:
        require_apart([_subfolder(weights) for weights in config.weights])
    dataset, cases = _prepare(config, progress)
    for weights in config.weights:
        require_same_cases(_folder(config, weights, cases), [case.case_id for case in cases])
    evaluations = [
        _evaluate_model(config, weights, dataset, cases, device, report, progress) for weights in config.weights
    ]
    return report.write(compare_evaluations(evaluations, config.output))


def evaluate_as_notebook(
    config: EvaluateConfig, progress: Progress = SILENT, protocol: WindowProtocol = BASELINE
) -> NotebookResult:
    """Score models window by window, as the baseline's notebooks did; see `monuseg_cli.evaluation.notebook`.

    Nothing is written.

    Raises
    ------
    MonusegError
        As `evaluate` does.
    """
    limit_threads(config.threads)
    device = pick_device(config.device)
    dataset, cases = _prepare(config, progress)
    evaluations = []
    for weights in config.weights:
        model, card = load_model(weights)
        engine = with_tta(TorchEngine(model, card, device), config.tta)
        windows: list[WindowCounts] = []
        with progress.task(config.home.name_of_weights(weights), len(cases), "images") as task:
            for case in cases:
                pixels, reference = _read_case(dataset, case)
                windows += count_windows(pixels, reference, engine, protocol)
                task.advance()
        evaluations.append(
            NotebookEvaluation(
                name=config.home.name_of_weights(weights),
                cases=config.choice.name,
                weights=weights,
                card=card,
                images=len(cases),
                scores=score_windows(windows, protocol),
                trained_on=len(find_trained(dataset, cases, card)),
            )
        )
    return NotebookResult(tuple(evaluations))


def _prepare(config: EvaluateConfig, progress: Progress) -> tuple[Dataset, tuple[Case, ...]]:
    if not config.weights:
        message = "no model to evaluate"
        raise InputError(message)
    cards = {weights: read_card(weights) for weights in config.weights}
    dataset = open_dataset(config.home, config.choice.data, progress)
    choice = config.choice
    cases = choose_cases(dataset, choice, cards, config.include_train)
    if choice.data and not choice.split and not choice.cases and len(cases) < len(dataset.cases):
        progress.info(
            f"{len(cases)} of the {len(dataset.cases)} cases of {choice.data} are scored, which the models were "
            "validated on; `split=all` scores all"
        )
    prepare_masks(MasksConfig(dataset.root, tuple({case.split: None for case in cases})), progress)
    return dataset, cases


def _read_case(dataset: Dataset, case: Case) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    return read_case(dataset, case), read_labels(labels_path(dataset.root, case.case_id))


def _evaluate_model(
    config: EvaluateConfig,
    weights: Path,
    dataset: Dataset,
    cases: Sequence[Case],
    device: torch.device,
    report: Report,
    progress: Progress,
) -> Evaluation:
    model, card = load_model(weights)
    engine = with_tta(TorchEngine(model, card, device), config.tta)
    name = config.home.name_of_weights(weights)
    place = f"{device}, threads: {torch.get_num_threads()}"
    progress.detail(f"{name}: {card.architecture} of {weights}, by PyTorch on {place}")
    folder = _folder(config, weights, cases)
    remove_overlays(folder)
    overlays = overlays_folder(folder) if config.overlays else None
    report.begin_system()
    watch = Stopwatch()
    trained = find_trained(dataset, cases, card)
    images = []
    with progress.task(name, len(cases), "images") as task:
        for case in cases:
            task.status(case.case_id)
            progress.detail(f"predicts on {dataset.image_path(case)}")
            images.append(
                _evaluate_case(dataset, case, case.case_id in trained, engine, config.adapt, overlays, report, watch)
            )
            task.advance()
    return build_evaluation(name, config.choice.name, images, watch, folder=folder, weights=weights, card=card)


def _folder(config: EvaluateConfig, weights: Path, cases: Sequence[Case]) -> Path:
    if config.output is not None:
        return config.output if len(config.weights) == 1 else config.output / _subfolder(weights)
    name = config.choice.folder_name([case.case_id for case in cases])
    if config.adapt != "auto":
        name = f"{name}-adapt-{config.adapt}"
    if config.tta:
        name = f"{name}-tta"
    if weights == SHIPPED:
        return config.home.root / "evaluation" / f"{DEFAULT_MODEL}-{name}"
    return weights.parent / "evaluation" / f"{weights.stem}-{name}"


def _subfolder(weights: Path) -> str:
    return f"{weights.parent.name}-{weights.stem}"


def _evaluate_case(
    dataset: Dataset,
    case: Case,
    is_trained: bool,
    engine: Engine,
    adapt: Adapt,
    overlays: Path | None,
    report: Report,
    watch: Stopwatch,
) -> ImageScores:
    with watch.on("read"):
        pixels, reference = _read_case(dataset, case)
    card = engine.card
    with watch.on("predict"):
        maps, labels = predict_array(pixels, case.mpp or card.mpp, engine, adapt)
    if overlays is not None:
        with watch.on("write"):
            both = draw_outlines(draw_outlines(pixels, reference, YELLOW), labels, GREEN)
            write_picture(overlays / f"{case.case_id}.png", both)
    with watch.on("score"):
        counts = count_image(reference, labels, maps[0])
        organ = "" if case.organ == UNKNOWN_ORGAN else case.organ
        scores = ImageScores(case.case_id, organ, is_trained, counts, counts.scores())
    if report:
        with watch.on("report"):
            report.add(scores, pixels, reference, labels, maps[0])
    return scores
