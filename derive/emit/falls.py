"""Exponential on one side of 0, nearly parallel inputs: √(k1 k2) − K and √(d1 d2) − K̇ with all their digits.

In the notation of exponential.py, for d = 1, with θ the angle, y(α) = λ (cos α − cos θ), A = A₁ + A₂ at s = sin α,
H = E[e^{−b₁|z|} e^{−b₂|z|}; one side] = erfcx((b₁ + b₂)/√2)/2 and h(y) = 1 − (1 − e^{−y})/y, the linear equation
solved from ρ = 1 gives

    K̇(1) − K̇(ρ)              = j² H (1 − e^{−y(0)}) + ∫₀^θ {J² − Jj A − j² (1 − A)(1 − e^{−y})} dα/2π
    [K(1) − K(ρ)]/√(q1q2)    = (1 − ρ)[K̇(1) − j² H h(y(0))] − ∫₀^θ (cos α − ρ) {J² − Jj A − j² (1 − A) h(y)} dα/2π

The integrals are small beside √(k1 k2), as θ and θ³ are. Where bθ is large their integrand has a layer at each end:
A turns within α ~ 1/b, and e^{−y} within θ − α ~ θ/y(0). What parallel inputs of unequal norm leave,
√(k1 k2) − K(1) = √(k1 k2) E[(F₁/√k1 − F₂/√k2)²]/2, is one distance of two functions, tabulated once a row.
"""

from string import Template

import mpmath

from mehler.derive.emit.normal import rule

# The largest b times θ at which a plain rule of so many nodes is exact.
PLAIN = ((1.5, 10), (5, 20))

TEXT = '''
# Places beyond which the normal density leaves nothing, in steps over which PANEL is exact.
OUTWARDS = np.array([1.0, 2.0, 3.5, 5.5, 9.0])


def parallel_gaps(q1, q2$signature):
    """1 - K/sqrt(k1 k2) and 1 - K'/sqrt(d1 d2) of parallel inputs: half the squared distance of functions."""
    gaps = np.zeros((2, len(q1)))
    apart = np.flatnonzero(q1 != q2)
    if len(apart):
        variances, places = np.unique(np.concatenate([q1[apart], q2[apart]]), return_inverse=True)
        table, places = directions(variances$keywords), places.reshape(2, -1)
        for i in range(0, len(apart), 256):
            one, two = (each[i : i + 256] for each in places)
            for gap, rows in zip(gaps, table):
                difference = rows[one] - rows[two]
                gap[apart[i : i + 256]] = np.einsum("ij,ij->i", difference, difference) / 2
    return gaps


def directions(q$signature):
    """phi and phi' of sqrt(q) z at nodes, times the roots of their weights, as vectors of length 1."""
    root, rate = np.maximum(np.sqrt(q), 1e-300)[:, None], jumps($arguments)[2]
    first = min(1.0, max(0.25 / (rate * np.max(root)), 1e-12))
    breaks = np.concatenate([[0.0], np.geomspace(first, 1.0, 1 + int(np.ceil(-np.log(first)))), OUTWARDS[1:]])
    width = np.diff(breaks)[:, None]
    nodes = breaks[:-1, None] + width * PANEL[0]
    weights = width * PANEL[1] * np.exp(-nodes * nodes / 2) * 0.3989422804014327
    nodes = np.concatenate([$side * nodes.ravel(), -$side * HALF[0]])
    weights = np.sqrt(np.concatenate([weights.ravel(), HALF[1]]))
    rows = [weights * activation(root * nodes, order$keywords) for order in (0, 1)]
    return [row / np.maximum(np.sqrt(np.einsum("ij,ij->i", row, row)), 1e-300)[:, None] for row in rows]


def turns(q1, q2, rho, sin_theta, slope$signature):
    """K(1) - K(cos) and K'(1) - K'(cos) of flat arrays, cos >= 0, where K'(1) = slope."""
    whole, jump, rate = jumps($arguments)
    root1, root2 = np.sqrt(q1), np.sqrt(q2)
    b1, b2, angle = rate * root1, rate * root2, np.arctan2(sin_theta, rho)
    strength, reach = b1 * b2, np.maximum(b1, b2) * angle
    versine = sin_theta * sin_theta / (1 + rho)
    end = strength * versine
    parts = np.zeros((2, len(angle)))
    groups = [(reach > low) & (reach <= high) for low, high in zip((-1.0, *REACHES), (*REACHES, np.inf))]
    for group, nodes in zip(groups, (*FLAT, None)):
        where = np.flatnonzero(group)
        where = where if nodes is not None else where[np.argsort(reach[where])]
        for i in range(0, len(where), CHUNK):
            at = where[i : i + CHUNK]
            rungs = layers(reach[at[-1]], np.max(end[at])) if nodes is None else (nodes[0], 1 - nodes[0], nodes[1])
            parts[:, at] = bends(angle[at], b1[at], b2[at], *rungs$keywords)
    common = jump * jump / 2 * erfcx((b1 + b2) * SQRT_HALF)
    k = versine * (slope - common * lagging(end)) - parts[0]
    return root1 * root2 * k, parts[1] - common * np.expm1(-end)


def bends(angle, b1, b2, nodes, others, weights$signature):
    """The integrals over alpha = angle * nodes, where others = 1 - nodes."""
    whole, jump, _ = jumps($arguments)
    total, total_dot, strength = np.zeros_like(angle), np.zeros_like(angle), b1 * b2
    for node, other, weight in zip(nodes, others, weights):
        sine = np.sin(angle * node)
        lag = 2 * np.sin(angle * ((1 + node) / 2)) * np.sin(angle * (other / 2))
        both = weakening(b1 * sine) + weakening(b2 * sine)
        y = strength * lag
        impulses, bent = whole * (whole - jump * both), jump * jump * (1 - both)
        gone = np.expm1(-y)
        total += weight * lag * (impulses - bent * (1 + gone / np.maximum(y, 1e-300)))
        total_dot += weight * (impulses + bent * gone)
    return ONE_OVER_TWO_PI * angle * np.array([total, total_dot])


def lagging(y):
    """1 - (1 - exp(-y))/y, right to the digits of 1."""
    return 1 + np.expm1(-y) / np.maximum(y, 1e-300)


def layers(reach, end):
    """Nodes x, 1 - x and weights on [0, 1] for what turns within 1/reach of 0 and 1/end of 1."""
    down, up = (min(1 + int(np.ceil(np.log2(scale))), 60) for scale in (reach, max(end, 1.0)))
    low = np.concatenate([[0.0], 0.5 ** np.arange(down, 0, -1.0)])
    high = np.concatenate([[0.0], 0.5 ** np.arange(up, 0, -1.0)])
    nodes = [(edges[:-1, None] + np.diff(edges)[:, None] * PANEL[0]).ravel() for edges in (low, high)]
    weights = [(np.diff(edges)[:, None] * PANEL[1]).ravel() for edges in (low, high)]
    low, high = nodes
    return np.concatenate([low, 1 - high]), np.concatenate([1 - low, high]), np.concatenate(weights)

'''

