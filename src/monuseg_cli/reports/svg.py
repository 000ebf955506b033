"""Parts of the pictures of a report, as SVG: text, scale bars and outlines."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.tiling import Box


def draw_text(x: float, y: float, size: float, content: str) -> str:
    """Write white text with a dark edge, which can be read on any picture."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" font-family="system-ui, sans-serif" font-weight="600" '
        f'text-anchor="middle" fill="#fff" stroke="#000" stroke-width="{size / 4:.1f}" paint-order="stroke" '
        f'stroke-linejoin="round">{content}</text>'
    )


def draw_swatch(colour: Sequence[int]) -> str:
    """Draw a small square of a colour (R, G, B), for legends."""
    red, green, blue = colour
    return (
        f'<svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" fill="rgb({red}, {green}, '
        f'{blue})"/></svg>'
    )


def draw_scale_bar(window: Box, mpp: float, length_um: float, pen: float) -> str:
    """Draw a scale bar with its length into the lower left corner."""
    top, left, height, _ = window
    x, y, length = left + 8 * pen, top + height - 8 * pen, length_um / mpp
    line = f'd="M{x:.1f} {y:.1f}h{length:.1f}"'
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    return (
        f'<path {line} stroke="#000" stroke-width="{4.5 * pen:.1f}"/>'
        f'<path {line} stroke="#fff" stroke-width="{2.5 * pen:.1f}"/>'
        f"{draw_text(x + length / 2, y - 5 * pen, 12 * pen, label)}"
    )


def round_length(most_um: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20 ... that is not above `most_um`."""
    power = 10 ** np.floor(np.log10(most_um))
    return float(power * max(step for step in (1, 2, 5) if step * power <= most_um))


def path_of_rings(rings: Iterable[NDArray[np.float64]]) -> str:
    """Return rings of x, y as the data of an SVG path."""
    return "".join(f"M{'L'.join(f'{x:.1f} {y:.1f}' for x, y in ring.tolist())}Z" for ring in rings)
