"""The proof of a derived dual: identities, and quadrature that shares nothing with the theorem.

This module must not import the theorem (checked in CI). A dual that fails a check is an error of the
engine and never reaches a user.
"""

from collections.abc import Callable
from typing import Any

import sympy as sp

from mehler.derive.algebra import DET, is_zero, sample_points
from mehler.derive.dual import Check, Dual, Proof, ProvedDual
from mehler.derive.errors import DeriveError, ProofError
from mehler.derive.evaluate import real_values
from mehler.derive.pieces import Pieces
from mehler.derive.quadrature import expectation_1d, expectations_2d
from mehler.derive.symbols import Delta, c, q, q1, q2

DIGITS = 20

Point = dict[sp.Symbol, sp.Rational]


def prove(dual: Dual) -> ProvedDual:
    """Run every check. Raises ProofError naming those that failed."""
    checks = tuple(check(dual) for check in CHECKS)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise ProofError(
            f"the derivation of {dual.activation.text!r} failed its proof ("
            + "; ".join(f"{check.name}: {check.detail}" for check in failed)
            + "); this is a fault of mehler, please report it"
        )
    return ProvedDual(dual, Proof(checks))


def _price(dual: Dual) -> Check:
    """∂K/∂c = E[φ'(u)φ'(v)] with φ' in the sense of distributions (R. Price, IRE Trans. 4 (1958) 69)."""
    kernel, dot = _in_c(dual.formulas.kernel), _in_c(_distributional(dual))
    return _identity("dK/dc = E[phi'(u) phi'(v)]", sp.diff(kernel, c) - dot, dual, scale=dot)


def _shown_forms(dual: Dual) -> Check:
    """The formulas shown to a reader equal those that the theorem gave."""
    f = dual.formulas
    pairs = [
        (dual.kernel, f.kernel), (dual.kernel_dot, f.kernel_dot),
        (dual.kernel_diag, f.kernel_diag), (dual.kernel_dot_diag, f.kernel_dot_diag),
    ]  # fmt: skip
    checks = [
        _identity("simplified = derived", shown - _in_c(raw), dual, scale=shown)
        for shown, raw in pairs
        if not shown is raw is sp.oo
    ]
    return _weakest(checks)


def _diagonal(dual: Dual) -> Check:
    """K → K_diag and K̇ → K̇_diag as q1, q2, c → q."""
    f, name = dual.formulas, "diagonal is the limit"
    pairs = [(f.kernel, f.kernel_diag)]
    if dual.impulses == 0 or dual.jumps == "almost-everywhere":
        pairs.append((f.kernel_dot, f.kernel_dot_diag))
    equal = {q1: q, q2: q, c: q, Delta: sp.S.Zero}
    gaps = [pair.subs(equal) - diagonal for pair, diagonal in pairs]
    if not any(gap.has(sp.nan, sp.zoo) for gap in gaps) and all(is_zero(gap) for gap in gaps):
        return Check(name, "symbolic", True, "exact")

    # Where the substitution is 0/0, come close: K differs from its limit by O(eps), K' by O(sqrt(eps)).
    eps = sp.Rational(1, 10**24)

    def compare(point: Point) -> tuple[list[Any], list[Any]]:
        v = point[q]
        near = point | {q1: v, q2: v, c: v * (1 - eps), Delta: v**2 * eps * (2 - eps)}
        return real_values([p for p, _ in pairs], near, 12), real_values([d for _, d in pairs], point, 12)

    return _compare(name, compare, dual, count=2, digits=11)


def _independence(dual: Dual) -> Check:
    """K(q1, q2, 0) = E φ(u) · E φ(v), with the means by one-dimensional quadrature."""

    def compare(point: Point) -> tuple[list[Any], list[Any]]:
        means = [expectation_1d(dual.activation.pieces, point[v], _params(point), DIGITS) for v in (q1, q2)]
        at_zero = point | {c: sp.S.Zero, Delta: point[q1] * point[q2]}
        return real_values([dual.formulas.kernel], at_zero, DIGITS), [means[0] * means[1]]

    return _compare("K at c = 0 is E[phi(u)] E[phi(v)]", compare, dual, count=1)


