"""₂F₁ for sums of real powers, against Gamma functions, polynomials and the oracle."""

from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mehler.derive import powers
from mehler.derive.activation import activation
from mehler.derive.dual import Formulas
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.evaluate import real_values
from mehler.derive.symbols import Delta, c, q, q1, q2
from mehler.numeric.precision.oracle import Oracle

R = sp.Rational
POINT = {q1: R(3, 2), q2: R(2, 3), c: R(-3, 5), Delta: R(16, 25), q: R(3, 2)}


def formulas(text: str, **params: str) -> Formulas:
    return powers.formulas(activation(text, params).pieces)


def close(a: Any, b: Any, digits: int = 18) -> bool:
    return bool(abs(a - b) <= mpmath.mpf(10) ** -digits * (1 + abs(b)))


def by_panels(f: Any, weight: Any) -> Any:
    """∫ f(x) weight(x) dx for f with an algebraic singularity at 0, by tanh-sinh on both sides."""
    return mpmath.quad(lambda x: f(x) * weight(x), [-25, -6, -1, 0, 1, 6, 25])


def conditional(p: Any, mean: Any, s: Any, sign: int) -> Any:
    """E[sgnᵏ(v)|v|^p], v ~ N(mean, s²), by the moments of the normal law (confluent hypergeometric)."""
    z = -(mean**2) / (2 * s**2)
    if sign:
        return (
            mean
            * mpmath.sqrt(2 / mpmath.pi)
            * (s * mpmath.sqrt(2)) ** (p - 1)
            * mpmath.sqrt(2)
            * (mpmath.gamma(p / 2 + 1) * mpmath.hyp1f1((1 - p) / 2, mpmath.mpf(3) / 2, z))
        )
    return (
        (s * mpmath.sqrt(2)) ** p
        * mpmath.gamma((p + 1) / 2)
        / mpmath.sqrt(mpmath.pi)
        * mpmath.hyp1f1(-p / 2, mpmath.mpf(1) / 2, z)
    )


PAIRS = [
    ("abs(x)**(3/2)", [(R(3, 2), 0, R(1))]),
    ("sqrt(abs(x))*sign(x)", [(R(1, 2), 1, R(1))]),
    ("max(0, x)**(5/2)", [(R(5, 2), 0, R(1, 2)), (R(5, 2), 1, R(1, 2))]),
    ("abs(x)**(7/3) - 2*x*abs(x)**(1/3)", [(R(7, 3), 0, R(1)), (R(4, 3), 1, R(-2))]),
    ("3*abs(x)**(5/4) + x", [(R(5, 4), 0, R(3)), (R(1), 1, R(1))]),
    ("where(x > 0, x**(3/2), -2*(-x)**(3/2))", [(R(3, 2), 0, R(-1, 2)), (R(3, 2), 1, R(3, 2))]),
]


@pytest.mark.parametrize(("text", "parts"), PAIRS, ids=[text for text, _ in PAIRS])
def test_kernels_by_a_single_integral(text: str, parts: list[tuple[Any, int, Any]]) -> None:
    """E[φ(u)φ(v)] = ∫ φ(u) p(u) E[φ(v) | u] du, and likewise for φ'."""
    (kernel, dot) = real_values([formulas(text).kernel, formulas(text).kernel_dot], POINT, 20)
    slope = [(p - 1, 1 - odd, a * p) for p, odd, a in parts]
    with mpmath.workdps(25):
        beta, s = mpmath.mpf(-3) / 5 / mpmath.mpf(1.5), mpmath.sqrt(mpmath.mpf("0.64") / mpmath.mpf(1.5))
        for value, terms in ((kernel, parts), (dot, slope)):
            numbers = [
                (mpmath.mpf(int(p.p)) / int(p.q), odd, mpmath.mpf(int(a.p)) / int(a.q)) for p, odd, a in terms
            ]

            def f(x: Any, numbers: Any = numbers) -> Any:
                return sum(a * mpmath.sign(x) ** odd * abs(x) ** p for p, odd, a in numbers)

            def weight(x: Any, numbers: Any = numbers) -> Any:
                mean = sum(a * conditional(p, beta * x, s, odd) for p, odd, a in numbers)
                return mean * mpmath.npdf(x, 0, mpmath.sqrt(mpmath.mpf(1.5)))

            assert close(value, by_panels(f, weight), 14), text


