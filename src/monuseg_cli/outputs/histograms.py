"""Histograms of the measurements of all nuclei, as SVG or PDF; a report shows the same."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from monuseg_cli.nuclei.detections import Detections
from monuseg_cli.nuclei.distributions import Distribution, Distributions
from monuseg_cli.outputs.figures import BLUE, ORANGE, begin_panels, write_figure
from monuseg_cli.outputs.target import NucleiWriter

_BINS = 40
_SHOWN = 0.995
SIZE = (4.4, 2.7)
"""Width and height of a histogram in inches."""

HISTOGRAMS: Mapping[str, tuple[str, str]] = {
    "area_um2": ("Area", "area, µm²"),
    "eccentricity": ("Eccentricity", "eccentricity (0: circle, near 1: line)"),
    "haematoxylin_mean": ("Haematoxylin", "mean optical density of haematoxylin"),
}
"""Title and name of the axis of each measurement that is drawn."""


@contextmanager
def histograms(path: Path) -> Iterator[NucleiWriter]:
    """Collect nuclei, and write their histograms side by side when the context ends; the suffix sets the format."""
    measured = Distributions()

    def add(found: Detections) -> None:
        if len(found):
            measured.add(found.columns)

    yield add
    number = len(HISTOGRAMS)
    figure, panels = begin_panels([""] * number, (SIZE[0] * number, SIZE[1]), columns=number)
    for axes, name in zip(panels, HISTOGRAMS, strict=True):
        plot_histogram(axes, measured, name)
        axes.set_title(describe_histogram(measured, name), fontsize=8)
    write_figure(path, figure)


def plot_histogram(axes: Axes, measured: Distributions, name: str) -> None:
    """Plot the number of nuclei over a measurement, with a line at the median."""
    distribution = measured[name]
    axes.set_xlabel(HISTOGRAMS[name][1])
    axes.set_ylabel("nuclei")
    axes.spines[["top", "right"]].set_visible(False)
    if len(distribution):
        edges = _edges(distribution, name)
        axes.bar(edges[:-1], distribution.histogram(edges), np.diff(edges), align="edge", color=BLUE, zorder=2)
        axes.axvline(distribution.quantile(0.5), color=ORANGE, linestyle="--", zorder=3)
        axes.set_xlim(edges[0], edges[-1])


def describe_histogram(measured: Distributions, name: str) -> str:
    """Return title, median and quartiles of a measurement, and how many nuclei are beyond its axis."""
    distribution, title = measured[name], HISTOGRAMS[name][0]
    if not len(distribution):
        return f"{title}: no nuclei"
    quarter, median, three_quarters = map(distribution.quantile, (0.25, 0.5, 0.75))
    beyond = len(distribution) - int(distribution.histogram(_edges(distribution, name)).sum())
    rest = f"; beyond the plot: {beyond:,}" if beyond else ""
    return f"{title}: median {median:.3g}, middle half {quarter:.3g} to {three_quarters:.3g}{rest}"


def _edges(distribution: Distribution, name: str) -> NDArray[np.float64]:
    low = min(0.0, distribution.quantile(0))
    end = 1.0 if name == "eccentricity" else distribution.quantile(_SHOWN)
    return np.linspace(low, max(end, low + 1e-6), _BINS + 1)
