"""Kernels without a closed form: tables of K/√(K11 K22), and how a module evaluates them for arrays.

The tables are Chebyshev series in the angle and in both variances (derive/tables/table.py). An array of pairs needs
them near its own variances and angles alone: they are sampled there at a few Chebyshev nodes, as many as the
extents of the array ask for, and the samples are what is interpolated. Where variances belong to rows and to
columns of a matrix, each coefficient in the angle is a product of two matrices, and Clenshaw's recurrence runs over
matrices.

Beyond the range of the tables, and for a φ with knots elsewhere than at 0, the expectation is summed, as in
expectations.py.
"""

import ast
from collections.abc import Mapping
from string import Template
from types import SimpleNamespace

import numpy as np

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import by_angle, expectations, polar_sums, sampled_sums
from mehler.derive.errors import EmitError
from mehler.derive.pieces import split
from mehler.derive.tables.coding import Coded
from mehler.derive.tables.polar import Array, Function, resolving
from mehler.derive.tables.table import RANGE, NotSmooth, Progress, Tables, build, layers, plan, silent, variances
from mehler.derive.tables.windows import strips

LINE = 100
# Pairs of inputs of one norm that are not taken through the layers one by one; the same where all are summed.
ON_SPHERE, ON_SPHERE_SUMS = 16384, 256
# Pairs that are worth a box, the angle up to which it may go, and what it costs in pairs.
FROM_POLAR = 128, 2.0, "n * m / 2", 16
FROM_SUMS = 1024, 0.8, "n * n * m / 8"  # tiles share a box, and a sum takes long
FROM_FORMULA = 4096, 0.8, "2 * n * n * m"  # a box in vain must cost little beside its pairs

# Where the code of φ is compared with a plainer one, and by how much of what is nearer to 0 they may differ.
PROBES = np.exp(np.linspace(-25, 9, 4001))
ALIKE = 2e-15

OPERATIONS = ast.BinOp, ast.Call, ast.Compare, ast.UnaryOp

TEXT = '''
RANGE = LOW, HIGH = $low, $high  # variances of the tables; beyond them K is an integral, which is slow
LOG_MIDDLE, LOG_REACH = $middle, $reach


def pair_by_tables(q1, q2, rho, sin_theta):
    """(K, K') of arrays that broadcast, from the tables."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in (q1, q2, rho, sin_theta)))
    q1, q2, angle = np.atleast_1d(q1, q2, layered(rho, sin_theta))
    middle, reach, turns = nearby(angle.min(), angle.max(), STRIP_ANGLE, TURNS)
    terms, angle = of_extents(turns, q1, q2), (angle - middle) / reach
    return [summed(*term, angle).reshape(shape) for term in terms]


def of_extents(turns, q1, q2):
    """For K and K' a series in the angle, and what its matrices stand between at the variances of pairs."""
    sides = [of_variances(q) for q in (q1, q2)]
    return [_term(turns, sides, *table) for table in TABLES]


def of_variances(q):
    """Chebyshev's polynomials at variances along a last axis, in a variable of their extent, and the way there."""
    logs = (np.log(q) - LOG_MIDDLE) / LOG_REACH
    middle, reach, matrix = nearby(logs.min(), logs.max(), STRIP_VARIANCE, DEGREES)
    return polynomials((logs - middle) / reach, len(matrix)), matrix


def _term(turns, sides, log_diagonal, basis, core):
    """A table near some angles and variances: a series, and what its matrices stand between."""
    series, rows, places = turns[:, : len(core)] @ core.reshape(len(core), -1), [], []
    for values, matrix in sides:
        root = np.exp(values @ (matrix[:, : len(log_diagonal)] @ log_diagonal) / 2)[..., None]
        local = matrix[:, : basis.shape[1]] @ basis.T
        if len(local) > len(basis):  # the extent is wide
            values, local = values @ local, np.eye(len(basis))
        rows.append(local)
        places.append(values * root)
    series = rows[0] @ series.reshape(-1, *core.shape[1:]) @ rows[1].T
    sizes = np.abs(series)
    n, one, two = (
        1 + np.flatnonzero(sizes.max(others) > FAINT * sizes.max()).max(initial=0)
        for others in ((1, 2), (0, 2), (0, 1))
    )
    return series[:n, :one, :two], places[0][..., :one], places[1][..., :two]


def nearby(low, high, strip, count):
    """The middle and half of an extent, and the matrix that takes `count` Chebyshev coefficients to those there."""
    middle, reach = (low + high) / 2, max((high - low) / 2, 2e-16)
    end, between = strip
    few = 1 + np.ceil(37 / np.arcsinh(min(end + max(1 - abs(middle) - reach, 0.0), between) / reach))
    if not few < count:  # or the values are NaN
        return 0.0, 1.0, np.eye(count)
    few = int(few)
    nodes, matrix = interpolation(few)
    return middle, reach, matrix @ polynomials(middle + reach * nodes, count)


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

OUTSIDE = '''
def inside(q):
    """Whether the tables have a variance; its ends may have been rounded to single precision."""
    q = np.asarray(q)
    return (q >= LOW * (1 - 1e-7)) & (q <= HIGH * (1 + 1e-7))


