"""The map of a report: the density of nuclei in colours, over a thumbnail of the slide."""

import html
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.tiling import Box
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.reports.sample_fields import Field
from monuseg_cli.reports.svg import draw_scale_bar, draw_text, path_of_rings, round_length
from monuseg_cli.reports.template import jpeg_uri, png_uri

_OPACITY = 0.6
_TOP = 0.995
_STOPS = 9
_COLOURS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
"""The colour map viridis (Smith and van der Walt), which has even steps of lightness."""


class Density:
    """A density with its scale of colours.

    Parameters
    ----------
    per_mm2 : ndarray of shape (R, C), float64
        Nuclei per square millimetre; NaN where there is no tissue.
    """

    def __init__(self, per_mm2: NDArray[np.float64]) -> None:
        self._per_mm2 = per_mm2
        known = per_mm2[np.isfinite(per_mm2)]
        self.low = 0.0
        self.high = float(np.quantile(known, _TOP)) if len(known) else 0.0

    def picture(self) -> NDArray[np.uint8]:
        """Return the density in colours (R, C, 4), transparent where there is no tissue."""
        stops = np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in _COLOURS])
        share = np.nan_to_num(self._per_mm2 / (self.high or 1)).clip(0, 1) * (_STOPS - 1)
        channels = [np.interp(share, range(_STOPS), stops[:, channel]) for channel in range(3)]
        alpha = np.isfinite(self._per_mm2) * 255
        return np.stack([*channels, alpha], axis=-1).round().astype(np.uint8)

    @staticmethod
    def ramp() -> str:
        """Return the colours of the scale, from low to high, as in CSS."""
        return ", ".join(_COLOURS)


def draw_map(
    thumbnail: NDArray[np.uint8],
    density: Density,
    region: Box,
    mpp: float,
    fields: Sequence[Field],
    rois: Iterable[Roi],
) -> str:
    """Draw the thumbnail of a region with its density, its regions of interest, and the places of the fields.

    Returns
    -------
    str
        An ``<svg>`` in pixels of level 0; its parts ``density`` and ``drawn`` have these ids.
    """
    top, left, height, width = region
    pen = max(height, width) / 500
    squares = "".join(_mark(field, number, pen) for number, field in enumerate(fields, 1))
    outlines = "".join(
        f'<path d="{path_of_rings(ring[:, ::-1] for polygon in roi.polygons for ring in polygon)}" fill="none" '
        f'stroke="#d55e00" stroke-width="{1.2 * pen:.1f}"><title>{html.escape(roi.name)}</title></path>'
        for roi in rois
    )
    place = f'x="{left}" y="{top}" width="{width}" height="{height}" preserveAspectRatio="none"'
    text = "Thumbnail of the slide with the density of nuclei in colours, and the numbered places of the fields"
    return (
        f'<svg viewBox="{left} {top} {width} {height}" role="img" aria-label="{text}">'
        f'<image {place} href="{jpeg_uri(thumbnail)}"/>'
        f'<image id="density" style="opacity: {_OPACITY}" {place} href="{png_uri(density.picture())}"/>'
        f'<g id="drawn">{outlines}{squares}</g>{draw_scale_bar(region, mpp, round_length(width * mpp / 5), pen)}</svg>'
    )


def _mark(field: Field, number: int, pen: float) -> str:
    """Draw the place of a field, at least large enough to be seen, with a link to its picture."""
    row, col, height, width = field.window
    side = max(width, height, 9 * pen)
    x, y = col + (width - side) / 2, row + (height - side) / 2
    return (
        f'<a href="#field-{number}" aria-label="Field {number}"><rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" '
        f'height="{side:.1f}" fill="#fff" fill-opacity="0.01" stroke="#000" stroke-width="{1.6 * pen:.1f}"/>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" fill="none" stroke="#fff" '
        f'stroke-width="{0.7 * pen:.1f}"/>{draw_text(x + side / 2, y + side / 2 + 4 * pen, 11 * pen, str(number))}</a>'
    )
