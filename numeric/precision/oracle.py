"""K = E[φ(u) φ(v)] and K̇ = E[φ′(u) φ′(v)], (u, v) ~ N(0, [[q₁, c], [c, q₂]]), by quadrature alone.

The oracle the derived formulas are judged by. It reads the notation of φ with an interpreter of its own,
differentiates by dual numbers and integrates at high precision, so it shares nothing with the derivation.

The integral is iterated: u ~ N(0, q₁) outside, v | u ~ N(βu, s²) inside, β = c/q₁, s² = q₂ - c²/q₁. Both are
cut at the switch points t of φ; the outer one also at the layers βu = t ± Zs, within which the inner integral
feels a switch on the scale s/β. Between the cuts all is analytic and Gauss-Legendre converges geometrically.
"""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import mpmath

from mehler.numeric.errors import NumericError
from mehler.numeric.precision.notation import Activation, Dual, Exact, Parameters, exact

_PROBES = 28  # samples that show how fast Gauss-Legendre will converge
_LAYERS = range(6, 21, 2)  # powers of 4 that the distances of samples next to an end are of the length of a cell
_SEEN = 1e-2  # of the largest sample: what a layer at an end must change to be seen
_NODES = 2  # nodes of a rule for each digit
_WIDTH = 8  # standard deviations of a Gaussian that such a rule resolves


def _legendre(n: int, x: Any) -> tuple[Any, Any]:
    """(Pₙ₋₁(x), Pₙ(x)) by the three-term recurrence."""
    before, here = 1, x
    for k in range(2, n + 1):
        before, here = here, ((2 * k - 1) * x * here - (k - 1) * before) / k
    return before, here


