"""Error in units in the last place, against exact values from mpmath.

scaled ULP error = |computed − exact| / ulp(√(K(q1, q1) K(q2, q2))), ulp(s) the spacing of floats at s. It is
the measure for kernels that change sign: a value near 0 is as good as its scale allows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator, Generated

# (K, K̇) at exact q1, q2, c as mpf; every float is its own exact value.
Exact = Callable[[float, float, float], tuple[Any, Any]]


@dataclass(frozen=True)
class Region:
    """Points (q1, q2, c) of one kind, each number exactly a float of the dtype tested."""

    name: str
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Row:
    """The largest scaled ULP error of one function over one region, and where it occurs."""

    function: str
    region: str
    points: int
    worst: float
    at: tuple[float, float, float]


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
    return float(abs(mpmath.mpf(float(computed)) - exact) / mpmath.mpf(float(unit)))


def regions(dtype: Any, seed: int = 0, points: int = 12) -> tuple[Region, ...]:
    """Points in the bulk, near ρ = ±1, on the boundary, and with variances far apart; 1e-6 ≤ q ≤ 1e6."""
    rng = np.random.default_rng(seed)
    eps = float(np.finfo(dtype).eps)

    def point(q1: float, q2: float, rho: float) -> tuple[float, float, float]:
        a, b = float(np.asarray(q1, dtype)), float(np.asarray(q2, dtype))
        c = float(np.asarray(rho * np.sqrt(a) * np.sqrt(b), dtype))
        bound = mpmath.mpf(a) * mpmath.mpf(b)
        while mpmath.mpf(c) ** 2 > bound:
            c = float(np.nextafter(np.asarray(c, dtype), np.asarray(0, dtype)))
        return a, b, c

    def q(low: float, high: float) -> float:
        return float(10 ** rng.uniform(low, high))

    def near() -> float:
        return 1 - float(10 ** rng.uniform(np.log10(4 * eps), -2))

    bulk = [point(q(-1, 1), q(-1, 1), rng.uniform(-0.99, 0.99)) for _ in range(points)]
    close = [point(v, v, near()) for v in (q(-1, 1) for _ in range(points))]
    opposite = [point(v, v, -near()) for v in (q(-1, 1) for _ in range(points))]
    equal = [(v, v, s * v) for v in (point(q(-3, 3), 1, 0)[0] for _ in range(points // 2)) for s in (1, -1)]
    ratio = [point(q(-6, -3), q(3, 6), rng.uniform(-0.99, 0.99)) for _ in range(points)]
    small = [point(q(-6, -3), q(-6, -3), rng.uniform(-0.99, 0.99)) for _ in range(points)]
    large = [point(q(3, 6), q(3, 6), rng.uniform(-0.99, 0.99)) for _ in range(points)]
    return tuple(
        Region(name, tuple(values))
        for name, values in (
            ("bulk", bulk), ("rho near 1", close), ("rho near -1", opposite), ("rho = +-1", equal),
            ("q1 << q2", ratio), ("small q", small), ("large q", large),
        )
    )  # fmt: skip


def measure(evaluator: Evaluator, exact: Exact, where: Sequence[Region], dtype: Any) -> list[Row]:
    """The largest error of `kernel` and `kernel_dot` over each region, and of the diagonal."""
    rows = []
    module, params = evaluator.module, evaluator.values
    for region in where:
        worst: dict[str, tuple[float, tuple[float, float, float]]] = {}
        for point in region.points:
            q1, q2, c = (np.asarray([v], dtype) for v in point)
            values = exact(*point)
            scales = [_scale(exact, point, n) for n in (0, 1)]
            with np.errstate(all="ignore"):
                computed = {
                    "kernel": (_run(module, "kernel", q1, q2, c, **params), 0),
                    "kernel_dot": (_run(module, "kernel_dot", q1, q2, c, **params), 1),
                }
                if point[0] == point[1] == point[2]:
                    computed["kernel_diag"] = (_run(module, "kernel_diag", q1, **params), 0)
                    computed["kernel_dot_diag"] = (_run(module, "kernel_dot_diag", q1, **params), 1)
            for name, (value, n) in computed.items():
                error = scaled_ulp(value, values[n], scales[n])
                if name not in worst or not error <= worst[name][0]:
                    worst[name] = (error, point)
        rows += [Row(name, region.name, len(region.points), error, at) for name, (error, at) in worst.items()]
    return rows


def _run(module: Generated, function: str, *arrays: Any, **params: float) -> Any:
    try:
        return getattr(module, function)(*arrays, **params)[0]
    except Exception as error:  # whatever a damaged file does
        raise NumericError(
            f"{function} of {module.NAME} fails ({type(error).__name__}: {error}); "
            "regenerate the module with 'mehler generate'"
        ) from None


def _scale(exact: Exact, point: tuple[float, float, float], n: int) -> Any:
    q1, q2, _ = point
    return mpmath.sqrt(exact(q1, q1, q1)[n] * exact(q2, q2, q2)[n])
