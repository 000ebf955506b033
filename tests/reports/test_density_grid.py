import numpy as np
import pytest
from numpy.typing import NDArray

from monuseg_cli.reports.density_grid import DensityGrid

REGION = (100, 200, 2000, 1000)
"""500 x 250 um at 0.25 um/px."""


def grid(tissue: NDArray[np.bool_] | None = None, mpp: float = 0.25) -> DensityGrid:
    return DensityGrid(REGION, mpp, np.ones((20, 10), dtype=bool) if tissue is None else tissue)


def test_each_nucleus_counts_in_the_cell_of_its_centre() -> None:
    counted = grid()
    assert (counted.counts.shape, counted.step, counted.cell_um) == ((20, 10), (100, 100), 25)
    counted.add(np.array([[100.0, 200], [199.9, 299.9], [200, 200], [2100, 1200]]))
    assert counted.counts[0, 0] == 2
    assert (counted.counts[1, 0], counted.counts[19, 9], counted.counts.sum()) == (1, 1, 4)


def test_density_is_right_inside_and_at_the_edge_of_tissue() -> None:
    tissue = np.zeros((20, 10), dtype=bool)
    tissue[:, :5] = True
    counted = grid(tissue)
    rows, cols = np.mgrid[150:2100:100, 250:700:100]
    counted.add(np.column_stack([rows.ravel(), cols.ravel()]).repeat(2, axis=0).astype(float))
    density = counted.per_mm2()
    assert density[:, :5] == pytest.approx(2 / 0.025**2)
    assert np.isnan(density[:, 5:]).all()


def test_cells_of_large_slides_are_larger() -> None:
    assert DensityGrid((0, 0, 400_000, 200_000), 0.25, np.ones((2, 1), dtype=bool)).counts.shape == (1000, 500)


@pytest.mark.parametrize("tissue", [np.zeros((3, 3), dtype=bool), np.ones((1, 1), dtype=bool)])
def test_small_images_and_glass_have_a_grid(tissue: NDArray[np.bool_]) -> None:
    counted = DensityGrid((0, 0, 7, 9), 0.5, tissue)
    assert counted.counts.shape == (1, 1)
    assert np.isnan(counted.per_mm2()).all() != tissue.any()