def among(q1, q2, shape):
    """(flat indices, q1, q2) of the pairs of which the tables have both variances.

    A column and a row stay such: of them the tables take matrix products.
    """
    one, two = inside(q1), inside(q2)
    if one.shape == (*shape[:1], 1) and two.shape == (1, *shape[1:]):
        i, j = np.flatnonzero(one), np.flatnonzero(two)
        return i[:, None] * shape[1] + j, q1[i], q2[:, j]
    at = np.flatnonzero(np.broadcast_to(one & two, shape))
    return at, *_taken(at, shape, q1, q2)

'''

BY_SUMS = '''
def pair_beyond(q1, q2, rho, sin_theta):
    """(K, K') of flat arrays without a table."""
    warn(np.maximum(q1, q2))
    return pair_by_boxes(q1, q2, rho, sin_theta)


def diagonal_beyond(q):
    """The same of the diagonal."""
    warn(q)
    return moments(q)[2:]


def warn(q):
    """For variances of which some have no table."""
    message = f"a variance is outside [{LOW:g}, {HIGH:g}], the range of tables of {NAME}: "
    require_resolved(q, message)
    message += "integrals are summed, slowly; simplefilter('error') makes this an error"
    warnings.warn(message, RuntimeWarning, stacklevel=5)

'''

BY_FORMULA = '''
def pair_one_by_one(q1, q2, rho, sin_theta):
    """The same of flat arrays, which come without covariances."""
    return np.array(pair_by_formula(q1, q2, np.sqrt(q1) * np.sqrt(q2) * rho, rho, sin_theta))


def pair_by_formula(q1, q2, c, rho, sin_theta):
    """(K, K') of arrays that broadcast, by their closed form."""
$pair


def diagonal_by_formula(q):
    """The same of the diagonal."""
$diagonal

'''

BEYOND = '''
def pair_beyond(q1, q2, rho, sin_theta):
    """(K, K') of arrays without a table, by their closed form."""
    return pair_by_boxes(q1, q2, rho, sin_theta)


def diagonal_beyond(q):
    """The same of the diagonal."""
    return diagonal_by_formula(q)

'''

DATA = """
# (log K(q, q), basis in log q, coefficients in the angle and both variances) of K and of K'.
TABLES = [
$tables]
TURNS = max(len(core) for _, _, core in TABLES)
DEGREES = max(max(len(logs), basis.shape[1]) for logs, basis, _ in TABLES)
# Half-widths of strips about their variables, at an end and between: how many terms a part of a range needs.
STRIP_VARIANCE, STRIP_ANGLE = $strips
"""

WITHIN = {
    "pair": """\
    with np.errstate(all="ignore"):
        if np.all(inside(q1)) and np.all(inside(q2)):
            return pair_by_tables(q1, q2, rho, sin_theta)
        shape = np.broadcast_shapes(*(np.shape(a) for a in (q1, q2, rho, sin_theta)))
        rho, sin_theta = (np.broadcast_to(a, shape).ravel() for a in (rho, sin_theta))
        values = np.empty((2, rho.size))
        known, one, two = among(q1, q2, shape)
        if known.size:
            values[:, known] = pair_by_tables(one, two, rho[known], sin_theta[known])
        others = np.ones(rho.size, bool)
        others[known] = False
        others = np.flatnonzero(others)
        values[:, others] = pair_beyond(*_taken(others, shape, q1, q2), rho[others], sin_theta[others])
        return values.reshape(2, *shape)""",
    "diagonal": """\
    known, values = inside(q), np.empty((2, *np.shape(q)))
    with np.errstate(all="ignore"):
        if np.any(known):
            at, matrix = of_variances(q[known])
            values[:, known] = [np.exp(at @ (matrix[:, : len(logs)] @ logs)) for logs, *_ in TABLES]
        if not np.all(known):
            values[:, ~known] = diagonal_beyond(q[~known])
        return values""",
}

SUMS = '''
def pair_by_quadrature(q1, q2, rho, sin_theta):
    """(K, K') of flat arrays by their definition; where a variance is 0, products of means."""
    results, zero = np.empty((2, len(q1))), (q1 == 0) | (q2 == 0)
    for start in range(0, len(q1), PART):
        part = slice(start, start + PART)
        results[:, part] = double_sums(*(a[part] for a in (q1, q2, rho, sin_theta)))
    results[:, zero] = [one * two for one, two in zip(moments(q1[zero])[:2], moments(q2[zero])[:2])]
    return results

