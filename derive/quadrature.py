"""Expectations by quadrature: the judge of derived formulas, and the values of activations that have none.

E[φ(u)φ(v)] = ∫∫ φ(s)φ(t) p(s, t) ds dt by Gauss-Legendre on the rectangles between knots, in coordinates
(u, v). Nothing here knows the theorem.
"""

import math
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import sympy as sp
from mpmath.libmp.libelefun import exp_fixed, ln2_fixed

from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import compile_function, context
from mehler.derive.pieces import Pieces
from mehler.derive.symbols import x

Point = Mapping[sp.Symbol, sp.Rational]

# Nodes a piece: raised until a rule agrees with the one before.
ORDERS = (36, 54, 80, 120, 180, 270)


def expectation_1d(f: Pieces, q: sp.Rational, env: Point, digits: int) -> Any:
    """E[f(u)], u ~ N(0, q), to `digits` digits. Raises DeriveError when it does not converge."""

    def rule(ctx: Any, order: int) -> tuple[Any, Any]:
        variance = _number(ctx, q)
        nodes = _nodes(ctx, f, variance, env, digits, order)
        norm = ctx.sqrt(2 * ctx.pi * variance)
        weights = [w * ctx.exp(-(t**2) / (2 * variance)) / norm for t, w in nodes]
        products = [w * y for w, y in zip(weights, _real_values(ctx, f, env, nodes), strict=True)]
        return [ctx.fsum(products)], ctx.fsum(abs(p) for p in products)

    return _until_settled(rule, digits)[0]


def expectations_2d(
    functions: tuple[Pieces, ...], q1: sp.Rational, q2: sp.Rational, c: sp.Rational, env: Point, digits: int
) -> list[Any]:
    """[E f(u)f(v) for f in functions] for (u, v) ~ N(0, [[q1, c], [c, q2]]), to `digits` digits.

    All functions must have the same knots. Needs q1q2 > c². Raises DeriveError when it does not converge.
    """
    det = q1 * q2 - c**2

    def rule(ctx: Any, order: int) -> tuple[Any, Any]:
        d = _number(ctx, det)
        left, right = (
            _nodes(ctx, functions[0], _number(ctx, variance), env, digits, order) for variance in (q1, q2)
        )
        left_f = [_real_values(ctx, f, env, left) for f in functions]
        right_f = [_real_values(ctx, f, env, right) for f in functions]
        # The density is exp(a(s) + b(t) + k·s·t) ≤ 1, so fixed-point integers hold it, many times faster. They
        # need as many more bits as φ(s)φ(t) has.
        largest = max((abs(y) for values in left_f + right_f for y in values), default=ctx.one)
        bits = ctx.prec + (2 * max(0, int(ctx.mag(largest))) if largest else 0)
        unit = ctx.mpf(2) ** bits
        k = _number(ctx, c) / d
        right_t = [int(t * unit) for t, _ in right]
        right_b = [int(-_number(ctx, q1) * t**2 / (2 * d) * unit) for t, _ in right]
        right_i = [[int(w * y * unit) for (_, w), y in zip(right, f, strict=True)] for f in right_f]
        # Below the square of what an edge of the range weighs, a point adds nothing.
        floor = -int(max(t**2 for t, _ in left) / _number(ctx, q1) * unit)
        log2 = ln2_fixed(bits)
        totals, sizes = [ctx.zero] * len(functions), [ctx.zero] * len(functions)
        for i, (s, w) in enumerate(left):
            slope, start = int(k * s * unit), int(-_number(ctx, q2) * s**2 / (2 * d) * unit)
            exponents = [start + b + (slope * t >> bits) for t, b in zip(right_t, right_b, strict=True)]
            density = [(j, exp_fixed(e, bits, log2)) for j, e in enumerate(exponents) if e > floor]
            for n, values in enumerate(right_i):
                terms = [p * values[j] for j, p in density]
                scale = w * left_f[n][i] / unit**2
                totals[n] += scale * sum(terms)
                sizes[n] += abs(scale) * sum(map(abs, terms))
        norm = 2 * ctx.pi * ctx.sqrt(d)
        return [total / norm for total in totals], max(sizes) / norm

    return _until_settled(rule, digits)


