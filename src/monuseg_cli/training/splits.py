"""The training and validation cases of a recipe, with their patches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import ContaminationError, InputError
from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import Progress
from monuseg_cli.dataset.catalog import FOLDS, OTHER_DATASETS
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.dataset.folder import TABLE
from monuseg_cli.dataset.leakage import footprint_of, require_disjoint, require_no_test_images, with_pixel_hashes
from monuseg_cli.dataset.manifest import Case, CaseSplit, Dataset, SourceArchive
from monuseg_cli.dataset.patches import PatchStore
from monuseg_cli.dataset.prepare import open_dataset, prepare_patches
from monuseg_cli.training.recipe import Recipe

MONUSEG = "monuseg"


@dataclass(frozen=True, slots=True)
class Subset:
    """Training or validation cases of one data set.

    Parameters
    ----------
    name : str
        Name of the data set.
    source : SourceArchive
        Source of the cases.
    cases : tuple of str
        Ids of the cases.
    store : PatchStore
        Store with the patches of these cases, and possibly of others.
    weight : float
        Factor on the number of crops per case and epoch in the recipe.
    pixels : tuple of str
        Footprints of the cases, by `monuseg_cli.dataset.leakage.Footprint`.
    content : str
        A line per case: its id, the hashes of its files and its scale.
    """

    name: str
    source: SourceArchive
    cases: tuple[str, ...]
    store: PatchStore
    weight: float = 1.0
    pixels: tuple[str, ...] = ()
    content: str = ""

    @property
    def indices(self) -> NDArray[np.intp]:
        """Indices of the patches of these cases in the store."""
        return self.store.of_cases(self.cases)


@dataclass(frozen=True, slots=True)
class TrainValSplit:
    """The training and the validation cases, which are disjoint.

    Parameters
    ----------
    train, val : Subset
        Subsets of the main data set.
    more : tuple of Subset
        Additional training data.
    """

    train: Subset
    val: Subset
    more: tuple[Subset, ...] = ()

    @property
    def trained(self) -> tuple[Subset, ...]:
        """All training subsets."""
        return (self.train, *self.more)


@dataclass(frozen=True, slots=True)
class _Chosen:
    name: str
    dataset: Dataset
    split: CaseSplit
    cases: tuple[Case, ...]


def find_splits(home: Home, recipe: Recipe, progress: Progress) -> TrainValSplit:
    """Split the recipe's data, and build missing masks and patches.

    MoNuSeg's train set is split by its folds. Own data are split by folders (`Recipe.train` and `Recipe.val`), else by
    their table or the names of their regions, else into five folds of images, or of regions if there is only one image.

    Raises
    ------
    MissingError
        If the data set or a case of it does not exist.
    InputError
        If own data are unusable, or leave nothing to train or validate on.
    ContaminationError
        If an image is to be trained and validated on, or is one of MoNuSeg's test images.
    OutputError
        If masks or patches cannot be written.
    """
    train, val = _choose_own(home, recipe, progress) if recipe.train else _choose_monuseg(home, recipe)
    more = _choose_more(home, recipe, (*train.cases, *val.cases), progress)
    require_disjoint([*train.cases, *(case for chosen, _ in more for case in chosen.cases)], val.cases)
    train_share = _share(train, recipe, progress)
    if (val.dataset.root, val.split) == (train.dataset.root, train.split):
        val_share = replace(train_share, cases=_ids(val), pixels=_pixels(val), content=_content(val))
    else:
        val_share = _share(val, recipe, progress)
    beside = tuple(_share(chosen, recipe, progress, weight) for chosen, weight in more)
    return TrainValSplit(train_share, val_share, beside)


def _ids(chosen: _Chosen) -> tuple[str, ...]:
    return tuple(case.case_id for case in chosen.cases)


def _pixels(chosen: _Chosen) -> tuple[str, ...]:
    return tuple(str(footprint_of(case)) for case in chosen.cases)


def _content(chosen: _Chosen) -> str:
    return "\n".join(f"{case.case_id} {case.image_sha256} {case.annotation_sha256} {case.mpp}" for case in chosen.cases)


def _share(chosen: _Chosen, recipe: Recipe, progress: Progress, weight: float = 1.0) -> Subset:
    source = chosen.dataset.archive_of(chosen.split)
    assert source is not None
    # Own data are always resampled to the scale that the model's card states.
    rescale = recipe.rescale or chosen.name != MONUSEG
    config = PatchesConfig(
        chosen.dataset.root, recipe.patch_px, recipe.stride_px, recipe.edge, rescale, split=chosen.split
    )
    store = prepare_patches(config, progress)
    return Subset(chosen.name, source, _ids(chosen), store, weight, _pixels(chosen), _content(chosen))


def _choose_monuseg(home: Home, recipe: Recipe) -> tuple[_Chosen, ...]:
    dataset = Dataset.load(home.dataset)
    dataset.of_split("train")
    train, val = recipe.monuseg_cases()
    return tuple(
        _Chosen(MONUSEG, dataset, "train", with_pixel_hashes(dataset, dataset.select(part))) for part in (train, val)
    )


def _choose_more(home: Home, recipe: Recipe, first: Sequence[Case], progress: Progress) -> list[tuple[_Chosen, float]]:
    """Choose the train cases of the data sets in `Recipe.extra_data`; `first` are the cases of the main data set."""
    chosen = []
    known = {case.image_pixels for case in first}
    for more in recipe.more_data():
        train = _of_split(open_dataset(home, Path(more.name), progress), "train", more.name)
        if both := [case.image for case in train.cases if case.image_pixels in known]:
            message = (
                f"{len(both)} images of {more.name} are also in other data (the first: {Path(both[0]).name}); "
                "leave them out"
            )
            raise ContaminationError(message)
        known |= {case.image_pixels for case in train.cases}
        chosen.append((train, more.weight))
    return chosen


def _choose_own(home: Home, recipe: Recipe, progress: Progress) -> tuple[_Chosen, _Chosen]:
    dataset = open_dataset(home, Path(recipe.train), progress)
    if not recipe.val and "val" not in dataset.splits:
        return _own_fold(dataset, recipe, progress)
    train = _of_split(dataset, "train", recipe.train)
    if not recipe.val:
        return train, _of_split(dataset, "val", recipe.train)
    other = open_dataset(home, Path(recipe.val), progress)
    val = _of_split(other, "val" if "val" in other.splits else "train", recipe.val)
    known = {case.image_pixels for case in train.cases}
    if both := [case.image for case in val.cases if case.image_pixels in known]:
        message = (
            f"{len(both)} images of {recipe.val} are also in {recipe.train} (the first: {Path(both[0]).name}); "
            "leave them out"
        )
        raise ContaminationError(message)
    return train, val


def _of_split(dataset: Dataset, split: CaseSplit, folder: str) -> _Chosen:
    if split not in dataset.splits:
        message = f"{folder} has nothing for {split}; see its {TABLE}, and the names of regions"
        raise InputError(message)
    cases = with_pixel_hashes(dataset, dataset.of_split(split))
    require_no_test_images(cases, folder)
    return _Chosen(Path(folder).name, dataset, split, cases)


def _own_fold(dataset: Dataset, recipe: Recipe, progress: Progress) -> tuple[_Chosen, _Chosen]:
    """Hold out a fifth for validation; with several images, the regions of one image stay together.

    Of a public data set, a fifth of the organs is held out, since its images of an organ come from few slides.
    """
    everything = _of_split(dataset, "train", recipe.train)
    one_image = len({case.image for case in everything.cases}) == 1
    parts = {case.case_id: case.case_id if one_image else case.image for case in everything.cases}
    if recipe.train in OTHER_DATASETS:
        parts = {case.case_id: case.organ for case in everything.cases}
    fold_of = dict(zip(sorted(set(parts.values())), cycle(FOLDS), strict=False))
    val = tuple(case for case in everything.cases if fold_of[parts[case.case_id]] == recipe.fold)
    train = tuple(case for case in everything.cases if case not in val)
    if not train or not val:
        message = (
            f"{recipe.train} has {len(everything.cases)} annotated images or regions, and `fold={recipe.fold}` leaves "
            f"nothing to {'validate' if train else 'train'} on; add some, or name others with `val`"
        )
        raise InputError(message)
    if one_image:
        progress.warn(f"all regions are of one image, {Path(val[0].image).name}: validation scores will be too high")
    return replace(everything, cases=train), replace(everything, cases=val)
