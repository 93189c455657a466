"""h and ḣ against Hermite coefficients by quadrature, which know nothing of the derivation."""

from collections.abc import Callable
from math import factorial

import mpmath
import pytest
import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.errors import DeriveError
from mehler.derive.special import Phi, Phi2
from mehler.derive.sphere import Sphere, series, sphere
from mehler.derive.symbols import rho

pytestmark = pytest.mark.slow

Derive = Callable[..., ProvedDual]

# φ and φ' with their knots, typed in: what is tested must not be asked for them.
ACTIVATIONS = {
    "relu": (lambda z: max(z, 0), lambda z: mpmath.mpf(z > 0)),
    "erf": (mpmath.erf, lambda z: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-z * z)),
    "gelu": (lambda z: z * mpmath.ncdf(z), lambda z: mpmath.ncdf(z) + z * mpmath.npdf(z)),
    "elu": (lambda z: z if z > 0 else mpmath.expm1(z), lambda z: 1 if z > 0 else mpmath.exp(z)),
    "sin": (mpmath.sin, mpmath.cos),
    "step": (lambda z: mpmath.mpf(z > 0), lambda _: mpmath.mpf(0)),
    "exp(x)": (mpmath.exp, mpmath.exp),
    "x**3": (lambda z: z**3, lambda z: 3 * z**2),
}
N = 6


def _squared_hermite(f: Callable[[mpmath.mpf], mpmath.mpf], n: int) -> mpmath.mpf:
    """E[f(z) Heₙ(z)]²/n!"""

    def integrand(z: mpmath.mpf) -> mpmath.mpf:
        return f(z) * mpmath.hermite(n, z / mpmath.sqrt(2)) / mpmath.mpf(2) ** (mpmath.mpf(n) / 2) * mpmath.npdf(z)

    return mpmath.quad(integrand, [-14, -7, -3, 0, 3, 7, 14]) ** 2 / factorial(n)


def _value(expr: sp.Expr) -> mpmath.mpf:
    return mpmath.mpf(str(sp.N(expr.subs(sp.Symbol("a", real=True), 1), 25)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_series_are_squared_hermite_coefficients(derive: Derive, name: str) -> None:
    on = sphere(derive(name))
    with mpmath.workdps(17):
        for f, found in zip(ACTIVATIONS[name], (on.series(N), on.series_dot(N)), strict=True):
            assert len(found) == N
            for n, coefficient in enumerate(found):
                assert coefficient.is_Number or not coefficient.has(sp.Float)
                assert _value(coefficient) >= 0
                assert mpmath.almosteq(_value(coefficient), _squared_hermite(f, n), 1e-13, 1e-13)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_formulas_are_the_kernels(derive: Derive, name: str) -> None:
    dual = derive(name)
    on = sphere(dual)
    for r in (sp.Rational(-3, 4), sp.Rational(1, 3)):
        # A parameter of φ takes its customary value, 1.
        with mpmath.workdps(25):
            for formula, value in zip((on.kernel, on.kernel_dot), dual.evaluate(1, 1, r), strict=True):
                assert mpmath.almosteq(_value(formula.subs(rho, r)), value, 1e-20, 1e-20)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "step"])
def test_the_derivative_of_h_is_h_dot(derive: Derive, name: str) -> None:
    on = sphere(derive(name))
    pairs = zip(on.series(N)[1:], on.series_dot(N - 1), strict=True)
    assert all(sp.simplify((k + 1) * a - b) == 0 for k, (a, b) in enumerate(pairs))


def test_a_jump_is_in_h_dot_as_a_distribution(derive: Derive) -> None:
    on = sphere(derive("step", "distribution"))
    assert on.kernel_dot == 1 / (2 * sp.pi * sp.sqrt(1 - rho**2))
    assert on.series_dot(3) == (1 / (2 * sp.pi), 0, 1 / (4 * sp.pi))


@pytest.mark.parametrize(
    ("name", "h", "h_dot"),
    [
        ("relu", "(rho*(pi - acos(rho)) + sqrt(1 - rho**2))/(2*pi)", "(pi - acos(rho))/(2*pi)"),
        ("erf", "2*asin(2*rho/3)/pi", "4/(pi*sqrt(9 - 4*rho**2))"),
        ("step", "(pi - acos(rho))/(2*pi)", "0"),
        ("sin", "exp(-1)*sinh(rho)", "exp(-1)*cosh(rho)"),
        ("x**3", "6*rho**3 + 9*rho", "18*rho**2 + 9"),
        ("exp(x)", "exp(rho + 1)", "exp(rho + 1)"),
    ],
)
def test_formulas_are_short(derive: Derive, name: str, h: str, h_dot: str) -> None:
    assert str(sphere(derive(name))) == f"h(rho)    = {h}\nh'(rho)   = {h_dot}"


def test_parameters_stay_symbols(derive: Derive) -> None:
    a = sp.Symbol("a", real=True)
    on = sphere(derive("leaky_relu"))
    assert on.series(3) == ((a - 1) ** 2 / (2 * sp.pi), (a + 1) ** 2 / 4, (a - 1) ** 2 / (4 * sp.pi))
    # A coefficient is a square, and shown as one.
    assert sphere(derive("elu")).series(2)[1] == (2 * a * sp.exp(sp.S.Half) * Phi(sp.S.NegativeOne) + 1) ** 2 / 4


def test_latex(derive: Derive) -> None:
    text = sphere(derive("erf")).latex()
    assert text.startswith("\\begin{aligned}\nh(\\rho) &= ")
    assert "\\dot h(\\rho) &= " in text
    assert sphere(derive("erf"))._repr_latex_() == f"$\\displaystyle {text}$"


@pytest.mark.parametrize(
    "formula",
    [
        sp.exp(rho) * sp.asin(rho / 2) ** 3,
        1 / (2 - rho) ** sp.Rational(3, 2),
        sp.cosh(rho**2) - sp.sin(1 + rho),
        Phi2(-1 - rho, sp.S.Half, rho / 2),
        sp.Integral(sp.exp(-(sp.Symbol("t") ** 2) * (1 + rho)), (sp.Symbol("t"), 0, 1)),
    ],
)
def test_taylor_arithmetic(formula: sp.Expr) -> None:
    for n, coefficient in enumerate(series(formula, 4)):
        expected = (sp.diff(formula, rho, n) / factorial(n)).subs(rho, 0)
        assert abs(sp.N(coefficient - expected, 20)) < 1e-15


def test_no_power_series() -> None:
    with pytest.raises(DeriveError, match="no power series"):
        series(sp.sqrt(rho), 2)
    with pytest.raises(DeriveError, match="no power series"):
        series(sp.sin(rho) / rho, 2)
    with pytest.raises(DeriveError, match="0 or more"):
        Sphere(rho, sp.S.One).series(-1)
    assert Sphere(rho, sp.S.One).series(0) == ()
