"""Training in steps, and by other losses than the square.

Heavy ball (Polyak 1964): along an eigenvector of rate μ the error obeys e_{k+1} = (1 + m − ημ) e_k − m e_{k−1} with
e_{−1} = e_0, so e_k/e_0 = P_k − m P_{k−1}, P_k = (z₁^{k+1} − z₂^{k+1})/(z₁ − z₂) with the roots z of
z² − (1 + m − ημ) z + m = 0.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import softmax

from mehler.numeric.errors import NumericError
from mehler.numeric.inference.checks import Array, cross_matrix, targets, times
from mehler.numeric.inference.solve import Kernel
from mehler.numeric.inputs import shown


def checked_momentum(momentum: Any) -> float:
    """0 ≤ m < 1. Raises NumericError."""
    if isinstance(momentum, bool) or not isinstance(momentum, int | float | np.number) or not 0 <= momentum < 1:
        raise NumericError(f"momentum={shown(momentum)} must be a number >= 0 and < 1")
    return float(momentum)


def checked_steps(steps: Any) -> Array:
    """Whole numbers k ≥ 0 of any shape, as floats. Raises NumericError."""
    k = np.asarray(steps)
    if k.dtype.kind not in "iu" or (k < 0).any():
        raise NumericError(f"steps={shown(steps)} must be integers >= 0")
    return k.astype(np.float64)


def after_steps(rates: Array, steps: Array, learning_rate: float, momentum: float) -> Array:
    """(1 − e_k/e_0)/μ for rates μ (n,) after k steps, of shape k.shape + (n,); at μ = 0 its limit.

    The limit is η (k − m (1 − m^k)/(1 − m))/(1 − m).
    """
    k, m = steps[..., None], momentum
    left = _error_left(learning_rate * rates, k, m)
    still = learning_rate * (k - m * (1 - m**k) / (1 - m)) / (1 - m)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rates == 0, still, (1 - left) / rates)


def _error_left(x: Array, k: Array, m: float) -> Array:
    """e_k/e_0 for x = ημ."""
    if m == 0:
        return np.power(1 - x, k)
    a = 1 + m - x
    # The discriminant a² − 4m as a product, which keeps its digits near a double root.
    root = np.sqrt((x - (1 - np.sqrt(m)) ** 2) * (x - (1 + np.sqrt(m)) ** 2) + 0j)
    # Of z₁, the larger root, for a > 0, else of −z₁: the logarithm keeps its digits near 1.
    size = np.where(a > 0, np.log1p(-2 * x / (1 - m + x + root)), np.log((root - a) / 2))
    logarithm = size + np.where(a > 0, 0, np.pi * 1j)
    apart = np.log(m) - 2 * size  # log z₂/z₁, as z₁z₂ = m

    def polynomial(n: Array) -> Array:
        """P_n = z₁ⁿ (1 − (z₂/z₁)^{n+1})/(1 − z₂/z₁)."""
        with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
            ratio = np.where(np.abs(apart) < 1e-13, n + 1, np.expm1((n + 1) * apart) / np.expm1(apart))
            value: Array = (np.exp(n * logarithm) * ratio).real
        return np.where(n < 0, 0.0, value)

    return polynomial(k) - m * polynomial(k - 1)


def cross_entropy(f: Array, y: Array) -> Array:
    """∂/∂f of −Σ y log softmax(f) for targets y (n, classes): softmax(f) Σ y − y."""
    gradient: Array = softmax(f, axis=1) * y.sum(axis=1, keepdims=True) - y
    return gradient


def loss_flow(
    K: Any,
    y: Any,
    t: Any,
    *,
    gradient: Callable[[Array, Array], Array] = cross_entropy,
    f0: Any = None,
    K_test: Any = None,
    f0_test: Any = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
) -> Array | tuple[Array, Array]:
    """df/dt = −Θ ∂L/∂f for any loss, by an ODE solver: f_t = f₀ + Θ a_t, da/dt = −∂L/∂f, a₀ = 0.

    K is (n, n), y (n, outputs), t finite times of any shape, whose axes come first; `gradient(f, y)` is ∂L/∂f, of
    f's shape, by default that of the cross-entropy. Returns f_t on the training set, or (train, test) where
    K_test (m, n) is given. Raises NumericError for bad input and where the solver fails (scipy's LSODA).
    """
    kernel = Kernel.of(K)
    _ = kernel.spectrum  # refuses what is no kernel
    y, moments = targets(y, len(kernel.matrix)), times(t)
    if y.ndim != 2:
        raise NumericError(f"y must have shape (n, outputs), not {y.shape}; use y[:, None]")
    if not np.isfinite(moments).all():
        raise NumericError(f"t={shown(t)} must be finite here: another loss has no closed form at infinity")
    start = np.zeros(y.shape) if f0 is None else targets(f0, len(y), "f0")
    order, places = np.unique(moments, return_inverse=True)

    def slope(_: float, flat: Array) -> Array:
        return -np.ravel(gradient(start + kernel.matrix @ flat.reshape(y.shape), y))

    coefficients = np.zeros((len(order), *y.shape))
    if order[-1] > 0:
        path = solve_ivp(
            slope, (0.0, order[-1]), np.zeros(y.size), t_eval=order, method="LSODA", rtol=rtol, atol=atol
        )
        if not path.success:
            raise NumericError(f"the flow could not be integrated to t={order[-1]:g}: {path.message}")
        coefficients = path.y.T.reshape(len(order), *y.shape)
    a = coefficients[places].reshape(*moments.shape, *y.shape)
    train = start + kernel.matrix @ a
    if K_test is None:
        return train
    cross = cross_matrix(K_test, len(y))
    begin = np.zeros((len(cross), y.shape[1])) if f0_test is None else targets(f0_test, len(cross), "f0_test")
    return train, begin + cross @ a
