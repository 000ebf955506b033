import matplotlib
import numpy as np

from monuseg_cli.viewer import colours


def test_the_ramp_is_the_upper_part_of_viridis() -> None:
    truth = matplotlib.colormaps["viridis"](np.linspace(0.45, 1, colours.RAMP_STEPS))[:, :3] * 255
    differences = np.abs(colours.ramp()[1 : colours.RAMP_STEPS + 1] - truth)
    assert differences.mean() < 1.5
    assert differences.max() < 10  # it is interpolated between eight colours


def test_values_are_places_in_the_ramp() -> None:
    values = np.array([-5, 0, 5, 10, 50, np.nan], dtype=np.float32)
    assert colours.to_index(values, 0, 10).tolist() == [1, 1, 128, 254, 254, colours.MISSING]
    assert colours.to_index(np.array([3.0]), 3, 3).tolist() == [1]


def test_classes_have_colours_of_their_own() -> None:
    assert len({tuple(colour) for colour in colours.classes()[1:8].tolist()}) == 7
