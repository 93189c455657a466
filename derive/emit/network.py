"""The text of a generated NumPy module that turns its dual functions into the kernels of a network.

What a pair carries from layer to layer is (q1, q2, Σ12, cos θ, sin θ), and gap = 1 − |cos θ| is where digits
would be lost: a kernel with a kink feels θ ~ √(2 gap) itself. So no gap is ever left as a difference of rounded
numbers when it is small:
* of rows, by the part of one that is orthogonal to the other (Gram–Schmidt, twice; Kahan's needle triangles), or
  of a cluster of rows by their projections to a tangent plane;
* of a layer, by stabilise/difference.py, or where that has no rule by Price's theorem, K(1) − K(cos θ) =
  √(q1q2) ∫₀^θ K̇ sin, a few Gauss nodes for a small θ, if it agrees with the subtraction to its rounding;
* of a bias, by w²k + b² having the determinant w⁴ det k + w²b² (k11 + k22 − 2 k12).
"""

NETWORK = '''
def recursion(q1, q2, sigma, rho, sin_theta, depth, sigma_w, sigma_b$signature):
    """(Sigma, Theta) after `depth` hidden layers, from the pair state of the input kernel.

    Sigma_l = sigma_w**2 K(Sigma_l-1) + sigma_b**2
    Theta_l = Sigma_l + sigma_w**2 K'(Sigma_l-1) Theta_l-1,  Theta_0 = Sigma_0
    """
    c = theta = sigma
    for layer, (w2, b2) in enumerate(_squares(sigma_w, sigma_b, depth), 1):
        k, k_dot = pair(q1, q2, c, rho, sin_theta$keywords)
        sigma = w2 * k + b2
        theta = sigma + w2 * k_dot * theta
        if layer < depth:
            k1, k2 = (diagonal(q$keywords)[0] for q in (q1, q2))
            before = q1, q2, c, rho, sin_theta, k1, k2, k
            q1, q2, rho, sin_theta = _state(w2, b2, k1, k2, k, sigma, lambda at: _fall(at, *before$keywords))
            c = np.sqrt(q1) * np.sqrt(q2) * rho
    return sigma, theta


def recursion_diagonal(q, depth, sigma_w, sigma_b$signature):
    """(Sigma, Theta) of inputs with themselves after `depth` hidden layers."""
    sigma = theta = q
    for w2, b2 in _squares(sigma_w, sigma_b, depth):
        k, k_dot = diagonal(sigma$keywords)
        sigma = w2 * k + b2
        theta = sigma + w2 * k_dot * theta
    return sigma, theta


def _squares(sigma_w, sigma_b, depth):
    """(sigma_w**2, sigma_b**2) for each layer. Each errs by a rounding, their running product by no more."""
    squares = [[s * s, _product_error(s, s, s * s)] for s in (float(sigma_w), float(sigma_b))]
    debts = [low for _, low in squares]
    for _ in range(depth):
        rounded = [high + debt for (high, _), debt in zip(squares, debts)]
        debts = [(high - r) + debt + low for (high, low), r, debt in zip(squares, rounded, debts)]
        yield rounded


def _state(w2, b2, k1, k2, k, sigma, fall):
    """(q1, q2, cos, sin) of sigma = w2*k + b2, from the variances k1, k2 of k.

    Where the angle is small, `fall` gives sqrt(k1 k2) - |k| of the entries asked for, to all its digits.
    """
    q1, q2 = w2 * k1 + b2, w2 * k2 + b2
    inverse1, inverse2 = (1 / np.sqrt(np.where(q > 0, q, 1)) for q in (q1, q2))
    cos = sigma * inverse1 * inverse2
    gap = 1 - np.abs(cos)
    close = gap < CLOSE
    if not close.any():
        return q1, q2, cos, np.sqrt(gap * (1 + np.abs(cos)))
    where = ... if close.all() else np.nonzero(close)
    k1, k2, k, inverse = _at(where, close.shape, k1, k2, k, inverse1 * inverse2)
    fall, size = fall(where), np.sqrt(k1) * np.sqrt(k2)
    # w2*k + b2 has the determinant w2**2 det(k) + w2 b2 (k1 + k2 - 2 k), and the norm no digits to lose.
    square = (w2 * inverse) ** 2 * fall * (2 * size - fall)
    if b2 > 0:
        apart = (np.sqrt(k1) - np.sqrt(k2)) ** 2 + 2 * np.where(k < 0, 2 * size - fall, fall)
        square = square + (w2 * inverse) * (b2 * inverse) * apart
    gap[where] = square / (1 + np.sqrt(np.maximum(1 - square, 0)))
    return q1, q2, np.copysign(1 - gap, cos), np.sqrt(np.maximum(gap * (2 - gap), 0))


def _at(where, shape, *arrays):
    """The entries of arrays that broadcast to `shape`; ... stands for all of them."""
    return [a if where is ... else np.broadcast_to(a, shape)[where] for a in arrays]


def _fall(where, q1, q2, c, rho, sin_theta, k1, k2, k$signature):
    """sqrt(k1 k2) - |k| of a layer's outputs."""
    q1, q2, c, rho, sin_theta, k1, k2, k = _at(where, k.shape, q1, q2, c, rho, sin_theta, k1, k2, k)
$folded    size = np.sqrt(k1) * np.sqrt(k2)
    direct, better = size - np.abs(k), deficit(q1, q2, c, rho, sin_theta, k1, k2$keywords)
    return np.maximum(np.where(np.abs(better - direct) < ROUNDING * size, better, direct), 0)


def _row_fall(where, X, Z, k1, k2, k, same):
    """|x| |z| - |x.z| of rows, and in `same` where two rows are one."""
    fall = np.sqrt(k1) * np.sqrt(k2)
    near = np.zeros(k.shape, bool)
    near[where] = True
    fall, near = fall - np.abs(k), near & (fall - np.abs(k) < CLOSE * fall)
    if np.count_nonzero(near) > 4 * sum(k.shape):
        _tangent(X, Z, k1, k2, k, fall, near)
    for i in np.flatnonzero(near.any(axis=1)):
        x, (j,) = X[i], np.nonzero(near[i])
        z, factor = Z[j], (k[i, j] / k1[i])[:, None]
        same[i, j] = (z == x).all(axis=1)
        part = factor * x
        rest = z - part
        opposite = k[i, j] < 0
        if opposite.any():  # a one-sided kernel vanishes at pi: the angle to pi is wanted to all its digits
            rest[opposite] -= _product_error(factor[opposite], x, part[opposite])
        rest -= ((rest @ x) / k1[i])[:, None] * x
        square = np.einsum("ij,ij->i", rest, rest) / k2[0, j]
        square[same[i, j] | (z == -x).all(axis=1)] = 0
        fall[i, j] = np.sqrt(k1[i] * k2[0, j]) * square / (1 + np.sqrt(1 - square))
    return fall[where]


def _tangent(X, Z, k1, k2, k, fall, near):
    """Angles within a cluster of rows, by one product of the rows projected from 0 to the plane that touches there.

    Their error is eps times the square of the cluster's radius: what is closer still is left in `near`.
    """
    for _ in range(8):
        row = int(np.argmax(near.sum(axis=1)))
        origin = X[row]
        i, j = np.flatnonzero(np.abs(X @ origin) > 0.8 * np.sqrt(k1[:, 0] * k1[row, 0])), np.flatnonzero(near[row])
        if len(j) < 32:
            return
        s, t = (_projected(A, origin, k1[row, 0]) for A in (X[i], Z[j]))
        s2, t2 = np.einsum("ij,ij->i", s, s)[:, None], np.einsum("ij,ij->i", t, t)[None, :]
        product = s @ t.T
        chord = s2 + t2 - 2 * product
        square = (chord + (s2 * t2 - product * product)) / ((1 + s2) * (1 + t2))
        block = np.ix_(i, j)
        good = near[block] & (k[block] > 0) & (chord > 16 * np.maximum(s2, t2) ** 2)
        size = np.sqrt(k1[i]) * np.sqrt(k2[:, j])
        fall[block] = np.where(good, size * square / (1 + np.sqrt(np.maximum(1 - square, 0))), fall[block])
        near[block] &= ~good


def _projected(A, origin, square):
    """The part of rows that is orthogonal to the origin, over the part along it: a tangent of their angle to it."""
    rest = A - origin
    along = (rest @ origin)[:, None] / square
    rest = rest - along * origin
    return rest / ((1 + along) * np.sqrt(square))


def nngp(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Covariance of the outputs of a random network on rows of X (n, d) and of Y (m, d; X when None)."""
    return _gram(0, X, Y, depth, sigma_w, sigma_b$keywords)


def ntk(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Neural tangent kernel on rows of X (n, d) and of Y (m, d; X when None), biases trained."""
    return _gram(1, X, Y, depth, sigma_w, sigma_b$keywords)


def _gram(which, X, Y, depth, sigma_w, sigma_b$signature):
    """Sigma (which = 0) or Theta (1) in tiles, so that beside the result only temporaries of one tile are held."""
    X, Z, dtype = _doubles(X, X if Y is None else Y)
    if X.ndim != 2 or Z.ndim != 2 or X.shape[1] != Z.shape[1]:
        raise ValueError(f"X and Y must be (n, d) and (m, d), not {X.shape} and {Z.shape}")
    if depth < 0:
        raise ValueError(f"depth={depth} must be >= 0, the number of hidden layers")
    k1, k2 = np.einsum("ij,ij->i", X, X), np.einsum("ij,ij->i", Z, Z)
    result = np.empty((len(X), len(Z)), dtype)
    for i in range(0, len(X), TILE):
        for j in range(0 if Y is not None else i, len(Z), TILE):
            rows, columns = slice(i, i + TILE), slice(j, j + TILE)
            pairs = X[rows], Z[columns], k1[rows, None], k2[None, columns]
            tile = _tile(which, *pairs, depth, sigma_w, sigma_b$keywords)
            if Y is None and i == j:
                tile = np.triu(tile) + np.triu(tile, 1).T
            result[rows, columns] = tile
            if Y is None and i < j:
                result[columns, rows] = tile.T
    for i, first in _copies(X, k1):
        result[i] = result[first]
    for j, first in _copies(Z, k2):
        result[:, j] = result[:, first]
    return result


def _tile(which, X, Z, k1, k2, depth, sigma_w, sigma_b$signature):
    w2, b2 = sigma_w**2 / X.shape[1], sigma_b**2
    k, same = X @ Z.T, np.zeros((len(X), len(Z)), bool)
    sigma = w2 * k + b2
    q1, q2, rho, sin_theta = _state(w2, b2, k1, k2, k, sigma, lambda at: _row_fall(at, X, Z, k1, k2, k, same))
    tile = recursion(q1, q2, sigma, rho, sin_theta, depth, sigma_w, sigma_b$keywords)[which]
    if same.any():
        diagonal = recursion_diagonal(q1, depth, sigma_w, sigma_b$keywords)[which]
        tile = np.where(same, diagonal, tile)
    return tile


def _copies(X, squares):
    """(i, j) for every row i that equals an earlier one, j being the first of them: copies have one kernel."""
    seen = {}
    values, counts = np.unique(squares, return_counts=True)
    alike = np.flatnonzero(np.isin(squares, values[counts > 1]))
    firsts = [(i, seen.setdefault((X[i] + 0.0).tobytes(), i)) for i in alike]
    return [(i, j) for i, j in firsts if i != j]
'''

