"""The text of a generated Numba module around its formulas: the recursion of a tile of pairs in one loop nest.

A pair's state (Σ12, Θ12, cos θ, sin θ) lives in a buffer of 128 columns; layers are outside of columns, so that
every loop over columns is short, contiguous and vectorised. What belongs to rows, variances and their roots at
each layer, is computed once for all of their pairs. Angles are refined as in network.py, where a block of pairs
has small ones. Where the closed forms of a pair lose digits it is NaN, and left to the functions of arrays.
"""

FUSED = '''
TILE = 512  # rows and columns of a tile
COMPILED = {"nogil": True, "error_model": "numpy", "cache": True}

# What is known of a row at each layer: rows of a table.
VARIANCE, ROOT, INVERSE, DIAGONAL, ROOT_DIAGONAL, ROOT_SLOPE, LIMIT = range(7)

# A buffer's parts, one of each for a block of columns.
BLOCK = 128
SIGMA, THETA, RHO, SINE, GAP, NEXT_THETA, NEXT_RHO = range(0, 7 * 128, 128)


@njit(**$formula)
def s_pair(q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$bounds$parameters):
    """(K, K') of one pair, of which gap = 1 - |rho|$given_up."""
$pair


@njit(**$once)
def s_deficit(q1, root_q1, q2, root_q2, c, rho, sin_theta, gap, k1, root_k1, k2, root_k2$bounds$parameters):
    """sqrt(k1 k2) - K of one pair."""
$deficit


@njit(**SCALAR)
def s_turned(w2, b2, k, size, apart, inverse, fall):
    """1 - |cos| of w2*k + b2 at a small angle; fall = size - |k|, size = sqrt(k1 k2), apart = sqrt k1 - sqrt k2."""
    # w2*k + b2 has the determinant w2**2 det(k) + w2 b2 (k1 + k2 - 2 k), and the norm no digits to lose.
    square = (w2 * inverse) * (w2 * inverse) * fall * (2 * size - fall)
    apart = apart * apart + 2 * s_choose(k < 0, 2 * size - fall, fall)
    square = square + (w2 * inverse) * (b2 * inverse) * apart
    rest = 1 - square
    return square / (1 + sqrt(s_choose(rest < 0, 0.0, rest)))


@njit(**COMPILED)
def _fused(k, fall, refined, within, rows, i0, columns, j0, scales, tangent$parameters):
    """The kernel of a tile of pairs, in place of the products k of their rows; Theta if `tangent`, else Sigma.

    `fall` is |x| |z| - |x.z| of close rows, if `refined`; `within`: only what is above the diagonal counts.
    """
    depth = len(scales) - 1
    buffer = np.empty(7 * BLOCK)
    for i in range(k.shape[0]):
        for j in range(i // BLOCK * BLOCK if within else 0, k.shape[1], BLOCK):
            start, width, close = j0 + j, min(BLOCK, k.shape[1] - j), 0
            w2, b2 = scales[0, 0], scales[0, 1]
            inverse1, root_k1 = rows[0, INVERSE, i0 + i], rows[0, ROOT_DIAGONAL, i0 + i]
            inverses = columns[0, INVERSE, start : start + width]
            roots_k2 = columns[0, ROOT_DIAGONAL, start : start + width]
            for n in range(width):
                sigma = w2 * k[i, j + n] + b2
                cos = sigma * inverse1 * inverses[n]
                gap = 1 - fabs(cos)
                close += gap < CLOSE
                buffer[SIGMA + n], buffer[THETA + n], buffer[RHO + n] = sigma, sigma, cos
                buffer[GAP + n], buffer[SINE + n] = gap, sqrt(gap * (2 - gap))
            if refined and close > 0:
                for n in range(width):
                    if buffer[GAP + n] < CLOSE:
                        size, apart = root_k1 * roots_k2[n], root_k1 - roots_k2[n]
                        gap = s_turned(w2, b2, k[i, j + n], size, apart, inverse1 * inverses[n], fall[i, j + n])
                        buffer[RHO + n] = copysign(1 - gap, buffer[RHO + n])
                        buffer[GAP + n], buffer[SINE + n] = gap, sqrt(gap * (2 - gap))
            for layer in range(1, depth + 1):
                w2, b2 = scales[layer, 0], scales[layer, 1]
                q1, root_q1 = rows[layer - 1, VARIANCE, i0 + i], rows[layer - 1, ROOT, i0 + i]
                k1, root_k1 = rows[layer, DIAGONAL, i0 + i], rows[layer, ROOT_DIAGONAL, i0 + i]
                inverse1 = rows[layer, INVERSE, i0 + i]
                variances = columns[layer - 1, VARIANCE, start : start + width]
                roots = columns[layer - 1, ROOT, start : start + width]
                diagonals = columns[layer, DIAGONAL, start : start + width]
                roots_k2 = columns[layer, ROOT_DIAGONAL, start : start + width]
                inverses = columns[layer, INVERSE, start : start + width]
$row_bounds                # What was close mostly stays so; if it is not, angles are refined in a second pass.
                refine = close > 0 and layer < depth
                if not refine:
                    close = 0
                    for n in range(width):
                        q2, root_q2 = variances[n], roots[n]
                        rho, sin_theta, gap = buffer[RHO + n], buffer[SINE + n], buffer[GAP + n]
                        c = root_q1 * root_q2 * rho
$pair_bounds                        value, slope = s_pair(
                            q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$bounds$parameters
                        )
                        sigma = w2 * value + b2
                        cos = sigma * inverse1 * inverses[n]
                        close += 1 - fabs(cos) < CLOSE
                        buffer[SIGMA + n], buffer[NEXT_RHO + n] = sigma, cos
                        buffer[NEXT_THETA + n] = sigma + w2 * slope * buffer[THETA + n]
                    refine = close > 0 and layer < depth
                if refine:
                    close = 0
                    for n in range(width):
                        q2, root_q2, k2, root_k2 = variances[n], roots[n], diagonals[n], roots_k2[n]
                        rho, sin_theta, gap = buffer[RHO + n], buffer[SINE + n], buffer[GAP + n]
                        c = root_q1 * root_q2 * rho
$pair_bounds                        value, slope = s_pair(
                            q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$bounds$parameters
                        )
                        sigma, inverse = w2 * value + b2, inverse1 * inverses[n]
                        cos = sigma * inverse
                        plain = 1 - fabs(cos)
                        close += plain < CLOSE
                        buffer[SIGMA + n] = sigma
                        buffer[THETA + n] = sigma + w2 * slope * buffer[THETA + n]
$guard$folded                        better = s_deficit(
                            q1, root_q1, q2, root_q2, c, rho, sin_theta, gap,
                            k1, root_k1, k2, root_k2$bounds$parameters
                        )
$spoiled                        size, apart = root_k1 * root_k2, root_k1 - root_k2
                        direct = size - fabs(value)
                        better = s_choose(fabs(better - direct) < ROUNDING * size, better, direct)
                        better = s_choose(better < 0, 0.0, better)
                        gap = s_choose(plain < CLOSE, s_turned(w2, b2, value, size, apart, inverse, better), plain)
                        buffer[RHO + n] = s_choose(plain < CLOSE, copysign(1 - gap, cos), cos)
                        buffer[GAP + n], buffer[SINE + n] = gap, sqrt(gap * (2 - gap))
                else:
                    for n in range(width):
                        cos = buffer[NEXT_RHO + n]
                        gap = 1 - fabs(cos)
                        buffer[THETA + n], buffer[RHO + n] = buffer[NEXT_THETA + n], cos
                        buffer[GAP + n], buffer[SINE + n] = gap, sqrt(gap * (2 - gap))
            for n in range(width):
$result


@njit(**COMPILED)
def _pairs(q1, q2, c, rho, sin_theta$array_bounds, order$parameters):
    """K (order = 0) or K' (order = 1) of flat arrays."""
    result = np.empty(len(c))
    for n in range(len(c)):
        root_q1, root_q2 = sqrt(q1[n]), sqrt(q2[n])
        gap = s_one_minus_cos(fabs(rho[n]), sin_theta[n])
$flat_bounds        values = s_pair(
            q1[n], root_q1, q2[n], root_q2, c[n], rho[n], sin_theta[n], gap$bounds$parameters
        )
        result[n] = values[0] if order == 0 else values[1]
    return result


@njit(**COMPILED)
def _has_close(k, within, rows, i0, columns, j0, w2, b2):
    """Whether an angle of the tile is to be refined."""
    for i in range(k.shape[0]):
        start = i + 1 if within else 0
        inverse1, close = rows[0, INVERSE, i0 + i], 0
        inverses = columns[0, INVERSE, j0 : j0 + k.shape[1]]
        for j in range(start, k.shape[1]):
            close += 1 - fabs((w2 * k[i, j] + b2) * inverse1 * inverses[j]) < CLOSE
        if close > 0:
            return True
    return False


def kernel(q1, q2, c$signature):
    """K(q1, q2, c) = E[phi(u) phi(v)]."""
    return _dual(0, q1, q2, c$parameters)


def kernel_dot(q1, q2, c$signature):
    """K'(q1, q2, c) = E[phi'(u) phi'(v)]."""
    return _dual(1, q1, q2, c$parameters)


def _dual(order, q1, q2, c$parameters):
    q1, q2, c, dtype = _doubles(q1, q2, c)
    shape = np.broadcast_shapes(q1.shape, q2.shape, c.shape)
    state = [np.broadcast_to(each, shape).ravel() for each in (q1, q2, c, *polar(q1, q2, c))]
$flat_limits    result = _pairs(*state$row_limits, order$floats)
$flat_rescue    return result.reshape(shape).astype(dtype)[()]


def nngp(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Covariance of the outputs of a random network on rows of X (n, d) and of Y (m, d; X when None)."""
    return _gram(False, X, Y, depth, sigma_w, sigma_b$parameters)


def ntk(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Neural tangent kernel on rows of X (n, d) and of Y (m, d; X when None), biases trained."""
    return _gram(True, X, Y, depth, sigma_w, sigma_b$parameters)


def _gram(tangent, X, Y, depth, sigma_w, sigma_b$parameters):
    X, Z, dtype = _doubles(X, X if Y is None else Y)
    if X.ndim != 2 or Z.ndim != 2 or X.shape[1] != Z.shape[1]:
        raise ValueError(f"X and Y must be (n, d) and (m, d), not {X.shape} and {Z.shape}")
    if depth < 0:
        raise ValueError(f"depth={depth} must be >= 0, the number of hidden layers")
    network = tangent, depth, sigma_w, sigma_b$parameters
    one = rows_of(X, *network)
    other = one if Y is None else rows_of(Z, *network)
    if max(len(X), len(Z)) <= TILE:
        result = tile_of(one, slice(0, TILE), other, slice(0, TILE), Y is None).astype(dtype, copy=False)
    else:
        result = np.empty((len(X), len(Z)), dtype)
        for i in range(0, len(X), TILE):
            for j in range(i if Y is None else 0, len(Z), TILE):
                part = slice(i, i + TILE), slice(j, j + TILE)
                tile = tile_of(one, part[0], other, part[1], Y is None and i == j)
                result[part] = tile
                if Y is None and i < j:
                    result[part[::-1]] = tile.T
    for axis, (A, table, *_) in ((0, one), (1, other)):
        copies = _first_copies(A, table[0, DIAGONAL])
        if copies is not None:
            result = result.take(copies, axis)
    return result


def rows_of(X, tangent, depth, sigma_w, sigma_b$parameters):
    """What the tiles of rows X (n, d) share, computed once: their variances by layer, and their own kernel."""
    X = np.ascontiguousarray(X, np.float64)
    scales = [(float(sigma_w) ** 2 / max(X.shape[1], 1), float(sigma_b) ** 2), *_squares(sigma_w, sigma_b, depth)]
    table = np.ones((depth + 1, 7, len(X)))
    k, own, slope = np.einsum("ij,ij->i", X, X), 0.0, 0.0
    for layer, (w2, b2) in enumerate(scales):
        q = w2 * k + b2
        own = q + w2 * slope * own
        root = np.sqrt(q, out=table[layer, ROOT])
        np.divide(1, root, out=table[layer, INVERSE], where=root > 0)
        np.sqrt(k, out=table[layer, ROOT_DIAGONAL])
        table[layer, VARIANCE], table[layer, DIAGONAL] = q, k
        k, slope = diagonal(q$keywords)
$table_bounds    network = tangent, np.array(scales), depth, sigma_w, sigma_b$floats
    return X, table, own if tangent else table[-1, VARIANCE], network


$lost
def tile_of(one, part, other, parts, within=False):
    """The kernel of rows `part` of `one` with rows `parts` of `other`, slices of what rows_of returned.

    `within`: both are the same rows; what is above the diagonal is computed, the rest mirrored.
    """
    (X, rows, own, (tangent, scales, _, _, _, *parameters)), (Z, columns, *_) = one, other
    X, Z, i0, j0 = X[part], Z[parts], part.start, parts.start
    k = X @ Z.T
    w2, b2 = scales[0]
    fall, refined = np.empty((1, 1)), _has_close(k, within, rows, i0, columns, j0, w2, b2)
    same = None
    if refined:
        k1, k2 = rows[0, DIAGONAL, part][:, None], columns[0, DIAGONAL, parts][None, :]
        close = 1 - np.abs((w2 * k + b2) * rows[0, INVERSE, part][:, None] * columns[0, INVERSE, parts]) < CLOSE
        if within:
            close = np.triu(close, 1)
        where = np.nonzero(close)
        fall, same = np.zeros(k.shape), np.zeros(k.shape, bool)
        fall[where] = _row_fall(where, X, Z, k1, k2, k, same)
$kept    _fused(k, fall, refined, within, rows, i0, columns, j0, scales, tangent, *parameters)
$rescue    if same is not None and same.any():
        k = np.where(same, own[part][:, None], k)
    if within:
        below = np.tril_indices(len(k), -1)
        k[below] = k.T[below]
        np.fill_diagonal(k, own[part])
    return k
'''

