"""The text of a generated NumPy module that turns its dual functions into the kernels of a network.

What a pair carries from layer to layer are Σ12 and Θ12, the angle of Σ as (cos, sin), and the gaps 1 − cos of Σ and
of Θ, their cosines being Σ12/√(Σ11 Σ22) and Θ12/√(Θ11 Θ22). Digits would be lost in differences where an angle is
small, or near π for an even or odd φ: a kernel with a kink feels the angle itself, and the smallest eigenvalues of
a matrix of kernels are made of such gaps. So none that is small is ever a difference of rounded numbers:
* of rows, it comes from the part of one that is orthogonal to the other (Gram–Schmidt, twice; Kahan's needle
  triangles), or within a cluster of rows from their projections to a tangent plane;
* of K and K', from stabilise/difference.py, or where that has no rule by Price's theorem, K(1) − K(cos θ) =
  √(q1q2) ∫₀^θ K' sin, a few Gauss nodes for a small θ;
* a sum A + B of kernels has the gap a1 a2 gap A + b1 b2 gap B + ((a1 − a2)² + (b1 − b2)²)/2, where aᵢ² and bᵢ² are
  the shares of A and B in its variances: nothing cancels;
* a product has the gap g + h − gh of the gaps of its factors.
A kernel near those of its ends is at last half their sum less a small part: what errors the ends have it shares.
"""

