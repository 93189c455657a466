"""φ to its last digits near 0, where its text cancels."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from mehler.derive import activation as parsed
from mehler.derive.approximate import approximate
from mehler.derive.emit import expectations

EXACT = {
    "log(cosh(x))": lambda v: (mpmath.log(mpmath.cosh(v)), mpmath.tanh(v)),
    "sqrt(1 + x**2) - 1": lambda v: (mpmath.sqrt(1 + v * v) - 1, v / mpmath.sqrt(1 + v * v)),
    "x - tanh(x)": lambda v: (v - mpmath.tanh(v), mpmath.tanh(v) ** 2),
    "sign(x)*log(1 + abs(x))": lambda v: (mpmath.sign(v) * mpmath.log(1 + abs(v)), 1 / (1 + abs(v))),
}


def activation(text: str) -> Any:
    names: dict[str, Any] = {"np": np}
    exec(expectations.shape(approximate(parsed.activation(text), "", "almost-everywhere"), "", ""), names)
    return names["activation"]


@pytest.mark.parametrize("text", EXACT)
def test_small_arguments(text: str) -> None:
    function, x = activation(text), np.array([1e-9, -3e-7, 1e-5, -0.0123, 0.1, 0.1249, -0.1251, 0.7])
    with mpmath.workdps(50):
        for order in (0, 1):
            exact = [float(EXACT[text](mpmath.mpf(v))[order]) for v in x]
            assert function(x, order) == pytest.approx(exact, rel=2e-14)
    assert function(np.array([0.0]), 0)[0] == 0


REMOVABLE = {
    "(1 - cos(x))/x**2": lambda v: (
        (1 - mpmath.cos(v)) / v**2,
        mpmath.sin(v) / v**2 - 2 * (1 - mpmath.cos(v)) / v**3,
    ),
    "(exp(x) - 1 - x)/x": lambda v: (mpmath.expm1(v) / v - 1, mpmath.exp(v) / v - mpmath.expm1(v) / v**2),
    "tanh(x)/x": lambda v: (mpmath.tanh(v) / v, mpmath.sech(v) ** 2 / v - mpmath.tanh(v) / v**2),
}


@pytest.mark.parametrize("text", REMOVABLE)
def test_removable_singularities(text: str) -> None:
    function, x = activation(text), np.array([1e-9, -3e-7, 1e-5, -0.0123, 0.1, 0.1249])
    with mpmath.workdps(70):
        for order in (0, 1):
            exact = [float(REMOVABLE[text](mpmath.mpf(v))[order]) for v in x]
            assert function(x, order) == pytest.approx(exact, rel=2e-14)


@pytest.mark.parametrize(
    "text", ["where(x > 0, x, 3*(exp(x) - 1)/2)", pytest.param("relu6(x)", marks=pytest.mark.slow)]
)
def test_a_variance_of_0_is_exact(text: str, module: Callable[[str], Any]) -> None:
    """phi(0) = 0: a smallest root in place of 0 would leave 1e-300 of it."""
    zero = np.zeros(3)
    assert list(module(text).kernel(zero, zero, zero)) == [0, 0, 0]
    assert list(module(text).kernel(zero, np.array([0.3, 2, 1e6]), zero)) == [0, 0, 0]
    assert list(module(text).kernel_diag(zero)) == [0, 0, 0]


@pytest.mark.parametrize("text", ["tanh(x)", "x/(1 + abs(x))", "abs(x)**(3/2)*tanh(x)"])
def test_others_stay_as_they_are(text: str) -> None:
    assert "taylor" not in expectations.shape(approximate(parsed.activation(text), "", "almost-everywhere"), "", "")
