"""Exponential on one side of 0: Mehler's series cut after the degree d of φ, and its remainder as one integral.

φ is a polynomial on one side of 0, and a polynomial and κ e^{βx} on the other, where that decays (ELU); d is the
degree of the polynomials, and φ has d − 1 continuous derivatives. J is the jump of φ⁽ᵈ⁾ at 0, j that of its
exponential part, λ = β² √(q1q2), and ψ the exponential part of φ⁽ᵈ⁺¹⁾, so that φ⁽ᵈ⁺¹⁾ = J δ + ψ and ψ' = βψ + βj δ:

    K(ρ)         = Σ_{i ≤ d} ρⁱ/i! E[F₁ Heᵢ] E[F₂ Heᵢ] + ∫₀^ρ (ρ − r)ᵈ/d! E_r[F₁⁽ᵈ⁺¹⁾ F₂⁽ᵈ⁺¹⁾] dr,  F(z) = φ(√q z)
    d/dr E[ψψ]   = λ E[ψψ] + terms with δ                             (Price's theorem)

The second line is a linear equation; its solution under the integral leaves only terms with δ there, and those are
elementary: with s = √(1 − r²), Aᵢ = b s Mills(b s), b = |β|√qᵢ, and gₖ(λt) = λt Σ_{i ≥ 0} (λt)ⁱ/(i + k + 1)!,

    ∫₀^ρ (ρ − r)ᵈ { [J² − Jj (A₁ + A₂)]/d! + j² g_d(λ(ρ − r)) (1 − A₁ − A₂) } dr/(2π s)  +  a term with E₀[ψψ]

for K over √(q1q2)ᵈ, and the same with d − 1 for K'. Where λ is large the sum in g is exp less its first terms; the
exponential then is one value E[ψψ], a Φ₂ of two sectors with no negative argument, and the rest a polynomial.
No term is large beside √(K11 K22) in either form. 0 ≤ A < 1 is smooth in artanh r, as in remainder.py.

F. G. Mehler, J. reine angew. Math. 66 (1866) 161; R. Price, IRE Trans. Inf. Theory 4 (1958) 69.
"""

from math import factorial
from string import Template

import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit import falls, normal
from mehler.derive.emit import numpy as target
from mehler.derive.emit.expectations import names_of
from mehler.derive.emit.program import Program, lower
from mehler.derive.emit.remainder import RULE
from mehler.derive.special import Phi2
from mehler.derive.stabilise.code import share
from mehler.derive.symbols import x

# The largest λ at which g is summed as a series, and how many of its terms that takes.
SMALL, TERMS = 2, 20

# The integrand falls as exp(-w), and so do the digits that are wanted of it.
STEPS = """
# Steps in w = artanh(cos) over which PANEL is exact in units of the whole integral.
STEPS = np.array([*np.arange(0.0, 8.5, 0.8125), 9.25, 10.5, 12.0, 14.0, 16.5, 20.0, 24.0, 30.0, 40.0])
"""

