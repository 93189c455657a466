"""The judge of the formulas, against integrals that are known."""

from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.activation import activation
from mehler.derive.errors import DeriveError
from mehler.derive.pieces import Pieces
from mehler.derive.quadrature import ORDERS, _legendre, expectation_1d, expectations_2d

R = sp.Rational


def pieces(text: str) -> Pieces:
    return activation(text).pieces


def close(value: Any, exact: Any, digits: int) -> bool:
    return bool(abs(value - exact) <= mpmath.mpf(10) ** -digits * (1 + abs(exact)))


@pytest.mark.parametrize("order", ORDERS[:2])
def test_gauss_legendre_is_exact_for_polynomials(order: int) -> None:
    nodes = _legendre(order, 120)
    for n in (0, 2, 10, 2 * order - 2):
        assert abs((n + 1) * sum(w * t**n for t, w in nodes) - 2) < 1e-25
    assert abs(sum(w * t**7 for t, w in nodes)) < 1e-25


def test_moments() -> None:
    x2, x4 = pieces("x**2"), pieces("x**4")
    assert close(expectation_1d(x2.times(x4), R(3, 2), {}, 20), 15 * R(3, 2) ** 3, 20)
    (value,) = expectations_2d((pieces("x**3"),), R(2), R(1, 2), R(-2, 5), {}, 20)
    assert close(value, mpmath.mpf("-3.984"), 15)


def test_switches_and_steps() -> None:
    """E step(u) step(v) = 1/4 + asin ρ/(2π) and E |u| sign(u)·… by their own closed forms."""
    step, sign = pieces("step(x)"), pieces("sign(x)")
    with mpmath.workdps(30):
        rho = mpmath.mpf(-2) / 5
        (value,) = expectations_2d((step,), R(2), R(1, 2), R(-2, 5), {}, 20)
        assert close(value, 0.25 + mpmath.asin(rho) / (2 * mpmath.pi), 20)
        (value,) = expectations_2d((sign,), R(2), R(1, 2), R(-2, 5), {}, 20)
        assert close(value, 2 * mpmath.asin(rho) / mpmath.pi, 20)


def test_several_functions_share_their_nodes() -> None:
    relu = pieces("max(0, x - 1/3)")
    kernel, dot = expectations_2d((relu, relu.derivative()), R(1), R(1), R(1, 2), {}, 15)
    assert [close(kernel, expectations_2d((relu,), R(1), R(1), R(1, 2), {}, 15)[0], 15), dot > kernel] == [
        True,
        True,
    ]


@pytest.mark.parametrize(("text", "exact"), [("exp(2*x)", 8), ("exp(3*x/2)", R(9, 2))])
def test_growth_does_not_cut_the_range_short(text: str, exact: sp.Expr) -> None:
    """E e^(2au) = e^(2a²): most of the mass is far out."""
    f = pieces(text)
    with mpmath.workdps(40):
        assert close(
            expectation_1d(f.times(f), R(1), {}, 20) * mpmath.exp(-mpmath.mpf(str(sp.N(exact, 30)))), 1, 20
        )


def test_parameters_are_taken_from_the_point() -> None:
    a = sp.Symbol("a", real=True)
    f = pieces("max(0, x - a)")
    by_value = pieces("max(0, x - 2/7)")
    both = [expectation_1d(g.times(g), R(2), env, 18) for g, env in ((f, {a: R(2, 7)}), (by_value, {}))]
    assert close(both[0], both[1], 17)


def test_what_does_not_settle_is_refused() -> None:
    with pytest.raises(DeriveError, match="did not reach 20 digits"):
        expectation_1d(pieces("sin(900*x)").times(pieces("sin(900*x)")), R(2), {}, 20)
