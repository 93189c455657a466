"""Where the terms of a closed form cancel: the expectation itself, by the rules of expectations.py.

A generated module adds up the sizes of the terms of its closed form, and calls on the rules for the pairs whose
terms are larger than the result can be. (Piecewise polynomials need none of it: see remainder.py.) At small
variances it is

    K = E[φ(u)] E[φ(v)] + √(q1q2) ∫_θ^{π/2} K̇ sin α dα     for a continuous φ

(R. Price, IRE Trans. Inf. Theory 4 (1958) 69), with K̇ from its closed form: some 22 values of it instead of a
double sum.
"""

from collections.abc import Mapping
from string import Template
from typing import Any

import mpmath
import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit.expectations import names_of, resolving
from mehler.derive.emit.normal import rule
from mehler.derive.legendre import legendre

# A sum whose terms are this many times as large as its scale is given up; the diagonal is cheap to repair.
LOSS, LOSS_DIAGONAL = 8, 2

# The most by which rules may differ that repair the last digits of a closed form.
ALLOWED = 1e-14

# Price's integral costs less than the double sum, so it is taken earlier.
LOSS_SMALL = 5

# Price's integrand is smooth where no density reaches a knot t ≠ 0: exp(−t²/2q) < 1e-18. Without one, up to the
# largest of these q at which its rule agrees with a longer one.
SMALL_KNOT = 0.012
SMALL_SCALES = (1.0, 0.25, 0.0625, 2.0**-6, 2.0**-8, 2.0**-12, 2.0**-16)
SMOOTH, LONGER = 18, 30

RULE = rule("SMOOTH", SMOOTH, "0", "Nodes and weights for smooth functions on [0, 1].")

TERMS = '''
def pair_terms(q1, q2, c, rho, sin_theta$signature):
    """(K, K') by their closed forms, and the sums of the sizes of their terms."""
$pair


def diagonal_terms(q$signature):
    """(K, K') of the diagonal by their closed forms, and the sums of the sizes of their terms."""
$diagonal


'''

REPAIR = '''
def price(q1, q2, rho, sin_theta, mean1, mean2$signature):
    """K of flat arrays as its value at a right angle, and the integral of K' from there."""
    theta = np.arctan2(sin_theta, rho)
    root1, root2 = np.sqrt(q1), np.sqrt(q2)
    total = np.zeros_like(theta)
    for node, weight in zip(*SMOOTH):
        angle = np.pi / 2 + (theta - np.pi / 2) * node
        cos, sin = np.cos(angle), np.sin(angle)
        total += weight * sin * pair_terms(q1, q2, root1 * root2 * cos, cos, sin$keywords)[1]
    return mean1 * mean2 + root1 * root2 * (np.pi / 2 - theta) * total


def rescued(k, k_dot, size, size_dot, q1, q2, rho, sin_theta$signature):
    """(K, K') where the terms of their sums are so large that digits were lost."""
    one, two = diagonal(q1$keywords), diagonal(q2$keywords)
    zero = (q1 == 0) | (q2 == 0)
    # Price's integral is of K', which must not have lost digits itself.
    sound = size_dot <= $loss * np.sqrt(one[1]) * np.sqrt(two[1])
    results = []
    for order, (value, total) in enumerate(((k, size), (k_dot, size_dot))):
        bound = np.sqrt(one[order]) * np.sqrt(two[order])
        gentle = is_gentle(order, q1, q2$keywords) & (total > $loss_small * bound) & sound & ~zero
        if np.any(gentle | zero):
            # The means belong to rows and columns, of which there are fewer than pairs.
            means = [moments(variance$keywords)[order] for variance in (q1, q2)]
            value = repaired(price, value, gentle, (q1, q2, rho, sin_theta, *means)$keywords)
            value = np.where(zero, means[0] * means[1], value)
        lost = ~(gentle | zero | (total <= $loss * bound))
        require_resolved(np.where(lost, np.maximum(q1, q2), 0))
        value = repaired(double_sum, value, lost, (order, q1, q2, rho, sin_theta)$keywords)
        results.append(value)
    return results


def repaired(method, value, where, arrays$signature):
    """`value` with the entries `where` replaced by `method` of the arrays there, in parts that fit a cache."""
    if not np.any(where):
        return value
    shape = np.broadcast_shapes(np.shape(value), where.shape, *(np.shape(array) for array in arrays))
    where, value = np.broadcast_to(where, shape), np.array(np.broadcast_to(value, shape))
    points = [np.broadcast_to(array, shape)[where] for array in arrays]
    results = np.empty(len(points[0]))
    for start in range(0, len(results), CHUNK[method]):
        part = slice(start, start + CHUNK[method])
        results[part] = method(*(array[part] for array in points)$keywords)
    value[where] = results
    return value


def is_gentle(order, q1, q2$signature):
    """Where Price's integral holds, and its integrand is smooth."""
    places = np.abs(knots($arguments))
    places = places[places > 0]
    limit = $small_knot * np.min(places) ** 2 if len(places) else $small_scale
    return (np.maximum(q1, q2) < limit) & (CONTINUOUS and order == 0)


CONTINUOUS = $continuous
CHUNK = {price: 4096, double_sum: PART}


def on_diagonal(k, k_dot, size, size_dot, q$signature):
    """(K, K') of the diagonal where digits were lost."""
    lost = ~((size <= $loss_diagonal * k) & (size_dot <= $loss_diagonal * k_dot))
    if not lost.any():
        return k, k_dot
    k, k_dot, points = np.array(k), np.array(k_dot), q[lost]
    require_resolved(points)
    _, _, k[lost], k_dot[lost] = moments(points$keywords)
    return k, k_dot

'''


