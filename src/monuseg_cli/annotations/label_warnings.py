"""Warnings about labels whose sizes are implausible for nuclei, one for all files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.annotations.object_classes import describe_left_out
from monuseg_cli.annotations.read_outlines import AROUND, MPP_AT_40X, USUAL_UM2
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import Progress

_LARGEST_SHARE, _LARGEST_OF_SMALL = 0.05, 0.25
_LARGE_UM2 = 120.0
"""In images below 2400 um2 (196 px wide at 40x), this area is more than 5 %, and a nucleus can cover that much. There,
a nucleus is too large only above this area, or above a quarter of the image."""

_MOST_FOREGROUND = 0.8
_FEWEST_PX_TO_REFUSE = 10_000
_FEWEST_TO_JUDGE = 3

FOREGROUND = "nuclei cover more than 80 % of the image, as in an inverted mask or a tissue mask"
LARGEST = "one nucleus covers more than 5 % of the image, as a tissue outline or a class map does"
MEDIAN = "the median area of nuclei is not within 5 to 500 um2, as with a wrong scale, or labels of something else"
CUT = "grey values along the edges of a mask, from interpolation or JPEG, were thresholded at half its maximum"


def doubts_of(labels: NDArray[np.int32], mpp: float | None) -> dict[str, str]:
    """Return what is implausible about a label image of nuclei.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
    mpp : float or None
        Micrometres per pixel; None: 40x is assumed.

    Returns
    -------
    dict of str to str
        `FOREGROUND`, `LARGEST` or `MEDIAN`, each with its value.
    """
    if not labels.any():
        return {}
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    pixel_um2 = (mpp or MPP_AT_40X) ** 2
    share, largest = areas.sum() / labels.size, areas.max() / labels.size
    median_um2 = float(np.median(areas)) * pixel_um2
    doubts = {}
    if share > _MOST_FOREGROUND:
        doubts[FOREGROUND] = f"{share:.0%}"
    elif largest > _LARGEST_SHARE and (largest > _LARGEST_OF_SMALL or areas.max() * pixel_um2 > _LARGE_UM2):
        doubts[LARGEST] = f"{largest:.0%}"
    if len(areas) >= _FEWEST_TO_JUDGE and not USUAL_UM2[0] <= median_um2 <= USUAL_UM2[1]:
        assumed = "" if mpp else f" at {MPP_AT_40X} um/px, which is assumed"
        doubts[MEDIAN] = f"{median_um2:.3g} um2{assumed}"
    return doubts


def require_foreground(path: Path, labels: NDArray[np.int32], doubts: Mapping[str, str]) -> None:
    """Check that nuclei do not cover nearly all of an image, unless it is small.

    Raises
    ------
    InputError
        If they do.
    """
    if FOREGROUND in doubts and labels.size >= _FEWEST_PX_TO_REFUSE:
        message = f"{path}: {FOREGROUND} ({doubts[FOREGROUND]}); save it with 0 for the background"
        raise InputError(message)


def warn_left_out(files: Mapping[str, Mapping[str, int]], progress: Progress) -> None:
    """Warn about objects of annotations that are not nuclei and were left out.

    Parameters
    ----------
    files : mapping of str to mapping of str to int
        Number of objects of each kind, by the name of the annotation.
    progress : Progress
    """
    concerned = {name: left_out for name, left_out in files.items() if sum(left_out.values())}
    if concerned:
        total = sum((Counter(left_out) for left_out in concerned.values()), Counter[str]())
        hint = '; if one marks the annotated part, give it the class "Region*"' if AROUND in total else ""
        progress.warn(f"not nuclei, left out: {describe_left_out(total)}; in {_names(list(concerned))}{hint}")


def warn_doubts(files: Iterable[tuple[str, Mapping[str, str]]], progress: Progress) -> None:
    """Warn about implausible labels, once for each kind of doubt.

    Parameters
    ----------
    files : iterable of (str, mapping of str to str)
        The name of an annotation, and the result of `doubts_of`.
    progress : Progress
    """
    grouped: dict[str, list[str]] = {}
    for name, doubts in files:
        for kind, figure in doubts.items():
            grouped.setdefault(kind, []).append(f"{name}, {figure}")
    for kind, names in grouped.items():
        progress.warn(f"{kind}: {_names(names, '; ')}")


def _names(names: Sequence[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(names) - 3} more" if len(names) > 3 else ""
    return separator.join(names[:3]) + more
