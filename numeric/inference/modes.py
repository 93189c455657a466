"""The eigenfunctions of a Gram matrix, and what a target has of each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mehler.numeric.errors import NumericError
from mehler.numeric.inputs import shown

Array = NDArray[np.float64]

# Of the largest entry: what rounding leaves between K and Kᵀ, and of an eigenvalue 0.
ASYMMETRY = 1e-10
INDEFINITE = 1e-10


@dataclass(frozen=True, eq=False)
class Modes:
    """K = Σ λᵢ uᵢuᵢᵀ with λ falling, and a target y in that basis. Gradient flow learns mode i at the rate λᵢ.

    eigenvalues: (n,), falling. vectors: (n, n), uᵢ in column i.
    projections: uᵢᵀy, (n,) or (n, outputs).
    power: |uᵢᵀy|²/|y|², (n,), over all outputs; it adds up to 1 (0 for y = 0).
    rkhs_norm2: yᵀK⁻¹y, summed over outputs; infinite where y has a part that K does not reach.
    bound: √(2 yᵀK⁻¹y/n), the generalisation bound of Arora et al., ICML 2019, without its logarithmic term.
    """

    eigenvalues: Array
    vectors: Array
    projections: Array
    power: Array
    rkhs_norm2: float

    @property
    def bound(self) -> float:
        return float(np.sqrt(2 * self.rkhs_norm2 / len(self.eigenvalues)))

    @property
    def cumulative(self) -> Array:
        """The share of |y|² in the first 1, 2, … n modes: what is learned when these are."""
        return np.cumsum(self.power)

    @property
    def times(self) -> Array:
        """1/λᵢ, the time in which gradient flow learns mode i; infinite for λᵢ ≤ 0."""
        positive = self.eigenvalues > 0
        return np.where(positive, 1 / np.where(positive, self.eigenvalues, 1), np.inf)

    def holding(self, share: float) -> NDArray[np.intp]:
        """The fewest modes that together hold `share` of |y|², in the order in which they are learned."""
        if not 0 < share <= 1:
            raise NumericError(f"share={shown(share)} is not a number in (0, 1]; use e.g. share=0.9")
        largest = np.argsort(-self.power, kind="stable")
        # Rounding must not ask for one mode more.
        count = int(np.searchsorted(np.cumsum(self.power[largest]), share * (1 - 1e-12))) + 1
        return np.sort(largest[:count])


def modes(K: Any, y: Any) -> Modes:
    """The modes of K (n, n), symmetric and positive semidefinite, and of targets y (n,) or (n, outputs).

    Raises NumericError for shapes that do not fit, for NaN, and for a K that is not symmetric or has a negative
    eigenvalue beyond rounding; the message says by how much.
    """
    K, y = _matrix(K), _targets(y, len(K))
    values, vectors = linalg.eigh((K + K.T) / 2)
    top = max(float(np.abs(values).max()), np.finfo(float).tiny)
    if values[0] < -INDEFINITE * top:
        raise NumericError(
            f"K is not positive semidefinite: its least eigenvalue is {values[0]:.3g}, {-values[0] / top:.1e} of "
            "the largest; give a kernel's Gram matrix"
        )
    values, vectors = values[::-1], vectors[:, ::-1]
    projections = vectors.T @ y
    squares = (projections**2).reshape(len(y), -1).sum(axis=1)
    total = float(squares.sum())
    # Below that an eigenvalue, and a projection, are what rounding makes of 0.
    noise = len(y) * float(np.finfo(float).eps)
    reached = values > noise * top
    norm = float((squares[reached] / values[reached]).sum())
    if squares[~reached].sum() > noise**2 * total:
        norm = np.inf
    return Modes(values, vectors, projections, squares / total if total else squares, norm)


def _matrix(given: Any) -> Array:
    K = _numbers(given, "K")
    if K.ndim != 2 or K.shape[0] != K.shape[1] or not len(K):
        raise NumericError(f"K must have shape (n, n), not {K.shape}; give the Gram matrix of the training rows")
    gap, scale = float(np.abs(K - K.T).max()), float(np.abs(K).max())
    if gap > ASYMMETRY * scale:
        i, j = np.unravel_index(int(np.abs(K - K.T).argmax()), K.shape)
        raise NumericError(
            f"K is not symmetric: K[{i}, {j}] and K[{j}, {i}] differ by {gap:.3g}, {gap / scale:.1e} of its "
            "largest entry; give a kernel's Gram matrix, or (K + K.T)/2"
        )
    return K


def _targets(given: Any, n: int) -> Array:
    y = _numbers(given, "y")
    if y.ndim not in (1, 2) or len(y) != n or not y.size:
        raise NumericError(f"y must have shape ({n},) or ({n}, outputs), as K has {n} rows; not {y.shape}")
    return y


def _numbers(values: Any, name: str) -> Array:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise NumericError(f"{name} is not an array of numbers; use numpy.asarray({name}, float)") from None
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise NumericError(f"{name} contains NaN or infinity, first at {where}; remove or repair it")
    return array
