"""The ridge of kernel regression by leave-one-out, in closed form for every ridge from one eigendecomposition.

The error of row i when it is left out is cᵢ/Gᵢᵢ, with G = (K + αI)⁻¹ and c = Gy (Golub, Heath and Wahba 1979;
Rasmussen and Williams 2006, equation 5.12).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mehler.numeric.inference.checks import Array, relative_ridge, targets
from mehler.numeric.inference.solve import Kernel

RIDGES = tuple(10.0**k for k in np.arange(-9, 1.5, 0.5).tolist())


@dataclass(frozen=True)
class LeaveOneOut:
    """Ridges (relative to the mean diagonal), the mean square error of each, and the ridge with the least error.

    `predictions` (n,) or (n, outputs) are those of the chosen ridge for every row without itself.
    """

    ridges: Array
    errors: Array
    ridge: float
    predictions: Array


def leave_one_out(K: Any, y: Any, ridges: Any = RIDGES) -> LeaveOneOut:
    """The ridge of least leave-one-out error for K (n, n) and y (n,) or (n, outputs).

    Ridges below the rounding of K, n · eps of its numbers, are raised to it. Raises NumericError.
    """
    kernel = Kernel.of(K)
    y = targets(y, len(kernel.matrix))
    values, vectors = kernel.spectrum
    projections, squares = vectors.T @ y, vectors**2
    scale = float(np.diag(kernel.matrix).mean()) or 1.0
    # Below the rounding of K a ridge cannot be told from 0, and a singular K has no left-out errors at 0.
    given = [relative_ridge(ridge) for ridge in np.atleast_1d(ridges).tolist()]
    grid = np.unique(np.maximum(given, max(kernel.rounding / scale, np.finfo(np.float64).eps)))
    errors, left = [], []
    for ridge in grid:
        rates = values + ridge * scale
        dual = vectors @ (projections.T / rates).T
        left.append((dual.T / (squares @ (1 / rates))).T)
        errors.append(float(np.mean(left[-1] ** 2)))
    best = int(np.argmin(errors))
    return LeaveOneOut(grid, np.array(errors), float(grid[best]), y - left[best])
