"""Piecewise polynomials: Mehler's series cut after the degree d of φ, and its remainder as one integral.

In F(z) = φ(√q z), with Hermite's polynomials He and F⁽ᵈ⁺¹⁾ = Σ (jump of φ⁽ᵏ⁾ at t) q^{k/2} δ⁽ᵈ⁻ᵏ⁾(z − t/√q),

    K(ρ) = Σ_{j ≤ d} ρʲ/j! E[F₁ Heⱼ] E[F₂ Heⱼ] + ∫₀^ρ (ρ − r)ᵈ/d! E_r[F₁⁽ᵈ⁺¹⁾ F₂⁽ᵈ⁺¹⁾] dr

is Price's theorem d + 1 times. E_r of two impulses is a normal density, elementary; so K costs one sum of some 14
exponentials for a pair of knots, where Φ₂ takes more for each of its sectors. Every term is at most √(K11 K22)
(Mehler, and Cauchy–Schwarz), whatever q1, q2 and ρ are, while the terms of the closed form grow as powers of q.
With r = tanh w no place on the way to ρ = ±1 is steeper than another, (ρ − r) = s sinh(w₀ − w)/cosh w, and

    Q/2 = (x² + y²)/4 + (x − y)² (cosh²w/2 − 1/4) + x y e^{−2w}/2,   x = t/√q1, y = t′/√q2,

of which exp takes the first two parts, alone large in a tail, to twice the precision. Where φ stays behind its
degree at ±∞ the impulses of order d cancel at large q: there Σ aᵢaⱼ e^{−Q/2} = W₁W₂ + Σ aᵢaⱼ (e^{−Q/2} − e^{−α−β}),
W = Σ aᵢ (e^{−α} − 1), α = x² cosh²w/2. Beside an impulse of a lower order at y they are differences as well:
Σ aᵢ h(xᵢ, y) = Σ aᵢ (h(xᵢ, y) − h(0, y)).

F. G. Mehler, J. reine angew. Math. 66 (1866) 161; R. Price, IRE Trans. Inf. Theory 4 (1958) 69;
R. L. Plackett, Biometrika 41 (1954) 351.
"""

from string import Template

import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit import knot_falls
from mehler.derive.emit import numpy as target
from mehler.derive.emit.expectations import names_of
from mehler.derive.emit.normal import rule
from mehler.derive.emit.program import Program, lower
from mehler.derive.special import Phi, Phi2
from mehler.derive.stabilise.code import share
from mehler.derive.symbols import x

# The variance, in squares of the largest knot, from which on impulses that cancel are put together.
WIDE = 16

RULE = rule("PANEL", 14, "0", "Nodes and weights on [0, 1].")

