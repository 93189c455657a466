"""The values of a dual, exact as far as floats can tell: of a proved formula, or by quadrature."""

from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import numpy as np
from sympy import Tuple

from mehler.derive.dual import NumericDual, ProvedDual, bind
from mehler.derive.errors import EmitError
from mehler.derive.evaluate import compile_function, context
from mehler.derive.symbols import Delta, c, q, q1, q2
from mehler.derive.tables.certificate import extended
from mehler.derive.tables.polar import resolving
from mehler.numeric.errors import NumericError
from mehler.numeric.precision.oracle import Oracle

# No float is as small, and no kernel of it that is not 0 as large as the smallest float.
_ZERO = Fraction(1, 10**2000)
_NEGLIGIBLE = mpmath.mpf(10) ** -400
_DIGITS_OF_ZERO = 450

# Orders of magnitude below 1 from which on the quadrature of the precision suite is asked on the boundary.
_TINY = 40


class Formula:
    """(q1, q2, c) ↦ (K, K̇) as mpf, from the formulas of a proved dual.

    The precision grows by halves until two passes agree, relative to the values: K(1e-300, 1e-300, c) may be
    a difference of numbers near 1. A variance of 0 is taken for 1e-2000, at the angle of the given covariance;
    on the boundary |c| = √(q1 q2), where a formula may have no value, quadrature steps in.
    """

    def __init__(self, dual: ProvedDual) -> None:
        self.dual = dual
        self._env = bind(dual.activation, {})
        self._known: dict[Any, tuple[Any, Any]] = {}
        self._oracle = cache(self._quadrature)

    def _quadrature(self, digits: int) -> Oracle:
        parameters = {symbol.name: Fraction(int(v.p), int(v.q)) for symbol, v in self._env.items()}
        return Oracle(str(self.dual.activation.expr), parameters, digits)

    def __call__(self, v1: Any, v2: Any, cov: Any, digits: int = 25) -> tuple[Any, Any]:
        key = (v1, v2, cov, digits)
        if key not in self._known:
            self._known[key] = self._value(_fraction(v1), _fraction(v2), _fraction(cov), digits)
        return self._known[key]

    def at_working_precision(self, v1: Any, v2: Any, cov: Any) -> tuple[Any, Any]:
        """(K, K̇) to the digits of the mpmath context."""
        return self(v1, v2, cov, mpmath.mp.dps)

    def _value(self, v1: Fraction, v2: Fraction, cov: Fraction, digits: int) -> tuple[Any, Any]:
        given = v1, v2, cov
        v1, v2 = v1 or _ZERO, v2 or _ZERO
        formulas = self.dual.dual.formulas
        if v1 == v2 == cov:
            pair, point = (formulas.kernel_diag, formulas.kernel_dot_diag), {q: v1}
        else:
            pair = (formulas.kernel, formulas.kernel_dot)
            point = {q1: v1, q2: v2, c: cov, Delta: v1 * v2 - cov * cov}
        before: list[Any] | None = None
        # Fewer digits would take exp(√q) of a tiny q, or exp(-1/q) of a huge one, for 1 in both of two passes.
        sizes = [_magnitude(v) for v in (v1, v2) if v > _ZERO]
        small, spread = max(0, -min(sizes, default=0)), max(map(abs, sizes), default=0)
        dps = first = digits + 20 + (spread if all(given) else max(spread, _DIGITS_OF_ZERO))
        while dps <= 40 * first or dps < 4000:
            ctx = context(dps)
            env = {symbol: ctx.mpf(int(v.p)) / int(v.q) for symbol, v in self._env.items()}
            env |= {symbol: ctx.mpf(v.numerator) / v.denominator for symbol, v in point.items()}
            try:
                # Together: they have their Φ₂ in common.
                values = [ctx.re(v) for v in compile_function(Tuple(*pair), ctx)(env)]
            except ZeroDivisionError:
                break
            if not all(map(ctx.isfinite, values)):
                break
            if before is not None and all(
                _settled(*both, digits, dps) for both in zip(before, values, strict=True)
            ):
                # What is left of a 0 is noise, of either sign.
                k, k_dot = (mpmath.mp.make_mpf(v._mpf_) if abs(v) > _NEGLIGIBLE else mpmath.mpf(0) for v in values)
                return k, k_dot
            before, dps = values, dps + dps // 2
        if cov * cov == given[0] * given[1]:
            # The quadrature has 100 digits at most, and no impulses in K̇.
            if all(given) and small > _TINY and digits <= 100 and self.dual.jumps == "almost-everywhere":
                return self._oracle(digits).both(*given)
            return self.dual.evaluate(*given, digits=digits)
        raise NumericError(f"the formula does not settle at q1 = {float(v1)}, q2 = {float(v2)}, c = {float(cov)}")


