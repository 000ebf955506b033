"""Provenance of the training data in a model's card: data sets, cases, licences and attribution."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monuseg_cli import __version__
from monuseg_cli.core.home import weights_stem
from monuseg_cli.dataset.catalog import ATTRIBUTION, LICENCE, MPP, OTHER_DATASETS
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card, TrainingData
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.splits import MONUSEG, Subset, TrainValSplit
from monuseg_cli.training.targets import CLASSES, POSTPROCESS


def begin_card(recipe: Recipe, shares: TrainValSplit) -> Card:
    """Build the card of a training with random or ImageNet initial weights, before its first epoch."""
    classes = CLASSES[recipe.aux_target]
    trained = shares.trained
    card = Card(
        architecture=recipe.arch,
        options=recipe.model_options(),
        out_channels=len(classes),
        classes=classes,
        mpp=MPP,
        licence=combined_licence([licence_of(subset) for subset in trained]),
        attribution="; ".join(attribution_of(subset) for subset in trained),
        train_set=len(shares.train.cases) + len(shares.val.cases) if recipe.train else recipe.train_set,
        train_cases=tuple(case_id for subset in trained for case_id in subset.cases),
        train_pixels=tuple(sorted({mark for subset in trained for mark in subset.pixels})),
        val_cases=shares.val.cases,
        data_sha256=combined_sha256(trained),
        data_verified=all(subset.source.verified for subset in trained),
        data_sets=describe_data(trained),
        epoch=0,
        scores={},
        recipe=without_places(recipe),
        version=__version__,
        postprocess=POSTPROCESS[recipe.aux_target],
    )
    imagenet = registry.get(recipe.arch).imagenet
    return replace(card, mean=imagenet[0], std=imagenet[1]) if recipe.pretrained and imagenet else card


def derive_card(card: Card, sources: Sequence[Card], own_data: bool) -> Card:
    """Add the provenance of the initial weights and of the teacher to a card, since the new weights derive from them.

    Parameters
    ----------
    card : Card
        Card of the training, by `begin_card`.
    sources : sequence of Card
        Cards of the initial weights and of the teacher, at least one.
    own_data : bool
        Whether the main training data are not MoNuSeg; the licence is then that of `sources`.
    """
    together = [card, *sources]
    return replace(
        card,
        train_cases=tuple(sorted({case for each in together for case in each.train_cases})),
        train_pixels=tuple(sorted({mark for each in together for mark in each.train_pixels})),
        licence=combined_licence([each.licence for each in (sources if own_data else together)]),
        attribution="; ".join(dict.fromkeys(part for each in together for part in each.attribution.split("; "))),
    )


def without_places(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe in plain types, with names in place of local paths, which do not belong in shared weights."""
    return {
        **recipe.to_dict(),
        "train": Path(recipe.train).name,
        "val": Path(recipe.val).name,
        "init": weights_stem(Path(recipe.init)),
        "teacher": weights_stem(Path(recipe.teacher)),
        "extra_data": [str(replace(more, name=Path(more.name).name)) for more in recipe.more_data()],
    }


def licence_of(subset: Subset) -> str:
    """Return the licence of a data set."""
    if subset.name == MONUSEG:
        return LICENCE
    other = OTHER_DATASETS.get(subset.name)
    return other.licence if other else f"that of own data ({subset.name})"


def attribution_of(subset: Subset) -> str:
    """Return the attribution of a data set."""
    if subset.name == MONUSEG:
        return ATTRIBUTION
    other = OTHER_DATASETS.get(subset.name)
    return other.attribution if other else f"own data ({subset.name})"


def combined_licence(licences: Sequence[str]) -> str:
    """Combine licences; MoNuSeg's share-alike licence covers those that require attribution only."""
    all_of_them = list(dict.fromkeys(licences))
    if LICENCE in all_of_them:
        open_ones = {other.licence for other in OTHER_DATASETS.values()}
        all_of_them = [licence for licence in all_of_them if licence not in open_ones]
    return "; ".join(all_of_them)


def combined_sha256(subsets: Sequence[Subset]) -> str:
    """Return the hash of the subsets' sources: that of a single source, or the hash of all sources' hashes."""
    hashes = [subset.source.sha256 for subset in subsets]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def hash_of_cases(shares: TrainValSplit) -> str:
    """Return the hash of the content and scale of all training and validation cases, without their paths."""
    parts = [subset.content for subset in (*shares.trained, shares.val)]
    return hashlib.sha256("\n\n".join(parts).encode()).hexdigest()


def describe_data(subsets: Sequence[Subset]) -> dict[str, TrainingData]:
    """Describe the training data sets by name."""
    return {
        subset.name: TrainingData(
            cases=len(subset.cases),
            weight=subset.weight,
            sha256=subset.source.sha256,
            verified=subset.source.verified,
            licence=licence_of(subset),
            attribution=attribution_of(subset),
        )
        for subset in subsets
    }
