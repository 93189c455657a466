"""The one place that solves (K + αI) x = y, α = ridge · mean diagonal of K.

Sources: Golub and Van Loan, Matrix Computations, 4.2 (Cholesky), 5.5 (minimum-norm solutions); Higham, Accuracy and
Stability of Numerical Algorithms, chapter 15 (condition estimates).
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, eigh
from scipy.linalg.lapack import dpocon

from mehler.numeric.errors import NumericError
from mehler.numeric.inference.checks import Array, gram_matrix, precision, relative_ridge, targets

INDEFINITE = 10.0  # times its rounding: how far below 0 an eigenvalue may lie


class NearSingularWarning(UserWarning):
    """A kernel matrix is singular to rounding: directions that cannot be told from 0 are left out."""


@dataclass(frozen=True)
class Kernel:
    """A positive semidefinite matrix K (n, n) and α ≥ 0, for solves with K + αI and its spectrum.

    `rounding` = n · eps · max diagonal is the rounding error of an eigenvalue of K. eps is that of K's own dtype:
    a float32 matrix is solved in float64, but its eigenvalues are trusted to float32 precision only.
    """

    matrix: Array
    shift: float
    rounding: float

    @staticmethod
    def of(K: Any, ridge: Any = 0.0) -> "Kernel":
        """Checked. Raises NumericError where K is not square, symmetric and finite, or ridge is not ≥ 0."""
        matrix = gram_matrix(K)
        diagonal = np.diag(matrix)
        rounding = len(matrix) * precision(K) * float(diagonal.max())
        return Kernel(matrix, relative_ridge(ridge) * float(diagonal.mean()), rounding)

    def solve(self, y: Array) -> Array:
        """x with (K + αI) x = y; of minimum norm, with a NearSingularWarning, where that is singular to rounding.

        y is (n,) or (n, outputs). Raises NumericError where K is not positive semidefinite beyond rounding.
        """
        if self.factor is not None:
            solution: Array = cho_solve((self.factor, True), y, check_finite=False)
            return solution
        values, vectors = self.spectrum
        values = values + self.shift
        kept = values > self.rounding
        self._warn(values, int(kept.sum()))
        projections = vectors[:, kept].T @ y
        inner: Array = vectors[:, kept] @ (projections.T / values[kept]).T
        return inner

    @cached_property
    def factor(self) -> Array | None:
        """L with L Lᵀ = K + αI, or None where its condition number is over 1/(n · eps)."""
        shifted = self.matrix + self.shift * np.eye(len(self.matrix))
        factor = _cholesky(shifted)
        if factor is None:
            return None
        reciprocal, _ = dpocon(factor, np.abs(shifted).sum(axis=0).max(), uplo="L")
        if reciprocal < len(shifted) * np.finfo(np.float64).eps:
            return None
        allowed = INDEFINITE * self.rounding
        if self.shift > allowed and _cholesky(self.matrix + allowed * np.eye(len(self.matrix))) is None:
            _ = self.spectrum  # the ridge hides that K is indefinite; the eigenvalues say by how much
        return factor

    @cached_property
    def spectrum(self) -> tuple[Array, Array]:
        """Eigenvalues of K (n,), ascending, those within rounding of 0 being 0; eigenvectors as columns.

        Raises NumericError where one is negative beyond rounding.
        """
        values, vectors = eigh(self.matrix, check_finite=False, driver="evd")
        if values[0] < -INDEFINITE * self.rounding:
            raise NumericError(
                f"the kernel matrix is not positive semidefinite: its smallest eigenvalue is {values[0]:.2g}, "
                f"where rounding explains {-INDEFINITE * self.rounding:.2g} and the largest is {values[-1]:.2g}; "
                "give a kernel of both arguments' rows"
            )
        return np.where(values <= self.rounding, 0.0, values), vectors

    def _warn(self, values: Array, kept: int) -> None:
        least = max(float(values[0]), float(np.finfo(np.float64).eps) * float(values[-1]))
        condition = float(values[-1]) / least if least else np.inf
        advised = max(1e-12, 10 * self.rounding / max(float(np.diag(self.matrix).mean()), 1e-300))
        warnings.warn(
            f"the kernel matrix is near to singular: its condition number is over {condition:.1g}"
            f", and {len(values) - kept} of {len(values)} directions are left out; "
            f"remove duplicate rows, or give a ridge, e.g. ridge={advised:.0e}",
            NearSingularWarning,
            stacklevel=4,
        )


def solve(K: Any, y: Any, *, ridge: float = 0.0) -> Array:
    """x with (K + ridge · mean(diag K) · I) x = y.

    K is (n, n), symmetric and positive semidefinite, y (n,) or (n, outputs); float32 is solved in float64. By
    Cholesky; where the condition number is over 1/(n · eps), by an eigendecomposition that leaves out what is 0 to
    rounding (the solution of minimum norm), with a NearSingularWarning. Never NaN. Raises NumericError.
    """
    kernel = Kernel.of(K, ridge)
    return kernel.solve(targets(y, len(kernel.matrix)))


def log_marginal_likelihood(K: Any, y: Any, *, ridge: float = 0.0) -> float:
    """−½ yᵀ(K + αI)⁻¹y − ½ log det(K + αI) − (n/2) log 2π, α = ridge · mean(diag K); a sum over outputs.

    Shapes and errors as for `solve`; also NumericError where K + αI is singular to rounding, for then there is no
    density (Rasmussen and Williams 2006, equation 2.30).
    """
    kernel = Kernel.of(K, ridge)
    y = targets(y, len(kernel.matrix))
    if kernel.factor is None:
        _ = kernel.spectrum
        raise NumericError("K is singular to rounding and has no likelihood; give a ridge, e.g. ridge=1e-6")
    outputs = 1 if y.ndim == 1 else y.shape[1]
    determinant = 2 * float(np.log(np.diag(kernel.factor)).sum())
    fit = float(np.sum(y * kernel.solve(y)))
    return -0.5 * (fit + outputs * (determinant + len(y) * float(np.log(2 * np.pi))))


def _cholesky(matrix: Array) -> Array | None:
    try:
        factor: Array = cholesky(matrix, lower=True, check_finite=False)
    except LinAlgError:
        return None
    return factor
