"""The text of a generated CuPy module around its formulas: scalars, the kernels that run them, arrays around those.

One thread takes a pair through all layers in registers: its product is read once and its kernel written once. What
belongs to rows comes from a table that one thread for each row has filled. The state of a pair and its gaps are
those of network.py. Where rows are close, the thread reads them and takes their angle from what of one is
orthogonal to the other: as array code that would gather both rows of every such pair into memory first.

ENTRIES is restricted Python, translated by cuda.py; KERNELS says which thread does what, and has no arithmetic of
floating point; DEVICE is written in the functions of the array API, those of the namespace of X.
"""

ENTRIES = '''
SIGMA_W, SIGMA_B, PARTS = 15, 16, 17


@njit(**SCALAR)
def s_split(x):
    """(m, e) with x = m 2**e and 1/2 <= m < 1; (x, 0) of 0 and of what is not finite."""
    small = x < TINY
    bits = np.float64(s_choose(small, x * 18014398509481984.0, x)).view(np.int64)  # times 2**54
    part = np.int64((bits & 4503599627370495) | 4602678819172646912).view(np.float64)
    power = np.float64((bits >> 52) - 1022) - s_choose(small, 54.0, 0.0)
    plain = (x > 0) & (x <= 1.7976931348623157e308)
    return s_choose(plain, part, x), s_choose(plain, power, 0.0)


@njit(**SCALAR)
def s_polar(q1, q2, c):
    """(cos, sin) of the angle of a pair: both accurate for the given numbers, however close to 0 or pi."""
    # Scaled by powers of 2, which is exact: q1*q2 can then neither overflow nor underflow.
    m1, e1 = s_split(q1)
    m2, e2 = s_split(q2)
    total = e1 + e2
    half = ((total * 0.5 - 0.25) + SHIFT) - SHIFT
    quarter = ((half * 0.5) + SHIFT) - SHIFT
    m1 = m1 * (1 + (total - 2 * half))
    c = c * s_power_of_2(-quarter) * s_power_of_2(quarter - half)
    norm = sqrt(m1 * m2)
    product, low = s_times(s_exactly(m1), m2)
    square, less = s_times(s_exactly(c), c)
    det = (product - square) + (low - less)
    rho, sin_theta = c / norm, sqrt(s_choose(det < 0, 0.0, det)) / norm
    rho = s_choose(rho > 1, 1.0, s_choose(rho < -1, -1.0, rho))
    some = norm == norm and norm <= 0
    return s_choose(some, 0.0, rho), s_choose(some | (sin_theta > 1), 1.0, sin_theta)


@njit(**SCALAR)
def s_diagonal(q$parameters):
    """(K, K') of an input with itself: q1 = q2 = c = q."""
$diagonal


@njit(**SCALAR)
def s_values(q1, q2, c$value_tables$parameters):
    """(K, K') of a pair."""
    rho, sin_theta = s_polar(q1, q2, c)
    root_q1, root_q2, gap = sqrt(q1), sqrt(q2), s_one_minus_cos(fabs(rho), sin_theta)
$value_bounds    return s_pair(q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$bounds$parameters)


@njit(**SCALAR)
def s_share(part, total, of_none):
    """The root of a part's share in a variance; of one that is 0, as asked."""
    return s_choose(total == 0, of_none, sqrt(part / s_choose(total < TINY, TINY, total)))


@njit(**SCALAR)
def s_row(
    square, table: "table", at: "index", depth: "index", width, sigma_w, sigma_b$parameters
):
    """What is known of a row at each layer, into the table; rows have `width` numbers."""
    k, slope, theta = square, 0.0, 0.0
    w2, b2 = sigma_w * sigma_w / width, sigma_b * sigma_b
    # Squares are rounded anew in each layer: each errs by a rounding, their running product by no more.
    high_w, low_w = s_times(s_exactly(sigma_w), sigma_w)
    high_b, low_b = s_times(s_exactly(sigma_b), sigma_b)
    debt_w, debt_b = low_w, low_b
    for layer in range(depth + 1):
        table[layer, SIGMA_W, at], table[layer, SIGMA_B, at] = w2, b2
        q = w2 * k + b2
        inner = w2 * slope * theta
        theta = q + inner
        table[layer, VARIANCE, at], table[layer, ROOT, at] = q, sqrt(q)
        table[layer, INVERSE, at] = s_choose(q > 0, 1 / sqrt(s_choose(q < TINY, TINY, q)), 0.0)
        table[layer, THETA, at], table[layer, ROOT_THETA, at] = theta, sqrt(theta)
        table[layer, INVERSE_THETA, at] = s_choose(theta > 0, 1 / sqrt(s_choose(theta < TINY, TINY, theta)), 0.0)
        table[layer, WEIGHT, at], table[layer, BIAS, at] = s_share(w2 * k, q, 1.0), s_share(b2, q, 0.0)
        table[layer, OUTER, at], table[layer, INNER, at] = s_share(q, theta, 1.0), s_share(inner, theta, 0.0)
        k, slope = s_choose(k < TINY, TINY, k), s_choose(slope < TINY, TINY, slope)
        table[layer, DIAGONAL, at], table[layer, ROOT_DIAGONAL, at] = k, sqrt(k)
        table[layer, SLOPE, at], table[layer, ROOT_SLOPE, at] = slope, sqrt(slope)
        table[layer, LIMIT, at] = 0.0
        k, slope = s_diagonal(q$parameters)
        w2, b2 = high_w + debt_w, high_b + debt_b
        debt_w, debt_b = (high_w - w2) + debt_w + low_w, (high_b - b2) + debt_b + low_b


@njit(**SCALAR)
def s_rest(x, z, factor):
    """z - factor*x, the product taken exactly."""
    part, low = s_times(s_exactly(factor), x)
    return (z - part) - low


@njit(**SCALAR)
def s_refined(product, k1, k2, X: "table", i: "index", Z: "table", j: "index", width: "index"):
    """(1 - |cos|, 1 if they are one) of rows near to each other, or opposite: from what of them is orthogonal."""
    factor, along, square, equal, opposite = product / k1, 0.0, 0.0, True, True
    for n in range(width):
        equal, opposite = equal & (X[i, n] == Z[j, n]), opposite & (X[i, n] == -Z[j, n])
        along = along + s_rest(X[i, n], Z[j, n], factor) * X[i, n]
    for n in range(width):
        rest = s_rest(X[i, n], Z[j, n], factor) - along / k1 * X[i, n]
        square = square + rest * rest
    square = s_choose(equal | opposite, 0.0, square / k2)
    return square / (1 + sqrt(1 - square)), 1.0 * equal


@njit(**SCALAR)
def s_entry(
    product, X: "table", rows: "table", i: "index", Z: "table", columns: "table", j: "index",
    width: "index", depth: "index", tangent: "truth"$entry_tables$parameters
):
    """Theta of a pair of rows if `tangent`, else Sigma, from their product and, where near, from themselves."""
    one, root_one = rows[depth, VARIANCE, i], rows[depth, ROOT, i]
    other, root_other = columns[depth, VARIANCE, j], columns[depth, ROOT, j]
    if tangent:
        one, root_one = rows[depth, THETA, i], rows[depth, ROOT_THETA, i]
        other, root_other = columns[depth, THETA, j], columns[depth, ROOT_THETA, j]
    gap = 1 - fabs(product) / (rows[0, ROOT_DIAGONAL, i] * columns[0, ROOT_DIAGONAL, j])
    if gap < CLOSE:
        gap, same = s_refined(product, rows[0, DIAGONAL, i], columns[0, DIAGONAL, j], X, i, Z, j, width)
        if same > 0:
            return one
    w2, b2 = rows[0, SIGMA_W, i], rows[0, SIGMA_B, i]
    weight1, weight2 = rows[0, WEIGHT, i], columns[0, WEIGHT, j]
    bias1, bias2 = rows[0, BIAS, i], columns[0, BIAS, j]
    # 1 - cos to the side of the product's sign: near pi, 1 - cos itself has lost it.
    side = s_sum_gap(weight1, weight2, bias1, bias2, gap, 2.0 * (product < 0))
    sigma = w2 * product + b2
    rho, sin_theta, gap = s_angle(sigma * rows[0, INVERSE, i] * columns[0, INVERSE, j], product, side)
    theta, gap_t = sigma, gap
    for layer in range(1, depth + 1):
        w2, b2 = rows[layer, SIGMA_W, i], rows[layer, SIGMA_B, i]
        q1, root_q1 = rows[layer - 1, VARIANCE, i], rows[layer - 1, ROOT, i]
        q2, root_q2 = columns[layer - 1, VARIANCE, j], columns[layer - 1, ROOT, j]
        c, close = sigma, $close_rho
        gap = s_choose(side > 1, 2 - side, side)
$entry_bounds        value, slope = s_pair(q1, root_q1, q2, root_q2, c, rho, sin_theta, gap$bounds$parameters)
        sigma = w2 * value + b2
        direct = sigma * rows[layer, INVERSE, i] * columns[layer, INVERSE, j]
        if close:
            k1, root_k1 = rows[layer, DIAGONAL, i], rows[layer, ROOT_DIAGONAL, i]
            k2, root_k2 = columns[layer, DIAGONAL, j], columns[layer, ROOT_DIAGONAL, j]
            d1, root_d1 = rows[layer, SLOPE, i], rows[layer, ROOT_SLOPE, i]
            d2, root_d2 = columns[layer, SLOPE, j], columns[layer, ROOT_SLOPE, j]
            size, size_dot = s_size(k1, root_k1, k2, root_k2), s_size(d1, root_d1, d2, root_d2)
            gap_k, gap_dot = 1 - fabs(value) / size, 1 - slope / size_dot
            near = $near
            if near:
$differences            weight1, weight2 = rows[layer, WEIGHT, i], columns[layer, WEIGHT, j]
            bias1, bias2 = rows[layer, BIAS, i], columns[layer, BIAS, j]
            side = s_sum_gap(weight1, weight2, bias1, bias2, gap_k, 2.0 * (value < 0))
            rho, sin_theta, gap = s_angle(direct, value, side)
            gap_t = gap_dot + gap_t - gap_dot * gap_t
            theta = sigma + w2 * slope * theta
            outer1, outer2 = rows[layer, OUTER, i], columns[layer, OUTER, j]
            gap_t = s_sum_gap(outer1, outer2, rows[layer, INNER, i], columns[layer, INNER, j], gap, gap_t)
        else:
            theta = sigma + w2 * slope * theta
            rho, side = direct, 1 - fabs(direct)
            square = side * (2 - side)
            sin_theta, gap = sqrt(s_choose(square < 0, 0.0, square)), 1 - rho
            gap_t = 1 - theta * rows[layer, INVERSE_THETA, i] * columns[layer, INVERSE_THETA, j]
    direct = sigma
    if tangent:
        direct, gap = theta, gap_t
    value = s_kernel(one, root_one, other, root_other, direct, gap)
    return $entry_result
'''

