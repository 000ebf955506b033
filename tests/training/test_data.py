import pickle

import numpy as np
import pytest
import torch

from conftest import RECIPE
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.dataset.patches import PatchStore
from monuseg_cli.paths import Home
from monuseg_cli.training.augment import vary
from monuseg_cli.training.data import TrainBatches, validation_batches
from monuseg_cli.training.recipe import Augment


@pytest.fixture
def store(trained_home: Home) -> PatchStore:
    return PatchStore.load(PatchesConfig(trained_home.dataset, RECIPE.patch_px, RECIPE.stride_px).folder)


def test_batches_are_the_same_for_the_same_epoch_and_others_for_another(store: PatchStore) -> None:
    indices = np.arange(10)
    first = [images for images, _ in TrainBatches(store, indices, RECIPE, 1).epoch(1)]
    again = [images for images, _ in TrainBatches(store, indices, RECIPE, 1).epoch(1)]
    other = [images for images, _ in TrainBatches(store, indices, RECIPE, 1).epoch(2)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_every_patch_once_and_a_last_batch_that_cannot_be_trained_on_dropped(store: PatchStore) -> None:
    indices = np.arange(RECIPE.batch_size + 1)
    assert [len(images) for images, _ in TrainBatches(store, indices, RECIPE, 1).epoch(1)] == [8, 1]
    assert [len(images) for images, _ in TrainBatches(store, indices, RECIPE, 2).epoch(1)] == [8]


def test_a_store_goes_to_another_process_by_its_folder(store: PatchStore) -> None:
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).images, store.images)


def test_validation_is_the_store_as_it_is(store: PatchStore) -> None:
    images, masks = next(iter(validation_batches(store, np.array([3, 7]), 2)))
    assert (images.shape, masks.shape) == ((2, 3, 64, 64), (2, 1, 64, 64))
    np.testing.assert_array_equal((images[1] * 255).round().byte().permute(1, 2, 0), store.images[7])
    np.testing.assert_array_equal(masks[0, 0], store.labels[3] > 0)


@pytest.mark.parametrize("augment", ["flips", "flips+colour"])
def test_image_and_mask_are_turned_together(augment: Augment) -> None:
    random = np.random.default_rng(0)
    mask = random.random((16, 16)) > 0.5
    image = np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 200
    seen = set()
    for seed in range(40):
        varied, target = vary(image, mask, augment, np.random.default_rng(seed))
        assert varied.dtype == target.dtype == np.float32
        assert 0 <= varied.min() <= varied.max() <= 1
        np.testing.assert_array_equal(varied.mean(axis=-1) > 0.35, target > 0)
        seen.add(target.tobytes())
    assert len(seen) == 8
