import numpy as np
import pytest
from numpy.typing import NDArray

from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.nuclei.postprocess_params import PostprocessParams
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.training.recipe import AuxTarget
from monuseg_cli.training.targets import CLASSES, make_targets
from support.tissue import ellipse

NUCLEUS = ("nucleus",)


def probability_of(*ellipses: tuple[float, float, float, float], size: int = 128) -> NDArray[np.float32]:
    raster = rasterise([ellipse(*shape) for shape in ellipses], (size, size))
    return (raster.labels > 0).astype(np.float32)


def test_two_that_touch_are_two() -> None:
    labels = postprocess(
        probability_of((60, 45, 14, 16), (60, 75, 14, 16))[None], NUCLEUS, 0.25, PostprocessParams(0.5, 8)
    )
    assert labels.max() == 2
    assert len({int(labels[60, 40]), int(labels[60, 80]), 0}) == 3


def test_an_oval_with_a_ragged_outline_is_one() -> None:
    probability = probability_of((60, 60, 10, 24))
    probability[50:70:3] *= probability[51:71:3]
    assert postprocess(probability[None], NUCLEUS, 0.25, PostprocessParams(0.5, 8)).max() == 1


def test_the_mask_is_the_threshold_at_or_above() -> None:
    probability = np.full((20, 20), 0.3, dtype=np.float32)
    assert (postprocess(probability[None], NUCLEUS, 0.25, PostprocessParams(0.3, 0)) == 1).all()
    assert not postprocess(probability[None], NUCLEUS, 0.25, PostprocessParams(0.31, 0)).any()


def test_small_ones_are_dropped_small_holes_filled_and_large_ones_kept_open() -> None:
    probability = probability_of((20, 20, 2, 2), (70, 70, 30, 30))
    probability[70, 70] = 0
    labels = postprocess(probability[None], NUCLEUS, 0.25, PostprocessParams(0.5, 2))  # 32 pixels
    assert labels.max() == 1
    assert labels[70, 70] == 1
    probability[60:80, 60:80] = 0
    assert not postprocess(probability[None], NUCLEUS, 0.25, PostprocessParams(0.5, 2))[65:75, 65:75].any()


def test_a_gap_at_the_border_is_no_hole() -> None:
    probability = np.ones((40, 40), dtype=np.float32)
    probability[:5, :5] = 0
    assert not postprocess(probability[None], NUCLEUS, 0.25, PostprocessParams(0.5, 8))[:5, :5].any()


def test_the_smallest_area_is_in_square_micrometres() -> None:
    probability = probability_of((60, 60, 6, 6))  # 113 pixels: 7 um2 at 0.25, 28 um2 at 0.5
    assert postprocess(probability[None], NUCLEUS, 0.25, PostprocessParams(0.5, 8)).max() == 0
    assert postprocess(probability[None], NUCLEUS, 0.5, PostprocessParams(0.5, 8)).max() == 1


def test_every_component_keeps_a_label_also_beside_a_larger_one() -> None:
    probability = probability_of((60, 60, 20, 20), size=128)
    probability[58:62, 81:83] = 1  # one column of background between
    labels = postprocess(probability[None], NUCLEUS, 0.25, PostprocessParams(0.5, 0))
    assert set(np.unique(labels[probability > 0])) == {1, 2}


def test_a_piece_too_small_goes_to_the_nucleus_that_it_touches() -> None:
    nucleus = probability_of((60, 60, 30, 30))
    boundary = np.zeros_like(nucleus)
    boundary[:, 78:80] = 1  # parts a cap of some 310 pixels, 19 um2, from the rest
    maps = np.stack([nucleus, boundary])
    assert postprocess(maps, CLASSES["boundary"], 0.25, PostprocessParams(min_area_um2=8, smoothing_um=0.25)).max() == 2
    labels = postprocess(maps, CLASSES["boundary"], 0.25, PostprocessParams(min_area_um2=25, smoothing_um=0.25))
    np.testing.assert_array_equal(labels, nucleus)


def test_a_nucleus_torn_into_small_pieces_is_one() -> None:
    nucleus = probability_of((60, 60, 8, 8))
    boundary = np.zeros_like(nucleus)
    boundary[59:61] = boundary[:, 59:61] = 1
    maps = np.stack([nucleus, boundary])
    whole = float(nucleus.sum()) * 0.25**2
    labels = postprocess(maps, CLASSES["boundary"], 0.25, PostprocessParams(min_area_um2=0.9 * whole, smoothing_um=0.1))
    np.testing.assert_array_equal(labels, nucleus)


def test_maps_of_one_pixel_are_processed() -> None:
    for value in (0, 1):
        pixel = np.full((1, 1), value, dtype=np.float32)
        assert postprocess(pixel[None], NUCLEUS, 0.25, PostprocessParams(0.5, 0)).tolist() == [[value]]


@pytest.mark.parametrize("second", ["boundary", "distance", "hv"])
def test_auxiliary_targets_separate_touching_nuclei(second: AuxTarget) -> None:
    labels = np.zeros((96, 96), dtype=np.int32)
    labels[30:60, 20:44], labels[30:60, 44:70], labels[60:80, 30:60] = 1, 2, 3
    maps = make_targets(labels, second)
    assert postprocess(maps[:1], NUCLEUS, 0.25, PostprocessParams(0.5, 8)).max() < 3
    found = postprocess(maps, CLASSES[second], 0.25, PostprocessParams(0.5, 8))
    assert found.max() == 3
    for number in (1, 2, 3):
        of_one = np.bincount(found[labels == number])
        assert of_one.max() > 0.9 * of_one.sum()
