"""Ensembles of trained networks of infinite width, and Gaussian process posteriors, from kernel matrices.

Source: Lee et al., Wide neural networks of any depth evolve as linear models under gradient descent (2019).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mehler.numeric.errors import NumericError
from mehler.numeric.inference.checks import Array, cross_matrix, gram_matrix, times
from mehler.numeric.inference.flow import GradientFlow


@dataclass(frozen=True)
class Blocks:
    """A kernel on training and test rows: K(X, X) (n, n), K(X_test, X) (m, n), K(X_test, X_test) (m, m)."""

    train: Any
    cross: Any
    test: Any


def trained_ensemble(
    ntk: Blocks, nngp: Blocks, y: Any, *, t: Any = None, ridge: float = 0.0
) -> tuple[Array, Array]:
    """Mean and covariance, on test rows, of networks trained to time t from random initial outputs f₀ ∼ N(0, K).

    With T = (1 − e^{−Θ̃t})/Θ̃, Θ̃ = Θ + αI and A = Θ(X_test, X) T,

        mean = A y,    covariance = K** − A K(X, X*) − (A K(X, X*))ᵀ + A K Aᵀ.

    Times and ridge as for GradientFlow; a time's axes come first: mean t.shape + (m,) or (m, outputs), covariance
    t.shape + (m, m), the same for every output. `ntk.test` is not used. Raises NumericError for bad input.
    """
    flow = GradientFlow(ntk.train, y, ridge=ridge)
    K, cross, test = _checked(nngp, len(flow.y))
    A = flow.operator(times(t), ntk.cross)
    if A.shape[-2] != len(cross):
        raise NumericError(f"the cross kernels have {A.shape[-2]} and {len(cross)} rows; give both of one X_test")
    mixed = A @ cross.T
    covariance = test - mixed - np.swapaxes(mixed, -1, -2) + A @ K @ np.swapaxes(A, -1, -2)
    return A @ flow.y, _symmetric(covariance)


def gaussian_process(nngp: Blocks, y: Any, *, t: Any = None, ridge: float = 0.0) -> tuple[Array, Array]:
    """Mean and covariance, on test rows, of the Gaussian process with kernel K and noise α = ridge · mean(diag K).

        mean = K* g_t(K̃) y,    covariance = K** − K* g_{2t}(K̃) K*ᵀ,    g_t(μ) = (1 − e^{−μt})/μ, K̃ = K + αI.

    t = None is the posterior; a finite t is an ensemble of networks whose last layer alone is trained. Shapes and
    errors as for `trained_ensemble`.
    """
    flow = GradientFlow(nngp.train, y, ridge=ridge)
    _, cross, test = _checked(nngp, len(flow.y))
    moments = times(t)
    covariance = test - flow.operator(2 * moments, nngp.cross) @ cross.T
    return flow.operator(moments, nngp.cross) @ flow.y, _symmetric(covariance)


def _checked(blocks: Blocks, rows: int) -> tuple[Array, Array, Array]:
    K, cross, test = gram_matrix(blocks.train), cross_matrix(blocks.cross, rows), gram_matrix(blocks.test)
    if len(K) != rows or len(test) != len(cross):
        raise NumericError(f"kernels of shapes {K.shape}, {cross.shape} and {test.shape} do not belong together")
    return K, cross, test


def _symmetric(covariance: Array) -> Array:
    return (covariance + np.swapaxes(covariance, -1, -2)) / 2
