"""Activations far out, where exponentials overflow: their code beside mpmath, and kernels by exact identities."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from mehler.derive.activation import activation
from mehler.derive.dual import NumericDual
from mehler.derive.emit import expectations, far
from mehler.derive.emit.module import emit_tables
from mehler.derive.emit.tables import by_code, values
from mehler.derive.symbols import x

mp = mpmath.mp.clone()
mp.dps = 50


def dual(text: str) -> NumericDual:
    return NumericDual(activation(text, {}), "", "almost-everywhere")


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("log(1 + exp(x))", lambda v: mp.log(1 + mp.exp(v))),
        ("x*tanh(log(1 + exp(x)))", lambda v: v * mp.tanh(mp.log(1 + mp.exp(v)))),
        ("x/(1 + exp(-3*x))", lambda v: v / (1 + mp.exp(-3 * v))),
        ("sinh(x)/cosh(2*x)", lambda v: mp.sinh(v) / mp.cosh(2 * v)),
        ("log(1 + exp(x) + exp(3*x))", lambda v: mp.log(1 + mp.exp(v) + mp.exp(3 * v))),
        ("(1 - tanh(x)**2)*exp(2*x)", lambda v: 4 / (1 + mp.exp(-2 * v)) ** 2),
        ("where(x > 0, log(cosh(x)), -x)", lambda v: mp.log(mp.cosh(v)) if v > 0 else -v),
        ("(exp(x) - 1)/(exp(x) + 2)", lambda v: (mp.exp(v) - 1) / (mp.exp(v) + 2)),
    ],
)
def test_no_overflow(text: str, exact: Callable[[Any], Any]) -> None:
    """Of the code of a module, and of the plainer one that tables are made by where it is as good."""
    points = [side * size for size in (0.3, 7.0, 38.0, 700.0, 720.0, 4e3, 1e5) for side in (-1, 1)]
    for function in (by_code(dual(text), 0, careful=True), values(dual(text), 0)):
        for value, point in zip(function(np.array(points)), points, strict=True):
            expected = exact(mp.mpf(point))
            assert abs(value - expected) <= 2e-14 * abs(expected) + 2e-15


@pytest.mark.parametrize("text", ["mish", "log(cosh(x))", "x/(1 + exp(-2*x)) + cos(x)/5"])
def test_plainer_code_is_taken_where_it_is_as_good(text: str) -> None:
    """mish' overflows plainly, log(cosh x) cancels at 0: neither shows."""
    points = np.exp(np.linspace(-18, 8, 2001)) * (-1) ** np.arange(2001)
    for order in (0, 1):
        plain, careful = (by_code(dual(text), order, each)(points) for each in (False, True))
        found, scale = values(dual(text), order)(points), np.maximum.accumulate(np.abs(careful))
        assert np.abs(found - careful).max() > 0 or not np.isfinite(plain).all()
        assert (np.abs(found - careful) <= 4e-15 * scale).all()


@pytest.mark.parametrize("text", ["softplus(x)", "x*sigmoid(x)"])
def test_kernels_at_large_variances(text: str) -> None:
    """φ(x) − φ(−x) = x and φ'(x) + φ'(−x) = 1, so that K(c) − K(−c) = c/2, and K'(c) + K'(−c) = 1/2."""
    module: dict[str, Any] = {"__name__": "generated"}
    exec(emit_tables(dual(text), "summed", None), module)
    q1, q2 = np.array([2e4, 1e9, 1e4]), np.array([3e7, 3.0, 1e4])
    c = np.sqrt(q1) * np.sqrt(q2) * np.array([0.6, -0.5, 1.0])
    kernel, kernel_dot = module["kernel"], module["kernel_dot"]
    odd = kernel(q1, q2, c) - kernel(q1, q2, -c) - c / 2
    assert np.abs(odd / np.sqrt(q1 * q2)).max() < 1e-13
    assert np.abs(kernel_dot(q1, q2, c) + kernel_dot(q1, q2, -c) - 0.5).max() < 1e-13


def test_code_that_is_right_is_left_alone() -> None:
    for text in ("tanh(x)", "exp(sin(x))", "exp(x/4)*tanh(x)", "x/(1 + abs(x))"):
        assert all("abs" not in str(program) for program in expectations.programs(dual(text)))


def test_a_sum_without_its_largest_exponential_overflows() -> None:
    """What the rule does: without it the same code is not a number."""
    lowered = expectations.programs(dual("log(1 + exp(x))"))[0]
    assert far.computed(lowered, 1, [800.0]) == [1.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(far, "PROBES", ())
        (plain, _) = expectations.programs(dual("log(1 + exp(x))"))
    assert np.isnan(far.computed(plain, 1, [800.0])[0])


def test_factored_parts_make_the_whole() -> None:
    expr = sp.log(1 + sp.exp(x)) * sp.sinh(2 * x) / (sp.cosh(x) + sp.exp(-x / 3)) ** 2
    exponent, factor = far._factored(expr)
    for point in (-1.3, 0.4, 2.7):
        assert float((sp.exp(exponent) * factor - expr).subs(x, point)) == pytest.approx(0, abs=1e-14)
