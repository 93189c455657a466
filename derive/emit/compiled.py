"""Functions of scalars for Numba, as text: what `scalar.py` calls s_….

They are free of branches, so that loops over them vectorise: a conditional expression of two values that are at
hand is a select. Multiplications and additions may be contracted in polynomials and in sums of positive terms: the
error-free products of s_times need each rounding.
"""

import math

from mehler.derive.emit.approximants import Approximant, approximant
from mehler.derive.emit.normal import rule

# Splits of constants whose first part has zeros enough that its product with a small integer is exact.
LN2_HIGH = math.ldexp(round(math.ldexp(math.log(2), 40)), -40)
LN2_LOW = -1.7239444525614835e-13  # ln 2 - LN2_HIGH


def _fitted(name: str, variable: str) -> tuple[str, str]:
    found: Approximant = approximant(name)
    return found.lines("p", variable).lstrip(), f"{found.error:.1e}"


def helpers() -> str:
    """The source of all helpers; a module takes those it needs."""
    atan, atan_error = _fitted("atan", "z")
    asin, asin_error = _fitted("asin", "z")
    short, short_error = _fitted("asin_pi_8", "z")
    atanh, atanh_error = _fitted("atanh", "z")
    tail, tail_error = _fitted("exp", "r")
    erfcx, erfcx_error = _fitted("erfcx", "t")
    erf, erf_error = _fitted("erf", "z")
    # Nodes in whole registers of 8 numbers.
    rules = rule("DECAYING", 24, "1", "Nodes and weights for functions that fall to exp(-37) over [0, 1].") + rule(
        "SMALL", 16, "0", "Nodes and weights for Owen's T."
    )
    return (
        ELEMENTARY
        + rules
        + f'''
@njit(**CONTRACTED)
def s_arc(t):
    """atan t for |t| <= tan(pi/8), its polynomial right to {atan_error}."""
    z = t * t
    {atan}
    return t + t * z * p


@njit(**CONTRACTED)
def s_bow(t):
    """asin t for |t| <= 1/2, its polynomial right to {asin_error}."""
    z = t * t
    {asin}
    return t + t * z * p


@njit(**SCALAR)
def s_arccos(cos, gap):
    """The angle of a cosine, where gap = 1 - |cos|: half of it by its sine, where that is the smaller one."""
    near = fabs(cos) > 0.5
    arc = s_bow(s_choose(near, sqrt(gap * 0.5), cos))
    angle = s_choose(cos < 0, PI_HIGH - (2 * arc - PI_LOW), 2 * arc)
    return s_choose(near, angle, PI_HIGH / 2 - (arc - PI_LOW / 2))


@njit(**SCALAR)
def s_arcsin(sin, gap):
    """The angle of a sine, where gap = 1 - |sin|."""
    near = fabs(sin) > 0.5
    arc = s_bow(s_choose(near, sqrt(gap * 0.5), sin))
    return s_choose(near, copysign(PI_HIGH / 2 - (2 * arc - PI_LOW / 2), sin), arc)


@njit(**CONTRACTED)
def s_unit_arcsin(sin, cos):
    """The angle of a point of the circle, between -3 pi/8 and 3 pi/8; its polynomial is right to {short_error}."""
    size = fabs(sin)
    high = size > SIN_PI_8
    t = s_choose(high, SQRT_HALF * (size - cos), size)  # the sine of what it is over pi/4
    z = t * t
    {short}
    arc = t + t * z * p
    return copysign(s_choose(high, PI_HIGH / 4 + (arc + PI_LOW / 4), arc), sin)


@njit(**SCALAR)
def s_unit_arccos(cos, sin):
    """The angle of a point of the circle, between pi/8 and 7 pi/8."""
    return PI_HIGH / 2 - (s_unit_arcsin(cos, sin) - PI_LOW / 2)


@njit(**CONTRACTED)
def s_atanh(x, whole):
    """atanh(x/whole) up to 0.98, half a logarithm of a quotient; its polynomial is right to {atanh_error}."""
    high, low, powers = whole + fabs(x), whole - fabs(x), 0.0
    large = high > 16 * SQRT_HALF * low
    low, powers = s_choose(large, 16 * low, low), s_choose(large, 4.0, 0.0)
    large = high > 4 * SQRT_HALF * low
    low, powers = s_choose(large, 4 * low, low), s_choose(large, powers + 2, powers)
    large = high > 2 * SQRT_HALF * low
    low, powers = s_choose(large, 2 * low, low), s_choose(large, powers + 1, powers)
    t = (high - low) / (high + low)
    z = t * t
    {atanh}
    return copysign(powers * HALF_LN2 + (t + t * z * p), x)


@njit(**CONTRACTED)
def s_tail(r):
    """exp r - 1 for |r| <= ln(2)/2, its polynomial right to {tail_error}."""
    {tail}
    return r + r * r * p


@njit(**CONTRACTED)
def s_erfcx(x):
    """exp(x**2) erfc(x) for x >= 0, its polynomial right to {erfcx_error}."""
    x = s_choose(x > 1e150, 1e150, x)
    t = (x - 4) / (x + 4)
    {erfcx}
    return p / (1 + 2 * x)


@njit(**CONTRACTED)
def s_erf(x):
    """erf x for x**2 <= 1/2, its polynomial right to {erf_error}."""
    z = x * x
    {erf}
    return TWO_OVER_ROOT_PI * (x + x * z * p)

'''
    )


