"""Power series at the antipode, where closed forms cancel: right to the last bit, and only where they must."""

import mpmath
import pytest
import sympy as sp

from mehler.derive.stabilise.expansion import Series, expansions, psi
from mehler.derive.stabilise.rules import norm
from mehler.derive.symbols import c, q1, q2, rho, sin_theta

FORMULAS = {
    "relu": c * psi + norm * sin_theta,
    "relu squared": (2 * c**2 + q1 * q2) * psi + 3 * c * norm * sin_theta,
    "a hinge of its own": rho * psi + sin_theta,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_series_is_the_function_below_its_switch(name: str) -> None:
    expanded = expansions(FORMULAS[name])
    (series,) = expanded.atoms(Series)
    _, total, switch, power, step, *coefficients = series.args
    with mpmath.workdps(60):
        for y in (mpmath.mpf(switch.p) / switch.q, mpmath.mpf(1) / 2, mpmath.mpf(1) / 50):
            exact = sp.lambdify((psi, rho, sin_theta), total, "mpmath")(y, -mpmath.cos(y), mpmath.sin(y))
            numbers = [mpmath.mpf(str(a)) for a in coefficients]
            value = y ** int(power) * mpmath.polyval(numbers[::-1], y ** int(step))
            assert abs(value / exact - 1) < mpmath.ldexp(1, -54)


def test_the_switch_is_where_the_sum_has_lost_little() -> None:
    (series,) = expansions(FORMULAS["relu"]).atoms(Series)
    y = mpmath.mpf(series.args[2].p) / series.args[2].q
    loss = (mpmath.sin(y) + y * abs(mpmath.cos(y))) / (mpmath.sin(y) - y * mpmath.cos(y))
    assert loss <= 3
    smaller = y - mpmath.mpf(1) / 8
    assert (mpmath.sin(smaller) + smaller * abs(mpmath.cos(smaller))) / (
        mpmath.sin(smaller) - smaller * mpmath.cos(smaller)
    ) > 3


@pytest.mark.parametrize("expr", [psi + sin_theta, q1 * psi + c, psi**2 + 1, sp.exp(q1) + c * q2])
def test_what_does_not_cancel_stays(expr: sp.Expr) -> None:
    assert expansions(expr) == expr
