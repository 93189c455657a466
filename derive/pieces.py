"""Split an activation at its knots: smooth expressions between sorted points.

Abs, Max, Min, sign, Heaviside and Piecewise may be nested in any way: arguments are split first, and each
smooth piece of a switching argument is cut at its real roots: by formulas where there are some, and else by
intervals (roots.py). Everything after this stage sees smooth functions and knots only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, TypeAlias

import sympy as sp
from sympy.core.relational import Relational

from mehler.derive.errors import DeriveError, OutsideClass
from mehler.derive.roots import Located, Root, is_zero, locate
from mehler.derive.sizes import SWITCHES, Undefined, at, built
from mehler.derive.symbols import x

MAX_KNOTS = 640

# Operations in a function of which factors are looked for.
FACTORED = 100


@dataclass(frozen=True)
class Pieces:
    """φ = pieces[i] between knots[i−1] and knots[i]; the knots ascend, the outer two intervals are rays.

    All of it holds for |x| ≤ `radius`: where knots never end, they are known up to there.
    """

    knots: tuple[sp.Expr, ...]
    pieces: tuple[sp.Expr, ...]
    radius: sp.Expr = sp.oo

    def derivative(self) -> "Pieces":
        """The almost-everywhere derivative φ'."""
        return Pieces(self.knots, tuple(sp.diff(p, x) for p in self.pieces), self.radius)

    def beside(self, point: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """The pieces on the left and on the right of a point; the same one twice where there is no knot."""
        sides = [_compare(point, t) for t in self.knots]
        return self.pieces[sum(side > 0 for side in sides)], self.pieces[sum(side >= 0 for side in sides)]

    def at_zero(self) -> tuple[sp.Expr, sp.Expr]:
        """φ(0−) and φ(0+), as limits where a piece has no value at 0, as sin(x)/x."""
        left, right = (
            _limit(piece, sp.S.Zero, side) for side, piece in zip("-+", self.beside(sp.S.Zero), strict=True)
        )
        return left, right

    def scaled(self, factor: sp.Rational) -> "Pieces":
        """x ↦ φ(factor·x), factor ≠ 0."""
        knots = [t / factor for t in self.knots]
        pieces = [p.xreplace({x: factor * x}) for p in self.pieces]
        order = 1 if factor > 0 else -1
        return Pieces(tuple(knots[::order]), tuple(pieces[::order]), self.radius / abs(factor))

    def times(self, other: "Pieces") -> "Pieces":
        """x ↦ φ(x)·ψ(x)."""
        knots = _sorted([*self.knots, *other.knots])
        left, right = (_refine((list(f.knots), list(f.pieces)), knots) for f in (self, other))
        products = tuple(a * b for a, b in zip(left, right, strict=True))
        return Pieces(tuple(knots), products, min(self.radius, other.radius))

    def parity(self) -> int:
        """1 when φ is even, −1 when it is odd, 0 when neither is seen."""
        mirrored = self.scaled(-sp.S.One)
        if any(sp.expand(a - b) != 0 for a, b in zip(mirrored.knots, self.knots, strict=True)):
            return 0
        for sign in (1, -1):
            gaps = (sp.expand(a - sign * b) for a, b in zip(self.pieces, mirrored.pieces, strict=True))
            if all(gap == 0 for gap in gaps):
                return sign
        return 0

    def jumps(self) -> tuple[tuple[sp.Expr, sp.Expr], ...]:
        """(t, φ(t+) − φ(t−)) at every knot t where φ is discontinuous."""
        steps = (
            (t, _limit(right, t, "+") - _limit(left, t, "-"))
            for t, (left, right) in zip(self.knots, pairwise(self.pieces), strict=True)
        )
        found = ((t, step if step.has(Root) else sp.simplify(step)) for t, step in steps if not _is_zero(step))
        return tuple((t, step) for t, step in found if step != 0)


def _limit(piece: sp.Expr, t: sp.Expr, side: str) -> sp.Expr:
    """The value of a piece at its end t, or its limit where it has no value there, as sin(x)/x at 0."""
    try:
        return at(piece, t)
    except Undefined:
        try:
            return sp.limit(piece, x, t, side)
        except NotImplementedError:  # as of a power whose exponent has a sign that is not known
            return piece.subs(x, t)


def split(expr: sp.Expr) -> Pieces:
    """The pieces of `expr` as a function of x. Raises OutsideClass when a switch cannot be located."""
    try:
        knots, pieces, radius = _split(expr, {})
        kept: list[sp.Expr] = []
        merged = [pieces[0]]
        for t, piece in zip(knots, pieces[1:], strict=True):
            if sp.expand(piece - merged[-1]) != 0:
                kept.append(t)
                merged.append(piece)
    except DeriveError:
        raise
    except Exception as error:  # whatever SymPy raises: there is no list of it
        raise OutsideClass(
            f"cannot locate the knots of the activation ({type(error).__name__}); simplify it"
        ) from None
    return Pieces(tuple(kept), tuple(merged), radius)


# The knots and pieces, and the radius up to which they hold.
Cut: TypeAlias = tuple[list[sp.Expr], list[sp.Expr], sp.Expr]


def _split(expr: sp.Basic, known: dict[sp.Basic, Cut]) -> Cut:
    """The cut of `expr`, and in `known` those of its parts, which nested shorthands repeat."""
    if not expr.has(x) or not expr.has(*SWITCHES):
        return [], [expr], sp.oo
    if expr not in known:
        known[expr] = _cut(expr, known)
        if len(known[expr][0]) > MAX_KNOTS:
            raise OutsideClass(f"the activation has more than {MAX_KNOTS} knots; simplify it")
    return known[expr]


def _cut(expr: sp.Basic, known: dict[sp.Basic, Cut]) -> Cut:
    operands, rebuild = _operands(expr)
    parts = [_split(operand, known) for operand in operands]
    knots = _sorted([t for part_knots, _, _ in parts for t in part_knots])
    columns = [_refine((part_knots, part_pieces), knots) for part_knots, part_pieces, _ in parts]
    radius = min(part_radius for _, _, part_radius in parts)
    all_knots: list[sp.Expr] = []
    pieces: list[sp.Expr] = []
    for i, values in enumerate(zip(*columns, strict=True)):
        lo = knots[i - 1] if i else -sp.oo
        hi = knots[i] if i < len(knots) else sp.oo
        located = [_located(g, lo, hi) for g in _switching(expr, values)]
        radius = min([radius, *(found.radius for found in located)])
        cuts = _sorted([r for found in located for r in found.roots if _inside(r, lo, hi)])
        edges = [lo, *cuts, hi]
        for a, b in pairwise(edges):
            point = _point_between(a, b, radius)
            pieces.append(rebuild(values, partial(_sign_at, point=point)))
        all_knots += cuts + ([hi] if hi is not sp.oo else [])
    return all_knots, pieces, radius


Sign = Callable[[sp.Expr], int]
Rebuild = Callable[[Sequence[sp.Expr], Sign], sp.Expr]


def _operands(expr: sp.Basic) -> tuple[list[sp.Expr], Rebuild]:
    """The smooth arguments of a node, and how to put the node together once their signs are known."""
    if isinstance(expr, sp.Piecewise):
        branches = [branch for branch, _ in expr.args]
        relations = sorted(
            {r for _, condition in expr.args for r in condition.atoms(Relational)}, key=sp.default_sort_key
        )

        def choose(values: Sequence[sp.Expr], sign: Sign) -> sp.Expr:
            gaps = dict(zip(relations, values[len(branches) :], strict=True))
            truth = {r: sp.true if r.func(sign(gap), 0) else sp.false for r, gap in gaps.items()}
            for value, (_, condition) in zip(values, expr.args, strict=False):
                if condition.xreplace(truth) == sp.true:
                    return value
            raise OutsideClass("a Piecewise leaves part of the line undefined; add a last branch (…, True)")

        return branches + [r.lhs - r.rhs for r in relations], choose
    if isinstance(expr, sp.Max | sp.Min):
        half = len(expr.args) // 2
        halves = [expr.func(*part, evaluate=False) for part in (expr.args[:half], expr.args[half:])]
        better = 1 if isinstance(expr, sp.Max) else -1

        def select(values: Sequence[sp.Expr], sign: Sign) -> sp.Expr:
            one, other = values
            return other if sign(other - one) == better else one

        return halves, select
    if isinstance(expr, sp.Abs):
        return [expr.args[0]], lambda values, sign: sign(values[0]) * values[0]
    if isinstance(expr, sp.sign):
        return [expr.args[0]], lambda values, sign: sp.Integer(sign(values[0]))
    if isinstance(expr, sp.Heaviside):
        return [expr.args[0]], lambda values, sign: sp.Rational(1 + sign(values[0]), 2)
    return list(expr.args), lambda values, sign: built(expr.func, *values)


def _switching(expr: sp.Basic, values: Sequence[sp.Expr]) -> list[sp.Expr]:
    """The smooth functions whose signs decide this node."""
    if isinstance(expr, sp.Piecewise):
        return list(values[len(expr.args) :])
    if isinstance(expr, sp.Max | sp.Min):
        return [values[1] - values[0]]
    if isinstance(expr, sp.Abs | sp.sign | sp.Heaviside):
        return [values[0]]
    return []


def _refine(part: tuple[list[sp.Expr], list[sp.Expr]], knots: list[sp.Expr]) -> list[sp.Expr]:
    own, pieces = part
    return [pieces[i] for i in _intervals(own, knots)]


def _intervals(own: list[sp.Expr], knots: list[sp.Expr]) -> list[int]:
    index, result = 0, [0]
    for t in knots:
        index += t in own
        result.append(index)
    return result


# Odd and increasing: such a function changes sign where its argument does.
INCREASING = (sp.tanh, sp.sinh, sp.asinh, sp.atan, sp.erf)

# Where it takes a value, and the bound of its values.
INVERSES: Mapping[Any, tuple[Callable[[sp.Expr], sp.Expr], sp.Expr]] = {
    sp.tanh: (lambda y: sp.log((1 + y) / (1 - y)) / 2, sp.S.One),
    sp.sinh: (lambda y: sp.log(y + sp.sqrt(y**2 + 1)), sp.oo),
    sp.asinh: (sp.sinh, sp.oo),
    sp.atan: (sp.tan, sp.pi / 2),
}


def _located(g: sp.Expr, lo: sp.Expr, hi: sp.Expr) -> Located:
    """The roots of g between lo and hi, maybe with others beyond: by formulas, else of each factor by intervals."""
    try:
        return Located(tuple(_roots(g)))
    except OutsideClass:
        if g.free_symbols != {x}:
            raise
    if sp.count_ops(g) < FACTORED:
        turned = g.replace(sp.tan, lambda u: sp.sin(u) / sp.cos(u))  # of which it has the roots and the poles
        bases = [factor.as_base_exp()[0] for factor in sp.Mul.make_args(sp.factor(turned)) if factor.has(x)]
        factors = [base for base in bases if base != sp.E]
        if len(factors) > 1:
            parts = [_located(factor, lo, hi) for factor in factors]
            roots = dict.fromkeys(root for part in parts for root in part.roots)
            return Located(tuple(roots), min(part.radius for part in parts))
    ends = [end if not end.free_symbols else side * sp.oo for side, end in ((-1, lo), (1, hi))]
    return locate(g, *ends)


def _roots(g: sp.Expr) -> list[sp.Expr]:
    g = sp.expand(g)
    if not g.has(x):
        return []
    rates = {e.exp.coeff(x) for e in g.atoms(sp.exp) if e.has(x)}
    if len(rates) == 1 and not g.subs(dict.fromkeys(g.atoms(sp.exp), 0)).has(x):
        (rate,) = rates
        y = sp.Dummy("y", positive=True)
        in_y = sp.expand(g.replace(sp.exp, lambda a: y * sp.exp(a - rate * x)))
        if in_y.is_polynomial(y) and not in_y.has(x):
            return [sp.log(r) / rate for r in _polynomial_roots(in_y, y) if r.is_positive]
    factors = [factor for factor in sp.Mul.make_args(g) if factor.has(x)]
    if all(factor.is_polynomial(x) or isinstance(factor, (*INCREASING, sp.exp)) for factor in factors):
        arguments = [f.args[0] if isinstance(f, INCREASING) else f for f in factors if not isinstance(f, sp.exp)]
        if len(factors) > 1 or arguments != factors:
            return list(dict.fromkeys(root for argument in arguments for root in _roots(argument)))
    turned = [f for f in g.atoms(*INVERSES) if f.has(x)]
    if len(turned) == 1:
        (f,), y = turned, sp.Dummy("y", real=True)
        in_y = g.xreplace({f: y})
        if in_y.is_polynomial(y) and not in_y.has(x):
            inverse, bound = INVERSES[f.func]
            values = [v for v in _polynomial_roots(in_y, y) if bound.is_infinite or _compare(bound, abs(v)) > 0]
            return list(dict.fromkeys(root for value in values for root in _roots(f.args[0] - inverse(value))))
    if not g.is_polynomial(x):
        raise OutsideClass(f"cannot locate where {g} changes sign, which a switch in the activation needs")
    return _polynomial_roots(g, x)


def _polynomial_roots(g: sp.Expr, variable: sp.Symbol) -> list[sp.Expr]:
    poly = sp.Poly(g, variable)
    if poly.degree() == 1:
        slope, intercept = poly.all_coeffs()
        if slope.is_nonzero is not True:
            raise OutsideClass(f"the sign of {slope} is not known; give its parameters values or assumptions")
        return [-intercept / slope]
    if poly.free_symbols_in_domain:
        raise OutsideClass(f"cannot locate the roots of {g} for symbolic parameters; give them values")
    if poly.degree() > 2 and not (poly.domain.is_ZZ or poly.domain.is_QQ):
        raise OutsideClass(f"cannot locate the real roots of {g} exactly")  # SymPy may try for hours
    try:
        roots = list(dict.fromkeys(sp.real_roots(poly)))
        if not any(root.has(sp.CRootOf) for root in roots):
            return roots
    except NotImplementedError:
        pass
    factors = [factor.as_expr().xreplace({variable: x}) for factor, _ in poly.factor_list()[1]]
    return [root for factor in factors for root in locate(factor).roots]


@lru_cache(4096)
def _value(number: sp.Expr) -> float | None:
    """A number without symbols, if it is real, to the digits of a float."""
    value = None if number.free_symbols else number.n(17)
    return float(value) if value is not None and value.is_Float else None


def _is_zero(number: sp.Expr) -> bool:
    """Whether a number without symbols is 0."""
    try:
        return bool(number == 0) or (not number.free_symbols and is_zero(number))
    except OutsideClass:  # no bounds are known
        return False


def _compare(a: sp.Expr, b: sp.Expr) -> int:
    one, two = _value(sp.sympify(a)), _value(sp.sympify(b))
    if one is not None and two is not None and abs(one - two) > 1e-9 * max(1, abs(one), abs(two)):
        return 1 if one > two else -1
    gap = sp.expand(a - b)
    if gap.is_zero:
        return 0
    if gap.is_positive:
        return 1
    if gap.is_negative:
        return -1
    if _is_zero(gap):
        return 0
    raise OutsideClass(
        f"the order of {a} and {b} is not known; give the parameters values or assumptions, e.g. a=positive"
    )


def _sorted(knots: Sequence[sp.Expr]) -> list[sp.Expr]:
    ordered: list[sp.Expr] = []
    for t in knots:
        position, known = 0, False
        for s in ordered:
            side = _compare(t, s)
            known = side == 0
            if side <= 0:
                break
            position += 1
        if not known:
            ordered.insert(position, t)
    return ordered


def _inside(t: sp.Expr, lo: sp.Expr, hi: sp.Expr) -> bool:
    return (lo is -sp.oo or _compare(t, lo) > 0) and (hi is sp.oo or _compare(t, hi) < 0)


def _point_between(lo: sp.Expr, hi: sp.Expr, radius: sp.Expr) -> sp.Expr:
    """A point between two ends, within the radius; a fraction where an end is a root without a formula."""
    if radius is not sp.oo:
        lo, hi = (-radius if lo is -sp.oo else lo), (radius if hi is sp.oo else hi)
    if lo is -sp.oo:
        return sp.S.Zero if hi is sp.oo else hi - 1
    point = lo + 1 if hi is sp.oo else (lo + hi) / 2
    if point.has(Root):
        fraction = sp.Rational(str(point.n(30)))
        return fraction if _inside(fraction, lo, hi) else point
    return point


def _sign_at(g: sp.Expr, point: sp.Expr) -> int:
    """The constant sign of g on an interval without roots, read off at a point inside."""
    value = sp.expand(at(g, point))
    if value.is_zero:
        return 0
    if value.is_positive:
        return 1
    if value.is_negative:
        return -1
    raise OutsideClass(f"the sign of {value} is not known; give its parameters values or assumptions")
