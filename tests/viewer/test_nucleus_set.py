import numpy as np
import pytest
import shapely

from monuseg_cli.viewer.nucleus_set import NucleusSet, join, pack
from support.tissue import ellipse

SQUARE = np.array([(0, 0), (0, 4), (4, 4), (4, 0)], dtype=float)
HOLE = np.array([(1, 1), (3, 1), (3, 3), (1, 3)], dtype=float)
RINGS = {
    "a square": [[SQUARE + 10]],
    "the other way round": [[SQUARE[::-1] + 10]],
    "closed": [[np.concatenate([SQUARE, SQUARE[:1]])]],
    "with a hole beside its middle": [[SQUARE * 2, HOLE]],
    "a hole in the same direction": [[SQUARE * 2, HOLE[::-1]]],
    "two parts": [[SQUARE], [SQUARE * 3 + 20, HOLE + 22]],
    "far away": [[ellipse(1e5, 2e5, 9, 5, 0.4)]],
}


def packed(*polygons: list[list[np.ndarray]]) -> NucleusSet:
    names = [str(number) for number in range(len(polygons))]
    return pack(names, [""] * len(names), polygons, [{} for _ in names])


@pytest.mark.parametrize("parts", RINGS.values(), ids=RINGS)
def test_the_centre_is_the_centre_of_mass(parts: list[list[np.ndarray]]) -> None:
    truth = shapely.MultiPolygon([shapely.Polygon(outer, holes) for outer, *holes in parts]).centroid
    nuclei = packed([[SQUARE]], parts, [[SQUARE]])
    np.testing.assert_allclose(nuclei.centres[1], (truth.x, truth.y), rtol=1e-9)
    np.testing.assert_allclose(nuclei.centres[[0, 2]], 2)


def test_an_outline_without_an_area_has_the_mean_of_its_points() -> None:
    line = np.array([(0, 0), (0, 4), (0, 8)], dtype=float)
    np.testing.assert_allclose(packed([[line]]).centres, [(0, 4)])


def test_nuclei_are_found_by_box_and_by_point() -> None:
    nuclei = packed([[SQUARE]], [[SQUARE * 2, HOLE]], [[SQUARE + 100]])
    assert nuclei.within((5, 5, 6, 6)).tolist() == [1]
    assert nuclei.within((0, 0, 200, 200)).tolist() == [0, 1, 2]
    assert nuclei.find(102, 103, 0) == 2
    assert nuclei.find(0.5, 0.5, 0) == 0  # the smaller one of two
    assert nuclei.find(2, 2, 0) == 0  # the hole of the larger one
    assert nuclei.find(5, 5, 0) == 1
    assert nuclei.find(50, 50, 10) is None
    assert nuclei.find(99, 99, 5) == 2  # close to its centre
    assert nuclei.diameter_px == 4


def test_outlines_of_several_nuclei_are_those_of_each() -> None:
    nuclei = packed(*RINGS.values())
    indices = np.array([5, 0, 3])
    points, rings, owners = nuclei.outlines(indices)
    assert owners.tolist() == [5, 5, 5, 0, 3, 3]
    each = [ring for index in indices for ring in nuclei.outline(index)]
    for number, ring in enumerate(each):
        assert (points[rings[number] : rings[number + 1]] == ring).all()
    assert rings[-1] == len(points)


def test_joined_sets_are_as_one_that_was_packed_at_once() -> None:
    parts = list(RINGS.values())
    values = [{"area": float(number)} if number % 2 else {"other": 1.0} for number in range(len(parts))]
    names = list(RINGS)
    whole = pack(names, names, parts, values)
    cut = join([pack(names[a:b], names[a:b], parts[a:b], values[a:b]) for a, b in ((0, 1), (1, 1), (1, 4), (4, 7))])
    for name in ("centres", "points", "rings", "holes", "starts"):
        assert (getattr(whole, name) == getattr(cut, name)).all(), name
    assert cut.names == cut.class_names == names
    assert whole.measurements.keys() == cut.measurements.keys()
    for name, column in whole.measurements.items():
        np.testing.assert_array_equal(column, cut.measurements[name])


def test_no_nuclei_are_a_set_too() -> None:
    for nothing in (join([]), pack([], [], [], [])):
        assert len(nothing) == 0
        assert nothing.find(0, 0, 1e9) is None
        assert nothing.diameter_px == 0
