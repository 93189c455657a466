"""The theorem's rules against the generating function of design.md section 4, and against integrals."""

from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.activation import activation
from mehler.derive.atoms import Atom, diracs, expand
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.gaussian import HalfSpace
from mehler.derive.integrate import DIAGONAL, PAIR, expectation, integrate
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import Delta, c, q, q1, q2

R = sp.Rational
POINT = {q1: R(2), q2: R(1, 2), c: R(-2, 5), Delta: R(21, 25)}


def atoms(text: str) -> tuple[Atom, ...]:
    return expand(activation(text).pieces)


def close(a: Any, b: Any, digits: int = 22) -> bool:
    return bool(abs(a - b) <= mpmath.mpf(10) ** -digits * (abs(a) + abs(b) + 1))


def by_generating_function(a: Atom, b: Atom) -> sp.Expr:
    """∂ₛᵏ∂ₜˡ M at 0: no Stein, no conditioning, only SymPy's derivative of one normal probability."""
    s, t = sp.symbols("s t", real=True)
    sigma = sp.Matrix([[POINT[q1], POINT[c]], [POINT[c], POINT[q2]]])
    tilted = (sigma.inv() - 2 * sp.diag(a.alpha, b.alpha)).inv()
    beta = sp.Matrix([a.beta + s, b.beta + t])
    mu = tilted * beta
    rows = [sp.Matrix([[space.slope, 0]]) for space in a.spaces] + [
        sp.Matrix([[0, space.slope]]) for space in b.spaces
    ]
    spaces = (*a.spaces, *b.spaces)
    noise = [space.noise for space in spaces]
    deviations = [sp.sqrt((w * tilted * w.T)[0] + n**2) for w, n in zip(rows, noise, strict=True)]
    h = [((w * mu)[0] + space.offset) / d for w, space, d in zip(rows, spaces, deviations, strict=True)]
    probability: sp.Expr = sp.S.One
    if len(h) == 1:
        probability = Phi(h[0])
    elif len(h) == 2:
        probability = Phi2(*h, (rows[0] * tilted * rows[1].T)[0] / (deviations[0] * deviations[1]))
    mass = sp.sqrt(tilted.det() / sigma.det()) * sp.exp((beta.T * tilted * beta)[0] / 2)
    derivative = sp.diff(mass * probability, s, a.power, t, b.power)
    return a.coefficient * b.coefficient * derivative.subs({s: 0, t: 0})


def knot(slope: Any, offset: Any) -> HalfSpace:
    return HalfSpace(sp.sympify(slope), sp.sympify(offset), 0)


def factor(slope: Any, offset: Any) -> HalfSpace:
    return HalfSpace(sp.sympify(slope), sp.sympify(offset), 1)


PAIRS = [
    (Atom(R(3), 2), Atom(R(1, 2), 3)),
    (Atom(R(1), 1, R(-1, 3), R(2)), Atom(R(-2), 2, R(-2), R(-1, 5))),
    (Atom(R(1), 1, spaces=(knot(1, 0),)), Atom(R(1), 1, spaces=(knot(1, 0),))),
    (Atom(R(1), 2, spaces=(knot(1, -1),)), Atom(R(1), 1, spaces=(knot(-1, R(1, 2)),))),
    (Atom(R(1), 1, spaces=(factor(1, 0),)), Atom(R(1), 2, spaces=(factor(2, R(1, 3)),))),
    (Atom(R(1), 0, R(-1, 2), R(1, 3), (factor(-1, 0),)), Atom(R(1), 1, R(-1, 4), R(-1), (knot(1, R(1, 7)),))),
    (Atom(R(1), 1, sp.S.Zero, R(1), (knot(-1, 0),)), Atom(R(1), 1, sp.S.Zero, R(-1, 2), (knot(1, R(2)),))),
    (Atom(R(1), 1, R(-1, 5), R(1, 3), (knot(1, 0), factor(1, 1))), Atom(R(1), 1, R(-1, 3))),
    (Atom(R(1), 1, beta=sp.I), Atom(R(1), 2, R(-1), beta=2 * sp.I - R(1, 2))),
    (Atom(R(1), 3, spaces=(factor(R(1, 2), 0),)), Atom(R(1))),
]


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_stein_agrees_with_the_generating_function(pair: tuple[Atom, Atom], value: Callable[..., Any]) -> None:
    a, b = pair
    direct = value(by_generating_function(a, b), {})
    assert close(value(expectation([a], [b], PAIR), POINT), direct)
    swapped = {q1: POINT[q2], q2: POINT[q1], c: POINT[c], Delta: POINT[Delta]}
    assert close(value(expectation([b], [a], PAIR), swapped), direct)


def test_expectation_is_bilinear(value: Callable[..., Any]) -> None:
    f, g = atoms("x*Phi(x) - 2*exp(x)"), atoms("x**2 + 3*erf(x)")
    parts = [value(expectation([a], [b], PAIR), POINT) for a in f for b in g]
    with mpmath.workdps(40):
        total = mpmath.fsum(parts)
    assert close(value(expectation(f, g, PAIR), POINT), total)


