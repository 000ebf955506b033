"""The histograms of a report, as SVG."""

from monuseg_cli.nuclei.distributions import Distributions
from monuseg_cli.outputs.figures import begin, to_svg
from monuseg_cli.outputs.histograms import HISTOGRAMS, SIZE, describe_histogram, plot_histogram


def draw_distributions(measured: Distributions) -> str:
    """Draw a histogram of each measurement, with its median, as ``<figure>`` elements."""
    if not len(measured["area_um2"]):
        return '<p class="soft">No nuclei were found.</p>'
    return "".join(_draw(measured, name) for name in HISTOGRAMS)


def _draw(measured: Distributions, name: str) -> str:
    figure, axes = begin(size=SIZE)
    plot_histogram(axes, measured, name)
    about = describe_histogram(measured, name)
    return (
        f'<figure><div role="img" aria-label="{about}">{to_svg(figure)}</div><figcaption>{about}</figcaption></figure>'
    )