@given(st.fractions("1/5", 4, max_denominator=6), st.fractions("1/5", 4, max_denominator=6))
@settings(max_examples=15)
def test_proportional_variables(p: Any, scale: Any) -> None:
    """Δ = 0: E|u|^p|s·u|^p = sᵖ (2q)^p Γ(p + ½)/√π."""
    f = formulas(f"abs(x)**({p})")
    scale = R(scale.numerator, scale.denominator)
    with mpmath.workdps(30):
        power, var = mpmath.mpf(p.numerator) / p.denominator, mpmath.mpf(3) / 2
        exact = (2 * var) ** power * mpmath.gamma(power + 0.5) / mpmath.sqrt(mpmath.pi)
        (diagonal,) = real_values([f.kernel_diag], {q: R(3, 2)}, 20)
        assert close(diagonal, exact)
        point = {q1: R(3, 2), q2: scale**2 * R(3, 2), c: scale * R(3, 2), Delta: sp.S.Zero}
        (kernel,) = real_values([f.kernel], point, 20)
        assert close(kernel, exact * (mpmath.mpf(int(scale.p)) / int(scale.q)) ** power, 17)


@pytest.mark.parametrize(
    ("text", "same"),
    [("max(0, x)**3", "max(0, x)**3"), ("abs(x)", "abs(x)"), ("x**4 - x", "x**4 - x"), ("x*abs(x)", "x*abs(x)")],
)
def test_integer_powers_agree_with_the_oracle(text: str, same: str) -> None:
    """Nothing in the rule asks for fractions: on its own it also derives what the theorem does."""
    f = formulas(text)
    exact = Oracle(same, {}, 20).both("3/2", "2/3", "-3/5")
    values = real_values([f.kernel, f.kernel_dot], POINT, 20)
    assert all(close(value, right) for value, right in zip(values, exact, strict=True))


def test_polynomials_come_out_as_polynomials() -> None:
    assert sp.expand(sp.hyperexpand(formulas("x**3").kernel) - (6 * c**3 + 9 * c * q1 * q2)) == 0
    assert sp.simplify(sp.hyperexpand(formulas("x**2").kernel) - (q1 * q2 + 2 * c**2)) == 0


def test_a_symbolic_exponent() -> None:
    p = sp.Symbol("p", positive=True)
    f = formulas("max(0, x)**p", p="positive")
    for value in (R(1, 3), R(2), R(7, 4)):
        numeric = formulas(f"max(0, x)**({value})")
        for symbolic, number in ((f.kernel, numeric.kernel), (f.kernel_diag, numeric.kernel_diag)):
            one, two = real_values([symbolic.subs(p, value), number], POINT, 20)
            assert close(one, two)


def test_the_curvature_is_left_out_where_it_does_not_exist() -> None:
    """φ'' of |x|^p has the power p − 2, which no expectation bears from −1 down."""
    assert formulas("abs(x)**(1/2)").curvature is None
    assert formulas("max(0, x)**(3/2)").curvature is not None


def test_the_derivative_diverges_on_the_diagonal_alone() -> None:
    """φ' = ½|x|^(−½): E φ'(u)² is infinite, E φ'(u)φ'(v) is not."""
    f = formulas("sqrt(abs(x))")
    assert f.kernel_dot_diag is sp.oo
    (value,) = real_values([f.kernel_dot], POINT, 20)
    assert value < 0


@pytest.mark.parametrize("text", ["max(0, x)**p", "abs(x)**p", "abs(x)**(2*p)*sign(x)"])
def test_an_exponent_without_a_sign_is_refused(text: str) -> None:
    with pytest.raises(DivergentExpectation, match="p=positive") as caught:
        formulas(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["abs(x)**(-1/2)", "abs(x)**(-3/4)", "1/x", "abs(x)**(-2)", "sign(x)*abs(x)**(-1/2)"]
)
def test_powers_of_minus_one_half_and_below_diverge(text: str) -> None:
    with pytest.raises(DivergentExpectation, match="diverge"):
        formulas(text)


@pytest.mark.parametrize(
    "text",
    ["max(0, x - 1)**(3/2)", "exp(x)*max(0, x)**(1/2)", "sqrt(1 + abs(x))", "x**(1/3)", "where(x > 0, x**x, 0)"],
)
def test_what_is_no_sum_of_powers_is_refused(text: str) -> None:
    with pytest.raises((OutsideClass, DivergentExpectation)) as caught:
        formulas(text)
    assert "\n" not in str(caught.value)
