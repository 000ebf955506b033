import numpy as np
import pytest
import shapely

from monuseg_cli.nuclei.columns import ALL_COLUMNS
from monuseg_cli.nuclei.neighbours import measure_neighbours

BOX = (0, 0, 1000, 2000)


def test_neighbours_are_those_of_all_pairs() -> None:
    centres = np.random.default_rng(3).uniform(0, 1, (400, 2)) * (1000, 2000)
    centres[7] = centres[8]
    found = measure_neighbours(centres, 0.25, BOX)
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=2) * 0.25
    others = distances + np.where(np.eye(len(centres)), np.inf, 0)
    np.testing.assert_allclose(found["nearest_um"], others.min(axis=1))
    assert (found["neighbours_20um"] == (others <= 20).sum(axis=1)).all()
    assert (found["neighbours_50um"] == (others <= 50).sum(axis=1)).all()
    np.testing.assert_allclose(found["density_per_mm2"], (distances <= 100).sum(axis=1) / (np.pi * 0.1**2))


def test_the_distance_to_the_border_is_that_to_the_sides_of_the_part() -> None:
    centres = np.array([(110.0, 500.0), (500.0, 230.0), (290.0, 215.0)])
    found = measure_neighbours(centres, 0.5, (100, 200, 800, 1000))
    assert found["border_um"].tolist() == [5, 15, 7.5]


def test_the_distance_to_the_border_of_regions_is_that_of_shapely() -> None:
    random = np.random.default_rng(4)
    angles = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    radii = random.uniform(150, 250, 50)
    outer = np.stack([400 + radii * np.sin(angles), 600 + radii * np.cos(angles)], axis=1)
    hole = np.array([(380.0, 580.0), (380.0, 620.0), (420.0, 620.0), (420.0, 580.0)])
    region = shapely.Polygon(outer, [hole])
    points = random.uniform(0, 1, (500, 2)) * (1000, 2000)
    points = points[shapely.contains_xy(region, points)]
    assert len(points) > 10
    found = measure_neighbours(points, 1, BOX, [outer, hole])
    np.testing.assert_allclose(found["border_um"], shapely.distance(region.boundary, shapely.points(points)))


@pytest.mark.parametrize("count", [0, 1])
def test_without_another_nucleus_there_is_no_nearest(count: int) -> None:
    found = measure_neighbours(np.full((count, 2), 500.0), 0.5, BOX, [np.array([(0.0, 0), (0, 9), (9, 9)])])
    assert list(found) == [column.name for column in ALL_COLUMNS if column.group == "neighbours"]
    assert np.isnan(found["nearest_um"]).all()
    assert found["neighbours_20um"].tolist() == [0] * count
    assert found["border_um"].shape == (count,)