ELEMENTARY = f'''
SCALAR = {{"nogil": True, "error_model": "numpy", "forceinline": True}}
CONTRACTED = {{**SCALAR, "fastmath": {{"contract"}}}}
CALLED = {{"nogil": True, "error_model": "numpy"}}
# Sums of positive terms may be taken in any order, and so many at a time.
SUMMED = {{**CALLED, "fastmath": {{"contract", "reassoc"}}}}

SHIFT = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, which is then in the last bits
LOG2_E = {math.log2(math.e)!r}
LN2_HIGH = {LN2_HIGH!r}  # 40 bits of ln 2
LN2_LOW = {LN2_LOW!r}
HALF_LN2 = {math.log(2) / 2!r}
TAN_PI_8 = {math.sqrt(2) - 1!r}
SIN_PI_8 = {math.sin(math.pi / 8)!r}
PI_HIGH, PI_LOW = 3.141592653589793, 1.2246467991473532e-16
TWO_OVER_ROOT_PI = 1.1283791670955126
SQRT_HALF = 0.7071067811865476
ONE_OVER_TWO_PI = 0.15915494309189535


@njit(**SCALAR)
def s_choose(yes, a, b):
    return a if yes else b


@njit(**SCALAR)
def s_sign(x):
    return 1.0 if x > 0 else (-1.0 if x < 0 else x)


@njit(**SCALAR)
def s_step(x):
    return 1.0 if x > 0 else (0.0 if x < 0 else 0.5 + x)


@njit(**SCALAR)
def s_atan2(y, x):
    """The angle of (x, y), of one division: of the octant's tangent, or of its difference from 45 degrees."""
    across, along = fabs(y), fabs(x)
    steep = across > along
    low, high = s_choose(steep, along, across), s_choose(steep, across, along)
    middle = low > TAN_PI_8 * high
    above, below = s_choose(middle, low - high, low), s_choose(middle, low + high, high)
    angle = s_arc(above / s_choose(below == 0, 1.0, below))
    angle = s_choose(middle, PI_HIGH / 4 + (angle + PI_LOW / 4), angle)
    angle = s_choose(steep, PI_HIGH / 2 - (angle - PI_LOW / 2), angle)
    angle = s_choose(x < 0, PI_HIGH - (angle - PI_LOW), angle)
    return copysign(angle, y)


@njit(**SCALAR)
def s_power_of_2(k):
    """2**k for an integer -1023 < k < 1024."""
    bits = np.float64(k + SHIFT).view(np.int64)
    return np.int64((bits + 1023) << 52).view(np.float64)


@njit(**CONTRACTED)
def s_exp(x):
    """exp x = 2**k exp r with |r| <= ln(2)/2; 2**k in two factors, that neither overflows."""
    x = s_choose(x < -750, -750.0, s_choose(x > 710, 710.0, x))
    k = (x * LOG2_E + SHIFT) - SHIFT
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    half = (k * 0.5 + SHIFT) - SHIFT
    return (1 + s_tail(r)) * s_power_of_2(half) * s_power_of_2(k - half)


@njit(**CONTRACTED)
def s_exp_moderate(x):
    """exp x for |x| < 700, where 2**k is one factor."""
    k = (x * LOG2_E + SHIFT) - SHIFT
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    return (1 + s_tail(r)) * s_power_of_2(k)


@njit(**CONTRACTED)
def s_expm1(x):
    """exp x - 1 = 2**k (exp r - 1) + (2**k - 1)."""
    x = s_choose(x < -60, -60.0, s_choose(x > 710, 710.0, x))
    k = (x * LOG2_E + SHIFT) - SHIFT
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    half = s_power_of_2(k - 1)
    return 2 * (half * s_tail(r) + (half - 0.5))


@njit(**SCALAR)
def s_one_minus_cos(cos, sin):
    """1 - cos of an angle, without cancellation where cos is near 1."""
    return s_choose(cos > 0, sin * sin / (1 + cos), 1 - cos)


@njit(**SCALAR)
def s_versine(cos, gap):
    """1 - cos of an angle, from 1 - |cos|."""
    return s_choose(cos > 0, gap, 1 - cos)


@njit(**SCALAR)
def s_gap(a, b, cos, sin):
    """sqrt(a) - cos * sqrt(b) without cancellation where a and b are close and cos is near 1."""
    root_a, root_b = sqrt(a), sqrt(b)
    total = root_a + root_b
    near = (a - b) / total + root_b * (sin * sin / (1 + cos))
    return s_choose((cos > 0.5) & (total > 0), near, root_a - cos * root_b)


@njit(**SCALAR)
def s_exactly(product):
    """A number as (high, low): an unevaluated sum."""
    return product, 0.0


@njit(**SCALAR)
def s_times(number, factor):
    """(high, low) times a factor, by Dekker's error-free product."""
    high, low = number
    product = high * factor
    big = 134217729.0 * high
    a1 = big - (big - high)
    a2 = high - a1
    big = 134217729.0 * factor
    b1 = big - (big - factor)
    b2 = factor - b1
    return product, low * factor + (((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2)


@njit(**SCALAR)
def s_plus(one, other):
    """The sum of two numbers (high, low)."""
    total = one[0] + other[0]
    part = total - one[0]
    return total, one[1] + ((one[0] - (total - part)) + (other[0] - part)) + other[1]


@njit(**SCALAR)
def s_rounded(number):
    """(high, low) with the same sum and high the float nearest to it: where sums cancel, low is not small."""
    total = number[0] + number[1]
    return total, number[1] - (total - number[0])


@njit(**SCALAR)
def s_exp_sum(exponent):
    """exp of (high, low): the error of its argument, which exp multiplies by the argument, is added back."""
    high, low = s_rounded(exponent)
    return s_exp(high) * (1 + low)


@njit(**SCALAR)
def s_exp_gap(near, exponent):
    """exp of a sum that cancels; `near` is the sum in a form that keeps its digits where it is small."""
    small = near > -2
    high, low = s_rounded(exponent)
    return s_exp(s_choose(small, near, high)) * (1 + s_choose(small, 0.0, low))


@njit(**SCALAR)
def s_Phi(x):
    return 0.5 * erfc(-x * SQRT_HALF)


@njit(**SCALAR)
def s_scaled_phi(exponent, rest, h):
    """exp(exponent) * P(X <= h) for standard normal X, where rest = exponent - h**2/2."""
    tail = s_erfcx(fabs(h) * SQRT_HALF) / 2 * s_exp(rest)
    return s_exp(exponent) - tail if h > 0 else tail


@njit(**SUMMED)
def s_owen(h, a):
    """T(h, a) = integral over 0 < x < a of exp(-h**2 (1 + x**2)/2) / (1 + x**2) / (2 pi), for a <= 1 and h < 3."""
    total = 0.0
    for n in range(SMALL.shape[1]):
        x = a * SMALL[0, n]
        total += SMALL[1, n] * s_exp_moderate(-(h * x) * (h * x) / 2) / (1 + x * x)
    return total * a * s_exp(-h * h / 2) * ONE_OVER_TWO_PI


@njit(**SUMMED)
def s_decaying(h, w):
    """2 pi exp((h**2 + w**2)/2) / h times the probability of a sector, away from the origin; h, w >= 0."""
    width = 74 / (w + sqrt(w * w + 74))
    total = 0.0
    for n in range(DECAYING.shape[1]):
        t = width * DECAYING[0, n]
        total += DECAYING[1, n] * s_exp_moderate(-t * (t / 2 + w)) / (h * h + (w + t) * (w + t))
    return total * width


@njit(**CALLED)
def s_sector(h, w, rest_h, rest):
    """exp(e) / (2 pi) * integral over y > w of exp(-(h**2 + y**2)/2) * h / (h**2 + y**2), for h >= 0.

    rest_h = e - h**2/2 and rest = e - (h**2 + w**2)/2 stand for e, which may overflow.
    """
    if w == 0 and h > 0:
        return s_erfcx(h * SQRT_HALF) / 4 * s_exp(rest_h)
    y = fabs(w)
    if y < 1 and h * h + y * y < 9:  # where the difference from Owen's T keeps its digits
        if y > h:
            value = s_owen(y, h / y) - s_erfcx(y * SQRT_HALF) * s_exp(-y * y / 2) / 2 * s_erf(h * SQRT_HALF) / 2
        else:
            value = s_erfcx(h * SQRT_HALF) * s_exp(-h * h / 2) / 4 - s_owen(h, y / h if h > 0 else 1.0)
        value = value * s_exp(rest + (h * h + y * y) / 2)
    else:
        a = min(h, 1e150)
        value = s_decaying(a, min(y, 1e150)) * a * s_exp(rest) * ONE_OVER_TWO_PI
    return s_erfcx(h * SQRT_HALF) / 2 * s_exp(rest_h) - value if w < 0 else value


@njit(**SCALAR)
def s_quadrant(exponent, h, k, one, other):
    """exp(exponent) * P(X <= h, Y <= k), made of the sectors of |h| and |k|."""
    total = s_exp(exponent) if (h > 0) & (k > 0) else 0.0
    return (total - (one if h > 0 else -one)) - (other if k > 0 else -other)


@njit(**SCALAR)
def s_scaled_phi2(exponent, h, p, rest_h, rest, k, p_k, rest_k, rest_both):
    """exp(exponent) * P(X <= h, Y <= k) for standard normal X, Y of a correlation r.

    With s = sqrt(1 - r**2): p = (k - r*h)/s, p_k = (h - r*k)/s, rest_h = exponent - h**2/2, likewise rest_k,
    and rest = exponent - (h**2 + p**2)/2, likewise rest_both, which is the same but for rounding.
    """
    one, other = s_sector(fabs(h), -p, rest_h, rest), s_sector(fabs(k), -p_k, rest_k, rest_both)
    return s_quadrant(exponent, h, k, one, other)


@njit(**CALLED)
def s_parts_phi2(value, exponent, h, p, rest_h, rest, k, p_k, rest_k, rest_both):
    """The largest part that s_scaled_phi2 adds up: its own value for h, k <= 0, where it adds positive numbers."""
    if h <= 0 and k <= 0:
        return value
    low, across, rest_low = (h, p, rest_h) if h < k else (k, p_k, rest_k)
    if low > 0:
        return s_exp(exponent)
    return s_exp(rest) / 4 if across < 0 else s_erfcx(fabs(low) * SQRT_HALF) / 2 * s_exp(rest_low)

'''
