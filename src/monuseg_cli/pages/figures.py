"""Plots as SVG, to be put into a page."""

import io
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
"""Colours by Okabe and Ito, which colour-blind readers can tell apart."""

_TEXT = "#010203"
"""Stands for the colour of the page's text, which is not known when a plot is drawn."""

_COLOURS: dict[Any, str] = dict.fromkeys(
    ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _TEXT
)


def begin(title: str = "", size: tuple[float, float] = (5.6, 3.8)) -> tuple[Figure, Axes]:
    """Build an empty plot with a grid. Its text has the colour of the page's text, and it has no background.

    Parameters
    ----------
    title : str
        Title above the axes.
    size : tuple of float
        Width and height in inches.
    """
    with matplotlib.rc_context(_COLOURS):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    return figure, axes


def to_svg(figure: Figure) -> str:
    """Return a plot as an ``<svg>`` element; equal plots give equal text."""
    content = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "monuseg"}):
        figure.savefig(content, format="svg", metadata={"Date": None}, transparent=True)
    svg = content.getvalue()
    return svg[svg.index("<svg") :].replace(_TEXT, "currentColor")
