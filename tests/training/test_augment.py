import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from monuseg_cli.imaging.stains import STAINS
from monuseg_cli.training.augment import augment, degrade, jitter_stain
from monuseg_cli.training.recipe import Recipe
from support.tissue import draw_tissue

STILL = Recipe(crop_px=64, flips=False, warp=0.0, scale=0.0, rotation_deg=0.0, elastic_px=0.0, stain=0.0)


def replace(**overrides: float) -> Recipe:
    return dataclasses.replace(STILL, **overrides)  # type: ignore[arg-type] # checked there


@pytest.fixture
def patch() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """A picture that is bright where a nucleus is."""
    labels = np.zeros((96, 96), dtype=np.int32)
    rows, cols = np.indices(labels.shape)
    for number, (row, col) in enumerate([(20, 30), (50, 60), (75, 25), (40, 10), (80, 80)], start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 < 100] = number
    return np.repeat((labels > 0)[..., None] * 200, 3, axis=-1).astype(np.uint8), labels


def test_without_variation_the_patch_comes_as_it_is(patch: tuple[NDArray[np.uint8], NDArray[np.int32]]) -> None:
    image, labels = augment(*patch, replace(crop_px=96), np.random.default_rng(0))
    np.testing.assert_array_equal((image * 255).round(), patch[0])
    np.testing.assert_array_equal(labels, patch[1])


def test_a_warp_that_changes_nothing_is_a_plain_crop(patch: tuple[NDArray[np.uint8], NDArray[np.int32]]) -> None:
    image, labels = augment(*patch, replace(crop_px=96, warp=1.0), np.random.default_rng(0))
    np.testing.assert_allclose(image * 255, patch[0], atol=1)
    np.testing.assert_array_equal(labels, patch[1])


@pytest.mark.parametrize(
    "overrides",
    [
        {"flips": True},
        {"warp": 1.0, "flips": True},
        {"warp": 1.0, "scale": 0.5},
        {"warp": 1.0, "rotation_deg": 180.0},
        {"warp": 1.0, "elastic_px": 3.0},
        {"warp": 1.0, "scale": 0.25, "rotation_deg": 45.0, "elastic_px": 2.0, "flips": True},
    ],
)
def test_image_and_labels_move_together(
    overrides: dict[str, float], patch: tuple[NDArray[np.uint8], NDArray[np.int32]]
) -> None:
    seen = set()
    for seed in range(12):
        image, labels = augment(*patch, replace(**overrides), np.random.default_rng(seed))
        assert (image.shape, labels.shape) == ((64, 64, 3), (64, 64))
        assert (str(image.dtype), str(labels.dtype)) == ("float32", "int32")
        assert 0 <= image.min() <= image.max() <= 1
        # The picture is bilinear and the labels are nearest: half-way values may fall to either side.
        assert ((image[..., 0] > 100 / 255) != (labels > 0)).mean() < 0.01
        seen.add(labels.tobytes())
    assert len(seen) > 8


def test_scaling_changes_areas_by_its_factor(patch: tuple[NDArray[np.uint8], NDArray[np.int32]]) -> None:
    areas = []
    for seed in range(60):
        _, labels = augment(*patch, replace(warp=1.0, scale=0.5, crop_px=48), np.random.default_rng(seed))
        whole = np.bincount(labels[1:-1, 1:-1].reshape(-1), minlength=6)
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        areas += [
            whole[number] / np.count_nonzero(patch[1] == number)
            for number in range(1, 6)
            if whole[number] and number not in edge
        ]
    assert 1 / 1.5**2 * 0.9 < min(areas) < 0.6
    assert 1.7 < max(areas) < 1.5**2 * 1.1


def test_stain_varies_colour_and_leaves_glass_bright() -> None:
    picture, _ = draw_tissue(64, seed=3)
    same = jitter_stain(picture, replace(stain=0.0), np.random.default_rng(0))
    np.testing.assert_allclose(same * 255, picture, atol=0.01)
    varied = [jitter_stain(picture, replace(stain=0.3), np.random.default_rng(seed)) for seed in range(20)]
    means = np.array([image.mean(axis=(0, 1)) for image in varied])
    assert (means.std(axis=0) > 0.01).all()
    assert np.abs(means - picture.mean(axis=(0, 1)) / 255).max() < 0.25
    glass = np.full((8, 8, 3), 255, dtype=np.uint8)
    assert min(jitter_stain(glass, replace(stain=0.3), np.random.default_rng(seed)).min() for seed in range(20)) > 0.9


def test_a_stronger_stain_is_darker_where_there_is_stain() -> None:
    """Haematoxylin and eosin at twice the amount have twice the optical density."""

    class Fixed:
        def uniform(self, low: float, high: float, size: Any) -> Any:
            del low
            return np.full(size, high) if size == (3, 1) else np.zeros(size)

        def normal(self, size: Any) -> Any:
            return np.zeros(size)

    picture = np.full((4, 4, 3), (180, 120, 200), dtype=np.uint8)
    varied = jitter_stain(picture, replace(stain=1.0), Fixed())  # type: ignore[arg-type] # stands in for a generator
    density = -np.log((picture[0, 0] + 1.0) / 256)
    np.testing.assert_allclose(varied[0, 0] * 255, np.exp(-2 * density) * 256 - 1, atol=0.01)


def densities(**overrides: float) -> NDArray[np.float64]:
    """Measure how many times the optical density of haematoxylin, eosin and the rest has become, over many crops."""
    amounts = np.array([0.8, 0.5, 0.3])
    pixel = (np.exp(-(amounts @ STAINS)) * 256 - 1).round()
    picture = np.full((2, 2, 3), pixel, dtype=np.uint8)
    seen = [jitter_stain(picture, replace(**overrides), np.random.default_rng(seed))[0, 0] for seed in range(400)]
    factors: NDArray[np.float64] = -np.log((np.array(seen) * 255 + 1) / 256) @ np.linalg.inv(STAINS) / amounts
    return factors


