from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import compile_function, context, covariance, real_values
from mehler.derive.numbers import exact
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import c, q1, q2, x

R = sp.Rational

FUNCTIONS = [
    x**2 - 1 / (x + 3) + sp.pi * x,
    sp.sqrt(x + 1) ** 3 + (x + 1) ** R(1, 3) + 2**x + x**x,
    sp.exp(x) * sp.log(x + 2) - sp.sin(x) * sp.cos(x) + sp.tan(x),
    sp.sinh(x) + sp.cosh(x) + sp.tanh(x) + sp.sech(x),
    sp.asin(x) + sp.acos(x) * sp.atan(x) - sp.asinh(x),
    sp.erf(x) - sp.erfc(x) * Phi(x) + sp.sign(x - 1) + sp.Abs(x - 2),
    Phi2(x, -x / 2, x / 3),
    sp.E**2 + sp.EulerGamma,
]


@pytest.mark.parametrize("expr", FUNCTIONS, ids=str)
def test_compiled_functions_are_the_expressions(expr: sp.Expr) -> None:
    ctx = context(30)
    value = compile_function(expr, ctx)({x: ctx.mpf(2) / 7})
    assert abs(value - ctx.mpf(str(sp.N(expr.subs(x, R(2, 7)), 35)))) < 1e-28


def test_what_has_no_value_is_named() -> None:
    with pytest.raises(DeriveError, match="cannot evaluate gamma"):
        compile_function(sp.gamma(x), context(15))


def test_the_global_precision_is_left_alone() -> None:
    before = mpmath.mp.prec
    real_values([sp.exp(q1) * Phi2(q1, q2, c)], {q1: R(1), q2: R(2), c: R(1, 2)}, 50)
    assert mpmath.mp.prec == before


def test_precision_rises_until_cancellation_is_overcome() -> None:
    tiny = sp.exp(-q1) * (sp.cosh(q1) - sp.sinh(q1)) - sp.exp(-2 * q1) + R(1, 10**90)
    (value,) = real_values([tiny], {q1: R(50)}, 20)
    assert abs(value * mpmath.mpf(10) ** 90 - 1) < 1e-14


def test_exact_zeros_are_zero() -> None:
    (value,) = real_values([sp.sin(q1) ** 2 + sp.cos(q1) ** 2 - 1], {q1: R(1, 3)}, 20)
    assert abs(value) < 1e-50


def test_poles_are_refused() -> None:
    with pytest.raises(DeriveError, match="no finite value here"):
        real_values([1 / (q1 - 1)], {q1: R(1)}, 20)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (2, R(2)),
        ("1/2", R(1, 2)),
        ("0.1", R(1, 10)),
        ("-2/5", R(-2, 5)),
        (0.5, R(1, 2)),
        (Fraction(1, 3), R(1, 3)),
        (R(7, 9), R(7, 9)),
    ],
)
def test_numbers_are_exact(given: Any, number: sp.Rational) -> None:
    assert exact(given, "q1", DeriveError) == number


def test_a_float_is_its_shortest_decimal_and_a_fraction_itself() -> None:
    assert exact(0.1, "q1", DeriveError) == exact(np.float64(0.1), "q1", DeriveError) == R(1, 10)
    assert exact(Fraction(0.1), "q1", DeriveError) == R(3602879701896397, 2**55)


@pytest.mark.parametrize(
    "bad", ["", "abc", "1/0", "1e99999999", "nan", float("nan"), float("inf"), None, "1+1", sp.Symbol("y")]
)
def test_what_is_no_number_is_refused(bad: Any) -> None:
    with pytest.raises(DeriveError, match="q1=.*not a number") as caught:
        exact(bad, "q1", DeriveError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("point", [(-1, 1, 0), (1, -1, 0), (1, 1, 2), (1, 1, "-1.0000001"), (0, 1, "1/10")])
def test_what_is_no_covariance_is_refused(point: tuple[Any, ...]) -> None:
    with pytest.raises(DeriveError, match="variances|covariance"):
        covariance(*point)


def test_values_at_the_ends_of_the_range(derive: Callable[..., ProvedDual]) -> None:
    """ρ = ±1 and q1 = q2 included."""
    relu = derive("relu")
    assert [abs(v - w) < 1e-20 for v, w in zip(relu.evaluate(1, 4, 2), (1, 0.5), strict=True)] == [True, True]
    assert all(abs(v) < 1e-20 for v in relu.evaluate(1, 4, -2))
    assert [abs(v - w) < 1e-20 for v, w in zip(relu.evaluate(3, 3, 3), (1.5, 0.5), strict=True)] == [True, True]
    kernel, _ = derive("gelu").evaluate(0, 2, 0)
    assert kernel == 0


def test_parameters_need_values(derive: Callable[..., ProvedDual]) -> None:
    with pytest.raises(DeriveError, match="parameter b has no value"):
        derive("x + b").evaluate(1, 1, 0)
    kernel, _ = derive("leaky_relu").evaluate(1, 1, 1)
    assert abs(kernel - (1 + mpmath.mpf("1e-4")) / 2) < 1e-15


@pytest.mark.parametrize("digits", [5, 25, 60])
def test_digits_are_those_asked_for(digits: int, derive: Callable[..., ProvedDual]) -> None:
    kernel, _ = derive("relu").evaluate(1, 1, 0, digits=digits)
    with mpmath.workdps(digits + 10):
        assert abs(kernel * 2 * mpmath.pi - 1) < mpmath.mpf(10) ** (1 - digits)
