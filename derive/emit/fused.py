"""The text of a generated Numba module around its formulas: the recursion of a tile of pairs in one loop nest.

A pair's state lives in a buffer of 256 columns; layers are outside of columns, so that every loop over columns is
short, contiguous and vectorised. What belongs to rows, variances and their roots at each layer, is computed once
for all of their pairs. The state and its gaps are those of network.py; where no pair of a block is close, they are
subtracted. Where the closed forms of a pair lose digits it is NaN, and left to the functions of arrays.
"""

from collections.abc import Sequence

from mehler.derive.emit.pair_scalars import CONSTANTS, SCALARS

PAIRS = '''\
@njit(**$formula)
def s_pair(q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$bounds$parameters):
    """(K, K') of one pair, of which gap = 1 - |rho|$given_up."""
$pair


@njit(**$formula)
def s_apart(q1, root_q1, q2, root_q2, c, rho, weight$bounds$parts$parameters):
    """weight times the same of a pair neither close nor opposite, by its cosine."""
$apart


@njit(**$once)
def s_falls(
    q1, root_q1, q2, root_q2, c, rho, sin_theta, gap,
    k1, root_k1, k2, root_k2, d1, root_d1, d2, root_d2$bounds$parameters
):
    """sqrt(k1 k2) - K and sqrt(d1 d2) - K' of one pair."""
$falls


'''

ANY_CLOSE = '''

def _has_close(k, within, roots1, roots2):
    """Whether an angle is to be refined."""
    return _any_close(k, within, roots1[:, 0], roots2[0])


@njit(**COMPILED)
def _any_close(k, within, roots1, roots2):
    for i in range(k.shape[0]):
        start = i + 1 if within else 0
        root1, close = roots1[i], 0
        for j in range(start, k.shape[1]):
            close += fabs(k[i, j]) > (1 - CLOSE) * root1 * roots2[j]
        if close > 0:
            return True
    return False
'''

