"""The pictures of a report: the map of density, and fields with outlines; each is an SVG with the pixels in it."""

import html
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.imaging.slide import Slide
from monuseg_cli.imaging.tiling import Box
from monuseg_cli.pages.template import jpeg_uri, png_uri
from monuseg_cli.prediction.detections import Shapes, ragged, simplify
from monuseg_cli.prediction.fields import Field
from monuseg_cli.prediction.rescaled import read_thumbnail
from monuseg_cli.prediction.roi import Roi

_FIELD_PX = 480
_FIELD_BAR_UM = 20
_TOLERANCE_PX = 0.75
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
        f'<path d="{_path_of_rings(ring[:, ::-1] for polygon in roi.polygons for ring in polygon)}" fill="none" '
        f'stroke="#d55e00" stroke-width="{1.2 * pen:.1f}"><title>{html.escape(roi.name)}</title></path>'
        for roi in rois
    )
    place = f'x="{left}" y="{top}" width="{width}" height="{height}" preserveAspectRatio="none"'
    text = "Thumbnail of the slide with the density of nuclei in colours, and the numbered places of the fields"
    return (
        f'<svg viewBox="{left} {top} {width} {height}" role="img" aria-label="{text}">'
        f'<image {place} href="{jpeg_uri(thumbnail)}"/>'
        f'<image id="density" style="opacity: {_OPACITY}" {place} href="{png_uri(density.picture())}"/>'
        f'<g id="drawn">{outlines}{squares}</g>{_bar(region, mpp, _round_length(width * mpp / 5), pen)}</svg>'
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
        f'stroke-width="{0.7 * pen:.1f}"/>{_text(x + side / 2, y + side / 2 + 4 * pen, 11 * pen, str(number))}</a>'
    )


def _text(x: float, y: float, size: float, content: str) -> str:
    """Write white text with a dark edge, which can be read on any picture."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" font-family="system-ui, sans-serif" font-weight="600" '
        f'text-anchor="middle" fill="#fff" stroke="#000" stroke-width="{size / 4:.1f}" paint-order="stroke" '
        f'stroke-linejoin="round">{content}</text>'
    )


def _bar(window: Box, mpp: float, length_um: float, pen: float) -> str:
    """Draw a scale bar with its length into the lower left corner."""
    top, left, height, _ = window
    x, y, length = left + 8 * pen, top + height - 8 * pen, length_um / mpp
    line = f'd="M{x:.1f} {y:.1f}h{length:.1f}"'
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    return (
        f'<path {line} stroke="#000" stroke-width="{4.5 * pen:.1f}"/>'
        f'<path {line} stroke="#fff" stroke-width="{2.5 * pen:.1f}"/>'
        f"{_text(x + length / 2, y - 5 * pen, 12 * pen, label)}"
    )


def _round_length(most_um: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20 ... that is not above `most_um`."""
    power = 10 ** np.floor(np.log10(most_um))
    return float(power * max(step for step in (1, 2, 5) if step * power <= most_um))


def draw_field(slide: Slide, field: Field, number: int, mpp: float) -> str:
    """Draw a field with the outlines of the nuclei, as a ``<figure>`` with the id ``field-NUMBER``."""
    row, col, height, width = field.window
    pixels = read_thumbnail(slide, max(max(height, width) / _FIELD_PX, 1), field.window)
    per_mm2 = field.nuclei / (height * width * (mpp / 1000) ** 2)
    about = f"{field.nuclei} {'nucleus' if field.nuclei == 1 else 'nuclei'}, {per_mm2:,.0f}/mm²"
    pen = max(height, width) / 220
    bar = _bar(field.window, mpp, min(_FIELD_BAR_UM, _round_length(width * mpp / 2)), pen)
    return (
        f'<figure id="field-{number}"><svg viewBox="{col} {row} {width} {height}" role="img" '
        f'aria-label="Field {number}: {about}"><image x="{col}" y="{row}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{jpeg_uri(pixels)}"/><path class="outline" '
        f'd="{_path(field.shapes)}" fill="none" stroke="#00ff40" stroke-width="1.5" '
        f'vector-effect="non-scaling-stroke"/>{bar}</svg>'
        f"<figcaption><b>{number}</b> &nbsp;{about}<br>x {col:,}, y {row:,}</figcaption></figure>"
    )


def _path(shapes: Shapes) -> str:
    if not len(shapes):
        return ""
    points, rings, _, _ = ragged(simplify(shapes, _TOLERANCE_PX))
    return _path_of_rings(points[begin : end - 1] for begin, end in pairwise(rings.tolist()))


def _path_of_rings(rings: Iterable[NDArray[np.float64]]) -> str:
    """Return rings of x, y as the data of an SVG path."""
    return "".join(f"M{'L'.join(f'{x:.1f} {y:.1f}' for x, y in ring.tolist())}Z" for ring in rings)
