"""The proof of a derived dual: identities, and quadrature that shares nothing with the theorem.

This module must not import the theorem (checked in CI). A dual that fails a check is an error of the
engine and never reaches a user.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from mehler.derive.activation import Activation
from mehler.derive.algebra import DET, MAX_SIZE, is_zero, sample_points, size
from mehler.derive.dual import Check, Dual, Proof, ProvedDual
from mehler.derive.errors import DeriveError, ProofError, Unproved
from mehler.derive.evaluate import real_values
from mehler.derive.pieces import Pieces
from mehler.derive.quadrature import expectation_1d, expectations_2d, hermite_coefficients
from mehler.derive.symbols import Delta, c, path, q, q1, q2, t

DIGITS = 25

# A correlation small enough for Mehler's series to reach all digits in a few terms.
SMALL = sp.Rational(1, 50)
TERMS = 16

# Of the variances at which formulas are compared, until quadrature can.
SCALES = (sp.Integer(1), sp.Rational(1, 64), sp.Rational(1, 64**2), sp.Rational(1, 64**3), sp.Rational(1, 64**4))

Point = dict[sp.Symbol, sp.Rational]
# Values of formulas, and independent ones; and bounds of what they can be, if they may be much smaller.
Compared = tuple[list[Any], ...]


def prove(dual: Dual) -> ProvedDual:
    """Run every check. Raises ProofError naming those that failed, or Unproved naming those that had no value to
    compare with."""
    checks = tuple(
        check(dual) for check in CHECKS if check is not _curvature or dual.formulas.curvature is not None
    )
    failed = [check for check in checks if not check.passed and check.kind != "undone"]
    undone = [check for check in checks if check.kind == "undone"]
    if undone and not failed:
        raise Unproved(
            "a formula was derived, but it could not be proved ("
            + "; ".join(f"{check.name}: {check.detail}" for check in undone)
            + ")"
        )
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


def _curvature(dual: Dual) -> Check:
    """2 ∂K/∂q1 = E[φ''(u)φ(v)], the heat equation in the variance of u."""
    kernel, curvature = _in_c(dual.formulas.kernel), _in_c(dual.formulas.curvature)
    return _identity("2 dK/dq1 = E[phi''(u) phi(v)]", 2 * sp.diff(kernel, q1) - curvature, dual, scale=curvature)


def _symmetry(dual: Dual) -> Check:
    """K(q1, q2, c) = K(q2, q1, c), and K(q1, q2, −c) = ±K(q1, q2, c) for an even or odd φ; likewise K̇."""
    swap, parity = {q1: q2, q2: q1}, dual.activation.pieces.parity()
    name = {0: "symmetric in u and v", 1: "even in c, as phi is even", -1: "odd in c, as phi is odd"}[parity]
    checks = []
    for f, sign in ((dual.formulas.kernel, parity), (dual.formulas.kernel_dot, -parity)):
        checks.append(_identity(name, _in_c(f - f.xreplace(swap)), dual, scale=f))
        if sign:
            checks.append(_identity(name, _in_c(f - sign * f.xreplace({c: -c})), dual, scale=f))
    return _weakest(checks)


def _diagonal(dual: Dual) -> Check:
    """K → K_diag and K̇ → K̇_diag as q1, q2, c → q."""
    f, name = dual.formulas, "diagonal is the limit"
    pairs = [(f.kernel, f.kernel_diag)]
    if f.kernel_dot_diag is not sp.oo:
        pairs.append((f.kernel_dot, f.kernel_dot_diag))
    return _weakest([_limit(name, pair, diagonal, dual) for pair, diagonal in pairs])


def _limit(name: str, pair: sp.Expr, diagonal: sp.Expr, dual: Dual) -> Check:
    limit = pair.xreplace({q1: q, q2: q, c: q, Delta: sp.S.Zero})
    if limit.has(sp.nan, sp.zoo, sp.oo):
        return _approach(name, pair, diagonal, dual)
    if is_zero(limit - diagonal):
        return Check(name, "symbolic", True, "exact")

    def compare(point: Point) -> Compared:
        return real_values([limit], point, DIGITS), real_values([diagonal], point, DIGITS)

    check = _compare(name, compare, _points(dual, 2))
    return check if check.passed else _approach(name, pair, diagonal, dual)


def _approach(name: str, pair: sp.Expr, diagonal: sp.Expr, dual: Dual) -> Check:
    """Where the substitution is 0/0, come close: K differs from its limit by O(eps), K̇ by O(√eps), as does K
    where φ jumps."""
    root = pair is not dual.formulas.kernel or dual.impulses != 0

    def close(exponent: int, digits: int) -> Check:
        eps = sp.Rational(1, 10**exponent)

        def compare(point: Point) -> Compared:
            at = point[q]
            near = point | {q1: at, q2: at, c: at * (1 - eps), Delta: at**2 * eps * (2 - eps)}
            return real_values([pair], near, digits), real_values([diagonal], point, digits)

        return _compare(name, compare, _points(dual, 2), digits=digits)

    check = close(10, 4 if root else 9)
    if check.passed:
        return check
    # A complex density so close to a line may have no value; and a steep φ needs to come closer for as many digits.
    return close(6, 3 if root else 5) if check.kind == "undone" else close(20, 4 if root else 9)


def _independence(dual: Dual) -> Check:
    """K(q1, q2, 0) = E φ(u) · E φ(v), with the means by one-dimensional quadrature."""

    def compare(point: Point) -> Compared:
        means = [expectation_1d(dual.activation.pieces, point[v], _params(point), DIGITS) for v in (q1, q2)]
        at_zero = point | {c: sp.S.Zero, Delta: point[q1] * point[q2]}
        return real_values([dual.formulas.kernel], at_zero, DIGITS), [means[0] * means[1]]

    return _compare("K at c = 0 is E[phi(u)] E[phi(v)]", compare, _points(dual, 1))


def _hermite(dual: Dual) -> Check:
    """K = Σ aₙ(q1) aₙ(q2) ρⁿ with aₙ(q) = E[φ(√q z) hₙ(z)]; K̇ likewise from φ' (F. G. Mehler 1866)."""

    def compare(point: Point) -> Compared:
        near = point | _pair(point[q1], point[q2], SMALL)
        rho = near[c] ** 2 / (near[q1] * near[q2])
        functions = _functions(dual)
        series = []
        for f in functions:
            left, right = (hermite_coefficients(f, point[v], _params(point), DIGITS, TERMS) for v in (q1, q2))
            ctx = left[0].context
            root = ctx.sqrt(ctx.mpf(int(rho.p)) / int(rho.q))
            series.append(ctx.fsum(a * b * root**n for n, (a, b) in enumerate(zip(left, right, strict=True))))
        formulas = [dual.formulas.kernel, dual.formulas.kernel_dot][: len(functions)]
        return real_values(formulas, near, DIGITS), series

    return _compare("Mehler's series in Hermite coefficients", compare, _points(dual, 1))