TEXT = '''
# Steps in w = artanh(cos) over which PANEL is exact.
STEPS = np.array([*np.arange(0.0, 21.0, 0.8125), *np.arange(21.0, 51.0)])
DEGREE = $degree
CONTINUOUS = $continuous
# Whether the jumps of the highest derivative add up to 0.
LEVEL = $level
CHUNK = 256
NODES, WEIGHTS = PANEL[..., None]  # along an axis before that of the pairs
SMALL = $small  # knots over standard deviations, where impulses of the highest order are put together


def jumps($plain):
    """Jumps of phi, phi', ... at its knots: a row for each derivative."""
$body    return np.array([[$jumps]], np.float64)


def expansion(q1, q2, rho, sin_theta$signature, turns=0):
    """(K, K') as Mehler's series up to the degree of phi, and the remainder; derived `turns` times by cos."""
    first, second = (in_parts(hermite, np.ravel(q)$keywords) for q in (q1, q2))
    first, second = (f.reshape(*f.shape[:2], *np.shape(q)) for f, q in ((first, q1), (second, q2)))
    first[DEGREE, 1] = 0.0  # phi' is of a degree less
    series = 0.0
    for j in range(DEGREE, turns - 1, -1):
        series = (series * rho + first[j] * second[j]) / max(j - turns, 1)
    shape = np.broadcast_shapes(series.shape[1:], np.shape(sin_theta))
    arrays = [np.broadcast_to(array, shape).ravel() for array in (q1, q2, rho, sin_theta)]
    rest = np.zeros((2, arrays[0].size))
    wide = is_wide(*arrays[:2]$keywords)
    bent = arrays[3] > 0
    for group, function in ((~wide, remainder), (wide & bent, wide_remainder)):
        where = np.flatnonzero(group)
        if len(where):
            rest[:, where] = in_parts(function, *(array[where] for array in arrays)$keywords, turns=turns)
    values = series + rest.reshape(2, *shape)
    straight = np.flatnonzero(wide & ~bent)
    if len(straight):
        ends = [array[straight] for array in arrays[:3]]
        values.reshape(2, -1)[:, straight] = in_parts(collinear, *ends$keywords)
    return values


def is_wide(q1, q2$signature):
    """Whether a variance is so large beside all knots that impulses cancel."""
    return LEVEL & (np.maximum(q1, q2) > $wide * np.max(knots($arguments) ** 2))


def in_parts(function, *arrays$signature, **more):
    """A function of flat arrays, in parts that fit a cache."""
    starts = range(0, max(len(arrays[0]), 1), CHUNK)
    parts = [function(*(array[i : i + CHUNK] for array in arrays)$keywords, **more) for i in starts]
    return np.concatenate(parts, -1)


def hermite(q$signature):
    """E[phi(u) He_j(z)] and E[phi'(u) He_j(z)] for u = sqrt(q) z and j = 0 to the degree of phi."""
    root, places = np.sqrt(q)[:, None], knots($arguments)
    breaks = sorted({-np.inf, 0.0, np.inf, *places.tolist()})
    rows = np.zeros((DEGREE + 1, 2, len(q)))
    for low, high in zip(breaks, breaks[1:]):
        nodes, weights = panels(np.clip(np.array([low, high]) / np.maximum(root, 1e-300), -FAR, FAR))
        pair = PIECES[np.count_nonzero(places <= low)](root * nodes$keywords)
        before, polynomial = 0.0, weights
        for j in range(DEGREE + 1):
            rows[j] += [np.sum(value * polynomial, -1) for value in pair]
            before, polynomial = polynomial, nodes * polynomial - j * before
    return rows


def collinear(q1, q2, rho$signature):
    """(K, K') at cos = 1 and -1, where wide_remainder would need ever more steps as q grows: a simple integral."""
    root1, root2 = np.sqrt(q1)[:, None], np.copysign(np.sqrt(q2), rho)[:, None]
    places = knots($arguments)
    nodes, weights = panels(between(places / root1, places / root2))
    values = [[activation(root * nodes, order$keywords) for root in (root1, root2)] for order in (0, 1)]
    return np.array([np.sum(weights * one * two, -1) for one, two in values])


def wide_remainder(q1, q2, rho, sin_theta$signature, turns=0):
    """remainder, where a variance is large beside all knots."""
    return remainder(q1, q2, rho, sin_theta$keywords, wide=True, turns=turns)


def remainder(q1, q2, rho, sin_theta$signature, wide=False, turns=0):
    """What the series leaves of K and K': integrals over the correlation of E[F1^(n) F2^(n)], n = DEGREE + 1."""
    sin_theta = np.maximum(sin_theta, 1e-18)
    sign = np.where(rho < 0, -1.0, 1.0)
    state = knot_pairs(q1, q2, sign$keywords)
    end, beyond = np.arcsinh(np.abs(rho) / sin_theta), sin_theta * sin_theta / (1 + np.abs(rho))
    total = np.zeros((2, len(end)))
    for start, stop in zip(STEPS, STEPS[1:]):
        live = np.flatnonzero(end > start)
        if not len(live):
            break
        length, left, here = np.minimum(end[live], stop) - start, beyond[live], at_pairs(state, live)
        decay = np.exp(-2 * start) * np.exp(-2 * length * NODES)
        root, lag = np.sqrt(decay), 2 * decay / (1 + decay) - left
        part = np.sum(WEIGHTS * root / (1 + decay) * lagged(lag, decay, wide, DEGREE - turns, here), 1)
        total[:, live] += 2 * ONE_OVER_TWO_PI * length * sign[live] ** (1 + turns) * part
    return total


def lagged(lag, decay, wide, power, state):
    """2 pi sin E[F1^(n) F2^(n)] lag**power/power! of K, and with a power less of K', at decay = tan(angle/2)**2."""
    dot, last = impulses(1, decay, wide, *state), 1.0
    for j in range(1, power):
        last = last * lag / j
    k = state[3] * state[4] * dot if CONTINUOUS else impulses(0, decay, wide, *state)
    return np.array([last * (lag / power) * k if power else k, last * dot])


def knot_pairs(q1, q2, sign$signature):
    """What `impulses` knows of pairs of knots, one mirrored where sign = -1: arrays over pairs of rows."""
    places, steps = knots($arguments), jumps($arguments)
    # Beyond a thousand standard deviations a knot is not felt.
    least = 1e-6 * np.min(places[places != 0] ** 2, initial=1.0)
    p1, p2 = np.maximum(q1, least), np.maximum(q2, least)
    root1, root2 = np.sqrt(p1), np.sqrt(p2)
    mean, apart = (1 / root1 + 1 / root2) / 2, (p2 - p1) / (root1 + root2) / root1 / root2 / 2
    x, y = places[:, None] / root1, sign * places[:, None] / root2
    tails = [np.array([quarter(t, p) for t in places]) for p in (p1, p2)]
    pairs = []
    for i, j, factors in combined(places, steps):
        gap = (places[i] - sign * places[j]) * mean + (places[i] + sign * places[j]) * apart
        pairs.append((factors, x[i], y[j], gap, tails[0][i] * tails[1][j]))
    small = [np.max(np.abs(places)) < SMALL * root for root in (root1, root2)]
    # A knot and its opposite are equally far: their jumps are one, and often none.
    sides = [i for i, t in enumerate(places) if abs(t) not in np.abs(places[:i])]
    weights = np.array([np.sum(steps[DEGREE][np.abs(places) == abs(places[i])]) for i in sides])
    sides, weights = np.array(sides)[weights != 0], weights[weights != 0]
    return weights, x[sides], y[sides], np.sqrt(q1), sign * np.sqrt(q2), small, pairs


def at_pairs(state, at):
    """knot_pairs of some pairs of rows."""
    weights, x, y, scale1, scale2, small, pairs = state
    pairs = [(factors, *(array[at] for array in arrays)) for factors, *arrays in pairs]
    return weights, x[:, at], y[:, at], scale1[at], scale2[at], [side[at] for side in small], pairs


def combined(places, steps):
    """Pairs (i, j) of knots, one of opposite pairs, with (k, l, jump of phi^(k) at i * jump of phi^(l) at j)."""
    count, pairs = len(places), []
    mirrored = np.array_equal(places, -places[::-1])
    for i in range(count):
        for j in range(count):
            i2, j2 = count - 1 - i, count - 1 - j
            if mirrored and (i2, j2) < (i, j):
                continue
            factors = []
            for k in range(DEGREE + 1):
                for l in range(DEGREE + 1):
                    jump = steps[k, i] * steps[l, j]
                    if mirrored and (i2, j2) != (i, j):
                        jump += (-1) ** (k + l) * steps[k, i2] * steps[l, j2]
                    if jump != 0:
                        factors.append((k, l, jump))
            if factors:
                pairs.append((i, j, factors))
    return pairs


def impulses(order, decay, wide, weights, x, y, scale1, scale2, small, pairs):
    """2 pi sin E[F1^(n) F2^(n)] of phi (order 0) or phi' (1) at the correlation tanh w, decay = exp(-2 w)."""
    total = np.zeros_like(decay)
    square = (1 + decay) ** 2 / (4 * decay)
    cos, half, inverse = (1 - decay) / (1 + decay), square / 2 - 0.25, (1 + decay) / 2
    top = (scale1 * scale2) ** max(DEGREE - order, 0)
    for factors, at, to, gap, tail in pairs:
        rest = gap * gap * half + at * to * (decay / 2)
        a = b = density = None
        for k, l, jump in factors:
            if min(k, l) < order:
                continue
            if wide and k == l == DEGREE:
                swing = at * to * cos * square
                apart = (at * at + to * to) * half
                both = tail * np.exp(-np.where(swing > 0, rest, apart)) * np.expm1(-np.abs(swing))
                total += jump * top * np.copysign(both, swing)
                continue
            if density is None:
                density = tail * np.exp(-rest)
            if a is None and min(k, l) < DEGREE:  # minus the derivatives of -Q/2 by x and by y
                a, b = gap * square + to * inverse, at * inverse - gap * square
            factor = jump * scale1 ** (k - order) * scale2 ** (l - order)
            part = derivative(DEGREE - k, DEGREE - l, a, b, cos, square) * density
            if wide and k == DEGREE:
                part = np.where(small[0], change(DEGREE - l, at, to, cos, square, density, tail), part)
            elif wide and l == DEGREE:
                part = np.where(small[1], change(DEGREE - k, to, at, cos, square, density, tail), part)
            total += factor * part
    if wide and len(weights):
        total += top * marginal(weights, x, square) * marginal(weights, y, square)
    return total


def marginal(weights, x, square):
    """The sum of weights * exp(-x**2 cosh(w)**2 / 2), weights that add up to 0."""
    exponents = -x[:, None] ** 2 * (square / 2)
    weights = weights[:, None, None]
    small = np.sum(weights * np.expm1(exponents), 0)
    return np.where(np.max(exponents, 0) > -1, small, np.sum(weights * np.exp(exponents), 0))


def change(n, x, y, cos, square, density, tail):
    """derivative(0, n) times exp(-Q/2) at (x, y) less the same at (0, y), for a small x."""
    slope, shift, exponent = y * square, -x * cos * square, x * (y * cos - x / 2) * square
    values, changes = [1.0, slope], [0.0, shift]
    for m in range(1, n):
        values.append(slope * values[m] - m * square * values[m - 1])
        changes.append((slope + shift) * changes[m] + shift * values[m] - m * square * changes[m - 1])
    alone = tail * np.exp(x * x / 4 - y * y * (square / 2 - 0.25))  # exp(-Q/2) at (0, y)
    growing = density * (changes[n] - values[n] * np.expm1(-exponent))
    return np.where(exponent > 0, growing, alone * (changes[n] * np.exp(exponent) + values[n] * np.expm1(exponent)))


def derivative(m, n, a, b, cos, square):
    """(-1)**(m + n) times the derivatives, m in x and n in y, of exp(-Q/2), over exp(-Q/2)."""
    if m == 0:
        if n == 0:
            return 1.0
        value = b * derivative(0, n - 1, a, b, cos, square)
        return value - (n - 1) * square * derivative(0, n - 2, a, b, cos, square) if n > 1 else value
    value = a * derivative(m - 1, n, a, b, cos, square)
    if m > 1:
        value = value - (m - 1) * square * derivative(m - 2, n, a, b, cos, square)
    return value + n * cos * square * derivative(m - 1, n - 1, a, b, cos, square) if n else value


def quarter(t, q):
    """exp(-t**2/(4 q)), its argument to twice the precision."""
    top = t * t
    ratio = top / (4 * q)
    product = ratio * (4 * q)
    low = (top - product) - _product_error(ratio, 4 * q, product) + _product_error(t, t, top)
    return np.exp(-ratio) * (1 - low / (4 * q))

'''


