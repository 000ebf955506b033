"""Label images as runs of equal labels along rows: a tenth of the data of their pixels."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Sample = TypeVar("Sample", bound=np.generic)


@dataclass(frozen=True)
class LabelRuns:
    """The runs of a label image (H, W), in row-major order; without the background.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image.
    label, row, first, stop : ndarray of shape (N,), intp
        Label and row of each run, its first column, and the column after its last.
    """

    shape: tuple[int, int]
    label: NDArray[np.intp]
    row: NDArray[np.intp]
    first: NDArray[np.intp]
    stop: NDArray[np.intp]

    @cached_property
    def lengths(self) -> NDArray[np.intp]:
        """Number of pixels of each run."""
        return self.stop - self.first

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Flat indices of the pixels of all runs, ascending."""
        return consecutive(self.row * self.shape[1] + self.first, self.lengths)

    def per_pixel(self, values: NDArray[Sample]) -> NDArray[Sample]:
        """Repeat the value of each run (N,) for its pixels."""
        return np.repeat(values, self.lengths)

    def areas(self, count: int) -> NDArray[np.float64]:
        """Return the number of pixels of each label 0..count; (count + 1,)."""
        areas = np.bincount(self.label, weights=self.lengths.astype(np.float64), minlength=count + 1)
        return areas.astype(np.float64)  # of integers, if there is no run

    def centres(self, count: int) -> NDArray[np.float64]:
        """Return row and column of the centre of mass of each label 0..count; (count + 1, 2), NaN without pixels."""
        sums = [
            np.bincount(self.label, weights=weights, minlength=count + 1)
            for weights in ((self.row + 0.5) * self.lengths, (self.stop**2 - self.first**2) / 2)
        ]
        with np.errstate(invalid="ignore"):
            centres: NDArray[np.float64] = np.stack(sums, axis=1) / self.areas(count)[:, None]
        return centres


def consecutive(first: NDArray[np.integer], lengths: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the integers of ranges (N,), given by their first ones and their lengths, one range after the other."""
    begun = np.cumsum(lengths) - lengths
    integers: NDArray[np.intp] = np.arange(int(lengths.sum())) + np.repeat(first - begun, lengths)
    return integers


def label_runs(labels: NDArray[np.integer]) -> LabelRuns:
    """Find the runs of a label image (H, W); 0 is background."""
    height, width = labels.shape
    begins = np.ones(labels.shape, dtype=bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    places = np.flatnonzero(begins)
    label = labels.reshape(-1)[places].astype(np.intp)
    ends = np.append(places[1:], labels.size)
    inside = np.flatnonzero(label)
    row = places[inside] // max(width, 1)
    return LabelRuns((height, width), label[inside], row, places[inside] - row * width, ends[inside] - row * width)
