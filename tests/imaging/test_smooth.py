import numpy as np
import pytest
from scipy import ndimage

from monuseg_cli.imaging.smooth import dilate, gaussian_smooth


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 40), (90, 700)])
@pytest.mark.parametrize("sigma", [0.0, 0.2, 1.7, 11.3])
def test_smoothing_equals_that_of_scipy_to_the_last_bit(shape: tuple[int, int], sigma: float) -> None:
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    smooth = gaussian_smooth(image, sigma)
    assert smooth.dtype == np.float32
    np.testing.assert_array_equal(smooth, ndimage.gaussian_filter(image, sigma))


def test_an_empty_image_stays_empty() -> None:
    assert gaussian_smooth(np.empty((0, 5), dtype=np.float32), 1.0).shape == (0, 5)
    assert dilate(np.zeros((0, 5), dtype=bool), 3.0).shape == (0, 5)


@pytest.mark.parametrize("radius", [0, 1, 2.5, 5, 6.25, 13, 300])
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (60, 200)])
def test_dilation_reaches_all_pixels_within_the_radius(shape: tuple[int, int], radius: float) -> None:
    mask = np.random.default_rng(1).random(shape) < 0.01
    mask[-1, -1] = True
    np.testing.assert_array_equal(dilate(mask, radius), ndimage.distance_transform_edt(~mask) <= radius)


def test_nothing_dilates_to_nothing() -> None:
    assert not dilate(np.zeros((7, 9), dtype=bool), 100.0).any()
