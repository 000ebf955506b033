import numpy as np
import pytest

from monuseg_cli.imaging.resample import RowsResized, resize_image, resize_labels, resize_maps, scaled


def test_scales_that_are_about_the_same_change_nothing() -> None:
    assert scaled((1000, 500), 1.04) == (1000, 500)
    assert scaled((1000, 500), 2.002) == (2002, 1001)
    assert scaled((3, 3), 0.1) == (1, 1)


def test_labels_stay_labels_and_maps_within_their_range() -> None:
    labels = np.array([[1, 1000], [0, 7]], dtype=np.int32)
    assert set(np.unique(resize_labels(labels, (5, 5)))) == {0, 1, 7, 1000}
    maps = np.random.default_rng(0).random((2, 10, 10), dtype=np.float32)
    resized = resize_maps(maps, (17, 23))
    assert resized.shape == (2, 17, 23)
    assert 0 <= resized.min() <= resized.max() <= 1
    assert resize_maps(maps, (10, 10)) is maps


def test_an_image_keeps_its_brightness() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    assert abs(resize_image(picture, (20, 20)).mean() - picture.mean()) < 1


@pytest.mark.parametrize("wanted", [(10, 6), (20, 13), (5, 3), (37, 6)])
def test_rows_resized_one_by_one_equal_the_whole(wanted: tuple[int, int]) -> None:
    labels = np.arange(60, dtype=np.int32).reshape(10, 6)
    whole = RowsResized(labels.shape, wanted).add(labels)
    assert whole.shape == wanted
    resized = RowsResized(labels.shape, wanted)
    parts = [resized.add(part) for part in (labels[:1], labels[1:4], labels[4:4], labels[4:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    if wanted == labels.shape:
        np.testing.assert_array_equal(whole, labels)
    if wanted == (5, 3):
        np.testing.assert_array_equal(whole, labels[1::2, 1::2])
