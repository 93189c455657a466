"""Φ₂ far in its tails, where its value is below anything that a sum of terms of size 1 can tell from 0."""

from collections.abc import Callable
from typing import Any

from mehler.derive.legendre import legendre


def corner_phi2(ctx: Any, h: Any, k: Any, r: Any, cut: Any) -> Any:
    """Φ₂ = φ₂(h, k; r) ∫∫ exp(−ax − by − Q(x, y)/2) over x, y > 0 where a, b > 0 are large: the series in Q, which
    is asymptotic (H. Ruben, J. Res. NBS 68B (1964) 3). None where it is too slow."""
    a, b = (r * k - h) / cut, (r * h - k) / cut
    if min(a, b) <= 0 or cut * min(a, b) ** 2 < ctx.prec**2:
        return None
    # The term of x²ᵖ⁺ˢ y²ᵗ⁺ˢ in exp(−Q/2), Q = (x² − 2rxy + y²)/(1 − r²).
    square, mixed = -1 / (2 * cut), r / cut
    total, count = ctx.zero, 0
    while True:
        layer = ctx.fsum(
            square ** (p + t) * mixed**s / (ctx.factorial(p) * ctx.factorial(s) * ctx.factorial(t))
            * ctx.factorial(2 * p + s) * ctx.factorial(2 * t + s) / (a ** (2 * p + s + 1) * b ** (2 * t + s + 1))
            for s in range(count + 1)
            for p in range(count - s + 1)
            for t in (count - s - p,)
        )  # fmt: skip
        total, count = total + layer, count + 1
        if abs(layer) <= ctx.ldexp(total, -ctx.prec):
            break
    square = (h * h - 2 * r * h * k + k * k) / (2 * cut)
    with ctx.workprec(ctx.prec + max(0, ctx.mag(square))):
        square = (h * h - 2 * r * h * k + k * k) / (2 * cut)
        density = ctx.exp(-square) / (2 * ctx.pi * ctx.sqrt(cut))
    return density * total


def far_phi2(ctx: Any, h: Any, k: Any, r: Any, s: Any) -> Any:
    """Φ₂ = ∫ φ(x) Φ((k − rx)/s) dx over x < h, for h ≤ k: a positive and log-concave integrand, so that a
    probability however small keeps its relative accuracy."""

    far = ctx.ldexp(1, ctx.prec)

    def slopes(x: Any) -> tuple[Any, Any]:
        """The first and the second derivative of the logarithm of the integrand."""
        z = (k - r * x) / s
        # Far out the ratio is −z, to more digits than are wanted; ncdf itself overflows there.
        mills = ctx.npdf(z) / ctx.ncdf(z) if z > -far else -z
        return -x - r / s * mills, -1 - (r / s) ** 2 * mills * (z + mills)

    # The mode, from the left of both maxima by halving; the slope falls with x.
    low, high = min(h, k / r if r else h) - 1, h
    while slopes(low)[0] < 0:
        low -= 2 * (h - low)
    if slopes(high)[0] < 0:
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if slopes(middle)[0] > 0 else (low, middle)
    slope, bend = slopes(high)

    def integrand(x: Any) -> Any:
        z = (k - r * x) / s
        return ctx.npdf(x) * ctx.ncdf(z) if z > -far else ctx.zero

    if high == h and slope > 1:
        value = _decaying(ctx, lambda y: integrand(h - y / slope))
        if value is not None:
            return value / slope

    def resolved(slope: Any, bend: Any, x: Any) -> Any:
        width = 3 / (abs(slope) / 3 + ctx.sqrt(max(-bend, 0)) + 1 / (1 + abs(x)))
        # ncdf turns from 0 to 1 within s/r of k/r.
        return min(width, max(abs(x - k / r) / 2, s / abs(r))) if r else width

    nodes = legendre(ctx, ctx.prec // 5 + 8)
    total = ctx.zero
    for direction in (-1, 1):
        start, panel, width = high, ctx.inf, resolved(slope, bend, high)
        while panel > total * ctx.ldexp(1, -ctx.prec) and (direction < 0 or start < h):
            end = start - width if direction < 0 else min(start + width, h)
            centre, half = (start + end) / 2, abs(end - start) / 2
            points = ((centre + half * y, w) for y, w in nodes)
            panel = half * ctx.fsum(w * integrand(x) for x, w in points)
            total, start = total + panel, end
            width = resolved(*slopes(start), start)
    return total


def _decaying(ctx: Any, f: Callable[[Any], Any]) -> Any:
    """∫ f over y > 0 for an analytic f that falls like exp(−y), by y = exp(τ − exp(−τ)) and the trapezoid rule
    (H. Takahasi and M. Mori 1974); None when it does not settle. Half the step is twice the digits."""
    bits = ctx.prec * ctx.ln2
    step, last = 2 * ctx.pi**2 / bits, ctx.ln(bits)

    def terms(indices: range) -> Any:
        total = ctx.zero
        for n in indices:
            inner = ctx.exp(-n * step)
            y = ctx.exp(n * step - inner)
            total += f(y) * y * (1 + inner)
        return total

    count = int(last / step) + 1
    total = terms(range(-count, count + 1))
    for _ in range(4):
        step, count = step / 2, 2 * count
        refined = total + terms(range(1 - count, count, 2))
        if abs(refined - 2 * total) <= ctx.ldexp(refined, 8 - ctx.prec // 2):
            return refined * step
        total = refined
    return None
