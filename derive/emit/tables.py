"""Kernels without a closed form: tables of K/√(K11 K22), and how a module evaluates them for arrays.

The tables are Chebyshev series in the angle and in both variances (derive/tables/table.py). An array of pairs needs
them near its own variances and angles alone: they are sampled there at a few Chebyshev nodes, as many as the
extents of the array ask for, and the samples are what is interpolated. Where variances belong to rows and to
columns of a matrix, each coefficient in the angle is a product of two matrices, and Clenshaw's recurrence runs over
matrices.

Beyond the range of the tables, and for a φ with knots elsewhere than at 0, the expectation is summed (rescue.py).
"""

from collections.abc import Mapping
from string import Template
from typing import Any

import numpy as np
from scipy.special import ndtr

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import numpy as target
from mehler.derive.emit import rescue
from mehler.derive.errors import EmitError
from mehler.derive.pieces import split
from mehler.derive.tables.coding import Coded
from mehler.derive.tables.polar import Array, Function
from mehler.derive.tables.table import RANGE, Progress, Table, Tables, build, layer, silent

LINE = 100

TEXT = '''
RANGE = LOW, HIGH = $low, $high  # variances of the tables; beyond them K is an integral, which is slow
LOG_MIDDLE, LOG_REACH = $middle, $reach
LAYER = $layer  # of the angle: tan(theta/2) = tau runs over log((tau + LAYER)/(1 + LAYER*tau))
LOG_LAYER = $log_layer
# Half-widths of the strips, in these variables, in which the kernel is analytic.
STRIP_VARIANCE, STRIP_ANGLE = 3 / LOG_REACH, -1.4 / LOG_LAYER
FAINT = 2e-17  # coefficients beside 1
FLAT = 1024  # pairs of an array without rows and columns that are evaluated at a time


def pair_by_tables(q1, q2, rho, sin_theta):
    """(K, K') of arrays that broadcast, from the tables."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in (q1, q2, rho, sin_theta)))
    q1, q2, angle = np.atleast_1d(q1, q2, layered(rho, sin_theta))
    logs1, logs2 = ((np.log(q) - LOG_MIDDLE) / LOG_REACH for q in (q1, q2))
    grid, degrees = lattice(angle, STRIP_ANGLE)
    sides = [lattice(logs, STRIP_VARIANCE) for logs in (logs1, logs2)]
    results = []
    for log_diagonal, basis, core in TABLES:
        (rows1, place1), (rows2, place2) = (
            placed(logs, side, basis) for logs, side in zip((logs1, logs2), sides)
        )
        samples = np.einsum("nab,nk->kab", core, polynomials(grid, len(core)).T, optimize=True)
        samples = np.einsum("kab,pa,qb->kpq", samples, rows1, rows2, optimize=True)
        series = np.tensordot(degrees, samples, 1)
        sizes = np.abs(series).max((1, 2))
        series = series[: np.flatnonzero(sizes > FAINT * sizes.max()).max(initial=0) + 1]
        values = summed(series, place1, place2, (angle - (grid[0] + grid[-1]) / 2) / half(grid))
        for logs, side in zip((logs1, logs2), sides):
            values *= np.exp(local(logs, side, log_diagonal) / 2)
        results.append(values.reshape(shape))
    return results


def layered(rho, sin_theta):
    """The angle as the tables have it: from -1 at 0 to 1 at pi."""
    near = 1 + np.abs(rho)
    value = np.log((sin_theta + LAYER * near) / (near + LAYER * sin_theta)) / LOG_LAYER
    return np.where(rho < 0, value, -value)


def lattice(values, strip):
    """Chebyshev's nodes over the extent of some values, and the matrix that takes values there to coefficients."""
    low, high = np.min(values), np.max(values)
    count = 1 + int(np.ceil(37 / np.arcsinh(2 * strip / max(high - low, 1e-12))))
    odd = 2 * np.arange(count) + 1
    cosines = np.cos(np.pi / 2 * (np.outer(np.arange(max(count, 2)), odd) % (4 * count)) / count)
    matrix = cosines[:count] * (2 / count)
    matrix[0] /= 2
    return (low + high) / 2 + max(high - low, 1e-12) / 2 * cosines[1], matrix


def half(grid):
    """Half of the extent that a lattice was made for."""
    return (grid[0] - grid[-1]) / 2 / np.cos(np.pi / 2 / len(grid))


def local(values, side, series):
    """A Chebyshev series at some values, through the nodes of their lattice where these are fewer."""
    grid, matrix = side
    if len(grid) >= len(series):
        return polynomials(values, len(series)) @ series
    near = matrix @ (polynomials(grid, len(series)) @ series)
    return polynomials((values - (grid[0] + grid[-1]) / 2) / half(grid), len(grid)) @ near


def polynomials(x, count):
    """Chebyshev's polynomials T_n(x) for n < count along a last axis, by T_m+n = 2 T_m T_n - T_m-n."""
    x = np.asarray(x)[..., None]
    values = np.concatenate([np.ones_like(x), x], -1)
    while values.shape[-1] < count:
        last = values.shape[-1] - 1
        after = 2 * values[..., last:] * values[..., 1:] - values[..., last - 1 :: -1]
        values = np.concatenate([values, after], -1)
    return values[..., :count]


def placed(logs, side, basis):
    """The basis at some nodes, and the weights of these for each variance: a last axis; or all of the basis."""
    grid, matrix = side
    rank, degree = basis.shape
    if len(grid) >= rank:
        return np.eye(rank), polynomials(logs, degree) @ basis.T
    at = polynomials((logs - (grid[0] + grid[-1]) / 2) / half(grid), len(grid))
    return polynomials(grid, degree) @ basis.T, at @ matrix


def summed(series, place1, place2, angle):
    """The sum over n of T_n(angle) * place1 . series[n] . place2, in the shape of all three."""
    shape = np.broadcast_shapes(place1.shape[:-1], place2.shape[:-1], angle.shape)
    if len(shape) == 2 and place1.shape[1] == 1 and place2.shape[0] == 1:
        left, right = np.tensordot(series, place1[:, 0], (1, 1)), np.ascontiguousarray(place2[0].T)
        term = np.empty(shape)
        return clenshaw(lambda n: np.matmul(left[n].T, right, out=term), len(series), np.broadcast_to(angle, shape))
    flat = [np.broadcast_to(p, (*shape, p.shape[-1])).reshape(-1, p.shape[-1]) for p in (place1, place2)]
    angle, result = np.broadcast_to(angle, shape).ravel(), np.empty(int(np.prod(shape)))
    table = series.reshape(len(series), -1)
    for start in range(0, len(result), FLAT):
        one, two = (p[start : start + FLAT] for p in flat)
        terms = table @ (one[:, :, None] * two[:, None, :]).reshape(len(one), -1).T
        result[start : start + FLAT] = clenshaw(terms.__getitem__, len(terms), angle[start : start + FLAT])
    return result.reshape(shape)


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


def decoded(bits, text):
    """Multiples of 2**-bits, that are integers without sign, their bytes in the order of significance."""
    parts = np.frombuffer(zlib.decompress(base64.b85decode("".join(text.split()))), np.uint8).reshape(8, -1)
    whole = np.ascontiguousarray(parts.T).view("<u8").ravel()
    return ((whole >> np.uint64(1)).astype(np.int64) ^ -(whole & np.uint64(1)).astype(np.int64)) * 2.0**-bits


def symmetric(rank, values):
    """Matrices of which the parts above their diagonals are given, one after the other."""
    i, j = np.triu_indices(rank)
    result = np.empty((len(values) // len(i), rank, rank))
    result[:, i, j] = result[:, j, i] = values.reshape(-1, len(i))
    return result

'''

