"""Signal propagation in numbers: the variance map, its fixed points and the correlation map.

    V(q) = σ_w² K_diag(q) + σ_b²,     R(c) = (σ_w² K(q*, q*, q*c) + σ_b²)/q*

On the diagonal a closed form is evaluated; without one K_diag, its derivative and K̇_diag are expectations in
one dimension. Off the diagonal the dual evaluates itself, for an activation without closed form by quadrature
in two dimensions, which gives up where c is within about 0.01 of 1.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import mpmath
import sympy as sp

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import context, real_values
from mehler.derive.pieces import Pieces
from mehler.derive.quadrature import expectation_1d
from mehler.derive.symbols import q, x

# Digits of every value on the diagonal; a root near the edge of chaos may lose some of them.
DIGITS = 22

# Digits of a pair by quadrature in two dimensions: one asked for more takes seconds.
ROUGH, FINE = 8, 17

# What differs by less counts as equal, so that ReLU at σ_w = 1.4142135623730951 is at the edge of chaos.
TOLERANCE = 1e-12

# Ends of the intervals of a quadrature, for an activation that varies over lengths near 1, and for the others.
CUTS = (tuple(sp.Integer(8) ** k for k in range(6)), tuple(sp.Integer(2) ** k for k in range(-12, 16)))

PER_DECADE = 6
MAX_STEPS = 80

Phase = Literal["ordered", "edge of chaos", "chaotic"]


@dataclass(frozen=True)
class Moments:
    """E φ(u)² and its kin for u ~ N(0, q), at values of the parameters of φ."""

    dual: ProvedDual | NumericDual
    env: Mapping[sp.Symbol, sp.Rational]
    _seen: dict[sp.Rational, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def phi(self) -> Pieces:
        """φ without free parameters: the order of its knots and its jumps may hang on their values."""
        phi = self.dual.activation.pieces
        return Pieces(
            tuple(t.xreplace(self.env) for t in phi.knots), tuple(p.xreplace(self.env) for p in phi.pieces)
        )

    @cached_property
    def jumps(self) -> bool:
        """Whether φ is discontinuous at these parameters."""
        return any(abs(real_values([step], {}, DIGITS)[0]) > TOLERANCE for _, step in self.phi.jumps())

    def mean_square(self, variance: sp.Rational) -> Any:
        """K_diag(q) = E φ(u)². Raises DeriveError."""
        if variance not in self._seen:
            formula = _without_integral(self.dual)
            self._seen[variance] = (
                self._mean(self.phi.times(self.phi), variance)
                if formula is None
                else real_values([formula[0]], {**self.env, q: variance}, DIGITS)[0]
            )
        return self._seen[variance]

    def slopes(self, variance: sp.Rational) -> tuple[Any, Any]:
        """(dK_diag/dq, K̇_diag), the second without impulses. Raises DeriveError.

        d/dq E f(u) = E[f(u)(u²/q − 1)]/(2q), which asks for no derivative and so holds where φ jumps.
        """
        formula = _without_integral(self.dual)
        if formula is not None:
            wanted = [sp.diff(formula[0], q), *(formula[1:] if formula[1] is not sp.oo else ())]
            values = real_values(wanted, {**self.env, q: variance}, DIGITS)
            return values[0], values[1] if values[1:] else mpmath.inf
        weight = Pieces((), ((x**2 / variance - 1) / (2 * variance),))
        square, slope = self.phi.times(self.phi), self.phi.derivative()
        return self._mean(square.times(weight), variance), self._mean(slope.times(slope), variance)

    def at_zero(self) -> tuple[Any, Any]:
        """(K_diag, dK_diag/dq) as q → 0: means of φ(0±)² and of φ'(0±)², the second where φ(0±) = 0."""
        means = []
        for f in (self.phi, self.phi.derivative()):
            sides = f.at_zero()
            if any(side.has(sp.zoo, sp.oo, sp.nan) for side in sides):
                means.append(mpmath.inf)
            else:
                means.append(real_values([sp.Add(*(side**2 for side in sides)) / 2], {}, DIGITS)[0])
        return means[0], means[1]

    def pair(self, variance: sp.Rational, correlation: sp.Rational, digits: int) -> tuple[Any, Any]:
        """(K, ∂K/∂c) at (q, q, q·correlation), with what jumps of φ add to K̇. Raises DeriveError."""
        params = {symbol.name: value for symbol, value in self.env.items()}

        def kernels(at: sp.Rational, digits: int) -> tuple[Any, Any]:
            return self.dual.evaluate(variance, variance, at * variance, digits=digits, **params)

        kernel, slope = kernels(correlation, digits)
        if self.jumps:
            # K is analytic inside (−1, 1): four values beside the point give its slope to all digits but five.
            h = (1 - abs(correlation)) / 10**5
            near, far = (
                [kernels(correlation + sign * step, digits + 6)[0] for sign in (1, -1)] for step in (h, 2 * h)
            )
            ctx = context(digits + 10)
            slope = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * _number(ctx, h * variance))
        return kernel, slope

    def _mean(self, f: Pieces, variance: sp.Rational) -> Any:
        """E f(u) by quadrature on intervals that grow away from 0: φ has its own scale, whatever q is."""
        for cuts in CUTS:
            edges = (*(-t for t in reversed(cuts)), sp.S.Zero, *cuts)
            pieces = f.times(Pieces(edges, (sp.S.One,) * (len(edges) + 1)))
            try:
                return expectation_1d(pieces, variance, {}, DIGITS)
            except DeriveError:
                continue
        raise DeriveError(
            f"the expectation over N(0, {float(variance):.3g}) does not settle by quadrature: it may not exist, "
            "or phi is too rough at that scale; choose other scales or another span"
        )


