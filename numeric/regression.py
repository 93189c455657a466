"""Kernel regression on a Gram matrix, by scikit-learn's kernel ridge."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge

from mehler.numeric.errors import NumericError

Array = NDArray[np.floating[Any]]


class KernelRegression:
    """f(x) = K(x, X) (K(X, X) + λI)⁻¹ y with λ = ridge · tr K(X, X)/n.

    The ridge is relative to the mean of the diagonal, so that it means the same for every kernel and scale.
    """

    def __init__(self, ridge: float = 1e-4) -> None:
        if not np.isfinite(ridge) or ridge < 0:
            raise NumericError(f"ridge={ridge!r} must be a finite number >= 0")
        self.ridge = ridge

    def fit(self, gram: Array, y: Array) -> "KernelRegression":
        """Fit on K(X, X) (n, n) and targets y (n,) or (n, outputs)."""
        if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or len(y) != len(gram):
            raise NumericError(
                f"the Gram matrix {gram.shape} must be square with a row for each of {len(y)} targets"
            )
        alpha = self.ridge * float(np.trace(gram)) / len(gram)
        self.model = KernelRidge(alpha=alpha, kernel="precomputed").fit(gram, y)
        return self

    def predict(self, cross: Array) -> Array:
        """Predictions from K(X_new, X), one row for each new input."""
        prediction: Array = self.model.predict(cross)
        return prediction


def one_hot(labels: NDArray[np.integer[Any]], classes: int) -> Array:
    """±1 targets less their mean: 1 − 1/classes for the label, −1/classes elsewhere."""
    targets: Array = np.eye(classes)[labels] - 1 / classes
    return targets


def accuracy(prediction: Array, labels: NDArray[np.integer[Any]]) -> float:
    """Share of rows whose largest output is at the label."""
    return float(np.mean(prediction.argmax(axis=1) == labels))
