"""Piecewise polynomials, nearly parallel inputs: √(k1 k2) − K and √(d1 d2) − K̇ with all their digits.

In the notation of remainder.py, K⁽ⁿ⁾ being derivatives by ρ and d the degree of φ, Taylor's formula at ρ gives

    K(1) − K(ρ) = Σ_{n = 1..d} (1 − ρ)ⁿ/n! K⁽ⁿ⁾(ρ) + ∫₀^θ (1 − cos α)ᵈ/d! E_α[F₁⁽ᵈ⁺¹⁾ F₂⁽ᵈ⁺¹⁾] sin α dα

and the same for K̇, of degree d − 1. The derivatives are Mehler's series and its remainder, with less powers of
ρ − r; the integrand is elementary, a smooth function of α but for what turns on where α is about |t/√q1 − t′/√q2|.
Every term is small as the falls are. What parallel inputs of unequal norm leave, √(k1 k2) − K(1) =
√(k1 k2) E[(F₁/√k1 − F₂/√k2)²]/2, is a distance of two functions, of which a narrow piece lies between their knots.
"""

from string import Template

TEXT = '''
def parallel_gaps(q1, q2, k1, k2, d1, d2$signature):
    """1 - K/sqrt(k1 k2) and 1 - K'/sqrt(d1 d2) of parallel inputs: half the squared distance of functions."""
    gaps = np.zeros((2, len(q1)))
    apart, places = np.flatnonzero(q1 != q2), knots($arguments)
    for i in range(0, len(apart), 256):
        at = apart[i : i + 256]
        root1, root2 = np.sqrt(q1[at])[:, None], np.sqrt(q2[at])[:, None]
        nodes, weights = panels(between(places / root1, places / root2))
        for order, (one, two) in enumerate(((k1, k2), (d1, d2))):
            lengths = [np.maximum(np.sqrt(each[at]), 1e-300)[:, None] for each in (one, two)]
            values = [activation(root * nodes, order$keywords) for root in (root1, root2)]
            gaps[order, at] = np.sum(weights * (values[0] / lengths[0] - values[1] / lengths[1]) ** 2, -1) / 2
    return gaps


def turned(q1, q2, rho, sin_theta$signature):
    """K(1) - K(cos) and K'(1) - K'(cos) of flat arrays, cos >= 0."""
    sin_theta = np.maximum(sin_theta, 1e-18)
    versine, factor, total = sin_theta * sin_theta / (1 + rho), 1.0, last_turn(q1, q2, rho, sin_theta$keywords)
    for n in range(1, DEGREE + 1):
        factor = factor * versine / n
        change, change_dot = expansion(q1, q2, rho, sin_theta$keywords, turns=n)
        total[0] += factor * change
        if n < DEGREE:  # phi' is of a degree less
            total[1] += factor * change_dot
    return total


def last_turn(q1, q2, rho, sin_theta$signature):
    """The integrals of Taylor's formula, over panels that halve down to where no two knots are felt as apart."""
    state, angle = knot_pairs(q1, q2, np.ones_like(rho)$keywords), np.arctan2(sin_theta, rho)
    gaps = [np.where(np.abs(gap) > 1e-17 * angle, np.abs(gap), np.inf) for *_, gap, _ in state[-1]]
    halvings = np.clip(np.ceil(np.log2(9 * angle / np.min(gaps, 0))), 0, 60)
    total, wide = np.empty((2, len(angle))), is_wide(q1, q2$keywords)
    for group in np.unique(halvings + 0.5 * wide):
        where = np.flatnonzero(halvings + 0.5 * wide == group)
        for i in range(0, len(where), CHUNK):
            at = where[i : i + CHUNK]
            total[:, at] = bends(angle[at], at_pairs(state, at), int(group), group % 1 > 0)
    return total


def bends(angle, state, halvings, wide):
    """The integrals over [0, angle], in panels that halve so many times."""
    edges = np.concatenate([[0.0], 0.5 ** np.arange(halvings, -1, -1.0)])
    total = np.zeros((2, len(angle)))
    for low, high in zip(edges, edges[1:]):
        half = angle * ((low + (high - low) * NODES) / 2)
        lag = 2 * np.sin(half) ** 2
        total += (high - low) * np.sum(WEIGHTS * lagged(lag, np.tan(half) ** 2, wide, DEGREE, state), 1)
    return ONE_OVER_TWO_PI * angle * total

'''

BODY = """\
    shape = np.broadcast_shapes(*(np.shape(array) for array in (q1, q2, rho, sin_theta)))
    flat = (np.broadcast_to(x, shape).ravel() for x in (q1, q2, rho, sin_theta, k1, k2, d1, d2))
    q1, q2, rho, sin_theta, k1, k2, d1, d2 = flat
    with np.errstate(all="ignore"):
        fall, fall_dot = turned(q1, q2, rho, sin_theta$keywords)
        gap, gap_dot = parallel_gaps(q1, q2, k1, k2, d1, d2$keywords)
    fall, fall_dot = fall + np.sqrt(k1) * np.sqrt(k2) * gap, fall_dot + np.sqrt(d1) * np.sqrt(d2) * gap_dot
    return fall.reshape(shape), fall_dot.reshape(shape)"""


def functions(signature: str, keywords: str, arguments: str) -> str:
    """The functions of TEXT."""
    return Template(TEXT).substitute(signature=signature, keywords=keywords, arguments=arguments)


def body(keywords: str) -> str:
    """The body of falls."""
    return Template(BODY).substitute(keywords=keywords)
