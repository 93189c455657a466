"""Points (q1, q2, c) at which evaluators go wrong: each number exactly a float of the dtype, c² ≤ q1 q2 exactly.

`regions` draws them at random; `adversarial` lists those that have broken kernels: correlations 2^-50 from ±1,
angles of 1e-8 between unequal variances, zeros, the ends of the range of floats, and integers with
q1 q2 - c² = 1, the smallest that is not 0 (Cassini's identity for the numbers of Fibonacci and of Pell).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Region:
    """Points (q1, q2, c) of one kind, each number exactly a float of the dtype tested."""

    name: str
    points: tuple[Point, ...]


def admissible(q1: float, q2: float, c: float) -> bool:
    """q1, q2 ≥ 0, c² ≤ q1 q2, exactly, and no number infinite or NaN."""
    return (
        all(map(math.isfinite, (q1, q2, c)))
        and min(q1, q2) >= 0
        and Fraction(c) ** 2 <= Fraction(q1) * Fraction(q2)
    )


def point(q1: float, q2: float, rho: float, dtype: Any) -> Point:
    """(q1, q2, ρ√(q1 q2)) in floats of `dtype`, c rounded towards 0 as far as c² ≤ q1 q2 asks."""
    a, b = float(np.asarray(q1, dtype)), float(np.asarray(q2, dtype))
    return a, b, _inside(a, b, rho * math.sqrt(a) * math.sqrt(b), dtype)


def _inside(q1: float, q2: float, c: float, dtype: Any) -> float:
    value = np.asarray(c, dtype)
    while not admissible(q1, q2, float(value)):
        value = np.nextafter(value, np.asarray(0, dtype))
    return float(value)


def regions(dtype: Any, seed: int = 0, points: int = 12) -> tuple[Region, ...]:
    """Points in the bulk, near ρ = ±1, on the boundary, and with variances far apart; 1e-6 ≤ q ≤ 1e11."""
    rng = np.random.default_rng(seed)
    eps = float(np.finfo(dtype).eps)

    def at(q1: float, q2: float, rho: float) -> Point:
        return point(q1, q2, rho, dtype)

    def q(low: float, high: float) -> float:
        return float(10 ** rng.uniform(low, high))

    def near() -> float:
        return 1 - float(10 ** rng.uniform(np.log10(4 * eps), -2))

    bulk = [at(q(-1, 1), q(-1, 1), rng.uniform(-0.99, 0.99)) for _ in range(points)]
    close = [at(v, v, near()) for v in (q(-1, 1) for _ in range(points))]
    opposite = [at(v, v, -near()) for v in (q(-1, 1) for _ in range(points))]
    equal = [(v, v, s * v) for v in (at(q(-3, 3), 1, 0)[0] for _ in range(points // 2)) for s in (1, -1)]
    ratio = [at(q(-6, -3), q(3, 6), rng.uniform(-0.99, 0.99)) for _ in range(points)]
    small = [at(q(-6, -3), q(-6, -3), rng.uniform(-0.99, 0.99)) for _ in range(points)]
    large = [at(q(3, 6), q(3, 6), rng.uniform(-0.99, 0.99)) for _ in range(points)]
    apart = [at(q(2, 6), q(5, 11), s * rho) for _ in range(points // 2) for s, rho in ((-1, 1), (1, near()))]
    return tuple(
        Region(name, tuple(values))
        for name, values in (
            ("bulk", bulk), ("rho near 1", close), ("rho near -1", opposite), ("rho = +-1", equal),
            ("q1 << q2", ratio), ("small q", small), ("large q", large), ("rho near +-1, q1 << q2", apart),
        )
    )  # fmt: skip


def within(low: float, high: float, where: Sequence[Region]) -> tuple[Region, ...]:
    """The points of some regions whose variances are in [low, high], and regions at both ends of it."""
    ends = [
        point(a, b, rho, np.float64)
        for a, b in ((low, low), (low, high), (high, high), (low, math.sqrt(low * high)))
        for rho in (0.3, -0.9, 1 - 2.0**-18, -1 + 2.0**-18, 1, -1)
    ]
    found = [Region(r.name, tuple(p for p in r.points if low <= min(p[:2]) <= max(p[:2]) <= high)) for r in where]
    return (*(region for region in found if region.points), Region("ends of the range", tuple(ends)))


def adversarial(dtype: Any) -> tuple[Region, ...]:
    """The points that have broken kernels, the same in every run."""
    single = np.dtype(dtype) == np.float32
    signs = (1, -1)
    gaps = (20, 22) if single else (20, 50)
    angles = (1e-3, 1e-2) if single else (1e-8, 1e-6, 1e-4, 1e-2)
    tiny, huge = ((1e-30, 1e-15), (1e30, 1e15)) if single else ((1e-300, 1e-150, 1e-30), (1e150, 1e30))
    growing = (10.0, 30.0, 43.0) if single else (30.0, 100.0, 350.0)
    rhos = (0.5, -0.9, 1 - 2.0**-18, -1 + 2.0**-18, 1, -1)
    values = {
        "rho = +-(1 - 2^-k)": [
            (v, v, s * v * (1 - 2.0**-k)) for k in gaps for v in (1.0, 4.0, 0.0625) for s in signs
        ],
        "small angle, q1 != q2": [
            point(a, b, s * math.cos(angle), dtype)
            for angle in angles
            for a, b in ((1, 1.000001), (0.7, 2.1), (3e-2, 30))
            for s in signs
        ],
        "rho = +-1, q1 != q2": [
            (a * a, b * b, s * a * b) for a, b in ((1.0, 0.75), (2.5, 3.25), (0.0625, 100.0)) for s in signs
        ],
        "q = 0": [(0.0, 0.0, 0.0)] + [p for v in (0.001, 1, 1000) for p in _zeros(float(np.asarray(v, dtype)))],
        "q1 <<< q2": [point(a, b, rho, dtype) for a, b in zip(tiny, huge, strict=False) for rho in rhos],
        "tiny q": [point(v, w, rho, dtype) for v in tiny for w in (v, 3 * v) for rho in rhos],
        "huge q": [point(v, w, rho, dtype) for v in huge for w in (v, 3 * v) for rho in rhos],
        # exp(2q) comes to the end of the floats here, with the largest error that its argument can carry.
        "growing q": [point(v, w, rho, dtype) for v in growing for w in (v, 0.5 * v) for rho in rhos],
        "q1 q2 - c^2 minimal": list(_least_determinants(np.finfo(dtype).nmant + 1)),
    }
    return tuple(Region(name, tuple(points)) for name, points in values.items())


def _zeros(q: float) -> tuple[Point, Point]:
    return (0.0, q, 0.0), (q, 0.0, 0.0)


def _least_determinants(bits: int) -> Iterator[Point]:
    """Three terms of xₙ₊₁ = k xₙ + xₙ₋₁ below 2^bits with xₙ₋₁ xₙ₊₁ - xₙ² = 1, scaled by powers of 2."""
    for k in (1, 2):
        terms = [0, 1]
        while terms[-1] < 2**bits:
            terms.append(k * terms[-1] + terms[-2])
        terms.pop()
        # xₙ₋₁ xₙ₊₁ - xₙ² = (-1)ⁿ, with x₀ = 0.
        last = (len(terms) - 2) // 2 * 2
        for n in (last, last - 6):
            for scale in (0, -bits, -bits // 2):
                low, mid, high = (math.ldexp(float(terms[i]), scale) for i in (n - 1, n, n + 1))
                yield low, high, mid
                yield high, low, -mid
