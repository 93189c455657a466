"""How fast the eigenvalues of a network's kernel on the sphere fall: an exponent and a prefactor, derived.

κ ∼ c₊(1−ρ)^ν at ρ = 1 and c₋(1+ρ)^ν at ρ = −1, ν no integer, give on S^{d−1}

    λ_k ∼ (c₊ + (−1)ᵏ c₋) C(d, ν) k^{1−d−2ν},   C = 2^{ν+d−2} Γ(d/2) Γ(ν+(d−1)/2) / (√π Γ(−ν)).

Where they come from: if the m-th derivative of φ is the first to jump, by J_t at knots t, then for variances q

    K(q, q, c) ∼ c₊ (q−c)^ν,  ν = m + 1/2,  c₊ = Γ(−ν)/(2π) Σ_t J_t² p(t)                 as c → q,
    K(q, q, c) ∼ c₋ (q+c)^ν,                c₋ = Γ(−ν)/(2π) Σ_t J_t J_{−t} (−1)^{m+1} p(t)   as c → −q,

p the density of N(0, q): by Price's theorem the (m+1)-th derivative of K in c is Σ J_t J_s times the density of the
pair at (t, s), and φ(−u) has at −t the jump (−1)^{m+1} J_t. Other pairs of knots are smoother. A corner a₋|x−t|^p,
a₊|x−t|^p has Γ(p+1)²|a₊ exp(−iπ(p+1)/2) + a₋ exp(iπ(p+1)/2)|² for J_t². The layers carry the leading terms on, by
the chain rule. A kernel of a smooth φ has none: its eigenvalues fall faster than any power.

A. Bietti and F. Bach, "Deep equals shallow for ReLU networks in kernel regimes", ICLR 2021, for ReLU.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import mpmath
import sympy as sp

from mehler.derive.dual import NumericDual, ProvedDual, bind
from mehler.derive.errors import DeriveError, OutsideClass
from mehler.derive.evaluate import real_values
from mehler.derive.numbers import exact
from mehler.derive.pieces import Pieces
from mehler.derive.powers import of
from mehler.derive.propagation import Moments

DIGITS = 30
# Distances from an end, and sums of two coefficients, that rounding cannot tell from zero.
TINY = mpmath.mpf(10) ** -20
# Derivatives of φ that are searched for a jump.
ORDERS = 16

Term = tuple[Fraction, Any]  # an exponent and its coefficient


@dataclass(frozen=True)
class Decay:
    """λ_k ∼ prefactor · k^exponent, the prefactor for even and for odd k.

    A prefactor of 0 says that eigenvalues of that parity fall faster, or vanish. The exponent is −∞, and both
    prefactors 0, where all of them fall faster than any power. `order` is ν.
    """

    exponent: float
    even: float
    odd: float
    order: float


@dataclass(frozen=True)
class Local:
    """value + slope·x + coefficient·x^exponent + …, x ≥ 0 the distance of ρ from 1 or from −1.

    The exponent is the least that is no integer, None where there is none. Below 1, the slope means nothing.
    """

    value: Any
    slope: Any
    exponent: Fraction | None = None
    coefficient: Any = 0

    @property
    def term(self) -> list[Term]:
        return [] if self.exponent is None else [(self.exponent, self.coefficient)]

    def plus(self, other: "Local") -> "Local":
        """The sum."""
        return _local(self.value + other.value, self.slope + other.slope, [*self.term, *other.term])

    def times(self, other: "Local") -> "Local":
        """The product."""
        terms = [(e, other.value * a) for e, a in self.term] + [(e, self.value * a) for e, a in other.term]
        return _local(self.value * other.value, self.value * other.slope + self.slope * other.value, terms)

    def scaled(self, factor: Any, shift: Any = 0) -> "Local":
        """factor·f + shift."""
        return _local(factor * self.value + shift, factor * self.slope, [(e, factor * a) for e, a in self.term])

    def after(self, distance: "Local") -> "Local":
        """This function of the distance y(x), where y(0) = 0."""
        lead = distance.term
        terms = [(e, self.slope * a) for e, a in lead]
        if self.exponent is not None:
            power, scale = lead[0] if lead and lead[0][0] < 1 else (Fraction(1), distance.slope)
            terms.append((self.exponent * power, self.coefficient * scale ** _real(self.exponent)))
        return _local(self.value, self.slope * distance.slope, terms)


def _local(value: Any, slope: Any, terms: Sequence[Term]) -> Local:
    """With the least of the exponents whose coefficients are not 0."""
    totals: dict[Fraction, Any] = {}
    for exponent, coefficient in terms:
        totals[exponent] = totals.get(exponent, 0) + coefficient
    kept = [exponent for exponent, coefficient in totals.items() if coefficient]
    return Local(value, slope, min(kept), totals[min(kept)]) if kept else Local(value, slope)


@dataclass(frozen=True)
class Corner:
    """Where a function is roughest: (t, a₋, a₊) at knots, beside which it is a₋|x−t|^p and a₊|x−t|^p, p = `order`.

    A jump J of the p-th derivative is a₊ = J/p!, a₋ = 0: what is smooth does not count.
    """

    order: Fraction
    sides: tuple[tuple[Any, Any, Any], ...]

    def term(self, side: int, variance: Any) -> Term:
        """ν and the coefficient of the distance ^ν, for the dual at these variances and c = side · variance."""
        power = self.order + Fraction(1, 2)
        total = mpmath.mpf(0)
        for t, left, right in self.sides:
            density = mpmath.exp(-(t**2) / (2 * variance)) / mpmath.sqrt(2 * mpmath.pi * variance)
            for s, *others in self.sides:
                if abs(s - side * t) <= TINY * (1 + abs(t)):
                    other = self._impulse(*others[::side])
                    total += density * (self._impulse(left, right) * other.conjugate()).real
        return power, total * mpmath.gamma(-_real(power)) / (2 * mpmath.pi)

    def _impulse(self, left: Any, right: Any) -> Any:
        """Of the Fourier transform at ω → ∞, what stands before ω^(−p−1)."""
        p = _real(self.order)
        turn = mpmath.expjpi((p + 1) / 2)
        return mpmath.gamma(p + 1) * (right / turn + left * turn)


def corner(phi: Pieces) -> Corner | None:
    """Where φ is least smooth; None where it is smooth. Raises DeriveError where that is not known."""
    if all(sp.simplify(left - right) == 0 for left, right in pairwise(phi.pieces)):
        return None
    slope = phi
    for order in range(ORDERS):
        steps = slope.jumps()
        if any(step.has(sp.oo, sp.zoo, sp.nan) for _, step in steps):
            return _of_powers(phi)
        if steps:
            values = [real_values(list(pair), {}, DIGITS) for pair in steps]
            return Corner(Fraction(order), tuple((t, 0, jump / math.factorial(order)) for t, jump in values))
        slope = slope.derivative()
    raise DeriveError(f"the decay of the eigenvalues is not known: no derivative up to order {ORDERS} jumps")


def _of_powers(phi: Pieces) -> Corner:
    """The corner at 0 of a sum of powers of |x| on each side of it."""
    try:
        powers = of(phi)
    except OutsideClass as reason:
        raise DeriveError(f"the decay of the eigenvalues is not known: {reason}") from None
    # |x|^p is smooth for an even p, sgn(x)|x|^p for an odd one.
    rough = [p for p, parity in powers if not ((p - parity) / 2).is_integer]
    if not all(p.is_Rational for p in rough) or (2 * min(rough)).is_odd:
        raise DeriveError(
            f"the decay of the eigenvalues is not known for powers of |x| with exponents {sp.Tuple(*rough)}; "
            "fractions are, but not odd multiples of 1/2, where a logarithm comes in"
        )
    order = min(rough)
    even, odd = real_values([powers.get((order, parity), sp.S.Zero) for parity in (0, 1)], {}, DIGITS)
    return Corner(Fraction(int(order.p), int(order.q)), ((mpmath.mpf(0), even - odd, even + odd),))


@dataclass(frozen=True)
class _Layer:
    """K and K̇ of an activation between rows of one variance, as a function of the covariance."""

    dual: ProvedDual | NumericDual
    corners: tuple[Corner | None, Corner | None]  # of φ and of its derivative
    variance: Any

    def _values(self, covariance: Any) -> tuple[Any, Any]:
        q, c = (_rational(v) for v in (self.variance, covariance))
        c = max(-q, min(q, c))
        return self.dual.evaluate(q, q, c, digits=DIGITS)

    def _end(self, side: int, value: Any, slope: Any, rough: Corner | None) -> Local:
        return _local(value, slope, [] if rough is None else [rough.term(side, self.variance)])

    def pair(self, inner: Local, side: int | None) -> tuple[Local, Local]:
        """K and K̇ of a covariance that arrives at side · variance, or inside for None."""
        q = self.variance
        if side is not None:
            value, slope = self._values(side * q)
            distance = inner.scaled(-side, q)
            kernel = self._end(side, value, -side * slope, self.corners[0])
            # The first-order term of K̇ is left out: in Θ it is smoother than the terms that are kept.
            tangent = self._end(side, slope, 0, self.corners[1])
            return kernel.after(distance), tangent.after(distance)
        (value, slope), rough = self._values(inner.value), self.corners[0]
        through = self._derivative(inner.value) if rough is not None and rough.order == 0 else slope
        moved = inner.scaled(1, -inner.value)
        return Local(value, through).after(moved), Local(slope, 0)

    def _derivative(self, at: Any) -> Any:
        """∂K/∂c inside, where K is analytic: for a φ that jumps it is not K̇."""
        step = (self.variance - abs(at)) / 10**6
        one, two = ([self._values(at + s * n * step)[0] for s in (1, -1)] for n in (1, 2))
        return (8 * (one[0] - one[1]) - (two[0] - two[1])) / (12 * step)


def decay(
    dual: ProvedDual | NumericDual,
    *,
    depth: int,
    sigma_w: float,
    sigma_b: float,
    kernel: Literal["ntk", "nngp"],
    dimension: int,
) -> Decay:
    """The decay of λ_k of a network's kernel on S^{d−1}, d = `dimension` ≥ 2, for rows with x·x/d = 1.

    Parameters of φ have their default values. Raises DeriveError where φ is not smooth in a way that is not known,
    as |x|^(3/2), and where a parameter has no value.
    """
    phi = Moments(dual, bind(dual.activation, {})).phi
    corners = corner(phi), corner(phi.derivative())
    if not depth or corners == (None, None):
        return Decay(-math.inf, 0.0, 0.0, math.inf)
    with mpmath.workdps(DIGITS):
        plus, minus = (_at_end(side, dual, corners, depth, sigma_w, sigma_b, kernel) for side in (1, -1))
        if plus.exponent is None:
            return Decay(-math.inf, 0.0, 0.0, math.inf)
        order, d = _real(plus.exponent), mpmath.mpf(dimension)
        factor = 2 ** (order + d - 2) * mpmath.gamma(d / 2) * mpmath.gamma(order + (d - 1) / 2)
        factor *= mpmath.rgamma(-order) / mpmath.sqrt(mpmath.pi)
        other = minus.coefficient if minus.exponent == plus.exponent else mpmath.mpf(0)
        sums = [plus.coefficient + sign * other for sign in (1, -1)]
        even, odd = (float(factor * s) if abs(s) > TINY * abs(plus.coefficient) else 0.0 for s in sums)
        return Decay(float(1 - d - 2 * order), even, odd, float(order))


def _at_end(
    end: int,
    dual: ProvedDual | NumericDual,
    corners: tuple[Corner | None, Corner | None],
    depth: int,
    sigma_w: float,
    sigma_b: float,
    kernel: str,
) -> Local:
    """The kernel of the last layer at ρ = end."""
    w2, b2 = (_number(exact(s, "sigma", DeriveError) ** 2) for s in (sigma_w, sigma_b))
    variance = w2 + b2
    sigma = theta = Local(end * w2 + b2, -end * w2)
    for _ in range(depth):
        layer = _Layer(dual, corners, variance)
        sides = [s for s in (1, -1) if abs(sigma.value - s * variance) <= TINY * variance]
        if not sides and not sigma.term and not theta.term:
            # Inside, where every layer is analytic: no term arises any more.
            return Local(0, 0)
        k, k_dot = layer.pair(sigma, sides[0] if sides else None)
        tangent = k_dot.times(theta).scaled(w2)
        variance = w2 * layer._values(variance)[0] + b2
        sigma = k.scaled(w2, b2)
        theta = sigma.plus(tangent)
    return theta if kernel == "ntk" else sigma


def _rational(value: Any) -> sp.Rational:
    return sp.Rational(mpmath.nstr(value, DIGITS + 5))


def _number(value: sp.Rational) -> Any:
    return mpmath.mpf(int(value.p)) / int(value.q)


def _real(value: Fraction) -> Any:
    return mpmath.mpf(value.numerator) / value.denominator
