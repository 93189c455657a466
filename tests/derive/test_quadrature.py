"""The judge of the formulas, against integrals that are known."""

from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.activation import activation
from mehler.derive.errors import DeriveError
from mehler.derive.pieces import Pieces
from mehler.derive.quadrature import expectation_1d, expectations_2d, hermite_coefficients

R = sp.Rational


def pieces(text: str) -> Pieces:
    return activation(text).pieces


def close(value: Any, exact: Any, digits: int) -> bool:
    return bool(abs(value - exact) <= mpmath.mpf(10) ** -digits * (1 + abs(exact)))


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


@pytest.mark.parametrize("steep", [10, 10**3, 10**5])
def test_thin_layers_are_seen(steep: int) -> None:
    """E e^(-a|u|) = 2 e^(a²/2) Φ(-a) has all of its mass within 1/a of 0."""
    value = expectation_1d(pieces(f"exp(-{steep}*abs(x))"), R(1), {}, 20)
    with mpmath.workdps(40):
        exact = mpmath.exp(mpmath.mpf(steep) ** 2 / 2) * mpmath.erfc(steep / mpmath.sqrt(2))
        assert abs(value / exact - 1) < mpmath.mpf(10) ** -19


def test_what_is_too_thin_for_the_plane_is_refused() -> None:
    """tanh(100000 x) is the sign, but for a layer where its derivative is 1e5, and 0 at all nodes of two rules."""
    f = pieces("tanh(100000*x)")
    with pytest.raises(DeriveError, match="did not reach 20 digits"):
        expectations_2d((f, f.derivative()), R(1), R(1), R(1, 2), {}, 20)


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


# Hermite coefficients: aₙ = E[φ(√q z) hₙ(z)].


def test_hermite_coefficients_of_powers_and_exponentials() -> None:
    """z³ = √6 h₃ + 3 h₁, and e^{bz} = e^{b²/2} Σ bⁿ/√n! hₙ."""
    with mpmath.workdps(40):
        cubic = hermite_coefficients(pieces("x**3"), R(9, 4), {}, 25, 6)
        scale = mpmath.mpf(3) / 2
        exact = [0, 3 * scale**3, 0, mpmath.sqrt(6) * scale**3, 0, 0]
        assert all(close(a, b, 24) for a, b in zip(cubic, exact, strict=True))
        exponential = hermite_coefficients(pieces("exp(x)"), R(1, 4), {}, 25, 12)
        for n, a in enumerate(exponential):
            assert close(a, mpmath.exp(mpmath.mpf(1) / 8) / 2**n / mpmath.sqrt(mpmath.factorial(n)), 24)


def test_hermite_coefficients_of_relu() -> None:
    """a₀ = 1/√(2π), a₁ = ½, a₂ = 1/√(4π), and 0 at every odd n > 1."""
    with mpmath.workdps(40):
        a = hermite_coefficients(pieces("max(0, x)"), R(1), {}, 25, 8)
        exact = [1 / mpmath.sqrt(2 * mpmath.pi), mpmath.mpf(1) / 2, 1 / mpmath.sqrt(4 * mpmath.pi)]
        assert all(close(value, right, 24) for value, right in zip(a, exact, strict=False))
        assert all(abs(a[n]) < 1e-24 for n in (3, 5, 7))


def test_hermite_coefficients_sum_to_the_second_moment() -> None:
    """Parseval: Σ aₙ² → E φ², from below."""
    f = pieces("exp(-x**2)*cos(x)")
    with mpmath.workdps(30):
        a = hermite_coefficients(f, R(1, 3), {}, 20, 60)
        whole = expectation_1d(f.times(f), R(1, 3), {}, 20)
        assert 0 < whole - mpmath.fsum(v**2 for v in a) < mpmath.mpf("1e-12")


# Where the density is a ridge.


