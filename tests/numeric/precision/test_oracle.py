"""The oracle against textbook expectations, and against a quadrature that shares no code with it."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp
from scipy.special import ndtr

from mehler.numeric.errors import NumericError
from mehler.numeric.precision.notation import SHORTHANDS, Activation
from mehler.numeric.precision.oracle import Oracle

POINTS = [(1, 1, Fraction(1, 2)), (2, Fraction(1, 3), Fraction(-1, 4)), (10, 10, Fraction(999, 100)), (1, 4, -2)]
NEARLY_OPPOSITE = -1 + Fraction(1, 10**12)
DIGITS = 16


@pytest.fixture(autouse=True)
def _many_digits() -> Iterator[None]:
    with mpmath.workdps(60):
        yield


def number(value: Any) -> Any:
    value = Fraction(value)
    return mp.mpf(value.numerator) / value.denominator


def supplement(q1: Any, q2: Any, c: Any) -> Any:
    """ψ = π - θ, which keeps its digits at ρ = -1."""
    return mp.atan2(mp.sqrt(number(Fraction(q1) * Fraction(q2) - Fraction(c) ** 2)), -number(c))


def arccosine(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    psi = supplement(q1, q2, c)
    scale = mp.sqrt(number(q1) * number(q2))
    return scale * (mp.sin(psi) - psi * mp.cos(psi)) / (2 * mp.pi), psi / (2 * mp.pi)


def williams(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    q1, q2, c = map(number, (q1, q2, c))
    spread = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / mp.pi * mp.asin(2 * c / mp.sqrt(spread)), 4 / (mp.pi * mp.sqrt(spread - 4 * c * c))


def sine(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    damping = mp.exp(-(number(q1) + number(q2)) / 2)
    return damping * mp.sinh(number(c)), damping * mp.cosh(number(c))


def cubic(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    q1, q2, c = map(number, (q1, q2, c))
    return 9 * q1 * q2 * c + 6 * c**3, 9 * (q1 * q2 + 2 * c * c)


def step(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    return supplement(q1, q2, c) / (2 * mp.pi), mp.zero


def exponential(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    value = mp.exp((number(q1) + number(q2) + 2 * number(c)) / 2)
    return value, value


TEXTBOOK = {"relu": arccosine, "erf": williams, "sin": sine, "x^3": cubic, "step": step, "exp(x)": exponential}


def agrees(ours: Any, theirs: Any, digits: int = DIGITS) -> bool:
    return bool(abs(ours - theirs) <= mp.mpf(10) ** -digits * max(abs(theirs), mp.mpf(10) ** -digits))


@pytest.mark.parametrize("expression", TEXTBOOK)
def test_textbook(expression: str) -> None:
    oracle = Oracle(expression, digits=DIGITS)
    for point in POINTS:
        ours, theirs = oracle.both(*point), TEXTBOOK[expression](*point)
        assert all(map(agrees, ours, theirs)), point


def ramp(z: Any) -> Any:
    """E[max(0, z + N(0, 1))]."""
    return z * mp.ncdf(z) + mp.npdf(z)


def laplace(mean: Any, s: Any) -> Any:
    return mp.exp(s * s / 2) * sum(mp.exp(-t) * mp.ncdf(t / s - s) for t in (mean, -mean))


# E[φ(v)] for v ~ N(mean, s²), in closed form.
CONDITIONAL = {
    "max(-1, min(1, x))": lambda mean, s: s * (ramp((mean + 1) / s) - ramp((mean - 1) / s)) - 1,
    "sign(x - 1)*x": lambda mean, s: mean * mp.erf((mean - 1) / s / mp.sqrt(2)) + 2 * s * mp.npdf((mean - 1) / s),
    "exp(-abs(x))": laplace,
}


@pytest.mark.parametrize("expression", CONDITIONAL)
def test_knots_against_conditional_expectations(expression: str) -> None:
    phi, q1, beta, s = Activation(expression, {}, mp), mp.mpf(2), mp.mpf(-3) / 4, mp.sqrt(mp.mpf(15) / 8)

    def integrand(u: Any) -> Any:
        return mp.npdf(u, 0, mp.sqrt(q1)) * phi(u)[0] * CONDITIONAL[expression](beta * u, s)

    with mpmath.workdps(DIGITS + 4):
        kernel = mp.quad(integrand, [-16, -6, -1, 0, 1, 6, 16])
    assert agrees(Oracle(expression, digits=DIGITS).kernel(2, 3, "-1.5"), kernel)


def test_hard_tanh_slope_is_the_probability_of_a_square() -> None:
    def row(u: Any) -> Any:
        return mp.npdf(u) * (mp.ncdf((1 - u / 2) / s) - mp.ncdf((-1 - u / 2) / s))

    with mpmath.workdps(DIGITS + 4):
        s = mp.sqrt(mp.mpf(3) / 4)
        probability = mp.quad(row, [-1, 1])
    assert agrees(Oracle("max(-1, min(1, x))", digits=DIGITS).kernel_dot(1, 1, "0.5"), probability)


SMOOTH = {
    "gelu": lambda x: x * ndtr(x),
    "tanh": np.tanh,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "1/(1 + x^2)": lambda x: 1 / (1 + x * x),
}


@pytest.mark.parametrize("expression", SMOOTH)
def test_smooth_activations_against_the_trapezoidal_rule(expression: str) -> None:
    z1, z2 = np.meshgrid(*[np.arange(-8.5, 8.6, 1 / 16)] * 2)
    density = np.exp(-(z1**2 + z2**2) / 2) / (2 * np.pi) / 256
    phi = SMOOTH[expression]
    trapezoidal = np.sum(density * phi(z1) * phi(0.6 * z1 + 0.8 * z2))
    assert abs(float(Oracle(expression, digits=14).kernel(1, 1, "0.6")) - trapezoidal) < 1e-13


def test_relative_accuracy_at_nearly_opposite_inputs() -> None:
    ours = Oracle("relu", digits=DIGITS).both(1, 1, NEARLY_OPPOSITE)
    theirs = arccosine(1, 1, NEARLY_OPPOSITE)
    assert theirs[0] < 1e-18
    assert all(abs(a / b - 1) < mp.mpf(10) ** -DIGITS for a, b in zip(ours, theirs, strict=True))


def test_a_steep_start_is_seen_at_tiny_variances() -> None:
    """e^u − 1 of |u| about 1e-150: ELU is then the identity, K = c and K̇ = 1."""
    elu = Oracle("where(x > 0, x, exp(x) - 1)", digits=20)
    for q1, q2, c in ((1e-300, 1e-300, -1e-300), (1e-300, 3e-300, 1e-300), (1e-150, 1e-150, -9e-151)):
        k, k_dot = elu.both(q1, q2, c)
        assert abs(k / c - 1) < 1e-15
        assert abs(k_dot - 1) < 1e-15


def test_a_wrong_formula_is_noticed() -> None:
    kernel, kernel_dot = Oracle("relu", digits=DIGITS).both(1, 1, "0.3")
    right, right_dot = arccosine(1, 1, "0.3")
    theta = mp.pi - supplement(1, 1, "0.3")
    wrong = (mp.sin(theta) - (mp.pi - theta) * mp.cos(theta)) / (2 * mp.pi)
    assert agrees(kernel, right)
    assert not agrees(kernel, wrong, 2)
    assert not agrees(kernel, right * (1 + mp.mpf(10) ** (1 - DIGITS)))
    assert not agrees(kernel_dot, 1 - right_dot, 2)


def test_cancellation_and_degenerate_points() -> None:
    erf = Oracle("erf", digits=DIGITS)
    assert abs(Oracle("erf", digits=10).kernel(1, 2, 0)) < 1e-20
    assert erf.both(0, 0, 0)[0] == 0
    assert agrees(erf.both(0, 1, 0)[1], williams(0, 1, 0)[1])
    assert all(map(agrees, erf.diagonal(2), williams(2, 2, 2)))
    assert agrees(Oracle("relu", digits=DIGITS).kernel(4, 1, 2), mp.one)


def test_every_shorthand_and_its_derivative() -> None:
    notation = [*SHORTHANDS, "x**2.5 if x > 0 else 0", "2^x", "x^x", "clip(x, -1/3, 0.5)", "asinh(x) + cosh(x)"]
    notation += ["where(-1 < x <= 1 and not x == 2, x, 1)", "Piecewise((x, (x > 3) | (x < -1)), (a*x, True))"]
    for expression in notation:
        phi = Activation(expression, {"a": "1/7"}, mp)
        for x in (mp.mpf("0.3"), mp.mpf("1.7"), mp.mpf("7.1")):
            assert agrees(phi(x)[1], mp.diff(lambda t: phi(t)[0], x), 15), expression  # noqa: B023
    assert agrees(Activation("gelu", {}, mp)(mp.one)[0], mp.ncdf(1), 55)
    assert Activation("0.1", {}, mp)(mp.one)[0] == mp.mpf(1) / 10


def test_switch_points_are_exact() -> None:
    phi = Activation("max(x + 3, 1)*step(x - 1/3) + abs(min(x, 1))", {}, mp)
    assert phi.knots(10)[:2] == [-2, 0]
    assert agrees(phi.knots(10)[2], mp.mpf(1) / 3, 55)
    assert phi.knots(10)[3:] == [1]
    assert phi.knots(1000) == phi.knots(10)
    assert Activation("gelu", {}, mp).knots(10) == []


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')",
        "x.__class__",
        "(1).real",
        "y + 1",
        "x[0]",
        "lambda x: x",
        "[x for x in x]",
        "open",
        "exp(x, x)",
        "exp(*x)",
        "exp(x=x)",
        "'a'",
        "1j*x",
        "0x10",
        "x // 2",
        "x + True",
        "(x > 0)*x",
        "where(x, 1, 2)",
        "x +",
        "",
        "9**9**9**9",
        "exp(exp(exp(9)))*x",
        "1e999999999",
        "(" * 1500,
        "-" * 1900 + "x",
        "x" * 2001,
    ],
)
def test_unsafe_text_is_refused(expression: str) -> None:
    with pytest.raises(NumericError) as caught:
        Oracle(expression)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_computed_is_refused() -> None:
    relu = Oracle("relu", digits=10)
    for point in [(1, 1, 2), (-1, 1, 0), (1, 1, "a"), (1, 1, float("nan")), (1, 1, "1e99999")]:
        with pytest.raises(NumericError):
            relu.both(*point)
    # E exp(2x²) is infinite; the square root is not analytic at 0; the logarithm is not real left of 1.
    for expression in ("exp(x**2)", "sqrt(abs(x))", "log(x - 1)", "9**9**9*x**9**9"):
        with pytest.raises(NumericError):
            Oracle(expression, digits=10).both(1, 1, "1/2")


def test_parameters_and_inputs_are_exact() -> None:
    slopes = [
        Oracle("max(a*x, x)", {"a": a}, digits=DIGITS).kernel(1, 1, "0.5") for a in ("0.1", Fraction(1, 10), 0.1)
    ]
    assert slopes[0] == slopes[1]
    assert 1e-19 < abs(slopes[0] - slopes[2]) < 1e-16


def test_the_global_context_is_left_alone() -> None:
    before = mp.prec
    Oracle("relu", digits=30).both(1, 1, "0.5")
    assert mp.prec == before
