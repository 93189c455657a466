"""The text of a generated CuPy module of tables, as far as it differs from that of closed forms (device.py).

There are as many variances as rows, so that small matrix products take what a table says of them: for columns
alone, and for rows together with the coefficients. What is left for a thread is one of Clenshaw's sums for each
rank, in registers, of coefficients that all threads of a row share. So here too a pair goes through all layers in
one kernel, close pairs by the text of closed forms. The whole angle is one series, whatever a tile's angles are.

SCALED is restricted Python, translated by cuda.py; SAMPLED is written in the functions of the array API, and in
NumPy where it depends on the extents of variances alone.
"""

SCALED = '''
# K(q, q) and K'(q, q): Chebyshev coefficients of their logarithms in log q, the last first.
LOGS = (
$logs)


@njit(**CONTRACTED)
def s_clenshaw(x, series: "table", at: "index", count: "index"):
    """The sum over n < count of T_n(x) times the n-th number from a place of a series."""
    value, after = 0.0, 0.0
    for n in range(1, count):
        value, after = (series[0, at + count - n] - after) + 2 * x * value, value
    return (series[0, at] - after) + x * value


@njit(**CONTRACTED)
def s_tabled(
    x, kind: "index", layer: "index",
    counts: "table", series: "table", here: "index", places: "table", j: "index"
):
    """K (kind = 0) or K' (kind = 4) of a pair in units of sqrt(K11 K22): a sum of series in the angle."""
    count, rank = np.int64(counts[layer, kind]), np.int64(counts[layer, kind + 1])
    start, place = np.int64(counts[layer, kind + 2]) + here * rank * count, np.int64(counts[layer, kind + 3])
    total = 0.0
    for n in range(rank):
        total += places[place + n, j] * s_clenshaw(x, series, start + n * count, count)
    return total


@njit(**CONTRACTED)
def s_pair(
    q1, root_q1, q2, root_q2, c, rho, sin_theta, gap, bound, bound_dot, layer: "index",
    counts: "table", series: "table", here: "index", places: "table", j: "index"
):
    """(K, K') of one pair; bound = sqrt(K11 K22), and bound_dot that of K'."""
    x = s_atanh(NARROW * rho, 1 + sin_theta) * (2 / LOG_LAYER)  # the angle as the tables have it
    k = bound * s_tabled(x, 0, layer, counts, series, here, places, j)
    return k, bound_dot * s_tabled(x, 4, layer, counts, series, here, places, j)


@njit(**SCALAR)
def s_falls(
    q1, root_q1, q2, root_q2, c, rho, sin_theta, gap,
    k1, root_k1, k2, root_k2, d1, root_d1, d2, root_d2, bound, bound_dot, layer: "index",
    counts: "table", series: "table", here: "index", places: "table", j: "index"
):
    """sqrt(k1 k2) - K and sqrt(d1 d2) - K' of one pair."""
$falls
'''

DIAGONAL = """\
    x = (log(q) - LOG_MIDDLE) / LOG_REACH
    x = s_choose(x < -1, -1.0, s_choose(x > 1, 1.0, x))
    k, after, slope, behind = 0.0, 0.0, 0.0, 0.0
    for of_k, of_slope in LOGS:
        k, after = (of_k - after) + 2 * x * k, k
        slope, behind = (of_slope - behind) + 2 * x * slope, slope
    return s_exp(k - x * after), s_exp(slope - x * behind)"""

ARGUMENTS = ", bound, bound_dot, layer, counts, series, here, places, j"  # of s_pair, as s_falls has them

# By their places in the texts of device.py.
LOOKED_UP = {
    "bounds": ", bound, bound_dot, before, counts, series, here, places, j",
    "diagonal": DIAGONAL,
    "value_tables": ', counts: "table", series: "table", here: "index", places: "table", j: "index"',
    "value_bounds": """\
    before = 0
    k1, d1 = s_diagonal(q1)
    k2, d2 = s_diagonal(q2)
    bound, bound_dot = sqrt(k1) * sqrt(k2), sqrt(d1) * sqrt(d2)
""",
    "entry_tables": ', counts: "table", series: "table", here: "index", places: "table"',
    "entry_bounds": """\
        before = layer - 1
        bound = rows[layer, ROOT_DIAGONAL, i] * columns[layer, ROOT_DIAGONAL, j]
        bound_dot = rows[layer, ROOT_SLOPE, i] * columns[layer, ROOT_SLOPE, j]
""",
    "entry_result": "value",
    "declared_tables": ",\n    double* counts, double* series, double* places",
    "value_views": ",\n            s_table{counts, 0, 8}, s_table{series, 0, 0}, at, s_table{places, 0, count}, at",
    "entry_views": ",\n            s_table{counts, 0, 8}, s_table{series, 0, 0}, i, s_table{places, 0, m}",
    "tile": "1024",
    "evaluated": """\
    for start in range(0, count, FLAT):
        part = slice(start, min(start + FLAT, count))
        arrays = [each[part] for each in (*given, result)]
        sides = [sides_of(0 * q, [q]) for q in arrays[: min(len(given), 2)]]
        whole = slice(0, part.stop - start)
        tables = between(sides[0], whole, sides[1]) if len(sides) == 2 else []
        _run(name, whole.stop, *arrays, whole.stop, order, *tables)
""",
    "sides": """\
    variances = xp.reshape(table, (depth + 1, PARTS, n))[:, VARIANCE, :]
    sides = sides_of(0 * squares, [variances[layer, :] for layer in range(depth)])
""",
    "known": ", sides",
    "mine": ", sides",
    "theirs": ", others",
    "read": "    tables = between(sides, part, others)\n",
    "also": ", *tables",
}

