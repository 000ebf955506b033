"""Plausibility check of a result; a warning names the likely cause and the remedy."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_FEWEST_PER_MM2, _FEWEST_PER_MM2_ASSUMED = 100, 500
_LEAST_TISSUE_MM2 = 0.05
_FEWEST_NUCLEI = 30  # for a meaningful median
_SMALLEST_MEDIAN_UM2, _SMALLEST_MEDIAN_UM2_ASSUMED, _LARGEST_MEDIAN_UM2 = 11.0, 13.0, 90.0
_USUAL_MEDIAN_UM2 = 28.0
_USUAL_MPP = (0.125, 0.25, 0.5, 1.0, 2.0)


ScaleSource = Literal["stated", "estimated", "assumed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The figures of a result that are checked.

    Parameters
    ----------
    areas_um2 : ndarray of shape (N,), float64
        Area of every nucleus in square micrometres.
    tissue_mm2 : float
        Area of the tissue that was predicted on, in square millimetres.
    mpp : float
        Micrometres per pixel that were used.
    scale : {"stated", "estimated", "assumed"}
        Where `mpp` comes from; it is assumed if neither the image nor the user stated it.
    """

    areas_um2: NDArray[np.float64]
    tissue_mm2: float
    mpp: float
    scale: ScaleSource


def find_doubt(finding: Finding) -> str | None:
    """Return a warning with the likely cause and the remedy if the result is implausible, else None.

    The bounds are wide: the 37 train cases of MoNuSeg have medians of 14 to 51 um2, and at least 4,000 nuclei per mm2.
    They are narrower if the scale was assumed, since a wrong one is then likelier than unusual tissue.
    """
    count = len(finding.areas_um2)
    is_assumed = finding.scale == "assumed"
    scale = f"{finding.mpp:.3g} um/px, which was {finding.scale}"
    smallest = _SMALLEST_MEDIAN_UM2_ASSUMED if is_assumed else _SMALLEST_MEDIAN_UM2
    remedy = ", or `mpp=estimate`" if is_assumed else ""
    fewest = _FEWEST_PER_MM2_ASSUMED if is_assumed else _FEWEST_PER_MM2
    if count >= _FEWEST_NUCLEI:
        median = float(np.median(finding.areas_um2))
        if not smallest <= median <= _LARGEST_MEDIAN_UM2:
            likely = _nearest_usual(finding.mpp * math.sqrt(_USUAL_MEDIAN_UM2 / median))
            size = "small" if median < smallest else "large"
            return f"the median nucleus has {median:.0f} um2, which is {size} at {scale}; try `mpp={likely:g}`{remedy}"
    if finding.tissue_mm2 >= _LEAST_TISSUE_MM2 and count < fewest * finding.tissue_mm2:
        density = f"{count} nuclei on {finding.tissue_mm2:.2f} mm2 of tissue, {count / finding.tissue_mm2:.0f} per mm2"
        if is_assumed:
            return f"{density}, at {scale}; state the true scale with `mpp`{remedy}"
        return f"{density}, are very few: is it H&E, in focus, and {finding.mpp:.3g} um/px its scale?"
    return None


def _nearest_usual(mpp: float) -> float:
    return min(_USUAL_MPP, key=lambda usual: abs(math.log(usual / mpp)))
