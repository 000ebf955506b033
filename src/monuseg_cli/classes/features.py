"""What a classifier knows of a nucleus: its measurements, and the mean of each over the nuclei around it.

The means describe the tissue that a nucleus lies in: nuclei of epithelium and stroma differ more in their
neighbourhood than in themselves. scipy is imported only where features are computed.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.columns import ALL_COLUMNS, NETWORK_COLUMNS, Group

RADIUS_UM = 50
"""Nuclei whose centres are within this distance, and the nucleus itself, are its neighbourhood."""

_AROUND = f", mean within {RADIUS_UM} um"
_LEFT_OUT = {"id", "row_px", "col_px", "orientation_deg", "probability"}
"""Columns that say nothing of a nucleus' class: its place, its direction, and what only a network states."""

_AT_ONCE = 20_000  # nuclei whose features are computed at once


def groups_used(groups: Collection[Group]) -> tuple[Group, ...]:
    """Return the groups that features are made of: all but neighbours, whose numbers are means over them already."""
    return tuple(group for group in groups if group != "neighbours")


def measurements_used(groups: Collection[Group] = ()) -> tuple[str, ...]:
    """Return the columns that features are made of: size, shape and stain, and those of `groups_used`."""
    used = (None, *groups_used(groups))
    return tuple(column.name for column in ALL_COLUMNS if column.group in used and column.name not in _LEFT_OUT)


def is_of_network(feature: str) -> bool:
    """Return whether a feature is made of the network's."""
    return feature.split(",")[0] in NETWORK_COLUMNS


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
    groups : collection of {"texture", "neighbours", "network"}
        Further measurements that features are made of.

    Returns
    -------
    ndarray of shape (N, F), float64
        In the order of `feature_names`; NaN where a measurement is missing, or is missing in the whole neighbourhood.
    """
    none = np.empty((0, len(feature_names(groups))))
    return np.concatenate([none, *feature_blocks(columns, um_per_px, groups)])


def feature_blocks(
    columns: Mapping[str, NDArray[Any]], um_per_px: float, groups: Collection[Group] = ()
) -> Iterator[NDArray[np.float64]]:
    """Yield the features of some nuclei after others, since those of all would take much memory.

    See `compute_features`.
    """
    own = np.stack([columns[name].astype(np.float64) for name in measurements_used(groups)], axis=1)
    centres = np.stack([columns["row_px"], columns["col_px"]], axis=1) * um_per_px
    begin = 0
    for means in _means_around(own, centres):
        yield np.concatenate([own[begin : begin + len(means)], means], axis=1)
        begin += len(means)


def _means_around(values: NDArray[np.float64], centres: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield the means of values (N, M) over the points within `RADIUS_UM` of each point (N, 2), its own included."""
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

    missing = np.isnan(values)
    lacking = np.flatnonzero(missing.any(axis=0))  # columns with missing values, which count in neither
    known, missing = np.where(missing, 0, values), missing[:, lacking].astype(np.float64)
    tree = cKDTree(centres)
    for begin in range(0, len(values), _AT_ONCE):
        near = tree.query_ball_point(centres[begin : begin + _AT_ONCE], RADIUS_UM, return_sorted=True)
        counts = np.array([len(one) for one in near])
        places = np.concatenate(near).astype(np.intp)
        is_near = csr_array(
            (np.ones(len(places)), places, np.concatenate([[0], np.cumsum(counts)])), shape=(len(near), len(values))
        )
        numbers = np.repeat(counts[:, None].astype(np.float64), values.shape[1], axis=1)
        numbers[:, lacking] -= is_near @ missing
        yield np.where(numbers > 0, is_near @ known / np.maximum(numbers, 1), np.nan)
