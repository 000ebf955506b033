import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.nuclei.trace import trace


def filled(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Fill every ring by the pixel-centre rule, outer ones first, and take holes out again."""
    contours = trace(labels)
    image = np.zeros(labels.shape, dtype=np.int32)
    for label in np.unique(contours.labels):
        inside = np.zeros(labels.shape, dtype=np.int64)
        for index in np.flatnonzero(contours.labels == label).tolist():
            ring = rasterise([contours.ring(index).astype(np.float64)], (labels.shape[0], labels.shape[1])).labels > 0
            inside += -ring.astype(np.int64) if contours.holes[index] else ring
        assert set(np.unique(inside)) <= {0, 1}
        image[inside == 1] = label
    return image


def test_one_pixel_has_a_ring_of_four_corners() -> None:
    labels = np.zeros((3, 4), dtype=np.int32)
    labels[1, 2] = 7
    contours = trace(labels)
    assert contours.labels.tolist() == [7]
    assert contours.holes.tolist() == [False]
    assert contours.ring(0).tolist() == [[1, 2], [1, 3], [2, 3], [2, 2]]


def test_straight_edges_have_points_at_their_ends_only() -> None:
    contours = trace(np.ones((40, 60), dtype=np.int32))
    assert contours.ring(0).tolist() == [[0, 0], [0, 60], [40, 60], [40, 0]]


def test_a_hole_and_a_nucleus_inside_it_have_their_own_rings() -> None:
    labels = np.full((7, 7), 2, dtype=np.int32)
    labels[2:5, 2:5] = 0
    labels[3, 3] = 1
    contours = trace(labels)
    assert contours.labels.tolist() == [1, 2, 2]
    assert sorted(contours.holes[1:].tolist()) == [False, True]
    np.testing.assert_array_equal(filled(labels), labels)


def test_pixels_that_touch_at_a_corner_are_apart() -> None:
    contours = trace(np.eye(3, dtype=np.int32))
    assert len(contours.labels) == 3
    assert not contours.holes.any()


def test_an_empty_label_image_has_no_rings() -> None:
    contours = trace(np.zeros((5, 5), dtype=np.int32))
    assert len(contours.labels) == 0
    assert contours.starts.tolist() == [0]


@settings(max_examples=200)
@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))
def test_filled_rings_restore_the_label_image(labels: NDArray[np.int32]) -> None:
    np.testing.assert_array_equal(filled(labels), labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labels_may_be_integers_of_any_type(dtype: type) -> None:
    labels: NDArray[np.integer] = np.array([[1, 1], [2, 2]], dtype=dtype)
    assert trace(labels).labels.tolist() == [1, 2]
