"""Plots of the scores and errors of one or more systems."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from monuseg_cli.evaluation.error_analysis import KINDS, Side, SystemErrors
from monuseg_cli.evaluation.scores import ImageScores, Summary
from monuseg_cli.evaluation.tables import TITLES
from monuseg_cli.outputs.figures import BLUE, COLOURS, GREEN, ORANGE, add_legend, begin, begin_panels

_SCORES = {"f1": BLUE, "aji": ORANGE, "pq": GREEN}
_MARKERS = "osD^vPX<>"  # of another number than the colours, so that pairs differ
_SIZE_GROUPS = 10
_ROW_SHARE = 0.5  # share of a row's height over which its points are spread
_LOWEST_NAMED = 0.06  # share of a bar from which on its number is written into it


@dataclass(frozen=True, slots=True)
class System:
    """What is plotted of a system: its name, scores of each image and organ, and errors."""

    name: str
    images: Sequence[ImageScores]
    organs: Mapping[str, Summary]
    errors: SystemErrors


Series = Sequence[tuple[str, Sequence[float]]]
"""Values of the same rows, by what they are values of."""


def draw_plots(systems: Sequence[System]) -> dict[str, Figure]:
    """Draw all plots, by name.

    F1, AJI and PQ of one system are in one plot; of several systems, each score has its own.

    Parameters
    ----------
    systems : sequence of System
        Systems with the same images.
    """
    plots: dict[str, Figure] = {}
    order = sorted(range(len(systems[0].images)), key=lambda index: systems[0].images[index].scores.aji)
    cases = [systems[0].images[index].case_id for index in order]
    organs = {f"{organ} ({of.images})": organ for organ, of in systems[0].organs.items()}
    for suffix, title, series in _score_series(systems):
        values = [(name, [scores[index] for index in order]) for name, scores in series.images]
        plots[f"images{suffix}"] = _draw_rows(f"{title} of each image", title, "image", cases, values)
        if len(organs) > 1:
            heading = f"Mean {title} of each organ"
            axis = "organ (number of images)"
            plots[f"organs{suffix}"] = _draw_rows(heading, f"mean {title}", axis, list(organs), series.organs)
    if all(system.errors.histogram.any() for system in systems):
        plots["threshold" if len(systems) == 1 else "precision-recall"] = _draw_threshold(systems)
    plots["size-iou"] = _draw_iou_by_size(systems)
    plots["size-missed"] = _draw_missed_by_size(systems)
    plots["error-types"] = _draw_error_types(systems)
    return plots


@dataclass(frozen=True, slots=True)
class _ScoreSeries:
    """The values of each image, and the mean of each organ."""

    images: Series
    organs: Series


def _score_series(systems: Sequence[System]) -> list[tuple[str, str, _ScoreSeries]]:
    """Return what belongs into one plot: suffix of its name, title, and values."""

    def of(system: System, score: str) -> tuple[list[float], list[float]]:
        means = [getattr(summary.mean, score) for summary in system.organs.values()]
        return [getattr(image.scores, score) for image in system.images], means

    if len(systems) == 1:
        both = [(TITLES[score], of(systems[0], score)) for score in _SCORES]
        return [("", "score", _collect(both))]
    return [
        (f"-{score}", TITLES[score], _collect([(system.name, of(system, score)) for system in systems]))
        for score in _SCORES
    ]


def _collect(values: Sequence[tuple[str, tuple[list[float], list[float]]]]) -> _ScoreSeries:
    return _ScoreSeries([(name, images) for name, (images, _) in values], [(name, of) for name, (_, of) in values])


def _draw_rows(title: str, axis: str, rows_axis: str, rows: Sequence[str], series: Series) -> Figure:
    """Plot a point per row and series; those of a row are a little apart, so that equal ones are seen."""
    figure, axes = begin(title, size=(5.6, max(3.0, 1.2 + 0.19 * len(rows))))
    places = np.arange(len(rows))
    drawn: list[tuple[str, Artist]] = []
    for index, (name, values) in enumerate(series):
        height = places + _ROW_SHARE * ((len(series) - 1) / 2 - index) / len(series)
        (points,) = axes.plot(values, height, _marker(index), color=_colour(index), markersize=5)
        drawn.append((name, points))
    axes.set_yticks(places, list(rows), fontsize=7, parse_math=False)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(axis)
    axes.set_ylabel(rows_axis)
    shown = [value for _, values in series for value in values]
    axes.set_xlim(math.floor(10 * min(shown) - 0.2) / 10, math.ceil(10 * max(shown) + 0.2) / 10)
    add_legend(axes, drawn)
    return figure


def _draw_threshold(systems: Sequence[System]) -> Figure:
    """Plot precision, recall and F1 of pixels over the threshold; of several systems, precision over recall."""
    curves = [_sweep(system.errors.histogram) for system in systems]
    if len(systems) == 1:
        figure, axes = begin("Pixels of all images, over the threshold")
        named = list(zip(("precision", "recall", "F1"), curves[0][1:], strict=True))
        lines = [(name, curves[0][0], values) for name, values in named]
        axes.set_xlabel("threshold of the probability")
        axes.set_ylabel("score of pixels (0 to 1)")
    else:
        figure, axes = begin("Pixels of all images, over all thresholds")
        lines = [
            (system.name, recall, precision) for system, (_, precision, recall, _) in zip(systems, curves, strict=True)
        ]
        axes.set_xlabel("recall of pixels")
        axes.set_ylabel("precision of pixels")
        axes.set_xlim(0, 1)
    drawn: list[tuple[str, Artist]] = []
    for index, (name, x, y) in enumerate(lines):
        drawn.append((name, axes.plot(x, y, color=_colour(index))[0]))
    axes.set_ylim(0, 1)
    add_legend(axes, drawn)
    return figure


def _sweep(histogram: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Return thresholds, and precision, recall and F1 of pixels at each, from a histogram of `SystemErrors`."""
    bins = histogram.shape[1]
    predicted = histogram.sum(axis=0)[::-1].cumsum()[::-1]
    right = histogram[1][::-1].cumsum()[::-1]
    precision, recall = right / np.maximum(predicted, 1), right / max(int(right[0]), 1)
    f1 = 2 * right / np.maximum(predicted + right[0], 1)
    return tuple(values[1:] for values in (np.arange(bins) / bins, precision, recall, f1))


