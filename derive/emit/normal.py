"""NumPy source of the normal distribution's functions, beside exponentials: pasted into generated modules.

A quadrant {X < h, Y < k} is made of two sectors seen from the origin, R(h, w) being the probability of one:

    R(h, w)      = (1/2π) ∫_w^∞ exp(−(h² + y²)/2) h/(h² + y²) dy     a strip beyond h and y/x > w/h
    Φ₂(h, k; r)  = [h, k > 0] − sign(h) R(|h|, −p) − sign(k) R(|k|, −p′)

with p = (k − rh)/√(1 − r²) and p′ = (h − rk)/√(1 − r²). For h, k < 0 both terms are positive whatever r is, so
the sum has all its digits (Owen's T gives the same with a subtraction). Near the origin R comes from Owen's T,
elsewhere from its own integral with exp(−(h² + w²)/2) taken out; a negative w by R(h, w) + R(h, −w) = Φ(−h).

D. B. Owen, Ann. Math. Statist. 27 (1956) 1075; M. Patefield and D. Tandy, J. Stat. Softw. 5(5) (2000);
A. Genz, Stat. Comput. 14 (2004) 251; W. J. Cody, Math. Comp. 23 (1969) 631.
"""

import mpmath

from mehler.derive.legendre import legendre

GAP = '''
def gap(a, b, cos, sin):
    """sqrt(a) - cos * sqrt(b) without cancellation where a and b are close and cos is near 1."""
    root_a, root_b = np.sqrt(a), np.sqrt(b)
    total = root_a + root_b
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        near = (a - b) / total + root_b * (sin * sin / (1 + cos))
    return np.where((cos > 0.5) & (total > 0), near, root_a - cos * root_b)

'''

PHI = '''
def scaled_phi(exponent, rest, h):
    """exp(exponent) * P(X <= h) for standard normal X, where rest = exponent - h**2/2."""
    with np.errstate(over="ignore", invalid="ignore"):
        tail = erfcx(np.abs(h) * SQRT_HALF) / 2 * np.exp(rest)
        return np.where(h > 0, np.exp(exponent) - tail, tail)

'''

SECTOR = '''
def owen(h, a):
    """T(h, a) = integral over 0 < x < a of exp(-h**2 (1 + x**2)/2) / (1 + x**2) / (2 pi), for a <= 1 and h < 3."""
    total = np.zeros_like(h)
    for node, weight in zip(*SMALL):
        x = a * node
        total += weight * np.exp(-(h * x) ** 2 / 2) / (1 + x * x)
    return total * a * np.exp(-h * h / 2) * ONE_OVER_TWO_PI


def sector(h, w, rest_h, rest):
    """exp(e) / (2 pi) * integral over y > w of exp(-(h**2 + y**2)/2) * h / (h**2 + y**2), for h >= 0.

    rest_h = e - h**2/2 and rest = e - (h**2 + w**2)/2 stand for e, which may overflow.
    """
    h, w, rest_h, rest = np.broadcast_arrays(h, w, rest_h, rest)
    y = np.abs(w)
    near = (np.hypot(h, y) < 3) & (y < 1)  # where the difference from Owen's T keeps its digits
    value = np.empty(h.shape)
    a, b = h[near], y[near]
    steep = b > a
    large, small = np.where(steep, b, a), np.where(steep, a, b)
    t = owen(large, np.divide(small, large, out=np.ones_like(large), where=large > 0))
    value[near] = np.where(steep, t - ndtr(-b) * erf(a * SQRT_HALF) / 2, ndtr(-a) / 2 - t)
    value[near] *= np.exp(rest[near] + (a * a + b * b) / 2)
    a, b = np.minimum(h[~near], 1e150), np.minimum(y[~near], 1e150)
    width = 74 / (b + np.sqrt(b * b + 74))
    total = np.zeros_like(a)
    for node, weight in zip(*DECAYING):
        t = width * node
        total += weight * np.exp(-t * (t / 2 + b)) / (a * a + (b + t) ** 2)
    value[~near] = total * width * a * np.exp(rest[~near]) * ONE_OVER_TWO_PI
    below = w < 0
    if below.any():
        value[below] = erfcx(h[below] * SQRT_HALF) / 2 * np.exp(rest_h[below]) - value[below]
    return value

'''

PHI2 = '''
def scaled_phi2(exponent, h, p, rest_h, rest, k, p_k, rest_k, rest_both):
    """exp(exponent) * P(X <= h, Y <= k) for standard normal X, Y of a correlation r.

    With s = sqrt(1 - r**2): p = (k - r*h)/s, p_k = (h - r*k)/s, rest_h = exponent - h**2/2, likewise rest_k,
    and rest = exponent - (h**2 + p**2)/2, likewise rest_both, which is the same but for rounding.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        total = np.where((h > 0) & (k > 0), np.exp(exponent), 0.0)
        total = total - np.where(h > 0, 1, -1) * sector(np.abs(h), -p, rest_h, rest)
        return total - np.where(k > 0, 1, -1) * sector(np.abs(k), -p_k, rest_k, rest_both)

'''

PARTS = '''
def parts_phi2(value, exponent, h, p, rest_h, rest, k, p_k, rest_k, rest_both):
    """The largest part that scaled_phi2 adds up: its own value for h, k <= 0, where it adds positive numbers."""
    low, across, rest_low = np.minimum(h, k), np.where(h < k, p, p_k), np.where(h < k, rest_h, rest_k)
    half = erfcx(np.abs(low) * SQRT_HALF) / 2 * np.exp(rest_low)
    part = np.where(low > 0, np.exp(exponent), np.where(across < 0, np.exp(rest) / 4, half))
    return np.where(np.maximum(h, k) > 0, part, value)

'''

CONSTANTS = """
SQRT_HALF = 0.7071067811865476
ONE_OVER_TWO_PI = 0.15915494309189535
"""


def rule(name: str, order: int, bend: str, comment: str) -> str:
    """Source of a Gauss-Legendre rule on [0, 1] in x = (e^{bt} − 1)/(e^b − 1), which draws nodes towards 0.

    Nodes and weights are rounded once: near 0, differences from ±1 would lose their last digits.
    """
    ctx = mpmath.mp.clone()
    ctx.dps = 40
    b = ctx.mpf(bend)
    rows = []
    for t, w in legendre(ctx, order):
        x, slope = (1 + t) / 2, ctx.one
        if b:
            x, slope = ctx.expm1(b * x) / ctx.expm1(b), b * ctx.exp(b * x) / ctx.expm1(b)
        rows.append((x, slope * w / 2))
    lines = "".join(f"    ({float(x)!r}, {float(w)!r}),\n" for x, w in sorted(rows))
    return f"\n# {comment}\n{name} = np.array((\n{lines})).T\n\n"


DECAYING = rule("DECAYING", 22, "1", "Nodes and weights for functions that fall to exp(-37) over [0, 1].")

SMALL = rule("SMALL", 16, "0", "Nodes and weights for Owen's T.")

# What an operation needs, in the order it is defined.
HELPERS = {
    "gap": (GAP,),
    "scaled_phi": (CONSTANTS, PHI),
    "scaled_phi2": (CONSTANTS, DECAYING, SMALL, SECTOR, PHI2),
    "parts_phi2": (PARTS,),
}

SPECIAL = ("erf", "erfcx", "ndtr")
