import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2hed

from monuseg_cli.imaging.stains import STAINS, StainMatch, find_levels, haematoxylin_density, select_stained
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


def paint(haematoxylin: NDArray[np.float64], eosin: NDArray[np.float64], other: float = 0.0) -> NDArray[np.uint8]:
    """Paint pixels (N, 3) of these natural optical densities."""
    density = np.stack([haematoxylin, eosin, np.full_like(eosin, other)], axis=-1) @ STAINS
    return (256 * np.exp(-density) - 1).round().clip(0, 255).astype(np.uint8)


def random_tissue(strength: float, seed: int = 0) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return paint(strength * random.uniform(0.2, 1.6, 20_000), strength * random.uniform(0.3, 0.9, 20_000))


def test_levels_are_percentiles_of_each_stain() -> None:
    levels = find_levels(select_stained(random_tissue(1.0)))
    np.testing.assert_allclose(levels["haematoxylin"], [0.9, 1.53], atol=0.03)
    np.testing.assert_allclose(levels["eosin"], [0.6, 0.87], atol=0.03)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.full((5000, 3), 243, dtype=np.uint8), id="glass"),
        pytest.param(np.full((5000, 3), (20, 60, 200), dtype=np.uint8), id="blue ink"),
        pytest.param(np.full((5000, 3), (139, 90, 43), dtype=np.uint8), id="DAB"),
        pytest.param(random_tissue(1.0)[:300], id="a few pixels"),
    ],
)
def test_what_is_not_stained_with_h_and_e_has_no_levels(pixels: NDArray[np.uint8]) -> None:
    assert find_levels(select_stained(pixels)) == {}


@pytest.mark.parametrize("strength", [0.55, 1.0, 1.7])
def test_matching_brings_both_levels_of_both_stains_to_those_wanted(strength: float) -> None:
    wanted = find_levels(select_stained(random_tissue(1.0, seed=1)))
    found = find_levels(select_stained(random_tissue(strength)))
    matched = StainMatch(found, wanted).apply(random_tissue(strength)[None])[0]
    levels = find_levels(select_stained(matched))
    np.testing.assert_allclose(levels["haematoxylin"], wanted["haematoxylin"], atol=0.03)
    np.testing.assert_allclose(levels["eosin"], wanted["eosin"], atol=0.03)


def test_matching_to_the_same_levels_changes_nothing() -> None:
    image = random_tissue(1.0).reshape(100, 200, 3)
    levels = find_levels(select_stained(image.reshape(-1, 3)))
    assert np.abs(StainMatch(levels, levels).apply(image).astype(int) - image).max() <= 1


def test_faint_texture_is_at_most_doubled() -> None:
    faint = {"haematoxylin": (0.30, 0.32), "eosin": (0.30, 0.32)}
    match = StainMatch(faint, {"haematoxylin": (0.86, 2.15), "eosin": (0.39, 0.66)})
    image = paint(np.array([0.30, 0.32]), np.array([0.30, 0.30]))[None]
    before, after = (haematoxylin_density(pixels)[0] for pixels in (image, match.apply(image)))
    assert after[1] - after[0] == pytest.approx(2 * (before[1] - before[0]), abs=0.02)
