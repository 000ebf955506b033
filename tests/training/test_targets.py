import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monuseg_cli.training.recipe import AuxTarget
from monuseg_cli.training.targets import CLASSES, make_targets

ROW = np.array([[0, 7, 7, 7, 3, 3, 3, 3, 3, 0]], dtype=np.int32)


@given(arrays(np.int32, (9, 7), elements=st.integers(0, 4)), st.sampled_from(sorted(CLASSES)))
def test_every_target_is_within_0_and_1_and_the_first_is_the_nuclei(
    labels: NDArray[np.int32], second: AuxTarget
) -> None:
    targets = make_targets(labels, second)
    assert targets.dtype == np.float32
    assert targets.shape == (len(CLASSES[second]), 9, 7)
    assert targets.min() >= 0
    assert targets.max() <= 1
    np.testing.assert_array_equal(targets[0], labels > 0)


def test_a_boundary_is_on_both_sides_of_a_change() -> None:
    labels = np.zeros((5, 5), dtype=np.int32)
    labels[2:, 2:] = 1
    wanted = np.zeros((5, 5))
    wanted[1:4, 1:] = wanted[1:, 1:4] = 1
    wanted[3:, 3:] = 0
    np.testing.assert_array_equal(make_targets(labels, "boundary")[1], wanted)


def test_distances_rise_to_1_within_each_nucleus() -> None:
    rows = np.repeat(ROW, 9, axis=0)
    distance = make_targets(rows, "distance")[1]
    np.testing.assert_allclose(distance[4], [0, 0.5, 1, 0.5, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0])


def test_places_go_from_side_to_side_of_each_nucleus() -> None:
    horizontal, vertical = make_targets(ROW, "hv")[1:]
    np.testing.assert_allclose(horizontal[0], [0.5, 0, 0.5, 1, 0, 0.25, 0.5, 0.75, 1, 0.5])
    np.testing.assert_allclose(vertical, 0.5)
    turned = make_targets(np.ascontiguousarray(ROW.T), "hv")[1:]
    np.testing.assert_allclose(turned, [vertical.T, horizontal.T])


@pytest.mark.parametrize("second", sorted(CLASSES))
def test_targets_of_an_empty_label_image_are_finite(second: AuxTarget) -> None:
    targets = make_targets(np.zeros((4, 4), dtype=np.int32), second)
    assert not targets[0].any()
    assert np.isfinite(targets).all()
