"""Distributions of measurements, collected while the nuclei arrive."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEASURED = ("area_um2", "eccentricity", "solidity", "haematoxylin_mean")
"""Measurements whose distribution is collected."""

_WAITING = 50_000


class Distribution:
    """Counts of each value, from which medians, quantiles and histograms are exact.

    Measurements are rounded, so that a slide has thousands of different values, however many nuclei it has.
    """

    def __init__(self) -> None:
        self._values = np.empty(0, dtype=np.float64)
        self._counts = np.empty(0, dtype=np.int64)
        self._waiting: list[NDArray[np.float64]] = []
        self._number_waiting = 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values (N,)."""
        self._waiting.append(values)
        self._number_waiting += len(values)
        if self._number_waiting >= _WAITING:
            self._merge()

    def _merge(self) -> None:
        values = np.concatenate([self._values, *self._waiting])
        counts = np.concatenate([self._counts, np.ones(self._number_waiting, dtype=np.int64)])
        self._values, place = np.unique(values, return_inverse=True)
        self._counts = np.bincount(place, weights=counts, minlength=len(self._values)).astype(np.int64)
        self._waiting, self._number_waiting = [], 0

    def __len__(self) -> int:
        """Return the number of values."""
        return int(self._counts.sum()) + self._number_waiting

    def quantile(self, share: float) -> float:
        """Return the quantile at `share` (0..1), interpolated linearly, as `numpy.quantile` does.

        Raises
        ------
        ValueError
            If there is no value.
        """
        self._merge()
        last = self._counts.cumsum() - 1
        if not len(last):
            message = "no value has a quantile"
            raise ValueError(message)
        place = share * last[-1]
        low, high = (self._values[np.searchsorted(last, rank)] for rank in (np.floor(place), np.ceil(place)))
        return float(low + (high - low) * (place % 1))

    def histogram(self, edges: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the number of values in each bin; the bins include their left edge, and the last one both."""
        self._merge()
        return np.histogram(self._values, edges, weights=self._counts)[0].astype(np.int64)


class Distributions:
    """The distribution of each measurement in `MEASURED`."""

    def __init__(self) -> None:
        self._all = {name: Distribution() for name in MEASURED}

    def __getitem__(self, name: str) -> Distribution:
        """Return the distribution of a measurement."""
        return self._all[name]

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add nuclei, by their columns."""
        for name, distribution in self._all.items():
            distribution.add(columns[name])

    def medians(self) -> Mapping[str, float]:
        """Return the median of each measurement; empty without nuclei."""
        return {name: round(one.quantile(0.5), 4) for name, one in self._all.items() if len(one)}
