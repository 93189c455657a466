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

# Bytes of a block that is freed at once: the C library of Linux then keeps twice as many that temporaries free,
# where it would map and clear the pages of each anew.
KEPT = 31 * 2**20


def ends_of(k, scales, width$signature):
    """The table of inputs with the squares k, by layer, the input's first: (layers, 14 or a larger width, n)."""
    table = np.empty((len(scales), width, len(k)))
    theta, slope = np.zeros(len(k)), np.zeros(len(k))
    for layer, (w2, b2) in enumerate(scales):
        if layer > 0:
            k, slope = $slope
        q = w2 * k + b2
        inner = w2 * slope * theta
        theta = q + inner
        shares = _share(w2 * k, q, 1), _share(b2, q), _share(q, theta, 1), _share(inner, theta)
        roots = [np.sqrt(np.maximum(each, TINY)) for each in (q, theta, k, slope)]
        table[layer, : INNER + 1] = (
            q, np.sqrt(q), (q > 0) / roots[0], theta, np.sqrt(theta), (theta > 0) / roots[1],
            np.maximum(k, TINY), roots[2], np.maximum(slope, TINY), roots[3], *shares,
        )
    return table


def recursion(sigma, cos, sin_theta, gap, ends1, ends2, scales$signature):
    """Sigma and Theta after the hidden layers, each with its gap, or None where no pair is close.

    From the pair state of the input kernel and the tables of its ends:

    Sigma_l = sigma_w**2 K(Sigma_l-1) + sigma_b**2
    Theta_l = Sigma_l + sigma_w**2 K'(Sigma_l-1) Theta_l-1,  Theta_0 = Sigma_0
    """
    theta, gap_t = sigma, gap
    for layer in range(1, len(scales)):
        sigma, theta, cos, sin_theta, gap, gap_t = _layer(
            *scales[layer], *ends1[layer - 1 : layer + 1], *ends2[layer - 1 : layer + 1],
            sigma, theta, cos, sin_theta, gap_t$keywords
        )
    return (sigma, gap), (theta, gap_t)


def _kernel(tangent, state, ends1, ends2, scales$signature):
    """Theta if `tangent`, else Sigma; where it is near to those of its ends from these, rounded once then."""
    direct, gap = recursion(*state, ends1, ends2, scales$keywords)[int(tangent)]
    if gap is None:
        return direct
    one, two = (ends[-1][THETA if tangent else VARIANCE] for ends in (ends1, ends2))
    half1, half2 = np.sqrt(one / 2), np.sqrt(two / 2)
    less, product = half1 - half2, 2 * half1 * half2
    less *= less
    product *= gap
    less += product
    high, apart = np.maximum(one, two), np.subtract(one, two, out=product)
    near = less < 0.2 * high
    np.abs(apart, out=apart)
    apart *= 0.5
    less += apart
    return np.where(near, high - less, direct)


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
    extent = cos.min(initial=1), cos.max(initial=-1)
    if level and LOWEST <= extent[0] and extent[1] <= HIGHEST:
        return _apart(w2, b2, q1, q2, end1, end2, sigma, theta, cos, extent$keywords)
    if sin_theta is None:
        sin_theta = _sine(cos)
    near = $near
    if level and not near.any():
        k, k_dot = pair(q1, q2, sigma, cos, sin_theta$keywords)
        return _after(b2, theta, w2 * k, w2 * k_dot)
    size, size_dot = _size(k1, k2), _size(d1, d2)
    arrays = q1, q2, sigma, cos, sin_theta, k1, k2, d1, d2, size, size_dot
    if near.all():
        k, k_dot, gap, gap_dot = _near(*arrays$keywords)
$crowd    else:
        k, k_dot, gap, gap_dot = values = [np.array(each) for each in _far(*arrays$keywords)]
        at = np.flatnonzero(near)
        closer = _near(*_taken(at, near.shape, *arrays)$keywords) if len(at) else ()
        for all_of_them, some in zip(values, closer):
            all_of_them.flat[at] = some
    if gap_t is None:
        gap_t = 1 - theta / _size(before1[THETA], before2[THETA])
    sigma, theta, *_ = _after(b2, theta, w2 * k, w2 * k_dot)
    cos, sin_theta, gap = _angle(sigma, end1, end2, k, gap)
    gap_t = _sum_gap(*(e[n] for n in (OUTER, INNER) for e in (end1, end2)), gap, gap_dot + gap_t - gap_dot * gap_t)
    return sigma, theta, cos, sin_theta, gap, gap_t


def _apart(w2, b2, q1, q2, end1, end2, sigma, theta, cos, extent$signature):
    """What _layer returns of pairs all of which are apart."""
    return _after(b2, theta, *apart(q1, q2, sigma, cos, w2$keywords))


def _after(b2, theta, k, k_dot):
    """The same from w2 K, in its place, and w2 K', which may be one array."""
    k_dot = k_dot * theta
    k += b2
    k_dot += k
    return k, k_dot, None, None, None, None


def _sine(cos):
    square = (1 - cos) * (1 + cos)
    return np.sqrt(np.maximum(square, 0, out=square), out=square)


def _angle(sigma, end1, end2, k, gap):
    """(cos, sin, 1 - cos) of sigma = w2*k + b2, from 1 - |cos| of k."""
    negative = k < 0
    opposite = 2.0 * negative if negative.any() else None
    gap = _sum_gap(*(e[n] for n in (WEIGHT, BIAS) for e in (end1, end2)), gap, opposite)
    cos, other = 1 - gap, 2 - gap
    sine = gap * other
    np.sqrt(np.maximum(sine, 0, out=sine), out=sine)
    wide = gap >= 0.125
    if negative.any():
        np.negative(cos, out=cos, where=negative)
        gap = np.where(negative, other, gap)
    if wide.any():
        cos = np.where(wide, sigma / _size(end1[VARIANCE], end2[VARIANCE]), cos)
    return cos, sine, gap