NETWORK = '''
# What is known of a row at each layer, rows of a table: its kernels, their roots and inverse roots; K and K' before
# the layer's weights; the roots of the shares of these and of the bias in Sigma, of Sigma and the rest in Theta.
(
    VARIANCE, ROOT, INVERSE, THETA, ROOT_THETA, INVERSE_THETA, DIAGONAL, ROOT_DIAGONAL, SLOPE, ROOT_SLOPE,
    WEIGHT, BIAS, OUTER, INNER
) = range(14)

# The root of the share of the bias in a variance from which on angles are small, whatever they were.
DOMINANT = 0.9


def ends_of(k, scales$signature):
    """The table of inputs with the squares k, by layer, the input's first: (layers, 14, n)."""
    table = np.empty((len(scales), INNER + 1, len(k)))
    theta, slope = np.zeros(len(k)), np.zeros(len(k))
    for layer, (w2, b2) in enumerate(scales):
        if layer > 0:
            k, slope = diagonal(q$keywords)
        q = w2 * k + b2
        inner = w2 * slope * theta
        theta = q + inner
        shares = _share(w2 * k, q, 1), _share(b2, q), _share(q, theta, 1), _share(inner, theta)
        roots = [np.sqrt(np.maximum(each, TINY)) for each in (q, theta, k, slope)]
        table[layer] = (
            q, np.sqrt(q), (q > 0) / roots[0], theta, np.sqrt(theta), (theta > 0) / roots[1],
            np.maximum(k, TINY), roots[2], np.maximum(slope, TINY), roots[3], *shares,
        )
    return table


def recursion(sigma, cos, sin_theta, gap, ends1, ends2, scales$signature):
    """(Sigma, Theta) after the hidden layers, from the pair state of the input kernel and the tables of its ends.

    Sigma_l = sigma_w**2 K(Sigma_l-1) + sigma_b**2
    Theta_l = Sigma_l + sigma_w**2 K'(Sigma_l-1) Theta_l-1,  Theta_0 = Sigma_0
    """
    theta, gap_t = sigma, gap
    for layer in range(1, len(scales)):
        sigma, theta, cos, sin_theta, gap, gap_t = _layer(
            *scales[layer], *ends1[layer - 1 : layer + 1], *ends2[layer - 1 : layer + 1],
            sigma, theta, cos, sin_theta, gap_t$keywords
        )
    one, two = ends1[-1], ends2[-1]
    return _kernel(one[VARIANCE], two[VARIANCE], sigma, gap), _kernel(one[THETA], two[THETA], theta, gap_t)


def _kernel(one, two, direct, gap):
    """A kernel, from those of its ends with themselves where it is near to them: rounded once then."""
    if gap is None:
        return direct
    root1, root2 = np.sqrt(one), np.sqrt(two)
    less = (root1 - root2) ** 2 / 2 + root1 * root2 * gap
    high, low = np.maximum(one, two), np.minimum(one, two)
    return np.where(less < (high + low) / 8, high - ((high - low) / 2 + less), direct)


def _size(v1, v2):
    """sqrt(v1 v2), to divide by; exactly v where both are v."""
    v1, v2 = np.maximum(v1, TINY), np.maximum(v2, TINY)
    if all(((v > 1e-150) & (v < 1e150)).all() for v in (v1, v2)):
        return np.sqrt(v1 * v2)
    return np.sqrt(v1) * np.sqrt(v2)


def _share(part, total, of_none=0):
    """The root of a part's share in a variance; of one that is 0, as asked."""
    return np.sqrt(part / np.maximum(total, TINY)) + of_none * (total == 0)


def _squares(sigma_w, sigma_b, depth):
    """(sigma_w**2, sigma_b**2) for each layer. Each errs by a rounding, their running product by no more."""
    squares = [[s * s, _product_error(s, s, s * s)] for s in (float(sigma_w), float(sigma_b))]
    debts = [low for _, low in squares]
    for _ in range(depth):
        rounded = [high + debt for (high, _), debt in zip(squares, debts)]
        debts = [(high - r) + debt + low for (high, low), r, debt in zip(squares, rounded, debts)]
        yield rounded


def _layer(w2, b2, before1, end1, before2, end2, sigma, theta, cos, sin_theta, gap_t$signature):
    """A pair after a layer: (Sigma, Theta, cos, sin, 1 - cos of Sigma, 1 - cos of Theta).

    All but the kernels may be None, for what these say of them: where none is close before the layer.
    """
    if cos is None:
        cos = sigma * before1[INVERSE]
        cos *= before2[INVERSE]
    q1, q2, k1, k2, d1, d2 = (
        *(e[VARIANCE] for e in (before1, before2)), *(e[n] for n in (DIAGONAL, SLOPE) for e in (end1, end2))
    )
    level = end1[BIAS].max(initial=0) <= DOMINANT
    if level and LOWEST <= cos.min(initial=0) and cos.max(initial=0) <= HIGHEST:
        return _apart(w2, b2, q1, q2, end1, end2, sigma, theta, cos$keywords)
    if sin_theta is None:
        sin_theta = _sine(cos)
    near = $near
    if level and not near.any():
        return _after(w2, b2, theta, *pair(q1, q2, sigma, cos, sin_theta$keywords))
    size, size_dot = _size(k1, k2), _size(d1, d2)
    arrays = q1, q2, sigma, cos, sin_theta, k1, k2, d1, d2, size, size_dot
    if near.all():
        k, k_dot, gap, gap_dot = _near(*arrays$keywords)
    else:
        k, k_dot, gap, gap_dot = values = [np.array(each) for each in _far(*arrays$keywords)]
        at = np.flatnonzero(near)
        closer = _near(*_taken(at, near.shape, *arrays)$keywords) if len(at) else ()
        for all_of_them, some in zip(values, closer):
            all_of_them.flat[at] = some
    if gap_t is None:
        gap_t = 1 - theta / _size(before1[THETA], before2[THETA])
    sigma = w2 * k + b2
    theta = sigma + w2 * k_dot * theta
    gap = _sum_gap(*(e[n] for n in (WEIGHT, BIAS) for e in (end1, end2)), gap, 2.0 * (k < 0))
    cos, sin_theta, gap = _angle(sigma, _size(end1[VARIANCE], end2[VARIANCE]), k, gap)
    gap_t = _sum_gap(*(e[n] for n in (OUTER, INNER) for e in (end1, end2)), gap, gap_dot + gap_t - gap_dot * gap_t)
    return sigma, theta, cos, sin_theta, gap, gap_t


def _apart(w2, b2, q1, q2, end1, end2, sigma, theta, cos$signature):
    """What _layer returns of pairs all of which are apart."""
    return _after(w2, b2, theta, *apart(q1, q2, sigma, cos$keywords))


def _after(w2, b2, theta, k, k_dot):
    """The same from K and K'."""
    sigma = w2 * k
    sigma += b2
    k_dot = k_dot * w2
    k_dot *= theta
    k_dot += sigma
    return sigma, k_dot, None, None, None, None


def _sine(cos):
    square = (1 - cos) * (1 + cos)
    return np.sqrt(np.maximum(square, 0, out=square), out=square)


def _angle(sigma, size, k, gap):
    """(cos, sin, 1 - cos) of sigma = w2*k + b2, from 1 - cos or, where k < 0, 1 + cos."""
    cos = np.where(gap < 0.125, np.copysign(1 - gap, k), sigma / size)
    return cos, np.sqrt(np.maximum(gap * (2 - gap), 0)), np.where(k < 0, 2 - gap, gap)


def _sum_gap(a1, a2, b1, b2, gap_a, gap_b):
    """1 - cos of a sum of kernels A + B, from the roots of their shares in the variances of its ends."""
    return a1 * a2 * gap_a + b1 * b2 * gap_b + ((a1 - a2) ** 2 + (b1 - b2) ** 2) / 2


${alike}def _taken(at, shape, *arrays):
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
    lost = np.flatnonzero((gap > 0.5) | (gap_dot > 0.5))
$signs    if len(lost):
        k.flat[lost], k_dot.flat[lost] = pair(*_taken(lost, k.shape, q1, q2, sigma, cos, sin_theta)$keywords)
    return k, k_dot, gap, gap_dot


def _refined(X, Z, k1, k2, k, gap, near):
    """Puts 1 - |cos| of the rows `near` to each other, or opposite, into `gap`; where two rows are one."""
    same = np.zeros(k.shape, bool)
    if np.count_nonzero(near) > 4 * sum(k.shape):
        _tangent(X, Z, k1, k2, k, gap, near)
    for i in np.flatnonzero(near.any(axis=1)):
        x, (j,) = X[i], np.nonzero(near[i])
        z, factor = Z[j], (k[i, j] / k1[i])[:, None]
        same[i, j] = (z == x).all(axis=1)
        part = factor * x
        rest = z - part
        # A jump's kernel feels the root of the angle, a one-sided one vanishes at pi: all the digits are wanted.
        rest -= _product_error(factor, x, part)
        rest -= ((rest @ x) / k1[i])[:, None] * x
        square = np.einsum("ij,ij->i", rest, rest) / k2[0, j]
        square[same[i, j] | (z == -x).all(axis=1)] = 0
        gap[i, j] = square / (1 + np.sqrt(1 - square))
    return same


def _tangent(X, Z, k1, k2, k, gap, near):
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
        gap[block] = np.where(good, square / (1 + np.sqrt(np.maximum(1 - square, 0))), gap[block])
        near[block] &= ~good


def _projected(A, origin, square):
    """The part of rows that is orthogonal to the origin, over the part along it: a tangent of their angle to it."""
    rest = A - origin
    along = (rest @ origin)[:, None] / square
    rest = rest - along * origin
    return rest / ((1 + along) * np.sqrt(square))


def nngp(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Covariance of the outputs of a random network on rows of X (n, d) and of Y (m, d; X when None)."""
    return _gram(False, X, Y, depth, sigma_w, sigma_b$keywords)


def ntk(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Neural tangent kernel on rows of X (n, d) and of Y (m, d; X when None), biases trained."""
    return _gram(True, X, Y, depth, sigma_w, sigma_b$keywords)


def _gram(tangent, X, Y, depth, sigma_w, sigma_b$signature):
    """Theta if `tangent`, else Sigma, in tiles: beside the result only temporaries of one tile are held."""
    X, Z, dtype = _doubles(X, X if Y is None else Y)
    if X.ndim != 2 or Z.ndim != 2 or X.shape[1] != Z.shape[1]:
        raise ValueError(f"X and Y must be (n, d) and (m, d), not {X.shape} and {Z.shape}")
    if depth < 0:
        raise ValueError(f"depth={depth} must be >= 0, the number of hidden layers")
    one = rows_of(X, tangent, depth, sigma_w, sigma_b$keywords)
    other = one if Y is None else rows_of(Z, tangent, depth, sigma_w, sigma_b$keywords)
    result = np.empty((len(X), len(Z)), dtype)
    for part, parts in tiles_of(len(X), len(Z), Y is None):
        within = Y is None and part == parts
        tile = tile_of(one, part, other, parts, within)
        result[part, parts] = tile
        if Y is None and not within:
            result[parts, part] = tile.T
    for i, first in _copies(X):
        result[i] = result[first]
    for j, first in _copies(Z):
        result[:, j] = result[:, first]
    return result


def tiles_of(n, m, within=False):
    """The tiles of n rows with m others: slices, at places that do not depend on n and m, in order.

    `within`: both are the same rows, and no tile has any pair twice, but those on the diagonal.
    """
    high, wide = TILE
    for i in range(0, n, high):
        part, start = slice(i, min(i + high, n)), 0
        if within:
            yield part, part
            start = part.stop
        cuts = [start, *range((start // wide + 1) * wide, m, wide), m]
        yield from ((part, slice(*parts)) for parts in zip(cuts, cuts[1:]) if start < m)


def rows_of(X, tangent, depth, sigma_w, sigma_b$signature):
    """What the tiles of rows X (n, d) share, computed once: a table by layer, and their own kernel."""
    X = np.ascontiguousarray(X, np.float64)
    scales = [(float(sigma_w) ** 2 / max(X.shape[1], 1), float(sigma_b) ** 2), *_squares(sigma_w, sigma_b, depth)]
    table = ends_of(np.einsum("ij,ij->i", X, X), scales$keywords)
    return X, table, table[-1, THETA if tangent else VARIANCE], (tangent, scales, dict($pairs))


def tile_of(one, part, other, parts, within=False):
    """The kernel of rows `part` of `one` with rows `parts` of `other`, slices of what rows_of returned.

    `within`: both are the same rows; what is above the diagonal is computed, the rest mirrored.
    """
    (X, rows, own, (tangent, scales, params)), (Z, columns, *_) = one, other
    X, Z, rows, columns = X[part], Z[parts], rows[..., part, None], columns[..., None, parts]
    k, gap, same = np.triu(X @ Z.T, 1) if within else X @ Z.T, None, np.zeros((1, 1), bool)
    cos = k / rows[0, ROOT_DIAGONAL]
    cos /= columns[0, ROOT_DIAGONAL]
    if max(cos.max(initial=0), -cos.min(initial=0)) > 1 - CLOSE:
        gap = _gap(k, rows[0], columns[0])
        same = _refined(X, Z, rows[0, DIAGONAL], columns[0, DIAGONAL], k, gap, gap < CLOSE)
    start = _start(*scales[0], rows[0], columns[0], k, gap)
    tile = recursion(*start, rows, columns, scales, **params)[int(tangent)]
    if same.any():
        tile = np.where(same, own[part, None], tile)
    if within:
        tile = np.triu(tile, 1)
        tile += tile.T
        np.fill_diagonal(tile, own[part])
    return tile


def _start(w2, b2, end1, end2, k, gap):
    """(Sigma, cos, sin, 1 - cos) before the first layer of pairs whose rows have the product k, gap = 1 - |cos|.

    The gaps are None where no rows are close. All that sigma says is None where none are after the bias either.
    """
    sigma = w2 * k + b2
    if gap is None:
        if end1[BIAS].max(initial=0) <= DOMINANT:
            return sigma, None, None, None
        gap = _gap(k, end1, end2)
    gap = _sum_gap(*(e[n] for n in (WEIGHT, BIAS) for e in (end1, end2)), gap, 2.0 * (k < 0))
    return sigma, *_angle(sigma, _size(end1[VARIANCE], end2[VARIANCE]), k, gap)


def _gap(k, end1, end2):
    return 1 - np.abs(k) / _size(end1[DIAGONAL], end2[DIAGONAL])


def _copies(X):
    """(i, j) for every row i that equals an earlier one, j being the first of them: copies have one kernel."""
    squares, seen = np.einsum("ij,ij->i", X, X), {}
    values, counts = np.unique(squares, return_counts=True)
    alike = np.flatnonzero(np.isin(squares, values[counts > 1]))
    firsts = [(i, seen.setdefault((X[i] + 0.0).tobytes(), i)) for i in alike]
    return [(i, j) for i, j in firsts if i != j]
'''

