"""Kernel regression as scikit-learn's estimators are built; subclasses say which kernel."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from mehler.numeric.errors import NumericError
from mehler.numeric.inference.checks import Array, relative_ridge
from mehler.numeric.inference.solve import Kernel

ENTRIES = 2**21  # of a kernel matrix that a prediction holds at a time


class KernelFunction(Protocol):
    """A kernel as a function of rows."""

    def __call__(self, X: Any, Y: Any = None) -> Any: ...
    def diag(self, X: Any) -> Any: ...


class KernelMachine(BaseEstimator, ABC):  # type: ignore[misc]
    """f(x) = K(x, X) c, c = √W (√W K √W + αI)⁻¹ √W y: the minimum of Σ wᵢ(f(xᵢ) − yᵢ)² + α‖f‖².

    W are the sample weights and α = ridge · Σ wᵢ K(xᵢ, xᵢ)/Σ wᵢ, so a weight of 2 is a row given twice.
    """

    ridge: float

    @abstractmethod
    def make_kernel(self) -> KernelFunction:
        """The kernel of the parameters. Raises NumericError for parameters that have none."""

    def _fit(self, X: Any, y: Array, sample_weight: Any) -> Self:
        kernel = self.make_kernel()
        self.kernel_, self.X_fit_, self.y_fit_ = kernel, X, y
        self.sample_weight_ = (
            None
            if sample_weight is None
            else _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        )
        system = self._system()
        self.dual_coef_ = self._weighted(system.solve(self._weighted(y)))
        # The amplitude s² of the kernel that makes the targets most likely: yᵀ(K + αI)⁻¹y/n.
        self.amplitude_ = np.maximum((y * self.dual_coef_).sum(axis=0) / len(y), 0.0)
        return self

    def _system(self) -> Kernel:
        """√W K √W with the shift α."""
        K = self.kernel_(self.X_fit_)
        if self.sample_weight_ is None:
            return Kernel.of(K, self.ridge)
        weights = self.sample_weight_
        if not weights.any():
            raise NumericError("all sample weights are 0; give at least one that is positive")
        root = np.sqrt(weights).astype(K.dtype)
        system = Kernel.of(root[:, None] * K * root)
        return Kernel(
            system.matrix, relative_ridge(self.ridge) * float(weights @ np.diag(K) / weights.sum()), system.rounding
        )

    def _weighted(self, values: Array) -> Array:
        if self.sample_weight_ is None:
            return values
        weighted: Array = (np.sqrt(self.sample_weight_) * values.T).T
        return weighted

    def _tiles(self, X: Any) -> Iterator[tuple[slice, Any]]:
        rows = max(1, ENTRIES // len(self.X_fit_))
        for start in range(0, len(X), rows):
            place = slice(start, min(start + rows, len(X)))
            yield place, self.kernel_(X[place], self.X_fit_)

    def outputs(self, X: Any) -> Array:
        """f of the rows of X, in tiles: memory is bounded whatever their number."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=self.X_fit_.dtype, reset=False)
        outputs = np.empty((len(X), *self.dual_coef_.shape[1:]))
        for place, K in self._tiles(X):
            outputs[place] = K @ self.dual_coef_
        return outputs

    def deviations(self, X: Any) -> Array:
        """s √(K(x, x) + α − K(x, X)(K + αI)⁻¹K(X, x)): of an observation, by the Gaussian process of the kernel.

        The training Gram matrix is computed anew, because estimators do not keep it.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=self.X_fit_.dtype, reset=False)
        system, variance = self._system(), np.empty(len(X))
        noise = system.shift
        for place, K in self._tiles(X):
            cross = self._weighted(K.T.astype(np.float64))
            explained = np.einsum("ij,ij->j", cross, system.solve(cross))
            variance[place] = self.kernel_.diag(X[place]) + noise - explained
        deviations: Array = np.sqrt(np.maximum(np.multiply.outer(variance, self.amplitude_), 0.0))
        return deviations


class MachineRegressor(RegressorMixin, KernelMachine):  # type: ignore[misc]
    """Kernel ridge regression of one or several targets."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit rows X (n, d), targets y (n,) or (n, outputs) and weights (n,). Raises NumericError, ValueError."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
        return self._fit(X, np.asarray(y, np.float64), sample_weight)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """f(x) of rows X (m, d), as (m,) or (m, outputs); with `return_std` also the deviation of an observation.

        The deviation is that of the Gaussian process with this kernel, noise α, and the most likely amplitude.
        """
        outputs = self.outputs(X)
        return (outputs, self.deviations(X)) if return_std else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class MachineClassifier(ClassifierMixin, KernelMachine):  # type: ignore[misc]
    """Regression on ±1 for two classes; on 1 − 1/classes for the label and −1/classes elsewhere for more."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit rows X (n, d), labels y (n,) and weights (n,). Raises NumericError, ValueError."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise NumericError(f"y has one class, {self.classes_[0]!r}; a classifier needs at least two classes")
        return self._fit(X, class_targets(labels, len(self.classes_)), sample_weight)

    def decision_function(self, X: Any) -> Array:
        """Scores (m,), positive for classes_[1], for two classes; (m, classes) for more."""
        return self.outputs(X)

    def predict(self, X: Any) -> Any:
        """Labels (m,) of the largest score."""
        scores = self.decision_function(X)
        chosen = scores > 0 if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[np.asarray(chosen, int)]


def class_targets(labels: Any, classes: int) -> Array:
    """±1 for two classes; one-hot less its mean, 1 − 1/classes and −1/classes, for more."""
    labels = check_array(labels, ensure_2d=False, dtype=int)
    targets: Array = 2.0 * labels - 1 if classes == 2 else np.eye(classes)[labels] - 1 / classes
    return targets
