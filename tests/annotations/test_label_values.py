import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from monuseg_cli.annotations.label_values import number_nuclei
from monuseg_cli.imaging.to_rgb import ImageError

MASK = np.zeros((200, 200), dtype=bool)
for _row in range(20, 200, 40):
    for _col in range(20, 200, 40):
        MASK[_row - 8 : _row + 8, _col - 8 : _col + 8] = True
LABELS = ndimage.label(MASK)[0].astype(np.int32)
ROUND = np.hypot(*(np.mgrid[:200, :200] % 40 - 20)) < 13.0


def jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(mask: NDArray[np.bool_], side: int, how: Image.Resampling) -> NDArray[Any]:
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((side, side), how))


def same_nuclei(labels: NDArray[np.int32], mask: NDArray[np.bool_]) -> bool:
    """Tell whether each connected part of a mask has its own label, and no pixel beside the rims differs."""
    inside = ndimage.binary_erosion(mask)
    outside = ~ndimage.binary_dilation(mask)
    parts, count = ndimage.label(mask)
    numbers = {tuple(np.unique(labels[inside & (parts == part)])) for part in range(1, count + 1)}
    return not labels[outside].any() and len(numbers) == count == labels.max() and all(len(one) == 1 for one in numbers)


@pytest.mark.parametrize(
    "pixels",
    [
        MASK,
        MASK.astype(np.uint8),
        MASK.astype(np.uint16) * 65535,
        MASK.astype(np.float32),
        MASK.astype(np.float64) * 255,
        np.repeat(MASK[..., None] * np.uint8(255), 3, axis=2),
        np.repeat(MASK[None] * np.uint8(255), 3, axis=0),
        np.dstack([MASK * np.uint8(255)] * 3 + [np.full(MASK.shape, 255, np.uint8)]),
        np.dstack([MASK * np.uint8(255), np.full(MASK.shape, 255, np.uint8)]),
    ],
)
def test_masks_of_any_type_are_read(pixels: NDArray[Any]) -> None:
    labels, note = number_nuclei(pixels)
    np.testing.assert_array_equal(labels, LABELS)
    assert note is None


@pytest.mark.parametrize(
    "pixels", [LABELS, LABELS.astype(np.float64), LABELS.astype(np.uint8), np.dstack([LABELS.astype(np.uint16)] * 3)]
)
def test_label_images_of_any_type(pixels: NDArray[Any]) -> None:
    labels, note = number_nuclei(pixels)
    np.testing.assert_array_equal(labels, LABELS)
    assert note is None


@pytest.mark.parametrize("mask", [MASK, ROUND])
@pytest.mark.parametrize(
    "soften",
    [
        *(
            lambda mask, quality=quality: jpeg(mask.astype(np.uint8) * 255, quality)
            for quality in (30, 60, 75, 90, 95, 99)
        ),
        lambda mask: jpeg(mask.astype(np.uint8) * 200, 75),
        lambda mask: resized(mask, 300, Image.Resampling.BILINEAR),
        lambda mask: resized(mask, 300, Image.Resampling.BICUBIC),
        lambda mask: resized(mask, 120, Image.Resampling.LANCZOS),
        lambda mask: resized(mask, 333, Image.Resampling.BILINEAR).astype(np.uint16) * 257,
        lambda mask: np.clip(ndimage.zoom(mask.astype(np.float32), 1.5, order=1), 0, 1),
        lambda mask: np.rint(ndimage.gaussian_filter(mask * 255.0, 1)).astype(np.uint8),
    ],
)
def test_grey_rims_around_a_mask_are_cut(
    mask: NDArray[np.bool_], soften: Callable[[NDArray[np.bool_]], NDArray[Any]]
) -> None:
    soft = soften(mask)
    labels, note = number_nuclei(soft)
    wanted = np.asarray(Image.fromarray(mask).resize(soft.shape[::-1], Image.Resampling.NEAREST))
    assert same_nuclei(labels, wanted)
    assert note is not None
    assert "values, threshold" in note


def test_a_jpeg_of_the_best_quality_is_a_mask() -> None:
    soft = jpeg(ROUND.astype(np.uint8) * 255, 100)
    assert set(np.unique(soft)) == {0, 1, 254, 255}
    labels, note = number_nuclei(soft)
    np.testing.assert_array_equal(labels, ndimage.label(ROUND)[0])
    assert note == "4 values, threshold 127.5"


def test_two_labels_far_apart_are_labels() -> None:
    pixels = np.where(LABELS == 3, 255, LABELS == 1).astype(np.uint8)
    labels, note = number_nuclei(pixels)
    np.testing.assert_array_equal(labels, pixels)
    assert note is None


