"""Checks of what a user passes in: each failure is one line that names the fault and the remedy."""

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mehler.numeric.errors import NumericError

Array = NDArray[np.floating[Any]]

DEEPEST = 100_000  # layers: minutes for a tile, which an interruption waits for


def shown(value: Any) -> str:
    """A value as an error may quote it: one line, and short."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer of more than 4300 digits has no text
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else f"{text[:57]}..."


def rows(X: Any, name: str, sigma_b: float) -> Array:
    """`X` as a plain (n, d) array of finite float32 or float64 rows, n, d ≥ 1.

    A zero row is refused when σ_b = 0: it has no direction, so its kernels with other rows are no limit.
    A masked entry is refused, because a kernel needs every entry of a row.
    """
    if not isinstance(X, np.ndarray):
        raise NumericError(f"{name} must be a NumPy array, not {type(X).__name__}; use numpy.asarray({name})")
    if X.dtype not in (np.float32, np.float64):
        kind = str(X.dtype)[:40]  # the fields of a structured type come from a file
        raise NumericError(f"{name} has dtype {kind}; convert it, e.g. {name}.astype(numpy.float64)")
    if X.ndim != 2:
        raise NumericError(f"{name} must have shape (n, d), not {X.shape}; put one input in each row")
    if 0 in X.shape:
        raise NumericError(f"{name} is empty, of shape {X.shape}; give at least one row and one column")
    if np.ma.is_masked(X):
        row = int(np.argmax(np.ma.getmaskarray(X).any(axis=1)))
        raise NumericError(f"row {row} of {name} has masked entries; remove it, or fill them with {name}.filled")
    plain: Array = np.asarray(X)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", plain, plain)
    if (squares > 0).all() and np.isfinite(squares).all():  # one pass, where nothing is wrong
        return plain
    finite = np.isfinite(plain).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise NumericError(f"row {row} of {name} contains NaN or infinity; remove or repair it")
    zero = ~plain.any(axis=1)
    if sigma_b == 0 and zero.any():
        row = int(np.argmax(zero))
        raise NumericError(f"row {row} of {name} is zero and has no direction; remove it or set sigma_b > 0")
    return plain


def pair_of_rows(X: Any, Y: Any, sigma_b: float) -> tuple[Array, Array | None]:
    """Checked X and Y (or None) with as many columns and of one dtype."""
    X = rows(X, "X", sigma_b)
    if Y is None:
        return X, None
    Y = rows(Y, "Y", sigma_b)
    if X.shape[1] != Y.shape[1]:
        raise NumericError(f"X has {X.shape[1]} columns and Y has {Y.shape[1]}; they must be equal")
    if X.dtype != Y.dtype:
        raise NumericError(f"X is {X.dtype} and Y is {Y.dtype}; convert one to the type of the other")
    return X, Y


def output(out: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """`out` as a plain array of its memory, which can take a result of `shape` and `dtype`."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise NumericError(f"out must be a NumPy array without a mask, not {type(out).__name__}; use numpy.empty")
    if out.shape != shape or out.dtype != dtype:
        raise NumericError(f"out must have shape {shape} and dtype {dtype}, not {out.shape} and {out.dtype}")
    if not out.flags.writeable:
        raise NumericError("out is read-only; use out.copy()")
    reach = out.itemsize
    for step, count in sorted((abs(step), count) for step, count in zip(out.strides, shape, strict=True)):
        if count > 1 and step < reach:
            raise NumericError("entries of out share memory; use out.copy()")
        reach += step * (count - 1)
    plain: Array = np.asarray(out)
    return plain


def kernel(name: Any) -> None:
    if not isinstance(name, str) or name not in ("nngp", "ntk"):
        raise NumericError(f"kernel={shown(name)} is not known; use 'nngp' or 'ntk'")


def network(depth: Any, sigma_w: Any, sigma_b: Any) -> tuple[int, float, float]:
    """0 ≤ depth ≤ DEEPEST, σ_w > 0 and σ_b ≥ 0, finite."""
    if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or depth < 0:
        raise NumericError(f"depth={shown(depth)} must be an integer >= 0, the number of hidden layers")
    if depth > DEEPEST:
        raise NumericError(f"depth={shown(depth)} is too deep; use at most {DEEPEST} hidden layers")
    scales = []
    for name, value, positive in (("sigma_w", sigma_w, True), ("sigma_b", sigma_b, False)):
        try:
            number = float(value)
        except OverflowError:  # an integer or a fraction beyond the floats
            number = math.copysign(sys.float_info.max, 1 if value > 0 else -1)
        except Exception:  # whatever float() of the user's object raises
            number = math.nan
        if not math.isfinite(number) or number < 0 or (positive and number == 0):
            raise NumericError(f"{name}={shown(value)} must be a finite number {'>' if positive else '>='} 0")
        if number and not 1e-100 <= number <= 1e100:
            raise NumericError(
                f"{name}={shown(value)} has a square outside the range of floats; use 1e-100 to 1e100"
            )
        scales.append(number)
    return int(depth), scales[0], scales[1]


def variances(X: Array, name: str, sigma_w: float, sigma_b: float) -> None:
    """Raise NumericError when σ_w²|x|²/d + σ_b² of a row overflows, or underflows and loses its digits."""
    with np.errstate(over="ignore", under="ignore"):
        scale = X.dtype.type(sigma_w**2 / X.shape[1])
        q = scale * np.einsum("ij,ij->i", X, X) + X.dtype.type(sigma_b**2)
    limits = np.finfo(X.dtype)
    bad = ~((q >= 1e3 * limits.tiny) & (q <= limits.max))
    if bad.any():
        row = int(np.argmax(bad))
        size = "small" if q[row] < 1 else "large"
        raise NumericError(
            f"row {row} of {name} is too {size} for {X.dtype}: its variance is {q[row]:.1g}; scale the rows"
        )