'''

ONE_BY_ONE = '''
def pair_one_by_one(q1, q2, rho, sin_theta):
    """(K, K') of flat arrays."""
    return pair_by_quadrature(q1, q2, rho, sin_theta)

'''

ALONE = {
    "pair": """\
    with np.errstate(all="ignore"):
        require_resolved(np.maximum(q1, q2))
        return pair_by_boxes(q1, q2, rho, sin_theta)""",
    "diagonal": """\
    require_resolved(q)
    with np.errstate(all="ignore"):
        return np.array(moments(q)[2:])""",
}


BESIDE_FORMULA = {
    "pair": """\
    shape = np.broadcast_shapes(np.shape(q1), np.shape(q2), np.shape(c), np.shape(rho), np.shape(sin_theta))
    if np.prod(shape) < WORTH:
        return pair_by_formula(q1, q2, c, rho, sin_theta)
    with np.errstate(all="ignore"):
        return pair_by_boxes(q1, q2, rho, sin_theta)""",
    "diagonal": """\
    return diagonal_by_formula(q)""",
}


def functions(
    dual: ProvedDual | NumericDual, tables: Tables | None, closed: Mapping[str, str] | None = None
) -> str:
    """The functions of a module for the tables of K and K̇, if any, and for pairs without one.

    These are by a closed form, if there are the bodies of pair and diagonal for it, else sums.
    """
    text = _one_by_one(dual, tables) if closed is None else Template(BY_FORMULA).substitute(closed)
    polar = "def at_angle(" in text
    text += sampled_sums.text(*(FROM_FORMULA if closed else FROM_POLAR if polar else FROM_SUMS))
    if tables is None:
        return text + by_angle.text(layers(RANGE[1])[0], ON_SPHERE_SUMS)
    text += BY_SUMS if closed is None else BEYOND
    low, high = tables.low, tables.high
    values = {
        "low": low,
        "high": high,
        "middle": repr(float(np.log(low * high) / 2)),
        "reach": repr(float(np.log(high / low) / 2)),
        "strips": ", ".join(f"({0.98 * end:.2g}, {0.98 * between:.2g})" for end, between in strips(tables)),
        "tables": listed(tables),
    }
    text += by_angle.text(tables.layer, ON_SPHERE)
    return text + Template(TEXT + OUTSIDE + DATA).substitute(values)


def _one_by_one(dual: ProvedDual | NumericDual, tables: Tables | None) -> str:
    """Sums of pairs, in polar coordinates where they serve."""
    summed, text = expectations.resolving(dual)
    if tables is None and not summed:
        raise EmitError(f"{dual.activation.text!r} is too singular for sums, and has knots elsewhere than at 0")
    return text + SUMS + (polar_sums.text(dual, text) or ONE_BY_ONE)


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
    parity, shapes = split(dual.activation.expr).parity(), [values(dual, order) for order in (0, 1)]
    for f in shapes:  # before work that would be in vain
        resolving(f, variances(*extent))
    for width in layers(extent[1]):
        try:
            # K' first, which is the harder one.
            of_dot = plan(shapes[1], -parity, *extent, width, operations(dual, 1))
            of_kernel = plan(shapes[0], parity, *extent, width, operations(dual, 0))
            kernel_dot = build(of_dot, lambda done, total: progress(done, 2 * total))
            kernel = build(of_kernel, lambda done, total: progress(done + total, 2 * total))
            return Tables(*extent, width, kernel, kernel_dot)
        except NotSmooth as reason:
            failed = reason
    raise failed


def values(dual: ProvedDual | NumericDual, order: int) -> Function:
    """φ (order 0) or φ' (1) of arrays, by the code that a module has, or plainer where that is as good."""
    careful, plain = (by_code(dual, order, each) for each in (True, False))
    exact, quick = ([f(side * PROBES) for side in (-1, 1)] for f in (careful, plain))
    scale = np.maximum.accumulate(np.abs(exact).max(0))
    with np.errstate(invalid="ignore"):
        wrong = PROBES[~(np.abs(np.subtract(exact, quick)).max(0) <= ALIKE * scale)]
    low, high = wrong[wrong < 1].max(initial=0), wrong[wrong >= 1].min(initial=np.inf)
    if not len(wrong):
        return plain

    def function(x: Array) -> Array:
        size = np.abs(x)
        result, outside = plain(x), (size <= low) | (size >= high)
        if outside.any():
            result[outside] = careful(x[outside])
        return result

    return function if low < 1 < high else careful


def by_code(dual: ProvedDual | NumericDual, order: int, careful: bool) -> Function:
    """The same by the code of a module, or, unless `careful`, by one that may be wrong far out and near 0."""
    scope = expectations.namespace(dual, expectations.shape(dual, "", "", [order], careful))
    scope["np"] = SimpleNamespace(**{**vars(np), "sin": _sin, "cos": _cos})

    def function(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(scope["activation"](x, 0), np.float64)

    return function


def operations(dual: ProvedDual | NumericDual, order: int) -> int:
    """How many φ (order 0) or φ' (1) takes, on arrays: those of all its pieces."""
    functions = ast.parse(expectations.shape(dual, "", "", [order], careful=False)).body
    pieces = [node for node in functions if isinstance(node, ast.FunctionDef) and node.name.startswith("piece")]
    return sum(isinstance(node, OPERATIONS) for piece in pieces for node in ast.walk(piece))


def _sin(x: Array) -> Array:
    """By tan(x/2), of which NumPy has vector code, as it has of all but sin and cos: four times as fast."""
    tan = np.tan(x / 2)
    below = 1 + tan * tan
    tan += tan
    tan /= below
    return tan


def _cos(x: Array) -> Array:
    square = np.tan(x / 2)
    square *= square
    below = 1 + square
    np.subtract(1, square, out=square)
    square /= below
    return square


def listed(tables: Tables, logs: bool = True) -> str:
    """The entries of a module's TABLES, with those of log K(q, q) or without."""
    text = ""
    for table in (tables.kernel, tables.kernel_dot):
        first = f"        {_decoded(table.logs)},\n" if logs else ""
        basis, core = map(_decoded, (table.basis, table.core))
        text += f"    (\n{first}        {basis}.reshape({table.rank}, -1),\n"
        text += f"        symmetric({table.rank}, {core}),\n    ),\n"
    return text


def _decoded(array: Coded) -> str:
    lines = [array.text[k : k + LINE] for k in range(0, len(array.text), LINE)]
    return f'decoded({array.bits}, """\n' + "\n".join(lines) + '""")'


def evidence(dual: ProvedDual | NumericDual, tables: Tables | None, formula: bool, target: str) -> str:
    """What the docstring of a module says of its accuracy; `formula`: whether it has a formula's code too."""
    units = "Errors are in units of sqrt(K(q1, q1) K(q2, q2))."
    if tables is None and formula:
        return (
            "The code of the closed form is slow, and phi has no tables: K and K' come from that code for few "
            "pairs and\nfrom Chebyshev series between some for many, right to 6e-14 wherever they are compared, "
            f"which is when\nthe module makes them. {units}"
        )
    if tables is None:
        return (
            "No closed form is known, and phi has knots elsewhere than at 0: K and K' come from sums of integrals, "
            "which is slow."
        )
    why, beyond = "No closed form is known", "from integrals, which is slow"
    if target == "cupy":
        beyond = "there is an error"
    if formula:
        why, beyond = "The code of the closed form is slow", "from that code"
    elif isinstance(dual, ProvedDual) and dual.status == "closed-form":
        why = "The closed form has no code here"
    text = (
        f"{why}: K and K' come from tables for variances in [{tables.low:g}, {tables.high:g}],\n"
        f"and beyond {beyond}. {units}"
    )
    found = tables.certificate
    if found is None:
        return text
    return (
        f"{text}\n\nCertificate, as sampled when the tables were made: K off by {found.kernel:.1e} and K' by "
        f"{found.kernel_dot:.1e} at worst\nat {found.points} fresh points (seed {found.seed}), against quadrature "
        f"in extended precision; that against mpmath at\n{found.mpmath_points} points: {found.confirmed:.1e}."
    )
