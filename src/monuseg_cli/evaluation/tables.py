"""Tables of scores in CSV, Markdown and LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Literal

from monuseg_cli.evaluation.compare import Difference
from monuseg_cli.evaluation.scores import LOWER_IS_BETTER, SCORE_NAMES, ImageScores, Scores, Summary

TITLES: Mapping[str, str] = {
    "loss": "loss",
    "accuracy": "accuracy",
    "soft_dice": "soft Dice",
    "f1": "F1",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "aji": "AJI",
    "aji_plus": "AJI+",
    "pq": "PQ",
    "dq": "DQ",
    "sq": "SQ",
    "ap": "AP",
}
"""Titles of scores in tables. F1 is the hard Dice, DQ the F1 of detection."""


def closing_rows(organs: Mapping[str, Summary], summary: Summary) -> list[tuple[str, str, Scores]]:
    """Return the summary rows below the images' rows of a table, as label, organ and scores.

    They are the mean of each organ, then the mean over images, the two ends of its 95 % interval, and the pooled
    scores. A mean over a single image would repeat that image's row and is omitted.
    """
    if summary.images == 1:
        return []
    several = [(f"mean of {of.images}", organ, of.mean) for organ, of in organs.items() if of.images > 1]
    return [
        *several,
        (f"mean over {summary.images} images", "", summary.mean),
        ("95 % interval, low", "", summary.low),
        ("95 % interval, high", "", summary.high),
        ("pooled", "", summary.pooled),
    ]


def scores_csv(images: Iterable[ImageScores], organs: Mapping[str, Summary], summary: Summary) -> str:
    """Format scores as a CSV table.

    One row per image, the mean of each organ, then the mean over images, the ends of its 95 % interval, and all images
    pooled. The column ``aggregation`` names the kind of row, and ``images`` the number of images it covers.
    """
    text = io.StringIO()
    heading = ["aggregation", "case_id", "organ", "images", "trained_on", *SCORE_NAMES]
    table = csv.DictWriter(text, heading, lineterminator="\n")
    table.writeheader()
    for image in images:
        row = {"case_id": image.case_id, "organ": image.organ, "images": 1, "trained_on": image.trained_on}
        table.writerow({"aggregation": "image", **row, **asdict(image.scores)})
    for organ, of_organ in organs.items():
        row = {"aggregation": "mean over organ", "organ": organ, "images": of_organ.images}
        table.writerow({**row, **asdict(of_organ.mean)})
    for aggregation, scores in (
        ("mean over images", summary.mean),
        ("mean over images, 95 % low", summary.low),
        ("mean over images, 95 % high", summary.high),
        ("pooled over images", summary.pooled),
    ):
        table.writerow({"aggregation": aggregation, "images": summary.images, **asdict(scores)})
    return text.getvalue()


def scores_markdown(images: Sequence[ImageScores], organs: Mapping[str, Summary], summary: Summary) -> str:
    """Format scores as a Markdown table: images, means of organs, the mean with its interval, and pooled."""
    names = shown_scores(summary.mean)
    rows = []
    for image in images:
        mark = " \\*" if image.trained_on else ""
        rows.append([f"{image.case_id}{mark}", image.organ, *_cells(image.scores, names)])
    for label, organ, scores in closing_rows(organs, summary):
        emphasis = "**" if scores is summary.mean else ""
        rows.append([f"{emphasis}{label}{emphasis}", organ, *_cells(scores, names)])
    text = _markdown(["case", "organ", *(TITLES[name] for name in names)], rows)
    trained = any(image.trained_on for image in images)
    return text + ("\n\\* the model was trained on this case\n" if trained else "")


def comparison_csv(systems: Sequence[tuple[str, Summary]], differences: Sequence[Difference]) -> str:
    """Format the means of several systems and their differences from the first, with intervals, as a CSV table.

    The column ``figure`` names the kind of row.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, ["system", "figure", *SCORE_NAMES], lineterminator="\n")
    table.writeheader()
    for system, summary in systems:
        for figure, scores in (
            ("mean over images", summary.mean),
            ("95 % low", summary.low),
            ("95 % high", summary.high),
            ("pooled", summary.pooled),
        ):
            table.writerow({"system": system, "figure": figure, **asdict(scores)})
    for difference in differences:
        minus = f"mean minus that of {systems[0][0]}"
        for figure, scores in (
            (minus, difference.mean),
            (f"{minus}, 95 % low", difference.low),
            (f"{minus}, 95 % high", difference.high),
        ):
            table.writerow({"system": difference.name, "figure": figure, **asdict(scores)})
    return text.getvalue()