@lru_cache(maxsize=64)
def _gauss(m: Any, n: int) -> list[tuple[Any, Any]]:
    """The nodes y and weights 2/((1 - y²) Pₙ′(y)²) of Gauss-Legendre on [-1, 1], by Newton's iteration."""
    half = []
    for k in range((n + 1) // 2):
        y, step = m.cos(m.pi * (4 * k + 3) / (4 * n + 2)), m.one
        while abs(step) > m.ldexp(1, -m.prec // 2 - 5):
            before, here = _legendre(n, y)
            slope = n * (y * here - before) / (y * y - 1)
            step = here / slope
            y -= step
        before, here = _legendre(n, y)
        half.append((y, 2 * (1 - y * y) / (n * before) ** 2))
    return half + [(-y, w) for y, w in half[: n // 2]]


@lru_cache(maxsize=8)
def _context(digits: int) -> Any:
    """An mpmath context of our own, shared by every oracle that works with so many digits."""
    m = mpmath.mp.clone()
    m.dps, m.trap_complex = digits, True
    return m


@lru_cache(maxsize=1)
def _probe() -> list[tuple[float, float, float, float, float]]:
    """Nodes and the weights that take the samples there to the two highest Legendre coefficients, and to the values
    at -1 and 1 of the polynomial through them."""
    rows = []
    for y, w in _gauss(_context(15), _PROBES):
        before, here = _legendre(_PROBES - 1, y)
        terms = [w / 2, *((2 * k + 1) * w / 2 * _legendre(k, y)[1] for k in range(1, _PROBES))]
        left, right = (sum(s**k * term for k, term in enumerate(terms)) for s in (-1, 1))
        rows.append((float(y), float(w * here), float(w * before), float(left), float(right)))
    return rows


class _Marginal:
    """φ under N(0, σ²): how far it matters, and the heights and norms that small is measured by."""

    def __init__(self, phi: Activation, sigma: Any, goal: int) -> None:
        m = phi.m
        self.phi, self.sigma, self.goal = phi, sigma, goal
        ticks = range(-128, 129)
        # z = ±k²/256 is dense near 0, where a steep φ at a large σ does all it does.
        points = [m.mpf(k * abs(k)) / 256 for k in ticks]
        damped = [[abs(f) * m.exp(-z * z / 4) for f in phi(sigma * z)] for z in points]
        columns = list(zip(*damped, strict=True))
        self.heights = [max(column) for column in columns]
        # dz = |k|/128 dk, and |k|/128 over the root of 2π is |k|/321.
        self.norms = [m.sqrt(m.fsum(abs(k) * f * f for k, f in zip(ticks, c, strict=True)) / 321) for c in columns]
        least = m.mpf(10) ** -goal
        relevant = [
            abs(z) + m.mpf(1) / 2
            for z, row in zip(points, damped, strict=True)
            if any(f * f > h * h * least for f, h in zip(row, self.heights, strict=True))
        ]
        self.spread = max([m.sqrt(-2 * m.log(least)), *relevant])
        if self.spread > points[-1]:
            raise NumericError("φ grows too fast for its expectation")
        self.reach = self.spread * sigma

    def smooth(self, a: Any, b: Any, sigma: Any) -> bool:
        """Whether Gauss-Legendre reaches 10^-goal for φ(x) exp(-x²/4σ²), and for φ′, on [a, b]."""

        def sampled(x: Any) -> list[float]:
            damping = self.phi.m.exp(-((x / sigma) ** 2) / 4)
            return [float(f * damping / (height or 1)) for f, height in zip(self.phi(x), self.heights, strict=True)]

        samples = [sampled((a + b) / 2 + (b - a) / 2 * y) for y, *_ in _probe()]
        # The nodes do not see a layer at an end, as tanh has one at 0 where σ is large.
        steps = [(b - a) / 4**k for k in _LAYERS]
        ends = [[sampled(end) for end in (a + step, b - step)] for step in steps]
        columns = zip(*samples, strict=True)
        return all(self._resolved(c, [[e[n] for e in pair] for pair in ends]) for n, c in enumerate(columns))

    def _resolved(self, samples: tuple[float, ...], ends: list[list[float]]) -> bool:
        top = max(map(abs, samples))
        tail = max(abs(sum(f * row[i] for f, row in zip(samples, _probe(), strict=True))) for i in (1, 2))
        for i, values in zip((3, 4), zip(*ends, strict=True), strict=True):
            expected = sum(f * row[i] for f, row in zip(samples, _probe(), strict=True))
            if any(abs(value - expected) > _SEEN * max(top, 10.0**-self.goal) + 100 * tail for value in values):
                return False
        # The coefficients fall as ρ^-k, the error of n nodes as ρ^-2n.
        return not top or top * (tail / top) ** (2 * _NODES * self.goal / (_PROBES - 1)) <= 10.0**-self.goal


def _mesh(breaks: set[Any], knots: list[Any], smooth: Callable[[Any, Any], bool]) -> list[tuple[Any, Any]]:
    """Cells between the breaks, halved until smooth, and joined where the join is smooth and no knot."""
    cells: list[tuple[Any, Any]] = []
    pending = list(pairwise(sorted(breaks)))[::-1]
    deepest, finest = len(pending) + 50, 0
    while pending:
        a, b = pending.pop()
        start = cells[-1][0] if cells and a not in knots else a
        if not smooth(a, b):
            if len(pending) > deepest:
                raise NumericError(f"φ is not piecewise analytic near x = {float(a):.6g}")
            pending += [((a + b) / 2, b), (a, (a + b) / 2)]
        # A join of very unequal cells would hide the steep one between two samples.
        elif start < a and b - start <= 8 * min(finest, b - a) and smooth(start, b):
            cells[-1], finest = (start, b), min(finest, b - a)
        else:
            cells.append((a, b))
            finest = b - a
    return cells


class _Plane:
    """The iterated integral at one point (q₁, q₂, c), q₁ > 0, laid out for 10^-goal of the norms."""

    def __init__(self, phi: Activation, q1: Fraction, q2: Fraction, c: Fraction, goal: int) -> None:
        m = phi.m
        self.phi, self.beta = phi, phi.number(c / q1)
        self.s = m.sqrt(phi.number(q2 - c * c / q1))
        outer = _Marginal(phi, m.sqrt(phi.number(q1)), goal)
        inner = outer if q1 == q2 else _Marginal(phi, m.sqrt(phi.number(q2)), goal)
        self.sigma, self.spread = outer.sigma, max(outer.spread, inner.spread)
        self.norms = [f * g for f, g in zip(outer.norms, inner.norms, strict=True)]
        knots, width = phi.knots(max(outer.reach, inner.reach)), self.spread * self.s
        layers = {(t + w) / self.beta for t in knots for w in (-width, width) if self.beta}

        def smooth(a: Any, b: Any) -> bool:
            low, high = sorted((self.beta * a, self.beta * b))
            return outer.smooth(a, b, self.sigma) and (
                # The inner integral is smooth on the scale s; and as φ itself is, where it feels no knot.
                high - low <= _WIDTH * self.s
                or (
                    all(t <= low - width or high + width <= t for t in knots)
                    and inner.smooth(low, high, self.beta * self.sigma)
                )
            )

        def cut(points: Iterable[Any], reach: Any) -> set[Any]:
            return {-reach, reach} | {t for t in points if abs(t) < reach}

        self.outer = _mesh(cut([*knots, *layers], outer.reach), knots, smooth)
        self.inner: list[tuple[Any, Any, int]] = []
        if self.s:
            cells = _mesh(cut(knots, inner.reach), knots, lambda a, b: inner.smooth(a, b, inner.sigma))
            counts = [int(m.ceil((b - a) / (_WIDTH * self.s))) for a, b in cells]
            self.inner = [(a, (b - a) / k, k) for (a, b), k in zip(cells, counts, strict=True)]

    def sums(self, n: int) -> list[Any]:
        """K and K̇ with n nodes a cell."""
        m, nodes = self.phi.m, _gauss(self.phi.m, n)
        conditional, totals = self._conditional(n), [m.zero, m.zero]
        for a, b in self.outer:
            centre, half = (a + b) / 2, (b - a) / 2
            for i, (y, w) in enumerate(nodes):
                u = centre + half * y
                pair = self.phi(u)
                if any(pair):
                    weight = w * half * m.exp(-((u / self.sigma) ** 2) / 2) / (self.sigma * m.sqrt(2 * m.pi))
                    where = (self.beta * centre, self.beta * half, i)
                    expected = conditional(*where) if self.s else self.phi(self.beta * u)
                    totals = [t + weight * f * g for t, f, g in zip(totals, pair, expected, strict=True)]
        return totals

    def cancelled(self, sums: list[Any], most: int) -> int:
        """The digits by which the sums are smaller than their norms."""
        fallen = [norm / abs(f) if f else math.inf for f, norm in zip(sums, self.norms, strict=True) if norm]
        return max((min(most, int(self.phi.m.log10(f))) if f < math.inf else most for f in fallen), default=0)

    def _conditional(self, n: int) -> Callable[[Any, Any, int], list[Any]]:
        """E[φ(v) | u] and E[φ′(v) | u] for βu = mean + half yᵢ, v summed over v₀ + h yⱼ in each cell.

        exp(-(βu - v)²/2s²) = exp(-(βu - v₀)²/2s²) exp(((mean - v₀) h yⱼ - h² yⱼ²/2)/s²) exp(half h yᵢ yⱼ/s²):
        each factor is shared by many pairs of nodes, the last by all cells of like widths.
        """
        m, nodes = self.phi.m, _gauss(self.phi.m, n)
        variance, root = self.s**2, self.s * m.sqrt(2 * m.pi)

        @cache
        def samples(start: Any, width: Any, k: int) -> list[tuple[Any, ...]]:
            points = [(start + width * (2 * k + 1 + y) / 2, w * width / 2) for y, w in nodes]
            return list(zip(*([w * f for f in self.phi(v)] for v, w in points), strict=True))

        @cache
        def tilted(mean: Any, start: Any, width: Any, k: int) -> list[list[Any]]:
            columns = samples(start, width, k)
            if not any(map(any, columns)):
                return []
            gap, h = mean - start - width * (2 * k + 1) / 2, width / 2
            tilts = [m.exp((gap - h * y / 2) * h * y / variance) for y, _ in nodes]
            return [[t * f for t, f in zip(tilts, column, strict=True)] for column in columns]

        @cache
        def cross(scale: Any) -> list[list[Any]]:
            return [[m.exp(scale * y * t) for t, _ in nodes] for y, _ in nodes]

        # Where the pieces are too many to be shared, and φ is smooth around, the trapezoidal rule is as good.
        crowded = [cell for cell in self.inner if cell[2] > n]
        step, reach = 2 * self.spread / n, self.spread * self.s
        ticks = [step * (2 * k + 1 - n) / 2 for k in range(n)]
        bell = [step * m.exp(-z * z / 2) / m.sqrt(2 * m.pi) for z in ticks]

        def means(mean: Any, half: Any, i: int) -> list[Any]:
            here = mean + half * nodes[i][0]
            if any(start <= here - reach and here + reach <= start + width * k for start, width, k in crowded):
                values = zip(*(self.phi(here + self.s * z) for z in ticks), strict=True)
                return [m.fdot(zip(bell, column, strict=True)) for column in values]
            z = here / self.beta / self.sigma if self.beta else 0
            window = self.s * m.sqrt(max(m.zero, self.spread**2 - z * z))
            totals = [m.zero, m.zero]
            for start, width, count in self.inner:
                first = max(0, int(m.floor((here - window - start) / width)))
                last = min(count, int(m.ceil((here + window - start) / width)))
                for k in range(first, last):
                    columns = tilted(mean, start, width, k)
                    if columns:
                        gap = here - start - width * (2 * k + 1) / 2
                        density = m.exp(-gap * gap / (2 * variance)) / root
                        row = cross(half * width / (2 * variance))[i]
                        sums = (m.fdot(zip(row, column, strict=True)) for column in columns)
                        totals = [t + density * f for t, f in zip(totals, sums, strict=True)]
            return totals

        return means


class Oracle:
    """K and K̇ of one activation, to 10^-digits of themselves or, if they cancel, 10^-2digits of their norms."""

    def __init__(self, expression: str, parameters: Parameters | None = None, digits: int = 25) -> None:
        if not 1 <= digits <= 100:
            raise NumericError("an oracle gives 1 to 100 digits")
        self._digits = digits
        self._activation = cache(lambda dps: Activation(expression, parameters or {}, _context(dps)))
        self._activation(digits + 10)

    def kernel(self, q1: Exact, q2: Exact, c: Exact) -> Any:
        """E[φ(u) φ(v)]."""
        return self.both(q1, q2, c)[0]

    def kernel_dot(self, q1: Exact, q2: Exact, c: Exact) -> Any:
        """E[φ′(u) φ′(v)], φ′ almost everywhere."""
        return self.both(q1, q2, c)[1]

    def diagonal(self, q: Exact) -> Dual:
        """E[φ(u)²] and E[φ′(u)²], u ~ N(0, q)."""
        return self.both(q, q, q)

    def both(self, q1: Exact, q2: Exact, c: Exact) -> Dual:
        """(E[φ(u) φ(v)], E[φ′(u) φ′(v)]), as mpf of the global context."""
        (small, large), shared = sorted((exact(q1), exact(q2))), exact(c)
        if small < 0 or large * small < shared**2:
            raise NumericError(f"not a covariance: q1 = {q1}, q2 = {q2}, c = {c}")
        phi = self._activation(self._digits + 10)
        kernel, dot = self._integral(large, small, shared) if large else (f * f for f in phi(phi.m.zero))
        return mpmath.mp.make_mpf(kernel._mpf_), mpmath.mp.make_mpf(dot._mpf_)

    def _integral(self, q1: Fraction, q2: Fraction, c: Fraction) -> list[Any]:
        digits, gap = self._digits, q1 * q2 - c * c
        # The distance of v from βu is wanted relative to s.
        guard = 10 + (math.ceil(math.log10(int(q1 * q2 / gap)) / 2) if gap else 0)
        if 0 < q2 < 1:  # and exp(√q2) from 1
            guard += len(str(int(1 / q2))) // 2

        def plane(goal: int) -> _Plane:
            dps = 10 * math.ceil((goal + guard) / 10)
            return _Plane(self._activation(dps), q1, q2, c, goal)

        goal = digits + 3
        layout = plane(goal)
        result = layout.sums(_NODES * goal)
        if cancelled := layout.cancelled(result, digits):
            goal += cancelled
            layout = plane(goal)
            result = layout.sums(_NODES * goal)
        least = layout.phi.m.mpf(10) ** -digits
        for growth in (1.2, 1.5, 2, 3):
            previous, result = result, layout.sums(math.ceil(growth * _NODES * goal))
            pairs = zip(result, previous, layout.norms, strict=True)
            if all(abs(f - g) <= least * max(abs(f), least * norm) for f, g, norm in pairs):
                return result
        raise NumericError("the quadrature does not converge")
