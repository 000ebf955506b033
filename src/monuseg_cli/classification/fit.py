"""Classifiers trained by scikit-learn, and kept as arrays."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.classes.models import Boosted, ClassModel, Logistic

_SEED = 0
_TREES, _DEPTH, _LEARNING_RATE, _SUBSAMPLE = 100, 3, 0.1, 0.5
_REGULARISATION, _ITERATIONS = 1.0, 10_000
_LEAF = -1


def fit_logistic(features: NDArray[np.float64], classes: NDArray[np.int64]) -> Logistic:
    """Train a logistic regression with an L2 penalty, in which all classes have the same weight.

    Parameters
    ----------
    features : ndarray of shape (N, F), float64
        Without NaN.
    classes : ndarray of shape (N,), int64
        Class of each nucleus, 0..K-1; every class occurs.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    model = logistic_regression().fit(scaler.transform(features), classes)
    return Logistic(
        mean=np.asarray(scaler.mean_, dtype=np.float64),
        scale=np.asarray(scaler.scale_, dtype=np.float64),
        coefficients=np.asarray(model.coef_, dtype=np.float64),
        intercepts=np.asarray(model.intercept_, dtype=np.float64),
    )


def logistic_regression() -> Any:
    """Return scikit-learn's logistic regression with the settings that are used."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=_REGULARISATION, class_weight="balanced", max_iter=_ITERATIONS)


def fit_boosted(features: NDArray[np.float64], classes: NDArray[np.int64]) -> Boosted:
    """Train gradient boosted trees, in which all classes have the same weight; see `fit_logistic`."""
    model = gradient_boosting().fit(features, classes, sample_weight=balanced_weights(classes))
    return to_arrays(model)


def gradient_boosting() -> Any:
    """Return scikit-learn's gradient boosting with the settings that are used."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(
        n_estimators=_TREES,
        max_depth=_DEPTH,
        learning_rate=_LEARNING_RATE,
        subsample=_SUBSAMPLE,
        max_features="sqrt",
        init="zero",
        random_state=_SEED,
    )


def balanced_weights(classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weight of each nucleus (N,), with which all classes weigh the same."""
    counts = np.bincount(classes)
    return np.asarray(len(classes) / (len(counts) * counts[classes]), dtype=np.float64)


def to_arrays(model: Any) -> Boosted:
    """Return the trees of a fitted ``GradientBoostingClassifier`` with ``init="zero"`` as arrays."""
    trees = [[estimator.tree_ for estimator in row] for row in model.estimators_]
    flat = [tree for row in trees for tree in row]
    sizes = np.array([tree.node_count for tree in flat])
    starts = np.cumsum(sizes) - sizes
    left, right = (
        np.concatenate(
            [np.where(side == _LEAF, _LEAF, side + start) for side, start in zip(sides, starts, strict=True)]
        ).astype(np.int64)
        for sides in ([tree.children_left for tree in flat], [tree.children_right for tree in flat])
    )
    return Boosted(
        feature=np.concatenate([np.maximum(tree.feature, 0) for tree in flat]).astype(np.int64),
        threshold=np.concatenate([tree.threshold for tree in flat]).astype(np.float64),
        left=left,
        right=right,
        value=np.concatenate([tree.value[:, 0, 0] for tree in flat]) * model.learning_rate,
        roots=starts.reshape(len(trees), -1).astype(np.int64),
    )


Fit = Callable[[NDArray[np.float64], NDArray[np.int64]], ClassModel]

CANDIDATES: Mapping[str, Fit] = {Logistic.kind: fit_logistic, Boosted.kind: fit_boosted}
"""What is tried; of equally good ones, the first is taken."""
