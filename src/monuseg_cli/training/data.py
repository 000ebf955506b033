"""Patch store -> batches, the same for the same seed and epoch wherever they are made."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from monuseg_cli.dataset.patches import PatchStore
from monuseg_cli.training.augment import vary
from monuseg_cli.training.recipe import Augment, Recipe


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """Patches of a store, varied by random numbers that depend on seed, epoch and patch alone.

    Parameters
    ----------
    store : PatchStore
        Where patches come from.
    indices : ndarray of shape (N,), intp
        Which of the store's patches.
    augment : {"none", "flips", "flips+colour"}
        See `Recipe`.
    seed : int
        See `Recipe`.
    """

    def __init__(self, store: PatchStore, indices: NDArray[np.intp], augment: Augment, seed: int) -> None:
        self.store = store
        self.indices = indices
        self.augment: Augment = augment
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """Count the patches."""
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        """Give the image (3, P, P) and the mask (1, P, P) of one patch, float32."""
        index = self.indices[position]
        random = np.random.default_rng([self.seed, self.epoch, int(index)])
        image, mask = vary(self.store.images[index], self.store.labels[index] > 0, self.augment, random)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask)[None]


class EpochSampler(Sampler[int]):
    """The order of an epoch, which depends on seed and epoch alone."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """Count the patches of an epoch."""
        return self.size

    def __iter__(self) -> Iterator[int]:
        """Go through all positions in the epoch's order."""
        random = np.random.default_rng([self.seed, self.epoch])
        return iter(random.permutation(self.size).tolist())


class TrainBatches:
    """The batches of one epoch after the other.

    Parameters
    ----------
    store : PatchStore
        Where patches come from.
    indices : ndarray of shape (N,), intp
        The train patches.
    recipe : Recipe
        Batch size, augmentation, seed and workers.
    min_batch : int
        A last batch smaller than this is dropped, since the architecture cannot be trained on it.
    """

    def __init__(self, store: PatchStore, indices: NDArray[np.intp], recipe: Recipe, min_batch: int) -> None:
        self._patches = PatchDataset(store, indices, recipe.augment, recipe.seed)
        self._sampler = EpochSampler(len(indices), recipe.seed)
        self._loader = DataLoader(
            self._patches,
            batch_size=recipe.batch_size,
            sampler=self._sampler,
            num_workers=recipe.workers,
            drop_last=0 < len(indices) % recipe.batch_size < min_batch,
            multiprocessing_context="spawn" if recipe.workers else None,
        )

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self._loader)

    @property
    def patches(self) -> int:
        """Count the patches of an epoch."""
        return len(self._sampler)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the batches of epoch `number`: images (N, 3, P, P) and masks (N, 1, P, P)."""
        self._patches.epoch = self._sampler.epoch = number
        return iter(self._loader)


def validation_batches(
    store: PatchStore, indices: NDArray[np.intp], batch_size: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Give the batches to validate on, unvaried and in the store's order."""
    return DataLoader(PatchDataset(store, indices, "none", seed=0), batch_size=batch_size)