LOOPS = '''\
@njit(**COMPILED)
def _fused(k, gaps, refined, within, rows, i0, columns, j0, scales, tangent$parameters):
    """The kernel of a tile of pairs, in place of the products k of their rows; Theta if `tangent`, else Sigma.

    `gaps` are 1 - |cos| of the rows, if `refined`; `within`: only what is above the diagonal counts.
    """
    depth = len(scales) - 1
    kernel, root_kernel, part, part_gap = (THETA, ROOT_THETA, T, GAP_T) if tangent else (VARIANCE, ROOT, C, GAP)
    buffer = np.empty(10 * BLOCK)
    for i in range(k.shape[0]):
        at = i0 + i
        for j in range(i + 1 if within else 0, k.shape[1], BLOCK):
            width, close = min(BLOCK, k.shape[1] - j), 0
            start, stop = j0 + j, j0 + j + width
            w2, b2 = scales[0, 0], scales[0, 1]
            inverse1, inverses = rows[0, INVERSE, at], columns[0, INVERSE, start:stop]
            weight1, weights2 = rows[0, WEIGHT, at], columns[0, WEIGHT, start:stop]
            bias1, biases2 = rows[0, BIAS, at], columns[0, BIAS, start:stop]
            known = refined or bias1 > DOMINANT  # whether the buffer has gaps
            if known:
                root_k1, roots_k2 = rows[0, ROOT_DIAGONAL, at], columns[0, ROOT_DIAGONAL, start:stop]
                for n in range(width):
                    product = k[i, j + n]
                    gap = gaps[i, j + n] if refined else 1 - fabs(product) / (root_k1 * roots_k2[n])
                    gap = s_sum_gap(weight1, weights2[n], bias1, biases2[n], gap, 2.0 * (product < 0))
                    sigma = w2 * product + b2
                    cos, sin_theta, gap = s_angle(sigma * inverse1 * inverses[n], product, gap)
                    close += (cos < LOWEST) | (cos > HIGHEST)
                    buffer[C + n], buffer[T + n], buffer[RHO + n], buffer[SINE + n] = sigma, sigma, cos, sin_theta
                    buffer[GAP + n], buffer[GAP_T + n] = gap, gap
            else:
                for n in range(width):
                    sigma = w2 * k[i, j + n] + b2
                    cos = sigma * inverse1 * inverses[n]
                    close += (cos < LOWEST) | (cos > HIGHEST)
                    buffer[C + n], buffer[T + n], buffer[RHO + n] = sigma, sigma, cos
            for layer in range(1, depth + 1):
                w2, b2 = scales[layer, 0], scales[layer, 1]
                q1, variances = rows[layer - 1, VARIANCE, at], columns[layer - 1, VARIANCE, start:stop]
                root_q1, roots_q2 = rows[layer - 1, ROOT, at], columns[layer - 1, ROOT, start:stop]
                inverse1, inverses = rows[layer, INVERSE, at], columns[layer, INVERSE, start:stop]
                bias1, biases2 = rows[layer, BIAS, at], columns[layer, BIAS, start:stop]
$pair_rows$part_rows                if close == 0 and bias1 <= DOMINANT:
                    known = False
                    for n in range(width):
                        q2, root_q2, c = variances[n], roots_q2[n], buffer[C + n]
                        rho = buffer[RHO + n]
$pair_bounds$part_bounds                        value, slope = s_apart(
                            q1, root_q1, q2, root_q2, c, rho, w2$bounds$parts$parameters
                        )
                        sigma = value + b2
                        cos = sigma * inverse1 * inverses[n]
                        close += (cos < LOWEST) | (cos > HIGHEST)
                        buffer[T + n] = sigma + slope * buffer[T + n]
                        buffer[C + n], buffer[RHO + n] = sigma, cos
                else:
                    if not known:
                        inverse_t1 = rows[layer - 1, INVERSE_THETA, at]
                        inverses_t2 = columns[layer - 1, INVERSE_THETA, start:stop]
                        for n in range(width):
                            buffer[SINE + n] = s_root((1 - buffer[RHO + n]) * (1 + buffer[RHO + n]))
                            buffer[GAP + n] = 1 - buffer[RHO + n]
                            buffer[GAP_T + n] = 1 - buffer[T + n] * inverse_t1 * inverses_t2[n]
                    known = True
                    close = 0
                    k1, diagonals = rows[layer, DIAGONAL, at], columns[layer, DIAGONAL, start:stop]
                    root_k1, roots_k2 = rows[layer, ROOT_DIAGONAL, at], columns[layer, ROOT_DIAGONAL, start:stop]
                    d1, slopes = rows[layer, SLOPE, at], columns[layer, SLOPE, start:stop]
                    root_d1, roots_d2 = rows[layer, ROOT_SLOPE, at], columns[layer, ROOT_SLOPE, start:stop]
                    weight1, weights2 = rows[layer, WEIGHT, at], columns[layer, WEIGHT, start:stop]
                    outer1, outers2 = rows[layer, OUTER, at], columns[layer, OUTER, start:stop]
                    inner1, inners2 = rows[layer, INNER, at], columns[layer, INNER, start:stop]
                    # Three loops, since of more than a few arrays the compiler does not see that they are apart.
                    for n in range(width):
                        q2, root_q2, c = variances[n], roots_q2[n], buffer[C + n]
                        rho, sin_theta, gap = buffer[RHO + n], buffer[SINE + n], buffer[GAP + n]
                        gap = s_choose(rho < 0, s_one_minus_cos(-rho, sin_theta), gap)
$pair_bounds                        buffer[VALUE + n], buffer[TILT + n] = s_pair(
                            q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$bounds$parameters
                        )
                    for n in range(width):
                        q2, root_q2, k2, root_k2 = variances[n], roots_q2[n], diagonals[n], roots_k2[n]
                        d2, root_d2, value, slope = slopes[n], roots_d2[n], buffer[VALUE + n], buffer[TILT + n]
                        rho, sin_theta, gap = buffer[RHO + n], buffer[SINE + n], buffer[GAP + n]
                        gap = s_choose(rho < 0, s_one_minus_cos(-rho, sin_theta), gap)
                        size, size_dot = s_size(k1, root_k1, k2, root_k2), s_size(d1, root_d1, d2, root_d2)
                        gap_k, gap_dot = 1 - fabs(value) / size, 1 - slope / size_dot
                        near = $near
$pair_bounds$differences                        buffer[GAP_VALUE + n], buffer[GAP_SLOPE + n] = gap_k, gap_dot
                    for n in range(width):
                        value, gap_k, gap_t = buffer[VALUE + n], buffer[GAP_VALUE + n], buffer[GAP_T + n]
                        sigma = w2 * value + b2
                        gap_k = s_sum_gap(weight1, weights2[n], bias1, biases2[n], gap_k, 2.0 * (value < 0))
                        cos, sin_theta, gap = s_angle(sigma * inverse1 * inverses[n], value, gap_k)
                        gap_dot = buffer[GAP_SLOPE + n]
                        gap_t = gap_dot + gap_t - gap_dot * gap_t
                        close += (cos < LOWEST) | (cos > HIGHEST)
                        buffer[T + n] = sigma + w2 * buffer[TILT + n] * buffer[T + n]
                        buffer[C + n], buffer[RHO + n], buffer[SINE + n] = sigma, cos, sin_theta
                        buffer[GAP + n] = gap
                        buffer[GAP_T + n] = s_sum_gap(outer1, outers2[n], inner1, inners2[n], gap, gap_t)
            one, others = rows[depth, kernel, at], columns[depth, kernel, start:stop]
            root_one, root_others = rows[depth, root_kernel, at], columns[depth, root_kernel, start:stop]
            if known:
                for n in range(width):
$result
            else:
                for n in range(width):
                    k[i, j + n] = buffer[part + n]


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


${public}def kernel(q1, q2, c$signature):
    """K(q1, q2, c) = E[phi(u) phi(v)]."""
    return _dual(0, q1, q2, c$parameters)


${public}def kernel_dot(q1, q2, c$signature):
    """K'(q1, q2, c) = E[phi'(u) phi'(v)]."""
    return _dual(1, q1, q2, c$parameters)


def _dual(order, q1, q2, c$parameters):
    q1, q2, c, dtype = _doubles(q1, q2, c)
    shape = np.broadcast_shapes(q1.shape, q2.shape, c.shape)
    state = [np.broadcast_to(each, shape).ravel() for each in (q1, q2, c, *polar(q1, q2, c))]
$flat_limits    result = _pairs(*state$row_limits, order$floats)
$flat_rescue    return _of_pair(result.reshape(shape), q1, q2, c).astype(dtype)


${public}def rows_of(X, tangent, depth, sigma_w, sigma_b$signature):
    """What the tiles of rows X (n, d) share, computed once: a table by layer, and their own kernel."""
    X, squares = _rows(X)
    scales = [(float(sigma_w) ** 2 / max(X.shape[1], 1), float(sigma_b) ** 2), *_squares(sigma_w, sigma_b, depth)]
    table = ends_of(squares, scales, $columns$keywords)
    for known in table:
        q = known[VARIANCE]
        known[LIMIT] = $limit
$row_moments    return X, table, table[-1, THETA if tangent else VARIANCE], (tangent, np.array(scales)$floats)


$lost
def tile_of(one, part, other, parts, within=False):
    """The kernel of rows `part` of `one` with rows `parts` of `other`, slices of what rows_of returned.

    `within`: both are the same rows; what is above the diagonal is computed, the rest mirrored.
    """
    (X, rows, own, (tangent, scales, *parameters)), (Z, columns, *_) = one, other
    X, Z = X[part], Z[parts]
    k, gap, same = _row_angles(X, Z, rows[0, :, part, None], columns[0, :, None, parts], within)
    refined = gap is not None
    k = k.astype(np.result_type(X, Z), copy=False)  # gaps have the digits
$kept    gaps = gap if refined else np.empty((1, 1))
    _fused(k, gaps, refined, within, rows, part.start, columns, parts.start, scales, tangent, *parameters)
$rescue    if refined and same.any():
        k = np.where(same, own[part][:, None], k)
    if within:
        below = np.tril_indices(len(k), -1)
        k[below] = k.T[below]
        np.fill_diagonal(k, own[part])
    return k
'''

