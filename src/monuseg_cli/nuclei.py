"""Probability maps -> label image: the post-processing, and nothing else."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from monuseg_cli.separation import Separation

_STEEPEST = 0.2  # fall of a predicted place, a pixel, from which on two nuclei are parted for certain


def separate(maps: NDArray[np.float32], classes: Sequence[str], mpp: float, how: Separation) -> NDArray[np.int32]:
    """Turn a network's maps into one label per nucleus.

    Pixels at or above the threshold are foreground, in which holes smaller than the smallest nucleus are filled. A
    watershed divides it among the peaks of a smoothed relief that is high in nuclei and low where they touch. Two
    pieces are one nucleus where the relief between them hardly falls below the lower one's peak, and where one of them
    is smaller than the smallest nucleus.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W), float32
        Within 0..1.
    classes : sequence of str
        What each map is: first ``"nucleus"``, the probability that a pixel belongs to one; then ``"boundary"``,
        ``"distance"``, or ``"horizontal"`` and ``"vertical"``, as `monuseg_cli.training.targets` defines them.
    mpp : float
        Micrometres per pixel of the maps.
    how : Separation
        Threshold, sizes and lengths.

    Returns
    -------
    ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background.
    """
    min_area_px = how.min_area_um2 / mpp**2
    mask = maps[0] >= how.threshold
    mask |= _small_holes(mask, min_area_px)
    relief = ndimage.gaussian_filter(_relief(mask, dict(zip(classes, maps, strict=True))), how.smoothing_um / mpp)
    relief = np.where(mask, relief, 0)
    peaks = mask & (ndimage.maximum_filter(relief, size=3) == relief)
    markers, count = ndimage.label(peaks, structure=np.ones((3, 3)))
    pieces = watershed(-relief, markers, mask=mask)  # type: ignore[no-untyped-call] # scikit-image has no types
    peak = np.zeros(count + 1, dtype=np.float32)
    peak[markers[peaks]] = relief[peaks]  # the pixels of a marker have one height
    labels = _merged(pieces, relief, peak, min_area_px, how.depth)
    large = np.bincount(labels.reshape(-1), minlength=1) >= min_area_px
    return without_gaps(np.where(large[labels], labels, 0))


def without_gaps(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Renumber the labels of a label image 1..N, in their order; 0 stays background."""
    number = np.cumsum(np.bincount(labels.reshape(-1), minlength=1)[1:] > 0, dtype=np.int32)
    return np.asarray(np.concatenate([np.zeros(1, dtype=np.int32), number])[labels])


def _relief(mask: NDArray[np.bool_], maps: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Give a map that is high in nuclei and low where they touch; (H, W)."""
    if "distance" in maps:
        return maps["distance"]
    if "boundary" in maps:
        return maps["nucleus"] * (1 - maps["boundary"])
    if {"horizontal", "vertical"} <= maps.keys():
        # Within a nucleus the place rises from 0 to 1; it falls where the next one begins.
        fall = -np.minimum(_slope(maps["horizontal"], axis=1), _slope(maps["vertical"], axis=0))
        parted = np.clip(fall / np.float32(_STEEPEST), 0, 1)
        return np.asarray(maps["nucleus"] * (1 - parted), dtype=np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask), dtype=np.float32)


def _slope(place: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter1d(place, 1.0, axis=axis, order=1), dtype=np.float32)


def _small_holes(mask: NDArray[np.bool_], area_px: float) -> NDArray[np.bool_]:
    """Mark the holes in `mask`, which do not reach the image's border, of fewer pixels than `area_px`."""
    background, _ = ndimage.label(~mask)
    small = np.bincount(background.reshape(-1)) < area_px
    small[0] = False
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        small[edge] = False
    return np.asarray(small[background])


def _merged(
    pieces: NDArray[np.int32],
    relief: NDArray[np.float32],
    peak: NDArray[np.float32],
    min_area_px: float,
    depth: float,
) -> NDArray[np.intp]:
    """Merge neighbouring pieces, those with the highest saddle between them first."""
    groups = _Groups(peak.tolist(), np.bincount(pieces.reshape(-1), minlength=len(peak)).tolist())
    ones, others, saddles = _saddles(pieces, relief)
    for one, other, saddle in zip(ones, others, saddles, strict=True):
        one, other = groups.find(one), groups.find(other)
        if saddle >= (1 - depth) * min(groups.peak[one], groups.peak[other]):
            groups.join(one, other)
    for one, other in zip(ones, others, strict=True):
        one, other = groups.find(one), groups.find(other)
        if min(groups.area[one], groups.area[other]) < min_area_px:
            groups.join(one, other)
    return np.array([groups.find(piece) for piece in range(len(peak))], dtype=np.intp)[pieces]


class _Groups:
    """Pieces that were joined to one another, each group known by the piece with its highest peak."""

    def __init__(self, peak: list[float], area: list[int]) -> None:
        self.peak, self.area = peak, area
        self._above = list(range(len(peak)))

    def find(self, piece: int) -> int:
        while self._above[piece] != piece:
            self._above[piece] = self._above[self._above[piece]]
            piece = self._above[piece]
        return piece

    def join(self, one: int, other: int) -> None:
        if one == other:
            return
        if self.peak[one] < self.peak[other]:
            one, other = other, one
        self._above[other] = one
        self.area[one] += self.area[other]


def _saddles(pieces: NDArray[np.int32], relief: NDArray[np.float32]) -> tuple[list[int], list[int], list[float]]:
    """List pairs of pieces that share an edge of pixels, with the highest point between them; highest first."""
    pairs, heights = [], []
    base = int(pieces.max(initial=0)) + 1
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        one, other = pieces[before], pieces[after]
        touching = (one != other) & (one > 0) & (other > 0)
        one, other = one[touching], other[touching]
        pairs.append(np.minimum(one, other).astype(np.int64) * base + np.maximum(one, other))
        heights.append(np.minimum(relief[before][touching], relief[after][touching]))
    pair, height = np.concatenate(pairs), np.concatenate(heights)
    order = np.lexsort((pair, -height))
    _, first = np.unique(pair[order], return_index=True)
    chosen = order[np.sort(first)]
    return (pair[chosen] // base).tolist(), (pair[chosen] % base).tolist(), height[chosen].tolist()
