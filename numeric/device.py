"""Gram matrices of arrays that are on a GPU: computed there, by a generated CuPy module, into an array there.

NumPy is not asked for anything but numbers; what is checked is checked in operators that any array has.
"""

from typing import Any

from mehler.numeric import inputs
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator


def holds(X: Any) -> bool:
    """Whether an array is CuPy's, told without an import of CuPy."""
    return type(X).__module__.partition(".")[0] == "cupy"


def gram(
    evaluator: Evaluator, X: Any, Y: Any = None, *, kernel: str, depth: int, sigma_w: float, sigma_b: float
) -> Any:
    """Σᴸ ("nngp") or Θᴸ ("ntk") of rows of X (n, d) and Y (m, d; X when None), as a CuPy array (n, m).

    float32, computed in float64 and rounded once, or float64, as X. Exactly symmetric with Y = None.
    Raises NumericError for bad input and when a value overflows.
    """
    inputs.kernel(kernel)
    depth, sigma_w, sigma_b = inputs.network(depth, sigma_w, sigma_b)
    X, Y = _rows(X, "X", sigma_b), None if Y is None else _rows(Y, "Y", sigma_b)
    if Y is not None and (X.shape[1] != Y.shape[1] or X.dtype != Y.dtype):
        raise NumericError(
            f"X is {X.dtype} {X.shape} and Y is {Y.dtype} {Y.shape}; columns and types must be equal"
        )
    network = {"depth": depth, "sigma_w": sigma_w, "sigma_b": sigma_b, **evaluator.values}
    try:
        K = getattr(evaluator.module, kernel)(X, Y, **network)
    except ValueError as error:  # a variance beyond the module's tables
        raise NumericError(str(error)) from None
    if not _finite(K):
        raise NumericError("the kernel is not finite; scale the rows down, or use a smaller sigma_w or depth")
    return K


def _rows(X: Any, name: str, sigma_b: float) -> Any:
    if not holds(X):
        raise NumericError(f"{name} must be a CuPy array, not {type(X).__name__}; use cupy.asarray({name})")
    if str(X.dtype) not in ("float32", "float64"):
        raise NumericError(f"{name} has dtype {X.dtype}; convert it, e.g. {name}.astype(cupy.float64)")
    if X.ndim != 2 or 0 in X.shape:
        raise NumericError(f"{name} must have shape (n, d), n, d >= 1, not {X.shape}; put one input in each row")
    if not _finite(X):
        raise NumericError(f"{name} contains NaN or infinity; remove or repair those rows")
    if sigma_b == 0 and not bool((X != 0).any(axis=1).all()):
        raise NumericError(f"a row of {name} is zero and has no direction; remove it or set sigma_b > 0")
    return X


def _finite(X: Any) -> bool:
    return bool((X - X == 0).all())
