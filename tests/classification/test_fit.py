"""Classifiers of scikit-learn as arrays: the same probabilities, computed with numpy alone."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from monuseg_cli.classes.models import Boosted
from monuseg_cli.classification import fit


def clusters(classes: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return features (N, 6) of overlapping clusters of unequal sizes, and their classes."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 60 + 40 * np.arange(classes))
    return random.normal(labels[:, None] * np.array([1, 0, 0.5, 0, 2, 0]), 1.5, (len(labels), 6)), labels


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_logistic_regression_is_that_of_scikit_learn(classes: int) -> None:
    features, labels = clusters(classes)
    scaler = StandardScaler().fit(features)
    theirs = fit.logistic_regression().fit(scaler.transform(features), labels)
    ours = fit.fit_logistic(features, labels)
    ours.check(features.shape[1], classes)
    unseen, _ = clusters(classes, seed=1)
    expected = theirs.predict_proba(scaler.transform(unseen))
    np.testing.assert_allclose(ours.probabilities(unseen), expected, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_gradient_boosting_is_that_of_scikit_learn(classes: int) -> None:
    features, labels = clusters(classes)
    theirs = fit.gradient_boosting().fit(features, labels, sample_weight=fit.balanced_weights(labels))
    ours = fit.to_arrays(theirs)
    ours.check(features.shape[1], classes)
    unseen, _ = clusters(classes, seed=1)
    np.testing.assert_allclose(ours.probabilities(unseen), theirs.predict_proba(unseen), atol=1e-12)
    same = fit.fit_boosted(features, labels)
    np.testing.assert_array_equal(same.value, ours.value)


def test_values_at_a_threshold_go_where_scikit_learn_sends_them() -> None:
    """scikit-learn compares 32-bit features, so that a value just above a threshold can go to the left."""
    features, labels = clusters(2)
    theirs = fit.gradient_boosting().fit(features, labels)
    ours = fit.to_arrays(theirs)
    assert isinstance(ours, Boosted)
    inner = ours.left >= 0
    edges = np.repeat(ours.threshold[inner][:, None], 6, axis=1)
    for unseen in (edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)):
        np.testing.assert_allclose(ours.probabilities(unseen), theirs.predict_proba(unseen), atol=1e-12)


def test_all_classes_weigh_the_same() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    weights = fit.balanced_weights(labels)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
