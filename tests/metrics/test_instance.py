import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monuseg_cli.metrics.instance import aji, find_overlaps, panoptic_quality

Labels = NDArray[np.int32]


def row(*labels: int) -> Labels:
    return np.array([labels], dtype=np.int32)


def scores(reference: Labels, prediction: Labels) -> tuple[float, float]:
    overlaps = find_overlaps(reference, prediction)
    return aji(overlaps), panoptic_quality(overlaps).pq


def test_the_official_aji_of_the_disputed_row() -> None:
    # A predicted nucleus may serve two true ones: (2 + 2) / (6 + 6). One-to-one it would be 1/5.
    assert aji(find_overlaps(row(1, 1, 1, 1, 2, 2, 2, 2), row(0, 0, 1, 1, 1, 1, 0, 0))) == pytest.approx(1 / 3)


def test_perfect_is_exactly_one_whatever_the_labels() -> None:
    assert scores(row(0, 3, 3, 9, 9, 0), row(0, 70000, 70000, 2, 2, 0)) == (1.0, 1.0)


def test_empty_against_empty_and_against_something() -> None:
    assert scores(row(0, 0), row(0, 0)) == (1.0, 1.0)
    assert scores(row(0, 1), row(0, 0)) == (0.0, 0.0)
    assert scores(row(0, 0), row(0, 1)) == (0.0, 0.0)


def test_an_iou_of_exactly_one_half_is_no_match() -> None:
    quality = panoptic_quality(find_overlaps(row(1, 1, 0), row(1, 0, 0)))
    assert (quality.tp, quality.fp, quality.fn, quality.sq) == (0, 1, 1, 0.0)


def test_merged_and_split() -> None:
    merged = find_overlaps(row(1, 1, 1, 2, 0), row(1, 1, 1, 1, 0))
    assert aji(merged) == pytest.approx((3 + 1) / (4 + 4))
    assert panoptic_quality(merged).pq == pytest.approx((3 / 4) * (2 / 3))
    split = find_overlaps(row(1, 1, 1, 1, 0), row(1, 1, 1, 2, 0))
    assert aji(split) == pytest.approx(3 / (4 + 1))


def test_of_equal_candidates_the_lowest_label_is_taken() -> None:
    assert aji(find_overlaps(row(1, 1, 1, 1), row(5, 5, 2, 2))) == pytest.approx(2 / (4 + 2))


def test_shapes_and_negative_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        find_overlaps(row(1, 2), row(1))
    with pytest.raises(ValueError, match="negative"):
        find_overlaps(row(-1, 2), row(1, 2))


def slow_aji(reference: Labels, prediction: Labels) -> float:
    """Kumar et al. 2017, algorithm 1, as it is written there."""
    used: set[int] = set()
    above = below = 0
    predicted = [int(label) for label in np.unique(prediction) if label]
    for label in (int(label) for label in np.unique(reference) if label):
        nucleus = reference == label
        candidates = [other for other in predicted if (nucleus & (prediction == other)).any()]
        if not candidates:
            below += int(nucleus.sum())
            continue
        jaccard = [
            (nucleus & (prediction == other)).sum() / (nucleus | (prediction == other)).sum() for other in candidates
        ]
        best = candidates[int(np.argmax(jaccard))]
        above += int((nucleus & (prediction == best)).sum())
        below += int((nucleus | (prediction == best)).sum())
        used.add(best)
    below += sum(int((prediction == other).sum()) for other in predicted if other not in used)
    return above / below if below else 1.0


label_images = arrays(np.int32, (5, 6), elements=st.sampled_from([0, 1, 2, 5, 9]))


@given(label_images, label_images)
def test_aji_equals_the_algorithm_as_written(reference: Labels, prediction: Labels) -> None:
    assert aji(find_overlaps(reference, prediction)) == pytest.approx(slow_aji(reference, prediction), abs=1e-12)


@given(label_images, label_images)
def test_relabelling_changes_no_score_and_pq_is_dq_times_sq(reference: Labels, prediction: Labels) -> None:
    quality = panoptic_quality(find_overlaps(reference, prediction))
    assert quality.pq == quality.dq * quality.sq
    assert scores(reference * 1000, prediction * 7) == pytest.approx(scores(reference, prediction), abs=1e-12)


@given(label_images)
def test_against_itself_every_label_image_is_perfect(labels: Labels) -> None:
    assert scores(labels, labels) == (1.0, 1.0)