def _until_settled(rule: Any, digits: int) -> list[Any]:
    ctx = context(digits + 10)
    previous: list[Any] | None = None
    for order in ORDERS:
        try:
            values, size = rule(ctx, order)
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


def _nodes(ctx: Any, f: Pieces, variance: Any, env: Point, digits: int, order: int) -> list[tuple[Any, Any]]:
    """Nodes and weights on every interval between knots, out to where the Gaussian is below the digits asked."""
    reach = ctx.sqrt(variance) * _reach(ctx, f, variance, env, digits)
    values = {s: _number(ctx, v) for s, v in env.items()}
    knots = [compile_function(t, ctx)(values) for t in f.knots]
    inside = [t for t in knots if -reach < t < reach]
    # An interval of many standard deviations is cut in two, so that one rule serves all intervals.
    edges = sorted({-reach, *inside, reach} | ({ctx.zero} if not inside else set()))
    nodes = []
    for lo, hi in pairwise(edges):
        centre, half = (lo + hi) / 2, (hi - lo) / 2
        nodes += [(centre + half * t, half * w) for t, w in _legendre(order, ctx.prec)]
    return nodes


def _reach(ctx: Any, f: Pieces, variance: Any, env: Point, digits: int) -> Any:
    """Standard deviations beyond which φ² times the Gaussian is negligible."""
    reach = ctx.sqrt(2 * ctx.ln(10) * (digits + 8)) + 2
    root = ctx.sqrt(variance)
    largest = ctx.one
    for _ in range(8):
        sides = values_at(ctx, f, env, [sign * reach * root for sign in (-1, 1)])
        largest = max(largest, *(abs(y) for y in values_at(ctx, f, env, [-root, root])))
        if max(abs(y) for y in sides) ** 2 * ctx.exp(-(reach**2) / 2) <= largest**2 * ctx.mpf(10) ** -(digits + 8):
            break
        reach *= ctx.mpf("1.2")
    return reach


def values_at(ctx: Any, f: Pieces, env: Point, points: Iterable[Any]) -> list[Any]:
    """f at points of the line, as numbers of the context; complex where f is."""
    values = {s: _number(ctx, v) for s, v in env.items()}
    knots = [compile_function(t, ctx)(values) for t in f.knots]
    pieces = [compile_function(p, ctx) for p in f.pieces]
    return [pieces[sum(t > k for k in knots)](values | {x: t}) for t in points]


def _real_values(ctx: Any, f: Pieces, env: Point, nodes: list[tuple[Any, Any]]) -> list[Any]:
    return [ctx.re(v) for v in values_at(ctx, f, env, (t for t, _ in nodes))]


@cache
def _legendre(order: int, prec: int) -> tuple[tuple[Any, Any], ...]:
    """Gauss-Legendre nodes and weights on [−1, 1]: Newton's method, started in machine precision."""
    ctx = context(15)
    ctx.prec = prec + 10
    pairs = []
    for i in range((order + 1) // 2):
        t: Any = math.cos(math.pi * (i + 0.75) / (order + 0.5))
        for _ in range(4):
            value, slope = _legendre_polynomial(order, t)
            t -= value / slope
        t, correct = ctx.mpf(t), 45
        while correct < 2 * ctx.prec:
            value, slope = _legendre_polynomial(order, t)
            t, correct = t - value / slope, 2 * correct
        weight = 2 / ((1 - t * t) * slope**2)
        pairs.append((t, weight))
    mirrored = [(-t, w) for t, w in pairs[: order // 2]]
    return tuple(pairs + mirrored)


def _legendre_polynomial(order: int, t: Any) -> tuple[Any, Any]:
    before, value = 1, t
    for n in range(2, order + 1):
        before, value = value, ((2 * n - 1) * t * value - (n - 1) * before) / n
    return value, order * (t * value - before) / (t * t - 1)


def _number(ctx: Any, value: sp.Rational) -> Any:
    return ctx.mpf(int(value.p)) / int(value.q)