@pytest.mark.parametrize(
    ("rho", "ratio"),
    [
        (R(99, 100), 1),
        (R(-992, 1000), 1),
        (R(99, 100), 10**4),
        pytest.param(R(995, 1000), 1, marks=pytest.mark.slow),
        pytest.param(R(-992, 1000), 10**4, marks=pytest.mark.slow),
        pytest.param(R(995, 1000), 10**4, marks=pytest.mark.slow),
    ],
)
def test_high_correlations_and_unequal_variances(rho: sp.Rational, ratio: int) -> None:
    """E cos(u)cos(v) and E relu(u)relu(v) by their own closed forms, to 25 digits."""
    a, b = R(1, 3), R(1, 3) * ratio
    cov = rho * sp.sqrt(a * b)
    with mpmath.workdps(45):
        r, s1, s2 = (mpmath.mpf(int(v.p)) / int(v.q) for v in (rho, a, b))
        root = mpmath.sqrt(s1 * s2)
        if ratio == 1:
            (cosine,) = expectations_2d((pieces("cos(x)"),), a, b, cov, {}, 25)
            assert close(cosine, mpmath.exp(-(s1 + s2) / 2) * mpmath.cosh(r * root), 25)
        relu, step = expectations_2d((pieces("max(0, x)"), pieces("step(x)")), a, b, cov, {}, 25)
        angle = mpmath.acos(r)
        exact = root * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle)) / (2 * mpmath.pi)
        assert close(relu, exact, 24)
        assert close(step, (mpmath.pi - angle) / (2 * mpmath.pi), 24)


# Real powers at a knot.


@pytest.mark.parametrize("p", ["1/2", "3/2", "7/3", "-1/3"])
def test_algebraic_singularities(p: str) -> None:
    """E|u|^p = (2q)^{p/2} Γ((p + 1)/2)/√π."""
    f = pieces(f"abs(x)**({p})")
    with mpmath.workdps(35):
        power = mpmath.mpf(int(R(p).p)) / int(R(p).q)
        for variance in (R(1, 50), R(3)):
            two = 2 * mpmath.mpf(int(variance.p)) / int(variance.q)
            exact = two ** (power / 2) * mpmath.gamma((power + 1) / 2) / mpmath.sqrt(mpmath.pi)
            assert close(expectation_1d(f, variance, {}, 22), exact, 21)


def test_algebraic_singularities_in_the_plane() -> None:
    """E[|u|^{3/2}|v|^{3/2}] by the moments of v given u."""
    (value,) = expectations_2d((pieces("abs(x)**(3/2)"),), R(3, 2), R(2, 3), R(-3, 5), {}, 20)
    with mpmath.workdps(25):
        q, p = mpmath.mpf(3) / 2, mpmath.mpf(3) / 2
        beta, two = -mpmath.mpf(3) / 5 / q, 2 * mpmath.mpf("0.64") / q

        def integrand(u: Any) -> Any:
            moment = two ** (p / 2) * mpmath.gamma((p + 1) / 2) / mpmath.sqrt(mpmath.pi)
            mean = moment * mpmath.hyp1f1(-p / 2, mpmath.mpf(1) / 2, -((beta * u) ** 2) / two)
            return 2 * u**p * mean * mpmath.npdf(u, 0, mpmath.sqrt(q))

        assert close(value, mpmath.quad(integrand, [0, 1, 4, 16]), 16)


def test_a_knot_far_in_the_tail() -> None:
    """E relu(u − t) = σφ(z) − tΦ(−z), z = t/σ = 8: small, and right to the digits of what else there is."""
    (value,) = expectations_2d((pieces("step(x - 2)"),), R(1, 4), R(1), R(1, 10), {}, 20)
    with mpmath.workdps(30):
        bound = mpmath.ncdf(-4)
        exact = mpmath.quad(
            lambda u: mpmath.npdf(u, 0, 0.5) * mpmath.ncdf((0.4 * u - 2) / mpmath.sqrt(mpmath.mpf("0.96"))),
            [2, 3, 4, 6, 9],
        )
        assert 0 < value < bound
        assert abs(value - exact) < mpmath.mpf("1e-20")


def test_a_removable_singularity_costs_no_digits() -> None:
    """E[(1 − cos u)/u²] = ∫₀¹ (1 − k) exp(−k² q/2) dk."""
    value = expectation_1d(activation("(1 - cos(x))/x**2").pieces, sp.Rational(1, 500), {}, 25)
    with mpmath.workdps(40):
        exact = mpmath.quad(lambda k: (1 - k) * mpmath.exp(-(k**2) / 1000), [0, 1])
        assert abs(mpmath.mpf(value) - exact) < mpmath.mpf(10) ** -25