def applies(proved: ProvedDual) -> bool:
    """Whether φ is a polynomial between its knots that grows fast enough, and its kernels have Φ in them.

    At large variances K grows as q to the degree of the tails of φ. The terms of this rule grow as q^d, or as
    q^{d−1} where the impulses of order d cancel. So one tail has a degree of at least d − 1, and is not 0.
    """
    f = proved.dual.formulas
    pieces = proved.activation.pieces.pieces
    if not all(piece.is_polynomial(x) for piece in pieces) or not sp.Tuple(f.kernel, f.kernel_dot).has(Phi, Phi2):
        return False
    tails = [sp.degree(piece, x) for piece in (pieces[0], pieces[-1]) if piece != 0]
    return bool(max(tails, default=-1) >= degree(proved) - 1)


def programs(proved: ProvedDual) -> tuple[Program, ...]:
    """The jumps of φ, φ′, … at its knots, one derivative after the other."""
    rows = [jump for row in jumps_of(proved) for jump in row]
    given = proved.activation.parameters
    return (lower(share(given, rows, []), parameters=given),)


def jumps_of(proved: ProvedDual) -> list[list[sp.Expr]]:
    """The jumps of φ, φ′, … at its knots: a row for each derivative."""
    pieces, knots = proved.activation.pieces.pieces, proved.activation.pieces.knots
    return [
        [
            sp.simplify(sp.diff(right - left, x, k).subs(x, t))
            for t, left, right in zip(knots, pieces, pieces[1:], strict=False)
        ]
        for k in range(degree(proved) + 1)
    ]


