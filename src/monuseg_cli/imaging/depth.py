"""How many bits of 16-bit samples are in use."""

import numpy as np
from numpy.typing import NDArray

_BITS = 16
OVERSHOOT = 1.02
"""Samples may exceed the largest value of their depth by this factor, as after resampling; they are cut off."""

_HOT_SHARE, _HOT_SAMPLES = 1e-4, 3
"""Isolated samples far above all others, as of hot pixels: at most this share of all, or this number."""

_HOT_TIMES = 2
_FULL = 0.875
"""A depth that few scanners use (9, 11, 13 or 15 bits) is only taken if the largest sample is close to its limit."""


def count_samples(pixels: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the histogram of uint16 samples: an array of shape (65536,), int64, that can be added to others."""
    return np.bincount(pixels.reshape(-1).astype(np.uint16, copy=False), minlength=2**_BITS)


def allowed_outliers(samples: int) -> int:
    """Return how many of a number of samples may be hot pixels."""
    return max(_HOT_SAMPLES, int(_HOT_SHARE * samples))


def find_depth(counts: NDArray[np.int64], stated: int | None = None, stated_source: str = "") -> tuple[int, str]:
    """Return the number of significant bits of 16-bit samples, and how it is known.

    Parameters
    ----------
    counts : ndarray of shape (65536,), int64
        Histogram of the samples that are colours.
    stated : int, optional
        As stated in the file. It is used if it is below 16, and the samples agree.
    stated_source : str
        Where it is stated.

    Returns
    -------
    bits : int
        By the largest sample: 8, 10, 12, 14 or 16; 9, 11, 13 or 15 if it uses nearly all of these. Isolated samples far
        above all others do not count.
    source : str
        Empty for 16.
    """
    values = np.flatnonzero(counts)
    if not values.size:
        return _BITS, ""
    above = counts.sum() - np.cumsum(counts[values])
    is_gap = np.append(values[1:] > _HOT_TIMES * values[:-1] + 1, True)
    few = above <= allowed_outliers(int(counts.sum()))
    largest = int(values[is_gap & few][0])
    if stated and stated < _BITS and largest <= OVERSHOOT * (2**stated - 1):
        return stated, stated_source
    bits = max(largest.bit_length(), 8)
    if bits % 2 and largest < _FULL * 2**bits:
        bits += 1
    if bits == _BITS:
        return bits, ""
    return bits, "by its largest sample" + (", apart from isolated ones" if largest < values[-1] else "")
