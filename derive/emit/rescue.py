"""Where the terms of a closed form cancel: the expectation itself, by Gauss-Legendre rules on its own panels.

A sum of positive weights times φ(u)φ(v) is off by eps·E|φ(u)φ(v)| ≤ eps·√(K11 K22), whatever the formula loses;
so it is right in scaled units wherever the panels resolve it. A generated module adds up the sizes of the
terms of its closed form, and calls on this for the pairs whose terms are larger than the result can be. (Piecewise
polynomials need none of it: see remainder.py.)

    E[f(u)]      panels in z = u/√q between 0 and the knots t/√q of f
    K, K̇         the same twice, v = √q2 (ρz + s w), with panels also about z = t/(√q2 ρ), where the inner
                 integral turns within s/ρ (s = sin θ)
    small q      K = E[φ(u)] E[φ(v)] + √(q1q2) ∫_θ^{π/2} K̇ sin α dα, for a continuous φ (R. Price, IRE Trans. Inf.
                 Theory 4 (1958) 69), with K̇ from its closed form: some 22 values of it instead of a double sum
"""

import textwrap
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

import mpmath
import sympy as sp

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import far, near_zero
from mehler.derive.emit import numpy as target
from mehler.derive.emit.normal import rule
from mehler.derive.emit.program import Program, lower
from mehler.derive.legendre import legendre
from mehler.derive.special import Phi
from mehler.derive.stabilise.code import share
from mehler.derive.stabilise.rules import small_exponents
from mehler.derive.symbols import x

# A sum whose terms are this many times as large as its scale is given up; the diagonal is cheap to repair.
LOSS, LOSS_DIAGONAL = 15, 2

# Price's integral costs less than the double sum, so it is taken earlier.
LOSS_SMALL = 5

# Where φ changes: the knots of its own panels, besides those it has.
SCALES = (-32, -16, -8, -4, -2, -1, 1, 2, 4, 8, 16, 32)

# Price's integrand is smooth where no density reaches a knot t ≠ 0: exp(−t²/2q) < 1e-18. Without one, up to the
# largest of these q at which its rule agrees with a longer one.
SMALL_KNOT = 0.012
SMALL_SCALES = (1.0, 0.25, 0.0625, 2.0**-6, 2.0**-8, 2.0**-12, 2.0**-16)
SMOOTH, LONGER = 18, 30

DENSITY = rule("DENSITY", 28, "0.5", "Nodes and weights for the normal density: exp(-43) at 1.")
RULE = rule("SMOOTH", SMOOTH, "0", "Nodes and weights for smooth functions on [0, 1].")

# φ itself, and rules for its expectation.
SHAPE = '''
def activation(x, order$signature):
    """phi(x) for order = 0 and phi'(x) for order = 1."""
    value = PIECES[0](x$keywords)[order]
    for knot, function in zip(knots($arguments), PIECES[1:]):
        value = np.where(x > knot, function(x$keywords)[order], value)
    return value


def knots($plain):
    """Where phi is not smooth, in order."""
    return np.array([$knots], np.float64)

$pieces

def panels(breaks):
    """Nodes z and weights, with the normal density, between sorted breaks along the last axis, 0 among them."""
    low, high = breaks[..., :-1, None], breaks[..., 1:, None]
    side = np.where(low >= 0, 1.0, -1.0)
    near, far = np.where(low >= 0, low, -high), np.where(low >= 0, high, -low)
    width = np.minimum(far - near, 86 / (near + np.sqrt(near * near + 86)))
    z = near + width * DENSITY[0]
    weights = width * DENSITY[1] * np.exp(-z * z / 2) * 0.3989422804014327
    shape = (*breaks.shape[:-1], (breaks.shape[-1] - 1) * DENSITY.shape[1])
    return (side * z).reshape(shape), weights.reshape(shape)


def between(*breaks):
    """Breaks along a last axis, in order, with 0 and the ends of the line among them."""
    shape = np.broadcast_shapes(*(b.shape[:-1] for b in breaks))
    ends = np.broadcast_to([-FAR, 0.0, FAR], (*shape, 3))
    breaks = [np.broadcast_to(b, (*shape, b.shape[-1])) for b in breaks]
    return np.sort(np.clip(np.nan_to_num(np.concatenate([ends, *breaks], -1)), -FAR, FAR), -1)

'''

