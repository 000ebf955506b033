"""Results of an evaluation: collected, compared and written."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from monuseg_cli.core.atomic import remove, write_json, write_text
from monuseg_cli.core.errors import InputError, OutputError
from monuseg_cli.evaluation.compare import Difference, compare
from monuseg_cli.evaluation.scores import ImageScores, Summary, summarise, summarise_organs
from monuseg_cli.evaluation.tables import (
    comparison_csv,
    comparison_latex,
    comparison_markdown,
    scores_csv,
    scores_markdown,
)
from monuseg_cli.models.card import Card

_SCORES = ("scores.csv", "scores.md", "scores.json")
_COMPARISON = ("comparison.csv", "comparison.md", "comparison.tex")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one system.

    Parameters
    ----------
    name : str
        Name of the system: a run's name, or a folder.
    cases : str
        Name of the selected cases: ``"val"``, ``"test"``, ``"fold-2"`` ...
    folder : Path or None
        Folder with ``scores.csv``, ``scores.md``, ``scores.json`` and, on request, ``overlays``; None if nothing was
        written.
    weights : Path or None
        Weights file of the model; None for a folder of predictions.
    card : Card or None
        Card of the model; None for a folder of predictions.
    images : tuple of ImageScores
        Scores of each image, in order of case id.
    organs : dict of str to Summary
        Scores over the images of each organ.
    summary : Summary
        Scores over all images.
    seconds : dict of str to float
        Seconds per step over all images: ``read``, ``predict``, ``score``, ``write``, ``report``.
    """

    name: str
    cases: str
    folder: Path | None
    weights: Path | None
    card: Card | None
    images: tuple[ImageScores, ...]
    organs: dict[str, Summary]
    summary: Summary
    seconds: dict[str, float]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of scores; none if nothing was written."""
        return tuple(self.folder / name for name in _SCORES) if self.folder else ()


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """Evaluations of one or more systems on the same images, and the difference of each from the first.

    `plots` are the files of plots that were written.
    """

    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    plots: tuple[Path, ...] = ()


class Stopwatch:
    """Sums up the time of named steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Add the time of the body to the step `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def build_evaluation(
    name: str,
    cases: str,
    images: Sequence[ImageScores],
    watch: Stopwatch,
    *,
    folder: Path | None,
    weights: Path | None = None,
    card: Card | None = None,
) -> Evaluation:
    """Summarise the scores of images, and write them to `folder` if it is given.

    Raises
    ------
    OutputError
        If they cannot be written, or `folder` has those of other cases.
    """
    if folder is not None:
        require_same_cases(folder, [image.case_id for image in images])
    evaluation = Evaluation(
        name=name,
        cases=cases,
        folder=folder,
        weights=weights,
        card=card,
        images=tuple(images),
        organs=summarise_organs(images),
        summary=summarise(images),
        seconds=watch.seconds,
    )
    if folder is not None:
        table, page, content = evaluation.files
        write_json(content, asdict(evaluation))
        tables = (evaluation.images, evaluation.organs, evaluation.summary)
        write_text(table, scores_csv(*tables))
        write_text(page, scores_markdown(*tables))
    return evaluation


def compare_evaluations(evaluations: Sequence[Evaluation], output: Path | None) -> EvaluateResult:
    """Compare every other evaluation with the first; write the comparison to `output` if it is given.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    first, *others = evaluations
    differences = tuple(compare(other.name, other.images, first.images) for other in others)
    if others and output is not None:
        systems = [(_marked(evaluation), evaluation.summary) for evaluation in evaluations]
        formats = (comparison_csv, comparison_markdown, comparison_latex)
        for path, formatted in zip(comparison_files(output), formats, strict=True):
            write_text(path, formatted(systems, differences))
    return EvaluateResult(tuple(evaluations), differences)


def comparison_files(output: Path) -> list[Path]:
    """Return the paths of the comparison of several systems: CSV, Markdown and LaTeX."""
    return [output / name for name in _COMPARISON]


def overlays_folder(folder: Path) -> Path:
    """Return the folder of the images with outlines."""
    return folder / "overlays"


def remove_overlays(folder: Path) -> None:
    """Remove the images with outlines of an earlier evaluation, since they show other predictions."""
    for case_id in _cases_in(folder):
        remove(overlays_folder(folder) / f"{case_id}.png")


def require_same_cases(folder: Path, case_ids: Sequence[str]) -> None:
    """Check that a folder does not contain the scores of other cases.

    Raises
    ------
    OutputError
        If it does.
    """
    there = _cases_in(folder)
    if there and set(there) != set(case_ids):
        others = f"{len(there)}, the first: {there[0]}"
        message = (
            f"cannot write {folder}: it contains the scores of other cases ({others}); write elsewhere, or remove it"
        )
        raise OutputError(message)


def _cases_in(folder: Path) -> list[str]:
    """List the cases of the scores in a folder; return an empty list if there are none, or they cannot be read."""
    try:
        content = json.loads((folder / _SCORES[-1]).read_text(encoding="utf-8"))
        return [str(image["case_id"]) for image in content["images"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _marked(evaluation: Evaluation) -> str:
    trained_on = sum(image.trained_on for image in evaluation.images)
    return evaluation.name + (f" (trained on {trained_on} of these cases)" if trained_on else "")


def require_apart(names: Sequence[str]) -> None:
    """Check that the names of several systems, which name their result folders, are unique.

    Raises
    ------
    InputError
        If a name occurs twice.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        message = f"several systems would write to one folder, {twice[0]}: rename one, or evaluate it separately"
        raise InputError(message)
