"""The histograms of a report, as SVG."""

import numpy as np

from monuseg_cli.nuclei.distributions import Distribution, Distributions
from monuseg_cli.pages.figures import BLUE, ORANGE, begin, to_svg

_BINS = 40
_SHOWN = 0.995
_PLOTS = {
    "area_um2": ("Area", "area, µm²"),
    "eccentricity": ("Eccentricity", "eccentricity (0: circle, near 1: line)"),
    "haematoxylin_mean": ("Haematoxylin", "mean optical density of haematoxylin"),
}


def draw_distributions(measured: Distributions) -> str:
    """Draw a histogram of each measurement, with its median, as ``<figure>`` elements."""
    if not len(measured["area_um2"]):
        return '<p class="soft">No nuclei were found.</p>'
    return "".join(_draw(measured[name], title, axis) for name, (title, axis) in _PLOTS.items())


def _draw(distribution: Distribution, title: str, axis: str) -> str:
    low, quarter, median, three_quarters, top = map(distribution.quantile, (0, 0.25, 0.5, 0.75, _SHOWN))
    end = 1.0 if axis.startswith("eccentricity") else top
    edges = np.linspace(min(0.0, low), max(end, min(0.0, low) + 1e-6), _BINS + 1)
    counts = distribution.histogram(edges)
    figure, axes = begin(size=(4.4, 2.7))
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE, zorder=2)
    axes.axvline(median, color=ORANGE, linestyle="--", zorder=3)
    axes.set_xlabel(axis)
    axes.set_ylabel("nuclei")
    axes.set_xlim(edges[0], edges[-1])
    axes.spines[["top", "right"]].set_visible(False)
    beyond = len(distribution) - int(counts.sum())
    rest = f"; beyond the plot: {beyond:,}" if beyond else ""
    about = f"{title}: median {median:.3g}, middle half {quarter:.3g} to {three_quarters:.3g}{rest}"
    return (
        f'<figure><div role="img" aria-label="{about}">{to_svg(figure)}</div><figcaption>{about}</figcaption></figure>'
    )
