"""Values of Φ, Φ₂ and Owen's T in mpmath, at any precision and also off the real line.

Real arguments take Owen's series, whose terms are integers; complex ones an integral whose integrand is entire
but for 1/cosh. D. B. Owen, "Tables for computing bivariate normal probabilities", Annals of Mathematical
Statistics 27 (1956) 1075; R. L. Plackett, Biometrika 41 (1954) 351.
"""

from collections.abc import Callable
from typing import Any

from mpmath.libmp.libelefun import exp_fixed, ln2_fixed

from mehler.derive.errors import DeriveError
from mehler.derive.legendre import legendre

# Bits by which sums of some hundred terms may be off.
GUARD = 32

# Values keep their relative accuracy in the tails, down to about 2^-(TAIL·prec); below that they are 0.
TAIL = 4

# Φ₂ is a series where the squared distance of the quadrant is so many times the precision.
FAR = 8

# The bits of an argument from which on mpmath's erfc, which overflows at 1e154, is a short series here.
LARGE = 256

# The width of the first panels of an integral, and how many, halved ones too, before it is given up.
WIDTH = 2
PANELS = 600

# Values of Φ₂ of complex arguments that are kept.
MAX_KNOWN = 4096
_KNOWN: dict[tuple[Any, ...], Any] = {}

# −log₂ of a density is half its squared distance from the centre, times log₂ e.
LOG2_E = 1.4426951


def exp_value(ctx: Any, x: Any) -> Any:
    """exp(x), and 0 where x < 0 has no bits after the point: mpmath takes minutes at −1e2000."""
    return ctx.zero if ctx.re(x) < 0 and ctx.mag(ctx.re(x)) > ctx.prec else ctx.exp(x)


def phi_value(ctx: Any, h: Any) -> Any:
    """Φ(h) = ½ erfc(−h/√2), for real and complex h."""
    h = _real_if_possible(ctx, h)
    if not isinstance(h, ctx.mpc):
        return ctx.mpf(h > 0) if _no_digits(ctx, h) else _normal_cdf(ctx, h)
    with ctx.workprec(ctx.prec + GUARD + 2 * _bits_of(ctx, h)):
        value = ctx.erfc(-h / ctx.sqrt(2)) / 2
    return +value


def owens_t_value(ctx: Any, h: Any, a: Any) -> Any:
    """T(h, a) = (1/2π) ∫₀ᵃ exp(−h²(1 + x²)/2) / (1 + x²) dx, for real a and real or complex h.

    For a complex h the error is 2^-prec times the largest of 1 and the value.
    """
    h, a = _real_if_possible(ctx, h), ctx.re(a)
    if ctx.isnan(h) or ctx.isnan(a):
        return ctx.nan
    if a < 0:
        return -owens_t_value(ctx, h, -a)
    if isinstance(h, ctx.mpc):
        noise = 2 * max(_bits_of(ctx, h), _bits_of(ctx, a * h))
        return _without_cancellation(ctx, lambda: _complex_t(ctx, h, a, noise), noise)
    if ctx.isinf(h) or not a:
        return ctx.zero
    if ctx.isinf(a):
        return ctx.ncdf(-abs(h)) / 2
    tail = LOG2_E / 2 * h * h + max(0, -ctx.mag(a))
    with ctx.workprec(ctx.prec + GUARD + int(min(tail, TAIL * ctx.prec))):
        value = _real_t(ctx, abs(h), a * abs(h)) if h else ctx.atan(a) / (2 * ctx.pi)
    return +value


