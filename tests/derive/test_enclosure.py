"""Bounds over intervals, against values at points."""

import time
from fractions import Fraction

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath.libmp import finf, from_rational, to_rational

from mehler.derive.enclosure import Enclosure, Scaled
from mehler.derive.errors import OutsideClass
from mehler.derive.special import Phi
from mehler.derive.symbols import x

EXPRESSIONS = [
    x**3 - 2 * x + sp.Rational(1, 3),
    x / (1 + sp.exp(-x)) - 6,
    sp.log(1 + sp.exp(x)) * sp.sin(3 * x),
    sp.tanh(x) - sp.erf(x) + sp.pi,
    x**2 * sp.exp(-(x**2) + x),
    sp.sqrt(1 + x**2) * sp.atan(x) - sp.asinh(2 * x),
    sp.cosh(x) * sp.sech(x / 2) + sp.sinh(x),
    Phi(x) * sp.erfc(x) + sp.cos(x) ** 2 * 2**x,
    (1 + x**2) ** sp.Rational(-2, 3) + sp.tan(x / 10),
]


def value(expr: sp.Expr, at: Fraction) -> mpmath.mpf:
    """By SymPy's own evaluation."""
    number = expr.subs(x, sp.Rational(at.numerator, at.denominator))
    return mpmath.mpf(str(number.doit().replace(Phi, lambda u: (1 + sp.erf(u / sp.sqrt(2))) / 2).n(30)))


def as_number(raw: object) -> mpmath.mpf:
    return mpmath.mp.make_mpf(raw)


@pytest.mark.parametrize("expr", EXPRESSIONS, ids=str)
@given(st.fractions(-6, 6, max_denominator=64), st.fractions(0, 2, max_denominator=64), st.fractions(0, 1))
@settings(max_examples=6, deadline=None)
def test_bounds_hold_at_every_point(expr: sp.Expr, low: Fraction, width: Fraction, share: Fraction) -> None:
    at = low + width * share
    raw = [from_rational(end.numerator, end.denominator, 100) for end in (low, low + width)]
    for order in (0, 1):
        bounds = [as_number(end) for end in Enclosure(expr)(*raw, order)]
        with mpmath.workdps(30):
            right = value(sp.diff(expr, x, order) if order else expr, at)
            slack = mpmath.mpf(10) ** -25 * (1 + abs(right))
            assert bounds[0] - slack <= right <= bounds[1] + slack


@pytest.mark.parametrize("expr", EXPRESSIONS, ids=str)
def test_bounds_of_a_point_are_tight(expr: sp.Expr) -> None:
    at = Fraction(17, 16)
    raw = from_rational(17, 16, 60)
    low, high = (as_number(end) for end in Enclosure(expr)(raw, raw))
    with mpmath.workdps(30):
        assert low <= value(expr, at) <= high
        assert high - low <= mpmath.mpf(2) ** -56 * (1 + abs(high))


@pytest.mark.parametrize(
    ("expr", "sign"),
    [
        (x**5 * sp.exp(-x) - 1, -1),
        (1 - x**3 * sp.exp(-(x**2)), 1),
        (sp.tanh(x) - sp.Rational(1, 2), 1),
        (Scaled(x) - 1, -1),
    ],
    ids=str,
)
def test_signs_up_to_infinity(expr: sp.Expr, sign: int) -> None:
    assert Enclosure(expr).sign(from_rational(20, 1, 60), finf) == sign


def test_a_power_and_an_exponential_are_bounded_as_one_function() -> None:
    """x e^{−x} on [2, ∞] falls from 2e^{−2}: factor by factor it would be bounded by ∞."""
    low, high = Enclosure(x * sp.exp(-x))(from_rational(2, 1, 60), finf)
    assert Fraction(*map(int, to_rational(low))) == 0
    assert abs(float(as_number(high)) - 2 * 2.718281828459045**-2) < 1e-15


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(OutsideClass, match="gamma"):
        Enclosure(sp.gamma(x))(from_rational(1, 1, 60), from_rational(2, 1, 60))


@pytest.mark.parametrize(
    ("expr", "sign"),
    [
        (sp.exp(sp.exp(sp.exp(x))) - x, 1),
        (sp.sinh(-sp.sinh(sp.exp(sp.exp(x)))), -1),
        (sp.exp(-sp.exp(sp.exp(sp.exp(x)))) - 2, -1),
        (sp.sin(sp.exp(sp.exp(sp.exp(x)))) - 2, -1),
        ((1 + x) ** (sp.exp(sp.exp(x))), 1),
    ],
    ids=str,
)
def test_arguments_beyond_any_number_of_digits(expr: sp.Expr, sign: int) -> None:
    """Reduced to the period of sine, or to a power of 2, exp(exp(50)) has as many digits as it is large."""
    start = time.thread_time()
    assert Enclosure(expr).sign(from_rational(50, 1, 60), from_rational(51, 1, 60)) == sign
    assert time.thread_time() - start < 2