def _sum_gap(a1, a2, b1, b2, gap_a, gap_b):
    """1 - cos of a sum of kernels A + B, from the roots of their shares in the variances of its ends."""
    total, difference = a1 * a2, a1 - a2
    total *= gap_a
    if gap_b is not None:
        total += b1 * (b2 * gap_b)
    difference *= difference
    total += 0.5 * difference
    np.subtract(b1, b2, out=difference)
    difference *= difference
    difference *= 0.5
    total += difference
    return total


$close_pairs

${public}def nngp(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Covariance of the outputs of a random network on rows of X (n, d) and of Y (m, d; X when None)."""
    return _gram(False, X, Y, depth, sigma_w, sigma_b$keywords)


${public}def ntk(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Neural tangent kernel on rows of X (n, d) and of Y (m, d; X when None), biases trained."""
    return _gram(True, X, Y, depth, sigma_w, sigma_b$keywords)


def _gram(tangent, X, Y, depth, sigma_w, sigma_b$signature):
    """Theta if `tangent`, else Sigma, in tiles: beside the result only temporaries of one tile are held."""
    given = np.asarray(X), np.asarray(X if Y is None else Y)
    X, Z = (A if A.dtype == np.float32 else A.astype(np.float64, copy=False) for A in given)
    if X.ndim != 2 or Z.ndim != 2 or X.shape[1] != Z.shape[1]:
        raise ValueError(f"X and Y must be (n, d) and (m, d), not {X.shape} and {Z.shape}")
    if depth < 0:
        raise ValueError(f"depth={depth} must be >= 0, the number of hidden layers")
    np.empty(KEPT, np.uint8)
    one = rows_of(X, tangent, depth, sigma_w, sigma_b$values)
    other = one if Y is None else rows_of(Z, tangent, depth, sigma_w, sigma_b$values)
    result = np.empty((len(X), len(Z)), np.result_type(X, Z))
    for part, parts in tiles_of(len(X), len(Z), Y is None):
        within = Y is None and part == parts
        tile = tile_of(one, part, other, parts, within)
        result[part, parts] = tile
        if Y is None and not within:
            result[parts, part] = tile.T
    for i, first in _copies(X, one[1][0, DIAGONAL]):
        result[i] = result[first]
    for j, first in _copies(Z, other[1][0, DIAGONAL]):
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


$row_pairs

${public}def rows_of(X, tangent, depth, sigma_w, sigma_b$signature):
    """What the tiles of rows X (n, d) share, computed once: a table by layer, and their own kernel."""
$guard    X, squares = _rows(X)
    scales = [(float(sigma_w) ** 2 / max(X.shape[1], 1), float(sigma_b) ** 2), *_squares(sigma_w, sigma_b, depth)]
    table = ends_of(squares, scales, INNER + 1$keywords)
    return X, table, table[-1, THETA if tangent else VARIANCE], (tangent, scales, dict($pairs))


def tile_of(one, part, other, parts, within=False):
    """The kernel of rows `part` of `one` with rows `parts` of `other`, slices of what rows_of returned.

    `within`: both are the same rows; what is above the diagonal is computed, the rest mirrored.
    """
    with np.errstate():  # which ends the scope of the next line
        np.setbufsize(BUFFER)
        return _tile(one, part, other, parts, within)


def _tile(one, part, other, parts, within):
    (X, rows, own, (tangent, scales, params)), (Z, columns, *_) = one, other
    X, Z, rows, columns = X[part], Z[parts], rows[..., part, None], columns[..., None, parts]
    k, gap, same = _row_angles(X, Z, rows[0], columns[0], within)
    k = np.triu(k, 1) if within else k
    tile, strip = np.empty(k.shape), max(1, (STRIP if gap is None else CLOSE_STRIP) // k.shape[1])
    for top in range(0, len(k), strip):
        at, right = slice(top, top + strip), slice(top if within else 0, None)
        ends = rows[..., at, :], columns[..., right]
        gaps = gap if gap is None else gap[at, right]
        _put(tile[at, right], tangent, scales, *ends, k[at, right], gaps, **params)
    if same is not None and same.any():
        tile = np.where(same, own[part, None], tile)
    if within:
        tile = np.triu(tile, 1)
        tile += tile.T
        np.fill_diagonal(tile, own[part])
    return tile


def _put(kernel, tangent, scales, ends1, ends2, k, gap$signature):
    """Puts the kernel of pairs whose rows have the products k into `kernel`; gap is as of _row_angles."""
$first    state = _start(*scales[0], ends1[0], ends2[0], np.asarray(k, np.float64), gap)
    kernel[...] = _kernel(tangent, state, ends1, ends2, scales$keywords)


def _start(w2, b2, end1, end2, k, gap):
    """(Sigma, cos, sin, 1 - cos) before the first layer of pairs whose rows have the product k, gap = 1 - |cos|.

    The gaps are None where no rows are close. All that sigma says is None where none are after the bias either.
    """
    sigma = w2 * k + b2
    if gap is None:
        if end1[BIAS].max(initial=0) <= DOMINANT:
            return sigma, None, None, None
        gap = _gap(k, end1, end2)
    return sigma, *_angle(sigma, end1, end2, k, gap)
'''
