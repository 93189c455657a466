"""Formulas of pairs whose angles are away from 0 and π: there 1 − ρ² keeps its digits, and no series is needed.

* arc      AΔ + B = p r (1 − s)(1 + s) with s = √A c/√(p r), where B is linear and A q1q2 + B = p(q1) r(q2). s is
           the sine of the arc in formulas with an arcsine, and |s| ≤ |ρ| where B ≥ 0. 1/√p and 1/√r belong to
           one variance each, so that little is left to be computed for a pair.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy as sp

from mehler.derive.stabilise.code import StraightLine, share
from mehler.derive.stabilise.expansion import Series
from mehler.derive.stabilise.rules import (
    ExpGap,
    ExpSum,
    OneMinusCos,
    angles,
    exponents,
    growth,
    norm,
    ratios,
    sides,
    small_exponents,
)
from mehler.derive.stabilise.tails import ROOTS, root1, root2
from mehler.derive.symbols import Delta, c, q1, q2, rho, sin_theta

det, square = sp.symbols("det square", nonnegative=True)
weight = sp.Symbol("weight", nonnegative=True)


class Arcsin(sp.Function):  # type: ignore[misc]
    """The angle of (sine, cosine) between −π/2 and π/2."""

    nargs = 2


class Arccos(sp.Function):  # type: ignore[misc]
    """The angle of (cosine, sine) between 0 and π."""

    nargs = 2


@dataclass(frozen=True)
class Arc:
    """k (AΔ + B) = poly, by the sine and cosine of an arc and the inverse roots of factors of one variance."""

    poly: sp.Expr
    roots: tuple[sp.Expr, sp.Expr]  # monic, if their leading coefficients are numbers
    inverses: tuple[sp.Symbol, sp.Symbol]
    scale: sp.Expr  # of the sine, c times the inverses
    factor: sp.Expr  # of poly, (cosine over the inverses)**2
    sine: sp.Symbol
    cosine: sp.Symbol
    secant: sp.Symbol

    def merged(self, expr: sp.Expr) -> sp.Expr:
        """Products of c and both inverses as the sine that they are."""
        parts = (c, *self.inverses)

        def rule(product: sp.Expr) -> sp.Expr:
            powers = product.as_powers_dict()
            count = max(0, min(int(sp.floor(powers.get(part, 0))) for part in parts))
            return product * (self.sine / self.scale / sp.Mul(*parts)) ** count

        return expr.replace(lambda e: e.is_Mul, rule)


def apart(formulas: Sequence[sp.Expr], parameters: Sequence[sp.Symbol]) -> StraightLine:
    """(w K, w K̇) of (q1, q2, c, ρ, w, parameters), where w is σ_w² of a layer, from formulas in Δ."""
    return _code(formulas, parameters, _arcs(formulas))


def _code(formulas: Sequence[sp.Expr], parameters: Sequence[sp.Symbol], arcs: Sequence[Arc]) -> StraightLine:
    inverses = {inverse: root for arc in arcs for root, inverse in zip(arc.roots, arc.inverses, strict=True)}
    known = [
        *ROOTS,
        (square, 1 - rho**2),
        (sin_theta, sp.sqrt(square)),
        (det, q1 * q2 * square),
        *((inverse, 1 / sp.sqrt(root)) for inverse, root in inverses.items()),
        *((a.sine, a.scale * c * a.inverses[0] * a.inverses[1]) for a in arcs),
        *((a.cosine, sp.sqrt(1 - a.sine**2)) for a in arcs),
        *((a.secant, 1 / a.cosine) for a in arcs),
    ]
    outputs = [_rewritten(formula, arcs) for formula in formulas]
    for arc in arcs:
        powers = [p for p in sp.Tuple(*outputs).atoms(sp.Pow) if p.base == arc.cosine and p.exp < 0]
        if any(p.exp < -1 for p in powers):  # one division serves all of them
            outputs = [output.xreplace({p: arc.secant**-p.exp for p in powers}) for output in outputs]
    outputs = [_weighted(output, parameters) for output in outputs]
    return share((q1, q2, c, rho, weight, *parameters), outputs, known)


def _weighted(output: sp.Expr, parameters: Sequence[sp.Symbol]) -> sp.Expr:
    """w times an output: constants go with w, and both to each term, where they meet what belongs to a row."""
    number, rest = output.as_independent(*output.free_symbols.difference(parameters), as_Add=False)
    return sp.Add(*(weight * number * term for term in sp.Add.make_args(rest)))


def cosines(expanded: Sequence[sp.Expr]) -> tuple[float, float]:
    """Between which cosines formulas are as good as with the Series that are in `expanded`."""
    low, high = -1.0, 1.0
    for series in set().union(*(e.atoms(Series) for e in expanded)):
        angle, _, switch, *_ = series.args
        limit = int(1000 * sp.cos(switch)) / 1000
        low, high = (low, min(high, limit)) if angle.args[1] == rho else (max(low, -limit), high)
    return low, high


def _arcs(formulas: Sequence[sp.Expr]) -> list[Arc]:
    """An arc for each polynomial under a root, or in an arcsine, that factors as it should."""
    found: list[Arc] = []
    inverses: dict[sp.Expr, sp.Symbol] = {}
    for poly in sorted(set(_radicands(formulas)), key=sp.default_sort_key):
        if any(_multiple(poly, arc.poly) is not None for arc in found):
            continue
        terms = sp.Poly(poly, q1, q2, Delta)
        if terms.total_degree() > 1 or not all(k.is_nonnegative for k in terms.coeffs()):
            continue
        number, factors = sp.factor_list(poly.xreplace({Delta: q1 * q2}), q1, q2)
        roots = [f for v in (q1, q2) for f, _ in factors if f.free_symbols & {q1, q2} == {v} and f.subs(v, 0) != 0]
        if len(factors) != 2 or len(roots) != 2:
            continue
        leading = [root.coeff(v) for root, v in zip(roots, (q1, q2), strict=True)]
        if all(first.is_Rational for first in leading):
            roots = [sp.expand(root / first) for root, first in zip(roots, leading, strict=True)]
            number, leading = number * leading[0] * leading[1], [sp.S.One]
        for root in roots:
            inverses.setdefault(root, sp.Symbol(f"inverse{len(inverses) + 1}", positive=True))
        one, two = (inverses[root] for root in roots)
        n = len(found) + 1
        sine, (cosine, secant) = sp.Symbol(f"sine{n}", real=True), sp.symbols(f"cosine{n} secant{n}", positive=True)
        scale = sp.sqrt(sp.Mul(*leading))
        found.append(Arc(poly, tuple(roots), (one, two), scale, number, sine, cosine, secant))
    return found


def _radicands(formulas: Sequence[sp.Expr]) -> Iterator[sp.Expr]:
    for formula in formulas:
        roots = [power.base for power in formula.atoms(sp.Pow) if not power.exp.is_Integer]
        roots += [sides(asin.args[0])[1] ** 2 for asin in formula.atoms(sp.asin)]
        for root in roots:
            for factor in sp.Mul.make_args(root):
                if factor.has(Delta) and not factor.has(c) and factor.is_polynomial(q1, q2, Delta):
                    yield factor


def _multiple(poly: sp.Expr, of: sp.Expr) -> sp.Expr | None:
    """The quotient of two polynomials, if it has no variables."""
    quotient = sp.cancel(poly / of)
    return None if quotient.has(q1, q2, c, Delta) else quotient


def _rewritten(formula: sp.Expr, arcs: Sequence[Arc]) -> sp.Expr:
    units = {rho: sin_theta} | {arc.sine: arc.cosine for arc in arcs}
    expr = angles(formula.xreplace({asin: _arcsine(asin, arcs) for asin in formula.atoms(sp.asin)}), units)
    expr = _in_arcs(ratios(exponents(growth(small_exponents(expr)))), arcs)
    for arc in arcs:
        expr = arc.merged(expr).xreplace({sp.atan(arc.sine / arc.cosine): Arcsin(arc.sine, arc.cosine)})
    expr = expr.replace(sp.atan2, lambda y, x: _unit_angle(y, x, units))
    expr = expr.replace(OneMinusCos, lambda cosine, _: 1 - cosine)
    expr = expr.replace(
        lambda e: e.is_Pow and e.base == Delta and not e.exp.is_Integer,
        lambda e: (norm * sin_theta) ** (2 * e.exp),
    )
    expr = expr.replace(
        lambda e: e.is_Pow and e.base == sin_theta and e.exp.is_Integer,
        lambda e: square ** (e.exp // 2) * sin_theta ** (e.exp % 2),
    )
    return expr.xreplace({Delta: det, norm: root1 * root2})


def _arcsine(asin: sp.Expr, arcs: Sequence[Arc]) -> sp.Expr:
    """asin of the sine of an arc, if it is of one."""
    numerator, adjacent = sides(asin.args[0])
    for arc in arcs:
        quotient = _multiple(adjacent**2, arc.poly)
        if quotient is not None:
            sine = sp.simplify(numerator / (c * arc.scale * sp.sqrt(quotient * arc.factor)))
            return sp.asin(sine * arc.sine, evaluate=False) if sine in (1, -1) else asin
    return asin


def _in_arcs(expr: sp.Expr, arcs: Sequence[Arc]) -> sp.Expr:
    """The polynomials of arcs, and powers of their factors, in cosines and inverse roots."""
    if isinstance(expr, sp.exp | ExpSum | ExpGap) or not expr.args:
        return expr
    for arc in arcs:
        if expr.is_Add and expr.has(Delta):
            quotient = _multiple(expr, arc.poly)
            if quotient is not None:
                return quotient * arc.factor * (arc.cosine / sp.Mul(*arc.inverses)) ** 2
        if expr.is_Pow and expr.base.is_Add and not expr.has(Delta):
            for root, inverse in zip(arc.roots, arc.inverses, strict=True):
                quotient = _multiple(expr.base, root)
                if quotient is not None:
                    return quotient**expr.exp * inverse ** (-2 * expr.exp)
    return expr.func(*(_in_arcs(a, arcs) for a in expr.args))


def _unit_angle(y: sp.Expr, x: sp.Expr, units: dict[sp.Expr, sp.Expr]) -> sp.Expr:
    """atan2(y, x) by one function, where it is the angle of an arc or of θ."""
    if units.get(y) == x:
        return Arcsin(y, x)
    if units.get(x, units.get(-x)) == y:
        return Arccos(x, y)
    return sp.atan2(y, x, evaluate=False)
