import numpy as np
import pytest

from monuseg_cli.nuclei.runs import label_runs


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (37, 53)])
@pytest.mark.parametrize("labels", [1, 3])
def test_runs_hold_all_pixels_of_a_label_image(shape: tuple[int, int], labels: int) -> None:
    image = np.random.default_rng(4).integers(0, labels + 1, shape).astype(np.int32)
    runs = label_runs(image)
    np.testing.assert_array_equal(runs.places, np.flatnonzero(image))
    np.testing.assert_array_equal(runs.per_pixel(runs.label), image[image != 0])
    rows, cols = np.indices(shape)
    for label in range(1, labels + 1):
        mine = image == label
        assert runs.areas(labels)[label] == mine.sum()
        if mine.any():
            centre = rows[mine].mean() + 0.5, cols[mine].mean() + 0.5
            np.testing.assert_allclose(runs.centres(labels)[label], centre)


def test_a_run_ends_at_the_end_of_its_row_and_where_another_label_begins() -> None:
    runs = label_runs(np.array([[0, 1, 1], [1, 2, 2], [2, 0, 2]]))
    assert runs.label.tolist() == [1, 1, 2, 2, 2]
    assert runs.row.tolist() == [0, 1, 1, 2, 2]
    assert runs.first.tolist() == [1, 0, 1, 0, 2]
    assert runs.stop.tolist() == [3, 1, 3, 1, 3]


def test_an_image_without_labels_has_no_runs() -> None:
    for shape in ((0, 0), (3, 0), (0, 3), (2, 2)):
        assert len(label_runs(np.zeros(shape, dtype=np.int32)).places) == 0
