import numpy as np
import pytest
from skimage.color import rgb2hed

from monuseg_cli.imaging.stains import STAINS, haematoxylin_density, stain_percentiles
from support.tissue import draw_tissue


def test_white_has_no_density_and_one_stain_only_its_own() -> None:
    assert haematoxylin_density(np.full((1, 1, 3), 255, dtype=np.uint8)).item() == 0
    pure = 256 * 10.0 ** -(np.array([0.8, 0.0, 0.0]) @ STAINS) - 1
    eosin = 256 * 10.0 ** -(np.array([0.0, 0.8, 0.0]) @ STAINS) - 1
    pixels = np.array([[pure, eosin]]).round().astype(np.uint8)
    np.testing.assert_allclose(haematoxylin_density(pixels), [[0.8, 0.0]], atol=0.01)


def test_it_ranks_pixels_as_scikit_image_does() -> None:
    picture, _ = draw_tissue(64, seed=3)
    theirs = rgb2hed(picture)[..., 0]
    assert np.corrcoef(haematoxylin_density(picture).reshape(-1), theirs.reshape(-1))[0, 1] > 0.98


def test_percentiles_are_those_of_the_tissue_alone() -> None:
    random = np.random.default_rng(0)
    amounts = random.uniform(0.3, 0.9, (4000, 3)) * (1, 0.5, 0)
    tissue = (np.exp(-(amounts @ STAINS)) * 256 - 1).round().astype(np.uint8)
    glass = np.full((6000, 3), 245, dtype=np.uint8)
    found = stain_percentiles(np.concatenate([tissue, glass]).reshape(100, 100, 3))
    assert found["haematoxylin"] == pytest.approx((0.6, 0.87), abs=0.02)
    assert found["eosin"] == pytest.approx((0.3, 0.435), abs=0.02)
    assert stain_percentiles(glass) == {}
