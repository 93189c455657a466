"""K of any φ by quadrature in polar coordinates of the pair: for tables, all variances at once.

With u = √q1 r cos(γ − θ/2), v = √q2 r cos(γ + θ/2) the plane falls into sectors in which u and v keep their signs,

    K(q1, q2, θ) = (1/2π) Σ_sectors ∫ dγ ∫₀^∞ φ(u) φ(v) r e^{−r²/2} dr,

so that a knot at 0 lies between them. The trapezoidal rule, in log r between the scale of the largest variance and
1, and the double exponential rule in γ see every scale alike: that of a variance, and that of φ. Both integrands
are analytic in strips whose widths depend on φ alone; an expectation is a product of two matrices, whose rows are
variances.

H. Takahasi, M. Mori, Publ. RIMS 9 (1974) 721; L. N. Trefethen, J. A. C. Weideman, SIAM Review 56 (2014) 385.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mehler.derive.errors import EmitError

Array = NDArray[np.floating[Any]]
Function = Callable[[Array], Array]

# Nodes in a unit of log r, and of the variable of the double exponential rule.
RADIAL, ANGULAR = 10, 24
FARTHEST, END = 9.6, 3.4  # where r and that variable end, for what does not grow: below 1e-17
NEAR = 3.5  # −log of r where steps begin to grow towards 0
AREA, LENGTH = -21, -46  # log r where there is nothing left of r² and of r

NOTHING = 1e-150  # a value that is nothing beside others

# Values that are computed at a time: what fits a cache.
BLOCK = 50_000

# An array of nearly 32 MB. Once one was freed, the C library of Linux keeps what is freed for the next arrays;
# before, it asks the system for each anew, which takes twice as long as all that is computed in them.
FREED = 3_500_000

# What an activation may need, from the cheapest, until two rules for the diagonal agree: how many times as many
# nodes; how many more in the angle for a unit of r, with which those in r are more too, where φ oscillates; up to
# which r, where it grows.
REFINEMENTS = (
    *((1.0, 0, FARTHEST), (1.0, 2, FARTHEST), (1.0, 4, FARTHEST), (1.5, 0, FARTHEST), (1.0, 2, 18.0)),
    *((1.0, 7, FARTHEST), (2.0, 0, FARTHEST), (1.0, 4, 26.0), (1.5, 4, FARTHEST), (1.5, 7, FARTHEST)),
)
LOOKED_AT = 12  # variances by which that is told


def scales(step: int, turns: float, nearest: float, farthest: float, dtype: Any) -> tuple[Array, Array]:
    """Nodes r and weights for ∫₀^∞ f(r) dr, of an f that turns in r as well as in log r, and ends at `farthest`.

    r = log(1 + k e^y)/k, y = s − e^(−s − NEAR): steps in log r, from r = 1/k on in r, and double exponential at 0.
    """
    bend = (1 + 0.75 * turns) / 8
    last = np.log(np.expm1(bend * farthest) / bend)
    s = np.arange(round((nearest / 2 - NEAR) * step), round(last * step) + 1).astype(dtype) / step
    with np.errstate(over="ignore"):
        shrunk = np.exp(-s - NEAR)
    s, shrunk = (each[s - shrunk >= nearest] for each in (s, shrunk))
    grown = bend * np.exp(s - shrunk)
    return np.log1p(grown) / bend, grown / (1 + grown) * (1 + shrunk) / (bend * step)


def radial(step: int, turns: float, farthest: float, dtype: Any) -> tuple[Array, Array]:
    """Nodes and weights for ∫₀^∞ f(r) r e^{−r²/2} dr."""
    r, weights = scales(step, turns, AREA, farthest, dtype)
    return r, weights * r * np.exp(-r * r / 2)


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
    turns: float = 0
    farthest: float = FARTHEST

    @cached_property
    def _rules(self) -> list[tuple[Array, Array, Array, Array, Array]]:
        """Nodes, weights and growth in r, nodes and weights in the angle: as f turns, more on wider circles."""
        dtype = self.variances.dtype
        r, weights = radial(self.radial_step, self.turns, self.farthest, dtype)
        u = np.sqrt(self.variances)[:, None] * r
        root = np.sqrt(self.diagonal())[:, None]
        growth = np.maximum(1, np.maximum(np.abs(self.f(u)), np.abs(self.f(-u))) / root).max(0) ** 2
        steps = self.angular_step + np.ceil(self.turns * 2 * np.ceil(r / 2)).astype(int)
        parts = [(steps == step, angular(int(step), dtype)) for step in np.unique(steps)]
        return [(r[part], weights[part], growth[part], *rule) for part, rule in parts]

    @cached_property
    def _pi(self) -> Any:
        return 4 * np.arctan(self.variances.dtype.type(1))

    def __call__(self, theta: Any) -> Array:
        """The matrix of E[f(u) f(v)], variances by variances, at the angle 0 ≤ θ ≤ π."""
        return self.mirrored(theta)[0]

    def mirrored(self, theta: Any) -> tuple[Array, Array]:
        """The matrices at θ and π − θ, of which one has the nodes of the other with −v for v."""
        alike, opposite = (self._pi - theta) / 2, theta / 2
        same, cross = alike * self._sector(alike, theta)
        if theta > 0:
            others = opposite * self._sector(opposite, self._pi - theta)
            same, cross = same + others[1], cross + others[0]
        return (same + same.T) / (4 * self._pi), (cross + cross.T) / (4 * self._pi)

    def diagonal(self) -> Array:
        """E[f(u)²] for each of `variances`: the trapezoidal rule in log |z|, whose weights fall slowly near 0."""
        z, weights = scales(2 * self.radial_step, self.turns, LENGTH, self.farthest, self.variances.dtype)
        u = np.sqrt(self.variances)[:, None] * z
        roots = np.sqrt(weights) * np.exp(-z * z / 4)  # that no square overflows
        with np.errstate(over="ignore"):
            squares = [(self.f(side * u) * roots) ** 2 for side in (1, -1)]
        return np.asarray((squares[0] + squares[1]).sum(1) / np.sqrt(2 * self._pi))

    @cached_property
    def nodes(self) -> int:
        """How many values of f an angle takes for one variance, about."""
        heard = [np.outer(a, w * grown) > self._faint for _, w, grown, _, a in self._rules]
        return sum(int(part.sum()) for part in heard)

    def _sector(self, half: float, rest: float) -> Array:
        """Sums over two sectors in which u and v have one sign, (π − `rest`)/2 = `half` to a side; and of −v for v.

        v mirrors u.
        """
        total = np.zeros((2, *[len(self.variances)] * 2), self.variances.dtype)
        for r, radial_weights, growth, t, angular_weights in self._rules:
            middle, rows = len(t) // 2, max(1, BLOCK // (len(r) * len(self.variances)))
            # Each node with its mirror image: the other half is the transpose.
            for start in range(0, middle + 1, rows):
                part = np.arange(start, min(start + rows, middle + 1))
                own = np.where(part == middle, 0.5, 1) * angular_weights[part]
                weights = np.outer(own, radial_weights).ravel()
                heard = np.outer(own, radial_weights * growth).ravel() > self._faint
                # t is so near to both ends that distances are from them: sin(half·t) = sin(rest + half·(2 − t)).
                one, other = (
                    np.sqrt(self.variances)[:, None] * np.outer(np.sin(angle), r).ravel()[heard]
                    for angle in (half * t[part], rest + half * t[part])
                )
                total += self._products(one, other, weights[heard])
        return total + total.swapaxes(1, 2)

    def _products(self, one: Array, other: Array, weights: Array) -> Array:
        """Sums of the weights times f(u) f(v) + f(−u) f(−v), and times f(u) f(−v) + f(−u) f(v)."""
        here, there = self._values(one) * weights, self._values(other).T
        if self.parity:
            same = 2 * here @ there
            return np.array([same, self.parity * same])
        opposite_here, opposite_there = self._values(-one) * weights, self._values(-other).T
        same = here @ there + opposite_here @ opposite_there
        return np.array([same, here @ opposite_there + opposite_here @ there])

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
    some = variances[:: 1 + len(variances) // LOOKED_AT]
    for times, turns, farthest in REFINEMENTS:
        steps = round(times * radial_step), round(times * angular_step)
        polar = Polar(f, variances, parity, *steps, turns, farthest)
        diagonal = polar.diagonal()
        good = np.isfinite(diagonal) & (diagonal > 0)
        if not good.all():
            raise EmitError(f"the kernel is 0 or not finite at a variance of {variances[~good][0]:.3g}")
        few = replace(polar, variances=some)
        gap = np.abs(np.diag(few(0 * some[0])) / few.diagonal() - 1)
        if gap.max() <= allowed:
            return polar
    raise EmitError(f"the activation is too wild for quadrature at a variance of {some[gap.argmax()]:.3g}")
