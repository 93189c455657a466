"""Power series where the terms of a sum over the angle cancel: rule `expansion`.

A one-sided activation has a kernel that vanishes as a power of ψ = π − θ, and closed forms such as sin ψ − ψ cos ψ
lose all digits there. Any sum of (cos θ, sin θ, ψ) alone is analytic in ψ; where its leading order exceeds that
of its terms it is replaced by its series, up to the ψ below which the sum loses more than two bits.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import sympy as sp

from mehler.derive.stabilise.rules import norm
from mehler.derive.symbols import c, q1, q2, rho, sin_theta

psi = sp.atan2(sin_theta, -rho, evaluate=False)
_y = sp.Symbol("y", positive=True)

LOSS = 3  # times that the terms may be larger than their sum
SWITCHES = tuple(sp.Rational(k, 8) for k in range(1, 17))
REMAINDER = mpmath.ldexp(1, -56)

DIGITS = 60
SAMPLES = 128  # on the unit circle: the function is entire, and the error of its coefficients a factorial
NOTHING = mpmath.mpf(10) ** -45


class Series(sp.Function):  # type: ignore[misc]
    """Series(y, f, s, m, d, a0, a1, …) is y^m (a0 + a1 y^d + a2 y^2d + …) for y < s, and f, its equal, else."""


def expansions(expr: sp.Expr) -> sp.Expr:
    """`expr` with every cancelling sum over the angle expanded at ψ = 0."""
    if not expr.has(sp.atan2):
        return expr
    return expr.replace(lambda e: e.is_Add and e.has(psi), _expanded)


def _expanded(total: sp.Expr) -> sp.Expr:
    power, angular = _in_angle(total)
    if angular is None:
        return total
    terms = [
        term.xreplace({psi: _y, sin_theta: sp.sin(_y), rho: -sp.cos(_y)}) for term in sp.Add.make_args(angular)
    ]
    with mpmath.workdps(DIGITS):
        functions = [sp.lambdify(_y, term, "mpmath") for term in terms]
        columns = [_taylor(function) for function in functions]
        sums = [mpmath.fsum(column) for column in zip(*columns, strict=True)]
        first = _order(sums)
        if first is None or first == min(_order(column) or 0 for column in columns):
            return total
        step = 2 if all(abs(a) < NOTHING for a in sums[first + 1 :: 2]) else 1
        switch = next((s for s in SWITCHES if _loss(functions, s) <= LOSS), SWITCHES[-1])
        kept = _truncated(sums[first::step], mpmath.mpf(switch.p) / switch.q, step)
        numbers = [sp.Float(a, 40) for a in kept]
    scale = (q1 * q2) ** (power // 2) * norm ** (power % 2)
    return scale * Series(psi, angular, switch, sp.Integer(first), sp.Integer(step), *numbers)


def _in_angle(total: sp.Expr) -> tuple[int, sp.Expr | None]:
    """(p, g) with total = norm^p g(cos θ, sin θ, ψ), or None for g when it is not of this form."""
    if total.atoms(sp.Function) != {psi}:
        return 0, None
    expr = sp.expand(total.xreplace({c: norm * rho}).xreplace({q1: norm**2 / q2}))
    powers = {sp.degree(term, norm) if term.has(norm) else 0 for term in sp.Add.make_args(expr)}
    if len(powers) != 1 or not expr.is_polynomial(norm):
        return 0, None
    power = powers.pop()
    angular = sp.expand(expr / norm**power)
    return (int(power), angular) if angular.free_symbols <= {rho, sin_theta} else (0, None)


def _taylor(function: Callable[[Any], Any]) -> list[Any]:
    """Coefficients at 0, by Cauchy's integral over the unit circle."""
    roots = [mpmath.expjpi(mpmath.mpf(2 * k) / SAMPLES) for k in range(SAMPLES)]
    values = [function(root) for root in roots]
    return [
        mpmath.fsum(v * roots[-k * n % SAMPLES] for k, v in enumerate(values)).real / SAMPLES
        for n in range(SAMPLES // 2)
    ]


def _order(coefficients: list[Any]) -> int | None:
    return next((n for n, a in enumerate(coefficients) if abs(a) > NOTHING), None)


def _loss(functions: list[Callable[[Any], Any]], switch: sp.Rational) -> Any:
    values = [function(mpmath.mpf(switch.p) / switch.q) for function in functions]
    return mpmath.fsum(values, absolute=True) / abs(mpmath.fsum(values))


def _truncated(coefficients: list[Any], switch: Any, step: int) -> list[Any]:
    """As many coefficients as matter below the switch."""
    terms = [a * switch ** (step * n) for n, a in enumerate(coefficients)]
    least = abs(mpmath.fsum(terms)) * REMAINDER
    last = max(n for n, term in enumerate(terms) if abs(term) >= least)
    return coefficients[: last + 1]