# Which thread does what; `diagonals` and `values` write K, or K' if `order`. Arrays are contiguous.
KERNELS = """
#define EACH(at, count) \\
    for (long long at = blockIdx.x * (long long)blockDim.x + threadIdx.x; at < (count); \\
         at += gridDim.x * (long long)blockDim.x)

extern "C" __global__ void diagonals(
    const double* q, double* result, long long count, long long order$declared)
{
    EACH(at, count) {
        const s_2 both = s_diagonal(q[at]$passed);
        result[at] = order ? both._1 : both._0;
    }
}

extern "C" __global__ void values(
    const double* q1, const double* q2, const double* c, double* result, long long count,
    long long order$declared_tables$declared)
{
    EACH(at, count) {
        const s_2 both = s_values(q1[at], q2[at], c[at]$value_views$passed);
        result[at] = order ? both._1 : both._0;
    }
}

extern "C" __global__ void rows(
    const double* squares, double* table, long long count, long long depth, double width, double sigma_w,
    double sigma_b$declared)
{
    EACH(at, count)
        s_row(squares[at], s_table{table, PARTS, count}, at, depth, width, sigma_w, sigma_b$passed);
}

// A tile k (height, breadth), in place of the products of rows i0, i0 + 1, ... of X (n, width) and of rows j0,
// j0 + 1, ... of Z (m, width). If `within` they are the same: above the diagonal is computed, the rest mirrored.
extern "C" __global__ void entries(
    double* k, long long height, long long breadth, double* X, double* rows, long long n, long long i0, double* Z,
    double* columns, long long m, long long j0, long long width, long long within, long long depth,
    long long tangent$declared_tables$declared)
{
    EACH(at, height * breadth) {
        const long long i = at / breadth, j = at - i * breadth;
        if (within && j <= i) {
            if (j == i) k[at] = rows[(depth * PARTS + (tangent ? THETA : VARIANCE)) * n + i0 + i];
            continue;
        }
        k[at] = s_entry(k[at], s_table{X, 0, width}, s_table{rows, PARTS, n}, i0 + i, s_table{Z, 0, width},
            s_table{columns, PARTS, m}, j0 + j, width, depth, tangent != 0$entry_views$passed);
        if (within) k[j * breadth + i] = k[at];
    }
}
"""

