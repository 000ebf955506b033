import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.feature import graycomatrix, graycoprops

from monuseg_cli.nuclei.columns import ALL_COLUMNS
from monuseg_cli.nuclei.texture import LEVEL_OD, LEVELS, measure_texture

ANGLES = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]


@pytest.fixture
def density() -> NDArray[np.float32]:
    return np.random.default_rng(5).uniform(0, 2, (40, 60)).astype(np.float32)


def test_a_rectangles_texture_is_that_of_scikit_image(density: NDArray[np.float32]) -> None:
    labels = np.zeros(density.shape, dtype=np.int32)
    labels[3:20, 5:30] = 1
    levels = np.minimum(density[3:20, 5:30] // LEVEL_OD, LEVELS - 1).astype(np.uint8)
    matrix = graycomatrix(levels, [1], ANGLES, levels=LEVELS, symmetric=True, normed=True)  # type: ignore[no-untyped-call]
    found = measure_texture(labels, density)
    for name, prop in (
        ("haralick_asm", "ASM"),
        ("haralick_contrast", "contrast"),
        ("haralick_correlation", "correlation"),
        ("haralick_homogeneity", "homogeneity"),
        ("haralick_entropy", "entropy"),
    ):
        reference = graycoprops(matrix, prop)  # type: ignore[no-untyped-call] # scikit-image has no types
        assert found[name] == pytest.approx(reference.mean())


def test_texture_does_not_depend_on_what_is_around_a_nucleus(density: NDArray[np.float32]) -> None:
    rows, cols = np.mgrid[:40, :60]
    labels = (((rows - 20) ** 2 + (cols - 20) ** 2) < 120).astype(np.int32)
    alone = measure_texture(labels, density)
    labels[(labels == 0) & (cols >= 20)] = 2
    changed = np.where(labels == 1, density, 0.3)
    among = measure_texture(labels, changed)
    for name, values in alone.items():
        assert among[name][0] == values[0]


def test_a_checkerboard_has_known_features() -> None:
    board = np.indices((10, 10)).sum(axis=0) % 2 * LEVEL_OD * 3  # levels 0 and 3
    found = measure_texture(np.ones((10, 10), dtype=np.int32), board)
    # Across: every pair differs by 3. Along the diagonals: none differs.
    assert found["haralick_contrast"].tolist() == [4.5]
    assert found["haralick_homogeneity"] == pytest.approx([(1 / 10 + 1) / 2])
    assert found["haralick_correlation"] == pytest.approx([0])
    assert found["haralick_entropy"] == pytest.approx([np.log(2)], rel=0.01)


def test_a_single_pixel_has_no_texture_and_a_line_has_one_direction() -> None:
    labels = np.zeros((5, 5), dtype=np.int32)
    labels[0, 0], labels[3, 1:4] = 1, 2
    found = measure_texture(labels, np.full((5, 5), 0.4))
    assert all(np.isnan(values[0]) for values in found.values())
    assert [values[1] for values in found.values()] == [1, 0, 1, 1, 0]


def test_its_columns_are_those_of_the_group() -> None:
    found = measure_texture(np.zeros((5, 5), dtype=np.int32), np.zeros((5, 5)))
    assert list(found) == [column.name for column in ALL_COLUMNS if column.group == "texture"]
    assert all(values.shape == (0,) for values in found.values())
