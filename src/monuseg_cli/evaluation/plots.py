"""Plots of scores, as SVG for the report."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.evaluation.scores import ImageScores, Summary
from monuseg_cli.evaluation.tables import TITLES
from monuseg_cli.pages.figures import BLUE, GREEN, ORANGE, begin, to_svg

_SCORES = {"f1": BLUE, "aji": ORANGE, "pq": GREEN}
_SIZE_GROUPS = 10


def draw_per_image(images: Sequence[ImageScores]) -> str:
    """Plot F1, AJI and PQ of every image, in order of AJI."""
    figure, axes = begin("Scores of each image")
    order = sorted(images, key=lambda image: image.scores.aji)
    for name, colour in _SCORES.items():
        values = [getattr(image.scores, name) for image in order]
        axes.plot(values, range(len(order)), "o", color=colour, label=TITLES[name])
    axes.set_yticks(range(len(order)), [image.case_id for image in order], fontsize=7, parse_math=False)
    axes.set_xlim(0, 1)
    axes.legend(fontsize=8)
    return to_svg(figure)


def draw_organs(organs: Mapping[str, Summary]) -> str:
    """Plot the means of F1, AJI and PQ over the images of each organ."""
    figure, axes = begin("Mean over each organ's images")
    positions = np.arange(len(organs))
    for offset, (name, colour) in zip((-0.26, 0, 0.26), _SCORES.items(), strict=True):
        means = [getattr(summary.mean, name) for summary in organs.values()]
        axes.bar(positions + offset, means, 0.24, color=colour, label=TITLES[name])
    names = [f"{organ}\n({summary.images})" for organ, summary in organs.items()]
    axes.set_xticks(positions, names, fontsize=8, parse_math=False)
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8)
    return to_svg(figure)


def draw_precision_recall(histogram: NDArray[np.int64]) -> str:
    """Plot pixel precision, recall and F1 against the threshold.

    Parameters
    ----------
    histogram : ndarray of shape (2, BINS), int64
        Number of background and of nuclear pixels of all images, by probability, in bins of equal width over 0..1.
    """
    figure, axes = begin("Pixels of all images, over the threshold")
    bins = histogram.shape[1]
    predicted = histogram.sum(axis=0)[::-1].cumsum()[::-1]
    right = histogram[1][::-1].cumsum()[::-1]
    thresholds = np.arange(bins) / bins
    precision, recall = right / np.maximum(predicted, 1), right / max(int(right[0]), 1)
    f1 = 2 * right / np.maximum(predicted + right[0], 1)
    for name, values, colour in zip(
        ("precision", "recall", "F1"), (precision, recall, f1), _SCORES.values(), strict=True
    ):
        axes.plot(thresholds[1:], values[1:], color=colour, label=name)
    axes.set_xlabel("threshold")
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8)
    return to_svg(figure)


def draw_sizes(areas: NDArray[np.int64], ious: NDArray[np.float64]) -> str:
    """Plot the quartiles of the best IoU of true nuclei against their size, in groups of equal count.

    Parameters
    ----------
    areas : ndarray of shape (N,), int64
        Area of every true nucleus in pixels.
    ious : ndarray of shape (N,), float64
        Its highest IoU with a predicted nucleus.
    """
    figure, axes = begin("Size of true nuclei against error")
    groups = [group for group in np.array_split(np.argsort(areas, kind="stable"), _SIZE_GROUPS) if len(group)]
    if groups:
        sizes = [np.median(areas[group]) for group in groups]
        low, middle, high = (
            np.array([np.quantile(ious[group], share) for group in groups]) for share in (0.25, 0.5, 0.75)
        )
        axes.fill_between(sizes, low, high, color=BLUE, alpha=0.2, label="quartiles")
        axes.plot(sizes, middle, "o-", color=BLUE, label="median of the best IoU")
        missed = [(ious[group] <= 0.5).mean() for group in groups]
        axes.plot(sizes, missed, "s--", color=ORANGE, label="share not matched")
        axes.set_xscale("log")
        axes.legend(fontsize=8)
    axes.set_xlabel("area, pixels")
    axes.set_ylim(0, 1)
    return to_svg(figure)
