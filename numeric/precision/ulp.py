"""Error in units in the last place, against exact values from mpmath.

scaled ULP error = |computed − exact| / ulp(√(K(q1, q1) K(q2, q2))), ulp(s) the spacing of floats at s. It is
the measure for kernels that change sign: a value near 0 is as good as its scale allows.

ULP error = |computed − exact| / ulp(|exact|), for kernels without cancellation, as the positive ones are.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator, Generated
from mehler.numeric.precision.points import Point, Region, adversarial, regions

__all__ = [
    "FUNCTIONS", "METRICS", "Region", "Row", "adversarial", "errors_at", "measure", "regions", "scaled_ulp",
    "ulp_error",
]  # fmt: skip

# (K, K̇) at exact q1, q2, c as mpf; every float is its own exact value.
Exact = Callable[[float, float, float], tuple[Any, Any]]
FUNCTIONS = ("kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag")
METRICS = ("scaled", "ulp")
_LEAST = 5e-324
_VANISHING = 1e-150


@dataclass(frozen=True)
class Row:
    """The largest error of one function over one region, and where it occurs."""

    function: str
    region: str
    points: int
    worst: float
    at: Point


def scaled_ulp(computed: Any, exact: Any, scale: Any) -> float:
    """|computed − exact| / ulp(scale) in the dtype of `computed`; infinite when `computed` is not finite.

    0 where the scale itself overflows the dtype, and no answer is right.
    """
    dtype = np.asarray(computed).dtype
    if scale > float(np.finfo(dtype).max):
        return 0.0
    if not np.isfinite(computed):
        return float("inf")
    unit = np.spacing(np.maximum(np.asarray(float(scale), dtype), np.finfo(dtype).tiny))
    # At the precision of the caller, 15 digits perhaps, an exact value of 25 would be rounded first.
    with mpmath.workprec(max(mpmath.mp.prec, 200)):
        return float(abs(mpmath.mpf(float(computed)) - exact) / mpmath.mpf(float(unit)))


def ulp_error(computed: Any, exact: Any) -> float:
    """|computed − exact| / ulp(|exact|): relative to each value, however small beside its neighbours.

    The unit below the normal floats is that of the smallest of them; 0 where |exact| overflows the dtype.
    """
    return scaled_ulp(computed, exact, abs(exact))


def measure(
    evaluator: Evaluator, exact: Exact, where: Iterable[Region], dtype: Any, metric: str = "scaled"
) -> list[Row]:
    """The largest error of `kernel` and `kernel_dot` over each region, and of the diagonal."""
    rows = []
    for region in where:
        worst: dict[str, tuple[float, Point]] = {}
        for point in region.points:
            for name, error in errors_at(evaluator, exact, point, dtype, metric).items():
                if name not in worst or not error <= worst[name][0]:
                    worst[name] = (error, point)
        rows += [Row(name, region.name, len(region.points), error, at) for name, (error, at) in worst.items()]
    return rows


def errors_at(
    evaluator: Evaluator, exact: Exact, point: Point, dtype: Any, metric: str = "scaled"
) -> Mapping[str, float]:
    """The error of each function at one point; of the diagonal too where q1 = q2 = c."""
    if metric not in METRICS:
        raise NumericError(f"metric={metric!r} is not known; use 'scaled' or 'ulp'")
    module, params = evaluator.module, evaluator.values
    q1, q2, c = (np.asarray([v], dtype) for v in point)
    values = exact(*point)
    computed = {"kernel": _run(module, "kernel", q1, q2, c, **params)}
    computed["kernel_dot"] = _run(module, "kernel_dot", q1, q2, c, **params)
    if point[0] == point[1] == point[2]:
        computed["kernel_diag"] = _run(module, "kernel_diag", q1, **params)
        computed["kernel_dot_diag"] = _run(module, "kernel_dot_diag", q1, **params)
    scales = [_scale(exact, point, n) for n in (0, 1)]
    errors = {}
    for name, value in computed.items():
        known, scale = values["dot" in name], scales["dot" in name]
        if name.endswith("diag") and not point[0]:
            # Where φ or φ′ jumps at 0 it has no one value for u = 0: the diagonal is the limit.
            limit = exact(_LEAST, _LEAST, _LEAST)["dot" in name]
            known = scale = limit if limit > _VANISHING else mpmath.mpf(0)
        errors[name] = ulp_error(value, known) if metric == "ulp" else scaled_ulp(value, known, scale)
    return errors


def _run(module: Generated, function: str, *arrays: Any, **params: float) -> Any:
    try:
        with np.errstate(all="ignore"):
            return getattr(module, function)(*arrays, **params)[0]
    except Exception as error:  # whatever a damaged file does
        raise NumericError(
            f"{function} of {module.NAME} fails ({type(error).__name__}: {error}); "
            "regenerate the module with 'mehler generate'"
        ) from None


def _scale(exact: Exact, point: Point, n: int) -> Any:
    q1, q2, _ = point
    return mpmath.sqrt(exact(q1, q1, q1)[n] * exact(q2, q2, q2)[n])
