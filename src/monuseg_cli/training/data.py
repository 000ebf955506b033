"""Patch store -> batches, the same for the same seed and epoch wherever they are made."""

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
    """Patches of one data set that are trained on.

    Parameters
    ----------
    store : PatchStore
        Where they come from.
    indices : ndarray of shape (N,), intp
        Which of the store's patches.
    weight : float
        Crops of each case in an epoch, in multiples of `Recipe.crops_per_case`; rounded, and at least one.
    """

    store: PatchStore
    indices: NDArray[np.intp]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class _Case:
    """The patches of a case, and how many crops of them make its share of an epoch."""

    store: PatchStore
    patches: list[int]
    crops: int


class CropDataset(Dataset[Batch]):
    """As many crops of each case, varied by random numbers that depend on seed, epoch, case and crop alone.

    Parameters
    ----------
    pools : sequence of Pool
        The patches, of one data set or of several.
    recipe : Recipe
        How they are cropped and varied, and what the network is to say.
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
        """Count the crops of an epoch."""
        return len(self.crops)

    def __getitem__(self, position: int) -> Batch:
        """Read and vary one crop: the image (3, P, P) and the targets (C, P, P), float32."""
        recipe = self.recipe
        number, crop = self.crops[position]
        case = self.cases[number]
        index = case.patches[(self.epoch * case.crops + crop) % len(case.patches)]
        random = derive("crop", recipe.seed, self.epoch, number, crop)
        image, labels = augment(*case.store.read(index), recipe, random)
        return _to_tensors(image, labels, recipe)


class WindowDataset(Dataset[Batch]):
    """A grid of windows over a store's patches, unvaried and in the store's order."""

    def __init__(self, store: PatchStore, indices: NDArray[np.intp], recipe: Recipe) -> None:
        self.store = store
        self.recipe = recipe
        corners = grid((recipe.patch_px, recipe.patch_px), recipe.crop_px, recipe.crop_px)
        self.windows = [(int(index), row, col) for index in indices for row, col in corners]

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.windows)

    def __getitem__(self, position: int) -> Batch:
        """Give the image (3, P, P) and the targets (C, P, P) of one window, float32."""
        index, row, col = self.windows[position]
        image, labels = self.store.read(index)
        window = np.s_[row : row + self.recipe.crop_px, col : col + self.recipe.crop_px]
        return _to_tensors(image[window].astype(np.float32) / np.float32(255), labels[window], self.recipe)


def _to_tensors(image: NDArray[np.float32], labels: NDArray[np.int32], recipe: Recipe) -> Batch:
    targets = make_targets(labels, recipe.aux_target)
    return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(targets)


class EpochSampler(Sampler[int]):
    """The order of an epoch, which depends on seed and epoch alone; of which each process takes its share.

    Parameters
    ----------
    size : int
        Crops of an epoch.
    batch_size : int
        Of each process.
    seed : int
        See `Recipe`.
    rank, world_size : int
        Number of this process, from 0, and of all.
    """

    def __init__(self, size: int, batch_size: int, seed: int, rank: int, world_size: int) -> None:
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.size = size - size % world_size  # all processes must take the same number of steps, on as many crops
        self.all = size
        self.epoch = 0

    def __len__(self) -> int:
        """Count the crops of an epoch that are this process' own."""
        return self.size // self.world_size

    def __iter__(self) -> Iterator[int]:
        """Go through this process' positions: together, the processes' batches are a single process' larger ones."""
        order = derive("order", self.seed, self.epoch).permutation(self.all)[: self.size]
        for first in range(0, self.size, self.batch_size * self.world_size):
            together = order[first : first + self.batch_size * self.world_size]
            yield from np.split(together, self.world_size)[self.rank].tolist()


class TrainBatches:
    """The batches of one epoch after the other.

    Parameters
    ----------
    pools : sequence of Pool
        The train patches, of one data set or of several.
    recipe : Recipe
        Crops, batch size, seed and workers.
    rank, world_size : int
        Number of this process, from 0, and of all.

    Raises
    ------
    InputError
        If there are too few crops for a batch that the architecture can be trained on.
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
        """Count the batches of an epoch."""
        return len(self._loader)

    @property
    def crops(self) -> int:
        """Count the crops of an epoch, over all processes."""
        return self._sampler.size

    def epoch(self, number: int) -> Generator[Batch]:
        """Give the batches of epoch `number`: images (N, 3, P, P) and targets (N, C, P, P).

        Close it where it is left before its end.
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
    """Give the batches to validate on: of all windows the share of this process."""
    return DataLoader(WindowDataset(store, indices[rank::world_size], recipe), batch_size=recipe.batch_size)


_STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Start workers with the signals blocked that stop a training and reach all of its processes: they end with it.

    Where the system cannot (Windows), workers leave these signals alone once they run.
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
