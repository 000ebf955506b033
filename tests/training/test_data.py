import dataclasses
import pickle
import threading

import numpy as np
import pytest
import torch

from conftest import RECIPE
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.dataset.patches import PatchStore
from monuseg_cli.training.data import CropDataset, Pool, TrainBatches, validation_batches
from monuseg_cli.training.recipe import Recipe


@pytest.fixture
def store(trained_home: Home) -> PatchStore:
    return PatchStore.load(PatchesConfig(trained_home.dataset, RECIPE.patch_px, RECIPE.stride_px).folder)


def plain(**overrides: object) -> Recipe:
    """Take each patch as it is."""
    overrides = {"crop_px": 64, "flips": False, "warp": 0.0, "stain": 0.0, "aux_target": "none", **overrides}
    return dataclasses.replace(RECIPE, **overrides)  # type: ignore[arg-type] # checked there


def test_batches_are_the_same_for_the_same_epoch_and_others_for_another(store: PatchStore) -> None:
    indices = np.arange(10)
    first = [images for images, _ in TrainBatches([Pool(store, indices)], RECIPE).epoch(1)]
    again = [images for images, _ in TrainBatches([Pool(store, indices)], RECIPE).epoch(1)]
    other = [images for images, _ in TrainBatches([Pool(store, indices)], RECIPE).epoch(2)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_as_many_crops_of_every_case_from_its_patches_in_turn(store: PatchStore) -> None:
    indices = np.array([0, 1, 2, 3, 4])  # four patches of a case, one of the next
    dataset = CropDataset([Pool(store, indices)], plain(crops_per_case=3))
    seen: list[list[int]] = [[], []]
    for epoch in range(4):
        dataset.epoch = epoch
        crops = [(dataset[position][0] * 255).round().byte().permute(1, 2, 0).numpy() for position in range(6)]
        for case, patch in enumerate(crops):
            found = [index for index in indices.tolist() if np.array_equal(store.images[index], patch)]
            seen[case // 3] += found
    assert sorted(seen[0]) == sorted([0, 1, 2, 3] * 3)
    assert seen[1] == [4] * 12


def test_a_weight_multiplies_the_crops_of_a_data_sets_cases(store: PatchStore) -> None:
    pools = [Pool(store, np.arange(4)), Pool(store, np.arange(4, 12), 0.5), Pool(store, np.array([12]), 0.01)]
    dataset = CropDataset(pools, plain(crops_per_case=4))  # one case, two, and one
    assert [number for number, _ in dataset.crops] == [0, 0, 0, 0, 1, 1, 2, 2, 3]
    assert np.array_equal((dataset[8][0] * 255).round().byte().permute(1, 2, 0).numpy(), store.images[12])


def test_a_last_batch_that_cannot_be_trained_on_is_dropped(store: PatchStore) -> None:
    indices, once = np.arange(36), dataclasses.replace(RECIPE, crops_per_case=1)  # nine cases
    assert [len(images) for images, _ in TrainBatches([Pool(store, indices)], once).epoch(1)] == [8, 1]
    deeplab = dataclasses.replace(once, arch="deeplabv3", options={})
    assert [len(images) for images, _ in TrainBatches([Pool(store, indices)], deeplab).epoch(1)] == [8]
    with pytest.raises(InputError, match="1 crops are too few for a batch of 2, which deeplabv3 needs"):
        TrainBatches([Pool(store, indices[:1])], deeplab)


def test_several_crops_of_a_patch_are_different_ones(store: PatchStore) -> None:
    recipe = plain(crop_px=32, crops_per_case=3)
    dataset = CropDataset([Pool(store, np.array([5]))], recipe)
    crops = [dataset[position][0] for position in range(len(dataset))]
    assert len(crops) == 3
    assert all(crop.shape == (3, 32, 32) for crop in crops)
    assert not torch.equal(crops[0], crops[1])
    windows = np.lib.stride_tricks.sliding_window_view(store.images[5], (32, 32), axis=(0, 1))
    wanted = (crops[0] * 255).round().byte().numpy()
    assert (windows == wanted).all(axis=(2, 3, 4)).any()


@pytest.mark.parametrize("left", [0, 1, 5])
def test_the_processes_batches_are_together_one_larger_batch(store: PatchStore, left: int) -> None:
    cases = 16 + left
    indices = np.arange(4 * cases)
    alone = plain(batch_size=8, crops_per_case=1)
    one = [images for images, _ in TrainBatches([Pool(store, indices)], alone).epoch(3)]
    shares = [
        [
            images
            for images, _ in TrainBatches([Pool(store, indices)], plain(batch_size=4, crops_per_case=1), rank, 2).epoch(
                3
            )
        ]
        for rank in range(2)
    ]
    together = [torch.cat(batches) for batches in zip(*shares, strict=True)]
    assert sum(map(len, together)) == cases // 2 * 2
    for mine, theirs in zip(one, together, strict=False):
        assert torch.equal(mine[: len(theirs)], theirs)


def test_a_store_goes_to_another_process_by_its_folder(store: PatchStore) -> None:
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).images, store.images)


def test_validation_is_the_store_as_it_is_window_by_window(store: PatchStore) -> None:
    images, targets = next(iter(validation_batches(store, np.array([3, 7]), plain(crop_px=32, batch_size=8))))
    assert (images.shape, targets.shape) == ((8, 3, 32, 32), (8, 1, 32, 32))
    np.testing.assert_array_equal((images[7] * 255).round().byte().permute(1, 2, 0), store.images[7][32:, 32:])
    np.testing.assert_array_equal(targets[1, 0], store.labels[3][:32, 32:] > 0)
    shares = [validation_batches(store, np.arange(5), plain(), rank, 2) for rank in range(2)]
    assert sum(len(images) for share in shares for images, _ in share) == 5


def test_what_fails_while_crops_are_made_is_raised_where_they_are_used(store: PatchStore) -> None:
    threads = threading.active_count()
    cut_off = dataclasses.replace(store, images=store.images[:1])
    batches = TrainBatches([Pool(cut_off, np.array([0, 1]))], plain(batch_size=1))
    with pytest.raises(IndexError):
        list(batches.epoch(1))
    assert threading.active_count() == threads


def test_leaving_an_epoch_early_ends_its_thread(store: PatchStore) -> None:
    threads = threading.active_count()
    epoch = TrainBatches([Pool(store, np.arange(40))], plain(batch_size=1)).epoch(1)
    next(epoch)
    assert threading.active_count() == threads + 1
    del epoch
    assert threading.active_count() == threads