DEVICE = '''
CODE = r"""
$code"""
PARTS = 17  # numbers that the table of rows has of each row at each layer
TILE = $tile  # rows and columns of a tile
THREADS = 256  # in a block


@functools.cache
def _module():
    return cupy.RawModule(code=CODE, options=("--std=c++17",))


def _run(name, count, *arguments):
    """A kernel of CODE on `count` threads, or as many as go round."""
    if count:
        numbers = {int: np.int64, bool: np.int64, float: np.float64}
        arguments = tuple(numbers.get(type(a), lambda array: array)(a) for a in arguments)
        blocks = min((count + THREADS - 1) // THREADS, 2**20)
        _module().get_function(name)((blocks,), (THREADS,), arguments)


${public}def kernel(q1, q2, c$signature):
    """K(q1, q2, c) = E[phi(u) phi(v)]."""
    return _dual("values", 0, (q1, q2, c)$parameters)


${public}def kernel_dot(q1, q2, c$signature):
    """K'(q1, q2, c) = E[phi'(u) phi'(v)]."""
    return _dual("values", 1, (q1, q2, c)$parameters)


${public}def kernel_diag(q$signature):
    """K(q, q, q) = E[phi(u)**2]."""
    return _dual("diagonals", 0, (q,)$parameters)


${public}def kernel_dot_diag(q$signature):
    """K'(q, q, q) = E[phi'(u)**2]."""
    return _dual("diagonals", 1, (q,)$parameters)


def _dual(name, order, given$parameters):
    xp, given, dtype = _doubles(*given)
    given = xp.broadcast_arrays(*given)
    shape = given[0].shape
    # Sums of new arrays, which are contiguous: an array that is broadcast is not.
    given = [xp.zeros_like(xp.reshape(each, (-1,))) + xp.reshape(each, (-1,)) for each in given]
    result = xp.zeros_like(given[0])
    count = result.shape[0]
$evaluated    # NaN where no pair has these variances and this covariance, which may be rounded.
    most = xp.sqrt(given[0]) * xp.sqrt(given[-2 if len(given) == 3 else 0])
    allowed = most * (1 + 1e-6) + 2.2250738585072014e-308
    result = xp.where(xp.abs(given[-1]) <= allowed, result, xp.full_like(result, xp.nan))
    return xp.astype(xp.reshape(result, shape), dtype)


${public}def nngp(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Covariance of the outputs of a random network on rows of X (n, d) and of Y (m, d; X when None)."""
    return _gram(False, X, Y, depth, sigma_w, sigma_b$parameters)


${public}def ntk(X, Y=None, *, depth=1, sigma_w=1.0, sigma_b=0.0$signature):
    """Neural tangent kernel on rows of X (n, d) and of Y (m, d; X when None), biases trained."""
    return _gram(True, X, Y, depth, sigma_w, sigma_b$parameters)


def _gram(tangent, X, Y, depth, sigma_w, sigma_b$parameters):
    """Theta if `tangent`, else Sigma, in tiles: beside the result only temporaries of one tile are held."""
    xp, (X, Z), dtype = _doubles(X, X if Y is None else Y)
    if X.ndim != 2 or Z.ndim != 2 or X.shape[1] != Z.shape[1]:
        raise ValueError(f"X and Y must be (n, d) and (m, d), not {X.shape} and {Z.shape}")
    if depth < 0:
        raise ValueError(f"depth={depth} must be >= 0, the number of hidden layers")
    one = rows_of(X, tangent, depth, sigma_w, sigma_b$parameters)
    other = one if Y is None else rows_of(Z, tangent, depth, sigma_w, sigma_b$parameters)
    zeros = (xp.sum(0 * A, axis=1) for A in (X, Z))
    result = xp.astype(_outer(*zeros), dtype)
    n, m = result.shape
    for i in range(0, n, TILE):
        for j in range(0 if Y is not None else i, m, TILE):
            part, parts = slice(i, min(i + TILE, n)), slice(j, min(j + TILE, m))
            tile = xp.astype(tile_of(one, part, other, parts, Y is None and i == j), dtype)
            result[part, parts] = tile
            if Y is None and i < j:
                result[parts, part] = tile.T
    firsts = _firsts(xp, X)
    result = result if firsts is None else xp.take(result, firsts, axis=0)
    firsts = firsts if Y is None else _firsts(xp, Z)
    return result if firsts is None else xp.take(result, firsts, axis=1)


${public}def rows_of(X, tangent, depth, sigma_w, sigma_b$parameters):
    """What the tiles of rows X (n, d) share, computed once: a table by layer."""
    xp = _namespace(X)
    n, width = X.shape
    flat = xp.reshape(X, (-1,)) + 0.0  # new, and so contiguous
    X = xp.reshape(flat, (n, width))
    squares = xp.sum(X * X, axis=1)
    table = xp.reshape(xp.broadcast_to(squares, ((depth + 1) * PARTS, n)) + 0.0, (-1,))
    scales = float(sigma_w), float(sigma_b)
    _run("rows", n, squares, table, n, depth, float(max(width, 1)), *scales$floats)
$sides    return X, flat, table, (depth, tangent$floats)$known


def tile_of(one, part, other, parts, within=False):
    """The kernel of rows `part` of `one` with rows `parts` of `other`, slices of what rows_of returned.

    `within`: both are the same rows; what is above the diagonal is computed, the rest mirrored.
    """
    (X, x, rows, network$mine), (Z, z, columns, _$theirs) = one, other
    height, breadth, (n, width), m = part.stop - part.start, parts.stop - parts.start, X.shape, Z.shape[0]
    xp = _namespace(X)
    k = xp.reshape(X[part, :] @ Z[parts, :].T, (-1,))
    of_rows, of_columns = (x, rows, n, part.start), (z, columns, m, parts.start)
$read    _run("entries", height * breadth, k, height, breadth, *of_rows, *of_columns, width, within, *network$also)
    return xp.reshape(k, (height, breadth))


def _outer(a, b):
    return a[:, None] * b[None, :]


def _firsts(xp, X):
    """For every row the first that equals it, or None if no two do: copies have one kernel."""
    # Rows are sorted by a number made of each in one order of sums, so that equal rows have equal numbers.
    key = X * xp.sin(xp.cumulative_sum(xp.ones_like(X), axis=1) ** 2)
    while key.shape[1] > 1:
        half = key.shape[1] // 2
        key = xp.concat([key[:, :half] + key[:, half : 2 * half], key[:, 2 * half :]], axis=1)
    order = xp.argsort(xp.sum(key, axis=1))
    rows = xp.take(X, order, axis=0)
    same = xp.all(rows[1:, :] == rows[:-1, :], axis=1)
    if not xp.any(same):
        return None
    new = xp.concat([same[:1] == same[:1], ~same])  # the first of a run of equal rows
    run = xp.cumulative_sum(xp.astype(new, xp.int64)) - 1
    firsts = xp.take(xp.take(order, xp.nonzero(new)[0]), run)
    return xp.take(firsts, xp.argsort(order))


def _namespace(array):
    """The functions for an array, by the array API; CuPy's arrays are those of its own."""
    return array.__array_namespace__() if hasattr(array, "__array_namespace__") else cupy


def _doubles(*given):
    """(namespace, the arrays in double precision, in which all is computed, the type of the result)."""
    arrays = [a for a in given if not isinstance(a, (int, float))]
    arrays = arrays or [cupy.asarray(0.0)]
    xp = _namespace(arrays[0])
    single = any(a.dtype == xp.float32 for a in arrays) and xp.result_type(*arrays) == xp.float32
    zero = xp.zeros_like(xp.astype(arrays[0], xp.float64))
    doubles = [zero + a if isinstance(a, (int, float)) else xp.astype(a, xp.float64) for a in given]
    return xp, doubles, xp.float32 if single else xp.float64
'''

COMPILED = """
A pair's recursion runs in one CUDA kernel, which NVRTC compiles at the first call: CuPy arrays in, CuPy arrays out.
float32 is computed in float64 there too. No device has run it yet: its text was compiled for the host and measured.
"""