def phi2_value(ctx: Any, h: Any, k: Any, r: Any) -> Any:
    """Φ₂(h, k; r) = P(X ≤ h, Y ≤ k), continued to complex h and k; r is real in [−1, 1].

    The error is 2^-prec, or for complex h and k 2^-prec times the value where that is larger. An r that rounding
    has put outside of [−1, 1] is taken as ±1, where the continuation need not exist: then DeriveError.
    """
    h, k, r = _real_if_possible(ctx, h), _real_if_possible(ctx, k), ctx.re(r)
    if ctx.isnan(h) or ctx.isnan(k) or ctx.isnan(r):
        return ctx.nan
    for one, other in ((h, k), (k, h)):
        if ctx.isinf(one):
            return phi_value(ctx, other) if ctx.re(one) > 0 else ctx.zero
    with ctx.workprec(2 * ctx.prec + GUARD):
        r = min(ctx.one, max(-ctx.one, r))
        cut = (1 - r) * (1 + r)
    if isinstance(h, ctx.mpc) or isinstance(k, ctx.mpc):
        return _known_phi2(ctx, ctx.mpc(h), ctx.mpc(k), r, cut)
    tail = _tail_bits(ctx, h, k, r, cut)
    if tail is None:
        if _no_digits(ctx, min(h, k)):
            return ctx.zero
        return +(_far_phi2(ctx, h, k, r) if cut else _singular_phi2(ctx, h, k, r))
    # Where r is this close to ±1, Φ₂ is what it is at ±1, since |∂Φ₂/∂r| ≤ 1/(2π√(1 − r²)).
    singular = not cut or ctx.mag(cut) < -2 * (ctx.prec + tail + GUARD)
    steep = 0 if singular else max(0, -ctx.mag(cut) // 2)
    with ctx.workprec(ctx.prec + tail + GUARD + steep):
        value = _singular_phi2(ctx, h, k, r) if singular else _real_phi2(ctx, h, k, r, ctx.sqrt(cut))
    return max(ctx.zero, +value)


def _no_digits(ctx: Any, h: Any) -> bool:
    """Whether the last bit of h changes exp(−h²/2) by more than all of it: there it counts as 0."""
    return bool(2 * ctx.mag(h) > ctx.prec)


def _real_if_possible(ctx: Any, z: Any) -> Any:
    z = ctx.convert(z)
    return z.real if isinstance(z, ctx.mpc) and not z.imag else z


def _bits_of(ctx: Any, z: Any) -> int:
    """Bits by which |z| exceeds 1."""
    return max(0, int(ctx.mag(z))) if z and ctx.isfinite(z) else 0


def _tail_bits(ctx: Any, h: Any, k: Any, r: Any, cut: Any) -> int | None:
    """About −log₂ Φ₂(h, k; r), from the largest density on the quadrant; None where Φ₂ is 0 for us."""
    if h >= 0 and k >= 0:
        return 0
    if h < 0 and r * h <= k:
        bits = LOG2_E / 2 * h * h
    elif k < 0 and r * k <= h:
        bits = LOG2_E / 2 * k * k
    elif cut:
        square = (h + k) ** 2 - 2 * (1 + r) * h * k if r < 0 else (h - k) ** 2 + 2 * (1 - r) * h * k
        bits = LOG2_E / 2 * square / cut - 1.5 * min(0, ctx.mag(cut))
    else:
        return None
    return int(bits) + 1 if bits < TAIL * ctx.prec else None


def _singular_phi2(ctx: Any, h: Any, k: Any, r: Any) -> Any:
    """P(X ≤ min(h, k)) at r = 1 and P(−k ≤ X ≤ h) at r = −1."""
    if r > 0:
        return ctx.ncdf(min(h, k))
    return ctx.zero if h + k <= 0 else (_signed_erf(ctx, h) + _signed_erf(ctx, k)) / 2


def _real_phi2(ctx: Any, h: Any, k: Any, r: Any, s: Any) -> Any:
    """Φ₂ = ½Φ(h) + ½Φ(k) − T(h, (k − rh)/(sh)) − T(k, (h − rk)/(sk)) − (½ where hk or h + k < 0), s = √(1 − r²)."""
    far = ctx.sqrt(1.4 * ctx.prec)
    if h < -far or k < -far:
        return ctx.zero
    if h > far or k > far:
        return ctx.ncdf(min(h, k))
    if not h and not k:
        return 0.25 + ctx.atan2(r, s) / (2 * ctx.pi)
    total = (2 + _signed_erf(ctx, h) + _signed_erf(ctx, k)) / 4
    for u, v in ((h, k), (k, h)):
        across = (v - r * u) / s
        t = _real_t(ctx, abs(u), abs(across))
        total += t if (across < 0) == (u >= 0) else -t
    opposite = h * k < 0 or (not h * k and h + k < 0)
    return total - 0.5 if opposite else total


def _far_phi2(ctx: Any, h: Any, k: Any, r: Any) -> Any:
    """Φ₂ far in its tail, where a probability however small keeps its relative accuracy, for |r| < 1.

    Of the rays that leave the centre, those that cross a side of the quadrant go into it, or come out of it where
    the centre is on the inner side of that line: Φ₂ = −sign(h) V(|h|, (k − rh)/s) − sign(k) V(|k|, (h − rk)/s).
    """
    cut = (1 - r) * (1 + r)
    # Exponents need their bits before the point too, and (k − rh)/s those that it loses.
    wide = 2 * max(_bits_of(ctx, h), _bits_of(ctx, k)) - min(0, int(ctx.mag(cut)))

    def terms() -> tuple[Any, Any]:
        sides = []
        for a, b in ((h, k), (k, h)):
            with ctx.workprec(ctx.prec + wide):
                z = (b - r * a) / ctx.sqrt((1 - r) * (1 + r))
            if a:
                sides.append(-ctx.sign(a) * _beyond(ctx, abs(a), z, wide))
        return ctx.fsum(sides), ctx.fsum(sides, absolute=True)

    return _without_cancellation(ctx, terms, 0)


def _beyond(ctx: Any, h: Any, z: Any, wide: int) -> Any:
    """V = (1/2π) ∫ exp(−(h² + u²)/2) h/(h² + u²) du over u > −z: of the rays that cross x = h at some y < z, what
    is beyond x = h, in a standard normal plane. Exponents have `wide` bits more."""
    with ctx.workprec(ctx.prec + wide):
        outside = ctx.exp(-(h * h + z * z) / 2) * h / (2 * ctx.pi)
        half_plane = _normal_cdf(ctx, -h) if z >= 0 else ctx.zero
        far = h * h + z * z > FAR * ctx.prec
    tail = outside * (_tail_series if far else _tail_integral)(ctx, h * h, abs(z), wide)
    return half_plane - tail if z >= 0 else tail


def _normal_cdf(ctx: Any, x: Any) -> Any:
    if ctx.mag(x) < LARGE:
        return ctx.ncdf(x)
    tail = ctx.npdf(x) * _mills_ratio(ctx, abs(x))
    return 1 - tail if x > 0 else tail


def _mills_ratio(ctx: Any, x: Any) -> Any:
    """Φ(−x)/φ(x) for x ≥ 0: asymptotically Σ (−1)ʲ (2j − 1)!!/x²ʲ⁺¹ where mpmath's erfc may overflow."""
    if ctx.mag(x) < LARGE:
        return ctx.ncdf(-x) / ctx.npdf(x)
    total, term, j = ctx.zero, 1 / x, 1
    while ctx.mag(term) > -ctx.mag(x) - ctx.prec:
        total += term
        term *= -(2 * j - 1) / (x * x)
        j += 1
    return total


def _tail_integral(ctx: Any, square: Any, start: Any, wide: int) -> Any:
    """∫ exp(−(u² − z²)/2) / (h² + u²) du over u > z, for h² and z ≥ 0."""
    start, bits = +start, ctx.prec * ctx.ln2
    end = 2 * bits / (start + ctx.sqrt(start**2 + 2 * bits))

    def integrand(v: Any) -> Any:
        return ctx.exp(-v * (start + v / 2)) / (square + (start + v) ** 2)

    return _integral(ctx, integrand, ctx.zero, end, GUARD)[0]


def _tail_series(ctx: Any, square: Any, start: Any, wide: int) -> Any:
    """The same where d² = h² + z² is large: Σ (−1)ʲ Nⱼ/d²ʲ⁺² with Nⱼ = ∫ (u² − z²)ʲ exp(−(u² − z²)/2) du, about
    (2j)!!, by Nⱼ₊₁ = (2j + 1 − z²) Nⱼ + 2j z² Nⱼ₋₁, which loses up to z² each time."""
    bound, count = ctx.prec, 0
    distance = ctx.mag(square + start * start) - 1
    while bound > 0:
        count += 1
        bound -= distance - (2 * count).bit_length()
    with ctx.workprec(ctx.prec + wide + count * 2 * _bits_of(ctx, start)):
        z2 = start * start
        before, now = ctx.zero, _mills_ratio(ctx, start)
        ratio = -1 / (square + z2)
        power, total = -ratio, ctx.zero
        for j in range(count + 1):
            total += now * power
            before, now = now, (2 * j + 1 - z2) * now + (2 * j * z2 * before if j else start)
            power *= ratio
        return total


def _signed_erf(ctx: Any, h: Any) -> Any:
    return ctx.erf(h / ctx.sqrt(2))


def _real_t(ctx: Any, h: Any, ah: Any) -> Any:
    """T(h, a) from h and ah ≥ 0, with a = ∞ where h = 0.

    Beyond a = 1, T(h, a) = ¼ − ¼ erf(h/√2) erf(ah/√2) − T(ah, 1/a).
    """
    if not h:
        return ctx.one / 4
    if ah <= h:
        return _owen_series(ctx, h, ah / h)
    rest = _owen_series(ctx, ah, h / ah)
    return (1 - _signed_erf(ctx, h) * _signed_erf(ctx, ah)) / 4 - rest


def _owen_series(ctx: Any, h: Any, a: Any) -> Any:
    """2πT(h, a) = atan a − Σ (−1)ʲ a²ʲ⁺¹/(2j + 1) P(N > j), N Poisson of mean h²/2, for 0 ≤ a ≤ 1."""
    bits = ctx.prec
    mean = h * h / 2
    if LOG2_E * mean > bits:
        return ctx.zero
    # The weights of N start at exp(−mean) and must keep bits at their largest.
    spare = int(LOG2_E * mean) + 2
    unit = bits + spare
    mean_fixed, a_fixed = int(ctx.ldexp(mean, unit)), int(ctx.ldexp(a, bits))
    square = a_fixed * a_fixed >> bits
    weight = exp_fixed(-mean_fixed, unit, ln2_fixed(unit))
    mean_fixed >>= spare
    beyond, power, total, j = (1 << bits) - (weight >> spare), a_fixed, 0, 0
    while (term := power * beyond >> bits) > 1 << (GUARD // 2):
        total += -(term // (2 * j + 1)) if j % 2 else term // (2 * j + 1)
        j += 1
        weight = (weight * mean_fixed >> bits) // j
        beyond -= weight >> spare
        power = power * square >> bits
    return (ctx.atan(a) - ctx.ldexp(ctx.mpf(total), -bits)) / (2 * ctx.pi)


def _complex_t(ctx: Any, h: Any, a: Any, noise: int) -> tuple[Any, Any]:
    """T(h, a) for a ≥ 0 and the size of its terms: by its integral up to a = 1, by reflection beyond."""
    if a > 1:
        rest, size = (ctx.zero, ctx.zero) if ctx.isinf(a) else _complex_t(ctx, h * a, 1 / a, noise)
        far = ctx.sign(ctx.re(h)) if ctx.isinf(a) else _signed_erf(ctx, a * h)
        product = _signed_erf(ctx, h) * far
        return (1 - product) / 4 - rest, abs(product) + size

    def integrand(t: Any) -> Any:
        return ctx.exp(-h * h * (1 + t * t) / 2) / (1 + t * t)

    value, size = _integral(ctx, integrand, ctx.zero, a, noise)
    return value / (2 * ctx.pi), size


def _known_phi2(ctx: Any, h: Any, k: Any, r: Any, cut: Any) -> Any:
    """Φ₂, computed once for conjugate arguments, which occur together in every real formula."""
    mirrored = (h.imag or k.imag) < 0
    if mirrored:
        h, k = ctx.conj(h), ctx.conj(k)
    key = (h._mpc_, k._mpc_, r._mpf_, ctx.prec)
    if key not in _KNOWN:
        if len(_KNOWN) >= MAX_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = ctx.mpc(_complex_phi2(ctx, h, k, r, cut))._mpc_
    value = ctx.make_mpc(_KNOWN[key])
    return ctx.conj(value) if mirrored else value


def _complex_phi2(ctx: Any, h: Any, k: Any, r: Any, cut: Any) -> Any:
    """Φ₂ = Φ(h)Φ(k) + (1/2π) ∫₀ exp(−((h − k)²e²ᵘ + (h + k)²e⁻²ᵘ + 2h² + 2k²) / 8) / cosh u du up to atanh r.

    This is Plackett's integral over the correlation tanh u.
    """
    if not cut or ctx.mag(cut) < -2 * (ctx.prec + GUARD):
        return _singular_complex_phi2(ctx, h, k, r)
    noise = 2 * max(_bits_of(ctx, h), _bits_of(ctx, k)) + max(0, -int(ctx.mag(cut)))

    def terms() -> tuple[Any, Any]:
        near, far, both = (h - k) ** 2 / 8, (h + k) ** 2 / 8, (h * h + k * k) / 4

        def integrand(u: Any) -> Any:
            e = ctx.exp(u)
            square = e * e
            return ctx.exp(-near * square - far / square - both) * e / (1 + square)

        integral, size = _integral(ctx, integrand, ctx.zero, ctx.log((1 + r) ** 2 / cut) / 2, noise)
        product = phi_value(ctx, h) * phi_value(ctx, k)
        return product + integral / ctx.pi, abs(product) + size

    return _without_cancellation(ctx, terms, noise)


def _singular_complex_phi2(ctx: Any, h: Any, k: Any, r: Any) -> Any:
    """The limit r → ±1, which exists where Re (h ∓ k)² > 0, and at h = ±k."""
    gap = h - k if r > 0 else h + k
    if gap and ctx.mag(gap) < ctx.mag(h) - ctx.prec + 8:
        # Means that are equal but for rounding.
        gap = ctx.mpc(0)
    if gap and abs(gap.real) <= abs(gap.imag):
        raise DeriveError("Phi2 of complex arguments has no limit at a correlation of 1; choose another point")
    if r > 0:
        return phi_value(ctx, k if gap.real > 0 else h)
    return phi_value(ctx, h) + phi_value(ctx, k) - 1 if gap.real > 0 else ctx.zero


def _without_cancellation(ctx: Any, terms: Callable[[], tuple[Any, Any]], noise: int) -> Any:
    """The value of `terms`, which gives also their size: precision rises by what the sum lost.

    Each term may be off in its last `noise` bits.
    """
    extra = wanted = noise + GUARD
    while True:
        with ctx.workprec(ctx.prec + extra):
            value, size = terms()
            lost = max(0, _bits_of(ctx, size) - _bits_of(ctx, value))
        if lost + wanted <= extra:
            return +value
        extra = lost + wanted


def _integral(ctx: Any, f: Callable[[Any], Any], start: Any, end: Any, noise: int) -> tuple[Any, Any]:
    """∫ f and ∫ |f| from `start` to `end` for an analytic f, on panels that are halved where no rule settles.

    The last `noise` bits of f are not looked at.
    """
    parts = int(ctx.ceil(abs(end - start) / WIDTH)) or 1
    step = (end - start) / parts
    # In order: where f decays, what is already there tells which panels do not matter.
    waiting = [(start + i * step, start + (i + 1) * step) for i in reversed(range(parts))]
    total = size = ctx.zero
    for _ in range(PANELS):
        a, b = waiting.pop()
        panel = _panel(ctx, f, a, b, size, ctx.prec - noise)
        if panel is None:
            waiting += [((a + b) / 2, b), (a, (a + b) / 2)]
        else:
            total, size = total + panel[0], size + panel[1]
            if not waiting:
                return total, size
    raise DeriveError("an integral over a complex normal density does not settle; choose a milder point")


def _panel(ctx: Any, f: Callable[[Any], Any], a: Any, b: Any, size: Any, bits: int) -> tuple[Any, Any] | None:
    """∫ f and ∫ |f| from a to b once two rules agree to `bits`, relative to the larger of ∫ |f| and `size`."""
    half, centre = (b - a) / 2, (a + b) / 2
    before = None
    for order in (n * (8 + bits // 8) // 4 for n in (4, 6, 9)):
        values = [w * f(centre + half * t) for t, w in legendre(ctx, order)]
        value, weight = half * ctx.fsum(values), abs(half) * ctx.fsum(values, absolute=True)
        if before is not None:
            gap, scale = abs(value - before), max(weight, size)
            if gap <= ctx.ldexp(scale, 8 - bits):
                return value, weight
            if gap > ctx.ldexp(scale, -bits // 8):
                return None
        before = value
    return None
