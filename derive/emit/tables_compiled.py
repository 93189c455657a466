"""The text of a generated Numba module of tables, as far as it differs from arrays': a layer of a matrix of pairs.

A few rows at a time, the coefficients of every pair are one product of matrices, and what else there is to do for
a row of pairs, from their angles before the layer to those behind it, is done by loops that vectorise.
"""

TABULATED = '''
TILE = 512, 512  # rows and columns of a tile
COMPILED = {"nogil": True, "error_model": "numpy", "cache": True, "fastmath": {"contract"}}
ROUNDED = 1e-7  # by which an angle near pi may be off that is known by its cosine
ROWS = 4  # whose coefficients are made at a time, to stay in the cache


def _apart(w2, b2, q1, q2, end1, end2, sigma, theta, cos, sin_theta):
    """(Sigma, Theta, cos, sin) of pairs after a layer, none of them close."""
    matrix = cos.ndim == 2 and q1.shape == (len(cos), 1) and q2.shape == (1, cos.shape[1])
    if not (matrix and np.all(inside(q1)) and np.all(inside(q2))):
        return _after(w2, b2, end1, end2, theta, *pair(q1, q2, sigma, cos, sin_theta))
    ends = np.array([cos.max(), cos.min()])
    low, high = layered(ends, np.sqrt((1 - ends) * (1 + ends)))
    middle, reach, turns = nearby(low - ROUNDED, high + ROUNDED, STRIP_ANGLE, TURNS)
    parts = []
    for series, one, two in of_extents(turns, q1, q2):
        parts += [np.tensordot(one[:, 0], series, (1, 1)), np.ascontiguousarray(two[0].T)]
    state = (np.ascontiguousarray(each) for each in (theta, cos, sin_theta))
    inverses = (e[INVERSE].ravel() for e in (end1, end2))
    return _stepped(*state, middle, reach, *parts, w2, b2, *inverses)


@njit(**COMPILED)
def _stepped(theta, cos, sin_theta, middle, reach, left, right, left_dot, right_dot, w2, b2, inverse1, inverse2):
    """A layer of a matrix of pairs; what stands on the left is (rows, n, ranks), on the right (ranks, columns)."""
    n, m = cos.shape
    count, count_dot, sphere = left.shape[1], left_dot.shape[1], len(right) == len(right_dot) == 1
    sigma, theta, cos, sin_theta = np.empty((n, m)), theta.copy(), cos.copy(), sin_theta.copy()
    terms, terms_dot = np.empty((ROWS * count, m)), np.empty((ROWS * count_dot, m))
    turns, k, k_dot = np.empty((max(count, count_dot, 2), m)), np.empty(m), np.empty(m)
    for start in range(0, n, ROWS):
        stop = min(start + ROWS, n)
        size, size_dot = (stop - start) * count, (stop - start) * count_dot
        if not sphere:
            np.dot(left[start:stop].reshape(size, -1), right, terms[:size])
            np.dot(left_dot[start:stop].reshape(size_dot, -1), right_dot, terms_dot[:size_dot])
        for i in range(start, stop):
            _turned(cos[i], sin_theta[i], middle, reach, turns)
            if sphere:
                _scaled(turns, left[i], right[0], k)
                _scaled(turns, left_dot[i], right_dot[0], k_dot)
            else:
                _added(turns, terms[(i - start) * count : (i - start + 1) * count], k)
                _added(turns, terms_dot[(i - start) * count_dot : (i - start + 1) * count_dot], k_dot)
            _behind(sigma[i], theta[i], cos[i], sin_theta[i], k, k_dot, w2, b2, inverse1[i], inverse2)
    return sigma, theta, cos, sin_theta


@njit(**COMPILED)
def _turned(cos, sin_theta, middle, reach, turns):
    """Chebyshev's polynomials of angles."""
    one, angles = turns[0], turns[1]
    for j in range(len(cos)):
        one[j] = 1.0
        angles[j] = (s_atanh(NARROW * cos[j] / (1 + sin_theta[j])) * (2 / LOG_LAYER) - middle) / reach
    for n in range(2, len(turns)):
        value, before, earlier = turns[n], turns[n - 1], turns[n - 2]
        for j in range(len(cos)):
            value[j] = 2 * angles[j] * before[j] - earlier[j]


@njit(**COMPILED)
def _added(turns, terms, result):
    """The sum over n of T_n times its coefficient for each pair. Two terms at a time, and no more, vectorise."""
    first, whole = terms[0], len(terms) - (len(terms) - 1) % 2
    for j in range(len(result)):
        result[j] = first[j]
    for n in range(1, whole, 2):
        a, b, one, two = turns[n], turns[n + 1], terms[n], terms[n + 1]
        for j in range(len(result)):
            result[j] += a[j] * one[j] + b[j] * two[j]
    if whole < len(terms):
        a, one = turns[whole], terms[whole]
        for j in range(len(result)):
            result[j] += a[j] * one[j]


@njit(**COMPILED)
def _scaled(turns, series, scales, result):
    """The same where variances are all equal: one polynomial in the angle."""
    for j in range(len(result)):
        result[j] = series[0, 0]
    whole = len(series) - (len(series) - 1) % 2
    for n in range(1, whole, 2):
        a, b, one, two = turns[n], turns[n + 1], series[n, 0], series[n + 1, 0]
        for j in range(len(result)):
            result[j] += a[j] * one + b[j] * two
    if whole < len(series):
        a, one = turns[whole], series[whole, 0]
        for j in range(len(result)):
            result[j] += a[j] * one
    for j in range(len(result)):
        result[j] *= scales[j]


@njit(**COMPILED)
def _behind(sigma, theta, cos, sin_theta, k, k_dot, w2, b2, inverse1, inverses):
    """What a row of pairs carries on, in place of what it brought."""
    for j in range(len(k)):
        sigma[j] = w2 * k[j] + b2
        theta[j] = sigma[j] + w2 * k_dot[j] * theta[j]
        cos[j] = sigma[j] * inverse1 * inverses[j]
        square = 1 - cos[j] * cos[j]
        sin_theta[j] = sqrt(s_choose(square < 0, 0.0, square))
'''
