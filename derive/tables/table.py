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
VARIANCES = (96, 144)  # degrees in log q, until one is enough for log K(q, q), which ends at the complex zeros of K
HOPELESS = 1e-13  # and for K at two angles; by more than this the last of them is not tried
ANGLES = (96, 160, 256)  # degrees in t, until one is enough
NOISE = 1e-15  # of coefficients, from the rounding of sums of 40,000 products
FAINT = 1e-15  # members of a basis that are left out

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
    kernel: Table
    kernel_dot: Table
    certificate: Certificate | None = None


def layer(high: float) -> float:
    """The width w of the layers at θ = 0 and π."""
    return float(1 / np.sqrt(1 + 2 * high))


def nodes(count: int) -> Array:
    """Chebyshev's, on [−1, 1]."""
    return np.asarray(np.cos(np.pi * (np.arange(count) + 0.5) / count))


def coefficients(values: Array) -> Array:
    """Of Tₙ along the first axis, from the values at as many nodes."""
    count = len(values)
    turns = np.outer(np.arange(count), 2 * np.arange(count) + 1) % (4 * count)  # a large argument of cos is rounded
    matrix = np.cos(np.pi / 2 * turns / count) * 2 / count
    matrix[0] /= 2
    return np.asarray(np.tensordot(matrix, values, 1))


def variances(low: float, high: float, count: int = VARIANCES[0]) -> Array:
    """Those of a table."""
    return np.asarray(np.exp(np.log(low * high) / 2 + np.log(high / low) / 2 * nodes(count)))


def build(f: Function, parity: int, low: float, high: float, progress: Progress = silent) -> Table:
    """The table of E[f(u) f(v)] for variances in [low, high] and all angles. Raises EmitError if none is good."""
    for degree in VARIANCES:
        polar = resolving(f, variances(low, high, degree), parity)
        diagonal = polar.diagonal()
        logs, scale = coefficients(np.log(diagonal)), np.sqrt(np.outer(diagonal, diagonal))
        across = (coefficients(polar(theta) / scale) for theta in (layer(high), np.pi / 2))
        tail = max(map(_tail, (logs, *across)))
        if tail < 10 * NOISE:
            break
    if tail > HOPELESS:
        raise EmitError("the kernel is not smooth enough in the variances for a table")
    some = np.arange(0, degree, degree // 6)
    few = replace(polar, variances=polar.variances[some])
    for count in ANGLES:
        # In a moment, what takes all variances half a minute.
        if _tail(_in_angle(few, diagonal[some], layer(high), count, silent)) > 10 * NOISE:
            continue
        core = _in_angle(polar, diagonal, layer(high), count, progress)
        if _tail(core) < 10 * NOISE:
            return _compressed(logs, core)
    raise EmitError("the kernel is not smooth enough in the angle for a table")


def _in_angle(polar: Polar, diagonal: Array, w: float, count: int, progress: Progress) -> Array:
    """The first `count` coefficients in t of normalised kernels."""
    growth = np.exp(-np.log(w) * nodes(count))
    thetas = 2 * np.arctan2(np.maximum(growth - w, 0), 1 - w * growth)
    return coefficients(_values(polar, thetas, np.sqrt(np.outer(diagonal, diagonal)), progress))


def _values(polar: Polar, thetas: Array, scale: Array, progress: Progress) -> Array:
    """Normalised kernels at the angles; those of an even or odd f at π − θ by symmetry."""
    values = np.empty((len(thetas), *scale.shape))
    wanted = thetas[: (len(thetas) + 1) // 2] if polar.parity else thetas
    with threadpool_limits(1), ThreadPoolExecutor() as pool:
        for i, matrix in enumerate(pool.map(polar, wanted)):
            values[i] = matrix / scale
            if polar.parity:
                values[-1 - i] = polar.parity * values[i]
            progress(i + 1, len(wanted))
    return values


def _tail(core: Array) -> float:
    """The size of the last eighth of a series in its largest member: what is beyond is smaller."""
    return float(np.abs(core[-len(core) // 8 :]).max())


def _compressed(logs: Array, core: Array) -> Table:
    """A common basis of the variances' polynomials, and its coefficients, those left out that do not count."""
    kept = core
    for axis in (1, 2):
        kept = np.moveaxis(coefficients(np.moveaxis(kept, axis, 0)), 0, axis)
    flat = kept.reshape(-1, kept.shape[-1])
    _, sizes, rows = np.linalg.svd(flat, full_matrices=False)
    basis = rows[: max(int(np.sum(sizes > FAINT)), 1)]
    core = np.einsum("nij,ai,bj->nab", kept, basis, basis, optimize=True)
    degree, width = _length(np.abs(core).max((1, 2))), _length(np.abs(kept).max((0, 1)))
    above = core[:degree, *np.triu_indices(len(basis))]
    return Table(len(basis), *map(coded, (logs[: _length(np.abs(logs))], basis[:, :width], above)))


def _length(sizes: Array) -> int:
    """How many coefficients there are before the last that counts."""
    return int(np.flatnonzero(sizes > NOISE).max(initial=0)) + 1
