"""The HTML report: one self-contained file with tables, plots and an image viewer, which works offline."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.atomic import write_text
from monuseg_cli.evaluation.scores import ImageScores, Scores, Summary
from monuseg_cli.evaluation.tables import TITLES, closing_rows, format_score, shown_scores
from monuseg_cli.metrics.error_types import find_faults
from monuseg_cli.metrics.instance import find_overlaps, number_labels
from monuseg_cli.nuclei.draw_outlines import paint_outlines
from monuseg_cli.pages.template import fill, jpeg_uri, png_uri

# Colour-blind safe colours by Okabe and Ito and by Tol.
_KINDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "truth": {
        "found": ("#0072b2", "true nucleus, found"),
        "missed": ("#d55e00", "true nucleus, not matched"),
        "merged": ("#cc79a7", "true nucleus, merged with another"),
        "split": ("#e69f00", "true nucleus, split"),
    },
    "prediction": {
        "found": ("#56b4e9", "predicted, right"),
        "false": ("#f0e442", "predicted, not matched"),
        "merge": ("#882255", "predicted over several nuclei"),
        "part": ("#44aa99", "predicted part of a nucleus"),
    },
}
_WORST = 20
_FAST = 2  # level of PNG, for large images
BINS = 100


@dataclass(frozen=True, slots=True)
class _Side:
    """The nuclei of one side of an image (truth or prediction), with the kind of each."""

    labels: NDArray[np.int64]
    kinds: Sequence[str]
    ious: NDArray[np.float64]
    areas: NDArray[np.int64]
    names: NDArray[np.int64]

    def nuclei(self) -> list[dict[str, Any]]:
        rows, cols = np.indices(self.labels.shape)
        count = len(self.areas) + 1
        flat = self.labels.reshape(-1)
        centre = [
            np.bincount(flat, weights=axis.reshape(-1), minlength=count)[1:] / self.areas for axis in (rows, cols)
        ]
        return [
            {
                "label": int(name),
                "kind": kind,
                "iou": round(float(iou), 3),
                "area": int(area),
                "row": round(float(row) + 0.5, 1),
                "col": round(float(col) + 0.5, 1),
            }
            for name, kind, iou, area, row, col in zip(
                self.names, self.kinds, self.ious, self.areas, *centre, strict=True
            )
        ]

    def outlines(self, side: str) -> str:
        colours = [(0, 0, 0), *(_rgb(_KINDS[side][kind][0]) for kind in self.kinds)]
        return png_uri(paint_outlines(self.labels, np.array(colours, dtype=np.uint8)), _FAST)

    def numbers(self) -> str:
        """Encode the number of each pixel's nucleus as an image: red, green and blue are its three bytes."""
        parts = [(self.labels >> shift) & 255 for shift in (16, 8, 0)]
        return png_uri(np.stack(parts, axis=-1).astype(np.uint8), _FAST)


