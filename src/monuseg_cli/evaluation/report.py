"""The HTML report: one self-contained file with tables, plots and an image viewer, which works offline."""

import html
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli import __version__
from monuseg_cli.core.atomic import require_writable, write_text
from monuseg_cli.core.errors import InputError
from monuseg_cli.evaluation.error_analysis import KINDS, SystemErrors
from monuseg_cli.evaluation.report_images import NumberedNuclei, list_worst, picture_of
from monuseg_cli.evaluation.report_tables import comparison_table, errors_table, images_table, scores_table
from monuseg_cli.evaluation.results import EvaluateResult, Evaluation
from monuseg_cli.evaluation.scores import ImageScores
from monuseg_cli.evaluation.tables import format_score
from monuseg_cli.metrics.error_types import find_faults
from monuseg_cli.metrics.instance import find_overlaps
from monuseg_cli.reports.template import fill

_PLOT_SUFFIXES = (".svg", ".pdf")


class Report:
    """Collects the images of each system, one system after the other, and writes the page and the plots.

    Parameters
    ----------
    page : Path or None
        Where the HTML page is written, if it is wanted.
    plots : Path or None
        Folder for the plots as SVG and PDF, if they are wanted.

    Raises
    ------
    InputError
        If the name of the page does not end in .html.
    OutputError
        If one of them cannot be written.
    """

    def __init__(self, page: Path | None, plots: Path | None) -> None:
        if page is not None:
            if page.suffix.lower() not in (".html", ".htm"):
                message = f"cannot write {page}: the name must end in .html"
                raise InputError(message)
            require_writable(page)
        if plots is not None:
            require_writable(plots / "plot")
        self._page, self._plots = page, plots
        self._errors: list[SystemErrors] = []
        self._images: dict[str, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        """Whether anything is to be written."""
        return self._page is not None or self._plots is not None

    @property
    def shows_images(self) -> bool:
        """Whether the images themselves are shown."""
        return self._page is not None

    def begin_system(self) -> None:
        """Start the next system, to which the images that follow belong."""
        self._errors.append(SystemErrors())

    def add(
        self,
        scores: ImageScores,
        picture: NDArray[np.uint8] | None,
        reference: NDArray[np.int32],
        labels: NDArray[np.int32],
        probability: NDArray[np.float32] | None,
    ) -> None:
        """Add an image of the current system.

        Parameters
        ----------
        scores : ImageScores
            Scores of the image.
        picture : ndarray of shape (H, W, 3), uint8, or None
            Pixels of the image; None shows white.
        reference, labels : ndarray of shape (H, W), int32
            True and predicted label image.
        probability : ndarray of shape (H, W), float32, or None
            Predicted probabilities, for the plot of precision and recall.

        Raises
        ------
        InputError
            If an earlier system has this image in another size.
        """
        overlaps = find_overlaps(reference, labels)
        faults = find_faults(overlaps)
        self._errors[-1].add(overlaps, faults, reference, probability)
        if not self.shows_images:
            return
        height, width = reference.shape
        truth, prediction = NumberedNuclei.of(reference), NumberedNuclei.of(labels)
        image = self._images.get(scores.case_id)
        if image is None:
            image = {"name": scores.case_id, "organ": scores.organ, "width": width, "height": height, "systems": []}
            image |= {"picture": picture_of(picture, (height, width)), "truth": truth.describe()}
            self._images[scores.case_id] = image
        elif (image["height"], image["width"]) != (height, width):
            sizes = f"{width}x{height} pixels in one system, {image['width']}x{image['height']} in another"
            message = f"{scores.case_id} has {sizes}; a report shows systems of one size, so write one per system"
            raise InputError(message)
        image["systems"].append(
            {
                "scores": {name: format_score(getattr(scores.scores, name)) for name in ("f1", "aji", "pq")},
                "trained_on": scores.trained_on,
                "worst": list_worst(truth, prediction, faults),
                "truth": truth.judge("truth", faults.reference, faults.reference_ious),
                "prediction": prediction.describe()
                | prediction.judge("prediction", faults.prediction, faults.prediction_ious),
            }
        )

    def write(self, result: EvaluateResult) -> EvaluateResult:
        """Write what is wanted, each file atomically.

        Parameters
        ----------
        result : EvaluateResult
            The scores of the systems, in the order in which they were begun.

        Returns
        -------
        EvaluateResult
            The same, with the files of the plots.

        Raises
        ------
        OutputError
            If a file cannot be written.
        """
        if not self:
            return result
        # matplotlib takes half a second to import, so it is imported only for a report
        from monuseg_cli.evaluation.plots import System, draw_plots
        from monuseg_cli.outputs.figures import to_svg, write_figure

        names = short_names([evaluation.name for evaluation in result.evaluations])
        figures = draw_plots(
            [
                System(name, of.images, of.organs, errors)
                for name, of, errors in zip(names, result.evaluations, self._errors, strict=True)
            ]
        )
        if self._page is not None:
            plots = "".join(f"<figure>{to_svg(figure)}</figure>" for figure in figures.values())
            write_text(self._page, self._fill(names, result, plots))
        files = []
        if self._plots is not None:
            files = [self._plots / f"{name}{suffix}" for name in figures for suffix in _PLOT_SUFFIXES]
            for path in files:
                write_figure(path, figures[path.stem])
        return replace(result, plots=tuple(files))

    def _fill(self, names: Sequence[str], result: EvaluateResult, plots: str) -> str:
        evaluations = result.evaluations
        kinds = {
            side: [{"colour": colour, "text": text} for colour, text in of_side.values()]
            for side, of_side in KINDS.items()
        }
        content = {"kinds": kinds, "systems": names, "images": list(self._images.values())}
        if len(evaluations) == 1:
            title, tables = evaluations[0].name, [scores_table(evaluations[0])]
        else:
            title = f"{len(evaluations)} systems side by side"
            tables = [comparison_table(names, evaluations, result.differences), images_table(names, evaluations)]
        parts = {
            "__TITLE__": html.escape(title),
            "__SUBTITLE__": "".join(f"<p class=soft>{html.escape(line)}</p>" for line in _about(names, evaluations)),
            "__TABLES__": "".join(
                f'<div class="wide">{table}</div>' for table in (*tables, errors_table(names, self._errors))
            ),
            "__PLOTS__": plots,
            "__DATA__": json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
        }
        return fill("monuseg_cli.evaluation", "report.html", parts)


def short_names(names: Sequence[str]) -> list[str]:
    """Return names for tables and buttons: without the folders before them, where they stay unique; all are unique."""
    lasts = [PurePath(name).name or name for name in names]
    shown = lasts if len(set(lasts)) == len(lasts) else list(names)
    seen: Counter[str] = Counter()
    for index, name in enumerate(shown):
        seen[name] += 1
        if seen[name] > 1:
            shown[index] = f"{name} ({seen[name]})"
    return shown


def _about(names: Sequence[str], evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the lines that describe what was evaluated, and how."""
    first = evaluations[0]
    lines = [f"{first.summary.images} images ({first.cases}); scored by monuseg {__version__}"]
    if first.card:
        lines.append("predicted on whole images, tiles blended")
    for name, evaluation in zip(names, evaluations, strict=True):
        prefix = f"{name}: " if len(evaluations) > 1 else ""
        if card := evaluation.card:
            trained = f"trained on {len(card.train_cases)} cases"
            lines.append(f"{prefix}{card.architecture}, epoch {card.epoch}, {trained}; {card.licence}")
        elif prefix and name != evaluation.name:
            lines.append(f"{prefix}{evaluation.name}")
    lines.append(
        "F1 is the hard Dice of pixels; AJI the official one; PQ, DQ (the F1 of detection) and SQ match at IoU > 0.5; "
        "AP is over IoU > 0.5 to > 0.9; intervals are of the mean, 95 %, by a bootstrap over cases."
    )
    if len(evaluations) > 1:
        lines.append(f"Differences from {names[0]} are computed image by image, then averaged.")
    return lines