def _without_integral(dual: ProvedDual | NumericDual) -> tuple[sp.Expr, sp.Expr] | None:
    """(K_diag, K̇_diag) where both are formulas without an integral."""
    k, k_dot = dual.kernel_diag, dual.kernel_dot_diag
    return None if k is None or k_dot is None or k.has(sp.Integral) or k_dot.has(sp.Integral) else (k, k_dot)


@dataclass(frozen=True)
class FixedPoint:
    """q* = V(q*) with what follows from it; `exact` is q* as a formula where one is known.

    c and `chi_c` = R'(c) belong to the stable correlation c*. A depth scale is None where nothing settles (ξ_q at
    an unstable q*); c, chi_c and ξ_c are None where they are not defined (q* = 0 in the chaotic phase) or out of
    reach of quadrature (c* within about 0.01 of 1). ∞ means an approach slower than any exponential.
    """

    q: float
    chi_q: float
    chi_1: float
    phase: Phase
    xi_q: float | None
    c: float | None
    chi_c: float | None
    xi_c: float | None
    exact: sp.Expr | None

    @property
    def stable(self) -> bool:
        """Whether variances near q* settle there: |χ_q| < 1."""
        return abs(self.chi_q) < 1 - TOLERANCE


@dataclass(frozen=True)
class Search:
    """The fixed points found: q as exact rationals to DIGITS digits; `every` when V(q) = q wherever V was tried."""

    roots: tuple[sp.Rational, ...]
    every: bool
    searched: tuple[float, float]


def search(moments: Moments, w2: sp.Expr, b2: sp.Expr, span: tuple[sp.Rational, sp.Rational]) -> Search:
    """Sign changes of V(q) − q on a grid in log q over `span`, each closed in on by regula falsi.

    Two fixed points closer than a step of the grid, or one where V touches the diagonal, may be missed. The
    search goes outward from the middle and ends where V cannot be evaluated. Raises DeriveError when V cannot
    be evaluated at all.
    """
    ctx = context(DIGITS + 5)
    weight, bias = real_values([w2, b2], {}, DIGITS)

    def excess(log10: Any) -> Any:
        variance = rational(ctx.mpf(10) ** log10)
        value = _number(ctx, variance)
        return (weight * moments.mean_square(variance) + bias) / value - 1

    lo, hi = (ctx.log10(_number(ctx, edge)) for edge in span)
    steps = max(2, int(ctx.ceil((hi - lo) * PER_DECADE)))
    grid = [lo + (hi - lo) * k / steps for k in range(steps + 1)]
    middle = steps // 2
    found = {middle: excess(grid[middle])}
    for indices in (range(middle + 1, steps + 1), range(middle - 1, -1, -1)):
        for k in indices:
            try:
                found[k] = excess(grid[k])
            except DeriveError:
                break
    order = sorted(found)
    searched = (float(10 ** grid[order[0]]), float(10 ** grid[order[-1]]))
    if all(abs(value) <= TOLERANCE for value in found.values()):
        return Search((), True, searched)
    roots = [grid[k] for k in order if found[k] == 0]
    for k, after in pairwise(order):
        if found[k] * found[after] < 0:
            roots.append(_between(ctx, excess, grid[k], grid[after]))
    return Search(tuple(rational(ctx.mpf(10) ** root) for root in sorted(roots)), False, searched)


