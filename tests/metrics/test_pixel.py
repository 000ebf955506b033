import math

import numpy as np
import pytest

from monuseg_cli.metrics.pixel import PixelCounts, SoftCounts, count_pixels, count_soft

TRUTH = np.array([[True, True, False, False]])


def test_counts_and_ratios_equal_values_computed_by_hand() -> None:
    counts = count_pixels(TRUTH, np.array([[True, False, True, False]]))
    assert counts == PixelCounts(tp=1, fp=1, fn=1, tn=1)
    assert (counts.accuracy, counts.precision, counts.recall, counts.f1) == (0.5, 0.5, 0.5, 0.5)
    assert counts.iou == pytest.approx(1 / 3)


def test_perfect_scores_are_exactly_one() -> None:
    counts = count_pixels(TRUTH, TRUTH)
    assert (counts.accuracy, counts.precision, counts.recall, counts.f1, counts.iou) == (1, 1, 1, 1, 1)
    assert count_soft(TRUTH, TRUTH.astype(np.float32)).dice() == 1


def test_empty_against_empty_is_one_and_against_something_zero() -> None:
    nothing = np.zeros_like(TRUTH)
    both = count_pixels(nothing, nothing)
    assert (both.precision, both.recall, both.f1, both.iou) == (1, 1, 1, 1)
    for one in (count_pixels(nothing, TRUTH), count_pixels(TRUTH, nothing)):
        assert (one.precision, one.recall, one.f1, one.iou) == (0, 0, 0, 0)


def test_pixel_counts_can_be_added() -> None:
    assert PixelCounts(1, 2, 3, 4) + PixelCounts(10, 20, 30, 40) == PixelCounts(11, 22, 33, 44)


def test_soft_dice_equals_the_value_computed_by_hand() -> None:
    probability = np.array([[0.8, 0.6, 0.4, 0.2]], dtype=np.float64)
    assert count_soft(TRUTH, probability).dice() == pytest.approx((2 * 1.4 + 1) / (2.0 + 2 + 1))


def test_cross_entropy_equals_values_computed_by_hand() -> None:
    assert count_soft(TRUTH, np.full((1, 4), 0.5)).cross_entropy == pytest.approx(math.log(2))
    wrong = count_soft(TRUTH, (~TRUTH).astype(np.float64)).cross_entropy
    assert wrong == pytest.approx(-math.log(1e-7), rel=1e-6)
    assert math.isnan(count_soft(np.zeros((0, 0), dtype=bool), np.zeros((0, 0))).cross_entropy)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 4\)"):
        count_pixels(TRUTH, TRUTH.T)
    with pytest.raises(ValueError, match=r"shape \(1, 4\)"):
        count_soft(TRUTH, np.zeros((4, 1)))


def test_soft_counts_can_be_added() -> None:
    probability = np.array([[0.8, 0.6, 0.4, 0.2]], dtype=np.float64)
    both = count_soft(np.hstack([TRUTH, TRUTH]), np.hstack([probability, probability]))
    one = count_soft(TRUTH, probability)
    assert (one + one).dice() == pytest.approx(both.dice())
    assert (one + SoftCounts()).cross_entropy == both.cross_entropy
