"""The ladder of rules: which one derives what, what is refused, and the formulas against the oracle."""

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive import integrate as ladder
from mehler.derive.activation import activation
from mehler.derive.algebra import is_zero
from mehler.derive.dual import Dual, Proof, ProvedDual
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.evaluate import real_values
from mehler.derive.integrate import integrate, one_integral
from mehler.derive.pipeline import closed_form, derive_dual
from mehler.derive.prove import prove
from mehler.derive.symbols import Delta, c, q, q1, q2, t, x
from mehler.numeric.precision.oracle import Oracle

R = sp.Rational
slow = pytest.mark.slow


def close(a: Any, b: Any, digits: int) -> bool:
    return bool(abs(a - b) <= mpmath.mpf(10) ** -digits * abs(b))


# End to end. Nobody chose these with a rule in mind.

EVERY = [
    ("sin(x)*max(0, x)", "closed-form"),
    ("exp(-abs(x))", "closed-form"),
    ("sinh(x)*exp(-x**2)", "closed-form"),
    pytest.param("max(x, 2*x - 1, -x/3)", "closed-form", marks=slow),
    ("cos(x)**3", "closed-form"),
    ("sign(x)*exp(-x**2/3)", "closed-form"),
    ("step(x - 1/2)*cos(x)", "closed-form"),
    pytest.param("erf(x)*sin(x)", "closed-form", marks=slow),
    pytest.param("where(x > 1, x**2, sin(x))", "closed-form", marks=slow),
    pytest.param("x**2*Phi(x)", "closed-form", marks=slow),
    ("max(0, x)*exp(-x)", "closed-form"),
    pytest.param("abs(x)*exp(-x**2)", "closed-form", marks=slow),
    ("min(1, abs(x))", "closed-form"),
    pytest.param("sin(x**2)", "closed-form", marks=slow),
    ("Phi(x - 1) - Phi(x + 1)", "closed-form"),
    ("step(x)*step(1 - x)*x", "closed-form"),
    pytest.param("gelu(x) - relu(x)", "integral", marks=slow),
    ("erf(x)**2", "integral"),
    ("max(0, x)*erf(x)", "integral"),
    pytest.param("erf(2*x)*erf(x/2)", "integral", marks=slow),
    pytest.param("arctan(x)", "integral", marks=slow),
    pytest.param("exp(-abs(x))*cos(2*x)", "closed-form", marks=slow),
    pytest.param("x*exp(-x**2)*erf(x + 1)", "closed-form", marks=slow),
    pytest.param("exp(-x**2/2)*Phi(x + 1)", "closed-form", marks=slow),
    pytest.param("exp(-x**2)*erf(x + 1)", "closed-form", marks=slow),
    pytest.param("exp(-x**2/2 + x)*Phi(2*x - 1)", "closed-form", marks=slow),
    pytest.param("erf(x)*cos(x)*exp(-x**2/2)", "closed-form", marks=slow),
    pytest.param("log(1 + x**2)", "integral", marks=slow),
    pytest.param("x**2/(1 + x**2)", "closed-form", marks=slow),
    pytest.param("1 - 1/(1 + x**2)", "closed-form", marks=slow),
    pytest.param("2*cos(x) - x/(4 + x**2)", "closed-form", marks=slow),
    pytest.param("arctan(2*x - 1)", "integral", marks=slow),
    pytest.param("x**2/(1 + x**2)", "integral", marks=slow),
    pytest.param("Phi(x)*step(x - 1)", "integral", marks=slow),
]


def values_at(dual: Dual, point: tuple[Fraction, Fraction, Fraction], digits: int) -> tuple[Any, Any]:
    return ProvedDual(dual, Proof(())).evaluate(*point, digits=digits)


def random_point(text: str) -> tuple[Fraction, Fraction, Fraction]:
    generator = random.Random(text + "!")
    a, b = Fraction(generator.randint(300, 3000), 1009), Fraction(generator.randint(300, 3000), 1013)
    return a, b, Fraction(generator.randint(-900, 900), 1000) * min(a, b)


@pytest.mark.parametrize(("text", "status"), EVERY)
def test_values_agree_with_the_oracle(text: str, status: str, integrated: Callable[..., Dual]) -> None:
    """K and K̇ at a random point, and both diagonals, to 20 digits."""
    dual = integrated(text)
    assert dual.status == status
    oracle, point = Oracle(text, {}, 20), random_point(text)
    with mpmath.workdps(40):
        exact = oracle.both(*point)
        assert all(close(a, b, 19) for a, b in zip(values_at(dual, point, 22), exact, strict=True))
        diagonal = oracle.diagonal(point[0])
        formulas = [f for f in (dual.kernel_diag, dual.kernel_dot_diag) if f is not sp.oo]
        values = real_values(formulas, {q: R(point[0].numerator, point[0].denominator)}, 22)
        assert all(close(a, b, 19) for a, b in zip(values, diagonal, strict=False))


PROVED = [text for text, *_ in (e if isinstance(e, tuple) else e.values for e in EVERY)]


@pytest.mark.slow
@pytest.mark.parametrize("text", PROVED)
def test_every_dual_is_proved(text: str, integrated: Callable[..., Dual]) -> None:
    assert prove(integrated(text)).proof.passed


def test_an_integral_is_a_proved_result() -> None:
    result = closed_form(derive_dual("erf(x)**2"))
    assert result.status == "integral"
    assert result.proof.passed
    assert len(result.kernel.atoms(sp.Integral)) == 1


@pytest.mark.parametrize("text", ["max(0, x - a)", "abs(x - a)"])
def test_a_knot_at_a_parameter_is_proved(text: str) -> None:
    assert closed_form(derive_dual(text)).proof.passed


