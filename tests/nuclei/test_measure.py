import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from skimage.measure import regionprops

from monuseg_cli.nuclei.contours import trace
from monuseg_cli.nuclei.measure import Measurements, measure
from monuseg_cli.nuclei.rasterise import rasterise
from support.tissue import ellipse


def measured(labels: NDArray[np.int32]) -> Measurements:
    flat = np.zeros(labels.shape, dtype=np.float32)
    return measure(labels, trace(labels), flat, flat)


@pytest.fixture
def nuclei() -> NDArray[np.int32]:
    shapes = [(30, 40, 14, 14), (70, 30, 8, 20), (95, 90, 25, 6), (30, 95, 3, 3)]
    return rasterise([ellipse(*shape) for shape in shapes], (128, 128)).labels


def test_area_place_and_shape_are_those_of_scikit_image(nuclei: NDArray[np.int32]) -> None:
    found = measured(nuclei)
    regions = regionprops(nuclei)  # type: ignore[no-untyped-call] # scikit-image has no types
    for number, region in enumerate(regions):
        assert found.area_px[number] == region.area
        assert found.centroids[number] == pytest.approx(np.array(region.centroid) + 0.5)
        assert found.eccentricity[number] == pytest.approx(region.eccentricity, abs=0.005)


def test_a_circles_perimeter_and_solidity(nuclei: NDArray[np.int32]) -> None:
    found = measured(nuclei)
    assert found.perimeter_px[0] == pytest.approx(2 * math.pi * 14, rel=0.06)
    assert 0.93 < found.solidity[0] <= 1


def test_rectangles_are_exact() -> None:
    labels = np.zeros((20, 30), dtype=np.int32)
    labels[2:12, 5:25] = 1
    found = measured(labels)
    assert found.solidity.tolist() == [1.0]
    assert found.perimeter_px[0] == pytest.approx(2 * (10 - 1) + 2 * (20 - 1) + 4 * math.sqrt(0.5))
    assert found.centroids.tolist() == [[7.0, 15.0]]


def test_a_cross_is_not_convex() -> None:
    labels = np.zeros((9, 9), dtype=np.int32)
    labels[3:6] = labels[:, 3:6] = 1
    assert measured(labels).solidity[0] == pytest.approx(45 / 63)


@given(arrays(np.int32, st.tuples(st.integers(1, 10), st.integers(1, 10)), elements=st.integers(0, 1)))
def test_the_convex_hull_is_that_of_qhull(labels: NDArray[np.int32]) -> None:
    if not labels.any():
        return
    rows, cols = np.nonzero(labels)
    corners = np.concatenate([np.stack([rows + down, cols + right], axis=1) for down in (0, 1) for right in (0, 1)])
    assert measured(labels).solidity[0] == pytest.approx(labels.sum() / ConvexHull(corners).volume)


def test_means_cover_the_pixels_of_each_nucleus() -> None:
    labels = np.array([[1, 1, 0], [2, 0, 0]], dtype=np.int32)
    probability = np.array([[0.5, 1.0, 0.1], [0.7, 0.1, 0.1]], dtype=np.float32)
    found = measure(labels, trace(labels), probability, 2 * probability)
    np.testing.assert_allclose(found.probability, [0.75, 0.7])
    np.testing.assert_allclose(found.haematoxylin, [1.5, 1.4], rtol=1e-6)


def test_an_empty_label_image_has_no_measurements() -> None:
    found = measured(np.zeros((4, 4), dtype=np.int32))
    assert found.area_px.shape == found.solidity.shape == (0,)
    assert found.centroids.shape == (0, 2)
