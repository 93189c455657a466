"""Tables of K/√(K11 K22), for activations without a closed form: three variables, of low rank in two of them.

    K(q1, q2, θ)/√(K11 K22) = Σₙ Tₙ(t/t_end) Σ_ab Cₙab Bₐ(log q1) B_b(log q2),   e^t = (τ + w)/(1 + wτ), τ = tan θ/2

τ ↦ t turns the layers of width w = 1/√(1 + 2 q_max) at θ = 0 and π, where an activation that saturates turns into
a step, to scale; in the logarithm of a variance K is smooth whatever φ is, its singularities being at negative
variances. So a knot of φ at 0 is welcome, which K feels at θ = 0, π alone; one elsewhere is not: the kernel is then
not smooth at q1 = q2, θ = 0. Everything is linear in K: what is left out is measured, in units of √(K11 K22).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from mehler.derive.errors import EmitError
from mehler.derive.tables.coding import Coded, coded
from mehler.derive.tables.polar import Array, Function, Polar, resolving

RANGE = (1e-4, 1e3)
SHORTER = tuple((1e-4, high) for high in (300.0, 100.0, 30.0, 10.0, 2.0))  # for a φ that is wild far out
VARIANCES, ANGLES = 240, 256  # the highest degrees, in log q and in t
FEWEST = 14  # terms of a series that ends by itself
# Operations on a number, some 20 seconds on two cores. φ takes some, its argument OTHERS, and sums as many as there
# are variances, SUMMED of which take the time of one.
WORK, OTHERS, SUMMED = 2e10, 16, 8
LEAST = 48  # angles: no φ that takes long had enough of less
LARGE = 400_000  # coefficients of a table, that a module be less than a megabyte
SMALL = 1e-14  # the last eighth of a series
HOPELESS = 1e-13  # where that is larger in log q, at the highest degree, nothing is tried
NOISE = 1e-15  # of coefficients, from the rounding of sums of 40,000 products
FAINT = 1e-15  # members of a basis that are left out

SAMPLES = np.cos(np.linspace(0, np.pi, 25))  # of a variable, with both ends

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Table:
    """Coefficients for one of K and K̇.

    logs: Chebyshev, of log K(q, q) in log q; basis (rank, degree): of B in log q; core (degree, rank, rank),
    symmetric: what is above the diagonals of C. Variables run over [−1, 1].
    """

    rank: int
    logs: Coded
    basis: Coded
    core: Coded


@dataclass(frozen=True)
class Certificate:
    """How far a module with the tables was from extended precision at fresh points, in units of √(K11 K22).

    `confirmed` is the largest difference of that from mpmath at `digits` points.
    """

    points: int
    seed: int
    kernel: float
    kernel_dot: float
    mpmath_points: int
    confirmed: float


@dataclass(frozen=True)
class Tables:
    """The tables of K and K̇ for variances in [low, high], and what they were found to be worth."""

    low: float
    high: float
    layer: float
    kernel: Table
    kernel_dot: Table
    certificate: Certificate | None = None


class NotSmooth(EmitError):
    """A kernel has no series in the angle that is short enough."""


def layers(high: float) -> tuple[float, ...]:
    """Widths w of the layers at θ = 0 and π, to be tried: for a φ of scale 1, and for steeper ones."""
    return tuple(float(1 / np.sqrt(1 + 2 * high * steep**2)) for steep in (1, 8, 64))


def nodes(count: int) -> Array:
    """Chebyshev's, on [−1, 1]."""
    return np.asarray(np.cos(np.pi * (np.arange(count) + 0.5) / count))


def polynomials(x: Array, count: int) -> Array:
    """Tₙ(x) for n < count along a last axis."""
    return np.asarray(np.cos(np.arccos(np.clip(x, -1, 1))[..., None] * np.arange(count)))


def coefficients(values: Array) -> Array:
    """Of Tₙ along the first axis, from the values at as many nodes."""
    count = len(values)
    turns = np.outer(np.arange(count), 2 * np.arange(count) + 1) % (4 * count)  # a large argument of cos is rounded
    matrix = np.cos(np.pi / 2 * turns / count) * 2 / count
    matrix[0] /= 2
    return np.asarray(np.tensordot(matrix, values, 1))


def variances(low: float, high: float, count: int = VARIANCES) -> Array:
    """Those of a table."""
    return np.asarray(np.exp(np.log(low * high) / 2 + np.log(high / low) / 2 * nodes(count)))


@dataclass(frozen=True)
class Plan:
    """What a table takes: quadrature at its variances, the width of layers, and how many angles."""

    polar: Polar
    layer: float
    count: int


