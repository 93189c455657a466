"""Piecewise polynomials in compiled modules: a few ulps at every variance and angle, and close rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mehler.api import evaluator
from mehler.derive.emit.numba import emit_numba
from mehler.derive.pipeline import derive_dual
from mehler.exact import Formula
from mehler.numeric.evaluator import load_source
from mehler.numeric.precision.network import BUDGET, measure_network

ULP = Callable[..., float]
NEAR = 1 - 2.0**-50

POINTS = [
    (1.0, 2.0, 0.3), (0.3, 0.3, 0.3 * NEAR), (0.3, 0.3, -0.3 * NEAR), (4.0, 1.0, 2.0), (1.5, 1.5, -1.5),
    (2e3, 5e4, -3e3), (1e5, 1e5, 1e5 * (1 - 1e-7)), (15.9, 15.9, 15.0), (16.1, 0.2, -1.0), (0.5, 3e5, -100.0),
    (140.0, 139.0, 139.4), (1e-12, 3e-12, 1e-12), (1e-4, 1e4, 0.5),
]  # fmt: skip


def worst(name: str, code: Any, scaled_ulp: ULP, points: Any = POINTS) -> float:
    return max(
        scaled_ulp(name, point, n, float(function(*point)))
        for point in points
        for n, function in enumerate((code.kernel, code.kernel_dot))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hard_tanh", "hardshrink", "hard_swish", "where(x > 1, x**3, x**2)"])
def test_a_few_ulps_everywhere(name: str, scaled_ulp: ULP) -> None:
    assert worst(name, evaluator(name, {}, "numba").module, scaled_ulp) <= 8


@pytest.mark.slow
def test_panels_that_do_not_halve_lose_digits(scaled_ulp: ULP) -> None:
    source = emit_numba(derive_dual("hard_tanh"), "undone").replace('"cache": True', '"cache": False')
    undone = source.replace("low = max(high / 2, t0)", "low = t0")
    assert undone != source
    point = [(0.3, 0.3, 0.3 * NEAR)]
    assert worst("hard_tanh", load_source(source, "done"), scaled_ulp, point) <= 8
    assert worst("hard_tanh", load_source(undone, "undone"), scaled_ulp, point) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hard_tanh", "hard_swish", "softshrink"])
def test_networks_on_close_and_opposite_rows(name: str) -> None:
    exact = Formula(derive_dual(name)).at_working_precision
    cases = measure_network(
        evaluator(name, {}, "numba"), exact, np.float64, angles=(0.0, 0.3, 1e-5), factors=(1.0, 0.3), depths=(2,),
        digits=18,
    )  # fmt: skip
    assert len(cases) > 10
    assert max(case.units(np.float64) for case in cases) <= BUDGET


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hard_tanh", "relu6", "hard_swish", "hardshrink", "where(x > 1, x - 1, 0)"])
def test_clusters_and_random_rows_are_those_of_the_arrays(name: str) -> None:
    """However close rows are and their norms, and where variances are so large that pairs are given up."""
    ours, theirs = (evaluator(name, {}, target).module for target in ("numba", "numpy"))
    rng = np.random.default_rng(0)
    for size in (0.3, 1.0, 30.0):
        for apart in (1e-8, 1e-4, 0.1, 1.0):
            X = size * ((apart < 1) * rng.standard_normal(5) + apart * rng.standard_normal((20, 5)))
            X[1], X[3] = X[0] * (1 + 1e-6), -X[2]
            K, E = (module.ntk(X, depth=2, sigma_w=1.5, sigma_b=0.1) for module in (ours, theirs))
            scale = np.sqrt(np.outer(np.diag(E), np.diag(E)))
            assert np.max(np.abs(K - E) / scale) <= 12 * np.finfo(float).eps
