"""Gauss-Legendre rules of any order and precision, in integers.

∫₋₁¹ f(t) dt ≈ Σ w f(t), t the roots of Pₙ and w = 2 / ((1 − t²) Pₙ'(t)²).

One recurrence a node: near a start t₀ the equation (1 − t²)P'' − 2tP' + n(n + 1)P = 0 gives the Taylor series
of Pₙ from Pₙ(t₀) and Pₙ'(t₀), and with it the root and the slope there (A. Glaser, X. Liu, V. Rokhlin,
SIAM J. Sci. Comput. 29 (2007) 1420).
"""

import math
from functools import cache
from typing import Any

from mpmath.libmp import from_man_exp, mpf_neg

# The mantissas and exponents of a node and of its weight.
Raw = tuple[Any, Any]


def legendre(ctx: Any, order: int) -> list[tuple[Any, Any]]:
    """Nodes t and weights w on [−1, 1] at the precision of the mpmath context, t ≥ 0 first."""
    make = ctx.make_mpf
    return [(make(t), make(w)) for t, w in _rule(order, ctx.prec)]


@cache
def _rule(order: int, prec: int) -> tuple[Raw, ...]:
    bits = _bits(order, prec)
    half = [
        (from_man_exp(t, -bits, prec + 10, "n"), from_man_exp(w, -bits, prec + 10, "n"))
        for t, w in _positive_nodes(order, bits)
    ]
    return tuple(half + [(mpf_neg(t), w) for t, w in half[: order // 2]])


def _bits(order: int, prec: int) -> int:
    """Where t → 1, 1/(1 − t²) costs 2 log₂ n bits twice, and n roundings another log₂ n."""
    return prec + 16 + 5 * order.bit_length()


def _positive_nodes(order: int, bits: int) -> list[tuple[int, int]]:
    """The nodes t ≥ 0, largest first, with their weights; both times 2^bits."""
    nodes = [_node(order, i, bits) for i in range(order // 2)]
    if order % 2:
        nodes.append((0, _weight(0, _polynomial(order, 0, bits)[1], bits)))
    return nodes


def _node(order: int, i: int, bits: int) -> tuple[int, int]:
    start = math.cos(math.pi * (i + 0.75) / (order + 0.5)) * (1 - (order - 1) / (8 * order**3))
    t = int(math.ldexp(_newton(order, start), 60)) << (bits - 60)
    value, slope = _polynomial(order, t, bits)
    if not value:
        return t, _weight(t, slope, bits)
    # Pₙ(t + sδ) / Pₙ(t) = Σ βⱼ sʲ with δ the step of Newton's method, so that s is close to 1.
    step = -(value << bits) // slope
    one = 1 << bits
    inverse = (one << bits) // (one - (t * t >> bits))
    first = 2 * (t * step >> bits) * inverse >> bits
    second = (step * step >> bits) * inverse >> bits
    beta, j = [one, -one], 0
    while abs(beta[-1]) > 1 or abs(beta[-2]) > 1:
        up = (first * beta[-1] >> bits) * (j + 1) ** 2
        down = (second * beta[-2] >> bits) * (order * (order + 1) - j * (j + 1))
        beta.append((up - down) // ((j + 1) * (j + 2)))
        j += 1
    s = one
    while True:
        p, dp = 0, 0
        for coefficient in reversed(beta):
            p, dp = (p * s >> bits) + coefficient, (dp * s >> bits) + p
        change = (p << bits) // dp
        s -= change
        if abs(change) <= 1 << (bits // 2 - 8):
            break
    slope_ratio = 0
    for j in range(len(beta) - 1, 0, -1):
        slope_ratio = (slope_ratio * s >> bits) + j * beta[j]
    t += step * s >> bits
    # β₁ = −1 stands for the slope at the start.
    return t, _weight(t, -slope * slope_ratio >> bits, bits)


def _weight(t: int, slope: int, bits: int) -> int:
    one = 1 << bits
    return (2 << 3 * bits) // ((one - (t * t >> bits)) * (slope * slope >> bits))


def _newton(order: int, t: float) -> float:
    for _ in range(2):
        before, value = 1.0, t
        for m in range(2, order + 1):
            before, value = value, ((2 * m - 1) * t * value - (m - 1) * before) / m
        t -= value * (t * t - 1) / (order * (t * value - before))
    return t


def _polynomial(order: int, t: int, bits: int) -> tuple[int, int]:
    """Pₙ(t) and Pₙ'(t) at |t| < 1, all times 2^bits."""
    before, value = 1 << bits, t
    for m in range(2, order + 1):
        before, value = value, ((2 * m - 1) * (t * value >> bits) - (m - 1) * before) // m
    if order == 0:
        before, value = 0, 1 << bits
    return value, (order * ((t * value >> bits) - before) << bits) // ((t * t >> bits) - (1 << bits))
