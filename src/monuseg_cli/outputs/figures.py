"""Plots: as SVG inside a page, or as a file in PNG, SVG or PDF."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from monuseg_cli.core.atomic import write_bytes

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours by Okabe and Ito, which colour-blind readers can tell apart."""

_TEXT = "#010203"
"""Stands for the colour of the page's text, which is not known when a plot is drawn. In a file, it is black."""

_COLOURS: dict[Any, str] = dict.fromkeys(
    ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _TEXT
)
_TEXT_AS_TEXT: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "monuseg", "pdf.fonttype": 42}
_NO_DATE = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
_DPI = 100


def begin(title: str = "", size: tuple[float, float] = (5.6, 3.8)) -> tuple[Figure, Axes]:
    """Build an empty plot with a grid. Its text has the colour of the page's text, and it has no background.

    Parameters
    ----------
    title : str
        Title above the axes.
    size : tuple of float
        Width and height in inches.
    """
    figure, (axes,) = begin_panels([title], size)
    return figure, axes


def begin_panels(
    titles: Sequence[str], size: tuple[float, float], columns: int = 1, margins: Mapping[str, float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Build a figure of several plots as `begin` does, row by row.

    Parameters
    ----------
    titles : sequence of str
        The title of each plot.
    size : tuple of float
        Width and height of the figure in inches.
    columns : int
        Number of plots in a row.
    margins : mapping of str to float, optional
        Fixed margins, as `Figure.subplots_adjust` takes them; None: fitted to the text, which takes as long as to draw.
    """
    with matplotlib.rc_context(_COLOURS):
        figure = Figure(figsize=size, layout="constrained" if margins is None else None)
        if margins is not None:
            figure.subplots_adjust(**margins)
        rows = -(-len(titles) // columns)
        panels = [figure.add_subplot(rows, columns, number) for number in range(1, len(titles) + 1)]
        for axes, title in zip(panels, titles, strict=True):
            axes.set_title(title, fontsize=10)
            axes.grid(alpha=0.3)
    return figure, panels


def add_legend(axes: Axes, entries: Sequence[tuple[str, Artist]], **options: Any) -> None:
    """Add a legend that shows names as they are, also those that begin with ``_`` or contain ``$``."""
    with matplotlib.rc_context(_COLOURS):
        legend = axes.legend([drawn for _, drawn in entries], ["name"] * len(entries), fontsize=8, **options)
    for text, (name, _) in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def to_svg(figure: Figure) -> str:
    """Return a plot as an ``<svg>`` element; equal plots give equal text."""
    svg = _render(figure, "svg", transparent=True).decode()
    return svg[svg.index("<svg") :].replace(_TEXT, "currentColor")


def write_figure(path: Path, figure: Figure) -> None:
    """Write a plot on white, atomically; the suffix selects the format: .png (100 dpi), .svg or .pdf.

    Text stays text in SVG and PDF, so that it can be searched and edited. Equal plots give equal files.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_bytes(path, _render(figure, path.suffix.lower().removeprefix("."), transparent=False))


def _render(figure: Figure, kind: str, *, transparent: bool) -> bytes:
    content = io.BytesIO()
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):  # only once: each time moves things a little
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    with matplotlib.rc_context(_TEXT_AS_TEXT):
        figure.savefig(content, format=kind, dpi=_DPI, metadata=_NO_DATE[kind], transparent=transparent)
    return content.getvalue()
