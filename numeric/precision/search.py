"""A hill climb to the points where an evaluator is worst.

From the worst points known, (q1, q2, c) is moved by factors, towards ρ = ±1 and by single floats; a move is
kept when the error grows. The error is a rough function of its arguments, so that single floats matter: what
random points miss by a factor of 2, a few hundred moves find.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision.points import Point, admissible
from mehler.numeric.precision.ulp import Exact, Row, errors_at


def climb(
    evaluator: Evaluator, exact: Exact, start: Row, dtype: Any, *, moves: int = 100, seed: int = 0,
    metric: str = "scaled",
) -> Row:  # fmt: skip
    """The worst point of one function found from start.at in `moves` moves, as a row of the region "search"."""
    rng = np.random.default_rng(seed)
    diagonal = start.function.endswith("diag")
    best, error = start.at, start.worst
    tried = 0
    while tried < moves and math.isfinite(error):
        candidate = neighbour(best, rng, dtype, diagonal)
        tried += 1
        if candidate is None:
            continue
        if not _known(exact, candidate):
            continue
        found = errors_at(evaluator, exact, candidate, dtype, metric)[start.function]
        if not found <= error:
            best, error = candidate, found
    return Row(start.function, f"search from {start.region.removeprefix('search from ')}", tried, error, best)


def search(
    evaluator: Evaluator, exact: Exact, rows: Iterable[Row], dtype: Any, *, moves: int = 100, seed: int = 0
) -> list[Row]:
    """`climb` from each row."""
    return [climb(evaluator, exact, row, dtype, moves=moves, seed=seed + n) for n, row in enumerate(rows)]


def _known(exact: Exact, at: Point) -> bool:
    q1, q2, _ = at
    try:
        return all(exact(*p) for p in (at, (q1, q1, q1), (q2, q2, q2)))
    except ValueError:  # too hard a point for an exact value
        return False


def neighbour(at: Point, rng: Any, dtype: Any, diagonal: bool = False) -> Point | None:
    """A point near `at` in floats of the dtype, or None when the move left the covariances."""
    limits = np.finfo(dtype)

    def moved(value: float) -> float:
        how = rng.integers(4)
        with np.errstate(over="ignore", under="ignore"):
            x = np.asarray(value, dtype)
            if how == 0:
                x = x * np.asarray(2.0 ** rng.normal(), dtype)
            elif how == 1:
                x = x * np.asarray(1 + rng.normal() * 10.0 ** -rng.uniform(1, -math.log10(limits.eps)), dtype)
            elif how == 2:
                for _ in range(rng.integers(1, 4)):
                    x = np.nextafter(x, np.asarray(rng.choice([-np.inf, np.inf]), dtype))
        return float(x)

    q1, q2, c = at
    if diagonal:
        q1 = moved(q1)
        q2 = c = q1
    elif rng.integers(4) == 0:  # towards or from the boundary, at the same variances
        rho = min(1.0, abs(c) / (math.sqrt(q1) * math.sqrt(q2) or 1.0))
        gap = (1 - rho or float(limits.eps)) * 10.0 ** rng.normal()
        c = float(np.asarray(math.copysign(max(0.0, 1 - gap), c) * math.sqrt(q1) * math.sqrt(q2), dtype))
    elif q1 == q2 and rng.integers(2):
        factor = c / q1 if q1 else 0.0
        q1 = q2 = moved(q1)
        c = float(np.asarray(factor * q1, dtype))
    else:
        q1, q2, c = moved(q1), moved(q2), moved(c)
    return (q1, q2, c) if (q1, q2, c) != at and admissible(q1, q2, c) else None
