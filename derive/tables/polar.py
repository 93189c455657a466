"""K of any φ by quadrature in polar coordinates of the pair: for tables, all variances at once.

With u = √q1 r cos(γ − θ/2), v = √q2 r cos(γ + θ/2) the plane falls into sectors in which u and v keep their signs,

    K(q1, q2, θ) = (1/2π) Σ_sectors ∫ dγ ∫₀^∞ φ(u) φ(v) r e^{−r²/2} dr,

so that a knot at 0 lies between them. The trapezoidal rule in log r and the double exponential rule in γ see every
scale alike: that of a variance, and that of φ. Both integrands are analytic in strips whose widths depend on φ
alone; an expectation is a product of two matrices, whose rows are variances.

H. Takahasi, M. Mori, Publ. RIMS 9 (1974) 721; L. N. Trefethen, J. A. C. Weideman, SIAM Review 56 (2014) 385.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mehler.derive.errors import EmitError

Array = NDArray[np.floating[Any]]
Function = Callable[[Array], Array]

# Nodes in a unit of log r, and of the variable of the double exponential rule, and where both end: below 1e-17.
RADIAL, ANGULAR = 10, 24
NEAREST, FARTHEST, END = -21, 2.3, 3.4

NOTHING = 1e-150  # a value that is nothing beside others

# Values that are computed at a time: what fits a cache.
BLOCK = 100_000

# An array of nearly 32 MB. Once one was freed, the C library of Linux keeps what is freed for the next arrays;
# before, it asks the system for each anew, which takes twice as long as all that is computed in them.
FREED = 3_500_000

# How many times as many of both an activation may need: until two rules for the diagonal agree.
REFINEMENTS = (1.0, 1.5, 2.0)


def radial(step: int, dtype: Any) -> tuple[Array, Array]:
    """Nodes and weights for ∫₀^∞ f(r) r e^{−r²/2} dr."""
    r = np.exp(np.arange(round(NEAREST * step), round(FARTHEST * step) + 1).astype(dtype) / step)
    return r, r * r * np.exp(-r * r / 2) / step


def angular(step: int, dtype: Any) -> tuple[Array, Array]:
    """Nodes and weights for ∫₀² f(t) dt, symmetric, the nodes t to their last digits near 0."""
    t = np.arange(-round(END * step), round(END * step) + 1).astype(dtype) / step
    grown = 2 * np.arctan(dtype.type(1)) * np.sinh(t)
    weights = 2 * np.arctan(dtype.type(1)) * np.cosh(t) / np.cosh(grown) ** 2 / step
    return 2 / (1 + np.exp(-2 * grown)), weights


@dataclass(frozen=True)
class Polar:
    """E[f(u) f(v)] for all pairs of `variances`, in their precision, at any angle. `parity` is that of f, or 0."""

    f: Function
    variances: Array
    parity: int = 0
    radial_step: int = RADIAL
    angular_step: int = ANGULAR

    @cached_property
    def _rules(self) -> tuple[Array, Array, Array, Array]:
        dtype = self.variances.dtype
        return *radial(self.radial_step, dtype), *angular(self.angular_step, dtype)

    @cached_property
    def _pi(self) -> Any:
        return 4 * np.arctan(self.variances.dtype.type(1))

    def __call__(self, theta: Any) -> Array:
        """The matrix of E[f(u) f(v)], variances by variances, at the angle 0 ≤ θ ≤ π."""
        alike, opposite = (self._pi - theta) / 2, theta / 2
        total = alike * self._sector(alike, theta, 1)
        if theta > 0:
            total = total + opposite * self._sector(opposite, self._pi - theta, -1)
        return np.asarray((total + total.T) / (4 * self._pi))

    def diagonal(self) -> Array:
        """E[f(u)²] for each of `variances`: the trapezoidal rule in log |z|, whose weights fall slowly near 0."""
        step = 2 * self.radial_step
        z = np.exp(np.arange(-46 * step, round(FARTHEST * step) + 1).astype(self.variances.dtype) / step)
        u = np.sqrt(self.variances)[:, None] * z
        weights = z * np.exp(-z * z / 2) / (step * np.sqrt(2 * self._pi))
        return np.asarray((self.f(u) ** 2 + self.f(-u) ** 2) @ weights)

    def _sector(self, half: float, rest: float, sign: int) -> Array:
        """The two sectors in which u and sign·v have one sign, (π − `rest`)/2 = `half` to a side; v mirrors u."""
        r, radial_weights, t, angular_weights = self._rules
        middle, rows = len(t) // 2, max(1, BLOCK // (len(r) * len(self.variances)))
        total = np.zeros((len(self.variances),) * 2, self.variances.dtype)
        for start in range(0, middle + 1, rows):  # each node with its mirror image: the other half is the transpose
            part = np.arange(start, min(start + rows, middle + 1))
            weights = np.outer(np.where(part == middle, 0.5, 1) * angular_weights[part], radial_weights).ravel()
            heard = weights > self._faint
            # t is so near to both ends that distances are from them: sin(half·t) = sin(rest + half·(2 − t)).
            one, other = (
                np.sqrt(self.variances)[:, None] * np.outer(np.sin(angle), r).ravel()[heard]
                for angle in (half * t[part], rest + half * t[part])
            )
            weights = weights[heard]
            if self.parity:
                total += 2 * self.parity ** (sign < 0) * (self._values(one) * weights) @ self._values(other).T
            else:
                for side in (1, -1):
                    total += (self._values(side * one) * weights) @ self._values(side * sign * other).T
        return total + total.T

    def _values(self, u: Array) -> Array:
        """f(u), and 0 for numbers with which processors take a hundred times as long."""
        values = self.f(u)
        values[np.abs(values) < NOTHING] = 0
        return values

    @cached_property
    def _faint(self) -> Any:
        """The weight of nodes that are left out: all of them together, far below a rounding."""
        return 1e-5 * np.finfo(self.variances.dtype).eps


def resolving(
    f: Function, variances: Array, parity: int = 0, radial_step: int = RADIAL, angular_step: int = ANGULAR
) -> Polar:
    """The coarsest refinement that has the diagonal as a rule for the line has it.

    Raises EmitError where none has, and where the diagonal is 0 or not finite.
    """
    np.empty(FREED)
    # What the rules leave out at their ends, and what is lost in rounding.
    allowed = max(1e-15, 50 * np.finfo(variances.dtype).eps)
    for times in REFINEMENTS:
        polar = Polar(f, variances, parity, round(times * radial_step), round(times * angular_step))
        diagonal = polar.diagonal()
        good = np.isfinite(diagonal) & (diagonal > 0)
        if not good.all():
            raise EmitError(f"the kernel is 0 or not finite at a variance of {variances[~good][0]:.3g}")
        gap = np.abs(np.diag(polar(0 * variances[0])) / diagonal - 1)
        if gap.max() <= allowed:
            return polar
    raise EmitError(f"the activation is too wild for quadrature at a variance of {variances[gap.argmax()]:.3g}")
