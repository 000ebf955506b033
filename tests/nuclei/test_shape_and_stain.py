import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from skimage.measure import regionprops

from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.nuclei.shape_and_stain import Measurements, measure
from monuseg_cli.nuclei.trace import trace
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


def test_axes_and_orientation_are_those_of_scikit_image_with_pixels_as_squares(nuclei: NDArray[np.int32]) -> None:
    found = measured(nuclei)
    for number, region in enumerate(regionprops(nuclei)):  # type: ignore[no-untyped-call]
        for axis, reference in (
            (found.major_axis_px, region.axis_major_length),
            (found.minor_axis_px, region.axis_minor_length),
        ):
            # scikit-image takes pixels as points, without their own variance of 1/12
            assert axis[number] ** 2 / 16 - 1 / 12 == pytest.approx(reference**2 / 16)
    # scikit-image measures the angle from the rows
    expected = [(np.rad2deg(region.orientation) + 90) % 180 for region in regionprops(nuclei)[1:3]]  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(found.orientation_deg[1:3], expected, atol=1e-6)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 179])
def test_an_ellipse_of_known_axes_and_orientation(degrees: float) -> None:
    outline = ellipse(100.3, 99.6, 20, 50, turn=math.radians(degrees), vertices=360)
    found = measured(rasterise([outline], (200, 200)).labels)
    assert found.major_axis_px[0] == pytest.approx(100, rel=0.005)
    assert found.minor_axis_px[0] == pytest.approx(40, rel=0.005)
    assert (found.orientation_deg[0] - degrees + 90) % 180 == pytest.approx(90, abs=0.3)


def test_what_looks_the_same_in_all_directions_has_no_orientation() -> None:
    labels = np.zeros((12, 12), dtype=np.int32)
    labels[1:4, 1:4], labels[6, 6], labels[8:10, 2:8] = 1, 2, 3
    orientation = measured(labels).orientation_deg
    assert np.isnan(orientation[:2]).all()
    assert orientation[2] == 0


def test_circularity_is_high_in_a_disc_and_at_most_1() -> None:
    disc, line = ellipse(150, 150, 100, 100, vertices=720), ellipse(300, 150, 4, 100, vertices=720)
    labels = rasterise([disc, line], (320, 300)).labels
    labels[0, 0] = 3
    found = measured(labels).circularity
    assert found[0] == pytest.approx(0.90, abs=0.005)
    assert found[1] < 0.2
    assert found[2] == 1


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
    assert found.probability == pytest.approx(np.array([0.75, 0.7]))
    np.testing.assert_allclose(found.haematoxylin, [1.5, 1.4], rtol=1e-6)
    np.testing.assert_allclose(found.haematoxylin_std, [0.5, 0], atol=1e-6)


def test_an_empty_label_image_has_no_measurements() -> None:
    found = measured(np.zeros((4, 4), dtype=np.int32))
    assert found.area_px.shape == found.solidity.shape == (0,)
    assert found.centroids.shape == (0, 2)