class Page:
    """Collects images one by one, and writes the report."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._areas: list[NDArray[np.int64]] = []
        self._ious: list[NDArray[np.float64]] = []
        self._histogram = np.zeros((2, BINS), dtype=np.int64)

    def add(
        self,
        scores: ImageScores,
        picture: NDArray[np.uint8] | None,
        reference: NDArray[np.int32],
        labels: NDArray[np.int32],
        probability: NDArray[np.float32] | None,
    ) -> None:
        """Add an image.

        Parameters
        ----------
        scores : ImageScores
            Scores of the image.
        picture : ndarray of shape (H, W, 3), uint8, or None
            Pixels of the image; None shows white.
        reference, labels : ndarray of shape (H, W), int32
            True and predicted label image.
        probability : ndarray of shape (H, W), float32, or None
            Predicted probabilities, for the plot of precision and recall against the threshold.
        """
        faults = find_faults(find_overlaps(reference, labels))
        truth = _side(reference, faults.reference, faults.reference_ious)
        prediction = _side(labels, faults.prediction, faults.prediction_ious)
        self._areas.append(truth.areas)
        self._ious.append(truth.ious)
        if probability is not None:
            bins = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
            for row, mask in enumerate((reference == 0, reference > 0)):
                self._histogram[row] += np.bincount(bins[mask], minlength=BINS)
        height, width = reference.shape
        shown = np.full((height, width, 3), 255, dtype=np.uint8) if picture is None else picture
        self._images.append(
            {
                "name": scores.case_id,
                "organ": scores.organ,
                "trained_on": scores.trained_on,
                "width": width,
                "height": height,
                "f1": format_score(scores.scores.f1),
                "aji": format_score(scores.scores.aji),
                "pq": format_score(scores.scores.pq),
                "picture": jpeg_uri(shown),
                "worst": _worst(truth, prediction),
                **{
                    name: {"nuclei": side.nuclei(), "outlines": side.outlines(name), "labels": side.numbers()}
                    for name, side in (("truth", truth), ("prediction", prediction))
                },
            }
        )

    def write(
        self,
        path: Path,
        title: str,
        about: Sequence[str],
        images: Sequence[ImageScores],
        organs: Mapping[str, Summary],
        summary: Summary,
    ) -> None:
        """Write the report atomically.

        Parameters
        ----------
        path : Path
            Destination.
        title : str
            Name of the evaluated system.
        about : sequence of str
            Lines that describe the evaluation.
        images, organs, summary
            The scores.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        # matplotlib takes half a second to import, so it is imported only for a report
        from monuseg_cli.evaluation.plots import draw_organs, draw_per_image, draw_precision_recall, draw_sizes

        plots = [draw_per_image(images)]
        if len(organs) > 1:
            plots.append(draw_organs(organs))
        if self._histogram.any():
            plots.append(draw_precision_recall(self._histogram))
        plots.append(draw_sizes(np.concatenate(self._areas), np.concatenate(self._ious)))
        kinds = {
            side: {kind: {"colour": colour, "text": text} for kind, (colour, text) in of_side.items()}
            for side, of_side in _KINDS.items()
        }
        data = json.dumps({"kinds": kinds, "images": self._images}, separators=(",", ":"))
        parts = {
            "__TITLE__": html.escape(title),
            "__SUBTITLE__": "".join(f"<p class=soft>{html.escape(line)}</p>" for line in about),
            "__TABLE__": _table(images, organs, summary),
            "__PLOTS__": "".join(f"<figure>{plot}</figure>" for plot in plots),
            "__DATA__": data.replace("<", "\\u003c"),
        }
        write_text(path, fill("monuseg_cli.evaluation", "report.html", parts))


def _side(labels: NDArray[np.int32], kinds: Sequence[str], ious: NDArray[np.float64]) -> _Side:
    number, areas = number_labels(labels)
    names = np.zeros(len(areas) + 1, dtype=np.int64)
    names[number] = labels
    return _Side(number, kinds, ious, areas, names[1:])


def _worst(truth: _Side, prediction: _Side) -> list[tuple[str, int]]:
    """List the nuclei with the most missed or false-positive pixels, as side and number."""
    lost = truth.areas * (1 - truth.ious)
    made_up = prediction.areas * (np.asarray(prediction.kinds, dtype=object) == "false")
    ranked = [("truth", index + 1, loss) for index, loss in enumerate(lost.tolist())]
    ranked += [("prediction", index + 1, loss) for index, loss in enumerate(made_up.tolist())]
    ranked.sort(key=lambda entry: -entry[2])
    return [(side, number) for side, number, loss in ranked[:_WORST] if loss]


def _table(images: Sequence[ImageScores], organs: Mapping[str, Summary], summary: Summary) -> str:
    names = shown_scores(summary.mean)

    def row(first: str, organ: str, scores: Scores, style: str = "") -> str:
        cells = "".join(f"<td>{format_score(getattr(scores, name))}</td>" for name in names)
        return f"<tr{style}><td>{first}</td><td>{html.escape(organ)}</td>{cells}</tr>"

    heading = "".join(f"<th>{title}</th>" for title in ("case", "organ", *(TITLES[name] for name in names)))
    rows = []
    for index, image in enumerate(images):
        mark = " *" if image.trained_on else ""
        name = f'<button class="link" data-open="{index}">{html.escape(image.case_id)}</button>{mark}'
        rows.append(row(name, image.organ, image.scores))
    for label, organ, scores in closing_rows(organs, summary):
        rows.append(row(label, organ, scores, ' class="strong"' if scores is summary.mean else ""))
    trained = any(image.trained_on for image in images)
    note = "<p>* the model was trained on this case</p>" if trained else ""
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{''.join(rows)}</tbody></table>{note}"


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
