"""The exact values that `mehler check` compares with, at points where a formula has few digits left."""

import mpmath
import pytest

from mehler.derive.errors import DeriveError
from mehler.derive.pipeline import closed_form, derive_dual
from mehler.exact import Formula


@pytest.fixture(scope="module")
def elu() -> Formula:
    return Formula(closed_form(derive_dual("elu")))


@pytest.mark.parametrize("v", [1e-300, 1e-150])
@pytest.mark.parametrize("rho", [1, -1])
def test_of_tiny_variances_elu_is_the_identity(elu: Formula, v: float, rho: int) -> None:
    k, k_dot = elu(v, v, rho * v)
    assert abs(k / (rho * v) - 1) < 1e-15
    assert abs(k_dot - 1) < 1e-15


def test_a_tiny_variance_beside_a_huge_one(elu: Formula) -> None:
    """φ(u) = u there, so that K = E[u φ(v)] = c E[φ'(v)] (Stein), and E[φ'(v)] is a half but for 1e-75."""
    for c in (5e-76, -9e-76):
        k, k_dot = elu(1e-300, 1e150, c)
        assert abs(k / c - 0.5) < 1e-15
        assert abs(k_dot - 0.5) < 1e-15


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_opposite_inputs_of_unequal_variances(elu: Formula, factor: float) -> None:
    """E φ'(u) φ'(v) for v = -r u: on either side of 0 an exponential, one of them in a narrow layer."""
    q = 2.25
    _, k_dot = elu(q, factor * factor * q, -factor * q)
    with mpmath.workdps(40):
        halves = (mpmath.exp(a * a / 2) * mpmath.ncdf(-a) for a in (mpmath.mpf(1.5), mpmath.mpf(factor) * 1.5))
        assert abs(k_dot / mpmath.fsum(halves) - 1) < 1e-12


def test_quadrature_is_not_asked_for_impulses() -> None:
    """K' of a step with its impulse is infinite where two inputs are opposite, and no quadrature says so."""
    step = Formula(closed_form(derive_dual("step", jumps="distribution")))
    with pytest.raises(DeriveError):
        step(1e-300, 1e-300, -1e-300)


def test_what_is_left_of_nothing_is_nothing(elu: Formula) -> None:
    """At q = 0 a formula of large terms leaves noise, of either sign: no root of it may be taken."""
    assert elu(0.0, 0.0, 0.0)[0] == 0
    assert mpmath.sqrt(elu(0.0, 0.0, 0.0)[0] * elu(1.0, 1.0, 1.0)[0]) == 0
