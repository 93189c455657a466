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
        self.model: KernelRidge | None = None

    def fit(self, gram: Array, y: Array) -> "KernelRegression":
        """Fit on K(X, X) (n, n), symmetric, and targets y (n,) or (n, outputs). Raises NumericError."""
        gram, y = _finite(gram, "the Gram matrix"), _finite(y, "the array of targets")
        if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or y.ndim not in (1, 2) or len(y) != len(gram):
            raise NumericError(
                f"the Gram matrix {gram.shape} must be square with a row for each of the targets {y.shape}"
            )
        if 0 in gram.shape or 0 in y.shape:
            raise NumericError("there is no row to fit; give at least one")
        if np.abs(gram - gram.T).max() > np.sqrt(np.finfo(gram.dtype).eps) * np.abs(gram).max():
            raise NumericError("the Gram matrix is not symmetric; give K(X, X), e.g. (K + K.T)/2")
        if (np.diag(gram) < 0).any():
            raise NumericError("the Gram matrix has a negative diagonal, as no kernel has")
        alpha = self.ridge * float(np.trace(gram)) / len(gram)
        self.model = KernelRidge(alpha=alpha, kernel="precomputed").fit(gram, y)
        return self

    def predict(self, cross: Array) -> Array:
        """Predictions from K(X_new, X), one row for each new input. Raises NumericError."""
        if self.model is None:
            raise NumericError("there is nothing to predict from yet; call fit first")
        cross, columns = _finite(cross, "K(X_new, X)"), len(self.model.dual_coef_)
        if cross.ndim != 2 or cross.shape[1] != columns or len(cross) == 0:
            raise NumericError(f"K(X_new, X) must have shape (m, {columns}), m >= 1, not {cross.shape}")
        prediction: Array = self.model.predict(cross)
        return prediction


def _finite(values: Any, what: str) -> Array:
    """The finite numbers of an array; whole numbers as floats. Raises NumericError."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise NumericError(f"{what} has dtype {str(array.dtype)[:40]}; convert it, e.g. astype(numpy.float64)")
    if not np.isfinite(array).all():
        raise NumericError(f"{what} contains NaN or infinity; remove or repair those rows")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def one_hot(labels: NDArray[np.integer[Any]], classes: int) -> Array:
    """±1 targets less their mean: 1 − 1/classes for the label, −1/classes elsewhere."""
    targets: Array = np.eye(classes)[labels] - 1 / classes
    return targets


def accuracy(prediction: Array, labels: NDArray[np.integer[Any]]) -> float:
    """Share of rows whose largest output is at the label."""
    return float(np.mean(prediction.argmax(axis=1) == labels))