def _size_groups(errors: SystemErrors) -> tuple[list[float], list[NDArray[np.float64]]]:
    """Return the median area of true nuclei in groups of equal count, and the best IoUs in each."""
    areas, ious = errors.sizes()
    groups = [group for group in np.array_split(np.argsort(areas, kind="stable"), _SIZE_GROUPS) if len(group)]
    return [float(np.median(areas[group])) for group in groups], [ious[group] for group in groups]


def _draw_iou_by_size(systems: Sequence[System]) -> Figure:
    """Plot median and quartiles of the best IoU of true nuclei against their size, in groups of equal count."""
    figure, axes = _begin_sizes("Best IoU over the size of true nuclei", "best IoU (median, quartiles)", systems)
    drawn: list[tuple[str, Artist]] = []
    for index, system in enumerate(systems):
        sizes, ious = _size_groups(system.errors)
        low, middle, high = ([np.quantile(group, share) for group in ious] for share in (0.25, 0.5, 0.75))
        band = axes.fill_between(sizes, low, high, color=_colour(index), alpha=0.3 / (1 + len(systems)), linewidth=0)
        (line,) = axes.plot(sizes, middle, f"{_marker(index)}-", color=_colour(index), markersize=4)
        drawn += [("median", line), ("quartiles", band)] if len(systems) == 1 else [(system.name, line)]
    add_legend(axes, drawn)
    return figure


def _draw_missed_by_size(systems: Sequence[System]) -> Figure:
    """Plot the share of true nuclei without a match against their size, in groups of equal count."""
    title, axis = "Missed nuclei over the size of true nuclei", "share not matched at IoU > 0.5"
    figure, axes = _begin_sizes(title, axis, systems)
    drawn: list[tuple[str, Artist]] = []
    for index, system in enumerate(systems):
        sizes, ious = _size_groups(system.errors)
        missed = [(group <= 0.5).mean() for group in ious]
        (line,) = axes.plot(sizes, missed, f"{_marker(index)}-", color=_colour(index), markersize=4)
        drawn.append((system.name, line))
    if len(systems) > 1:
        add_legend(axes, drawn)
    return figure


def _begin_sizes(title: str, axis: str, systems: Sequence[System]) -> tuple[Figure, Axes]:
    """Build an empty plot over the size of true nuclei, which are those of all systems."""
    figure, axes = begin(title)
    if systems[0].errors.sizes()[0].size:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("area of the true nucleus, pixels")
    axes.set_ylabel(axis)
    axes.set_ylim(0, 1)
    return figure, axes


def _draw_error_types(systems: Sequence[System]) -> Figure:
    """Plot the share of each kind among true and among predicted nuclei, a bar per system with the numbers in it."""
    titles: dict[Side, str] = {"truth": "True nuclei", "prediction": "Predicted nuclei"}
    figure, panels = begin_panels(list(titles.values()), (5.6, 2.6 + 0.6 * len(systems)))
    for axes, (side, title) in zip(panels, titles.items(), strict=True):
        left = np.zeros(len(systems))
        totals = np.maximum([sum(system.errors.kinds[side].values()) for system in systems], 1)
        drawn: list[tuple[str, Artist]] = []
        for kind, (colour, _) in KINDS[side].items():
            counts = np.array([system.errors.kinds[side][kind] for system in systems])
            bars = axes.barh(range(len(systems)), counts / totals, left=left, color=colour, zorder=2)
            named = [
                str(count) if count >= _LOWEST_NAMED * total else ""
                for count, total in zip(counts, totals, strict=True)
            ]
            axes.bar_label(bars, named, label_type="center", fontsize=7, color=_text_on(colour))
            drawn.append((kind, bars[0]))
            left += counts / totals
        axes.set_yticks(range(len(systems)), [system.name for system in systems], fontsize=8, parse_math=False)
        axes.set_ylim(len(systems) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_ylabel("system")
        axes.set_xlabel(f"share of {title.lower()} (in the bars: their number)")
        add_legend(axes, drawn, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _marker(index: int) -> str:
    return _MARKERS[index % len(_MARKERS)]


def _text_on(colour: str) -> str:
    """Return black or white, whichever is easier to read on a colour."""
    red, green, blue = to_rgb(colour)
    return "black" if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else "white"