QUADRATURE = '''
def pair_by_quadrature(q1, q2, rho, sin_theta):
    """(K, K') of flat arrays by their definition; where a variance is 0, products of means."""
    results, zero = np.empty((2, len(q1))), (q1 == 0) | (q2 == 0)
    for order in (0, 1):
        for start in range(0, len(q1), 8):
            part = slice(start, start + 8)
            results[order, part] = double_sum(np.array([order]), *(a[part] for a in (q1, q2, rho, sin_theta)))
        results[order, zero] = moments(q1[zero])[order] * moments(q2[zero])[order]
    return results

'''

OUTSIDE = '''
def inside(q):
    """Whether the tables have a variance; its ends may have been rounded to single precision."""
    return (q >= LOW * (1 - 1e-7)) & (q <= HIGH * (1 + 1e-7))


def warn():
    message = f"a variance is outside [{LOW:g}, {HIGH:g}], the range of tables of {NAME}: "
    if HIGH < $widest:  # phi is too wild for quadrature too
        raise ValueError(message + "scale the inputs, sigma_w or sigma_b")
    message += "integrals are summed, slowly; simplefilter('error') makes this an error"
    warnings.warn(message, RuntimeWarning, stacklevel=4)

'''

DATA = """
# (log K(q, q), basis in log q, coefficients in the angle and both variances) of K and of K'.
TABLES = [
$tables]
"""