def _diagonal_quadrature(dual: Dual) -> Check:
    """K_diag = E[φ(u)²] and, where it is finite, K̇_diag = E[φ'(u)²] by one-dimensional quadrature."""

    def compare(point: Point) -> Compared:
        formulas = [f for f in (dual.formulas.kernel_diag, dual.formulas.kernel_dot_diag) if f is not sp.oo]
        functions = _functions(dual)[: len(formulas)]
        quadrature = [expectation_1d(f.times(f), point[q], _params(point), DIGITS) for f in functions]
        return real_values(formulas, point, DIGITS), quadrature

    return _compare("diagonal by quadrature", compare, _points(dual, 2))


def _quadrature(dual: Dual) -> Check:
    """K and K̇ by two-dimensional quadrature: a random point, one with |ρ| > 0.99, one with q2/q1 = 10⁴."""

    def compare(point: Point) -> Compared:
        functions = _functions(dual)
        formulas = [dual.formulas.kernel, dual.formulas.kernel_dot][: len(functions)]
        quadrature = expectations_2d(functions, point[q1], point[q2], point[c], _params(point), DIGITS)
        # K may be far smaller than what its integral adds up, as for a wave at large variances.
        diagonals = [dual.formulas.kernel_diag, dual.formulas.kernel_dot_diag][: len(functions)]
        bounds = real_values(diagonals, point | {q: min(point[q1], point[q2])}, 10)
        return real_values(formulas, point, DIGITS), quadrature, bounds

    return _compare(
        "K and K' by quadrature, also |rho| > 0.99, q2/q1 = 1e4", compare, random_points(dual.activation)
    )


CHECKS: tuple[Callable[[Dual], Check], ...] = (
    _price,
    _curvature,
    _shown_forms,
    _symmetry,
    _diagonal,
    _independence,
    _hermite,
    _diagonal_quadrature,
    _quadrature,
)


def _weakest(checks: list[Check]) -> Check:
    """The check that says least: one that failed, then one that was not done, then one that is numeric."""
    return min(checks, key=lambda check: (check.passed, ("numeric", "undone", "symbolic").index(check.kind)))


