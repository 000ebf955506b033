"""Probability maps -> label image: the post-processing, and nothing else."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from monuseg_cli.separation import Separation

_BOUNDARY_THRESHOLD = 0.5
_JUMP = 0.05


def separate(maps: NDArray[np.float32], classes: Sequence[str], mpp: float, how: Separation) -> NDArray[np.int32]:
    """Turn a network's maps into one label per nucleus.

    Pixels at or above the threshold are foreground, in which holes smaller than the smallest nucleus are filled.
    Nuclei that touch are separated by a watershed on a smoothed relief, from its peaks. The relief is high in the
    middle of nuclei: a predicted distance map where there is one; else the distance to the background, and to
    predicted boundaries, or to where the predicted place in the nucleus jumps back. A piece smaller than the smallest
    nucleus goes to the pieces that it touches.

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
    components, count = ndimage.label(mask)
    large = np.bincount(components.reshape(-1), minlength=count + 1) >= min_area_px
    large[0] = False
    mask = large[components]
    relief = ndimage.gaussian_filter(_relief(mask, dict(zip(classes, maps, strict=True))), how.smoothing_um / mpp)
    radius = max(round(how.peak_radius_um / mpp), 1)
    peaks = mask & (ndimage.maximum_filter(relief, size=2 * radius + 1) == relief)
    # A component whose peak lies in the shade of a larger neighbour's is one nucleus.
    has_peak = np.bincount(components[peaks], minlength=count + 1) > 0
    peaks |= mask & ~has_peak[components]
    markers, _ = ndimage.label(peaks, structure=np.ones((3, 3)))
    labels = _flood(relief, markers, mask)
    # Pieces that are too small lose their markers, and their pixels go to the others of their component.
    areas = np.bincount(labels.reshape(-1))
    of_piece = np.zeros(len(areas), dtype=np.intp)
    of_piece[labels] = components
    rank = areas + np.linspace(0, 0.5, len(areas))  # of equal pieces one is the largest
    largest = np.zeros(count + 1)
    np.maximum.at(largest, of_piece, rank)
    small = rank < np.minimum(min_area_px, largest[of_piece])
    if small.any():
        torn = np.zeros(count + 1, dtype=bool)
        torn[of_piece[small]] = True
        again = torn[components] & mask
        labels[again] = _flood(relief, np.where(again & ~small[markers], markers, 0), again)[again]
    return without_gaps(labels)


def without_gaps(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber the labels of a label image 1..N, in their order; 0 stays background."""
    number = np.cumsum(np.bincount(labels.reshape(-1), minlength=1)[1:] > 0, dtype=np.int32)
    return np.concatenate([np.zeros(1, dtype=np.int32), number])[labels]


def _flood(relief: NDArray[np.float32], markers: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.asarray(watershed(-relief, markers, mask=mask))  # type: ignore[no-untyped-call] # scikit-image has no types


def _relief(mask: NDArray[np.bool_], maps: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Give a map that is high in the middle of nuclei and low where they touch; (H, W)."""
    if "distance" in maps:
        return maps["distance"]
    inside = mask
    if "boundary" in maps:
        inside = mask & (maps["boundary"] < _BOUNDARY_THRESHOLD)
    if {"horizontal", "vertical"} <= maps.keys():
        # Within a nucleus the place rises from 0 to 1; it falls where the next one begins.
        jump = np.minimum(_slope(maps["horizontal"], axis=1), _slope(maps["vertical"], axis=0)) < -_JUMP
        inside = mask & ~jump
    return np.asarray(ndimage.distance_transform_edt(inside), dtype=np.float32)


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
