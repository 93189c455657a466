"""The text of a generated module for pairs without a table: sums for a few of many, and what is between them.

A sum takes milliseconds. Many pairs are had from fewer sums, at Chebyshev's nodes of a box around their variances
and angles, in the variables of the tables; how many it takes is seen on lines through the box, and whether that was
enough at other places of it. A knot of φ elsewhere than at 0 is felt where two inputs are nearly parallel: those
pairs are summed one by one, as all are where series would be long.
"""

TEXT = '''
WORTH = 1024  # pairs that are worth a look at their box
SUMS = 4  # of a box, for a pair of the array, at most
GRID = 4, 16  # places of its ends in a unit of log q, and of the angle: tiles of the same rows share it
COUNTS = 12, 24, 48
REST = 2e-14  # where its series end
CHECKED, CHECK = 24, 3e-13  # places of a box at which they are compared with sums, and how far they may be off
KNOWN = {}  # terms of boxes, and their series


def pair_by_sums(q1, q2, rho, sin_theta):
    """(K, K') of flat arrays; where they are many, by series between fewer sums."""
    angle = layered(rho, sin_theta)
    apart = (q1 > 0) & (q2 > 0) & (np.abs(angle) < 0.8)
    if np.count_nonzero(apart) < WORTH:
        return pair_by_quadrature(q1, q2, rho, sin_theta)
    logs = [np.log(q[apart]) for q in (q1, q2)]
    box = *_outwards(np.concatenate(logs), GRID[0]), *_outwards(angle[apart], GRID[1])
    n, m = _known(_terms, *box)
    few = 0 < n * n * m < 2 * SUMS * len(logs[0])
    series = few and _known(_series, *box, n, m)
    if not series:
        return pair_by_quadrature(q1, q2, rho, sin_theta)
    values = np.empty((2, len(q1)))
    values[:, apart] = _between(box, *series, *logs, angle[apart])
    values[:, ~apart] = pair_by_quadrature(*(a[~apart] for a in (q1, q2, rho, sin_theta)))
    return values


def _outwards(x, steps):
    return float(np.floor(x.min() * steps)) / steps, float(np.ceil(x.max() * steps)) / steps


def _known(function, *arguments):
    if len(KNOWN) > 100:
        KNOWN.clear()
    value = KNOWN.get((function, arguments))
    if value is None:
        value = function(*arguments)
        KNOWN[function, arguments] = value
    return value


def _terms(low, high, start, stop):
    """How many a box needs in log q and in the angle, seen on some lines through it; 0 where they are too many."""
    mean, turn = (low + high) / 2, (start + stop) / 2
    q_ends, t_ends = np.array([low, high, low, high, mean]), np.array([start, start, stop, stop, turn])
    n = _length(low, high, lambda x: np.concatenate([_normal(x, q_ends, t_ends), np.log(_own(x))], -1))
    q_ends = np.array([low, low, high, mean]), np.array([low, high, high, mean])
    return n, _length(start, stop, lambda x: _normal(*q_ends, x)) if n else 0


def _length(low, high, function):
    for count in COUNTS:
        nodes, matrix = _nodes(count, low, high)
        sizes = np.abs(matrix @ function(nodes[:, None])).max((0, 2))
        length = 2 + np.flatnonzero(~(sizes <= REST)).max(initial=0)  # they may be no numbers
        if length < count:
            return length
    return 0


def _series(low, high, start, stop, n, m):
    """Those of log K(q, q) and of K/sqrt(K11 K22), and of the same of K'; False where sums say otherwise."""
    (logs, to_logs), (angles, to_angles) = _nodes(n, low, high), _nodes(m, start, stop)
    i, j = np.triu_indices(n)
    values = np.empty((2, n, n, m))
    values[:, i, j] = values[:, j, i] = _normal(logs[i][:, None], logs[j][:, None], angles)
    for axes, matrix in (("ai,kijm->kajm", to_logs), ("bj,kajm->kabm", to_logs), ("cm,kabm->kcab", to_angles)):
        values = np.einsum(axes, matrix, values)  # in one order of sums, on any number of threads
    own = to_logs @ np.log(_own(logs)).T
    some = np.random.default_rng(0).random((3, CHECKED))
    logs1, logs2, angles = (a + (b - a) * u for (a, b), u in zip(((low, high), (low, high), (start, stop)), some))
    sizes = np.sqrt(_own(logs1)) * np.sqrt(_own(logs2))
    found = _between((low, high, start, stop), own, values, logs1, logs2, angles) / sizes
    return (own, values) if np.all(np.abs(found - _normal(logs1, logs2, angles)) <= CHECK) else False


def _nodes(count, low, high):
    nodes, matrix = interpolation(count)
    return (low + high) / 2 + (high - low) / 2 * nodes, matrix


def _own(logs):
    return np.array(moments(np.exp(logs))[2:])


def _normal(logs1, logs2, angles):
    """K/sqrt(K11 K22), and the same of K', for arrays that broadcast."""
    s = np.tanh(angles * (LOG_LAYER / 2)) / NARROW
    cos, sin = 2 * s / (1 + s * s), (1 - s * s) / (1 + s * s)
    points = np.broadcast_arrays(np.exp(logs1), np.exp(logs2), cos, sin)
    values = pair_by_quadrature(*map(np.ravel, points)).reshape(2, *points[0].shape)
    sizes = [np.sqrt(one) * np.sqrt(two) for one, two in zip(_own(logs1), _own(logs2))]
    return np.array([k / size for k, size in zip(values, sizes)])


def _between(box, own, series, logs1, logs2, angle):
    """The series at points of their box."""
    (low, high, start, stop), (_, count, n, _) = box, series.shape
    angle = (angle - (start + stop) / 2) / max((stop - start) / 2, 1e-9)
    places = [(logs - (low + high) / 2) / max((high - low) / 2, 1e-9) for logs in (logs1, logs2)]
    results = np.empty((2, len(angle)))
    for part in (slice(k, k + FLAT) for k in range(0, len(angle), FLAT)):
        one, two = (polynomials(place[part], n) for place in places)
        both = (one[:, :, None] * two[:, None, :]).reshape(len(one), -1).T
        for k in (0, 1):
            terms = series[k].reshape(count, -1) @ both
            size = np.exp((one + two) @ own[:, k] / 2)
            results[k, part] = clenshaw(terms.__getitem__, count, angle[part]) * size
    return results

'''
