"""The budget that a module of a closed form states: measured on its own formula when the module is made.

    error = max |computed − exact| / ulp(√(K(q1, q1) K(q2, q2))), and the same for K̇ and the diagonals

over pairs of variances from 1e-300 to 1e150, equal and far apart, and over correlations at, near, and away from ±1.
The exact values are those of the formula in mpmath. The points are the same for every activation. They find a
formula that cancels, and sums that do not resolve φ: both err over whole decades of variances. They are too few to
find the worst rounding error, so the stated budget exceeds the measured error by MARGIN.
"""

import math
import random
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, cycle
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from mehler.derive import cache
from mehler.derive.dual import Measurement, ProvedDual
from mehler.derive.errors import DeriveError, NoCode
from mehler.derive.special import Phi2

# In units in the last place: of elementary formulas, of those with Φ, and of tables (1e-13 of the scale at most).
BUDGETS = (4, 32, 400)

# The stated budget over the largest measured error, at least.
MARGIN = 1.8

VARIANCES = (1e-8, 1e-2, 1.0, 1e2, 1e5, 1e8, 1e12)
ENDS = (1e-300, 1e150)
CORRELATIONS = (0.6, -1 + 2.0**-20, 1.0, 1 - 2.0**-30, -0.6)

# Points of a formula with n functions Φ₂, each of which takes milliseconds in mpmath: WORK/n, at least LEAST.
WORK, LEAST = 120, 24

DIGITS = 20

# The value of a parameter that has none of its own.
SAMPLE = sp.Rational(7, 10)

FUNCTIONS = ("kernel", "kernel_dot")


def budgeted(proved: ProvedDual, kind: str, least: int, build: Callable[[int], str]) -> str:
    """The module `build`(budget) with the smallest of BUDGETS that its measured error allows, at least `least`.

    Measurements are kept in the cache; `kind` tells apart two modules of one dual. Raises NoCode for a module whose
    error exceeds every budget.
    """
    source = build(least)
    key = cache.key(proved.activation, f"measured {kind} {proved.jumps}")
    found = cache.load(key)
    if not isinstance(found, Measurement):
        found = measured(proved, source)
        cache.store(key, found)
    budget = next((b for b in BUDGETS if b >= least and found.worst * MARGIN <= b), None)
    if budget is None:
        raise NoCode(
            f"the code of the closed form of {proved.activation.text!r} loses {math.log2(max(found.worst, 1)):.0f} "
            "of 53 bits; use tables"
        )
    return source if budget == least else build(budget)


def measured(proved: ProvedDual, source: str) -> Measurement:
    """The errors of the module `source` at the points of this file; it may refuse those over its SUMMABLE."""
    scope: dict[str, Any] = {}
    exec(compile(source, "the module", "exec"), scope)
    given = proved.activation.defaults
    params = {s.name: sp.Rational(float(given.get(s.name, SAMPLE))) for s in proved.activation.parameters}
    floats = {name: float(value) for name, value in params.items()}
    scales: dict[float, tuple[Any, ...]] = {}

    def exact(point: Sequence[float]) -> tuple[Any, ...]:
        return proved.evaluate(*(sp.Rational(v) for v in point), digits=DIGITS, **params)

    def roots(q: float) -> tuple[Any, ...]:
        if q not in scales:
            scales[q] = tuple(mpmath.sqrt(v) for v in exact((q, q, q)))
        return scales[q]

    worst, count = 0.0, 0
    for point in points(proved.kernel.atoms(Phi2) | proved.kernel_dot.atoms(Phi2)):
        try:
            values = exact(point)
            units = [_unit(a, b) for a, b in zip(roots(point[0]), roots(point[1]), strict=True)]
        except DeriveError:  # no value, or none that settles
            continue
        calls: list[tuple[str, tuple[float, ...]]] = [(name, point) for name in FUNCTIONS]
        if point[0] == point[1] == point[2]:
            calls += [(f"{name}_diag", point[:1]) for name in FUNCTIONS]
        try:
            with np.errstate(all="ignore"):
                computed = [scope[name](*map(_array, at), **floats)[0] for name, at in calls]
        except ValueError:
            if max(point[:2]) <= scope.get("SUMMABLE", math.inf):
                raise
            continue  # beyond the variances that the module sums, and it says so
        worst = max(worst, *map(error, computed, cycle(values), cycle(units)))
        count += 1
    if not count:
        raise NoCode(f"the code of {proved.activation.text!r} refuses every point, or no exact value is known")
    return Measurement(worst, count)


def points(normals: Collection[sp.Expr] = ()) -> list[tuple[float, float, float]]:
    """(q1, q2, c) in floats with c² ≤ q1 q2, in an order of their own; fewer for a formula with many `normals`."""
    found = [(q, q, rho) for q in VARIANCES for rho in (*CORRELATIONS[:3], -1.0)]
    found += [(q1, q2, 0.6) for q1, q2 in combinations_with_replacement(ENDS, 2)]
    others = cycle(CORRELATIONS)
    for q1, q2 in combinations(VARIANCES, 2):
        found += [(q1, q2, -1.0), (q2, q1, next(others))]
    random.Random(0).shuffle(found)
    return [_point(*at) for at in found[: max(LEAST, WORK // max(len(normals), 1))]]


def _point(q1: float, q2: float, rho: float) -> tuple[float, float, float]:
    c = rho * math.sqrt(q1) * math.sqrt(q2)
    while Fraction(c) ** 2 > Fraction(q1) * Fraction(q2):
        c = math.nextafter(c, 0)
    return q1, q2, c


def error(computed: Any, exact: Any, unit: Any) -> float:
    """|computed − exact| in a unit; 0 where that is infinite, and no answer is right."""
    if not np.isfinite(float(unit)):
        return 0.0
    if not np.isfinite(computed):
        return math.inf
    with mpmath.workdps(DIGITS + 10):
        return float(abs(mpmath.mpf(float(computed)) - exact) / unit)


def _unit(one: Any, two: Any) -> Any:
    """The spacing of floats at √K(q1, q1) √K(q2, q2), as mpf; infinite where a diagonal is no normal float."""
    limits = np.finfo(np.float64)
    if any(0 < root**2 < limits.tiny or root**2 > limits.max for root in (one, two)):
        return mpmath.inf
    return mpmath.mpf(float(np.spacing(max(float(one * two), float(limits.tiny)))))


def _array(value: float) -> Any:
    return np.array([value])
