"""The text of a generated module for inputs of one norm: all layers of a network are one polynomial in the angle.

On a sphere every variance of a layer is the same, and a kernel of the network is a function of the first angle
alone. Where no closed form gives it, few angles are taken through the layers, and a polynomial between them is the
rest, in the variable of the tables (derive/tables/table.py).
"""

import math
from string import Template

LAYERED = '''
LAYER = $layer  # of the angle: tan(theta/2) = tau runs over log((tau + LAYER)/(1 + LAYER*tau))
LOG_LAYER, NARROW = $log_layer, (1 - LAYER) / (1 + LAYER)
FAINT = 5e-16  # coefficients beside the largest, in the noise of rounding
FLAT = 1024  # pairs of an array without rows and columns that are evaluated at a time


def layered(rho, sin_theta):
    """The angle as the tables have it: from -1 at 0 to 1 at pi."""
    return np.arctanh(NARROW * rho / (1 + sin_theta)) * (2 / LOG_LAYER)


def polynomials(x, count):
    """Chebyshev's polynomials T_n(x) for n < count along a last axis."""
    return np.cos(np.arccos(np.clip(x, -1, 1))[..., None] * np.arange(count))


def interpolation(count):
    """Chebyshev's nodes, and the matrix that takes values at them to coefficients."""
    odd = 2 * np.arange(count) + 1
    cosines = np.cos(np.pi / 2 * (np.outer(np.arange(count), odd) % (4 * count)) / count)
    matrix = cosines * (2 / count)
    matrix[0] /= 2
    return cosines[1], matrix


def clenshaw(term, count, x):
    """The sum over n < count of T_n(x) * term(n)."""
    twice, scratch = 2 * x, np.empty_like(x)
    after, value = np.zeros_like(x), np.zeros_like(x)
    for n in range(count - 1, 0, -1):
        np.subtract(term(n), after, out=after)
        np.multiply(twice, value, out=scratch)
        after += scratch
        after, value = value, after
    return term(0) + x * value - after


def summed(series, place1, place2, angle):
    """The sum over n of T_n(angle) * place1 . series[n] . place2, in the shape of all three."""
    if angle.ndim != 2 or place1.shape[:2] != (len(angle), 1) or place2.shape[:2] != (1, angle.shape[1]):
        return one_by_one(series, place1, place2, angle)
    left, right = np.tensordot(series, place1[:, 0], (1, 1)), np.ascontiguousarray(place2[0].T)
    if len(right) == 1:  # variances of one side are all equal
        return clenshaw(lambda n: left[n].T, len(series), angle) * right
    term = np.empty(angle.shape)
    return clenshaw(lambda n: np.matmul(left[n].T, right, out=term), len(series), angle)


def one_by_one(series, place1, place2, angle):
    """The same for pairs that are no matrix."""
    shape = np.broadcast_shapes(place1.shape[:-1], place2.shape[:-1], angle.shape)
    flat = [np.broadcast_to(p, (*shape, p.shape[-1])).reshape(-1, p.shape[-1]) for p in (place1, place2)]
    angle, result = np.broadcast_to(angle, shape).ravel(), np.empty(int(np.prod(shape)))
    table = series.reshape(len(series), -1)
    for start in range(0, len(result), FLAT):
        one, two = (p[start : start + FLAT] for p in flat)
        terms = table @ (one[:, :, None] * two[:, None, :]).reshape(len(one), -1).T
        result[start : start + FLAT] = clenshaw(terms.__getitem__, len(terms), angle[start : start + FLAT])
    return result

'''

BY_ANGLE = '''
MANY = $many  # pairs for which a polynomial is worth its while
ALIKE = 1e-6  # by how much variances on a sphere may differ


def by_angle(kernel, tangent, scales, ends1, ends2, k):
    """Whether inputs have one norm and their kernel is a polynomial in the angle: then puts it into `kernel`.

    k are the products of their rows. In units of their own the lowest variance and the highest have to agree.
    """
    every = np.concatenate([ends1[..., 0], ends2[:, :, 0]], -1)
    at = every[0, VARIANCE].argmin(), every[0, VARIANCE].argmax()
    low, high = every[0, VARIANCE, at]
    alike = 0 < low and high - low <= ALIKE * low
    if k.size < MANY or len(scales) == 1 or not (alike and every[0, BIAS].max() <= DOMINANT):
        return False
    (w2, b2), own = scales[0], THETA if tangent else VARIANCE
    cos = np.clip([(w2 * float(product) + b2) / q for product in (k.max(), k.min()) for q in (low, high)], -1, 1)
    angles, allowed = layered(cos, _sine(cos)), 6e-8 if k.dtype == np.float32 else 4e-15
    with np.errstate(all="ignore"):
        middle, reach, series = in_angle(tangent, scales, every[..., at, None], angles, own, allowed)
    if series is None:
        return False
    sides = [(ends[0, INVERSE], np.sqrt(ends[-1, own])) for ends in (ends1, ends2)]
    put_polynomial(kernel, k, w2, b2, middle, reach, series, *sides[0], *sides[1])
    return True


def in_angle(tangent, scales, ends, angles, own, allowed):
    """The middle and half of the extent of angles, and the Chebyshev coefficients of a kernel there, or None."""
    middle, reach = (angles.min() + angles.max()) / 2, max((angles.max() - angles.min()) / 2, 1e-9)
    for count in (32, 64, 128):
        nodes, matrix = interpolation(count)
        s = np.tanh((middle + reach * nodes) * (LOG_LAYER / 2)) / NARROW
        state, both = 2 * s / (1 + s * s) * ends[0, VARIANCE], [np.repeat(ends, count, -1)] * 2
        values = _kernel(tangent, (state, None, None, None), *both, scales) / ends[-1, own]
        series = matrix @ values.mean(0)
        sizes = np.abs(series)
        if not 0 < sizes.max() >= np.abs(values[1] - values[0]).max() / allowed:  # or not numbers
            break
        if sizes[count * 3 // 4 :].max() <= allowed * sizes.max():
            return middle, reach, series[: 1 + np.flatnonzero(sizes > FAINT * sizes.max())[-1]]
    return middle, reach, None


def put_polynomial(kernel, k, w2, b2, middle, reach, series, inverse1, own1, inverse2, own2):
    """Puts own1*own2 times a polynomial in the angle, whose cosine is (w2*k + b2)*inverse1*inverse2."""
    cos = w2 * k.astype(np.float64) + b2
    cos *= inverse1
    cos *= inverse2
    kernel[...] = clenshaw(series.__getitem__, len(series), (layered(cos, _sine(cos)) - middle) / reach)
    kernel *= own1
    kernel *= own2

'''

# Of all pairs of a part of a tile, before they are taken through the layers.
FIRST = """\
    if gap is None and by_angle(kernel, tangent, scales, ends1, ends2, k):
        return
"""


def text(layer: float, many: int) -> str:
    """The functions, for layers of that width at both ends of the angle, and for so many pairs or more."""
    values = {"layer": repr(layer), "log_layer": repr(math.log(layer)), "many": many}
    return Template(LAYERED + BY_ANGLE).substitute(values)
