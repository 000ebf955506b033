"""What a model's card says of the data that it was trained on: which, how many, whose, under which licence."""

import hashlib
from collections.abc import Sequence
from typing import Any

from monuseg_cli.dataset.catalog import ATTRIBUTION, LICENCE, OTHER_DATASETS
from monuseg_cli.training.splits import MONUSEG, Subset


def licence_of(subset: Subset) -> str:
    """Name the licence of a data set."""
    if subset.name == MONUSEG:
        return LICENCE
    other = OTHER_DATASETS.get(subset.name)
    return other.licence if other else f"that of own data ({subset.name})"


def attribution_of(subset: Subset) -> str:
    """Name whose work a data set is."""
    if subset.name == MONUSEG:
        return ATTRIBUTION
    other = OTHER_DATASETS.get(subset.name)
    return other.attribution if other else f"own data ({subset.name})"


def combined_licence(licences: Sequence[str]) -> str:
    """Bring licences together; MoNuSeg's, which is shared alike, takes in those that ask for a name only."""
    all_of_them = list(dict.fromkeys(licences))
    if LICENCE in all_of_them:
        open_ones = {other.licence for other in OTHER_DATASETS.values()}
        all_of_them = [licence for licence in all_of_them if licence not in open_ones]
    return "; ".join(all_of_them)


def combined_sha256(subsets: Sequence[Subset]) -> str:
    """Hash what subsets came from: the hash of the one source, or that of all sources' hashes."""
    hashes = [subset.source.sha256 for subset in subsets]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def describe_data(subsets: Sequence[Subset]) -> dict[str, dict[str, Any]]:
    """Describe the data sets that were trained on, by name, in plain types."""
    return {
        subset.name: {
            "cases": len(subset.cases),
            "weight": subset.weight,
            "sha256": subset.source.sha256,
            "verified": subset.source.verified,
            "licence": licence_of(subset),
            "attribution": attribution_of(subset),
        }
        for subset in subsets
    }