TERMS = '''
def pair_terms(q1, q2, c, rho, sin_theta$signature):
    """(K, K') by their closed forms, and the sums of the sizes of their terms."""
$pair


def diagonal_terms(q$signature):
    """(K, K') of the diagonal by their closed forms, and the sums of the sizes of their terms."""
$diagonal


'''

# Expectations of φ itself, by panels that every φ has.
EXPECTATIONS = '''
REACH = (-9, -3, -1, 0, 1, 3, 9)
SCALES = np.array($scales)


def weighed(weights, x, order$signature):
    """phi(x) or phi'(x), and 0 where a weight is 0: on a panel without a width phi may have no value."""
    return np.where(weights == 0, 0.0, activation(x, order$keywords))


def moments(q$signature):
    """E[phi(u)], E[phi'(u)], E[phi(u)**2] and E[phi'(u)**2] for u of variance q; at q = 0, of both sides of 0."""
    root = np.maximum(np.sqrt(q), 1e-300)[..., None]
    nodes, weights = panels(between(knots($arguments) / root, SCALES / root))
    value, slope = (weighed(weights, root * nodes, order$keywords) for order in (0, 1))
    return [np.sum(weights * values, -1) for values in (value, slope, value * value, slope * slope)]


def double_sum(order, q1, q2, rho, sin_theta$signature):
    """K (order = 0) or K' (order = 1) of flat arrays by two nested rules, the larger variance outside."""
    order = order[0]
    root1, root2 = np.sqrt(np.maximum(q1, q2))[:, None], np.sqrt(np.minimum(q1, q2))[:, None]
    rho, sin_theta = rho[:, None], sin_theta[:, None]
    places = knots($arguments)
    turn = sin_theta / np.abs(rho)
    centre = places / root2 / rho
    nodes, weights = panels(between(places / root1, SCALES / root1, *(centre + reach * turn for reach in REACH)))
    weights = weights * weighed(weights, root1 * nodes, order$keywords)
    heard = np.any(np.abs(weights) > 1e-22 * np.max(np.abs(weights), -1, keepdims=True), 0)
    nodes, weights = nodes[:, heard], weights[:, heard]
    root2, mean, sin_theta = root2[..., None], (rho * nodes)[..., None], sin_theta[..., None]
    nodes, inner = panels(between((places / root2 - mean) / sin_theta, (SCALES / root2 - mean) / sin_theta))
    inner = inner * weighed(inner, root2 * (mean + sin_theta * nodes), order$keywords)
    return np.sum(weights * np.sum(inner, -1), -1)

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
CHUNK = {price: 4096, double_sum: 8}


def on_diagonal(k, k_dot, size, size_dot, q$signature):
    """(K, K') of the diagonal where digits were lost."""
    lost = ~((size <= $loss_diagonal * k) & (size_dot <= $loss_diagonal * k_dot))
    if not lost.any():
        return k, k_dot
    k, k_dot, points = np.array(k), np.array(k_dot), q[lost]
    _, _, k[lost], k_dot[lost] = moments(points$keywords)
    return k, k_dot

'''


def bodies(keywords: str, least: str) -> dict[str, str]:
    """The bodies of pair and diagonal, which call on the closed forms first."""
    return {
        # Phi((k - rho*h)/sin_theta) has its limit at sin_theta = 0, where the quotient itself is 0/0.
        "pair": f"""\
    sin_theta = np.maximum(sin_theta, {least})
    with np.errstate(all="ignore"):
        values = pair_terms(q1, q2, c, rho, sin_theta{keywords})
        return rescued(*values, q1, q2, rho, sin_theta{keywords})""",
        "diagonal": f"""\
    with np.errstate(all="ignore"):
        return on_diagonal(*diagonal_terms(q{keywords}), q{keywords})""",
    }


def expectations(
    dual: ProvedDual | NumericDual, signature: str, keywords: str, scales: Sequence[float] = SCALES
) -> str:
    """The functions of SHAPE and EXPECTATIONS for the activation of a dual."""
    names = {"signature": signature, "keywords": keywords, "arguments": _names(dual), "scales": tuple(scales)}
    return shape(dual, signature, keywords) + Template(EXPECTATIONS).substitute(names)


