"""The text of a generated NumPy module on pairs whose angle is small, or near π: their gaps, never by a difference.

Those of K and K' at each layer, by `falls` in one of two forms.
"""

from string import Template

CLOSE_PAIRS = '''def _taken(at, shape, *arrays):
    """The entries of arrays that broadcast to `shape`, by their places in it."""
    return [np.broadcast_to(a, shape).ravel()[at] for a in arrays]


def _far(q1, q2, c, cos, sin_theta, k1, k2, d1, d2, size, size_dot$signature):
    """(K, K', 1 - |K|/sqrt(k1 k2), 1 - K'/sqrt(d1 d2)) of pairs."""
    k, k_dot = pair(q1, q2, c, cos, sin_theta$keywords)
    return k, k_dot, 1 - np.abs(k) / size, 1 - k_dot / size_dot


def _near(q1, q2, sigma, cos, sin_theta, k1, k2, d1, d2, size, size_dot$signature):
    """The same at a small angle, by differences."""
    c = np.sqrt(q1) * np.sqrt(q2) * cos  # to the digits of the angle
    fall, fall_dot = falls(q1, q2, $folded, sin_theta, k1, k2, d1, d2$keywords)
    k, k_dot, gap, gap_dot = size - fall, size_dot - fall_dot, fall / size, fall_dot / size_dot
$lost$signs$again    return k, k_dot, gap, gap_dot
'''

# A kernel that has lost digits as the difference of larger numbers is computed again.
LOST = """\
    lost = np.flatnonzero((gap > 0.5) | (gap_dot > 0.5))
"""

AGAIN = """\
    if len(lost):
        k.flat[lost], k_dot.flat[lost] = pair(*_taken(lost, k.shape, q1, q2, sigma, cos, sin_theta)$keywords)
"""

# Where rows and columns take a matrix product, a pair that is taken out of its matrix costs as much as CROWD in it.
CROWD = 16

TOGETHER = f"""\
    elif {CROWD} * np.count_nonzero(near) > near.size:
        parallel = [np.where(near, one, other) for one, other in ((cos, 1.0), (sin_theta, 0.0))]
        closer = _near(q1, q2, sigma, *parallel, *arrays[5:])
        k, k_dot, gap, gap_dot = [np.where(near, one, other) for one, other in zip(closer, _far(*arrays))]
"""

PRICE = '''
ROUNDING = $rounding  # by which a kernel may err

GAUSS = (  # nodes and weights on [0, 1]
    (0.046910077030668004, 0.11846344252809454),
    (0.23076534494715845, 0.23931433524968324),
    (0.5, 0.28444444444444444),
    (0.7692346550528415, 0.23931433524968324),
    (0.953089922969332, 0.11846344252809454),
)


def falls(q1, q2, c, rho, sin_theta, k1, k2, d1, d2$signature):
    """sqrt(k1 k2) - K and sqrt(d1 d2) - K' for c >= 0.

    The first by Price's integral of K' from parallel inputs, where their outputs are parallel too.
    """
    angle, norm, slopes = np.arctan2(sin_theta, rho), np.sqrt(q1) * np.sqrt(q2), 0.0
    for node, weight in GAUSS if np.any(angle) else ():
        cos, sin = np.cos(node * angle), np.sin(node * angle)
        slopes = slopes + weight * sin * pair(q1, q2, norm * cos, cos, sin$keywords)[1]
    k, d = pair(q1, q2, c, rho, sin_theta$keywords)
    size, better = np.sqrt(k1) * np.sqrt(k2), norm * angle * slopes
    parallel = np.abs(better - (size - k)) < ROUNDING * size
    return np.maximum(np.where(parallel, better, size - k), 0), np.sqrt(d1) * np.sqrt(d2) - d
'''

DIFFERENCE = '''
def falls(q1, q2, c, rho, sin_theta, k1, k2, d1, d2$signature):
    """sqrt(k1 k2) - K and sqrt(d1 d2) - K' for c >= 0, differences of formulas in which nothing cancels."""
$body
'''


def close_pairs(parity: int, parallel: bool, matrices: bool, signature: str, keywords: str) -> dict[str, str]:
    """What NETWORK says of close pairs, also at an angle near π where K(−c) = ±K(c), K′(−c) = ∓K′(c).

    `matrices`: whether pairs of all rows and columns take less time than as many others.
    """
    near = "np.abs(cos) > 1 - CLOSE" if parity else "cos > 1 - CLOSE"
    folded, signs = "c, cos", ""
    if not parallel:
        near = f"({near}) & _alike(k1, k2) & _alike(d1, d2)"
    if parity != 0:
        value = "k" if parity < 0 else "k_dot"
        signs = f"    {value} = np.where(cos < 0, -{value}, {value})\n"
        if parity > 0:
            signs += "    gap_dot = np.where(cos < 0, 2 - gap_dot, gap_dot)\n"
        folded = "np.abs(c), np.abs(cos)"
    text = Template(("" if parallel else ALIKE) + CLOSE_PAIRS).substitute(
        folded=folded,
        signs=signs,
        signature=signature,
        keywords=keywords,
        lost="" if matrices else LOST,
        again="" if matrices else Template(AGAIN).substitute(keywords=keywords),
    )
    return {"near": near, "close_pairs": text.rstrip() + "\n", "crowd": TOGETHER if matrices else ""}


ALIKE = '''def _alike(v1, v2):
    """Whether variances are so near to each other that their differences keep their digits."""
    if 12 * min(v1.min(), v2.min()) > max(v1.max(), v2.max()):
        return True
    return (v1 < 12 * v2) & (v2 < 12 * v1)


'''
