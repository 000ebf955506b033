"""Cross-validation over regions: nothing of a region on both sides, and scores with intervals."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import Told
from monuseg_cli.classes.models import Logistic
from monuseg_cli.classification.cross_validation import cross_validate, split
from monuseg_cli.classification.examples import Examples, build_examples, require_enough
from monuseg_cli.core.errors import InputError


def examples(regions: dict[str, list[int]], shift: float = 3.0, seed: int = 0) -> Examples:
    """Build examples with regions of these numbers of nuclei per class; the classes differ in one of three features."""
    random = np.random.default_rng(seed)
    names = [name for name, sizes in regions.items() for size in sizes for _ in range(size)]
    groups = [(name, place) for name, sizes in regions.items() for place, size in enumerate(sizes) for _ in range(size)]
    features = random.normal(size=(len(names), 3))
    features[:, 1] += shift * np.array([sorted(regions).index(name) for name in names])
    return build_examples(features, names, groups)


def sides(given: Examples, folds: NDArray[np.int64]) -> list[tuple[set[int], set[int]]]:
    return [(set(given.group[folds == fold]), set(given.group[folds != fold])) for fold in range(folds.max() + 1)]


def test_a_region_is_never_on_both_sides() -> None:
    given = examples({"a": [30, 5, 12, 40], "b": [8, 8, 9, 20, 11]})
    folds = split(given)
    assert folds.max() == 3
    for held_out, trained in sides(given, folds):
        assert held_out.isdisjoint(trained)
        assert held_out | trained == set(range(9))
        assert {given.classes[given.group == group][0] for group in held_out} == {0, 1}


def test_every_class_is_in_every_training_set() -> None:
    given = examples({"a": [30] * 40, "b": [10, 9], "c": [5] * 7})
    folds = split(given)
    assert folds.max() == 1
    for fold in range(2):
        assert set(given.classes[folds != fold]) == {0, 1, 2}


def test_there_are_at_most_ten_folds() -> None:
    assert split(examples({"a": [4] * 25, "b": [4] * 31})).max() == 9


def test_scores_are_those_of_nuclei_that_were_held_out() -> None:
    """A feature that is constant in a region, and says nothing of others, must not help."""
    given = examples({"a": [20] * 6, "b": [20] * 6}, shift=0.0)
    marks = np.random.default_rng(1).normal(size=12)[given.group]
    leaking = Examples(np.column_stack([given.features, marks]), given.classes, given.group, given.names)
    _, validation = cross_validate(leaking)
    assert validation.accuracy.value < 0.75
    assert validation.accuracy.low < validation.accuracy.value < validation.accuracy.high


def test_classes_that_differ_are_told_apart_with_a_narrow_interval() -> None:
    given = examples({"a": [20] * 6, "b": [30] * 6}, shift=6.0)
    kind, validation = cross_validate(given)
    assert kind == Logistic.kind
    assert validation.folds == 6
    assert validation.balanced_accuracy.value > 0.98
    assert validation.balanced_accuracy.low > 0.95
    confusion = np.array(validation.confusion)
    assert confusion.sum(axis=1).tolist() == [120, 180]
    assert validation.accuracy.value == pytest.approx(np.trace(confusion) / 300, abs=1e-4)
    recall = validation.classes["b"].recall
    assert recall.value == pytest.approx(confusion[1, 1] / 180, abs=1e-4)
    precision = validation.classes["b"].precision
    assert precision is not None
    assert precision.value == pytest.approx(confusion[1, 1] / confusion[:, 1].sum(), abs=1e-4)


def test_the_scores_without_the_networks_features_are_those_of_the_other_features() -> None:
    given = examples({"a": [20] * 6, "b": [30] * 6}, shift=6.0)  # told apart by the second feature alone
    of_network = np.array([False, True, False])
    kind, validation = cross_validate(given, of_network=of_network)
    assert (kind, replace(validation, without_network=None)) == cross_validate(given)
    others = Examples(given.features[:, ~of_network], given.classes, given.group, given.names)
    assert validation.without_network == cross_validate(others)[1].balanced_accuracy
    assert validation.without_network.high < validation.balanced_accuracy.low


def test_missing_values_are_filled_without_the_regions_held_out() -> None:
    given = examples({"a": [20] * 3, "b": [20] * 3}, shift=6.0)
    given.features[::7, 0] = np.nan
    given.features[:, 2] = np.nan
    assert cross_validate(given)[1].accuracy.value > 0.95


TOO_FEW = {
    "nuclei": ({"a": [3, 2], "b": [20, 20]}, "class a has too few examples: it has 5 nuclei, and needs 10"),
    "regions": ({"a": [60], "b": [20, 20]}, "class a has too few examples: its nuclei are in 1 region, and cross-"),
    "classes": ({"a": [20, 20]}, "the annotations have only one class, a; a classifier needs 2 to 50"),
}


@pytest.mark.parametrize("kind", TOO_FEW)
def test_too_few_examples_are_refused_with_what_to_do(kind: str) -> None:
    regions, message = TOO_FEW[kind]
    with pytest.raises(InputError) as raised:
        require_enough(examples(regions), {name: len(sizes) for name, sizes in regions.items()}, Told())
    assert str(raised.value).startswith(message)


def test_a_class_without_nuclei_is_refused() -> None:
    with pytest.raises(InputError, match="no nucleus lies in an object of class c"):
        require_enough(examples({"a": [20, 20], "b": [20, 20]}), {"a": 2, "b": 2, "c": 1}, Told())


def test_few_examples_are_warned_of() -> None:
    told = Told()
    require_enough(examples({"a": [20, 20], "b": [20] * 4}), {"a": 2, "b": 4}, told)
    assert told.lines == [
        "class a has 40 nuclei in 2 regions: its scores are uncertain; 50 nuclei in 4 regions or more are better"
    ]


def test_regions_that_cannot_be_held_out_one_by_one_are_refused() -> None:
    """Both squares with nuclei of class b hold most of the others, too, so no fold can do without them."""
    features = np.random.default_rng(0).normal(size=(40, 2))
    given = build_examples(features, ["a", "b"] * 20, [0] * 20 + [1] * 20)
    assert split(given).max() == 1  # one in each fold
    with pytest.raises(InputError, match="all of its regions are held out at once"):
        split(build_examples(features, ["a", "b"] * 10 + ["a"] * 20, [0] * 20 + [1] * 20))