BODY = """\
    shape = np.broadcast_shapes(*(np.shape(array) for array in (q1, q2, rho, sin_theta)))
    q1, q2, rho, sin_theta = (np.broadcast_to(x, shape).ravel() for x in (q1, q2, rho, sin_theta))
    size, size_dot = (np.broadcast_to(np.sqrt(x) * np.sqrt(y), shape).ravel() for x, y in ((k1, k2), (d1, d2)))
    with np.errstate(all="ignore"):
        gap, gap_dot = parallel_gaps(q1, q2$keywords)
        fall, fall_dot = turns(q1, q2, rho, sin_theta, size_dot * (1 - gap_dot)$keywords)
    return (fall + size * gap).reshape(shape), (fall_dot + size_dot * gap_dot).reshape(shape)"""


def functions(side: int, signature: str, keywords: str, arguments: str) -> str:
    """The functions of TEXT for an exponential on the side ±1 of 0."""
    flat = "".join(
        rule(f"FLAT{i}", order, "0", "Nodes and weights on [0, 1].") for i, (_, order) in enumerate(PLAIN)
    )
    names = ", ".join(f"FLAT{i}" for i in range(len(PLAIN)))
    reaches = ", ".join(str(float(limit)) for limit, _ in PLAIN)
    text = Template(TEXT).substitute(side=f"{side}.0", signature=signature, keywords=keywords, arguments=arguments)
    return f"{flat}FLAT = ({names},)\nREACHES = ({reaches},)\n{_half()}{text}"


def body(keywords: str) -> str:
    """The body of falls."""
    return Template(BODY).substitute(keywords=keywords)


def _half() -> str:
    """Source of Gauss's rule of two nodes for the normal density on z > 0: exact for cubic polynomials."""
    with mpmath.workdps(40):
        m = [mpmath.mpf(1) / 2, 1 / mpmath.sqrt(2 * mpmath.pi), mpmath.mpf(1) / 2, 2 / mpmath.sqrt(2 * mpmath.pi)]
        det = m[1] * m[1] - m[0] * m[2]
        a, b = (m[2] * m[1] - m[3] * m[0]) / det, (m[2] * m[2] - m[1] * m[3]) / det  # z² = a z − b at both nodes
        root = mpmath.sqrt(a * a / 4 - b)
        z = [a / 2 - root, a / 2 + root]
        w = [(m[1] - m[0] * z[1]) / (z[0] - z[1]), (m[1] - m[0] * z[0]) / (z[1] - z[0])]
        rows = ", ".join(f"({', '.join(repr(float(v)) for v in row)})" for row in (z, w))
    return f"# Nodes and weights for the normal density beside a polynomial on z > 0.\nHALF = np.array(({rows}))\n"
