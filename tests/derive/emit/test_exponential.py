"""ELU and its kind by Mehler's series and its remainder: a few ulps at every variance and angle."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mehler.derive.dual import ProvedDual
from mehler.derive.emit import exponential
from mehler.derive.pipeline import derive_dual
from mehler.numeric.precision.oracle import Oracle

Module = Callable[[str], Any]
ULP = Callable[..., float]
NEAR = 1 - 2.0**-50

# On both sides of the largest λ at which the exponential is summed as a series, at both ends of ρ, and far apart.
POINTS = [
    (1.0, 2.0, 0.3), (1.0, 3.0, -1.6), (0.3, 0.3, 0.3 * NEAR), (0.3, 0.3, -0.3 * NEAR), (4.0, 1.0, 2.0),
    (5.0, 5.0, -5.0 * NEAR), (2.0, 2.0, -2.0), (169.0, 0.003, -0.07), (2e3, 5e4, -3e3), (1e10, 3e9, 2e9),
    (0.5, 3e5, -100.0), (1e-4, 1e4, 0.5), (1e-12, 3e-12, 1e-12),
]  # fmt: skip
ON_THE_RIGHT = "where(x > 0, 1 - exp(-2*x), 3*x)"
SMOOTH = "where(x > 0, x + x**2/2, exp(x) - 1)"


def worst(name: str, code: Any, scaled_ulp: ULP, points: list[tuple[float, float, float]]) -> float:
    errors = []
    for point in points:
        arrays = [np.array([v]) for v in point]
        for n, function in enumerate((code.kernel, code.kernel_dot)):
            errors.append(scaled_ulp(name, point, n, float(function(*arrays)[0])))
    return max(errors)


def test_a_few_ulps(module: Module, scaled_ulp: ULP) -> None:
    assert worst("elu", module("elu"), scaled_ulp, POINTS[:4]) <= 8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elu", "selu", ON_THE_RIGHT, SMOOTH])
def test_a_few_ulps_everywhere(name: str, module: Module, scaled_ulp: ULP) -> None:
    assert worst(name, module(name), scaled_ulp, POINTS) <= 8


def test_quadrature_of_the_activation_agrees(module: Module) -> None:
    """The independent oracle, at a point of each kind."""
    oracle, code = Oracle("where(x > 0, x, exp(x) - 1)", digits=18), module("elu")
    for point in [(1.0, 2.0, 0.3), (60.0, 45.0, 51.0)]:
        arrays = [np.array([v]) for v in point]
        computed = code.kernel(*arrays)[0], code.kernel_dot(*arrays)[0]
        np.testing.assert_allclose(computed, [float(v) for v in oracle.both(*point)], rtol=2e-15)


def test_a_large_exponential_is_one_value(module: Module, scaled_ulp: ULP) -> None:
    """Undo that, and the solution of the linear equation cancels as it grows."""
    code, points = module("elu"), [(40.0, 30.0, 30.0)]
    assert worst("elu", code, scaled_ulp, points) <= 8
    code.namespace["large_remainder"] = code.small_remainder
    assert worst("elu", code, scaled_ulp, points) > 1000


def test_a_small_exponential_is_summed_as_a_series(module: Module, scaled_ulp: ULP) -> None:
    """Undo that, and its first terms cancel as λ falls."""
    code, points = module("elu"), [(1e-3, 2e-3, 5e-4)]
    assert worst("elu", code, scaled_ulp, points) <= 8
    code.namespace["small_remainder"] = code.large_remainder
    assert worst("elu", code, scaled_ulp, points) > 30


def test_the_sum_near_opposite_inputs_keeps_its_digits(module: Module) -> None:
    """Undo √q1 + ρ√q2 without cancellation, and E[ψψ] near ρ = −1 loses digits as the variances grow."""
    code, q = module("elu"), 1e12
    point = [np.array([v]) for v in (q, q, -q * (1 - 2.0**-38))]
    value = code.kernel_dot(*point)
    code.namespace["gap"] = lambda a, b, cos, sin: np.sqrt(a) - cos * np.sqrt(b)
    assert abs(code.kernel_dot(*point) - value) > 30 * np.spacing(0.5)


def test_opposite_inputs_are_no_exception(module: Module) -> None:
    """The sectors of E[ψψ] at ρ = −1 are none; a sine of 0 would make a quarter of each."""
    value = module("elu").pair(*(np.array([v]) for v in (5.0, 5.0, -5.0, -1.0, 0.0)))
    near = module("elu").pair(*(np.array([v]) for v in (5.0, 5.0, -5.0 + 5e-13, -1 + 1e-13, np.sqrt(2e-13))))
    np.testing.assert_allclose(value, near, rtol=1e-6)


def test_extremes_are_finite(module: Module) -> None:
    sizes = np.array([0.0, 1e-300, 1e-20, 1.0, 1e20, 1e150])
    q1, q2 = sizes[:, None], sizes[None, :]
    code = module("elu")
    for rho in (-1.0, -0.5, 0.0, 0.9, 1.0):
        for function in (code.kernel, code.kernel_dot):
            assert np.all(np.isfinite(function(q1, q2, rho * np.sqrt(q1) * np.sqrt(q2))))
    assert code.kernel(np.array([]), np.array([]), np.array([])).shape == (0,)
    assert code.kernel_diag(np.array([])).shape == (0,)


def test_rows_and_columns_broadcast(module: Module) -> None:
    code = module("elu")
    q1, q2 = np.array([0.1, 3.0, 50.0])[:, None], np.array([1e-6, 20.0])[None, :]
    c = 0.3 * np.sqrt(q1) * np.sqrt(q2)
    full = code.kernel(q1, q2, c)
    single = [[code.kernel(q1[i], q2[:, j], c[i, j : j + 1])[0] for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(full, single, rtol=1e-15)


def test_single_precision_is_rounded_once(module: Module) -> None:
    code = module("elu")
    point = [np.array([v], np.float32) for v in (1.25, 2.5, 0.375)]
    value = code.kernel(*point)
    assert value.dtype == np.float32
    assert value[0] == np.float32(code.kernel(*(v.astype(np.float64) for v in point))[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "where(x > 0, x, exp(x))",  # a jump
        "where(x > 0, x**2, exp(x) - 1)",  # a kink below the degree
        "where(x > 1, x, exp(x - 1))",  # another knot
        "where(x > 0, 1, exp(x))",  # bounded
    ],
)
def test_others_stay_with_the_closed_forms(text: str, derive: Callable[..., ProvedDual]) -> None:
    assert not exponential.applies(derive(text))


@pytest.mark.parametrize(("sign", "applied"), [("positive", True), ("real", False)])
def test_a_rate_must_be_known_to_decay(sign: str, applied: bool) -> None:
    assert exponential.applies(derive_dual("celu", a=sign)) is applied
