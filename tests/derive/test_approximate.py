from typing import Any

import mpmath
import pytest

from mehler.derive.dual import NumericDual
from mehler.derive.errors import DeriveError, DivergentExpectation, ParseError
from mehler.derive.pipeline import derive_dual
from mehler.numeric.precision.oracle import Oracle


@pytest.mark.parametrize("name", ["tanh", "silu", "softplus", "sin(x**2)*step(x)", "asinh(a*x)"])
def test_values_agree_with_the_oracle(name: str) -> None:
    result = derive_dual(name, **({"a": 2} if "a*x" in name else {}))
    assert isinstance(result, NumericDual)
    values = result.evaluate(2, "1/2", "-2/5", digits=15)
    exact = Oracle(name, {"a": 2} if "a*x" in name else {}, 18).both(2, "1/2", "-2/5")
    for value, right in zip(values, exact, strict=True):
        assert abs(value - right) <= mpmath.mpf("1e-14") * abs(right)


@pytest.mark.parametrize("text", ["sqrt(x)", "x**(1/3)", "log(x)", "x**x"])
def test_what_is_not_real_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="real") as caught:
        derive_dual(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["exp(x**3)", "tanh(x)*exp(x**2)", "exp(exp(x))", "x*exp(x**4)", "sinh(x**2)"])
def test_what_grows_too_fast_is_refused(text: str) -> None:
    with pytest.raises(DivergentExpectation) as caught:
        derive_dual(text)
    assert "\n" not in str(caught.value)


def test_the_diagonal_and_nothing_beyond_the_range() -> None:
    result: Any = derive_dual("tanh")
    kernel, _ = result.evaluate(1, 1, 1, digits=15)
    assert abs(kernel - Oracle("tanh", {}, 18).diagonal(1)[0]) < 1e-14
    with pytest.raises(DeriveError, match="covariance"):
        result.evaluate(1, 1, 2)


def test_a_layer_that_is_thin_beside_the_range_is_seen() -> None:
    """tanh' is 2δ to an error of 1/q1 at a large q1, so that K' = 2/√(2πq1) E[tanh'(v) | u = 0]."""
    _, kernel_dot = derive_dual("tanh").evaluate(10**9, 3, -(10**4), digits=12)
    mp = mpmath.mp.clone()
    root = mp.sqrt(3 - mp.mpf(10**8) / 10**9)
    mean = mp.quad(lambda z: mp.sech(root * z) ** 2 * mp.npdf(z), [-8, 0, 8])
    assert abs(kernel_dot / (2 * mean / mp.sqrt(2 * mp.pi * 10**9)) - 1) < 1e-6
