"""Tiles of nuclei, as transparent WebP: outlines, or a heat map where outlines no longer fit."""

import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from monuseg_cli.classes.card import Colour
from monuseg_cli.viewer import colours
from monuseg_cli.viewer.heat_maps import Heat, HeatMaps
from monuseg_cli.viewer.nucleus_set import NucleusSet
from monuseg_cli.viewer.pyramid import Tile

Style = Literal["outlines", "filled"]

_SMALLEST_PX = 7.0
"""Of a nucleus of median size on a tile: outlines that are smaller run into each other."""

_DOT_DIAMETER_PX = 24.0
"""Taken for nuclei that are known by their centre only, in pixels of level 0."""

_DOT_SHARE = 0.4
_OVERSAMPLING = 2
_LINE_PX, _CLOSE_LINE_PX = 2, 3
"""Width of outlines, and from twice full resolution on."""

_FILL_OPACITY = 200
_HEAT_OPACITY = 170
_MOST_RANGES = 8
"""Colourings within chosen limits that are kept."""

_HEAT_PX = 4
"""A heat map is computed for blocks of so many pixels, and enlarged."""


@dataclass(frozen=True)
class Colouring:
    """What the colours of nuclei mean.

    Parameters
    ----------
    index : ndarray of shape (N,), uint8
        Index of each nucleus in the palette.
    palette : ndarray of shape (256, 3), uint8
        Colours.
    limits : tuple of float or None
        Values of the lowest and highest colour; None if the colours do not stand for numbers.
    """

    index: NDArray[np.uint8]
    palette: colours.Palette
    limits: colours.Limits | None = None


