"""The tables of a report, in HTML."""

import html
from collections.abc import Sequence

from monuseg_cli.evaluation.compare import Difference
from monuseg_cli.evaluation.error_analysis import KINDS, Side, SystemErrors
from monuseg_cli.evaluation.results import Evaluation
from monuseg_cli.evaluation.scores import Scores, Summary
from monuseg_cli.evaluation.tables import TITLES, closing_rows, format_interval, format_score, is_best, shown_scores

_SHOWN = ("f1", "aji", "pq")
_TRAINED = "<p>* the model was trained on this case</p>"


def scores_table(evaluation: Evaluation) -> str:
    """Format the scores of one system: a row per image, and the summaries."""
    images, summary = evaluation.images, evaluation.summary
    names = shown_scores(summary.mean)

    def cells(scores: Scores) -> list[str]:
        return [format_score(getattr(scores, name)) for name in names]

    rows = [
        _row([_case(index, image.case_id, image.trained_on), html.escape(image.organ)], cells(image.scores))
        for index, image in enumerate(images)
    ]
    for label, organ, scores in closing_rows(evaluation.organs, summary):
        style = ' class="strong"' if scores is summary.mean else ""
        rows.append(_row([label, html.escape(organ)], cells(scores), style))
    note = _TRAINED if any(image.trained_on for image in images) else ""
    return _table([_heading(["case", "organ"], [TITLES[name] for name in names])], rows) + note


def comparison_table(names: Sequence[str], evaluations: Sequence[Evaluation], differences: Sequence[Difference]) -> str:
    """Format the means of several systems and the differences from the first, with their intervals, a row per score.

    Parameters
    ----------
    names : sequence of str
        Short name of each system.
    evaluations, differences
        The scores; see `EvaluateResult`.
    """
    means = [evaluation.summary.mean for evaluation in evaluations]
    rows = []
    for name in shown_scores(*means):
        cells = []
        for evaluation in evaluations:
            mean = format_score(getattr(evaluation.summary.mean, name))
            best = is_best(name, evaluation.summary.mean, means)
            cells.append(_with_interval(mean, best, evaluation.summary, name))
        for difference in differences:
            mean = format_score(getattr(difference.mean, name), "+")
            cells.append(_with_interval(mean, _excludes_zero(difference, name), difference, name))
        rows.append(_row([TITLES[name]], cells))
    titles = [html.escape(name) + _trained(evaluation) for name, evaluation in zip(names, evaluations, strict=True)]
    titles += [f"{html.escape(name)}<br>minus {html.escape(names[0])}" for name in names[1:]]
    several = evaluations[0].summary.images > 1
    said = "Bold: the best mean, and differences whose interval does not contain 0."
    table = _table([_heading(["mean over images" if several else "one image"], titles)], rows)
    return table + (f"<p class=soft>{said}</p>" if several else "")


def images_table(names: Sequence[str], evaluations: Sequence[Evaluation]) -> str:
    """Format F1, AJI and PQ of several systems side by side: a row per image, and the mean of each organ."""
    rows = []
    for index, images in enumerate(zip(*(evaluation.images for evaluation in evaluations), strict=True)):
        first = [_case(index, images[0].case_id), html.escape(images[0].organ)]
        rows.append(_row(first, _side_by_side([image.scores for image in images], [one.trained_on for one in images])))
    for organ in evaluations[0].organs:
        of = [evaluation.organs[organ] for evaluation in evaluations]
        if of[0].images > 1:
            rows.append(_row([f"mean of {of[0].images}", html.escape(organ)], _side_by_side([one.mean for one in of])))
    over = "".join(f"<th colspan={len(names)}>{TITLES[score]}</th>" for score in _SHOWN)
    heading = _heading(["case", "organ"], [html.escape(name) for name in names] * len(_SHOWN))
    note = _TRAINED if any(image.trained_on for evaluation in evaluations for image in evaluation.images) else ""
    return _table([f"<tr><th></th><th></th>{over}</tr>", heading], rows) + note


def errors_table(names: Sequence[str], errors: Sequence[SystemErrors]) -> str:
    """Format the number and the share of each kind of true and of predicted nuclei, a column per system."""
    rows = []
    for side, kinds in KINDS.items():
        totals = [sum(one.kinds[side].values()) for one in errors]
        rows += [
            _row([f'<i class="swatch" style="background:{colour}"></i>{text}'], _shares(errors, side, kind, totals))
            for kind, (colour, text) in kinds.items()
        ]
        all_of = "all true nuclei" if side == "truth" else "all predicted nuclei"
        rows.append(_row([all_of], [f"{total:,}" for total in totals], ' class="strong"'))
    return _table([_heading(["nuclei of all images"], [html.escape(name) for name in names])], rows)


def _shares(errors: Sequence[SystemErrors], side: Side, kind: str, totals: Sequence[int]) -> list[str]:
    counts = [one.kinds[side][kind] for one in errors]
    return [f"{count:,} ({count / max(total, 1):.1%})" for count, total in zip(counts, totals, strict=True)]


def _side_by_side(scores: Sequence[Scores], trained: Sequence[bool] = ()) -> list[str]:
    marks = [" *" if one else "" for one in trained] or [""] * len(scores)
    cells = []
    for name in _SHOWN:
        for one, mark in zip(scores, marks, strict=True):
            cells.append(_bold(format_score(getattr(one, name)), is_best(name, one, scores)) + mark)
    return cells


def _with_interval(value: str, is_bold: bool, of: Summary | Difference, name: str) -> str:
    interval = format_interval(of, name, "+" if isinstance(of, Difference) else "").strip(" ()")
    return _bold(value, is_bold) + (f"<br><small>{interval}</small>" if interval else "")


def _excludes_zero(difference: Difference, name: str) -> bool:
    low, high = getattr(difference.low, name), getattr(difference.high, name)
    return low is not None and high is not None and low * high > 0


def _trained(evaluation: Evaluation) -> str:
    count = sum(image.trained_on for image in evaluation.images)
    return f"<br><small>trained on {count} of these cases</small>" if count else ""


def _bold(text: str, is_bold: bool) -> str:
    return f"<b>{text}</b>" if is_bold else text


def _case(index: int, case_id: str, is_trained: bool = False) -> str:
    return f'<button class="link" data-open="{index}">{html.escape(case_id)}</button>{" *" if is_trained else ""}'


def _heading(labels: Sequence[str], titles: Sequence[str]) -> str:
    return f"<tr>{_cells('th class=text', labels)}{_cells('th', titles)}</tr>"


def _row(labels: Sequence[str], cells: Sequence[str], style: str = "") -> str:
    return f"<tr{style}>{_cells('td class=text', labels)}{_cells('td', cells)}</tr>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{text}</{tag[:2]}>" for text in texts)


def _table(heading: Sequence[str], rows: Sequence[str]) -> str:
    return f"<table><thead>{''.join(heading)}</thead><tbody>{''.join(rows)}</tbody></table>"
