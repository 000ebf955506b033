"""The values of a mask or label image -> labels, after checking that they are plausible."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.imaging.to_rgb import ImageError

LARGEST_LABEL = 2**31 - 1

_AS_LABELS = "save a label image (one integer per nucleus, 0 for background) or a mask of 0 and 255"
_STEPS = 2**16 - 1
"""Fractions are quantised to this many steps; larger integers are labels, never grey values."""

_BLOCK_ROWS = 1024
_LOW, _HIGH = 0.25, 0.75
"""Fractions of the maximum: values above are inside nuclei, values below are outside, those between are rims."""

_SOLID = 0.1
"""At least this fraction of a nucleus has four neighbours of the same value; hardly any pixel of a rim has."""

_RIM_PX, _RINGING_PX = 3, 8
"""Width of the rims of resized masks, and of JPEG ringing, around nuclei."""

_MOSTLY, _OF_RIMS = 0.9, 0.7
_OF_PARTS = 0.7
"""If rims are wider, a lower threshold must lead to a similar number of parts."""

_MOST_WHITES = 2
"""Of JPEG, the highest value and the next may have an inside."""

_FAINT = 0.02
"""Of JPEG of high quality, a single further value is within this fraction of 0 or of the highest value."""

_FEWEST_PX_WITH_INSIDE = 20
_MOST_THIN = 0.04
_MOST_CLASSES = 20
_FEWEST_PIECES = 2
"""If values have more pieces on average, they are classes."""

_CROWDED = 0.95


def number_nuclei(pixels: NDArray[Any]) -> tuple[NDArray[np.int32], str | None]:
    """Convert the pixels of a mask or a label image to labels.

    A mask contains 0 and one other value; its connected parts (4 neighbours) are the nuclei. A grey mask, whose further
    values are only rims from interpolation or JPEG, is thresholded at half of its maximum.

    Parameters
    ----------
    pixels : ndarray
        As decoded: one plane, or several equal channels; integers of any type.

    Returns
    -------
    labels : ndarray of shape (H, W), int32
    note : str or None
        How the values were changed; None if they were not.

    Raises
    ------
    ImageError
        If it is not one plane of integers within 0..`LARGEST_LABEL`, or the values look like something else: classes,
        interiors and borders, probabilities, a photo, a background that is not 0, or more nuclei than the type can
        number.
    """
    plane = _plane(pixels)
    if plane.dtype == np.bool_:
        return _components(plane != 0), None
    values, is_fraction = _whole(plane)
    if not values.size:
        return values.astype(np.int32), None
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > LARGEST_LABEL:
        message = f"it holds {low} to {high}; number its nuclei within 0 to {LARGEST_LABEL}"
        raise ImageError(message)
    found = np.unique(values)
    if (len(found) == 1 and not is_fraction) or (len(found) == 2 and low == 0):
        return _components(values != 0), None
    if high <= _STEPS and (len(found) > 3 or _is_faint(found)):
        flat = _flat(values)
        if _is_soft(values, flat, high, may_be_wide=not is_fraction):
            note = f"{len(found)} values, threshold {float(plane.max()) / 2:g}"
            return _components(values > high / 2), note
        if not is_fraction:
            _require_insides(values, flat)
    if is_fraction:
        message = f"it contains fractions, like a probability map, whose threshold is unknown; {_AS_LABELS}"
        raise ImageError(message)
    _require_background(values, found)
    _require_enough_numbers(values, found, plane.dtype)
    _require_no_classes(values, found)
    return values.astype(np.int32), None


def _plane(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return an array without axes of length 1, and with one channel if all are equal."""
    plane = pixels
    while plane.ndim > 2 and 1 in (plane.shape[0], plane.shape[-1]):
        plane = plane[0] if plane.shape[0] == 1 else plane[..., 0]
    if plane.ndim == 3:
        channels = plane if plane.shape[0] in (3, 4) and plane.shape[-1] not in (2, 3, 4) else np.moveaxis(plane, -1, 0)
        if 2 <= len(channels) <= 4:
            has_alpha = len(channels) in (2, 4)
            if has_alpha and channels[-1].size and (channels[-1] == channels[-1].flat[0]).all():
                channels = channels[:-1]
            if all(np.array_equal(channels[0], channel) for channel in channels[1:]):
                plane = channels[0]
            elif pixels.dtype == np.uint8:
                message = f"its channels differ, as in a colour image; {_AS_LABELS}"
                raise ImageError(message)
    if plane.ndim != 2 or plane.dtype.kind not in "buif":
        message = f"it holds {pixels.dtype} of shape {pixels.shape}, not one plane of integers; {_AS_LABELS}"
        raise ImageError(message)
    return plane