class Overlay:
    """Draws tiles of nuclei.

    Parameters
    ----------
    nuclei : NucleusSet
        The nuclei.
    shape : tuple of int
        Height and width of the slide.
    mpp : float or None
        Micrometres per pixel of level 0.
    class_colours : mapping of str to tuple of int
        Colours of classes, where the file states them.

    Attributes
    ----------
    class_names : tuple of str
        Classes of the nuclei, in order of name.
    class_palette : ndarray of shape (256, 3), uint8
        Their colours, from index 1.
    """

    def __init__(
        self,
        nuclei: NucleusSet,
        shape: tuple[int, int],
        mpp: float | None,
        class_colours: Mapping[str, Colour] = MappingProxyType({}),
    ) -> None:
        self._nuclei = nuclei
        self._maps = HeatMaps(nuclei, shape, mpp)
        self._heats: dict[str, Heat] = {}
        self._colourings: dict[tuple[str, colours.Limits | None], Colouring] = {}
        self._ranged: dict[tuple[str, colours.Limits | None], Colouring] = {}
        self._lock = threading.Lock()
        self.class_names = tuple(sorted(set(nuclei.class_names) - {""}))
        self.class_palette = colours.classes(self.class_names, class_colours)

    @property
    def coarsest_step(self) -> float:
        """The most pixels of level 0 per pixel of a tile at which outlines are drawn."""
        return (self._nuclei.diameter_px or _DOT_DIAMETER_PX) / _SMALLEST_PX

    def heat(self, measurement: str) -> Heat:
        """Return the map of the density (`measurement` is empty), or of the mean of a measurement."""
        with self._lock:
            if measurement not in self._heats:
                values = self._nuclei.measurements.get(measurement)
                self._heats[measurement] = self._maps.density() if values is None else self._maps.mean(values)
            return self._heats[measurement]

    def by_measurement(self, measurement: str, limits: colours.Limits | None = None) -> Colouring:
        """Return the colours of a measurement; all alike if it is empty.

        Parameters
        ----------
        measurement : str
            Name of a measurement, or empty.
        limits : tuple of float, optional
            Values of the lowest and the highest colour; by default the 2nd and 98th percentile.
        """
        kept, key = self._ranged if limits else self._colourings, (measurement, limits)
        colouring = kept.get(key)
        if colouring is None:
            if len(self._ranged) >= _MOST_RANGES:
                self._ranged.clear()
            kept[key] = colouring = self._colour(self._nuclei.measurements.get(measurement), limits)
        return colouring

    def _colour(self, values: NDArray[np.float32] | None, limits: colours.Limits | None) -> Colouring:
        if values is None:
            return Colouring(np.ones(len(self._nuclei), dtype=np.uint8), colours.plain())
        if limits is None:
            known = values[~np.isnan(values)]
            low, high = np.percentile(known, (2, 98)) if len(known) else (0.0, 0.0)
            limits = float(low), float(high)
        return Colouring(colours.to_index(values, *limits), colours.ramp(), limits)

    @cached_property
    def by_class(self) -> Colouring:
        """The colours of classes; grey: none."""
        codes: Mapping[str, int] = {
            name: 1 + number % colours.RAMP_STEPS for number, name in enumerate(self.class_names)
        }
        index = [codes.get(name, colours.MISSING) for name in self._nuclei.class_names]
        return Colouring(np.array(index, dtype=np.uint8), self.class_palette)

    def webp(
        self,
        tile: Tile,
        colouring: Colouring,
        measurement: str,
        style: Style,
        limits: colours.Limits | None = None,
    ) -> bytes:
        """Return a tile as lossless WebP: outlines, or a heat map of the density or of a measurement's mean.

        The heat map's colours lie between `limits`, or by default those of the map.
        """
        picture = (
            self._draw_outlines(tile, colouring, style)
            if tile.step <= self.coarsest_step
            else self._draw_heat(tile, self.heat(measurement), limits)
        )
        file = io.BytesIO()
        picture.save(file, "WEBP", lossless=True, method=0, quality=0)
        return file.getvalue()

    def _draw_outlines(self, tile: Tile, colouring: Colouring, style: Style) -> Image.Image:
        """Draw outlines, or filled nuclei, with antialiasing."""
        scale = _OVERSAMPLING / tile.step
        top, left, bottom, right = tile.box
        line = _CLOSE_LINE_PX if tile.step <= 0.5 else _LINE_PX
        margin = line * tile.step + (_DOT_DIAMETER_PX if not len(self._nuclei.points) else 0)
        shown = self._nuclei.within((top - margin, left - margin, bottom + margin, right + margin))
        canvas = Image.new("L", (tile.width * _OVERSAMPLING, tile.height * _OVERSAMPLING), colours.NOTHING)
        draw = ImageDraw.Draw(canvas)
        corner = np.array((top, left), dtype=np.float32)
        points, rings, owners = self._nuclei.outlines(shown)
        flat = ((points - corner) * np.float32(scale))[:, ::-1].ravel().tolist()
        indices = colouring.index[owners].tolist()
        for (first, last), index in zip(pairwise((2 * rings).tolist()), indices, strict=True):
            if style == "filled":
                draw.polygon(flat[first:last], fill=index)
            else:
                draw.polygon(flat[first:last], outline=index)
        radius = _DOT_SHARE * _DOT_DIAMETER_PX / 2 * scale
        for nucleus in np.setdiff1d(shown, owners).tolist():
            row, col = (self._nuclei.centres[nucleus] - corner) * scale
            draw.circle((col, row), radius, fill=int(colouring.index[nucleus]))
        drawn = np.array(canvas)
        if style == "outlines":
            _widen(drawn, line * _OVERSAMPLING)
        return _paint(drawn, colouring.palette, _FILL_OPACITY if style == "filled" else 255)

    def _draw_heat(self, tile: Tile, heat: Heat, limits: colours.Limits | None) -> Image.Image:
        shape = (-(-tile.height // _HEAT_PX), -(-tile.width // _HEAT_PX))
        values, weight = heat.sample(tile.box, shape)
        colour = colours.ramp()[colours.to_index(values, *(limits or heat.limits))]
        pixels = np.concatenate([colour, np.asarray(weight * _HEAT_OPACITY, dtype=np.uint8)[..., None]], axis=-1)
        size = tile.width, tile.height
        return Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BILINEAR)


def _widen(canvas: NDArray[np.uint8], width: int) -> None:
    """Widen lines of one pixel, in place; where two meet, the higher index stays."""
    for axis in (0, 1):
        plane = canvas.swapaxes(0, axis)
        narrow = plane.copy(order="K")  # in the order of memory, which is 20 times as fast
        for offset in range(1, width):
            shift = offset // 2 + 1 if offset % 2 else -(offset // 2)
            if shift > 0:
                np.maximum(plane[shift:], narrow[:-shift], out=plane[shift:])
            else:
                np.maximum(plane[:shift], narrow[-shift:], out=plane[:shift])


def _paint(canvas: NDArray[np.uint8], palette: colours.Palette, opacity: int) -> Image.Image:
    """Turn indices (H, W) into colours, and reduce them to the size of the tile, so that edges are smooth."""
    rgba = np.zeros((256, 4), dtype=np.uint8)  # colours are multiplied by opacity, so that they can be averaged
    rgba[1:, :3] = palette[1:] * (opacity / 255)
    rgba[1:, 3] = opacity
    pixels = np.take(rgba.view(np.uint32)[:, 0], canvas)
    whole = Image.frombuffer("RGBa", canvas.shape[::-1], pixels, "raw", "RGBa", 0, 1)
    return whole.reduce(_OVERSAMPLING).convert("RGBA")
