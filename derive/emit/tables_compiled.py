"""The text of a generated Numba module of tables, as far as it differs from arrays': a layer of a matrix of pairs.

A few rows at a time, the coefficients of every pair are one product of matrices, and what else there is to do for
a row of pairs, from their angles before the layer to those behind it, is done by loops that vectorise.
"""

from mehler.derive.emit.fused import ANY_CLOSE
from mehler.derive.emit.pair_scalars import CACHED

LAYERS = (
    """
TILE = 512, 1024  # rows and columns of a tile
STRIP, CLOSE_STRIP = 524288, 524288  # all of it goes through the layers at a time
"""
    + CACHED
    + '''\
COMPILED = {"nogil": True, "error_model": "numpy", "cache": _cached(), "fastmath": {"contract"}}
ROUNDED = 1e-7  # by which an angle near pi may be off that is known by its cosine
ROWS = 4  # whose coefficients are made at a time, to stay in the cache


def _apart(w2, b2, q1, q2, end1, end2, sigma, theta, cos, extent):
    """What _layer returns of pairs all of which are apart."""
    matrix = cos.ndim == 2 and q1.shape == (len(cos), 1) and q2.shape == (1, cos.shape[1])
    if not (matrix and np.all(inside(q1)) and np.all(inside(q2))):
        return _after(b2, theta, *apart(q1, q2, sigma, cos, w2))
    ends = np.array(extent[::-1])
    low, high = layered(ends, np.sqrt((1 - ends) * (1 + ends)))
    middle, reach, turns = nearby(low - ROUNDED, high + ROUNDED, STRIP_ANGLE, TURNS)
    parts = []
    for series, one, two in of_extents(turns, q1, q2):
        parts += [np.tensordot(one[:, 0], series, (1, 1)), np.ascontiguousarray(two[0].T)]
    state = [np.ascontiguousarray(each) for each in (sigma, theta.copy() if theta is sigma else theta, cos)]
    _step(*state, middle, reach, *parts, w2, b2, *(e[INVERSE].ravel() for e in (end1, end2)))
    return *state, None, None, None


@njit(**COMPILED)
def _step(sigma, theta, cos, middle, reach, left, right, left_dot, right_dot, w2, b2, inverse1, inverse2):
    """A layer of a matrix of pairs, in place; on the left stand (rows, n, ranks), on the right (ranks, columns)."""
    n, m = cos.shape
    count, count_dot = left.shape[1], left_dot.shape[1]
    k, k_dot, turns = np.empty(m), np.empty(m), np.empty((max(count, count_dot, 2), m))
    terms, terms_dot = np.empty((ROWS * count, m)), np.empty((ROWS * count_dot, m))
    for start in range(0, n, ROWS):
        stop = min(start + ROWS, n)
        size, size_dot = (stop - start) * count, (stop - start) * count_dot
        np.dot(left[start:stop].reshape(size, -1), right, terms[:size])
        np.dot(left_dot[start:stop].reshape(size_dot, -1), right_dot, terms_dot[:size_dot])
        for i in range(start, stop):
            _angles(cos[i], middle, reach, turns[1])
            _turned(turns)
            _added(turns, terms[(i - start) * count : (i - start + 1) * count], k)
            _added(turns, terms_dot[(i - start) * count_dot : (i - start + 1) * count_dot], k_dot)
            _behind(sigma[i], theta[i], cos[i], k, k_dot, w2, b2, inverse1[i], inverse2)


@njit(**COMPILED)
def _angles(cos, middle, reach, angles):
    """Where the angles of pairs are in their extent."""
    middle, scale = middle / reach, 2 / LOG_LAYER / reach
    for j in range(len(cos)):
        square = (1 - cos[j]) * (1 + cos[j])
        sin_theta = sqrt(s_choose(square < 0, 0.0, square))
        angles[j] = s_atanh(NARROW * cos[j], 1 + sin_theta) * scale - middle


@njit(**COMPILED)
def _turned(turns):
    """Chebyshev's polynomials of angles, which are the second."""
    one, angles = turns[0], turns[1]
    for j in range(len(one)):
        one[j] = 1.0
    for n in range(2, len(turns)):
        value, before, earlier = turns[n], turns[n - 1], turns[n - 2]
        for j in range(len(one)):
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
def put_polynomial(kernel, k, w2, b2, middle, reach, series, inverse1, own1, inverse2, own2):
    """Puts own1*own2 times a polynomial in the angle, whose cosine is (w2*k + b2)*inverse1*inverse2."""
    m = k.shape[1]
    cos, angles, value, after = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    for i in range(len(k)):
        inverse, own = inverse1[i, 0], own1[i, 0]
        for j in range(m):
            cos[j] = (w2 * k[i, j] + b2) * inverse * inverse2[0, j]
        _angles(cos, middle, reach, angles)
        _clenshaw(angles, series, value, after)
        for j in range(m):
            kernel[i, j] = (value[j] - angles[j] * after[j]) * own * own2[0, j]


@njit(**COMPILED)
def _clenshaw(x, series, value, after):
    """The last two of Clenshaw's sums, four terms at a time."""
    whole = len(series) // 4 * 4
    for j in range(len(x)):
        value[j], after[j] = 0.0, 0.0
    for n in range(len(series) - 1, whole - 1, -1):
        a = series[n]
        for j in range(len(x)):
            before = value[j]
            value[j] = 2 * x[j] * before + (a - after[j])
            after[j] = before
    for n in range(whole - 4, -1, -4):
        a, b, c, d = series[n], series[n + 1], series[n + 2], series[n + 3]
        for j in range(len(x)):
            twice = 2 * x[j]
            fourth = twice * value[j] + (d - after[j])
            third = twice * fourth + (c - value[j])
            second = twice * third + (b - fourth)
            value[j] = twice * second + (a - third)
            after[j] = second


@njit(**COMPILED)
def _behind(sigma, theta, cos, k, k_dot, w2, b2, inverse1, inverses):
    """What a row of pairs carries on, in place of what it brought."""
    for j in range(len(k)):
        sigma[j] = w2 * k[j] + b2
    for j in range(len(k)):
        theta[j] = w2 * k_dot[j] * theta[j] + sigma[j]
    for j in range(len(k)):
        cos[j] = sigma[j] * inverse1 * inverses[j]
'''
)

TABULATED = LAYERS + ANY_CLOSE