def shape(proved: ProvedDual | NumericDual, signature: str, keywords: str) -> str:
    """The functions of SHAPE for the activation of a proved dual."""
    texts, labels = [], []
    *pieces, places = programs(proved)
    series = _series(proved, pieces)
    for i, program in enumerate(pieces):
        lines = [f"{a.name} = {target.expression(a.value)}" for a in program.body]
        values = [target.expression(node) for node in program.outputs]
        for n, coefficients in enumerate(series[i]):
            if coefficients is not None:
                numbers = textwrap.fill(
                    ", ".join(map(repr, coefficients)), 108, initial_indent="    ", subsequent_indent="    "
                )
                texts.append(f"\nSERIES{i}{n} = [\n{numbers}\n]\n")
                values[n] = f"np.where(np.abs(x) < NEAR, taylor(x, SERIES{i}{n}), {values[n]})"
        lines.append("return " + ", ".join(values))
        body = textwrap.indent("\n".join(lines), "    ")
        texts.append(f"\ndef piece{i}(x{signature}):\n{body}\n")
        labels.append(f"piece{i}")
    near = near_zero.TEXT if any(any(pair) for pair in series) else ""
    return (
        near
        + DENSITY
        + Template(SHAPE).substitute(
            signature=signature,
            keywords=keywords,
            arguments=_names(proved),
            plain=signature.removeprefix(", "),
            knots=", ".join(target.expression(node) for node in places.outputs),
            pieces="\n".join(texts) + f"\n\nPIECES = ({', '.join(labels)},)\nFAR = 48.0\n",
        )
    )


def functions(proved: ProvedDual, signature: str, keywords: str, closed: Mapping[str, str]) -> str:
    """The functions of TEXT for the activation of a proved dual, whose closed forms have the bodies `closed`."""
    return (
        shape(proved, signature, keywords)
        + RULE
        + Template(TERMS + EXPECTATIONS + REPAIR).substitute(
            **closed,
            small_knot=SMALL_KNOT,
            small_scale=_smooth_up_to(proved),
            loss=LOSS,
            loss_small=LOSS_SMALL,
            loss_diagonal=LOSS_DIAGONAL,
            signature=signature,
            keywords=keywords,
            arguments=_names(proved),
            continuous=proved.dual.impulses == 0,
            scales=SCALES,
        )
    )


def _names(proved: ProvedDual | NumericDual) -> str:
    return ", ".join(s.name for s in proved.activation.parameters)


def _series(dual: ProvedDual | NumericDual, pieces: Sequence[Program]) -> list[list[list[float] | None]]:
    """For φ and φ' on each piece, the Taylor polynomial that it needs near 0, if any."""
    phi = dual.activation.pieces
    beside = phi.beside(sp.S.Zero)
    found: list[list[list[float] | None]] = []
    for program, piece in zip(pieces, phi.pieces, strict=True):
        sides = [side for side, other in zip((-1, 1), beside, strict=True) if other is piece]
        pair = (piece, sp.diff(piece, x))
        found.append(near_zero.polynomials(program, pair, sum(sides)) if sides else [None, None])
    return found


def programs(proved: ProvedDual | NumericDual) -> list[Program]:
    """(φ, φ') of x on each piece, and the knots."""
    phi = proved.activation
    pieces = zip(phi.pieces.pieces, phi.pieces.derivative().pieces, strict=True)
    inputs = (x, *phi.parameters)

    def lowered(exprs: Sequence[sp.Expr]) -> Program:
        return lower(share(inputs, [small_exponents(_elementary(e)) for e in exprs], []))

    count = len(phi.pieces.knots)
    # The outer two pieces reach infinity.
    sides = [[side for side, end in ((-1, 0), (1, count)) if i == end] for i in range(count + 1)]
    code = [far.safe(pair, lowered, ends) for pair, ends in zip(pieces, sides, strict=True)]
    return [*code, lower(share(phi.parameters, list(phi.pieces.knots), []))]


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


REWRITTEN: Mapping[Any, Any] = {
    sp.erf: lambda a: 2 * Phi(sp.sqrt(2) * a) - 1,
    sp.erfc: lambda a: 2 * Phi(-sp.sqrt(2) * a),
    sp.sech: lambda a: 1 / sp.cosh(a),
}


def _elementary(expr: sp.Expr) -> sp.Expr:
    for function, form in REWRITTEN.items():
        expr = expr.replace(function, form)
    powers = [p for p in expr.atoms(sp.Pow) if not (2 * p.exp).is_Integer and p.base != sp.E]
    return expr.xreplace({p: sp.exp(p.exp * sp.log(p.base)) for p in powers})