def _functions(dual: Dual) -> tuple[Pieces, ...]:
    """φ and φ', without φ' when K̇ holds impulses that no quadrature sees."""
    phi = dual.activation.pieces
    impulsive = dual.impulses != 0 and dual.jumps == "distribution"
    return (phi,) if impulsive else (phi, phi.derivative())


def _distributional(dual: Dual) -> sp.Expr:
    dot = dual.formulas.kernel_dot
    return dot if dual.jumps == "distribution" else dot + dual.impulses


def _in_c(expr: sp.Expr) -> sp.Expr:
    return expr.xreplace({Delta: DET})


def _params(point: Point) -> Point:
    return {s: v for s, v in point.items() if s not in {q, q1, q2, c, Delta, t, path}}


def _points(dual: Dual, count: int) -> list[Point]:
    return sample_points(dual.activation.parameters)[:count]


def random_points(activation: Activation) -> list[Point]:
    """Points that nobody chose, the same in every run: the activation's text is the seed."""
    generator = random.Random(activation.text)

    def variance() -> sp.Rational:
        return sp.Rational(generator.randint(200, 4000), 1009)

    parameters = _params(sample_points(activation.parameters)[0])
    sign = generator.choice((-1, 1))
    correlations = (
        sp.Rational(generator.randint(-900, 900), 1013),
        sign * sp.Rational(generator.randint(9902, 9925), 10000),
        sp.Rational(generator.randint(-700, 700), 1013),
    )
    variances = [(variance(), variance()), (variance(), variance())]
    large = 2 * variance()
    variances.append((large / generator.randint(10000, 10500), large))
    return [parameters | _pair(a, b, rho) for (a, b), rho in zip(variances, correlations, strict=True)]


def _pair(a: sp.Rational, b: sp.Rational, rho: sp.Rational) -> Point:
    """q1, q2 and a rational covariance of a correlation close to ρ."""
    cov = sp.nsimplify(sp.sqrt(a * b).evalf(30), rational=True, tolerance=sp.Rational(1, 10**9)) * rho
    return {q1: a, q2: b, c: cov, q: a, Delta: a * b - cov**2}


def _identity(name: str, gap: sp.Expr, dual: Dual, scale: sp.Expr) -> Check:
    """Whether `gap` vanishes: by the normal form, or failing that to 30 digits at three points."""
    if is_zero(gap):
        return Check(name, "symbolic", True, "exact")
    # A large formula takes seconds a point.
    points = _points(dual, 1 if size(gap) > MAX_SIZE else 3)
    worst = 0.0
    for point in points:
        value, magnitude = real_values([1 + gap, 1 + scale], point, 30)
        worst = max(worst, float(abs(value - 1) / (1 + abs(magnitude - 1))))
    passed = worst < 1e-28
    return Check(name, "numeric", passed, f"28 digits at {_count(points)}" if passed else f"off by {worst:.0e}")


def _at_first_scale(compare: Callable[[Point], Compared], point: Point, scales: list[sp.Rational]) -> Compared:
    """compare(point) with its variances times the first of `scales` that works; those before are dropped."""
    while True:
        powers = {q: scales[0], q1: scales[0], q2: scales[0], c: scales[0], Delta: scales[0] ** 2}
        try:
            return compare({symbol: value * powers.get(symbol, 1) for symbol, value in point.items()})
        except DeriveError:
            if len(scales) == 1:
                raise
            del scales[0]


def _count(points: Sequence[Point]) -> str:
    return "1 point" if len(points) == 1 else f"{len(points)} points"


def _compare(
    name: str,
    compare: Callable[[Point], Compared],
    points: Sequence[Point],
    digits: int = DIGITS,
) -> Check:
    """Formula against an independent value at each point, relative to the size of the values, or a thousandth of
    what they can be.

    A steep φ is too hard for quadrature at variances of order 1: the scale is that of the first that is not.
    """
    worst, scales = 0.0, list(SCALES)
    for point in points:
        try:
            formula, value, *bounds = _at_first_scale(compare, point, scales)
        except DeriveError as error:
            return Check(name, "undone", False, str(error))
        least = max([float(scales[0]), *(abs(bound) for part in bounds for bound in part)])
        size = max([abs(v) for v in (*formula, *value)] + [1e-3 * least])
        worst = max([worst] + [float(abs(a - b) / size) for a, b in zip(formula, value, strict=True)])
    passed = worst < 10.0 ** (1 - digits)
    return Check(
        name, "numeric", passed, f"{digits} digits at {_count(points)}" if passed else f"off by {worst:.0e}"
    )