def _whole(plane: NDArray[Any]) -> tuple[NDArray[np.integer], bool]:
    """Return integers unchanged, and fractions quantised to `_STEPS` steps; and whether they are fractions."""
    if plane.dtype.kind != "f":
        return plane, False
    if not np.isfinite(plane).all():
        message = f"it holds numbers that are not finite; {_AS_LABELS}"
        raise ImageError(message)
    largest = float(np.abs(plane).max(initial=0))
    if largest > LARGEST_LABEL or (plane == np.rint(plane)).all():
        return plane.astype(np.int64), False
    if plane.min() < 0:
        message = f"it contains fractions from {plane.min():g} to {plane.max():g}; {_AS_LABELS}"
        raise ImageError(message)
    return np.rint(plane / largest * _STEPS).astype(np.int32), True


def _components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.asarray(ndimage.label(mask)[0], dtype=np.int32)


def _flat(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which pixels have the same value as all of their 4 neighbours within the image."""
    flat = np.ones(values.shape, dtype=bool)
    for axis in (0, 1):
        ahead, behind = (np.moveaxis(values, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
        same = ahead == behind
        turned = np.moveaxis(flat, axis, 0)
        turned[1:] &= same
        turned[:-1] &= same
    return flat


def _histogram(values: NDArray[np.integer], where: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    counts = np.zeros(int(values.max()) + 1, dtype=np.int64)
    for begin in range(0, len(values), _BLOCK_ROWS):
        block = values[begin : begin + _BLOCK_ROWS]
        counts += np.bincount(
            block.reshape(-1) if where is None else block[where[begin : begin + _BLOCK_ROWS]], minlength=len(counts)
        )
    return counts


def _solid(values: NDArray[np.integer], flat: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Count the pixels of each value, and return which values have an interior."""
    counts = _histogram(values)
    return counts, _histogram(values, flat) >= np.maximum(1, _SOLID * counts)


def _is_soft(values: NDArray[np.integer], flat: NDArray[np.bool_], high: int, may_be_wide: bool) -> bool:
    """Return whether all lower values are rims or ringing around high ones, as in a blurred mask.

    Wide rims of fractions are probabilities.
    """
    counts, solid = _solid(values, flat)
    shades = np.arange(high + 1) / high
    is_between = (shades > _LOW / 2) & (shades <= _HIGH)
    inside = values > _HIGH * high
    if counts[is_between & solid].sum() > (1 - _MOSTLY) * inside.sum():
        return False  # a value with an interior is a nucleus
    soft = (counts > 0) & (shades > 0) & (shades <= _HIGH) & ~solid
    if ((counts > 0) & ~solid).sum() < min(2, np.count_nonzero(counts) - 2):
        return False
    rim = soft[values]
    parts, count = ndimage.label(inside)
    touched = np.unique(parts[_around(rim, _RIM_PX)])
    # Parts along the blocks of JPEG have neither rims nor ringing.
    is_sharp = not counts[is_between].any() and np.count_nonzero(solid & (shades > _HIGH)) <= _MOST_WHITES
    if not is_sharp and np.count_nonzero(touched) < _MOSTLY * count:
        return False
    is_narrow = all(
        (part & _around(inside, reach)).sum() >= least * part.sum()
        for reach, least, part in ((_RIM_PX, _OF_RIMS, rim & is_between[values]), (_RINGING_PX, _MOSTLY, rim))
    )
    cut_lower = (ndimage.label(values > share * high)[1] for share in (_LOW, (_LOW + _HIGH) / 2))
    return is_narrow or (
        may_be_wide and all(_OF_PARTS * count <= parts_then <= count / _OF_PARTS for parts_then in cut_lower)
    )


def _is_faint(found: NDArray[np.integer]) -> bool:
    """Return whether the one value between 0 and the highest is close to either, as in a JPEG of high quality."""
    high = int(found[-1])
    return len(found) == 3 and found[0] == 0 and min(int(found[1]), high - int(found[1])) <= _FAINT * high


def _around(mask: NDArray[np.bool_], reach_px: int) -> NDArray[np.bool_]:
    return np.asarray(ndimage.binary_dilation(mask, np.ones((3, 3), dtype=bool), iterations=reach_px))


def _require_insides(values: NDArray[np.integer], flat: NDArray[np.bool_]) -> None:
    """Check that values are nuclei: most have an interior, and few pixels are thin lines next to others."""
    counts, solid = _solid(values, flat)
    foreground = counts[1:].sum()
    without = counts[1:][~solid[1:] & (counts[1:] > _FEWEST_PX_WITH_INSIDE)].sum()
    usual_px = np.median(counts[1:][solid[1:]]) if solid[1:].any() else 0  # tiny nuclei are thin
    if without > foreground / 2 or (
        usual_px > _FEWEST_PX_WITH_INSIDE and _count_thin(values) > _MOST_THIN * foreground
    ):
        message = (
            "its values change from pixel to pixel, as in a photo, a probability map, or labels that were "
            f"interpolated or saved as JPEG; {_AS_LABELS}"
        )
        raise ImageError(message)


def _count_thin(values: NDArray[np.integer]) -> int:
    """Count pixels next to another nucleus that are in no square of 2 x 2 pixels of their own value."""
    padded = np.pad(values, 1)
    corner = padded[:-1, :-1]
    squares = (padded[1:, 1:] == corner) & (padded[1:, :-1] == corner) & (padded[:-1, 1:] == corner)
    rows, cols = values.shape
    thin, beside = values > 0, np.zeros(values.shape, dtype=bool)
    for top, left in np.ndindex(2, 2):
        thin &= ~squares[top : top + rows, left : left + cols]
    for top, left in ((0, 1), (2, 1), (1, 0), (1, 2)):
        neighbour = padded[top : top + rows, left : left + cols]
        beside |= (neighbour > 0) & (neighbour != values)
    return int((thin & beside).sum())


def _require_background(values: NDArray[np.integer], found: NDArray[np.integer]) -> None:
    if found[0] == 0:
        return
    counts = np.array([int((values == value).sum()) for value in found[:_MOST_CLASSES]])
    if len(found) == 2:
        message = (
            f"it holds {found[0]} and {found[1]} but no 0, like an ilastik segmentation, so which of them is "
            "background is unclear; save it with 0 for background and 255 for nuclei"
        )
        raise ImageError(message)
    if counts.max() > 0.3 * values.size:
        value = found[counts.argmax()]
        message = (
            f"no pixel is 0, and {value} covers {counts.max() / values.size:.0%} of the image, so it is probably the "
            "background; save the background as 0"
        )
        raise ImageError(message)


def _require_enough_numbers(values: NDArray[np.integer], found: NDArray[np.integer], dtype: np.dtype[Any]) -> None:
    """Check that a label image of a small integer type did not need more labels than the type has."""
    is_small = dtype.kind == "u" and dtype.itemsize < 4
    limit = np.iinfo(dtype).max if is_small else np.iinfo(np.uint8).max
    labels = found[found > 0]
    if labels[-1] != limit or len(labels) < _CROWDED * limit:
        return
    if (is_small and len(labels) == limit) or sum(_pieces(values, labels)) > len(labels) / _CROWDED:
        message = (
            f"it holds {len(labels)} labels up to {limit}, the largest number of {limit.bit_length()} bits, so further "
            "nuclei would share labels; save it in 16 or 32 bits"
        )
        raise ImageError(message)


def _require_no_classes(values: NDArray[np.integer], found: NDArray[np.integer]) -> None:
    labels = found[found > 0]
    if not 2 <= len(labels) <= _MOST_CLASSES:
        return
    pieces = list(_pieces(values, labels))
    if sum(pieces) >= _FEWEST_PIECES * len(labels):
        message = (
            f"each of its {len(labels)} values forms {sum(pieces) / len(labels):.3g} separate pieces on average, as in "
            f"a class map, or a map of interiors and borders; {_AS_LABELS}"
        )
        raise ImageError(message)


def _pieces(values: NDArray[np.integer], labels: NDArray[np.integer]) -> Iterator[int]:
    """Count the connected parts of each label that are not much smaller than its largest."""
    for label in labels:
        mask = values == label
        rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        window = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        sizes = np.bincount(ndimage.label(window)[0].reshape(-1))[1:]
        yield int((sizes >= sizes.max() / 10).sum())
