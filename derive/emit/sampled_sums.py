"""The text of a generated module for pairs without a table: values of a few of many, and what is between them.

A sum takes milliseconds, a closed form in Φ₂ microseconds. Many pairs are had from fewer values, at Chebyshev's
nodes of a box around their variances and angles, in the variables of the tables; how many it takes is seen on lines
through the box, and whether that was enough at other places. A knot of φ elsewhere than at 0 is felt where two
inputs are nearly parallel: those pairs are computed one by one, as all are where series would be long.
"""

from string import Template

_TEXT = '''
WORTH = $worth  # pairs that are worth a look at their box
SUMS = 1  # of a box, for a pair of the array, at most
ANGLES = $angles  # that have all their pairs at once, as the two of inputs in one dimension
EDGE = $edge  # of the angle as the tables have it, up to which a kernel is smooth
GRID = 4, 16  # places of its ends in a unit of log q, and of the angle: tiles of the same rows share it
COUNTS = 12, 24, 32, 48
REST = 2e-14  # where its series end
CHECKED, CHECK = 32, 6e-14  # places of a box at which they are compared, and how far they may be off
KNOWN = {}  # terms of boxes, and their series


def pair_by_boxes(q1, q2, rho, sin_theta):
    """(K, K') of arrays that broadcast; where they are many, by series between fewer values."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in (q1, q2, rho, sin_theta)))
    angle = layered(rho, sin_theta)
    apart = np.broadcast_to((q1 > 0) & (q2 > 0) & (np.abs(angle) < EDGE), shape)
    series = _box(apart, shape, q1, q2, angle) if np.count_nonzero(apart) >= WORTH else None
    if series is None:
        return pair_one_by_one(*_taken(slice(None), shape, q1, q2, rho, sin_theta)).reshape(2, *shape)
    box, own, terms = series
    values = np.array(_between(box, own, terms, *np.atleast_1d(q1, q2, angle))).reshape(2, -1)
    rest = np.flatnonzero(~apart)
    if len(rest):
        values[:, rest] = pair_one_by_one(*_taken(rest, shape, q1, q2, rho, sin_theta))
    return values.reshape(2, *shape)


def _box(apart, shape, q1, q2, angle):
    """A box around the pairs that are apart, and its series; None where each is computed as soon."""
    if len(np.unique(angle)) <= ANGLES:
        return None
    logs = [np.log(q[q > 0]) for q in np.atleast_1d(q1, q2)]
    box = *_outwards(np.concatenate(logs), GRID[0]), *_outwards(np.broadcast_to(angle, shape)[apart], GRID[1])
    n, m = _known(_terms, *box)
    if not 0 < $cost < SUMS * np.count_nonzero(apart):
        return None
    series = _known(_series, *box, n, m)
    return series and (box, *series)


def _outwards(x, steps):
    return float(np.floor(x.min() * steps)) / steps, float(np.ceil(x.max() * steps)) / steps


def _known(function, *arguments):
    if len(KNOWN) > 100:
        KNOWN.clear()
    value = KNOWN.get((function, arguments), False)
    if value is False:
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
    hoped = 0
    for count in COUNTS:
        if count < hoped:
            continue
        nodes, matrix = _nodes(count, low, high)
        sizes = np.abs(matrix @ function(nodes[:, None])).max((0, 2))
        length = 2 + np.flatnonzero(~(sizes <= REST)).max(initial=0)  # they may be no numbers
        if length < count:
            return length
        with np.errstate(all="ignore"):  # as if they went on falling as they do
            hoped = 0.9 * count * np.log(REST) / np.log(sizes[-2:].max())
        if not 0 < hoped < COUNTS[-1]:
            return 0
    return 0


def _series(low, high, start, stop, n, m):
    """Those of log K(q, q) and of K/sqrt(K11 K22), and of the same of K'; None where values say otherwise."""
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
    found = _between((low, high, start, stop), own, values, np.exp(logs1), np.exp(logs2), angles) / sizes
    return (own, values) if np.all(np.abs(found - _normal(logs1, logs2, angles)) <= CHECK) else None


def _nodes(count, low, high):
    nodes, matrix = interpolation(count)
    return (low + high) / 2 + (high - low) / 2 * nodes, matrix


def _own(logs):
    variances, places = np.unique(np.exp(logs), return_inverse=True)
    return np.array(diagonal(variances))[:, places.reshape(np.shape(logs))]


def _normal(logs1, logs2, angles):
    """K/sqrt(K11 K22), and the same of K', for arrays that broadcast."""
    s = np.tanh(angles * (LOG_LAYER / 2)) / NARROW
    cos, sin = 2 * s / (1 + s * s), (1 - s * s) / (1 + s * s)
    points = np.broadcast_arrays(np.exp(logs1), np.exp(logs2), cos, sin)
    values = pair_one_by_one(*map(np.ravel, points)).reshape(2, *points[0].shape)
    sizes = [np.sqrt(one) * np.sqrt(two) for one, two in zip(_own(logs1), _own(logs2))]
    return np.array([k / size for k, size in zip(values, sizes)])


def _between(box, own, series, q1, q2, angle):
    """The series at pairs of their box, in the shape of all."""
    (low, high, start, stop), (_, _, n, _) = box, series.shape
    angle = np.clip((angle - (start + stop) / 2) / max((stop - start) / 2, 1e-9), -1, 1)
    middle, reach = (low + high) / 2, max((high - low) / 2, 1e-9)
    one, two = (polynomials((np.log(np.maximum(q, TINY)) - middle) / reach, n) for q in (q1, q2))
    sizes = [[np.exp(place @ own[:, k] / 2)[..., None] for place in (one, two)] for k in (0, 1)]
    return [summed(series[k], one * size1, two * size2, angle) for k, (size1, size2) in enumerate(sizes)]

'''


def text(worth: int, edge: float, cost: str, angles: int = 0) -> str:
    """The functions: for so many pairs, up to that angle, where a box costs as much as so many pairs."""
    return Template(_TEXT).substitute(worth=worth, edge=edge, cost=cost, angles=angles)
