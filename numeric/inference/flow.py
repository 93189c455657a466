"""Gradient flow of a network of infinite width, solved in the eigenbasis of its kernel.

Training minimises ½ Σ (f − y)² + ½ α |w − w₀|² over the parameters w of the linearised network, with
α = ridge · mean(diag Θ). Its flow in parameter space is, on the outputs,

    df/dt = −Θ (f − y) − α (f − f₀),
    f_t(x) = f₀(x) + Θ(x, X) g_t(Θ + αI) (y − f₀),    g_t(μ) = (1 − e^{−μt})/μ,  g_t(0) = t,

so t → ∞ is kernel ridge regression, on the training set too (Jacot et al. 2018; Lee et al. 2019).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from mehler.numeric.errors import NumericError
from mehler.numeric.inference.checks import Array, cross_matrix, precision, targets, times
from mehler.numeric.inference.descent import after_steps, checked_momentum, checked_steps
from mehler.numeric.inference.modes import Modes
from mehler.numeric.inference.solve import Kernel


@dataclass(frozen=True)
class Rate:
    """Linear convergence: |f_t − f_∞| ≤ e^{−slowest·t} |f₀ − f_∞|, slowest = λ_min + α (Du et al. 2019)."""

    slowest: float
    fastest: float

    @property
    def half_life(self) -> float:
        """The time in which every error at least halves: ln 2/slowest; infinite where a mode is never learned."""
        return math.log(2) / self.slowest if self.slowest else math.inf

    def __str__(self) -> str:
        if not self.slowest:
            return "the kernel is singular: the target's part in its null space is never learned"
        return f"every error falls at least as exp(-{self.slowest:.4g} t) and halves every {self.half_life:.4g}"


@dataclass(frozen=True)
class Stop:
    """The time of least validation loss ½ Σ (f − y)², and that loss; t is infinite where training never hurts."""

    t: float
    loss: float


class GradientFlow:
    """df/dt = −Θ(f − y) − α(f − f₀) for Θ = K (n, n) and y (n,) or (n, outputs), α = ridge · mean(diag K).

    neural-tangents divides its loss by N = y.size, so its time is N times this one. Raises NumericError for a
    kernel that is not symmetric and positive semidefinite, says by how much, and for bad targets.
    """

    def __init__(self, K: Any, y: Any, *, ridge: float = 0.0) -> None:
        self.kernel = Kernel.of(K, ridge)
        self.y = targets(y, len(self.kernel.matrix))
        values, vectors = self.kernel.spectrum
        self.eigenvalues, self.vectors = values[::-1], vectors[:, ::-1]
        self._eps = precision(K)

    @property
    def rates(self) -> Array:
        """λ + α of every mode, descending."""
        return self.eigenvalues + self.kernel.shift

    @cached_property
    def modes(self) -> Modes:
        """Eigenvalues, the target's projections, and the times at which they are learned."""
        return Modes.of(self.kernel, self.y, self._eps)

    @property
    def rate(self) -> Rate:
        """The slowest and the fastest rate."""
        return Rate(float(self.rates[-1]), float(self.rates[0]))

    def max_learning_rate(self, momentum: float = 0.0) -> float:
        """2(1 + m)/(λ_max + α): gradient descent on ½ Σ (f − y)² diverges above it (Polyak 1964)."""
        m = checked_momentum(momentum)
        return 2 * (1 + m) / self.rate.fastest if self.rate.fastest else math.inf

    def predict(
        self, t: Any = None, *, f0: Any = None, K_test: Any = None, f0_test: Any = None
    ) -> Array | tuple[Array, Array]:
        """f_t on the training set, or (train, test) where K_test = Θ(X_test, X) (m, n) is given.

        t is a number ≥ 0 or an array, whose axes come first, None for infinity; f0 and f0_test are the outputs at
        t = 0, 0 where absent. A zero eigenvalue without a ridge is not learned on the training set; on the test set
        its limit t Θ(x, X)v is taken. Raises NumericError for t < 0 or NaN and for wrong shapes.
        """
        return self._evolved(_growth(self.rates, times(t)), f0, K_test, f0_test)

    def descend(
        self,
        steps: Any,
        learning_rate: float,
        *,
        momentum: float = 0.0,
        f0: Any = None,
        K_test: Any = None,
        f0_test: Any = None,
    ) -> Array | tuple[Array, Array]:
        """What `predict` says, after a number of steps of gradient descent with a heavy ball, in closed form.

        w_{k+1} = w_k − η ∇ + m (w_k − w_{k−1}), w_{−1} = w_0, on the loss of this module. `steps` is an integer ≥ 0
        or an array, whose axes come first. neural-tangents' `gradient_descent` takes this as the flow
        ḟ = p, ṗ = −Θ∇L + ((m − 1)/√η) p at time √η·k instead. Raises NumericError for a learning rate above
        `max_learning_rate(momentum)`.
        """
        m, k = checked_momentum(momentum), checked_steps(steps)
        stable = self.max_learning_rate(m)
        if not 0 < learning_rate <= stable:
            raise NumericError(
                f"learning_rate={learning_rate!r} is not stable; use a number > 0 up to {stable:.6g}, which is "
                f"2(1 + momentum) over the largest eigenvalue"
            )
        return self._evolved(after_steps(self.rates, k, float(learning_rate), m), f0, K_test, f0_test)

    def loss(self, t: Any = None, f0: Any = None) -> Any:
        """½ Σ (f_t − y)² over rows and outputs, of t's shape. Raises NumericError as `predict`."""
        left = 1 - _product(self.eigenvalues, _growth(self.rates, times(t)))
        error = self.vectors.T @ (self.y - self._start(f0, len(self.y), "f0"))
        square = error**2 if error.ndim == 1 else (error**2).sum(axis=1)
        loss: Any = 0.5 * (left**2 @ square)
        return loss

    def early_stopping(
        self, K_val: Any, y_val: Any, *, f0: Any = None, f0_val: Any = None, points: int = 200
    ) -> Stop:
        """The time of least ½ Σ (f_t − y_val)² on a validation set with kernel K_val = Θ(X_val, X) (m, n).

        On a grid of `points` times from the fastest to the slowest mode, with 0 and infinity, then refined.
        Raises NumericError as `predict`.
        """
        K_val = cross_matrix(K_val, len(self.y))
        y_val = targets(y_val, len(K_val), "y_val")
        if y_val.shape[1:] != self.y.shape[1:]:
            raise NumericError(f"y_val {y_val.shape} must have the outputs of y {self.y.shape}")

        def losses(t: Any) -> Array:
            _, test = self.predict(t, f0=f0, K_test=K_val, f0_test=f0_val)
            difference = np.asarray(test) - y_val
            found: Array = 0.5 * np.sum(difference**2, axis=tuple(range(np.ndim(t), difference.ndim)))
            return found

        learned = self.rates[self.rates > 0]
        if not len(learned):
            return Stop(0.0, float(losses(0.0)))
        grid = np.geomspace(1e-3 / learned[0], 50 / learned[-1], points)
        values = losses(grid)
        best = int(np.argmin(values))
        around = np.log(grid[max(best - 1, 0)]), np.log(grid[min(best + 1, points - 1)])
        refined = minimize_scalar(lambda s: float(losses(math.exp(s))), bounds=around, method="bounded")
        candidates = [math.exp(refined.x), float(grid[best]), 0.0, math.inf]
        found = [float(losses(t)) for t in candidates]
        least = int(np.argmin(found))
        return Stop(candidates[least], found[least])

    def operator(self, t: Array, K_test: Any) -> Array:
        """Θ(x, X) g_t(Θ + αI), of shape t.shape + (m, n): what turns y − f₀ into f_t(x) − f₀(x)."""
        along, growth = self._along(K_test, _growth(self.rates, t))
        operator: Array = (along * growth[..., None, :]) @ self.vectors.T
        return operator

    def _evolved(self, growth: Array, f0: Any, K_test: Any, f0_test: Any) -> Array | tuple[Array, Array]:
        start = self._start(f0, len(self.y), "f0")
        error = self.vectors.T @ (self.y - start)
        train = start + _sum_of_modes(self.vectors, _product(self.eigenvalues, growth), error)
        if K_test is None:
            if f0_test is not None:
                raise NumericError("f0_test is given without K_test; give K_test = K(X_test, X)")
            return train
        along, growth = self._along(K_test, growth)
        return train, self._start(f0_test, len(along), "f0_test") + _sum_of_modes(along, growth, error)

    def _along(self, K_test: Any, growth: Array) -> tuple[Array, Array]:
        """Θ(x, X)V, where Θ(x, X)v = 0 for a mode v with Θv = 0 (Schwarz's inequality); a finite growth."""
        cross = cross_matrix(K_test, len(self.y))
        along = cross @ self.vectors
        scale = max(self._eps, precision(K_test)) * len(self.y) * np.linalg.norm(cross, axis=1, keepdims=True)
        along = np.where((self.eigenvalues == 0) & (np.abs(along) <= scale), 0.0, along)
        endless = np.isinf(growth)
        if endless.any() and along[:, self.rates == 0].any():
            raise NumericError(
                "K_test is not zero where K is, so the outputs grow for ever; give kernels of one X, or a ridge"
            )
        return along, np.where(endless, 0.0, growth)

    def _start(self, f0: Any, rows: int, name: str) -> Array:
        if f0 is None:
            return np.zeros((rows, *self.y.shape[1:]))
        start: Array = targets(f0, rows, name)
        if start.shape[1:] != self.y.shape[1:]:
            raise NumericError(f"{name} {start.shape} must have the outputs of y {self.y.shape}")
        return start


def _growth(rates: Array, t: Array) -> Array:
    """g_t(μ) = −expm1(−μt)/μ and its limit t, of shape t.shape + (n,)."""
    t = t[..., None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        return np.where(rates == 0, t, -np.expm1(-rates * t) / rates)


def _product(factor: Array, growth: Array) -> Array:
    """The product with 0 · ∞ = 0: a mode of eigenvalue 0 is not learned."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return np.where(factor == 0, 0.0, factor * growth)


def _sum_of_modes(basis: Array, growth: Array, error: Array) -> Array:
    """Σᵢ basisᵢ growthᵢ errorᵢ: basis (m, n), growth (…, n), error (n,) or (n, outputs)."""
    if error.ndim == 1:
        total: Array = (growth * error) @ basis.T
        return total
    several: Array = basis @ (growth[..., None] * error)
    return several
