"""Label image -> size, shape and stain of each nucleus."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.nuclei.runs import label_runs
from monuseg_cli.nuclei.trace import Contours

_PIXEL_VARIANCE = 1 / 12  # variance of a point within its pixel, along one axis
_SAME = 1e-9  # relative difference of variances that is due to rounding


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measurements of N nuclei; lengths in pixels.

    Parameters
    ----------
    area_px : ndarray of shape (N,), int64
        Number of pixels.
    centroids : ndarray of shape (N, 2), float64
        Row and column of the centre of mass, in coordinates in which pixel (r, c) covers r..r+1 and c..c+1.
    perimeter_px : ndarray of shape (N,), float64
        Length of the lines that join the midpoints of neighbouring pixel edges along the contours, holes included.
    major_axis_px, minor_axis_px : ndarray of shape (N,), float64
        Axes of the ellipse with the same second moments, with pixels as squares.
    orientation_deg : ndarray of shape (N,), float64
        Angle of its major axis, anticlockwise from the horizontal, within 0 and 180; NaN if both axes are equal.
    circularity : ndarray of shape (N,), float64
        4 pi area / perimeter^2, at most 1.
    eccentricity : ndarray of shape (N,), float64
        Eccentricity of the ellipse: 0 for a circle, near 1 for a line.
    solidity : ndarray of shape (N,), float64
        Area over the area of the convex hull of the pixels.
    probability : ndarray of shape (N,), float64, or None
        Mean predicted probability, if there is any.
    haematoxylin, haematoxylin_std : ndarray of shape (N,), float64
        Mean and standard deviation of the optical density of haematoxylin.
    """

    area_px: NDArray[np.int64]
    centroids: NDArray[np.float64]
    perimeter_px: NDArray[np.float64]
    major_axis_px: NDArray[np.float64]
    minor_axis_px: NDArray[np.float64]
    orientation_deg: NDArray[np.float64]
    circularity: NDArray[np.float64]
    eccentricity: NDArray[np.float64]
    solidity: NDArray[np.float64]
    probability: NDArray[np.float64] | None
    haematoxylin: NDArray[np.float64]
    haematoxylin_std: NDArray[np.float64]


def measure(
    labels: NDArray[np.int32],
    contours: Contours,
    probability: NDArray[np.floating] | None,
    haematoxylin: NDArray[np.floating],
) -> Measurements:
    """Compute the measurements of all nuclei of a label image.

    Parameters
    ----------
    labels : ndarray of shape (H, W), int32
        Labels 1..N without gaps; 0 background.
    contours : Contours
        Contours of `labels`.
    probability : ndarray of shape (H, W), floating, or None
        Predicted probability, to be averaged over each nucleus.
    haematoxylin : ndarray of shape (H, W), floating
        Optical density of haematoxylin.
    """
    runs = label_runs(labels)
    count = int(labels.max(initial=0))
    label = runs.per_pixel(runs.label - 1)

    def total(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.bincount(label, weights=values, minlength=count).astype(np.float64)

    area, centroids = runs.areas(count)[1:], runs.centres(count)[1:]
    own = centroids[runs.label - 1]  # the centroid of the nucleus of each run
    down = runs.per_pixel(runs.row + 0.5 - own[:, 0])
    right = runs.places - runs.per_pixel(runs.row * labels.shape[1]) + 0.5 - runs.per_pixel(own[:, 1])
    vertical = total(down * down) / area + _PIXEL_VARIANCE
    horizontal = total(right * right) / area + _PIXEL_VARIANCE
    both = total(down * right) / area
    middle, spread = (vertical + horizontal) / 2, np.hypot((vertical - horizontal) / 2, both)
    perimeter = _perimeters(contours, count)
    density = haematoxylin.reshape(-1)[runs.places].astype(np.float64)
    mean_density = total(density) / area
    return Measurements(
        area_px=area.astype(np.int64),
        centroids=centroids,
        perimeter_px=perimeter,
        major_axis_px=4 * np.sqrt(middle + spread),
        minor_axis_px=4 * np.sqrt(np.maximum(middle - spread, 0)),
        orientation_deg=_orientations(vertical, horizontal, both),
        circularity=np.minimum(4 * np.pi * area / perimeter**2, 1),
        eccentricity=np.sqrt(2 * spread / (middle + spread)),
        solidity=area / _hull_areas(contours, count),
        probability=None if probability is None else total(probability.reshape(-1)[runs.places]) / area,
        haematoxylin=mean_density,
        haematoxylin_std=np.sqrt(np.maximum(total(density * density) / area - mean_density**2, 0)),
    )


def _orientations(
    vertical: NDArray[np.float64], horizontal: NDArray[np.float64], both: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the angle of the major axis in degrees from the variance of rows and columns, and their covariance."""
    across = horizontal - vertical
    # Rows count downwards, angles anticlockwise.
    angle = np.rad2deg(np.arctan2(-2 * both, across) / 2) % 180
    return np.where(np.hypot(across, 2 * both) > _SAME * (vertical + horizontal), angle, np.nan)


def _perimeters(contours: Contours, count: int) -> NDArray[np.float64]:
    """Compute the length of the lines between edge midpoints: 1 straight on, half a diagonal at a corner."""
    ring = np.repeat(np.arange(len(contours.labels)), np.diff(contours.starts))
    following = np.arange(1, len(ring) + 1)
    following[contours.starts[1:] - 1] = contours.starts[:-1]
    edges = np.abs(contours.points[following] - contours.points).sum(axis=1)
    lengths = edges - 1 + math.sqrt(0.5)
    return np.bincount(contours.labels[ring] - 1, weights=lengths, minlength=count).astype(np.float64)


def _hull_areas(contours: Contours, count: int) -> NDArray[np.float64]:
    """Compute the area of the convex hull of each label: below its upper chain, minus that below its lower one."""
    ring = np.repeat(np.arange(len(contours.labels)), np.diff(contours.starts))
    label = contours.labels[ring] - 1
    return _under_chain(label, contours.points, count) + _under_chain(label, contours.points * (-1, 1), count)


def _under_chain(label: NDArray[np.int64], points: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Compute the area under the upper convex hull of the points of each label."""
    order = np.lexsort((-points[:, 0], points[:, 1], label))
    label, rows, cols = label[order], points[order, 0], points[order, 1]
    topmost = np.ones(len(label), dtype=bool)
    topmost[1:] = (np.diff(label) != 0) | (np.diff(cols) != 0)
    label, rows, cols = label[topmost], rows[topmost], cols[topmost]
    while True:
        inner = (label[2:] == label[1:-1]) & (label[1:-1] == label[:-2])
        # A point on or below the segment between its neighbours is not a corner of the hull.
        turn = (rows[1:-1] - rows[:-2]) * (cols[2:] - cols[:-2]) - (rows[2:] - rows[:-2]) * (cols[1:-1] - cols[:-2])
        below = np.zeros(len(label), dtype=bool)
        below[1:-1] = inner & (turn <= 0)
        if not below.any():
            break
        label, rows, cols = label[~below], rows[~below], cols[~below]
    same = label[1:] == label[:-1]
    areas = np.where(same, (rows[1:] + rows[:-1]) * (cols[1:] - cols[:-1]) / 2, 0)
    return np.bincount(label[1:], weights=areas, minlength=count).astype(np.float64)