CENTRED = ["Phi(x)*step(x)", "x*Phi(x)*step(-x)", "exp(-x**2)*erf(x)*step(x)"]


@pytest.mark.parametrize("text", CENTRED)
def test_three_centred_half_spaces(text: str, value: Callable[..., Any]) -> None:
    """E[f(u) 1[v > 0]] = ∫ f(u) p(u) Φ(βu/s) du, v | u ~ N(βu, s²); the theorem makes it a sum of three asin."""
    formula = expectation(atoms(text), atoms("step(x)"), PAIR)
    assert formula.has(sp.asin)
    with mpmath.workdps(30):
        variance, beta = mpmath.mpf(2), mpmath.mpf(-1) / 5
        s = mpmath.sqrt(mpmath.mpf(1) / 2 - beta**2 * variance)
        f = sp.lambdify(sp.Symbol("x", real=True), activation(text).expr, [{"Phi": mpmath.ncdf}, "mpmath"])
        integral = mpmath.quad(
            lambda u: f(u) * mpmath.npdf(u, 0, mpmath.sqrt(variance)) * mpmath.ncdf(beta * u / s),
            [-30, -10, -4, -1, 0, 1, 4, 10, 30],
        )
    assert close(value(formula, POINT), integral)


DIAGONALS = [
    "max(0, x)",
    "x*Phi(x)",
    "erf(x)",
    "exp(-x**2)",
    "cos(2*x)",
    "where(x > 1/2, x**2, exp(x))",
    "sign(x - 1)",
]


@pytest.mark.parametrize("text", DIAGONALS)
def test_the_diagonal_comes_from_the_same_rule(text: str, value: Callable[..., Any]) -> None:
    formula = expectation(atoms(text), atoms(text), DIAGONAL)
    phi = activation(text).expr
    at = R(3, 4)
    with mpmath.workdps(30):
        f = sp.lambdify(sp.Symbol("x", real=True), phi, [{"Phi": mpmath.ncdf}, "mpmath"])
        integral = mpmath.quad(
            lambda u: f(u) ** 2 * mpmath.npdf(u, 0, mpmath.sqrt(3) / 2), [-15, -4, -1, 0, 0.5, 1, 4, 15]
        )
    assert close(value(formula, {q: at}), integral)


def test_impulses(value: Callable[..., Any]) -> None:
    """E[δ(u − t) g(v)] = p(t) E[g(v) | u = t], v | u ~ N(cu/q1, Δ/q1)."""
    t = R(1, 3)
    density = sp.exp(-(t**2) / (2 * q1)) / sp.sqrt(2 * sp.pi * q1)
    mean, variance = c * t / q1, Delta / q1
    cubic = expectation(diracs([(t, R(5))]), atoms("x**3"), PAIR)
    assert close(value(cubic, POINT), value(5 * density * (mean**3 + 3 * mean * variance), POINT))
    step = expectation(diracs([(t, R(5))]), atoms("step(x)"), PAIR)
    assert close(value(step, POINT), value(5 * density * Phi(mean / sp.sqrt(variance)), POINT))
    both = expectation(diracs([(t, R(1))]), diracs([(-t, R(1))]), PAIR)
    joint = sp.exp(-(q2 * t**2 + 2 * c * t**2 + q1 * t**2) / (2 * Delta)) / (2 * sp.pi * sp.sqrt(Delta))
    assert close(value(both, POINT), value(joint, POINT))


def test_two_impulses_are_infinite_on_the_diagonal() -> None:
    impulse = diracs([(sp.S.Zero, R(1))])
    with pytest.raises(DivergentExpectation, match="almost-everywhere"):
        expectation(impulse, impulse, DIAGONAL)


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
        ("sin(x**2)", "quadratic part"),
        ("erf(x**2)", "erf(x**2)"),
        ("Phi(exp(x))", "Phi(exp(x))"),
        ("x**(1/3)", "x**(1/3)"),
        ("sin(x)*step(x)", "complex argument"),
        ("Phi(x)**2", "4 half-spaces"),
    ],
)
def test_what_is_outside_the_class_is_named(text: str, words: str) -> None:
    with pytest.raises(OutsideClass) as caught:
        integrate(activation(text), "almost-everywhere")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_three_half_spaces_off_the_origin_are_outside() -> None:
    with pytest.raises(OutsideClass, match="3 half-spaces off the origin"):
        expectation(atoms("Phi(x - 1)*step(x)"), atoms("step(x)"), PAIR)


def test_the_trace_tells_every_step(integrated: Callable[..., Any]) -> None:
    steps = integrated("max(0, x)").steps
    assert [step.rule for step in steps][:3] == ["pieces", "atoms of phi", "atoms of phi'"]
    assert steps[0].result == "phi = 0 | x, knots: 0"
    assert all(step.result and step.source for step in steps)