def test_pale_and_dark_bound_the_stains_and_lean_towards_pale() -> None:
    factors = densities(stain_min=0.25, stain_max=1.6)
    assert factors[:, :2].min() == pytest.approx(0.25, abs=0.03)
    assert factors[:, :2].max() == pytest.approx(1.6, abs=0.06)
    assert np.median(factors[:, 0]) == pytest.approx(np.sqrt(0.25 * 1.6), abs=0.08)
    together = np.isclose(factors[:, 0], factors[:, 1], atol=0.02)
    assert 0.4 < together.mean() < 0.6
    kept = np.isclose(factors[:, 2], 1, atol=0.03)
    assert 0.65 < kept.mean() < 0.85  # else thickness or light, by which everything is paler


def test_the_scanner_varies_gamma_white_point_and_saturation() -> None:
    white = np.full((2, 2, 3), 255, dtype=np.uint8)
    seen = np.array([jitter_stain(white, replace(scanner=0.4), np.random.default_rng(n))[0, 0] for n in range(200)])
    assert 0.75 < seen.min() < 0.85
    assert (np.ptp(seen, axis=1) > 0.05).any()
    gammas = densities(scanner=0.4)[:, 0]
    assert gammas.min() < 0.9 < 1.2 < gammas.max()


def test_a_warp_shows_nothing_beyond_the_patch() -> None:
    image, labels = np.full((64, 64, 3), 200, dtype=np.uint8), np.ones((64, 64), dtype=np.int32)
    for seed in range(20):
        recipe = replace(warp=1.0, rotation_deg=180.0, scale=0.5, elastic_px=6.0)
        varied, moved = augment(image, labels, recipe, np.random.default_rng(seed))
        np.testing.assert_allclose(varied, 200 / 255, atol=0.005)
        assert (moved == 1).all()


def test_brightness_scales_all_channels_alike() -> None:
    picture = np.full((64, 64, 3), (100, 50, 150), dtype=np.uint8)
    labels = np.zeros((64, 64), dtype=np.int32)
    seen = [augment(picture, labels, replace(brightness=0.2), np.random.default_rng(seed))[0] for seed in range(20)]
    factors = np.array([image[0, 0] / (picture[0, 0] / 255) for image in seen])
    np.testing.assert_allclose(factors, factors[:, :1].repeat(3, axis=1), rtol=1e-5)
    assert 0.8 <= factors.min() < 0.9
    assert 1.1 < factors.max() <= 1.2


@pytest.mark.parametrize(
    ("overrides", "changes"),
    [
        ({"blur_px": 3.0, "noise": 0.0, "jpeg_quality": 100}, "fewer edges"),
        ({"blur_px": 0.0, "noise": 0.2, "jpeg_quality": 100}, "more edges"),
        ({"blur_px": 0.0, "noise": 0.0, "jpeg_quality": 5}, "compressed"),
    ],
)
def test_degraded_images_lose_quality_and_nothing_else(overrides: dict[str, Any], changes: str) -> None:
    picture = draw_tissue(64, seed=3)[0].astype(np.float32) / np.float32(255)
    recipe = replace(degrade=1.0, **overrides)
    worse = [degrade(picture, recipe, np.random.default_rng(seed)) for seed in range(8)]
    assert all(image.dtype == np.float32 and image.min() >= 0 and image.max() <= 1 for image in worse)
    assert all(abs(float(image.mean() - picture.mean())) < 0.05 for image in worse)
    roughness = [float(np.abs(np.diff(image, axis=0)).mean()) for image in (*worse, picture)]
    errors = [float(np.abs(image - picture).mean()) for image in worse]
    assert max(errors) > 0.01
    if changes == "fewer edges":
        assert min(roughness) < 0.7 * roughness[-1]
    if changes == "more edges":
        assert max(roughness) > 1.3 * roughness[-1]


def test_turned_views_are_degraded_like_their_copies() -> None:
    picture = np.rot90(draw_tissue(64, seed=3)[0])[::-1].astype(np.float32) / np.float32(255)
    assert not picture.flags.c_contiguous
    recipe = replace(degrade=0.5)
    for seed in range(16):  # some are compressed alone: blur and noise make copies
        view, copy = (
            degrade(image, recipe, np.random.default_rng(seed)) for image in (picture, picture.copy(order="C"))
        )
        np.testing.assert_allclose(view, copy, atol=1e-6)


def test_a_share_of_images_is_degraded() -> None:
    picture = draw_tissue(64, seed=3)[0].astype(np.float32) / np.float32(255)
    recipe = replace(degrade=0.2)
    same = sum(degrade(picture, recipe, np.random.default_rng(seed)) is picture for seed in range(300))
    assert same / 300 == pytest.approx(0.8**3, abs=0.08)


def test_a_share_of_crops_is_blank(patch: tuple[NDArray[np.uint8], NDArray[np.int32]]) -> None:
    crops = [augment(*patch, replace(blank_prob=0.3), np.random.default_rng(seed)) for seed in range(200)]
    blank = [image for image, labels in crops if not labels.any()]
    assert len(blank) / len(crops) == pytest.approx(0.3, abs=0.1)
    assert all(image.shape == (64, 64, 3) and 0 <= image.min() <= image.max() <= 1 for image in blank)
    means = [image.mean() for image in blank]
    assert min(means) < 0.3
    assert max(means) > 0.85
