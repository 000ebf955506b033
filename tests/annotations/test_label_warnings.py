from pathlib import Path

import numpy as np
import pytest

from conftest import Told
from monuseg_cli.annotations.label_warnings import (
    FOREGROUND,
    LARGEST,
    MEDIAN,
    doubts_of,
    require_foreground,
    warn_doubts,
    warn_left_out,
)
from monuseg_cli.core.errors import InputError


def squares(side: int, step: int = 40, size: int = 200) -> np.ndarray:
    labels = np.zeros((size, size), dtype=np.int32)
    for number, (row, col) in enumerate(np.ndindex(size // step, size // step), start=1):
        labels[row * step : row * step + side, col * step : col * step + side] = number
    return labels


def test_plausible_nuclei_raise_no_doubt() -> None:
    assert doubts_of(squares(16), 0.25) == {}
    assert doubts_of(np.zeros((9, 9), dtype=np.int32), None) == {}
    assert doubts_of(squares(2)[:80, :80], None) == {MEDIAN: "0.25 um2 at 0.25 um/px, which is assumed"}
    assert doubts_of(squares(2)[:40, :80], None) == {}  # too few to judge


def test_a_nucleus_over_5_percent_of_the_image_raises_a_doubt() -> None:
    labels = squares(16)
    labels[:, :60] = 99
    assert doubts_of(labels, 0.25) == {LARGEST: "30%"}


@pytest.mark.parametrize(
    ("size", "side", "doubted"), [(400, 90, True), (200, 46, True), (64, 18, False), (64, 34, True)]
)
def test_only_in_a_small_image_a_nucleus_may_cover_5_percent(size: int, side: int, doubted: bool) -> None:
    """At 40x, 18 px are 4.5 um, and 46 px are 11.5 um."""
    labels = np.zeros((size, size), dtype=np.int32)
    labels[:side, :side] = 1
    assert side**2 > 0.05 * size**2
    assert (LARGEST in doubts_of(labels, None)) is doubted


def test_foreground_over_80_percent_is_refused_in_an_annotation() -> None:
    inverted = (squares(14) == 0).astype(np.int32)
    doubts = doubts_of(inverted, 0.25)
    assert doubts == {FOREGROUND: "88%"}
    with pytest.raises(InputError, match=r"a.png: nuclei cover more than 80 % .*as in an inverted mask.*\(88%\)"):
        require_foreground(Path("a.png"), inverted, doubts)
    small = inverted[:50, :50]
    require_foreground(Path("a.png"), small, doubts_of(small, 0.25))


@pytest.mark.parametrize(("mpp", "said"), [(0.05, "0.64 um2"), (2.0, "1.02e+03 um2"), (0.25, None), (None, None)])
def test_a_median_outside_of_5_to_500_um2(mpp: float | None, said: str | None) -> None:
    assert doubts_of(squares(16), mpp) == ({MEDIAN: said} if said else {})


def test_a_median_at_an_assumed_scale_says_so() -> None:
    assert doubts_of(squares(4), None) == {MEDIAN: "1 um2 at 0.25 um/px, which is assumed"}


def test_doubts_about_many_files_are_one_warning() -> None:
    told = Told()
    warn_left_out({"a": {"points": 2}, "b": {}, "c": {"points": 1, "class Tissue": 1}}, told)
    warn_doubts([(name, {LARGEST: "30%"}) for name in "abcde"] + [("f", {})], told)
    assert told.lines == [
        "not nuclei, left out: class Tissue (1), points (3); in a, c",
        f"{LARGEST}: a, 30%; b, 30%; c, 30%; and 2 more",
    ]