def level(proved: ProvedDual) -> bool:
    """Whether the jumps of the highest derivative add up to 0."""
    pieces = proved.activation.pieces.pieces
    return bool(sp.simplify(sp.diff(pieces[-1] - pieces[0], x, degree(proved))) == 0)


def functions(proved: ProvedDual, signature: str, keywords: str) -> str:
    """The functions of TEXT for the activation of a proved dual."""
    phi = proved.activation
    d, count = degree(proved), len(phi.pieces.knots)
    (program,) = programs(proved)
    values = [target.expression(node) for node in program.outputs]
    rows = [", ".join(values[count * k : count * (k + 1)]) for k in range(d + 1)]
    arguments = names_of(proved)
    text = Template(TEXT).substitute(
        degree=d,
        wide=WIDE,
        small=WIDE**-0.5,
        continuous=proved.dual.impulses == 0,
        level=level(proved),
        jumps="], [".join(rows),
        body="".join(f"    {a.name} = {target.expression(a.value)}\n" for a in program.body),
        signature=signature,
        keywords=keywords,
        arguments=arguments,
        plain=signature.removeprefix(", "),
    )
    return RULE + text + knot_falls.functions(signature, keywords, arguments)


def bodies(keywords: str) -> dict[str, str]:
    """The bodies of pair and diagonal."""
    return {
        "pair": f"""\
    with np.errstate(all="ignore"):
        return expansion(q1, q2, rho, sin_theta{keywords})""",
        "diagonal": f"""\
    return pair(q, q, q, np.ones_like(q), np.zeros_like(q){keywords})""",
    }


def close(proved: ProvedDual, keywords: str) -> str:
    """The body of falls."""
    return knot_falls.body(keywords)


def degree(proved: ProvedDual) -> int:
    """The degree of the polynomials of φ."""
    return max(sp.Poly(piece, x).degree() if piece != 0 else 0 for piece in proved.activation.pieces.pieces)
