"""Colours of outlines and maps: a ramp for numbers, and fixed colours for classes."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.card import Colour

OUTLINE = (0, 230, 118)
"""Of nuclei without a measurement or class to show; green is the complement of H&E."""

UNKNOWN = (160, 160, 160)
"""Of nuclei for which the measurement is missing."""

RAMP_STEPS = 254
NOTHING, MISSING = 0, 255
"""Indices into a palette: transparent, and without a measurement; 1..254 are the ramp."""

_VIRIDIS = (
    (0x25, 0x84, 0x8E),
    (0x1F, 0x97, 0x8B),
    (0x24, 0xAA, 0x83),
    (0x3D, 0xBC, 0x74),
    (0x65, 0xCB, 0x5E),
    (0x95, 0xD8, 0x40),
    (0xCA, 0xE1, 0x1F),
    (0xFD, 0xE7, 0x25),
)
"""The upper part of viridis (van der Walt and Smith, CC0), from 0.45 to 1 in equal steps.

The lower part is left out: it is as dark and blue as haematoxylin.
"""

_CLASSES = (
    (0xE6, 0x9F, 0x00),
    (0x56, 0xB4, 0xE9),
    (0x00, 0x9E, 0x73),
    (0xF0, 0xE4, 0x42),
    (0x00, 0x72, 0xB2),
    (0xD5, 0x5E, 0x00),
    (0xCC, 0x79, 0xA7),
)
"""Colours that stay apart in colour blindness: Okabe and Ito (2008), without black."""

Palette = NDArray[np.uint8]
"""Colours (256, 3), by index."""

Limits = tuple[float, float]
"""Values of the lowest and the highest colour of the ramp."""


def ramp() -> Palette:
    """Build the palette of numbers: 1 is the lowest, 254 the highest, 255 is missing."""
    place = np.linspace(0, len(_VIRIDIS) - 1, RAMP_STEPS)
    colours = [np.interp(place, np.arange(len(_VIRIDIS)), band) for band in np.array(_VIRIDIS).T]
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[1 : RAMP_STEPS + 1] = np.stack(colours, axis=1).round()
    palette[MISSING] = UNKNOWN
    return palette


def classes(names: Sequence[str] = (), stated: Mapping[str, Colour] = MappingProxyType({})) -> Palette:
    """Build the palette of classes: 1 is the first class; after the last colour, they start again.

    Parameters
    ----------
    names : sequence of str
        The classes, in order.
    stated : mapping of str to tuple of int
        Colours that a file states for classes, in place of those of the palette.
    """
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[1:MISSING] = np.array(_CLASSES)[np.arange(RAMP_STEPS) % len(_CLASSES)]
    for number, name in enumerate(names[:RAMP_STEPS], start=1):
        palette[number] = stated.get(name, tuple(palette[number]))
    palette[MISSING] = UNKNOWN
    return palette


def plain() -> Palette:
    """Build the palette of a single colour for all nuclei."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[1:] = OUTLINE
    return palette


def to_index(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """Return the index of each value in the ramp between two limits; NaN is `MISSING`."""
    share = np.clip((values.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    index = np.where(np.isnan(share), MISSING, 1 + np.nan_to_num(share) * (RAMP_STEPS - 1))
    return np.asarray(index.round(), dtype=np.uint8)


def read_limits(text: str | None) -> Limits | None:
    """Read limits from a text, such as "10,42.5"; None if there is no text.

    Raises
    ------
    ValueError
        If they are not two finite numbers, the lower one first.
    """
    if text is None:
        return None
    low, high = (float(part) for part in text.split(","))
    if not (low < high and math.isfinite(high - low)):
        message = f"{low} is not below {high}"
        raise ValueError(message)
    return low, high


def to_hex(colour: NDArray[np.uint8] | tuple[int, int, int]) -> str:
    """Return a colour as CSS writes it: "#00e676"."""
    return "#{:02x}{:02x}{:02x}".format(*(int(part) for part in colour))
