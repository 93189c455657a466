"""Differences of a formula between two states, formed without subtracting its values.

For a difference d = x' − x of every leaf that moves, the rules of finite differences give that of the whole:

    (fg)' − fg = (f' − f) g' + f (g' − g),        √f' − √f = (f' − f)/(√f' + √f),
    e^f' − e^f = e^f expm1(f' − f)  for f' ≤ f,    1/f' − 1/f = −(f' − f)/(f f'),
               = −e^f' expm1(f − f') for f' ≥ f,
    atan2(y', x') − atan2(y, x) = atan2((y' − y) x − y (x' − x), x x' + y y').

All of its digits are right where those of the leaves' differences are. The deficit √(K11 K22) − K, which is
what a small angle between two outputs is made of, comes out of it in closed form.
"""

from collections.abc import Mapping

import sympy as sp
from sympy.codegen.cfunctions import expm1

from mehler.derive.stabilise.rules import ExpGap, ExpSum, OneMinusCos, norm
from mehler.derive.symbols import Delta, c, q1, q2, rho, sin_theta

# Two variances, and each of them doubled.
POINTS = [{q1: 3, q2: 5}, {q1: 6, q2: 5}, {q1: 3, q2: 10}, {q1: 6, q2: 10}]

Moves = Mapping[sp.Expr, tuple[sp.Expr, sp.Expr]]
Moved = tuple[sp.Expr, sp.Expr]


class NoDifference(Exception):
    """A function in the formula has no rule."""


def deficit(kernel: sp.Expr, k1: sp.Symbol, k2: sp.Symbol) -> tuple[sp.Expr, bool]:
    """√(k1 k2) − K in (q1, q2, c ≥ 0, ρ, s), k1 = K(q1, q1), k2 = K(q2, q2), and whether it is 0 at ρ = 1.

    Where it is not, digits are lost if k1 and k2 differ by much. Raises NoDifference.

    K falls from parallel inputs to these by d, and with d1, d2 the rises of K from there to k1 and to k2,
    √(k1 k2) − K = d + (d1 + d2)/2 − ((d1 − d2)/(√k1 + √k2))²/2.
    """
    angle = OneMinusCos(rho, sin_theta)
    acute = {sp.Abs(c): c, sp.Abs(rho): rho, sp.sign(c): sp.S.One, sp.sign(rho): sp.S.One}
    parallel, fall = difference(
        kernel.xreplace(acute),
        {
            angle: (sp.S.Zero, -angle),
            rho: (sp.S.One, angle),
            sin_theta: (sp.S.Zero, -sin_theta),
            c: (norm, norm * angle),
            Delta: (sp.S.Zero, -Delta),
        },
    )
    fall = fall.xreplace({rho + angle: sp.S.One})
    if _is_homogeneous(parallel):
        return fall, True
    _, rise = difference(
        parallel, {q2: (q1, q1 - q2), norm: (q1, sp.sqrt(q1) * (q1 - q2) / (sp.sqrt(q1) + sp.sqrt(q2)))}
    )
    other = rise.xreplace({q1: q2, q2: q1})
    return fall + (rise + other) / 2 - ((rise - other) / (sp.sqrt(k1) + sp.sqrt(k2))) ** 2 / 2, False


def _is_homogeneous(parallel: sp.Expr) -> bool:
    """Whether K of parallel inputs is κ (q1 q2)^p, as at 4 points to 20 digits: their outputs are parallel then."""
    expr = parallel.xreplace({norm: sp.sqrt(q1) * sp.sqrt(q2)})
    expr = expr.replace(lambda e: isinstance(e, ExpSum | ExpGap), lambda e: sp.exp(e.args[-1]))
    rest = {s: sp.Rational(3, 7) for s in expr.free_symbols - {q1, q2}}
    value, first, second, both = (sp.N(expr.subs(rest | point), 40) for point in POINTS)
    slack = sp.Float("1e-20", 40) * abs(value)
    return bool(abs(first - second) <= slack and abs(both * value - first * second) <= slack * abs(both))


def difference(expr: sp.Expr, moves: Moves) -> Moved:
    """(f', f' − f) of f when every leaf x of `moves` goes to x', given as x: (x', x' − x)."""
    if expr in moves:
        return moves[expr]
    if not expr.has(*moves):
        return expr, sp.S.Zero
    if isinstance(expr, ExpSum | ExpGap):
        exponent, gap = difference(expr.args[0], moves)
        there = sp.exp(exponent)
        if isinstance(expr, ExpSum):  # has digits that exp of the rounded exponent has not
            return there, expr * expm1(gap)
        return there, _exponential(expr, there, gap)
    parts = [difference(argument, moves) for argument in expr.args]
    there = expr.func(*(part for part, _ in parts))
    if (not there.is_finite and there.is_finite is not None) or there.has(sp.zoo, sp.nan):
        raise NoDifference(expr)
    gaps = [gap for _, gap in parts]
    if all(gap == 0 for gap in gaps):
        return there, sp.S.Zero
    if there == 0 and not expr.is_Add:
        return there, -expr
    return there, _rule(expr, [part for part, _ in parts], gaps)


def _rule(expr: sp.Expr, after: list[sp.Expr], gaps: list[sp.Expr]) -> sp.Expr:
    if expr.is_Add:
        return sp.Add(*gaps)
    if expr.is_Mul:
        return _product(list(expr.args), after, gaps)
    if expr.is_Pow and (2 * expr.exp).is_Integer:
        return _power(expr.base, after[0], gaps[0], expr.exp)
    if isinstance(expr, sp.exp):
        return _exponential(expr, sp.exp(after[0]), gaps[0])
    if isinstance(expr, expm1):
        return _exponential(sp.exp(expr.args[0]), sp.exp(after[0]), gaps[0])
    if isinstance(expr, sp.atan):
        return sp.atan2(gaps[0], 1 + expr.args[0] * after[0], evaluate=False)
    if isinstance(expr, sp.atan2):
        (y, x), (dy, dx) = expr.args, gaps
        return sp.atan2(sp.factor(sp.expand(dy * x - y * dx)), x * after[1] + y * after[0], evaluate=False)
    if isinstance(expr, sp.sign):
        return sp.S.Zero
    if isinstance(expr, sp.Abs):
        return sp.sign(expr.args[0]) * gaps[0]
    raise NoDifference(expr)


def _exponential(expr: sp.Expr, after: sp.Expr, gap: sp.Expr) -> sp.Expr:
    """e^f' − e^f by the larger of the two, so that expm1 never overflows."""
    if gap.is_nonnegative:
        return -after * expm1(-gap)
    if gap.is_nonpositive or not isinstance(expr, sp.exp):
        return expr * expm1(gap)
    size = sp.Abs(gap)
    return -sp.sign(gap) * sp.exp(expr.exp + (gap + size) / 2) * expm1(-size)


def _product(factors: list[sp.Expr], after: list[sp.Expr], gaps: list[sp.Expr]) -> sp.Expr:
    return sp.Add(*(sp.Mul(*factors[:i], gaps[i], *after[i + 1 :]) for i in range(len(factors)) if gaps[i] != 0))


def _power(base: sp.Expr, after: sp.Expr, gap: sp.Expr, exponent: sp.Rational) -> sp.Expr:
    if exponent < 0:
        return -_power(base, after, gap, -exponent) / (base * after) ** -exponent
    count = exponent
    if not exponent.is_Integer:
        base, after, count = sp.sqrt(base), sp.sqrt(after), 2 * exponent
        gap = gap / (base + after)
    return gap * sp.Add(*(base**i * after ** (count - 1 - i) for i in range(count)))
