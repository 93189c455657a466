"""The eigenvectors of a kernel matrix, what a target has of each, and when each is learned."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mehler.numeric.errors import NumericError
from mehler.numeric.inference.checks import Array, precision, targets
from mehler.numeric.inference.solve import Kernel
from mehler.numeric.inputs import shown


@dataclass(frozen=True, eq=False)
class Modes:
    """K = Σ λᵢ uᵢuᵢᵀ with λ falling, and a target y in that basis: the modes in the order they are learned.

    eigenvalues: (n,), falling, 0 where rounding cannot tell them from 0. vectors: (n, n), uᵢ in column i.
    projections: uᵢᵀy, (n,) or (n, outputs).
    times: (n,), 1/(λᵢ + α), in which gradient flow with ridge α learns all but 1/e of mode i; else infinite.
    rkhs_norm2: yᵀK⁻¹y, summed over outputs; infinite where K is singular and y is not in its range.
    """

    eigenvalues: Array
    vectors: Array
    projections: Array
    times: Array
    rkhs_norm2: float

    @staticmethod
    def of(kernel: Kernel, y: Array, eps: float) -> "Modes":
        """Those of a checked kernel whose numbers have the rounding eps, and of checked targets."""
        values, vectors = (part[..., ::-1] for part in kernel.spectrum)
        projections = vectors.T @ y
        squares, reached = _squares(projections), values > 0
        norm = float((squares[reached] / values[reached]).sum())
        if squares[~reached].sum() > (len(y) * eps) ** 2 * squares.sum():
            norm = np.inf
        with np.errstate(divide="ignore"):
            return Modes(values, vectors, projections, 1 / (values + kernel.shift), norm)

    @property
    def power(self) -> Array:
        """|uᵢᵀy|²/|y|², (n,), over all outputs; it adds up to 1 (0 for y = 0)."""
        squares = _squares(self.projections)
        return squares / (squares.sum() or 1.0)

    @property
    def cumulative(self) -> Array:
        """The share of |y|² in the first 1, 2, … n modes: what is learned when these are."""
        return np.cumsum(self.power)

    @property
    def bound(self) -> float:
        """√(2 yᵀK⁻¹y/n), the generalisation bound of Arora et al., ICML 2019, without its logarithmic term."""
        return float(np.sqrt(2 * self.rkhs_norm2 / len(self.eigenvalues)))

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
    kernel = Kernel.of(K)
    return Modes.of(kernel, targets(y, len(kernel.matrix)), precision(K))


def _squares(projections: Array) -> Array:
    squares: Array = (projections**2).reshape(len(projections), -1).sum(axis=1)
    return squares
