import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monuseg_cli.metrics.error_types import find_faults
from monuseg_cli.metrics.instance import find_overlaps, panoptic_quality

Labels = NDArray[np.int32]
label_images = arrays(np.int32, (5, 6), elements=st.sampled_from([0, 1, 2, 5, 9]))


def kinds(reference: str, prediction: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = [np.array([[int(label) for label in labels]], dtype=np.int32) for labels in (reference, prediction)]
    faults = find_faults(find_overlaps(rows[0], rows[1]))
    return faults.reference, faults.prediction


@pytest.mark.parametrize(
    ("reference", "prediction", "wanted"),
    [
        ("1110", "2220", (("found",), ("found",))),
        ("1110", "0000", (("missed",), ())),
        ("0000", "2220", ((), ("false",))),
        ("1111100", "0000111", (("missed",), ("false",))),
        ("111222", "777777", (("merged", "merged"), ("merge",))),
        ("11111222", "77777777", (("found", "merged"), ("found",))),
        ("111111", "777888", (("split",), ("part", "part"))),
        ("111111", "777788", (("found",), ("found", "part"))),
    ],
)
def test_error_types_equal_those_found_by_hand(
    reference: str, prediction: str, wanted: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    assert kinds(reference, prediction) == wanted


@given(label_images, label_images)
def test_found_is_what_panoptic_quality_matches(reference: Labels, prediction: Labels) -> None:
    overlaps = find_overlaps(reference, prediction)
    faults, quality = find_faults(overlaps), panoptic_quality(overlaps)
    assert faults.reference.count("found") == faults.prediction.count("found") == quality.tp
    assert len(faults.reference) - quality.tp == quality.fn
    assert len(faults.prediction) - quality.tp == quality.fp
    assert ((faults.reference_ious > 0.5) == [kind == "found" for kind in faults.reference]).all()
