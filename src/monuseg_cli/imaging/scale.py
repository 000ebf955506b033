"""Micrometres per pixel, as stated in files."""

import re
from dataclasses import dataclass

MIN_MPP, MAX_MPP = 0.05, 5.0
"""A stated scale outside of this range is ignored. For example, 72 or 96 dots per inch are 353 and 265 um/px."""

LARGEST_ASPECT = 1.02
"""Pixels with a larger ratio of their sides are not square."""

UM_TIMES_X = 10.0
"""Micrometres per pixel times magnification: a 40x objective has about 0.25 um/px."""

_UM_PER_UNIT = {
    "m": 1e6,
    "cm": 1e4,
    "mm": 1e3,
    "um": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "å": 1e-4,
    "in": 25400.0,
    "thou": 25.4,
    "pt": 25400 / 72,
}
_OTHER_NAMES = {
    "micron": "um",
    "microns": "um",
    "micrometer": "um",
    "micrometre": "um",
    "micrometers": "um",
    "micrometres": "um",
    "nanometer": "nm",
    "nanometre": "nm",
    "millimeter": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "centimetre": "cm",
    "meter": "m",
    "metre": "m",
    "angstrom": "å",
    "inch": "in",
    "inches": "in",
    "mil": "thou",
}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a pixel as stated in a file, credible or not.

    Parameters
    ----------
    x, y : float
        Micrometres per pixel, horizontally and vertically; positive.
    source : str
        Where the file states it.
    """

    x: float
    y: float
    source: str

    @property
    def is_square(self) -> bool:
        """Whether width and height of a pixel are about the same."""
        return max(self.x, self.y) <= LARGEST_ASPECT * min(self.x, self.y)

    @property
    def is_credible(self) -> bool:
        """Whether both lie within `MIN_MPP` .. `MAX_MPP`."""
        return min(self.x, self.y) >= MIN_MPP and max(self.x, self.y) <= MAX_MPP

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel along a row; None if not credible, or if pixels are not square."""
        return self.x if self.is_credible and self.is_square else None

    def describe(self) -> str:
        """Return where the scale is stated, and what is wrong with it, if anything."""
        if not self.is_credible:
            both = f"{self.x:.4g}" if self.is_square else f"{self.x:.4g} x {self.y:.4g}"
            return f"not credible: {both} um/px by {self.source}"
        if not self.is_square:
            return f"pixels that are not square: {self.x:.4g} x {self.y:.4g} um/px by {self.source}"
        return self.source


def make_scale(x: float | None, y: float | None, source: str) -> Scale | None:
    """Build a scale. If only one direction is stated, it is used for both; None if neither is."""
    x, y = (value if value and value > 0 and value < float("inf") else None for value in (x, y))
    if x is None and y is None:
        return None
    return Scale(x or y or 0.0, y or x or 0.0, source)


def parse_number(text: str | None) -> float | None:
    """Read a decimal number, with a point or a comma; None if it is not one."""
    found = _NUMBER.fullmatch((text or "").strip())
    return float(found[0].replace(",", ".")) if found else None


def um_per_unit(unit: str | None) -> float | None:
    """Return the length of a unit in micrometres, in any common spelling; None if it is unknown.

    A sign that was lost in a wrong encoding, as in "?m", was the micro sign, since those of other units are in ASCII.
    """
    name = (unit or "").strip().replace("\\u00b5", "µ").replace("\\u00B5", "µ").replace("Âµ", "µ")
    name = re.sub("^[?\N{REPLACEMENT CHARACTER}]+m$", "um", name)
    name = name.replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u").lower()
    return _UM_PER_UNIT.get(_OTHER_NAMES.get(name, name))
