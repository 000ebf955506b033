import numpy as np
import pytest
from numpy.typing import NDArray

from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.nuclei.windows import LabelWindows, NucleusWindows, OutlineWindows
from support.tissue import ellipse

SHAPE = (150, 200)


def crowded(count: int, seed: int) -> list[NDArray[np.float64]]:
    """Outlines that overlap each other, and extend beyond the image."""
    random = np.random.default_rng(seed)
    places = random.uniform(0, 1, (count, 2)) * SHAPE
    sizes = random.uniform(0.2, 15, (count, 2))
    return [
        ellipse(row, col, height, width, random.uniform(0, 3))
        for (row, col), (height, width) in zip(places, sizes, strict=True)
    ]


def reassembled(windows: NucleusWindows) -> NDArray[np.int64]:
    """Paint all windows into one image of ids."""
    whole = np.zeros(SHAPE, dtype=np.int64)
    for window in windows:
        assert np.unique(window.labels[window.labels > 0]).tolist() == list(range(1, len(window.ids) + 1))
        row, col = window.corner
        part = whole[row : row + window.labels.shape[0], col : col + window.labels.shape[1]]
        inside = window.labels > 0
        assert not part[inside].any()
        part[inside] = window.ids[window.labels[inside] - 1]
    return whole


@pytest.mark.parametrize("block_px", [1, 20, 64, 1000])
def test_outlines_are_drawn_window_by_window_as_they_are_at_once(block_px: int) -> None:
    outlines = crowded(120, seed=1)
    outlines.append(outlines[3])
    whole = rasterise(outlines, SHAPE).labels
    windows = OutlineWindows(outlines, SHAPE, block_px)
    np.testing.assert_array_equal(reassembled(windows), whole)
    hidden = len(outlines) - len(np.unique(whole[whole > 0]))
    assert windows.covered == hidden > 0


@pytest.mark.parametrize("block_px", [7, 50, 1000])
@pytest.mark.parametrize("step", [1, 3, 10_000_000])
def test_nuclei_of_a_label_image_keep_their_values(block_px: int, step: int) -> None:
    labels = rasterise(crowded(120, seed=2), SHAPE).labels * np.int32(step)
    before = labels.copy()
    windows = LabelWindows(labels, block_px)
    np.testing.assert_array_equal(reassembled(windows), labels)
    assert windows.covered == 0
    np.testing.assert_array_equal(labels, before)


def test_a_nucleus_in_two_parts_is_one() -> None:
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[3, 4] = labels[140, 190] = 7
    labels[70, 80] = 9
    first, second = LabelWindows(labels, 50)
    assert first.ids.tolist() == [7]
    assert np.argwhere(first.labels).tolist() == [[0, 0], [137, 186]]
    assert (second.ids.tolist(), second.corner) == ([9], (70, 80))


def test_without_nuclei_there_are_no_windows() -> None:
    assert list(LabelWindows(np.zeros(SHAPE, dtype=np.int32))) == []
    assert list(OutlineWindows([], SHAPE)) == []


def test_selected_nuclei_are_numbered_again() -> None:
    labels = np.array([[4, 4, 5, 0, 6]], dtype=np.int32)
    (window,) = LabelWindows(labels)
    kept = window.select(np.array([True, False, True]))
    assert kept.ids.tolist() == [4, 6]
    assert kept.labels.tolist() == [[1, 1, 0, 0, 2]]
