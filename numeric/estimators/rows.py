"""Rows as estimators give them to kernels, and the kernel of each row with itself."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mehler.numeric.evaluator import Evaluator
from mehler.numeric.gram import Kernel

Array = NDArray[np.floating[Any]]

# Squared norm over d that stands for 0: far below the rounding of √(q q') beside rows of ordinary size.
SMALL = {np.dtype(np.float64): 1e-60, np.dtype(np.float32): 1e-24}


def directed(X: Array, Y: Array | None, sigma_b: float) -> tuple[Array, Array | None]:
    """X (n, d) and Y (m, d) with a short direction of its own for zero rows, in a further column.

    Without a bias a zero row has no direction, so no angle with the others. The limit of a short row orthogonal to
    all others is its kernel where φ is continuous, and the mean over directions where φ jumps at 0.
    """
    zero = [not rows.any(axis=1).all() for rows in (X, Y) if rows is not None]
    if sigma_b > 0 or not any(zero):
        return X, Y
    return _widened(X), None if Y is None else _widened(Y)


def _widened(rows: Array) -> Array:
    d = rows.shape[1]
    short = np.where(rows.any(axis=1), 0, np.sqrt(d * SMALL[rows.dtype]))
    wide: Array = np.column_stack([rows, short]) * np.sqrt((d + 1) / d)  # kernels divide by the columns
    return wide.astype(rows.dtype)


def diagonal(
    evaluator: Evaluator, X: Array, *, kernel: Kernel, depth: int, sigma_w: float, sigma_b: float
) -> Array:
    """Σᴸ(x, x) or Θᴸ(x, x) of the rows of X (n, d), as (n,).

    q₀ = σ_w²|x|²/d + σ_b², q_{l+1} = σ_w² K(q_l, q_l) + σ_b²; Θ₀ = q₀, Θ_{l+1} = q_{l+1} + σ_w² K̇(q_l, q_l) Θ_l.
    """
    module, values = evaluator.module, evaluator.values
    q = X.dtype.type(sigma_w**2 / X.shape[1]) * np.einsum("ij,ij->i", X, X) + X.dtype.type(sigma_b**2)
    tangent = q
    for _ in range(depth):
        slope = module.kernel_dot_diag(q, **values) if kernel == "ntk" else q
        q = sigma_w**2 * module.kernel_diag(q, **values) + sigma_b**2
        tangent = q + sigma_w**2 * slope * tangent
    result: Array = (tangent if kernel == "ntk" else q).astype(X.dtype)
    return result