# What a module adds to that when the terms of its sums may cancel: bounds of what the terms may be, and the
# functions of arrays for the pairs that exceed them. By the place in FUSED that each takes.
GIVEN_UP = {
    "formula": "CALLED",  # too long to be inlined where it stands
    "once": "CALLED",
    "bounds": ", bound, bound_dot, limit",
    "array_bounds": ", bounds, slopes, limits",
    "given_up": "; NaN where digits are lost",
    "row_bounds": """\
                slope1, limit1 = rows[layer - 1, ROOT_SLOPE, i0 + i], rows[layer - 1, LIMIT, i0 + i]
                slopes = columns[layer - 1, ROOT_SLOPE, start : start + width]
                limits = columns[layer - 1, LIMIT, start : start + width]
""",
    "pair_bounds": """\
                        bound, bound_dot, limit = root_k1 * roots_k2[n], slope1 * slopes[n], max(limit1, limits[n])
""",
    "flat_bounds": """\
        bound, bound_dot, limit = bounds[n], slopes[n], limits[n]
""",
    "row_limits": ", *limits",
    "flat_limits": """\
    limits = [np.sqrt(one) * np.sqrt(two) for one, two in zip(*(diagonal(q$keywords) for q in state[:2]))]
    limits.append(np.where(is_gentle(0, state[0], state[1]$keywords), $loss_small, $loss))
""",
    "flat_rescue": """\
    lost = np.isnan(result)
    if lost.any():
        result[lost] = pair(*(each[lost] for each in state)$keywords)[order]
""",
    "table_bounds": """\
        table[layer, ROOT_SLOPE] = np.sqrt(slope)
        table[layer, LIMIT] = np.where(is_gentle(0, q, q$keywords), $loss_small, $loss)
""",
    "kept": """\
    products = k.copy()
""",
    "rescue": """\
    lost = np.nonzero(np.triu(np.isnan(k), 1) if within else np.isnan(k))
    if len(lost[0]):
        k[lost] = _given_up(lost, products, fall if refined else None, rows[..., part], columns[..., parts], one[3])
""",
    "spoiled": """\
                        if better != better:
                            buffer[THETA + n] = np.nan
""",
    "result": """\
                theta = buffer[THETA + n]
                k[i, j + n] = theta if tangent or theta != theta else buffer[SIGMA + n]""",
}

