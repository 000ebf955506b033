import numpy as np
import pytest
import shapely

from monuseg_cli.imaging.tiling import Box
from monuseg_cli.reports.density_grid import DensityGrid
from monuseg_cli.reports.sample_fields import FIELDS, Field, FieldPicker
from support.squares import squares

REGION = (40, 80, 4000, 6000)
"""At 0.25 um/px, 10 x 15 fields of 400 px."""


def pick(centres: np.ndarray, side: float = 10, region: Box = REGION) -> list[Field]:
    grid = DensityGrid(region, 0.25, np.ones((40, 60), dtype=bool))
    picker = FieldPicker(grid, region)
    for batch in np.array_split(centres, 3):
        if len(batch):
            found = squares(batch, side)
            grid.add(batch)
            picker.add(found)
    return picker.pick()


def scattered(number: int) -> np.ndarray:
    """Draw centres that become denser from left to right."""
    random = np.random.default_rng(1)
    return np.column_stack([random.uniform(40, 4040, number), 80 + 6000 * np.sqrt(random.uniform(0, 1, number))])


def test_fields_range_from_the_sparsest_to_the_densest() -> None:
    centres = scattered(3000)
    counts = np.zeros((10, 15), dtype=int)
    np.add.at(counts, tuple(((centres - (40, 80)) // 400).astype(int).T), 1)
    fields = pick(centres)
    nuclei = [field.nuclei for field in fields]
    assert len(fields) == FIELDS == len({field.window for field in fields})
    assert nuclei == sorted(nuclei)
    assert (nuclei[0], nuclei[-1]) == (counts.min(), counts.max())
    for field in fields:
        row, col, height, width = field.window
        assert (height, width) == (400, 400)
        assert field.nuclei == counts[(row - 40) // 400, (col - 80) // 400]


@pytest.mark.parametrize("side", [10, 700, 1500])
def test_a_field_has_the_outlines_of_all_nuclei_that_reach_into_it(side: float) -> None:
    centres = scattered(300)
    shapes = squares(centres, side).shapes
    for field in pick(centres, side):
        row, col, height, width = field.window
        inside = shapely.intersects(shapes, shapely.box(col, row, col + width, row + height))
        assert shapely.equals(field.shapes, shapes[inside]).all()


def test_fields_of_glass_are_not_picked() -> None:
    tissue = np.zeros((40, 60), dtype=bool)
    tissue[:, 30:] = True
    grid = DensityGrid(REGION, 0.25, tissue)
    assert all(field.window[1] >= 80 + 3000 for field in FieldPicker(grid, REGION).pick())
    empty = DensityGrid(REGION, 0.25, np.zeros((40, 60), dtype=bool))
    assert FieldPicker(empty, REGION).pick() == []


@pytest.mark.parametrize(("side", "number"), [(8, 1), (150, 1), (400, 4), (1000, FIELDS)])
def test_small_images_have_fewer_or_smaller_fields(side: int, number: int) -> None:
    region = (0, 0, side, side)
    grid = DensityGrid(region, 0.25, np.ones((1, 1), dtype=bool))
    fields = FieldPicker(grid, region).pick()
    assert len(fields) == number
    assert all(0 <= row < row + height <= side for row, _, height, _ in (field.window for field in fields))
