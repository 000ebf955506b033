from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monuseg_cli.metrics.instance import aji, aji_plus, detections, find_overlaps, panoptic_quality
from support import slow

Labels = NDArray[np.int32]


def row(*labels: int) -> Labels:
    return np.array([labels], dtype=np.int32)


def scores(reference: Labels, prediction: Labels) -> tuple[float, float]:
    overlaps = find_overlaps(reference, prediction)
    return aji(overlaps).index, panoptic_quality(overlaps).pq


def test_aji_and_aji_plus_differ_in_the_matching() -> None:
    """A predicted nucleus may serve two true ones: (2 + 2) / (6 + 6); but one in a one-to-one matching."""
    overlaps = find_overlaps(row(1, 1, 1, 1, 2, 2, 2, 2), row(0, 0, 1, 1, 1, 1, 0, 0))
    assert aji(overlaps).index == 4 / 12
    assert aji_plus(overlaps).index == 2 / 10


def test_average_precision_by_hand() -> None:
    """One match of IoU 3/4 and one miss: 1/2 at the thresholds below 3/4, of nine, and 0 from there on."""
    overlaps = find_overlaps(row(1, 1, 1, 1, 2, 0), row(7, 7, 7, 0, 0, 0))
    assert detections(overlaps).average_precision == pytest.approx(5 * (1 / 2) / 9)
    assert detections(find_overlaps(row(0), row(0))).average_precision == 1.0


def test_perfect_scores_are_exactly_one_for_any_labels() -> None:
    assert scores(row(0, 3, 3, 9, 9, 0), row(0, 70000, 70000, 2, 2, 0)) == (1.0, 1.0)


def test_empty_against_empty_and_against_something() -> None:
    assert scores(row(0, 0), row(0, 0)) == (1.0, 1.0)
    assert scores(row(0, 1), row(0, 0)) == (0.0, 0.0)
    assert scores(row(0, 0), row(0, 1)) == (0.0, 0.0)


def test_an_iou_of_exactly_one_half_is_no_match() -> None:
    quality = panoptic_quality(find_overlaps(row(1, 1, 0), row(1, 0, 0)))
    assert (quality.tp, quality.fp, quality.fn, quality.sq) == (0, 1, 1, 0.0)


def test_merged_and_split_nuclei_lower_aji_and_pq() -> None:
    merged = find_overlaps(row(1, 1, 1, 2, 0), row(1, 1, 1, 1, 0))
    assert aji(merged).index == pytest.approx((3 + 1) / (4 + 4))
    assert panoptic_quality(merged).pq == pytest.approx((3 / 4) * (2 / 3))
    split = find_overlaps(row(1, 1, 1, 1, 0), row(1, 1, 1, 2, 0))
    assert aji(split).index == pytest.approx(3 / (4 + 1))


def test_of_equal_candidates_the_lowest_label_is_taken() -> None:
    assert aji(find_overlaps(row(1, 1, 1, 1), row(5, 5, 2, 2))).index == pytest.approx(2 / (4 + 2))


def test_shapes_and_negative_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        find_overlaps(row(1, 2), row(1))
    with pytest.raises(ValueError, match="negative"):
        find_overlaps(row(-1, 2), row(1, 2))


label_images = arrays(np.int32, (5, 6), elements=st.sampled_from([0, 1, 2, 5, 9]))


@given(label_images, label_images)
def test_aji_equals_the_algorithm_as_written(reference: Labels, prediction: Labels) -> None:
    wanted = slow.aji(reference, prediction, slow.iou_table(reference, prediction))
    assert aji(find_overlaps(reference, prediction)).index == pytest.approx(wanted, abs=1e-12)


def test_scores_of_200_pairs_equal_those_written_from_the_papers() -> None:
    for seed in range(200):
        reference, prediction = slow.random_pair(np.random.default_rng(seed))
        overlaps = find_overlaps(reference, prediction)
        quality = panoptic_quality(overlaps)
        ours = slow.SlowScores(
            aji=aji(overlaps).index,
            aji_plus=aji_plus(overlaps).index,
            pq=quality.pq,
            dq=quality.dq,
            ap=detections(overlaps).average_precision,
        )
        assert astuple(ours) == pytest.approx(astuple(slow.score(reference, prediction)), abs=1e-12), seed


def test_pooling_adds_up_what_two_images_count() -> None:
    random = np.random.default_rng(5)
    pairs = [slow.random_pair(random) for _ in range(2)]
    height = max(reference.shape[0] for reference, _ in pairs)

    def beside(images: list[Labels]) -> Labels:
        shifted = [np.where(image, image + 1000 * number, 0) for number, image in enumerate(images)]
        return np.hstack([np.pad(image, ((0, height - len(image)), (0, 1))) for image in shifted]).astype(np.int32)

    together = find_overlaps(beside([one for one, _ in pairs]), beside([other for _, other in pairs]))
    apart = [find_overlaps(*pair) for pair in pairs]
    for count in (aji, aji_plus, detections):
        assert count(apart[0]) + count(apart[1]) == count(together)  # type: ignore[operator] # of one kind
    pooled, whole = panoptic_quality(apart[0]) + panoptic_quality(apart[1]), panoptic_quality(together)
    assert (pooled.tp, pooled.fp, pooled.fn) == (whole.tp, whole.fp, whole.fn)
    assert pooled.iou_sum == pytest.approx(whole.iou_sum)


@given(label_images, label_images)
def test_relabelling_changes_no_score_and_pq_is_dq_times_sq(reference: Labels, prediction: Labels) -> None:
    quality = panoptic_quality(find_overlaps(reference, prediction))
    assert quality.pq == quality.dq * quality.sq
    assert scores(reference * 1000, prediction * 7) == pytest.approx(scores(reference, prediction), abs=1e-12)


@given(label_images)
def test_against_itself_every_label_image_is_perfect(labels: Labels) -> None:
    assert scores(labels, labels) == (1.0, 1.0)
