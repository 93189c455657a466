"""assert_accurate: a precision test in one line of a pytest suite."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from typing import Any

import mpmath
import numpy as np

from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision.points import Point, Region, admissible, regions
from mehler.numeric.precision.ulp import METRICS, scaled_ulp, ulp_error

Values = Callable[[Any, Any, Any], Any]  # (q1, q2, c) ↦ mpf
# (name, what computes it, what it ought to be, whether it is given q alone)
_Subject = tuple[str, Callable[..., Any], Values, bool]


def assert_accurate(
    evaluator: Any,
    oracle: Any,
    budget: float | Mapping[str, float],
    *,
    points: Iterable[Point | Region] | None = None,
    dtype: Any = np.float64,
    metric: str = "scaled",
) -> float:
    """Assert |computed − exact| ≤ budget · ulp at every point, and return the largest error in ulp.

    evaluator: a function (q1, q2, c) of NumPy arrays, or a generated module (or `Evaluator`), of which
    kernel, kernel_dot and, where q1 = q2 = c, the two diagonals are tested.
    oracle: a function (q1, q2, c) ↦ mpf; for a module an object with methods kernel and kernel_dot, such as
    `Oracle`, or a function, which is that of the kernel alone. It is given exact floats.
    budget: one number, or one for each function by name.
    points: (q1, q2, c), c² ≤ q1 q2, rounded to `dtype`, or regions of them; by default `regions(dtype, 0, 4)`.
    metric: "scaled", in ulp(√(K(q1, q1) K(q2, q2))), or "ulp", in ulp(|exact|).

    Raises AssertionError that names function, point, values, error and budget; NumericError for arguments
    that are none of these.
    """
    if metric not in METRICS:
        raise NumericError(f"metric={metric!r} is not known; use 'scaled' or 'ulp'")
    subjects = list(_subjects(evaluator, oracle))
    worst = 0.0
    for at in _points(regions(dtype, 0, 4) if points is None else points, dtype):
        for name, function, exact, diagonal in subjects:
            if diagonal and not at[0] == at[1] == at[2]:
                continue
            limit = budget[name] if isinstance(budget, Mapping) else budget
            arrays = [np.asarray([v], dtype) for v in (at[:1] if diagonal else at)]
            with np.errstate(all="ignore"):
                computed = np.asarray(function(*arrays)).reshape(-1)[0]
            known = mpmath.mpf(exact(*at))
            if metric == "ulp":
                error = ulp_error(computed, known)
            else:
                q1, q2, _ = at
                error = scaled_ulp(computed, known, mpmath.sqrt(exact(q1, q1, q1) * exact(q2, q2, q2)))
            if not error <= limit:
                raise AssertionError(
                    f"{name} at (q1, q2, c) = {at} in {np.dtype(dtype)}: computed {computed!r}, exact "
                    f"{mpmath.nstr(known, 20)}: error {error:.3g} {'scaled ' * (metric == 'scaled')}ulp, "
                    f"budget {limit:g}"
                )
            worst = max(worst, error)
    return worst


def _subjects(evaluator: Any, oracle: Any) -> Iterator[_Subject]:
    params = evaluator.values if isinstance(evaluator, Evaluator) else {}
    module = evaluator.module if isinstance(evaluator, Evaluator) else evaluator
    if not hasattr(module, "kernel"):
        if not callable(module) or not callable(oracle):
            raise NumericError(
                "a function of (q1, q2, c) is tested against a function; give both, e.g. Oracle(...).kernel"
            )
        yield getattr(module, "__name__", "the evaluator"), module, oracle, False
        return
    both = cache(oracle.both) if hasattr(oracle, "both") else None  # one quadrature for K and K̇
    for n, name in enumerate(("kernel", "kernel_dot")):
        exact = getattr(oracle, name, oracle if name == "kernel" else None)
        if both is not None:
            exact = _part(both, n)
        if callable(exact):
            for function, diagonal in ((name, False), (f"{name}_diag", True)):
                yield function, _with(getattr(module, function), params), exact, diagonal


def _part(both: Callable[[Any, Any, Any], Any], n: int) -> Values:
    return lambda q1, q2, c: both(q1, q2, c)[n]


def _with(function: Callable[..., Any], params: Mapping[str, float]) -> Callable[..., Any]:
    return lambda *arrays: function(*arrays, **params)


def _points(given: Iterable[Point | Region], dtype: Any) -> Iterator[Point]:
    for at in chain.from_iterable(p.points if isinstance(p, Region) else (p,) for p in given):
        q1, q2, c = (float(np.asarray(v, dtype)) for v in at)
        if not admissible(q1, q2, c):
            raise NumericError(f"not a covariance in {np.dtype(dtype)}: q1 = {q1}, q2 = {q2}, c = {c}")
        yield q1, q2, c