PRICE = '''
GAUSS = (  # nodes and weights on [0, 1]
    (0.046910077030668004, 0.11846344252809454),
    (0.23076534494715845, 0.23931433524968324),
    (0.5, 0.28444444444444444),
    (0.7692346550528415, 0.23931433524968324),
    (0.953089922969332, 0.11846344252809454),
)


def deficit(q1, q2, c, rho, sin_theta, k1, k2$signature):
    """sqrt(k1 k2) - K where parallel inputs have parallel outputs: Price's integral of K' from there."""
    angle, norm, slopes = np.arctan2(sin_theta, rho), np.sqrt(q1) * np.sqrt(q2), 0.0
    for node, weight in GAUSS:
        cos, sin = np.cos(node * angle), np.sin(node * angle)
        slopes = slopes + weight * sin * pair(q1, q2, norm * cos, cos, sin$keywords)[1]
    return norm * angle * slopes
'''

DEFICIT = '''
def deficit(q1, q2, c, rho, sin_theta, k1, k2$signature):
    """sqrt(k1 k2) - K for c >= 0, a difference of K in which nothing cancels; k1 = K(q1, q1), k2 = K(q2, q2)."""
$body
'''

FOLDED = "    c, rho = np.abs(c), np.abs(rho)\n"  # K(-c) = K(c) or -K(c)