FUSED = CONSTANTS + PAIRS + SCALARS + LOOPS + ANY_CLOSE

# What a module adds to that when the terms of its sums may cancel: bounds of what the terms may be, and the
# functions of arrays for the pairs that exceed them. By the place in FUSED that each takes.
GIVEN_UP = {
    "formula": "CALLED",  # too long to be inlined where it stands
    "once": "CALLED",
    "bounds": ", bound, bound_dot, limit",
    "array_bounds": ", bounds, slopes, limits",
    "given_up": "; NaN where digits are lost",
    "pair_rows": """\
                limit1, limits = rows[layer - 1, LIMIT, at], columns[layer - 1, LIMIT, start:stop]
                root_k1, roots_k2 = rows[layer, ROOT_DIAGONAL, at], columns[layer, ROOT_DIAGONAL, start:stop]
                root_d1, roots_d2 = rows[layer, ROOT_SLOPE, at], columns[layer, ROOT_SLOPE, start:stop]
""",
    "pair_bounds": """\
                        bound, bound_dot = root_k1 * roots_k2[n], root_d1 * roots_d2[n]
                        limit = max(limit1, limits[n])
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
    "limit": "np.where(is_gentle(0, q, q$keywords), $loss_small, $loss)",
    "kept": """\
    products = k.copy()
""",
    "rescue": """\
    lost = np.nonzero(np.triu(np.isnan(k), 1) if within else np.isnan(k))
    if len(lost[0]):
        k[lost] = _given_up(lost, products, gap, rows[..., part], columns[..., parts], one[3])
""",
    "apart": """\
    sin_theta, gap = s_root((1 - rho) * (1 + rho)), 1 - fabs(rho)
    value, slope = s_pair(q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$bounds$parameters)
    return weight * value, weight * slope""",
    "spoiled": "buffer[TILT + n] = s_choose(fall == fall, slope, np.nan)",
    "result": """\
                    direct, theta = buffer[part + n], buffer[T + n]
                    value = s_kernel(one, root_one, others[n], root_others[n], direct, buffer[part_gap + n])
                    k[i, j + n] = theta if theta != theta else value""",
}

ROW_PARTS = '''
def row_parts(q$signature):
    """What s_apart needs of a row of variance q."""
    return (
$values    )


'''

LOST = """

def _given_up(lost, k, gap, rows, columns, network):
    \"\"\"The kernel of the pairs `lost` of a tile, by the functions of arrays.\"\"\"
    (tangent, scales$parameters), k, rows, columns = network, k[lost], rows[..., lost[0]], columns[..., lost[1]]
    k = k.astype(np.float64)
    start = _start(*scales[0], rows[0], columns[0], k, gap if gap is None else gap[lost])
    return _kernel(tangent, start, rows, columns, scales$keywords)
"""

SOUND = {
    "formula": "CONTRACTED",  # nothing cancels in it, and a contraction can only leave a rounding out
    "once": "SCALAR",
    "limit": "0.0",
    "result": """\
                    direct, gap = buffer[part + n], buffer[part_gap + n]
                    k[i, j + n] = s_kernel(one, root_one, others[n], root_others[n], direct, gap)""",
}

# Places for the bounds of a closed form's terms, without which Mehler's series serves alone.
BOUNDS = ("bounds", "array_bounds", "pair_rows", "pair_bounds", "flat_bounds", "flat_limits")


def by_series(names: Sequence[str], alone: bool) -> dict[str, str]:
    """GIVEN_UP where Mehler's series takes the place of the closed form, for all but large variances.

    `names`: what the series needs of rows, further columns of their table.
    """
    given = GIVEN_UP | (dict.fromkeys(BOUNDS, "") if alone else {})
    limits = given["flat_limits"].split("    limits.append(")[0] or "    limits = []\n"
    full = "" if alone else "np.full(shape, $loss).ravel(), "
    return given | {
        "bounds": given["bounds"] + moments(names),
        "array_bounds": given["array_bounds"] + ", moments1, moments2",
        "pair_rows": given["pair_rows"] + _columns(names),
        "pair_bounds": given["pair_bounds"] + _each(names, " " * 24, "{name}2", "{name}s[n]"),
        "flat_bounds": given["flat_bounds"]
        + "".join(_each(names, " " * 8, f"{{name}}{i}", f"moments{i}[{{n}}, n]") for i in (1, 2)),
        "flat_limits": f"{limits}    limits += [{full}*(row_moments(q$keywords) for q in state[:2])]\n",
        "limit": "0.0" if alone else "$loss",
        "columns": str(15 + len(names)),
        "row_moments": "        known[LIMIT + 1 :] = row_moments(q$keywords)\n",
    }


def by_parts(count: int) -> dict[str, str]:
    """The places of what pairs that are apart need of each variance, further columns of the table."""
    names = [f"part{n}_" for n in range(1, count + 1)]
    return {
        "parts": "".join(f", {name}{i}" for i in (1, 2) for name in names),
        "part_rows": _columns(names),
        "part_bounds": _each(names, " " * 24, "{name}2", "{name}s[n]"),
        "columns": str(15 + count),
        "row_moments": "        known[LIMIT + 1 :] = row_parts(q$keywords)\n",
    }


def moments(names: Sequence[str]) -> str:
    """The arguments of s_pair that are columns of both rows, on a line of their own."""
    return ",\n    " + ", ".join(f"{name}{i}" for i in (1, 2) for name in names)


def _columns(names: Sequence[str]) -> str:
    return "".join(
        f"                {name}1, {name}s = rows[layer - 1, LIMIT + {n}, at], "
        f"columns[layer - 1, LIMIT + {n}, start:stop]\n"
        for n, name in enumerate(names, 1)
    )


def _each(names: Sequence[str], indent: str, left: str, right: str) -> str:
    """An assignment to each."""
    lefts, rights = (", ".join(x.format(name=name, n=n) for n, name in enumerate(names)) for x in (left, right))
    return f"{indent}{lefts} = {rights}\n"


# Price's integral, where the falls have no closed form.
PRICE = """\
    angle, slopes = s_arccos(rho, gap), 0.0
    k, k_dot = s_pair(q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$arguments)
    for node, weight in GAUSS:
        near, turn = cos(node * angle), sin(node * angle)
        c = root_q1 * root_q2 * near
        gap = s_one_minus_cos(near, turn)
        slopes += weight * turn * s_pair(q1, root_q1, q2, root_q2, c, near, turn, gap$arguments)[1]
    size, better = root_k1 * root_k2, root_q1 * root_q2 * angle * slopes
    better = s_choose(fabs(better - (size - k)) < ROUNDING * size, better, size - k)
    return s_choose(better < 0, 0.0, better), root_d1 * root_d2 - k_dot"""

# Gaps that are differences, for close pairs.
CLOSER = """\
$folded
c = root_q1 * root_q2 * rho  # to the digits of the angle
fall, fall_dot = s_falls(
    q1, root_q1, q2, root_q2, c, rho, sin_theta, gap,
    k1, root_k1, k2, root_k2, d1, root_d1, d2, root_d2$bounds$parameters
)
$spoiled
gap_k, fall_dot = s_choose(near, fall / size, gap_k), fall_dot / size_dot
gap_dot = s_choose(near, $fall_dot, gap_dot)
"""

CHECK = """\
lost = (size > limit * bound) | (size_dot > $loss * bound_dot) | (q1 == 0) | (q2 == 0)
return s_choose(lost, np.nan, k), s_choose(lost, np.nan, k_dot)"""
