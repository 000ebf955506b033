"""Batches of patches, which depend only on the seed and the epoch."""

import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.prefetch import prefetch
from monuseg_cli.dataset.patches import PatchStore
from monuseg_cli.imaging.tiling import grid
from monuseg_cli.models import registry
from monuseg_cli.training.augment import augment
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.rng import derive
from monuseg_cli.training.targets import make_targets

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Pool:
    """The training patches of one data set.

    Parameters
    ----------
    store : PatchStore
        Store of the patches.
    indices : ndarray of shape (N,), intp
        Indices of the training patches in the store.
    weight : float
        Crops per case and epoch, in multiples of `Recipe.crops_per_case`; rounded, and at least one crop.
    """

    store: PatchStore
    indices: NDArray[np.intp]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class _Case:
    """The patches of a case, and its number of crops per epoch."""

    store: PatchStore
    patches: list[int]
    crops: int


class CropDataset(Dataset[Batch]):
    """Augmented crops, the same number per case; their random numbers depend only on seed, epoch, case and crop.

    Parameters
    ----------
    pools : sequence of Pool
        The patches of one or more data sets; a pool's weight scales its number of crops.
    recipe : Recipe
        Cropping, augmentation and targets.
    """

    def __init__(self, pools: Sequence[Pool], recipe: Recipe) -> None:
        self.recipe = recipe
        self.epoch = 0
        self.cases: list[_Case] = []
        for pool in pools:
            of_case: dict[str, list[int]] = {}
            for index in pool.indices.tolist():
                of_case.setdefault(pool.store.case_ids[index], []).append(index)
            crops = max(1, round(recipe.crops_per_case * pool.weight))
            self.cases += [_Case(pool.store, patches, crops) for patches in of_case.values()]
        self.crops = [(number, crop) for number, case in enumerate(self.cases) for crop in range(case.crops)]

    def __len__(self) -> int:
        """Return the number of crops per epoch."""
        return len(self.crops)

    def __getitem__(self, position: int) -> Batch:
        """Read and augment one crop: the image (3, P, P) and the targets (C, P, P), float32."""
        recipe = self.recipe
        number, crop = self.crops[position]
        case = self.cases[number]
        index = case.patches[(self.epoch * case.crops + crop) % len(case.patches)]
        random = derive("crop", recipe.seed, self.epoch, number, crop)
        image, labels = augment(*case.store.read(index), recipe, random)
        return _to_tensors(image, labels, recipe)


class WindowDataset(Dataset[Batch]):
    """A grid of windows over a store's patches, without augmentation and in the store's order."""

    def __init__(self, store: PatchStore, indices: NDArray[np.intp], recipe: Recipe) -> None:
        self.store = store
        self.recipe = recipe
        corners = grid((recipe.patch_px, recipe.patch_px), recipe.crop_px, recipe.crop_px)
        self.windows = [(int(index), row, col) for index in indices for row, col in corners]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.windows)

    def __getitem__(self, position: int) -> Batch:
        """Read the image (3, P, P) and the targets (C, P, P) of one window, float32."""
        index, row, col = self.windows[position]
        image, labels = self.store.read(index)
        window = np.s_[row : row + self.recipe.crop_px, col : col + self.recipe.crop_px]
        return _to_tensors(image[window].astype(np.float32) / np.float32(255), labels[window], self.recipe)


def _to_tensors(image: NDArray[np.float32], labels: NDArray[np.int32], recipe: Recipe) -> Batch:
    targets = make_targets(labels, recipe.aux_target)
    return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(targets)


class EpochSampler(Sampler[int]):
    """The order of an epoch's crops, which depends only on seed and epoch, divided among the processes.

    Parameters
    ----------
    size : int
        Number of crops per epoch.
    batch_size : int
        Batch size per process.
    seed : int
        See `Recipe`.
    rank, world_size : int
        Rank of this process, and number of processes.
    """

    def __init__(self, size: int, batch_size: int, seed: int, rank: int, world_size: int) -> None:
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.size = size - size % world_size  # all processes must take equally many steps, on equally many crops
        self.all = size
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of crops per epoch for this process."""
        return self.size // self.world_size

    def __iter__(self) -> Iterator[int]:
        """Iterate over this process's positions; the processes' batches join to those of a single process."""
        order = derive("order", self.seed, self.epoch).permutation(self.all)[: self.size]
        for first in range(0, self.size, self.batch_size * self.world_size):
            together = order[first : first + self.batch_size * self.world_size]
            yield from np.split(together, self.world_size)[self.rank].tolist()


class TrainBatches:
    """The training batches, epoch by epoch.

    Parameters
    ----------
    pools : sequence of Pool
        The training patches of one or more data sets.
    recipe : Recipe
        Crops, batch size, seed and workers.
    rank, world_size : int
        Rank of this process, and number of processes.

    Raises
    ------
    InputError
        If there are too few crops for the architecture's smallest batch.
    """

    def __init__(self, pools: Sequence[Pool], recipe: Recipe, rank: int = 0, world_size: int = 1) -> None:
        self._crops = CropDataset(pools, recipe)
        self._sampler = EpochSampler(len(self._crops), recipe.batch_size, recipe.seed, rank, world_size)
        self._workers = recipe.workers
        min_batch = registry.get(recipe.arch).min_train_batch
        self._loader = DataLoader(
            self._crops,
            batch_size=recipe.batch_size,
            sampler=self._sampler,
            num_workers=recipe.workers,
            drop_last=0 < len(self._sampler) % recipe.batch_size < min_batch,
            multiprocessing_context="spawn" if recipe.workers else None,
            worker_init_fn=_leave_signals_alone,
        )
        if not len(self._loader):
            message = (
                f"{len(self._crops)} crops are too few for a batch of {max(min_batch, 1)}, which {recipe.arch} needs"
            )
            raise InputError(message)

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return len(self._loader)

    @property
    def crops(self) -> int:
        """Number of crops per epoch, over all processes."""
        return self._sampler.size

    def epoch(self, number: int) -> Generator[Batch]:
        """Yield the batches of epoch `number`: images (N, 3, P, P) and targets (N, C, P, P).

        Close the generator if it is left before its end.
        """
        self._crops.epoch = self._sampler.epoch = number
        if not self._workers:
            return prefetch(iter(self._loader))
        with _signals_held_back():
            batches = iter(self._loader)
        return (batch for batch in batches)


def validation_batches(
    store: PatchStore, indices: NDArray[np.intp], recipe: Recipe, rank: int = 0, world_size: int = 1
) -> DataLoader[Batch]:
    """Build the loader of this process's share of the validation windows."""
    return DataLoader(WindowDataset(store, indices[rank::world_size], recipe), batch_size=recipe.batch_size)


_STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Block the signals that stop a training while workers are started; workers inherit this, and end with the parent.

    On systems without signal masks (Windows), workers ignore these signals once they run.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_alone(worker: int) -> None:
    del worker
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