SAMPLED = '''
LOW, HIGH = $low, $high  # variances of the tables
FLAT = 16384  # pairs of arrays that are evaluated at a time

# (basis in log q, coefficients in the angle and both variances) of K and of K'.
TABLES = [
$tables]
DEGREES = max(basis.shape[1] for basis, _ in TABLES)


def sides_of(zeros, variances):
    """The extents of variances, a list of arrays by layer, and what the tables say at each.

    These are numbers by which coefficients are multiplied, a row for each rank of K and then of K'; zeros first.
    """
    xp, extents, places = _namespace(zeros), [], [zeros[None, :]]
    for q in variances:
        extent = low, high = [float(end(q)) for end in (xp.min, xp.max)] if q.shape[0] else (1.0, 1.0)
        if not (low >= LOW * (1 - 1e-7) and high <= HIGH * (1 + 1e-7)):
            message = f"a variance is outside [{LOW:g}, {HIGH:g}], the range of tables of {NAME}: "
            raise ValueError(message + "scale the inputs, sigma_w or sigma_b, or use the target numpy")
        extents.append((low, high))
        middle, reach, few, ways = local(low, high)
        orders = beside(np.arange(few, dtype=float), zeros)
        x = ((xp.log(q) - LOG_MIDDLE) / LOG_REACH - middle) / reach
        turns = xp.cos(orders[:, None] * xp.acos(xp.clip(x, -1, 1))[None, :])
        for matrix, _ in ways:
            places.append(turns if matrix is None else beside(matrix, zeros) @ turns)
    return extents, xp.concat(places)


@functools.lru_cache(maxsize=256)
def local(low, high):
    """(middle, half, count) of Chebyshev's polynomials for variances in an extent, two matrices for K and for K'.

    One takes the polynomials to what coefficients are multiplied by, or is None where they are that themselves; the
    other takes the ranks of the table there.
    """
    ends = ((np.log(q) - LOG_MIDDLE) / LOG_REACH for q in (low, high))
    middle, reach, matrix = nearby(*ends, STRIP_VARIANCE, DEGREES)
    ways = [matrix[:, : basis.shape[1]] @ basis.T for basis, _ in TABLES]
    wide = [len(way) > way.shape[1] for way in ways]
    return float(middle), float(reach), len(matrix), [
        (way.T.copy(), np.eye(way.shape[1])) if many else (None, way) for way, many in zip(ways, wide)
    ]


@functools.lru_cache(maxsize=256)
def series_of(one, two):
    """For K and K' (count, rank, coefficients) between extents: for each rank of one those of the other's ranks."""
    results = []
    for (_, left), (_, right), (_, core) in zip(local(*one)[3], local(*two)[3], TABLES):
        series = left @ core @ right.T
        sizes = np.abs(series)
        count, rows, columns = (
            1 + np.flatnonzero(sizes.max(others) > FAINT * sizes.max()).max(initial=0)
            for others in ((1, 2), (0, 2), (0, 1))
        )
        series = np.ascontiguousarray(series[:count, :rows, :columns].transpose(1, 2, 0))
        results.append((count, columns, series.reshape(rows, -1)))
    return results


def between(one, part, two):
    """What s_tabled reads for rows `part` of one side beside all of another.

    By layer the counts, ranks and places of series and columns; the series of each row; what columns have in them.
    """
    (extents, left), (others, right) = one, two
    xp, counts, series = _namespace(left), np.zeros((len(extents) + 1, 8)), [left[0, :1]]
    start = row = column = 1
    for layer, (mine, theirs) in enumerate(zip(extents, others)):
        ways = zip(series_of(mine, theirs), local(*mine)[3], local(*theirs)[3])
        for kind, ((count, rank, matrix), (_, here), (_, there)) in enumerate(ways):
            counts[layer, 4 * kind : 4 * kind + 4] = count, rank, start, column
            values = left[row : row + len(matrix), part].T @ beside(matrix, left)
            series.append(xp.reshape(values, (-1,)))
            start += (part.stop - part.start) * rank * count
            row, column = row + len(here), column + len(there)
    return beside(counts, left), xp.concat(series), right


def beside(values, array):
    """An array of NumPy put where another is; CuPy's are on the device that is current."""
    xp = _namespace(array)
    return xp.asarray(values) if xp is cupy else xp.asarray(values, device=array.device)
'''