def bodies(keywords: str, least: str) -> dict[str, str]:
    """The bodies of pair and diagonal, which call on the closed forms first."""
    return {
        # Phi((k - rho*h)/sin_theta) has its limit at sin_theta = 0, where the quotient itself is 0/0.
        "pair": f"""\
    with np.errstate(all="ignore"):
        values = pair_terms(q1, q2, c, rho, np.maximum(sin_theta, {least}){keywords})
        return rescued(*values, q1, q2, rho, np.maximum(sin_theta, 1e-150){keywords})""",
        "diagonal": f"""\
    with np.errstate(all="ignore"):
        return on_diagonal(*diagonal_terms(q{keywords}), q{keywords})""",
    }


def functions(proved: ProvedDual, signature: str, keywords: str, closed: Mapping[str, str]) -> str:
    """The functions for φ and of TERMS and REPAIR, for a dual whose closed forms have the bodies `closed`."""
    _, text = resolving(proved, signature, keywords, ALLOWED)
    return (
        text
        + RULE
        + Template(TERMS + REPAIR).substitute(
            **closed,
            small_knot=SMALL_KNOT,
            small_scale=_smooth_up_to(proved),
            loss=LOSS,
            loss_small=LOSS_SMALL,
            loss_diagonal=LOSS_DIAGONAL,
            signature=signature,
            keywords=keywords,
            arguments=names_of(proved),
            continuous=proved.dual.impulses == 0,
        )
    )


def _smooth_up_to(proved: ProvedDual) -> float:
    """The largest q at which Price's integral from a right angle to 0 and to π is right to 15 digits."""
    if proved.dual.impulses != 0 or any(t != 0 for t in proved.activation.pieces.knots):
        return 0.0
    ctx = mpmath.mp.clone()
    ctx.dps = 20
    given = {s.name: 1 for s in proved.activation.parameters if s.name not in proved.activation.defaults}

    def integral(q: float, order: int, side: int) -> Any:
        total = ctx.zero
        for t, w in legendre(ctx, order):
            angle = side * ctx.pi / 4 * (1 + t)
            c = sp.Rational(str(q * ctx.sin(angle)))
            total += w * ctx.cos(angle) * proved.evaluate(q, q, c, digits=18, **given)[1]
        return total

    for q in SMALL_SCALES:
        pairs = [[integral(q, order, side) for order in (SMOOTH, LONGER)] for side in (1, -1)]
        largest = max(abs(value) for pair in pairs for value in pair)
        if all(abs(short - long) <= 2e-16 * largest for short, long in pairs):
            return q
    return 0.0