def comparison_markdown(systems: Sequence[tuple[str, Summary]], differences: Sequence[Difference]) -> str:
    """Format a Markdown table of several systems' means, the best in bold, and their differences from the first."""
    return _markdown(*_comparison(systems, differences, lambda text: f"**{text}**"))


def comparison_latex(systems: Sequence[tuple[str, Summary]], differences: Sequence[Difference]) -> str:
    """Format the table of `comparison_markdown` for LaTeX, with the rules of the package booktabs."""
    heading, rows = _comparison(systems, differences, lambda text: f"\\textbf{{{text}}}")

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(cells)} \\\\\n"

    below = [line([_escape_latex(row[0]), *row[1:]]) for row in rows]
    means, others = below[: len(systems)], below[len(systems) :]
    parts = [
        f"\\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}\n\\toprule\n",
        line([_escape_latex(cell) for cell in heading]),
        *("\\midrule\n", *means),
        *(("\\midrule\n", *others) if others else ()),
        "\\bottomrule\n\\end{tabular}\n",
    ]
    return "".join(parts)


def _escape_latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda found: special.get(found[0], f"\\{found[0]}"), text)


def _comparison(
    systems: Sequence[tuple[str, Summary]], differences: Sequence[Difference], bold: Callable[[str], str]
) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of a comparison; `bold` marks the best means."""
    names = shown_scores(*(summary.mean for _, summary in systems))
    rows = []
    for system, summary in systems:
        cells = []
        for name in names:
            cell = format_score(getattr(summary.mean, name))
            best = is_best(name, summary.mean, [other.mean for _, other in systems])
            cells.append(f"{bold(cell) if best else cell}{format_interval(summary, name)}")
        rows.append([system, *cells])
    for difference in differences:
        cells = []
        for name in names:
            cells.append(f"{format_score(getattr(difference.mean, name), '+')}{format_interval(difference, name, '+')}")
        rows.append([f"{difference.name} minus {systems[0][0]}", *cells])
    heading = "mean over images (95 % interval)" if systems[0][1].images > 1 else "one image"
    return [heading, *(TITLES[name] for name in names)], rows


def shown_scores(*scores: Scores) -> tuple[str, ...]:
    """List the names of the scores that are not None in any of `scores`, in order."""
    return tuple(name for name in SCORE_NAMES if all(getattr(one, name) is not None for one in scores))


def is_best(name: str, scores: Scores, among: Sequence[Scores]) -> bool:
    """Whether a score is the best of several; ties are all best."""
    best = min if name in LOWER_IS_BETTER else max
    return bool(getattr(scores, name) == best(getattr(other, name) for other in among))


def format_score(value: float | None, sign: Literal["", "+"] = "") -> str:
    """Format a score with four decimals, or a difference with its sign; None becomes a dash."""
    return "-" if value is None else f"{value:{sign}.4f}"


def format_interval(of: Summary | Difference, name: str, sign: Literal["", "+"] = "") -> str:
    """Format the interval of a mean or of a difference; empty for a single image, which has none."""
    low, high = getattr(of.low, name), getattr(of.high, name)
    if low is None or high is None:
        return ""
    return f" ({format_score(low, sign)}{' to ' if sign else '-'}{format_score(high, sign)})"


def _cells(scores: Scores, names: Sequence[str]) -> list[str]:
    return [format_score(getattr(scores, name)) for name in names]


def _markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
