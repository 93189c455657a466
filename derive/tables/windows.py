"""How many terms a table needs on a part of its range: a module interpolates it anew where its arrays are.

On the part [m − r, m + r] of a variable it takes 1 + 37/arsinh(s/r) terms, which is right for what is bounded in a
strip of half-width s about the range. Kernels grow in theirs, each in its way, and are wilder at the ends of a
range than between: s is the smaller of two numbers, one of them with the distance to the next end added. Both are
found from the tables, so that no part has too few terms.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from mehler.derive.tables.polar import Array
from mehler.derive.tables.table import SAMPLES, Table, Tables, coefficients, nodes, polynomials

DIGITS = 37  # -log of the error that is left
ENOUGH = 1e-15  # below which a coefficient is not needed
ROUNDING = 2e-17  # by which a coefficient may be off, times their number and the sum of their sizes
REACHES = tuple(2.0 ** (-n / 2) for n in range(13))
PLACES = 9
INNER = 0.1  # of the distance to an end: what is nearer counts as there

Strip = tuple[float, float]


def strips(tables: Tables) -> tuple[Strip, Strip]:
    """Those for the logarithm of a variance and for the angle, both over [−1, 1]: at an end, and between."""
    found = [_series(table) for table in (tables.kernel, tables.kernel_dot)]
    variance, angle = (_strip([series[n] for series in found]) for n in (0, 1))
    return variance, angle


def _series(table: Table) -> tuple[Array, Array]:
    """Coefficients in one variance and in the angle, the other variables being at their samples."""
    basis = table.basis.values.reshape(table.rank, -1)
    i, j = np.triu_indices(table.rank)
    above = table.core.values.reshape(-1, len(i))
    core = np.empty((len(above), table.rank, table.rank))
    core[:, i, j] = core[:, j, i] = above
    places = basis @ polynomials(SAMPLES, basis.shape[1]).T
    half = np.tensordot(core, places, 1)
    at_angles = np.tensordot(polynomials(SAMPLES, len(core)), half, 1)
    variance = np.tensordot(basis, at_angles, (0, 1)).reshape(basis.shape[1], -1)
    return variance, np.einsum("nas,at->nst", half, places).reshape(len(core), -1)


def _strip(found: Sequence[Array]) -> Strip:
    limits = np.array([limit for series in found for limit in _limits(series)])
    inner = limits[:, 0] > INNER
    between = limits[inner, 1].min()
    return float(min((limits[:, 1] - limits[:, 0])[~inner].min(), between)), float(between)


def _limits(series: Array) -> Iterator[tuple[float, float]]:
    """The distance of a part from the next end, and the largest half-width that gives it terms enough."""
    count = len(series)
    enough = max(ENOUGH, ROUNDING * count * np.abs(series).sum(0).max())
    for reach in REACHES:
        for middle in np.linspace(reach - 1, 1 - reach, PLACES):
            sizes = np.abs(coefficients(polynomials(middle + reach * nodes(count), count)) @ series).max(1)
            needed = 1 + int(np.flatnonzero(sizes > enough).max(initial=1))
            yield 1 - abs(middle) - reach, reach * float(np.sinh(DIGITS / (needed - 1)))
