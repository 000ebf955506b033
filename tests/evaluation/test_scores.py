import numpy as np
import pytest

from monuseg_cli.evaluation.compare import compare
from monuseg_cli.evaluation.scores import ImageScores, bootstrap, count_image, summarise, summarise_organs
from monuseg_cli.evaluation.tables import comparison_latex, comparison_markdown, scores_markdown


def image(case_id: str, organ: str, *row: int) -> ImageScores:
    counts = count_image(np.array([[1, 1, 0, 0, 2, 2]], dtype=np.int32), np.array([row], dtype=np.int32))
    return ImageScores(case_id, organ, False, counts, counts.scores())


PERFECT = image("a", "liver", 1, 1, 0, 0, 2, 2)
HALF = image("b", "liver", 1, 1, 0, 0, 0, 0)
EMPTY = image("c", "", 0, 0, 0, 0, 0, 0)


def test_scores_of_one_image() -> None:
    reference = np.array([[1, 1, 0, 2]], dtype=np.int32)
    labels = np.array([[4, 4, 0, 0]], dtype=np.int32)
    scores = count_image(reference, labels, np.array([[1.0, 1.0, 0.0, 0.0]], dtype=np.float32)).scores()
    assert (scores.accuracy, scores.precision, scores.recall) == (0.75, 1.0, 2 / 3)
    assert scores.soft_dice == pytest.approx((2 * 2 + 1) / (2 + 3 + 1))
    assert (scores.aji, scores.aji_plus, scores.dq, scores.sq) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 1.0))
    assert scores.ap == 0.5


def test_without_probabilities_there_is_no_loss_and_no_soft_dice() -> None:
    assert (PERFECT.scores.loss, PERFECT.scores.soft_dice, PERFECT.scores.f1) == (None, None, 1.0)
    summary = summarise([PERFECT, HALF])
    assert (summary.mean.loss, summary.low.loss, summary.pooled.soft_dice) == (None, None, None)
    assert "soft Dice" not in scores_markdown([PERFECT, HALF], {}, summary)


def test_mean_and_pooled_are_two_numbers() -> None:
    summary = summarise([PERFECT, HALF, EMPTY])
    assert summary.mean.recall == pytest.approx((1 + 0.5 + 0) / 3)
    assert summary.pooled.recall == pytest.approx(6 / 12)
    assert summary.mean.f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert summary.pooled.f1 == pytest.approx(12 / 18)
    assert summary.pooled.aji == pytest.approx(6 / 12)
    organs = summarise_organs([PERFECT, HALF, EMPTY])
    assert {organ: of.images for organ, of in organs.items()} == {"liver": 2}


def test_intervals_cover_the_mean_as_often_as_stated() -> None:
    assert bootstrap([0.7] * 5) == pytest.approx((0.7, 0.7))
    assert bootstrap([0.1, None]) == bootstrap([0.7]) == (None, None)
    random = np.random.default_rng(0)
    for count in (6, 14):
        held = 0
        for _ in range(300):
            low, high = bootstrap(random.normal(0.8, 0.05, count).tolist())
            assert low is not None
            assert high is not None
            held += low <= 0.8 <= high
        assert 0.915 <= held / 300 <= 0.98


def test_a_comparison_is_paired() -> None:
    """Each image is as much better as every other, so the interval has no width though the images differ."""
    better = [image("a", "", 1, 1, 0, 0, 2, 2), image("b", "", 1, 1, 0, 0, 2, 0)]
    worse = [image("a", "", 1, 1, 0, 0, 2, 0), image("b", "", 1, 1, 0, 0, 0, 0)]
    difference = compare("better", better, worse)
    assert difference.mean.recall == pytest.approx(0.25)
    assert (difference.low.recall, difference.high.recall) == pytest.approx((0.25, 0.25))
    table = comparison_markdown([("worse", summarise(worse)), ("better", summarise(better))], [difference])
    assert "| better | **0.9167** (0.8333-1.0000)" in table
    assert "better minus worse | +0.1667" in table
    latex = comparison_latex([("worse_1", summarise(worse)), ("100 %", summarise(better))], [difference])
    heading, *rows = [line.split(" & ") for line in latex.splitlines() if " & " in line]
    assert latex.startswith("\\begin{tabular}{l" + "r" * (len(heading) - 1) + "}\n\\toprule\n")
    assert [row[0] for row in [heading, *rows]] == [
        "mean over images (95 \\% interval)",
        "worse\\_1",
        "100 \\%",
        "better minus worse\\_1",
    ]
    assert rows[1][1] == "\\textbf{0.9167} (0.8333-1.0000)"
    assert all(len(row) == len(heading) and row[-1].endswith(" \\\\") for row in rows)
