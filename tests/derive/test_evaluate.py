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
from mehler.derive.special import Phi, Phi2, owens_t
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
    owens_t(x, 3 * x) + sp.gamma(x + 1) + sp.sinc(3 * x),
    sp.re(sp.exp(sp.I * x)) - 2 * sp.im((1 + sp.I * x) ** 3) + sp.conjugate(x + 1),
    sp.hyper((R(1, 2), 1 + x), (R(3, 2),), x / 2),
    sp.atan2(x, -x) + sp.Min(x, x**2, 1) - sp.Max(2 * x, R(1, 2)),
    sp.Heaviside(x) + 2 * sp.Heaviside(-x) + 4 * sp.Heaviside(x - R(2, 7)),
]


@pytest.mark.parametrize("expr", FUNCTIONS, ids=str)
def test_compiled_functions_are_the_expressions(expr: sp.Expr) -> None:
    ctx = context(30)
    value = compile_function(expr, ctx)({x: ctx.mpf(2) / 7})
    assert abs(value - ctx.mpf(str(sp.N(expr.subs(x, R(2, 7)), 35)))) < 1e-28


def test_what_has_no_value_is_named() -> None:
    with pytest.raises(DeriveError, match="cannot evaluate zeta"):
        compile_function(sp.zeta(x), context(15))
    with pytest.raises(DeriveError, match="cannot evaluate hyper"):
        compile_function(sp.hyper((1, 2, 3), (4,), x), context(15))


t, s = sp.symbols("t s", real=True)
NEAR = R(1, 10**24)

INTEGRALS = [
    (sp.Integral(sp.exp(-(t**2)) * sp.pi**x, (t, 0, x)), sp.sqrt(sp.pi) * sp.erf(x) / 2 * sp.pi**x),
    (sp.Integral(t, (t, t, 0)) + t, t - t**2 / 2),
    (sp.Integral(sp.sqrt(x**2 - t**2), (t, -x, x)), sp.pi * x**2 / 2),
    (sp.Integral(1 / sp.sqrt(x - t), (t, 0, x)), 2 * sp.sqrt(x)),
    (sp.Integral(sp.sqrt(x + NEAR - t), (t, 0, x)), R(2, 3) * ((x + NEAR) ** R(3, 2) - NEAR ** R(3, 2))),
    (sp.Integral(sp.log(t), (t, 0, x)), x * sp.log(x) - x),
    (sp.Integral(sp.exp(s) * t, (s, 0, t), (t, 0, x)), (x - 1) * sp.exp(x) + 1 - x**2 / 2),
    (sp.Integral(t * sp.Integral(sp.exp(s) * x, (s, 0, t)), (t, 0, x)), x * ((x - 1) * sp.exp(x) + 1 - x**2 / 2)),
    (sp.Integral(sp.im(sp.exp(sp.I * t) * Phi(x)), (t, 0, x)), (1 - sp.cos(x)) * Phi(x)),
    (sp.Integral(x, (t, x, x)), sp.S.Zero),
]  # fmt: skip


@pytest.mark.parametrize(("integral", "expected"), INTEGRALS, ids=[str(i) for i, _ in INTEGRALS])
def test_integrals(integral: sp.Expr, expected: sp.Expr) -> None:
    ctx = context(30)
    env = {x: ctx.mpf(2) / 7, t: ctx.mpf(5) / 3}
    value, exact = (compile_function(e, ctx)(env) for e in (integral, expected))
    assert abs(value - exact) < 1e-25


def test_an_integral_is_part_of_a_formula() -> None:
    """Price's theorem for Φ₂, up to a correlation of 1, to the digits asked for."""
    density = sp.exp(-(x**2) / (1 + t)) / (2 * sp.pi * sp.sqrt(1 - t**2))
    formula = Phi(x) ** 2 + sp.Integral(density, (t, 0, c))
    for correlation in (R(1, 2), R(-9, 10), 1 - NEAR, R(1)):
        pair = real_values([formula, Phi2(x, x, c)], {x: R(1, 3), c: correlation}, 20)
        assert abs(pair[0] - pair[1]) < 1e-20


@pytest.mark.parametrize("integrand", [1 / t, sp.Heaviside(t - R(1, 3)), sp.Abs(sp.sin(300 * t))], ids=str)
def test_integrals_that_do_not_settle_are_refused(integrand: sp.Expr) -> None:
    with pytest.raises(DeriveError, match="did not settle"):
        real_values([sp.Integral(integrand, (t, 0, 1))], {}, 15)


def test_integrals_without_two_finite_ends_are_refused() -> None:
    for limits in ((t, 0, sp.oo), (t, x), t):
        with pytest.raises(DeriveError, match="two finite ends"):
            compile_function(sp.Integral(sp.exp(-t), limits), context(15))


def test_normal_functions_take_complex_numbers() -> None:
    ctx = context(30)
    value = compile_function(sp.im(Phi(x + sp.I) + Phi2(x + sp.I, x, R(1, 3))), ctx)({x: ctx.mpf(1) / 2})
    expected = sp.N(sp.im(Phi(R(1, 2) + sp.I).n(40) + Phi2(R(1, 2) + sp.I, R(1, 2), R(1, 3)).n(40)), 35)
    assert abs(value - ctx.mpf(str(expected))) < 1e-28


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


def test_what_no_precision_settles_is_refused() -> None:
    """The value at 400 more digits is a rounding error still, and must not be confirmed by itself."""
    hidden = sp.sin(q1) ** 2 + sp.cos(q1) ** 2 - 1 + R(1, 10**420) * sp.exp(q1)
    with pytest.raises(DeriveError, match="does not settle"):
        real_values([1 / hidden], {q1: R(1, 3)}, 20)


def test_a_tiny_value_is_no_zero() -> None:
    """sinh(c) e^{-q} from exponentials: two passes find exactly 0 before one finds its digits."""
    difference = (sp.exp(c - q1) - sp.exp(-c - q1)) / 2
    (value,) = real_values([difference], {q1: R(1, 10**150), c: R(1, 10**150)}, 20)
    with mpmath.workdps(30):
        assert abs(value * mpmath.mpf(10) ** 150 - 1) < 1e-18


def test_terms_that_cancel_alike_in_two_passes() -> None:
    """x cosh x + cosh x (sqrt(1 + x) - 1) at 1e-139: two passes agree that the second term is 0, a third of it."""
    tiny = sp.Symbol("tiny", positive=True)
    (value,) = real_values(
        [tiny * sp.cosh(tiny) + sp.cosh(tiny) * (sp.sqrt(1 + tiny) - 1)], {tiny: sp.Rational(1, 10**139)}, 20
    )
    assert abs(value / mpmath.mpf("1.5e-139") - 1) < 1e-15