def plan(f: Function, parity: int, low: float, high: float, layer: float, operations: int) -> Plan:
    """That of the table of E[f(u) f(v)] for variances in [low, high] and all angles; f takes so many operations.

    Raises EmitError if none is good, NotSmooth where another width of the layers may help.
    """
    polar = resolving(f, variances(low, high), parity)
    diagonal = polar.diagonal()
    degree = _degree(coefficients(np.log(diagonal)), HOPELESS)
    if degree and _angles(polar, degree, operations) >= LEAST:  # before what takes seconds
        with threadpool_limits(1), ThreadPoolExecutor() as pool:
            matrices = pool.map(polar, (layer, np.pi / 2))
        across = [coefficients(matrix / np.sqrt(np.outer(diagonal, diagonal))) for matrix in matrices]
        degrees = [degree, *(_degree(each, HOPELESS) for each in across)]
        degree = max(degrees) if all(degrees) else 0
    if not degree:
        raise EmitError("the kernel is not smooth enough in the variances for a table")
    polar = replace(polar, variances=variances(low, high, degree))
    most, needed = _angles(polar, degree, operations), LEAST
    if most >= LEAST:
        rank = int(np.sum(np.linalg.svd(np.hstack(across), compute_uv=False) > degree * FAINT))
        most = min(most, LARGE / (rank * (rank + 1) / 2))
    few = replace(polar, variances=polar.variances[:: degree // 6])  # quick, where all take half a minute
    for looked_at in (ANGLES // 2, ANGLES):
        if needed > most:
            break
        if count := _degree(_in_angle(few, layer, looked_at, silent), SMALL):
            if count > most:
                break
            return Plan(polar, layer, count)
        needed = looked_at
    else:
        raise NotSmooth("the kernel is not smooth enough in the angle for a table")
    raise EmitError("the kernel varies too much for a table")


def _angles(polar: Polar, degree: int, operations: int) -> float:
    """How many there may be for so many variances."""
    return WORK * (1 + abs(polar.parity)) / (polar.nodes * degree * (operations + OTHERS + degree / SUMMED))


def build(plan: Plan, progress: Progress = silent) -> Table:
    """The table. Raises NotSmooth."""
    count = plan.count
    while count:
        core = _in_angle(plan.polar, plan.layer, count, progress)
        if _tail(core) < SMALL:
            return _compressed(coefficients(np.log(plan.polar.diagonal())), core)
        count = min(ANGLES, count * 5 // 4) if count < ANGLES else 0
    raise NotSmooth("the kernel is not smooth enough in the angle for a table")


def _degree(series: Array, allowed: float) -> int:
    """How many coefficients are enough: that the last eighth of them is small; 0 if so many are not."""
    small = max(FEWEST, _length(np.abs(series).reshape(len(series), -1).max(1), SMALL / 2))
    return min(len(series), 1 + small * 8 // 7) if _tail(series) < allowed else 0


def _in_angle(polar: Polar, w: float, count: int, progress: Progress) -> Array:
    """The first `count` coefficients in t of normalised kernels."""
    diagonal = polar.diagonal()
    growth = np.exp(-np.log(w) * nodes(count))
    thetas = 2 * np.arctan2(np.maximum(growth - w, 0), 1 - w * growth)
    return coefficients(_values(polar, thetas, np.sqrt(np.outer(diagonal, diagonal)), progress))


def _values(polar: Polar, thetas: Array, scale: Array, progress: Progress) -> Array:
    """Normalised kernels at angles that come with their mirror images."""
    values, half = np.empty((len(thetas), *scale.shape)), (len(thetas) + 1) // 2
    with threadpool_limits(1), ThreadPoolExecutor() as pool:
        for i, (matrix, mirrored) in enumerate(pool.map(polar.mirrored, thetas[:half])):
            values[i], values[-1 - i] = matrix / scale, mirrored / scale
            progress(i + 1, half)
    return values


def _tail(core: Array) -> float:
    """The size of the last eighth of a series in its largest member: what is beyond is smaller."""
    return float(np.abs(core[-len(core) // 8 :]).max())


def _compressed(logs: Array, core: Array) -> Table:
    """A common basis of the variances' polynomials, and its coefficients, those left out that do not count.

    Small coefficients of two variables add up where both are at an end: they are told in values of the other.
    """
    kept = core
    for axis in (1, 2):
        kept = np.moveaxis(coefficients(np.moveaxis(kept, axis, 0)), 0, axis)
    at_angles = np.tensordot(polynomials(SAMPLES, len(core)), core, 1)
    degree = _length(np.abs(core).max((1, 2)))
    width = _length(np.abs(coefficients(np.moveaxis(at_angles, 1, 0))).max((1, 2)))
    _, sizes, rows = np.linalg.svd(kept.reshape(-1, kept.shape[-1]), full_matrices=False)
    basis = rows[: max(int(np.sum(sizes > FAINT)), 1)]
    core = np.einsum("nij,ai,bj->nab", kept, basis, basis, optimize=True)
    above = core[:degree, *np.triu_indices(len(basis))]
    return Table(len(basis), *map(coded, (logs[: _length(np.abs(logs))], basis[:, :width], above)))


def _length(sizes: Array, noise: float = NOISE) -> int:
    """How many coefficients there are before the last that counts."""
    return int(np.flatnonzero(sizes > noise).max(initial=0)) + 1
