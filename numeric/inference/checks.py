"""Checks of kernel matrices, targets, times and ridges: each failure is one line with its remedy."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mehler.numeric.errors import NumericError
from mehler.numeric.inputs import shown

Array = NDArray[np.float64]


def finite(values: Any, what: str) -> Array:
    """The finite numbers of an array in float64. Raises NumericError."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise NumericError(f"{what} has dtype {str(array.dtype)[:40]}; convert it, e.g. astype(numpy.float64)")
    if not np.isfinite(array).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise NumericError(f"{what} contains NaN or infinity, first at {where}; remove or repair those rows")
    plain: Array = array.astype(np.float64, copy=False)
    return plain


def gram_matrix(matrix: Any) -> Array:
    """A symmetric (n, n) matrix, n ≥ 1, no negative diagonal. Raises NumericError, which says by how much."""
    eps = precision(matrix)
    K = finite(matrix, "the kernel matrix")
    if K.ndim != 2 or K.shape[0] != K.shape[1]:
        raise NumericError(f"the kernel matrix must be square, not {K.shape}; give K(X, X)")
    if not len(K):
        raise NumericError("there is no row to fit; give at least one")
    apart, largest = float(np.abs(K - K.T).max()), float(np.abs(K).max())
    if apart > eps ** (2 / 3) * largest:
        raise NumericError(
            f"the kernel matrix is not symmetric: entries differ by {apart:.2g}, {apart / largest:.2g} of the "
            "largest; give K(X, X), e.g. (K + K.T)/2"
        )
    if (least := float(np.diag(K).min())) < 0:
        raise NumericError(f"the kernel matrix has a negative diagonal, {least:.2g}, as no kernel has")
    return K


def targets(values: Any, rows: int, what: str = "the array of targets") -> Array:
    """Finite targets (n,) or (n, outputs) for n rows. Raises NumericError."""
    y = finite(values, what)
    if y.ndim not in (1, 2) or len(y) != rows:
        raise NumericError(f"{what} must have shape ({rows},) or ({rows}, outputs), not {y.shape}")
    if 0 in y.shape:
        raise NumericError(f"there is no row to fit: {what} has shape {y.shape}; give at least one output")
    return y


def cross_matrix(matrix: Any, columns: int) -> Array:
    """A kernel K(X_test, X) of shape (m, columns), m ≥ 1. Raises NumericError."""
    K = finite(matrix, "K(X_test, X)")
    if K.ndim != 2 or K.shape[1] != columns or len(K) == 0:
        raise NumericError(f"K(X_test, X) must have shape (m, {columns}), m >= 1, not {K.shape}")
    return K


def relative_ridge(ridge: Any) -> float:
    """A finite number ≥ 0. Raises NumericError."""
    if isinstance(ridge, bool) or not isinstance(ridge, int | float | np.number) or not 0 <= ridge < math.inf:
        raise NumericError(f"ridge={shown(ridge)} must be a finite number >= 0")
    return float(ridge)


def times(t: Any) -> Array:
    """Times t ≥ 0 of any shape; None is infinity. Raises NumericError."""
    array = np.asarray(math.inf if t is None else t)
    if array.dtype.kind not in "fiu":
        raise NumericError(f"t={shown(t)} is no time; give numbers >= 0, or None for infinity")
    if np.isnan(array).any() or (array < 0).any():
        raise NumericError(f"t={shown(t)} has a time below 0 or NaN; give numbers >= 0, or None for infinity")
    plain: Array = array.astype(np.float64, copy=False)
    return plain


def precision(K: Any) -> float:
    """The machine epsilon of the matrix's dtype (that of float64 for other dtypes)."""
    dtype = getattr(K, "dtype", None)
    return float(np.finfo(dtype if dtype in (np.float16, np.float32) else np.float64).eps)