class Quadrature:
    """(q1, q2, c) ↦ (K, K̇) as mpf for a φ without a closed form, by quadrature to 17 digits or so.

    In polar coordinates and extended precision where these resolve φ, which has no knot but 0; by iterated rules in
    mpmath elsewhere.
    """

    def __init__(self, dual: ProvedDual | NumericDual) -> None:
        self.dual = dual
        pieces = dual.activation.pieces
        self._smooth = not set(pieces.knots) - {0}
        self._functions = [extended(f) for f in (pieces, pieces.derivative())] if self._smooth else []
        self._known: dict[Any, tuple[Any, Any]] = {}

    def __call__(self, v1: Any, v2: Any, cov: Any, digits: int = 20) -> tuple[Any, Any]:
        key = tuple(map(_fraction, (v1, v2, cov)))
        if key not in self._known:
            self._known[key] = self._value(*key)
        return self._known[key]

    def at_working_precision(self, v1: Any, v2: Any, cov: Any) -> tuple[Any, Any]:
        """The same: the digits are what they are."""
        return self(v1, v2, cov)

    def _value(self, v1: Fraction, v2: Fraction, cov: Fraction) -> tuple[Any, Any]:
        if not self._smooth or v1 * v2 == 0:
            return self.dual.evaluate(v1, v2, cov, digits=20)
        with mpmath.workdps(60):
            one, two, both = (mpmath.mpf(v.numerator) / v.denominator for v in (v1, v2, cov))
            theta = mpmath.atan2(mpmath.sqrt(max(one * two - both * both, 0)), both)
            angle, *variances = (np.longdouble(mpmath.nstr(v, 25)) for v in (theta, one, two))
            try:
                polars = [resolving(f, np.unique(variances)) for f in self._functions]
            except EmitError:  # a variance of 1e30, say, where φ' is but a spike
                return self.dual.evaluate(v1, v2, cov, digits=20)
            same = one == two == both
            values = [polar.diagonal()[0] if same else polar(angle)[0, -1] for polar in polars]
            k, k_dot = (mpmath.mpf(np.format_float_scientific(v, precision=25)) for v in values)
            return k, k_dot


def exact(dual: ProvedDual | NumericDual) -> Formula | Quadrature:
    """What a dual's values are compared with."""
    return Formula(dual) if isinstance(dual, ProvedDual) and dual.status == "closed-form" else Quadrature(dual)


def _settled(before: Any, after: Any, digits: int, dps: int) -> bool:
    if max(abs(before), abs(after)) < _NEGLIGIBLE:  # 0, or a difference that had too few digits
        return dps >= _DIGITS_OF_ZERO
    return bool(abs(before - after) <= abs(after) * mpmath.mpf(10) ** -digits)


def _magnitude(value: Fraction) -> int:
    """About its logarithm to base 10."""
    return len(str(value.numerator)) - len(str(value.denominator))


def _fraction(value: Any) -> Fraction:
    """The exact value of a float, a fraction or an mpf."""
    if isinstance(value, mpmath.mpf):
        sign, mantissa, exponent, _ = value._mpf_
        magnitude = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
        return -magnitude if sign else magnitude
    return Fraction(value)