TEXT = '''
DEGREE = $degree
GENTLE = $small  # the largest rate**2 sqrt(q1 q2) at which a power series is summed
CHUNK = 256
NODES, WEIGHTS = PANEL[..., None]  # along an axis before that of the pairs
SCALES = np.array([-40.0, -10.0, 10.0, 40.0])


def jumps($plain):
    """The jumps at 0 of phi^(DEGREE) and of its exponential part, and the size of the rate in its exponent."""
$body    return $jumps


def expansion(q1, q2, rho, sin_theta$signature):
    """(K, K') as Mehler's series up to the degree of phi, and the remainder."""
    first, second = (coefficients(q$keywords) for q in (q1, q2))
    first[DEGREE, 1] = 0.0  # phi' is of a degree less
    series = 0.0
    for j in range(DEGREE, -1, -1):
        series = (series * rho + first[j] * second[j]) / max(j, 1)
    shape = np.broadcast_shapes(series.shape[1:], np.shape(sin_theta))
    arrays = [np.broadcast_to(array, shape).ravel() for array in (q1, q2, rho, sin_theta)]
    rest = np.zeros((2, arrays[0].size))
    small = jumps($arguments)[2] ** 2 * np.sqrt(arrays[0]) * np.sqrt(arrays[1]) <= GENTLE
    for group, function in ((small, small_remainder), (~small, large_remainder)):
        where = np.flatnonzero(group)
        for i in range(0, len(where), CHUNK):
            part = where[i : i + CHUNK]
            rest[:, part] = function(*(array[part] for array in arrays)$keywords)
    return series + rest.reshape(2, *shape)


def coefficients(q$signature):
    """hermite of each variance, computed once where they repeat."""
    variances, places = np.unique(np.ravel(q), return_inverse=True)
    rows = in_parts(hermite, variances$keywords)
    return rows[..., places.ravel()].reshape(DEGREE + 1, 2, *np.shape(q))


def in_parts(function, q$signature):
    """A function of a flat array, in parts that fit a cache."""
    starts = range(0, max(len(q), 1), 256)
    return np.concatenate([function(q[i : i + 256]$keywords) for i in starts], -1)


def hermite(q$signature):
    """E[phi(u) He_j(z)] and E[phi'(u) He_j(z)] for u = sqrt(q) z and j = 0 to the degree of phi."""
    nodes, weights, pair = values(q$keywords)
    rows, before, polynomial = [], 0.0, weights
    for j in range(DEGREE + 1):
        rows.append([np.sum(value * polynomial, -1) for value in pair])
        before, polynomial = polynomial, nodes * polynomial - j * before
    return np.array(rows)


def values(q$signature):
    """Nodes z, weights, and (phi, phi') at sqrt(q) z; at q = 0, of both sides of 0."""
    root = np.sqrt(q)[:, None]
    nodes, weights = panels(between(SCALES / (np.maximum(root, 1e-300) * jumps($arguments)[2])))
    x = np.where(root > 0, root * nodes, np.copysign(5e-324, nodes))
    return nodes, weights, [activation(x, order$keywords) for order in (0, 1)]


def squares(q$signature):
    """E[phi(u)**2] and E[phi'(u)**2]."""
    _, weights, pair = values(q$keywords)
    return np.array([np.sum(weights * value * value, -1) for value in pair])


def small_remainder(q1, q2, rho, sin_theta$signature):
    """What the series leaves of K and K' where rate**2 sqrt(q1 q2) is small."""
    return remainder(q1, q2, rho, sin_theta, tail_sums$keywords)


def large_remainder(q1, q2, rho, sin_theta$signature):
    """The same elsewhere: the exponential under the integral is one value, E[exp(-|u|) exp(-|v|)] of a quadrant."""
    rest = remainder(q1, q2, rho, sin_theta, minus_head_sums$keywords)
    _, jump, rate = jumps($arguments)
    quadrant, sin_theta = 0.0, np.maximum(sin_theta, 1e-18)
    for one, two in ((q1, q2), (q2, q1)):
        h, w = rate * gap(one, two, -rho, sin_theta), rate * np.sqrt(two) * sin_theta
        quadrant = quadrant + np.copysign(sector(np.abs(h), w, w * w / 2, np.zeros_like(w)), h)
    return rest + jump * jump * quadrant * scales(rate)


def remainder(q1, q2, rho, sin_theta, sums$signature):
    """Integrals over the correlation r, where exp(y) for y = rate**2 (c - sqrt(q1 q2) r) is seen through `sums`."""
    whole, jump, rate = jumps($arguments)
    sin_theta = np.maximum(sin_theta, 1e-18)
    sign, size = np.where(rho < 0, -1.0, 1.0), np.abs(rho)
    b1, b2 = rate * np.sqrt(q1), rate * np.sqrt(q2)
    strength = sign * b1 * b2
    begin = jump * jump / 4 * erfcx(b1 * SQRT_HALF) * erfcx(b2 * SQRT_HALF)
    total = begin * np.array(sums(strength * size))
    end, beyond = np.arcsinh(size / sin_theta), sin_theta * sin_theta / (1 + size)
    for start, stop in zip(STEPS, STEPS[1:]):
        live = np.flatnonzero(end > start)
        if not len(live):
            break
        length = np.minimum(end[live], stop) - start
        left, one, two, factor = beyond[live], b1[live], b2[live], strength[live]
        decay = np.exp(-2 * start) * np.exp(-2 * length * NODES)
        sine, lag = 2 * np.sqrt(decay) / (1 + decay), 2 * decay / (1 + decay) - left
        y = factor * lag
        k, k_dot = sums(y)
        both = weakening(one * sine) + weakening(two * sine)
        impulses, bent = sine * whole * (whole - jump * both), sine * jump * jump * (1 - both)
        power = impulses * y ** (DEGREE - 1)
        parts = np.array([power * y / $factorial + bent * k, power / $factorial_dot + bent * k_dot])
        total[:, live] += ONE_OVER_TWO_PI * length * sign[live] * np.sum(WEIGHTS * parts, 1)
    return total * scales(rate)


def scales(rate):
    """What K and K' are in, when variances are in units of the rate."""
    return np.array([[rate ** (-2.0 * DEGREE)], [rate ** (2.0 - 2 * DEGREE)]])


def weakening(t):
    """t (1 - Phi(t))/phi(t), the ratio of Mills times its argument: from 0 to 1."""
    return 1.2533141373155003 * t * erfcx(t * SQRT_HALF)


def tail_sums(y):
    """exp(y) less the terms of its series up to y**DEGREE, and up to y**(DEGREE - 1), for |y| <= GENTLE."""
    total = np.zeros_like(y)
    for coefficient in TAIL:
        total = total * y + coefficient
    power = y**DEGREE
    return power * y * total, power * (1 / $factorial + y * total)


def minus_head_sums(y):
    """Minus the terms of the series of exp(y) up to y**DEGREE, and up to y**(DEGREE - 1)."""
    total = term = np.ones_like(y)
    for j in range(1, DEGREE + 1):
        last, term = total, term * y / j
        total = total + term
    return -total, -last

'''


