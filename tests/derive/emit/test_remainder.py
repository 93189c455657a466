"""Piecewise polynomials by Mehler's series and its remainder: a few ulps at every variance and angle."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mehler.derive.activation import activation
from mehler.derive.dual import Proof, ProvedDual
from mehler.derive.emit.remainder import applies
from mehler.derive.integrate import integrate
from mehler.numeric.precision.oracle import Oracle

Module = Callable[[str], Any]
ULP = Callable[..., float]
NEAR = 1 - 2.0**-50

POINTS = [
    (1.0, 2.0, 0.3), (0.3, 0.3, 0.3 * NEAR), (0.3, 0.3, -0.3 * NEAR), (4.0, 1.0, 2.0), (1.5, 1.5, -1.5),
    (2e3, 5e4, -3e3), (1e5, 1e5, 1e5 * (1 - 1e-7)), (1e10, 3e9, 2e9), (1e140, 1e140, 1e140), (1e-4, 1e4, 0.5),
    (0.5, 3e5, -100.0), (1e-12, 3e-12, 1e-12),
]  # fmt: skip
# Where the kernels themselves are below exp(-55).
TAILS = [(0.002, 0.002, 0.002), (0.002, 0.0020002, 0.002), (0.004, 0.004, 0.00399)]


def worst(name: str, points: list[tuple[float, float, float]], code: Any, scaled_ulp: ULP) -> float:
    errors = []
    for point in points:
        arrays = [np.array([v]) for v in point]
        for n, function in enumerate((code.kernel, code.kernel_dot)):
            errors.append(scaled_ulp(name, point, n, float(function(*arrays)[0])))
    return max(errors)


@pytest.mark.parametrize(
    "name",
    ["hard_tanh", *(pytest.param(n, marks=pytest.mark.slow) for n in ("hardshrink", "hard_swish", "step(x - 1)"))],
)
def test_a_few_ulps_everywhere(name: str, module: Module, scaled_ulp: ULP) -> None:
    assert worst(name, POINTS, module(name), scaled_ulp) <= 8


@pytest.mark.slow
def test_tails_too(module: Module, scaled_ulp: ULP) -> None:
    assert worst("hardshrink", TAILS, module("hardshrink"), scaled_ulp) <= 12


def test_quadrature_of_the_activation_agrees(module: Module) -> None:
    """The independent oracle, at a point of each kind."""
    oracle, code = Oracle("clip(x, -1, 1)", digits=18), module("hard_tanh")
    for point in [(1.0, 2.0, 0.3), (60.0, 45.0, 51.0)]:
        arrays = [np.array([v]) for v in point]
        computed = code.kernel(*arrays)[0], code.kernel_dot(*arrays)[0]
        np.testing.assert_allclose(computed, [float(v) for v in oracle.both(*point)], rtol=2e-15)


def test_impulses_that_cancel_are_put_together(module: Module, scaled_ulp: ULP) -> None:
    """Undo that, and hard tanh loses digits as √(q1q2) grows."""
    code, points = module("hard_tanh"), [(2e3, 5e4, -3e3), (1e5, 1e5, 3e4)]
    assert worst("hard_tanh", points, code, scaled_ulp) <= 8
    code.namespace["LEVEL"] = False
    assert worst("hard_tanh", points, code, scaled_ulp) > 30


# One variance huge, the other within reach of the knots: K' of hard swish was off by thousands of ulps.
UNEQUAL = [(1e12, 1.0, -0.6e6), (1.0, 1e8, 9.9e3), (30.0, 1e14, 0.6 * 3e15**0.5), (1e10, 1e3, -0.99 * 1e13**0.5)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["where(x>0, min(x, 1), -1)", "hard_swish"])
def test_impulses_of_two_orders_are_put_together(name: str, module: Module, scaled_ulp: ULP) -> None:
    code = module(name)
    assert worst(name, UNEQUAL, code, scaled_ulp) <= 8
    code.namespace["SMALL"] = 0.0
    assert worst(name, UNEQUAL, code, scaled_ulp) > 1000


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("clip(x, -1, 1)", True),
        ("where(abs(x) < 1, x**2, 1)", False),
        ("where(abs(x) < 1, 1 - x**2, 0)", False),
    ],
)
def test_tails_grow_as_fast_as_the_terms(text: str, known: bool) -> None:
    """The terms grow as the degree of the polynomials: a bounded tail beside a square would be lost in them."""
    proved = ProvedDual(integrate(activation(text), "almost-everywhere"), Proof(()))
    assert applies(proved) is known


def test_the_steps_are_short_enough(module: Module, scaled_ulp: ULP) -> None:
    """Steps twice as long are not."""
    code = module("hard_tanh")
    code.namespace["STEPS"] = code.STEPS[::2]
    assert worst("hard_tanh", POINTS, code, scaled_ulp) > 30


def test_exponents_of_tails_need_twice_the_precision(module: Module, scaled_ulp: ULP) -> None:
    """Undo it, and exp(-t²/2q) loses as many ulps as its argument is large."""
    code, points = module("hardshrink"), [(0.0005 * k, 0.0005 * k, 0.0005 * k) for k in (1.1, 1.2, 1.3)]
    assert worst("hardshrink", points, code, scaled_ulp) <= 12
    code.namespace["quarter"] = lambda t, q: np.exp(-t * t / (4 * q))
    assert worst("hardshrink", points, code, scaled_ulp) > 30


def test_extremes_are_finite(module: Module) -> None:
    sizes = np.array([0.0, 1e-300, 1e-20, 1.0, 1e20, 1e150])
    q1, q2 = sizes[:, None], sizes[None, :]
    code = module("hard_tanh")
    for rho in (-1.0, -0.5, 0.0, 0.9, 1.0):
        for function in (code.kernel, code.kernel_dot):
            assert np.all(np.isfinite(function(q1, q2, rho * np.sqrt(q1) * np.sqrt(q2))))
    assert code.kernel(np.array([]), np.array([]), np.array([])).shape == (0,)


def test_rows_and_columns_broadcast(module: Module) -> None:
    code = module("hard_tanh")
    q1, q2 = np.array([0.1, 3.0, 50.0])[:, None], np.array([1e-6, 20.0])[None, :]
    c = 0.3 * np.sqrt(q1) * np.sqrt(q2)
    full = code.kernel(q1, q2, c)
    single = [[code.kernel(q1[i], q2[:, j], c[i, j : j + 1])[0] for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(full, single, rtol=1e-15)