@pytest.mark.parametrize("quality", [75, 90, 95])
@pytest.mark.parametrize("offset", range(8))
def test_a_jpeg_whose_nuclei_lie_along_its_blocks_is_a_mask(quality: int, offset: int) -> None:
    """Half of them are as sharp as before, and the others have but faint ringing."""
    mask = np.zeros((256, 256), dtype=bool)
    for row in range(offset + 20, 240, 60):
        for col in range(offset + 20, 240, 60):
            mask[row : row + 16, col : col + 16] = True
    labels, note = number_nuclei(jpeg(mask.astype(np.uint8) * 255, quality))
    np.testing.assert_array_equal(labels, ndimage.label(mask)[0])
    assert note is not None


def test_label_images_are_not_thresholded_as_soft_masks() -> None:
    slivers = LABELS + 230 * (LABELS > 0)  # 231 to 255, of which each is high
    slivers[0, 0:3], slivers[0, 60:62] = 3, 9
    few = np.select([LABELS == 3, LABELS == 9], [4, 5], 0)
    tiny = np.zeros((60, 60), dtype=np.int32)
    tiny[::3, ::3] = np.arange(1, 401).reshape(20, 20)
    touching = np.arange(1, 101).reshape(10, 10).repeat(8, axis=0).repeat(8, axis=1)
    for labels in (slivers, few, tiny, np.pad(touching, 30)):
        found, note = number_nuclei(labels)
        np.testing.assert_array_equal(found, labels)
        assert note is None


_CELLS = np.zeros((20, 8, 20, 8), dtype=np.int32)
_CELLS[:, 1:7, :, 1:7] = np.arange(1, 401).reshape(20, 1, 20, 1)
GRID = _CELLS.reshape(160, 160)
BORDER = MASK & ~ndimage.binary_erosion(MASK, iterations=2)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        pytest.param(MASK + np.uint8(1), "it holds 1 and 2 but no 0, like an ilastik segmentation", id="ilastik"),
        pytest.param(LABELS + 1, "no pixel is 0, and 1 covers 84%", id="background 1"),
        pytest.param(LABELS % 3 + MASK, "each of its 3 values forms 8.33 separate pieces", id="types"),
        pytest.param(
            MASK + BORDER.astype(int), "each of its 2 values forms 25 separate pieces.*interiors and borders", id="1, 2"
        ),
        pytest.param(MASK * 2 - BORDER.astype(int), "interiors and borders", id="2 inside, 1 around"),
        pytest.param((MASK * 255 - BORDER * 127).astype(np.uint8), "interiors and borders", id="128 around 255"),
        pytest.param(np.dstack([LABELS, LABELS * 2, LABELS]).astype(np.uint8), "its channels differ", id="colours"),
        pytest.param(ndimage.gaussian_filter(MASK * 1.0, 6), "fractions, like a probability map", id="probable"),
        pytest.param(np.where(MASK, np.nan, 1.0), "not finite", id="nan"),
        pytest.param(MASK - 0.5, "fractions from -0.5 to 0.5", id="logits"),
        pytest.param(ndimage.zoom(LABELS, 1.5, order=1), "labels that were interpolated", id="interpolated"),
        pytest.param(jpeg(LABELS.astype(np.uint8) * 10, 90), "interpolated or saved as JPEG", id="JPEG of labels"),
        pytest.param(
            ndimage.gaussian_filter(np.random.default_rng(0).normal(128, 400, (200, 200)), 3)
            .clip(0, 255)
            .astype(np.uint8),
            "its values change from pixel to pixel, as in a photo",
            id="a picture",
        ),
        pytest.param(
            ((np.arange(400).reshape(20, 20) % 255 + 1).repeat(8, axis=0).repeat(8, axis=1)).astype(np.uint8),
            "it holds 255 labels up to 255, the largest number of 8 bits",
            id="8 bits",
        ),
        pytest.param(
            np.minimum(GRID, 255),
            "it holds 255 labels up to 255",
            id="cut at 255",
        ),
    ],
)
def test_values_other_than_labels_are_refused(pixels: NDArray[Any], reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        number_nuclei(pixels)


def test_255_nuclei_in_more_bits_are_labels() -> None:
    labels = np.zeros((17 * 8, 17 * 8), dtype=np.int32)
    labels[1:-1, 1:-1] = np.arange(1, 290).reshape(17, 17).repeat(8, axis=0).repeat(8, axis=1)[1:-1, 1:-1]
    labels[labels > 255] = 0
    np.testing.assert_array_equal(number_nuclei(labels)[0], labels)
    with pytest.raises(ImageError, match="save it in 16 or 32 bits"):
        number_nuclei(labels.astype(np.uint8))