LOST = """

def _given_up(lost, k, fall, rows, columns, network):
    \"\"\"The kernel of the pairs `lost` of a tile, by the functions of arrays.\"\"\"
    (tangent, scales, depth, sigma_w, sigma_b$parameters), (w2, b2) = network, network[1][0]
    i, j = lost
    k, k1, k2 = k[lost], rows[0, DIAGONAL, i], columns[0, DIAGONAL, j]
    sigma = w2 * k + b2
    q1, q2, rho, sin_theta = _state(w2, b2, k1, k2, k, sigma, lambda at: fall[lost][at])
    return recursion(q1, q2, sigma, rho, sin_theta, depth, sigma_w, sigma_b$keywords)[int(tangent)]
"""

SOUND = {
    "formula": "CONTRACTED",  # nothing cancels in it, and a contraction can only leave a rounding out
    "once": "SCALAR",
    "result": """\
                k[i, j + n] = buffer[THETA + n] if tangent else buffer[SIGMA + n]""",
}

# Price's integral, where the deficit has no closed form.
PRICE = """\
    angle, slopes = s_atan2(sin_theta, rho), 0.0
    for node, weight in GAUSS:
        near, turn = cos(node * angle), sin(node * angle)
        c = root_q1 * root_q2 * near
        gap = s_one_minus_cos(near, turn)
        slopes += weight * turn * s_pair(q1, root_q1, q2, root_q2, c, near, turn, gap$arguments)[1]
    return root_q1 * root_q2 * angle * slopes"""

# What is costly is computed for near pairs alone; what is not, for all of a block, without a branch.
GUARD = """\
                        if not plain < CLOSE:
                            buffer[RHO + n], buffer[GAP + n] = cos, plain
                            buffer[SINE + n] = sqrt(plain * (2 - plain))
                            continue
"""

FOLDED = """\
                        c, rho = fabs(c), fabs(rho)
"""

CHECK = """\
lost = (size > limit * bound) | (size_dot > $loss * bound_dot) | (q1 == 0) | (q2 == 0)
return s_choose(lost, np.nan, k), s_choose(lost, np.nan, k_dot)"""