# The rungs.


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("max(0, x)", "orthant"),
        ("exp(-x**2)", "tilt"),
        ("exp(x)", "shift"),
        ("x**3", "Stein"),
        ("sin(x)/x", "atoms of the Fourier transform"),
        ("arctan(x)", "Price"),
        ("erf(x)**2", "Price"),
    ],
)
def test_the_trace_names_the_rule(text: str, rule: str, integrated: Callable[..., Dual]) -> None:
    steps = integrated(text).steps
    assert rule in [step.rule for step in steps]
    assert all(step.citation for step in steps)
    assert [step.rule for step in steps[-4:]] == ["like terms, smallest form"] * 4


def test_the_trace_begins_with_the_pieces_and_the_atoms(integrated: Callable[..., Dual]) -> None:
    steps = integrated("max(0, x)").steps
    assert [step.rule for step in steps[:3]] == ["pieces"] + ["atoms of the Gaussian-closed class"] * 2
    assert steps[0].after == sp.Piecewise((0, x < 0), (x, True))
    assert [str(step.before) for step in steps[1:3]] == ["phi", "phi'"]


def test_price_of_a_square_has_its_mean(integrated: Callable[..., Dual]) -> None:
    """E erf(u)² is not 0, so that K is more than ∫₀ᶜ K̇: at c = 0 it is the product of the means."""
    formula = integrated("erf(x)**2").formulas.kernel
    a, b = R(2, 3), R(5, 4)
    (value,) = real_values([formula], {q1: a, q2: b, c: sp.S.Zero, Delta: a * b}, 20)
    with mpmath.workdps(30):
        means = [
            mpmath.quad(lambda u, v=v: mpmath.erf(u) ** 2 * mpmath.npdf(u, 0, v), [-15, -4, 0, 4, 15])
            for v in (mpmath.sqrt(mpmath.mpf(2) / 3), mpmath.sqrt(mpmath.mpf(5) / 4))
        ]
        assert close(value, means[0] * means[1], 20)


def test_the_curvature_is_the_heat_equation(integrated: Callable[..., Dual]) -> None:
    """2 ∂K/∂q1 = E[φ''(u)φ(v)], kinks and jumps of φ included."""
    for text in ("max(0, x)", "sign(x)", "x*step(x - 1)", "gelu", "exp(-x**2)", "sin(x)"):
        formulas = integrated(text).formulas
        kernel, curvature = (f.subs(Delta, q1 * q2 - c**2) for f in (formulas.kernel, formulas.curvature))
        assert is_zero(2 * sp.diff(kernel, q1) - curvature), text


def test_jumps_in_the_sense_of_distributions() -> None:
    phi = activation("sign(x)*exp(-x**2)")
    everywhere, distribution = integrate(phi, "almost-everywhere"), integrate(phi, "distribution")
    assert everywhere.impulses != 0
    assert is_zero(distribution.formulas.kernel_dot - everywhere.formulas.kernel_dot - everywhere.impulses)
    assert distribution.kernel_dot_diag is sp.oo
    assert everywhere.kernel_dot_diag.is_finite is not False
    assert distribution.kernel == everywhere.kernel


def test_integrals_become_one() -> None:
    a, b = sp.Integral(sp.exp(t), (t, 0, c)), sp.Integral(t**2, (t, 0, c))
    merged = one_integral(q1 * a - b * sp.sqrt(q2) + 3)
    (integral,) = merged.atoms(sp.Integral)
    assert sp.expand(integral.function - q1 * sp.exp(t) + sp.sqrt(q2) * t**2) == 0
    assert merged - integral == 3


# Refusals.


@pytest.mark.parametrize("text", ["exp(x**2)", "exp(x**2/1000)", "x + exp(x**2 - 5*x)", "exp(a*x**2)"])
def test_divergence_names_the_growing_part(text: str) -> None:
    with pytest.raises(
        DivergentExpectation, match=r"diverges for large variances: .* contains exp\(.*x\*\*2"
    ) as caught:
        integrate(activation(text), "almost-everywhere")
    assert "\n" not in str(caught.value)


def test_a_sign_makes_it_converge() -> None:
    phi = activation("exp(-a*x**2)", {"a": "positive"})
    assert integrate(phi, "almost-everywhere").kernel.is_positive is not False
    with pytest.raises(DivergentExpectation, match="signs or values"):
        integrate(activation("exp(-a*x**2)"), "almost-everywhere")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x + x*tanh(x)", "tanh(x)"),
        ("max(0, x) + 3*atan(2*x)", "atan(2*x)"),
        ("exp(x**3)", "exp(x**3)"),
        ("erf(x**2)", "erf(x**2)"),
        ("Phi(exp(x))", "Phi(exp(x))"),
        ("x**(1/3)", "x**(1/3)"),
        ("sin(x**2)*step(x)", "complex variance"),
        ("asinh(x)", "asinh(x)"),
        ("x/(1 + abs(x))", "1/(1 - x)"),
        ("atan(x)**2", "atan(x)"),
        ("Phi(x)**4", "8 half-spaces"),
    ],
)
def test_what_is_outside_the_class_is_named(text: str, words: str) -> None:
    with pytest.raises(OutsideClass) as caught:
        integrate(activation(text), "almost-everywhere")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_reason_is_the_one_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(phi: Any, jumps: Any) -> Dual:
        raise OutsideClass("the last rule")

    monkeypatch.setattr(ladder, "_by_price", refuse)
    with pytest.raises(OutsideClass, match="tanh"):
        integrate(activation("tanh(x)"), "almost-everywhere")