def _diagonal_quadrature(dual: Dual) -> Check:
    """K_diag = E[φ(u)²] and, without impulses, K̇_diag = E[φ'(u)²] by one-dimensional quadrature."""

    def compare(point: Point) -> tuple[list[Any], list[Any]]:
        functions = _functions(dual)
        formulas = [dual.formulas.kernel_diag, dual.formulas.kernel_dot_diag][: len(functions)]
        quadrature = [expectation_1d(f.times(f), point[q], _params(point), DIGITS) for f in functions]
        return real_values(formulas, point, DIGITS), quadrature

    return _compare("diagonal by quadrature", compare, dual, count=2)


def _quadrature(dual: Dual) -> Check:
    """K and K̇ by two-dimensional quadrature."""

    def compare(point: Point) -> tuple[list[Any], list[Any]]:
        functions = _functions(dual)
        formulas = [dual.formulas.kernel, dual.formulas.kernel_dot][: len(functions)]
        quadrature = expectations_2d(functions, point[q1], point[q2], point[c], _params(point), DIGITS)
        return real_values(formulas, point, DIGITS), quadrature

    return _compare("K and K' by quadrature", compare, dual, count=2)


CHECKS: tuple[Callable[[Dual], Check], ...] = (
    _price,
    _shown_forms,
    _diagonal,
    _independence,
    _diagonal_quadrature,
    _quadrature,
)


def _weakest(checks: list[Check]) -> Check:
    """The check that says least: one that failed, then one that is numeric."""
    return min(checks, key=lambda check: (check.passed, check.kind == "symbolic"))


def _functions(dual: Dual) -> tuple[Pieces, ...]:
    """φ and φ', without φ' when K̇ holds impulses that no quadrature sees."""
    phi = dual.activation.pieces
    impulsive = dual.impulses != 0 and dual.jumps == "distribution"
    return (phi,) if impulsive else (phi, phi.derivative())


def _distributional(dual: Dual) -> sp.Expr:
    dot = dual.formulas.kernel_dot
    return dot if dual.jumps == "distribution" else dot + dual.impulses


def _in_c(expr: sp.Expr) -> sp.Expr:
    return expr.subs(Delta, DET)


def _params(point: Point) -> Point:
    return {s: v for s, v in point.items() if s not in {q, q1, q2, c, Delta}}


def _points(dual: Dual, count: int) -> list[Point]:
    return sample_points(dual.activation.parameters)[:count]


def _identity(name: str, gap: sp.Expr, dual: Dual, scale: sp.Expr) -> Check:
    """Whether `gap` vanishes: by the normal form, or failing that to 30 digits at three points."""
    if is_zero(gap):
        return Check(name, "symbolic", True, "exact")
    worst = 0.0
    for point in _points(dual, 3):
        value, size = real_values([1 + gap, 1 + scale], point, 30)
        worst = max(worst, float(abs(value - 1) / (1 + abs(size - 1))))
    passed = worst < 1e-28
    return Check(name, "numeric", passed, "28 digits at 3 points" if passed else f"off by {worst:.0e}")


def _compare(
    name: str,
    compare: Callable[[Point], tuple[list[Any], list[Any]]],
    dual: Dual,
    count: int,
    digits: int = DIGITS,
) -> Check:
    """Formula against quadrature at `count` points, relative to the size of the values."""
    worst = 0.0
    for point in _points(dual, count):
        try:
            formula, quadrature = compare(point)
        except DeriveError as error:
            return Check(name, "numeric", False, str(error))
        size = max([abs(v) for v in (*formula, *quadrature)] + [1e-3])
        worst = max([worst] + [float(abs(a - b) / size) for a, b in zip(formula, quadrature, strict=True)])
    points = "1 point" if count == 1 else f"{count} points"
    passed = worst < 10.0 ** (1 - digits)
    return Check(name, "numeric", passed, f"{digits} digits at {points}" if passed else f"off by {worst:.0e}")
