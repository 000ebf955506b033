"""What a classifier knows of a nucleus: its measurements, and the mean of each over the nuclei around it.

The means describe the tissue that a nucleus lies in: nuclei of epithelium and stroma differ more in their
neighbourhood than in themselves. scipy.spatial is imported only where features are computed.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.columns import ALL_COLUMNS, Group

RADIUS_UM = 50
"""Nuclei whose centres are within this distance, and the nucleus itself, are its neighbourhood."""

_AROUND = f", mean within {RADIUS_UM} um"
_LEFT_OUT = {"id", "row_px", "col_px", "orientation_deg", "probability"}
"""Columns that say nothing of a nucleus' class: its place, its direction, and what only a network states."""

_AT_ONCE = 20_000  # nuclei whose neighbours are searched at once


def measurements_used(groups: Collection[Group] = ()) -> tuple[str, ...]:
    """Return the columns that features are made of: size, shape and stain, and texture if it is among the groups."""
    used = (None, "texture") if "texture" in groups else (None,)
    return tuple(column.name for column in ALL_COLUMNS if column.group in used and column.name not in _LEFT_OUT)


def feature_names(groups: Collection[Group] = ()) -> tuple[str, ...]:
    """Return the names of the features, in order: each measurement, then its mean over the neighbourhood."""
    names = measurements_used(groups)
    return (*names, *(name + _AROUND for name in names))


def compute_features(
    columns: Mapping[str, NDArray[Any]], um_per_px: float, groups: Collection[Group] = ()
) -> NDArray[np.float64]:
    """Compute the features of all nuclei of a slide.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (N,)
        Centres and measurements of all nuclei, by the names of `ALL_COLUMNS`.
    um_per_px : float
        Micrometres per pixel of the centres.
    groups : collection of {"texture", "neighbours"}
        Further measurements that features are made of.

    Returns
    -------
    ndarray of shape (N, F), float64
        In the order of `feature_names`; NaN where a measurement is missing, or is missing in the whole neighbourhood.
    """
    own = np.stack([columns[name].astype(np.float64) for name in measurements_used(groups)], axis=1)
    centres = np.stack([columns["row_px"], columns["col_px"]], axis=1) * um_per_px
    return np.concatenate([own, _means_around(own, centres)], axis=1)


def _means_around(values: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the mean of values (N, M) over the points within `RADIUS_UM` of each point (N, 2), its own included."""
    from scipy.spatial import cKDTree

    known = ~np.isnan(values)
    # Numbers of both, side by side, so that missing values count in neither.
    summed = np.concatenate([np.where(known, values, 0), known], axis=1)
    means = np.empty_like(values)
    tree = cKDTree(centres)
    for begin in range(0, len(values), _AT_ONCE):
        near = tree.query_ball_point(centres[begin : begin + _AT_ONCE], RADIUS_UM, return_sorted=True)
        counts = np.array([len(one) for one in near])
        totals = np.add.reduceat(summed[np.concatenate(near).astype(np.intp)], np.cumsum(counts) - counts, axis=0)
        total, number = np.split(totals, 2, axis=1)
        means[begin : begin + _AT_ONCE] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return means
