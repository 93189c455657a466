"""Expectations by quadrature: the judge of derived formulas, and the values of activations that have none.

E[φ(u)φ(v)] = ∫∫ φ(s)φ(t) p(s, t) ds dt by Gauss-Legendre on the rectangles between knots, in coordinates
(u, v). Nothing here knows the theorem.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from operator import itemgetter, mul
from typing import Any

import gmpy2
import sympy as sp

from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import compile_function, context
from mehler.derive.legendre import legendre
from mehler.derive.pieces import Pieces
from mehler.derive.symbols import x

Point = Mapping[sp.Symbol, sp.Rational]

# Bits of the sums of a rule beyond those of its result.
GUARD = 32

# An expectation of so many zeros after the point is 0 for us.
MAX_ZEROS = 80

# Beyond this denominator of an exponent, algebraic convergence is what one gets.
MAX_ROOT = 8

# Nodes a piece: raised until a rule agrees with the one before.
ORDERS_1D = (64, 96, 144, 216, 324, 486, 730, 1095)

# Of the scale 1: where a rule for the line has edges too, since φ may turn in a layer so thin.
LAYERS = tuple(sp.Integer(64) ** -k for k in range(1, 5))
ORDERS = (36, 46, 58, 74, 94, 118, 148, 186, 232, 290, 362, 452, 564, 704)


def expectation_1d(f: Pieces, q: sp.Rational, env: Point, digits: int) -> Any:
    """E[f(u)], u ~ N(0, q), to `digits` digits. Raises DeriveError when it does not converge."""
    return hermite_coefficients(f, q, env, digits, 1)[0]


def hermite_coefficients(f: Pieces, q: sp.Rational, env: Point, digits: int, count: int) -> list[Any]:
    """E[f(√q z) hₙ(z)] for n < count, with the orthonormal Hermite polynomials hₙ, to `digits` digits."""

    def rule(ctx: Any, order: int, goal: int) -> tuple[list[Any], Any]:
        variance = _number(ctx, q)
        # The first rule is without the layers, so that it agrees with the second where there are none.
        layers = LAYERS if order > ORDERS_1D[0] and not _is_of_powers(f) else ()
        nodes = _nodes(ctx, f, variance, env, goal + count, order, layers)
        return _projections(ctx, _real_values(ctx, [f], env, nodes)[0], nodes, variance, count)

    return _until_settled(rule, digits, ORDERS_1D)


def _projections(
    ctx: Any, values: Sequence[Any], nodes: Sequence[tuple[Any, Any]], variance: Any, count: int
) -> tuple[list[Any], Any]:
    """The same by a rule, from the values of f at its nodes, and E|f(u)|."""
    with gmpy2.context(precision=ctx.prec + GUARD):
        root = gmpy2.sqrt(_mpfr(variance))
        z = [_mpfr(t) / root for t, _ in nodes]
        density = [gmpy2.exp(-t * t / 2) for t in z]
        weighted = [_mpfr(w) * _mpfr(y) * p for (_, w), y, p in zip(nodes, values, density, strict=True)]
        before, here = [gmpy2.mpfr(0)] * len(z), [gmpy2.mpfr(1)] * len(z)
        totals = [sum(map(abs, weighted))]
        for n in range(count):
            totals.append(sum(map(mul, weighted, here)))
            step, back = 1 / gmpy2.sqrt(n + 1), gmpy2.sqrt(gmpy2.mpfr(n) / (n + 1))
            ahead = [t * step * h - back * b for t, h, b in zip(z, here, before, strict=True)]
            before, here = here, ahead
        norm = root * gmpy2.sqrt(2 * gmpy2.const_pi())
        size, *rest = (_mpf(ctx, total / norm) for total in totals)
    return rest, size


def expectations_2d(
    functions: tuple[Pieces, ...], q1: sp.Rational, q2: sp.Rational, c: sp.Rational, env: Point, digits: int
) -> list[Any]:
    """[E f(u)f(v) for f in functions] for (u, v) ~ N(0, [[q1, c], [c, q2]]), to `digits` digits.

    All functions must have the same knots. Needs q1q2 > c². Raises DeriveError when it does not converge.
    """
    det = q1 * q2 - c**2
    known = [[hermite_coefficients(f, variance, env, digits // 2, 2) for f in functions] for variance in (q1, q2)]

    def rule(ctx: Any, order: int, goal: int) -> tuple[Any, Any]:
        d, v1, v2, cov = (_number(ctx, value) for value in (det, q1, q2, c))
        left, right = (
            sorted(_nodes(ctx, functions[0], variance, env, goal, order), key=itemgetter(0))
            for variance in (v1, v2)
        )
        left_f = _real_values(ctx, functions, env, left)
        right_f = _real_values(ctx, functions, env, right)
        # What is so thin that these nodes miss it shows in the means of the functions.
        for columns, nodes, variance, of_each in ((left_f, left, v1, known[0]), (right_f, right, v2, known[1])):
            for values, exact in zip(columns, of_each, strict=True):
                means, size = _projections(ctx, values, nodes, variance, 2)
                if max(abs(a - b) for a, b in zip(means, exact, strict=True)) > size * ctx.mpf(10) ** (-digits / 2):
                    return [ctx.nan] * len(functions), ctx.one
        # Below what an edge of the range weighs, a point adds nothing; given s, t is that close to its mean.
        far = max(t**2 / variance for nodes, variance in ((left, v1), (right, v2)) for t, _ in nodes)
        with gmpy2.context(precision=ctx.prec + GUARD):
            floor, breadth, shrunk = _mpfr(-far / 2), _mpfr(ctx.sqrt(far * d / v1)), _mpfr(cov / v1)
            right_t, right_w = ([_mpfr(node[n]) for node in right] for n in (0, 1))
            right_b = [t * t * _mpfr(-v1 / (2 * d)) for t in right_t]
            right_i = [[w * _mpfr(y) for w, y in zip(right_w, f, strict=True)] for f in right_f]
            totals, sizes = [gmpy2.mpfr(0)] * len(functions), [gmpy2.mpfr(0)] * len(functions)
            tilt, bend = _mpfr(cov / d), _mpfr(-v2 / (2 * d))
            for i, (node, weight) in enumerate(left):
                s = _mpfr(node)
                slope, start, mean = tilt * s, bend * s * s, shrunk * s
                near = range(bisect_left(right_t, mean - breadth), bisect_right(right_t, mean + breadth))
                exponents = ((j, start + right_b[j] + slope * right_t[j]) for j in near)
                density = [(j, gmpy2.exp(e)) for j, e in exponents if e > floor]
                for n, values in enumerate(right_i):
                    terms = [p * values[j] for j, p in density]
                    scale = _mpfr(weight) * _mpfr(left_f[n][i])
                    totals[n] += scale * sum(terms)
                    sizes[n] += abs(scale) * sum(map(abs, terms))
            norm = 2 * gmpy2.const_pi() * gmpy2.sqrt(_mpfr(d))
            return [_mpf(ctx, total / norm) for total in totals], _mpf(ctx, max(sizes) / norm)

    # What a rule must resolve is the ridge of the density. On half the range, some 7 standard deviations, the
    # ridge has the relative width w, and Gauss-Legendre of order n the error exp(−2n²w²).
    width = math.sqrt(float(det / q1 / q2)) / 7
    return _until_settled(rule, digits, [n for n in ORDERS if n >= math.sqrt(1.15 * digits) / width])


def _until_settled(rule: Any, digits: int, orders: Iterable[int]) -> list[Any]:
    """The values of the first rule that agrees with the one before."""
    ctx, goal = context(digits + 10), digits
    previous: list[Any] | None = None
    for order in orders:
        try:
            values, size = rule(ctx, order, goal)
            # A small expectation keeps its relative accuracy: as many more digits as it has zeros.
            zeros = min(MAX_ZEROS, max(0, -int(ctx.mag(size)) * 3 // 10)) if size else 0
            if digits + zeros > goal:
                ctx, goal = context(digits + zeros + 20), digits + zeros + 10
                values, size = rule(ctx, order, goal)
        except (ZeroDivisionError, OverflowError):
            raise DeriveError(
                "the activation is infinite at a point of the line, so its expectation may not exist"
            ) from None
        if previous is not None:
            gap = max(abs(v - p) for v, p in zip(values, previous, strict=True))
            if gap <= size * ctx.mpf(10) ** (-digits - 1):
                return list(values)
        previous = values
    raise DeriveError(
        f"quadrature did not reach {digits} digits here: the expectation may not exist, or the point is too hard; "
        "ask for fewer digits or a milder point"
    )


def _nodes(
    ctx: Any, f: Pieces, variance: Any, env: Point, digits: int, order: int, layers: Sequence[sp.Rational] = ()
) -> list[tuple[Any, Any]]:
    """Nodes and weights on every interval between knots, out to where the Gaussian is below the digits asked."""
    reach = ctx.sqrt(variance) * _reach(ctx, f, variance, env, digits)
    if reach > f.radius:
        raise DeriveError(
            f"the activation switches without end, and is cut at its knots for |x| <= {f.radius}: not enough for "
            f"{digits} digits at a variance of {float(variance):.3g}; ask for fewer digits or a smaller variance"
        )
    values = {s: _number(ctx, v) for s, v in env.items()}
    knots = [compile_function(t, ctx)(values) for t in f.knots]
    inside = [t for t in knots if -reach < t < reach]
    # An interval of many standard deviations is cut in two, so that one rule serves all intervals.
    near = [side * _number(ctx, t) for t in layers for side in (-1, 1) if _number(ctx, t) < reach]
    edges = sorted({-reach, *inside, reach, *_scales(ctx, reach), *near} | ({ctx.zero} if not inside else set()))
    root, core = _root(f, env), max(near, default=ctx.zero)
    nodes = []
    for lo, hi in pairwise(edges):
        ends = [lo, (lo + hi) / 2, hi] if root > 1 and lo in knots and hi in knots else [lo, hi]
        for a, b in pairwise(ends):
            start, end = (b, a) if b in knots else (a, b)
            # In a layer φ hardly changes, but for a root at its knot or where it is as steep as that.
            few = root == 1 and max(abs(a), abs(b)) <= core
            nodes += _panel(ctx, start, end, root if start in knots else 1, order // 4 if few else order)
    return nodes


def _scales(ctx: Any, reach: Any) -> list[Any]:
    """±8ᵏ in a wide range: φ may turn there, in a layer that is too thin for any rule to see."""
    count = int(ctx.floor(ctx.log(reach, 8)))
    return [side * ctx.mpf(8) ** k for k in range(1, count) for side in (-1, 1)] if count > 2 else []


def _root(f: Pieces, env: Point) -> int:
    """The least m for which f(t ± yᵐ) is analytic in y at every knot t: f may hold real powers there."""
    exponents = {e.exp.subs(env) for p in f.pieces for e in p.atoms(sp.Pow) if e.base.has(x)}
    m = math.lcm(*(int(e.q) for e in exponents if e.is_Rational))
    return min(m, MAX_ROOT)


def _is_of_powers(f: Pieces) -> bool:
    """Whether f is made of powers of x, which have no scale, and so no layers."""
    return not any(
        part.has(x) and not (part.is_Add or part.is_Mul or part == x or (part.is_Pow and part.base in (x, -x)))
        for piece in f.pieces
        for part in sp.preorder_traversal(piece)
        if part != -x
    )


def _panel(ctx: Any, start: Any, end: Any, root: int, order: int) -> list[tuple[Any, Any]]:
    """Gauss-Legendre in y for x = start ± yᵐ."""
    if root == 1:
        centre, half = (start + end) / 2, (end - start) / 2
        return [(centre + half * t, abs(half) * w) for t, w in legendre(ctx, order)]
    sign, half = ctx.sign(end - start), ctx.root(abs(end - start), root) / 2
    points = [(half * (1 + t), half * w) for t, w in legendre(ctx, order)]
    return [(start + sign * y**root, w * root * y ** (root - 1)) for y, w in points]


def _reach(ctx: Any, f: Pieces, variance: Any, env: Point, digits: int) -> Any:
    """Standard deviations beyond which φ² times the Gaussian is negligible."""
    reach = ctx.sqrt(2 * ctx.ln(10) * (digits + 8)) + 2
    root = ctx.sqrt(variance)
    largest = ctx.one
    for _ in range(8):
        sides = values_at(ctx, [f], env, [sign * reach * root for sign in (-1, 1)])[0]
        largest = max(largest, *(abs(y) for y in values_at(ctx, [f], env, [-root, root])[0]))
        if max(abs(y) for y in sides) ** 2 * ctx.exp(-(reach**2) / 2) <= largest**2 * ctx.mpf(10) ** -(digits + 8):
            break
        reach *= ctx.mpf("1.2")
    return reach


def values_at(ctx: Any, functions: Sequence[Pieces], env: Point, points: Iterable[Any]) -> list[list[Any]]:
    """[f at the points, for each f], as numbers of the context, complex where f is; all f share their knots."""
    if any(_is_singular(piece) for f in functions for piece in f.pieces):
        ctx = context(2 * ctx.dps + 40)  # (1 − cos x)/x² loses digits near 0
    values = {s: _number(ctx, v) for s, v in env.items()}
    knots = [compile_function(t, ctx)(values) for t in functions[0].knots]
    # One program for all functions: φ and φ' have their costly parts in common.
    columns = [sp.Tuple(*column) for column in zip(*(f.pieces for f in functions), strict=True)]
    programs = {column: compile_function(column, ctx) for column in dict.fromkeys(columns)}
    rows = [programs[columns[bisect_left(knots, t)]](values | {x: t}) for t in points]
    return [list(column) for column in zip(*rows, strict=True)]


@cache
def _is_singular(piece: sp.Expr) -> bool:
    """Whether a denominator vanishes at 0."""
    return any(e.exp.is_negative and e.base.subs(x, 0) == 0 for e in piece.atoms(sp.Pow) if e.base.has(x))


def _real_values(
    ctx: Any, functions: Sequence[Pieces], env: Point, nodes: list[tuple[Any, Any]]
) -> list[list[Any]]:
    return [[ctx.re(v) for v in row] for row in values_at(ctx, functions, env, (t for t, _ in nodes))]


def _mpfr(value: Any) -> Any:
    """A number of mpmath as one of gmpy2, which adds and multiplies ten times as fast."""
    sign, mantissa, exponent, _ = value._mpf_
    if exponent and not mantissa:
        raise OverflowError("not a finite number")
    shift = gmpy2.mul_2exp if exponent >= 0 else gmpy2.div_2exp
    return shift(gmpy2.mpfr(-mantissa if sign else mantissa), abs(exponent))


def _mpf(ctx: Any, value: Any) -> Any:
    """A number of gmpy2 as one of mpmath."""
    mantissa, exponent = value.as_mantissa_exp()
    return ctx.ldexp(ctx.mpf(int(mantissa)), int(exponent))


def _number(ctx: Any, value: sp.Rational) -> Any:
    return ctx.mpf(int(value.p)) / int(value.q)
