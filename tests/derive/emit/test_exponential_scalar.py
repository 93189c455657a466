"""ELU's kind in compiled modules: a few ulps at every variance and angle, and in networks of close rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mehler.api import evaluator
from mehler.derive.emit import exponential_scalar
from mehler.derive.pipeline import derive_dual
from mehler.exact import Formula
from mehler.numeric.precision.network import BUDGET, measure_network

ULP = Callable[..., float]
NEAR = 1 - 2.0**-50
ON_THE_RIGHT = "where(x > 0, 1 - exp(-2*x), 3*x)"

# From ρ = 0 and from ρ = 1, of few nodes and of many, at all ends of both, and beyond them.
POINTS = [
    (1.0, 2.0, 0.3), (1.0, 3.0, -1.6), (0.3, 0.3, 0.3 * NEAR), (0.3, 0.3, -0.3 * NEAR), (4.0, 1.0, 2.0),
    (3.2, 3.2, 2.0), (3.2, 3.2, -3.2), (6.0, 6.0, 2.0), (6.0, 5.0, 2.1), (25.0, 25.0, 25.0), (6.0, 6.0, -5.9),
    (2.0, 2.0, -2.0), (26.0, 25.0, 4.0), (169.0, 0.003, -0.07), (2e3, 5e4, -3e3), (0.5, 3e5, -100.0),
    (1e-4, 1e4, 0.5), (1e-12, 3e-12, 1e-12),
]  # fmt: skip


def worst(name: str, scaled_ulp: ULP, points: Any = POINTS) -> float:
    code = evaluator(name, {}, "numba").module
    return max(
        scaled_ulp(name, point, n, float(function(*point)))
        for point in points
        for n, function in enumerate((code.kernel, code.kernel_dot))
        if min(point[:2]) > 0 or (n == 0 and np.isfinite(function(*point)) and function(*point) != 0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elu", "selu", ON_THE_RIGHT, "where(x > 0, 2 + x/2, 1 + exp(x) - x)"])
def test_a_few_ulps_everywhere(name: str, scaled_ulp: ULP) -> None:
    assert worst(name, scaled_ulp) <= 8


@pytest.mark.slow
def test_from_independence_alone_digits_are_lost(scaled_ulp: ULP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exponential_scalar, "SPLIT", 100.0)
    assert worst("elu", scaled_ulp, [(20.0, 20.0, 18.0)]) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elu", "selu"])
def test_networks_on_close_and_opposite_rows(name: str) -> None:
    exact = Formula(derive_dual(name)).at_working_precision
    cases = measure_network(
        evaluator(name, {}, "numba"), exact, np.float64, angles=(0.0, 0.3, 1e-5), factors=(1.0, 0.3), depths=(2,),
        digits=18,
    )  # fmt: skip
    assert len(cases) > 10
    assert max(case.units(np.float64) for case in cases) <= BUDGET


@pytest.mark.slow
def test_a_cluster_of_rows_is_that_of_the_arrays(module: Callable[[str], Any]) -> None:
    """At variances where the falls are compiled, and where they are left to the functions of arrays."""
    rng = np.random.default_rng(0)
    for size in (1e-3, 1.0, 100.0):
        X = size * (rng.standard_normal(5) + 0.1 * rng.standard_normal((30, 5)))
        K, E = (m.ntk(X, depth=3, sigma_w=1.3) for m in (evaluator("selu", {}, "numba").module, module("selu")))
        np.testing.assert_allclose(K, E, rtol=4e-15)