PRICE = '''
ROUNDING = 4e-15  # by which a kernel may err

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
    for node, weight in GAUSS:
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


def closeness(parity: int, parallel: bool) -> dict[str, str]:
    """What NETWORK says of pairs that are close, also at an angle near π where K(−c) = ±K(c), K′(−c) = ∓K′(c)."""
    near = "np.abs(cos) > 1 - CLOSE" if parity else "cos > 1 - CLOSE"
    text = {"near": near, "folded": "c, cos", "signs": "", "alike": ""}
    if not parallel:
        text |= {"near": f"({near}) & _alike(k1, k2) & _alike(d1, d2)", "alike": ALIKE}
    if parity != 0:
        value = "k" if parity < 0 else "k_dot"
        signs = f"    {value} = np.where(cos < 0, -{value}, {value})\n"
        if parity > 0:
            signs += "    gap_dot = np.where(cos < 0, 2 - gap_dot, gap_dot)\n"
        text |= {"folded": "np.abs(c), np.abs(cos)", "signs": signs}
    return text


ALIKE = '''def _alike(v1, v2):
    """Whether variances are so near to each other that their differences keep their digits."""
    if 12 * min(v1.min(), v2.min()) > max(v1.max(), v2.max()):
        return True
    return (v1 < 12 * v2) & (v2 < 12 * v1)


'''