def _between(ctx: Any, f: Callable[[Any], Any], lo: Any, hi: Any) -> Any:
    tolerance = ctx.mpf(10) ** (-DIGITS + 2)
    return ctx.findroot(f, (lo, hi), solver="anderson", tol=tolerance, maxsteps=MAX_STEPS, verify=False)


def correlation_fixed_point(
    moments: Moments, w2: sp.Expr, b2: sp.Expr, variance: sp.Rational
) -> tuple[Any, Any] | None:
    """(c*, R'(c*)), the stable fixed point of the correlation map at q* when R'(1) > 1.

    R has a power series with coefficients ≥ 0 (squares of Hermite coefficients) and R(1) = 1, so on [0, 1] it is
    convex and crosses the diagonal once before 1; Newton's method from c = 0 ascends to that point. None where
    quadrature cannot follow it.
    """
    ctx = context(DIGITS + 5)
    weight, bias = real_values([w2, b2], {}, DIGITS)
    value = _number(ctx, variance)

    def correlation_map(at: Any, digits: int) -> tuple[Any, Any]:
        kernel, slope = moments.pair(variance, rational(at), digits)
        return (weight * kernel + bias) / value, weight * slope

    at, closed = ctx.zero, moments.dual.status == "closed-form"
    stages = (DIGITS,) if closed else (ROUGH, FINE)
    try:
        for digits in stages:
            for _ in range(MAX_STEPS):
                image, slope = correlation_map(at, digits)
                # Rounding may put the last steps beyond the fixed point, or 0 below 0.
                step = (image - at) / (1 - slope)
                at = min(max(at + step, ctx.zero), 1 - ctx.mpf(10) ** -12)
                if abs(step) <= ctx.mpf(10) ** (2 - digits):
                    break
            else:
                return None
        return at, correlation_map(at, stages[-1])[1]
    except (DeriveError, ZeroDivisionError):
        return None


def fixed_point(moments: Moments, w2: sp.Expr, b2: sp.Expr, at: sp.Rational, root: sp.Expr | None) -> FixedPoint:
    """What follows from the fixed point `at`, known as `root` or to DIGITS digits. Raises DeriveError."""
    weight = real_values([w2], {}, DIGITS)[0]
    slope, k_dot = moments.slopes(at) if at > 0 else (moments.at_zero()[1],) * 2
    chi_q, chi_1 = weight * slope, math.inf if moments.jumps else weight * k_dot
    gap = float(chi_1 - 1)
    phase: Phase = "edge of chaos" if abs(gap) <= TOLERANCE else "ordered" if gap < 0 else "chaotic"
    c: Any
    chi_c: Any
    if phase != "chaotic":
        c, chi_c = 1, chi_1
    else:
        c, chi_c = (at > 0 and correlation_fixed_point(moments, w2, b2, at)) or (None, None)
    return FixedPoint(
        float(at), float(chi_q), float(chi_1), phase, _depth(chi_q), _float(c), _float(chi_c), _depth(chi_c), root
    )


def _depth(chi: Any) -> float | None:
    """−1/log|χ|: ∞ at |χ| = 1, 0 at χ = 0, None where |χ| > 1 and nothing settles."""
    if chi is None or abs(chi) > 1 + TOLERANCE:
        return None
    if abs(chi) >= 1 - TOLERANCE:
        return math.inf
    return -1 / math.log(abs(chi)) if chi else 0.0


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def rational(value: Any) -> sp.Rational:
    """An mpf as the rational number of its first digits."""
    return sp.Rational(mpmath.nstr(value, DIGITS + 5))


def _number(ctx: Any, value: sp.Rational) -> Any:
    return ctx.mpf(int(value.p)) / int(value.q)
