"""Cross-validation over regions: the nuclei of a region are never on both sides."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.card import ClassScores, Score, Validation
from monuseg_cli.classes.classes_file import fill_missing
from monuseg_cli.classification.examples import Examples, describe_too_few
from monuseg_cli.classification.fit import CANDIDATES, Fit
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.progress import SILENT, Progress

MOST_FOLDS = 10
_RESAMPLES, _CONFIDENCE, _SEED = 2000, 0.95, 0

Confusion = NDArray[np.int64]
"""Nuclei by class (rows) and found class (columns); (K, K), or (G, K, K) for each of G groups."""


def median_of(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each feature (F,), without missing values; 0 where all are missing."""
    known = ~np.isnan(features).all(axis=0)
    medians = np.zeros(features.shape[1])
    medians[known] = np.nanmedian(features[:, known], axis=0)
    return medians


def split(examples: Examples) -> NDArray[np.int64]:
    """Deal the groups to folds, so that groups, classes and nuclei are spread evenly; return the fold of each nucleus.

    There are as many folds as the class with the fewest groups has groups, and `MOST_FOLDS` at most; with few groups,
    each is held out alone, or with one of every other class.

    Raises
    ------
    InputError
        If a class would be missing among the nuclei that a fold is trained on.
    """
    counts = examples.counts
    has = counts > 0
    folds = int(min(MOST_FOLDS, has.sum(axis=0).min()))
    of_class = np.zeros((folds, counts.shape[1]))
    nuclei = np.zeros(folds)
    fold = np.zeros(len(counts), dtype=np.int64)
    for group in np.argsort(-counts.sum(axis=1), kind="stable").tolist():
        same = (of_class * has[group]).sum(axis=1)
        fold[group] = np.lexsort((nuclei, same))[0]
        of_class[fold[group]] += has[group]
        nuclei[fold[group]] += counts[group].sum()
    lacking = np.flatnonzero((of_class == has.sum(axis=0)).any(axis=0))
    if len(lacking):
        message = describe_too_few(examples.names[int(lacking[0])], "all of its regions are held out at once")
        raise InputError(message)
    return fold[examples.group]


def cross_validate(
    examples: Examples, progress: Progress = SILENT, of_network: NDArray[np.bool_] | None = None
) -> tuple[str, Validation]:
    """Compare the kinds of classifiers in regions that are held out, and score the best.

    Parameters
    ----------
    examples : Examples
        The nuclei.
    progress : Progress
        Shows a bar.
    of_network : ndarray of shape (F,), bool, optional
        Which features are those of the network: the balanced accuracy without them is found as well.

    Returns
    -------
    kind : str
        The kind with the highest balanced accuracy.
    validation : Validation
        Its scores. The choice between the kinds was made by the same regions, which makes them a little too high.

    Raises
    ------
    InputError
        If there are too few regions.
    """
    folds = split(examples)
    number = int(folds.max()) + 1
    tried = [examples]
    if of_network is not None:
        tried.append(replace(examples, features=examples.features[:, ~of_network]))
    with progress.task("cross-validation", len(tried) * len(CANDIDATES) * number, "fits") as task:
        (kind, validation), *others = (_compare(one, folds, task.advance) for one in tried)
    for _, without in others:
        validation = replace(validation, without_network=without.balanced_accuracy)
    return kind, validation


def _compare(examples: Examples, folds: NDArray[np.int64], advance: Callable[[], None]) -> tuple[str, Validation]:
    """Return the kind of classifier with the highest balanced accuracy, and its scores."""
    found = {
        kind: count_confusion(examples, _predict_held_out(examples, folds, fit, advance))
        for kind, fit in CANDIDATES.items()
    }
    candidates = {kind: balanced_accuracy(confusion.sum(axis=0)) for kind, confusion in found.items()}
    best = max(candidates, key=lambda kind: candidates[kind])
    return best, _validation(examples.names, int(folds.max()) + 1, found[best], candidates)


def _predict_held_out(
    examples: Examples, folds: NDArray[np.int64], fit: Fit, advance: Callable[[], None]
) -> NDArray[np.int64]:
    """Return the class of each nucleus (N,) that a classifier trained without its fold finds."""
    predicted = np.zeros(len(folds), dtype=np.int64)
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        fill = median_of(examples.features[~held_out])
        features = fill_missing(examples.features, fill)
        model = fit(features[~held_out], examples.classes[~held_out])
        predicted[held_out] = model.probabilities(features[held_out]).argmax(axis=1)
        advance()
    return predicted


def count_confusion(examples: Examples, predicted: NDArray[np.int64]) -> Confusion:
    """Count nuclei by group, class and found class: (G, K, K)."""
    confusion = np.zeros((len(examples.counts), len(examples.names), len(examples.names)), dtype=np.int64)
    np.add.at(confusion, (examples.group, examples.classes, predicted), 1)
    return confusion


def _recalls(confusion: Confusion) -> NDArray[np.float64]:
    """Recall of each class (..., K); NaN where there are no nuclei of it."""
    right, of_class = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1)
    return np.where(of_class > 0, right / np.maximum(of_class, 1), np.nan)


def _precisions(confusion: Confusion) -> NDArray[np.float64]:
    """Precision of each class (..., K); NaN where no nucleus was found to be of it."""
    return _recalls(np.swapaxes(confusion, -2, -1))


def _f1s(confusion: Confusion) -> NDArray[np.float64]:
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return np.where(both > 0, 2 * right / np.maximum(both, 1), np.nan)


def _accuracy(confusion: Confusion) -> NDArray[np.float64]:
    right = np.diagonal(confusion, axis1=-2, axis2=-1).sum(axis=-1)
    return np.asarray(right / confusion.sum(axis=(-2, -1)), dtype=np.float64)


def balanced_accuracy(confusion: Confusion) -> float:
    """Return the mean recall of the classes that there are nuclei of."""
    return float(np.nanmean(_recalls(confusion)))


def _validation(names: Sequence[str], folds: int, confusion: Confusion, candidates: dict[str, float]) -> Validation:
    """Compute all scores, with intervals by a bootstrap over groups (percentiles of `_RESAMPLES` resamples)."""
    total = confusion.sum(axis=0)
    chosen = np.random.default_rng(_SEED).integers(len(confusion), size=(_RESAMPLES, len(confusion)))
    weights = np.stack([np.bincount(one, minlength=len(confusion)) for one in chosen])
    resampled = np.einsum("bg,gij->bij", weights, confusion)
    recalls, precisions, f1s = _recalls(resampled), _precisions(resampled), _f1s(resampled)
    known = ~np.isnan(recalls)
    balanced = np.where(known, recalls, 0).sum(axis=1) / known.sum(axis=1)
    own_precisions = _precisions(total)
    scores = {
        name: ClassScores(
            recall=_score(_recalls(total)[place], recalls[:, place]),
            precision=None if np.isnan(own_precisions[place]) else _score(own_precisions[place], precisions[:, place]),
            f1=_score(_f1s(total)[place], f1s[:, place]),
        )
        for place, name in enumerate(names)
    }
    return Validation(
        folds=folds,
        accuracy=_score(_accuracy(total), _accuracy(resampled)),
        balanced_accuracy=_score(balanced_accuracy(total), balanced),
        classes=scores,
        confusion=tuple(tuple(row) for row in total.tolist()),
        candidates={kind: round(value, 4) for kind, value in candidates.items()},
    )


def _score(value: float | NDArray[np.float64], resampled: NDArray[np.float64]) -> Score:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail]).tolist()
    return Score(*(round(float(part), 4) for part in (value, low, high)))