def bodies(keywords: str) -> dict[str, str]:
    """The bodies of pair and diagonal."""
    return {
        "pair": f"""\
    with np.errstate(all="ignore"):
        return expansion(q1, q2, rho, sin_theta{keywords})""",
        "diagonal": f"""\
    with np.errstate(all="ignore"):
        return in_parts(squares, np.ravel(q){keywords}).reshape(2, *np.shape(q))""",
    }


def applies(proved: ProvedDual) -> bool:
    """Whether φ has one knot, 0, and is a polynomial, and on one side κ e^{βx} beside it that decays there."""
    return proved.kernel.has(Phi2) and parts(proved) is not None


def programs(proved: ProvedDual) -> tuple[Program, ...]:
    """J, j and |β|."""
    found = parts(proved)
    assert found is not None
    given = proved.activation.parameters
    return (lower(share(given, list(found[1:4]), []), parameters=given),)


def functions(proved: ProvedDual, signature: str, keywords: str) -> str:
    """The functions of TEXT for the activation of a proved dual."""
    found = parts(proved)
    assert found is not None
    d, *_, side = found
    (program,) = programs(proved)
    rest = [f"    {1 / factorial(d + 1 + i)!r},\n" for i in reversed(range(TERMS))]
    arguments = names_of(proved)
    text = Template(TEXT).substitute(
        degree=d,
        small=SMALL,
        factorial=float(factorial(d)),
        factorial_dot=float(factorial(d - 1)),
        jumps=", ".join(f"np.float64({target.expression(node)})" for node in program.outputs),
        body="".join(f"    {a.name} = {target.expression(a.value)}\n" for a in program.body),
        signature=signature,
        keywords=keywords,
        arguments=arguments,
        plain=signature.removeprefix(", "),
    )
    if d == 1:
        text += falls.functions(side, signature, keywords, arguments)
    helpers = normal.DECAYING + normal.SMALL + normal.SECTOR + normal.GAP
    series = f"\n# 1/n! from the last to n = DEGREE + 1.\nTAIL = (\n{''.join(rest)})\n"
    return helpers + RULE + STEPS + series + text


def close(proved: ProvedDual, keywords: str) -> str:
    """The body of falls, where it has one."""
    return falls.body(keywords) if degree(proved) == 1 else ""


def degree(proved: ProvedDual) -> int:
    """The degree of the polynomials of φ."""
    found = parts(proved)
    assert found is not None
    return found[0]


def parts(proved: ProvedDual) -> tuple[int, sp.Expr, sp.Expr, sp.Expr, int] | None:
    """(d, J, j, |β|, side of the exponential), or None where φ is not of this kind."""
    phi = proved.activation.pieces
    if phi.knots != (0,):
        return None
    exponentials = [tail(piece) for piece in phi.pieces]
    sides = [side for side, exponential in zip((-1, 1), exponentials, strict=True) if exponential != 0]
    if len(sides) != 1:
        return None
    (side,), exponential = sides, sum(exponentials)
    rate = sp.simplify(sp.diff(exponential, x) / exponential)
    polynomials = [sp.expand(piece) - e for piece, e in zip(phi.pieces, exponentials, strict=True)]
    if rate.has(x) or not (side * rate).is_negative or not all(p.is_polynomial(x) for p in polynomials):
        return None
    d = max(sp.Poly(p, x).degree() if p != 0 else 0 for p in polynomials)
    left, right = phi.pieces
    gaps = [sp.simplify(sp.diff(right - left, x, k).subs(x, 0)) for k in range(d + 1)]
    if d == 0 or any(gap != 0 for gap in gaps[:-1]):
        return None
    return d, gaps[-1], sp.simplify(side * sp.diff(exponential, x, d).subs(x, 0)), -side * rate, side


def tail(piece: sp.Expr) -> sp.Expr:
    """The terms of a sum that are no polynomials."""
    return sp.Add(*(term for term in sp.Add.make_args(sp.expand(piece)) if not term.is_polynomial(x)))