WITHIN = {
    "pair": """\
    known = inside(q1) & inside(q2)
    with np.errstate(all="ignore"):
        if np.all(known):
            return pair_by_tables(q1, q2, rho, sin_theta)
        shape = np.broadcast_shapes(known.shape, np.shape(rho), np.shape(sin_theta))
        values = np.empty((2, int(np.prod(shape))))
        known = np.broadcast_to(known, shape)
        warn()
        for method, where in ((pair_by_tables, known), (pair_by_quadrature, ~known)):
            at = np.flatnonzero(where)
            if len(at):
                values[:, at] = method(*_taken(at, shape, q1, q2, rho, sin_theta))
        return values.reshape(2, *shape)""",
    "diagonal": """\
    known, values = inside(q), np.empty((2, *np.shape(q)))
    with np.errstate(all="ignore"):
        if np.any(known):
            logs = (np.log(q[known]) - LOG_MIDDLE) / LOG_REACH
            side = lattice(logs, STRIP_VARIANCE)
            values[:, known] = [np.exp(local(logs, side, log_diagonal)) for log_diagonal, *_ in TABLES]
        if not np.all(known):
            warn()
            values[:, ~known] = moments(q[~known])[2:]
        return values""",
}

ALONE = {
    "pair": """\
    with np.errstate(all="ignore"):
        shape = np.broadcast_shapes(np.shape(q1), np.shape(q2), np.shape(rho), np.shape(sin_theta))
        flat = [np.broadcast_to(a, shape).ravel() for a in (q1, q2, rho, sin_theta)]
        return pair_by_quadrature(*flat).reshape(2, *shape)""",
    "diagonal": """\
    with np.errstate(all="ignore"):
        return np.array(moments(q)[2:])""",
}


def functions(dual: ProvedDual | NumericDual, tables: Tables | None) -> str:
    """The functions of a module for the tables of K and K̇, or without any."""
    text = rescue.expectations(dual, "", "")
    if tables is None:
        return text + QUADRATURE
    low, high = tables.low, tables.high
    values = {
        "low": low,
        "high": high,
        "widest": RANGE[1],
        "middle": repr(float(np.log(low * high) / 2)),
        "reach": repr(float(np.log(high / low) / 2)),
        "layer": repr(layer(high)),
        "log_layer": repr(float(np.log(layer(high)))),
        "tables": "".join(map(_table, (tables.kernel, tables.kernel_dot))),
    }
    return text + Template(TEXT + QUADRATURE + OUTSIDE + DATA).substitute(values)


def bodies(tables: Tables | None) -> Mapping[str, str]:
    """The bodies of pair and diagonal."""
    return ALONE if tables is None else WITHIN


def built(
    dual: ProvedDual | NumericDual, progress: Progress = silent, extent: tuple[float, float] = RANGE
) -> Tables | None:
    """The tables of K and K̇ for variances in `extent`; None for a φ with knots elsewhere than at 0.

    Raises EmitError where no table is good.
    """
    if dual.jumps != "almost-everywhere":
        raise EmitError("tables hold K' without the impulses of jumps; use jumps='almost-everywhere'")
    if dual.activation.parameters:
        name = dual.activation.parameters[0].name
        raise EmitError(f"tables need a number for every parameter; give {name} one, e.g. {name}=0.1")
    if set(dual.activation.pieces.knots) - {0}:
        return None
    parity = split(dual.activation.expr).parity()
    kernel = build(values(dual, 0), parity, *extent, lambda done, total: progress(done, 2 * total))
    kernel_dot = build(values(dual, 1), -parity, *extent, lambda done, total: progress(done + total, 2 * total))
    return Tables(*extent, kernel, kernel_dot)


def values(dual: ProvedDual | NumericDual, order: int) -> Function:
    """φ (order 0) or φ' (1) of arrays, by the code that a module has."""
    scope: dict[str, Any] = {"np": np, "ndtr": ndtr}
    exec("\n".join([*target.constants(*rescue.programs(dual)), rescue.shape(dual, "", "")]), scope)

    def function(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(scope["activation"](x, order), np.float64)

    return function


def _table(table: Table) -> str:
    logs, basis, core = map(_decoded, (table.logs, table.basis, table.core))
    return (
        f"    (\n        {logs},\n        {basis}.reshape({table.rank}, -1),\n"
        f"        symmetric({table.rank}, {core}),\n    ),\n"
    )


def _decoded(array: Coded) -> str:
    lines = [array.text[k : k + LINE] for k in range(0, len(array.text), LINE)]
    return f'decoded({array.bits}, """\n' + "\n".join(lines) + '""")'


def evidence(tables: Tables | None) -> str:
    """What the docstring of a module says of its accuracy."""
    if tables is None:
        return (
            "No closed form is known, and phi has knots elsewhere than at 0: integrals are summed, which is slow."
        )
    text = (
        f"No closed form is known: K and K' come from tables for variances in [{tables.low:g}, {tables.high:g}],\n"
        "and beyond from integrals, which is slow. Errors are in units of sqrt(K(q1, q1) K(q2, q2))."
    )
    found = tables.certificate
    if found is None:
        return text
    return (
        f"{text}\n\nCertificate, as sampled when the tables were made: K off by {found.kernel:.1e} and K' by "
        f"{found.kernel_dot:.1e} at worst\nat {found.points} fresh points (seed {found.seed}), against quadrature "
        f"in extended precision; that against mpmath at\n{found.mpmath_points} points: {found.confirmed:.1e}."
    )
