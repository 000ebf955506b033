"""The two kinds of classifiers, computed from their arrays with numpy alone."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

ModelKind = Literal["logistic regression", "gradient boosting"]

_LEAF = -1
"""In place of the children of a node that has none."""

_AT_ONCE = 100_000  # nuclei


class ClassModel(Protocol):
    """Computes the probability of each class from features.

    Attributes
    ----------
    kind : str
        What it is.
    """

    kind: ClassVar[ModelKind]

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the probability of each of K classes (N, K) from features (N, F) without NaN."""

    def check(self, features: int, classes: int) -> None:
        """Check that the arrays fit the number of features and of classes.

        Raises
        ------
        ValueError
            If they do not.
        """


@dataclass(frozen=True, slots=True)
class Logistic:
    """Multinomial logistic regression on standardised features; of two classes, the scores are those of the second.

    Parameters
    ----------
    mean, scale : ndarray of shape (F,), float64
        Standardisation: (feature - mean) / scale.
    coefficients : ndarray of shape (K, F), or (1, F) for two classes, float64
        Weights of the standardised features.
    intercepts : ndarray of shape (K,), or (1,) for two classes, float64
        Score without features.
    """

    kind: ClassVar[ModelKind] = "logistic regression"
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute probabilities; see `ClassModel`."""
        scores = (features - self.mean) / self.scale @ self.coefficients.T + self.intercepts
        return _to_probabilities(scores)

    def check(self, features: int, classes: int) -> None:
        """Check the arrays; see `ClassModel`."""
        outputs = 1 if classes == 2 else classes
        _require_shape("mean", self.mean, (features,))
        _require_shape("scale", self.scale, (features,))
        _require_shape("coefficients", self.coefficients, (outputs, features))
        _require_shape("intercepts", self.intercepts, (outputs,))
        if not (self.scale > 0).all():
            message = "scale must be above 0"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Boosted:
    """Gradient boosted regression trees, whose nodes are in one list; of two classes, they score the second.

    Parameters
    ----------
    feature : ndarray of shape (M,), int64
        Feature that a node compares; any at a leaf.
    threshold : ndarray of shape (M,), float64
        A nucleus goes to the left if its feature, as float32, is at most this.
    left, right : ndarray of shape (M,), int64
        Nodes that follow; -1 at a leaf. They come after their parent, so that no path is endless.
    value : ndarray of shape (M,), float64
        What a leaf adds to the score, learning rate included.
    roots : ndarray of shape (T, K), or (T, 1) for two classes, int64
        First node of each tree.
    """

    kind: ClassVar[ModelKind] = "gradient boosting"
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]
    roots: NDArray[np.int64]

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute probabilities; see `ClassModel`."""
        parts = [self._scores(features[begin : begin + _AT_ONCE]) for begin in range(0, len(features), _AT_ONCE)]
        return _to_probabilities(np.concatenate([np.empty((0, self.roots.shape[1])), *parts]))

    def _scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        narrow = features.astype(np.float32)  # what scikit-learn compares
        nuclei = np.arange(len(narrow))
        scores = np.zeros((len(narrow), self.roots.shape[1]))
        for roots in self.roots:
            for column, root in enumerate(roots):
                node = np.full(len(narrow), root)
                while (is_inner := self.left[node] != _LEAF).any():
                    goes_left = narrow[nuclei, self.feature[node]] <= self.threshold[node]
                    node = np.where(is_inner, np.where(goes_left, self.left[node], self.right[node]), node)
                scores[:, column] += self.value[node]
        return scores

    def check(self, features: int, classes: int) -> None:
        """Check the arrays; see `ClassModel`."""
        nodes = len(self.value)
        for name in ("feature", "threshold", "left", "right", "value"):
            _require_shape(name, getattr(self, name), (nodes,))
        trees = self.roots.shape[0] if self.roots.ndim == 2 else 0
        _require_shape("roots", self.roots, (trees, 1 if classes == 2 else classes))
        is_leaf = self.left == _LEAF
        after = np.arange(nodes)
        follow = (self.left > after) & (self.left < nodes) & (self.right > after) & (self.right < nodes)
        if not (follow | (is_leaf & (self.right == _LEAF))).all():
            message = "the nodes of its trees do not follow each other"
            raise ValueError(message)
        if not trees or not ((self.roots >= 0) & (self.roots < nodes)).all():
            message = "its trees have no nodes"
            raise ValueError(message)
        if not ((self.feature >= 0) & (self.feature < features) | is_leaf).all():
            message = "its trees compare unknown features"
            raise ValueError(message)


MODELS: Mapping[str, type[Logistic] | type[Boosted]] = {model.kind: model for model in (Logistic, Boosted)}
"""Classifiers by kind."""

DTYPES: Mapping[str, Any] = {
    **{part.name: np.float64 for part in fields(Logistic)},
    **dict.fromkeys(("threshold", "value"), np.float64),
    **dict.fromkeys(("feature", "left", "right", "roots"), np.int64),
}
"""Type of each array."""


def _require_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        message = f"{name} has the shape {array.shape}, not {shape}"
        raise ValueError(message)


def _to_probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn scores (N, 1) of the second of two classes, or of K classes (N, K), into probabilities."""
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)
