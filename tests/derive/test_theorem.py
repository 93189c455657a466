"""E[a(u)b(v)] of atoms against two-dimensional quadrature and the generating function of design.md section 4."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from mehler.derive.activation import activation
from mehler.derive.atoms import Atom, diracs, expand
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.evaluate import compile_function, context
from mehler.derive.gaussian import Gaussian, HalfSpace
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import Cov, Delta, E, Var, c, q1, q2, u, v
from mehler.derive.theorem import Theorem

R = sp.Rational
CENTRED = (sp.S.Zero, sp.S.Zero)
PAIR = Gaussian(CENTRED, (q1, q2), c, Delta)
POINT = {q1: R(2), q2: R(1, 2), c: R(-2, 5), Delta: R(21, 25)}
GAUSS = np.polynomial.legendre.leggauss(90)


def expectation(left: Sequence[Atom], right: Sequence[Atom], law: Gaussian = PAIR) -> sp.Expr:
    return Theorem(law).expectation(left, right)


def atoms(text: str) -> tuple[Atom, ...]:
    return expand(activation(text).pieces)


def close(a: Any, b: Any, digits: int = 22) -> bool:
    return bool(abs(a - b) <= mpmath.mpf(10) ** -digits * (abs(a) + abs(b) + 1))


def knot(slope: Any, offset: Any) -> HalfSpace:
    return HalfSpace(sp.sympify(slope), sp.sympify(offset), 0)


def factor(slope: Any, offset: Any) -> HalfSpace:
    return HalfSpace(sp.sympify(slope), sp.sympify(offset), 1)


# Two-dimensional quadrature, in double precision: nodes, weights and values of an atom on its own axis.


def sampled(atom: Atom, variance: float) -> tuple[Any, Any]:
    beta = complex(atom.beta)
    if atom.dirac is not None:
        x, w = np.array([float(atom.dirac)]), np.ones(1)
    else:
        reach = 10 * np.sqrt(variance) + 3 * abs(beta.real) * variance
        knots = [float(-s.offset / s.slope) for s in atom.spaces if not s.noise]
        edges = sorted({-reach, 0.0, reach, *(t for t in knots if abs(t) < reach)})
        edges = [e for a, b in pairwise(edges) for e in (a, (a + b) / 2)] + [reach]
        panels = [((a + b) / 2 + (b - a) / 2 * GAUSS[0], (b - a) / 2 * GAUSS[1]) for a, b in pairwise(edges)]
        x, w = (np.concatenate(part) for part in zip(*panels, strict=True))
    value = complex(atom.coefficient) * x**atom.power * np.exp(float(atom.alpha) * x**2 + beta * x)
    for space in atom.spaces:
        form = float(space.slope) * x + float(space.offset)
        value = value * (ndtr(form) if space.noise else (form > 0) + 0.5 * (form == 0))
    return x, w * value


def by_quadrature(a: Atom, b: Atom, v1: sp.Rational, v2: sp.Rational, cov: sp.Rational) -> tuple[complex, float]:
    """E[a(u)b(v)], and the size of what is summed."""
    (s, f), (t, g) = sampled(a, float(v1)), sampled(b, float(v2))
    det = float(v1 * v2 - cov**2)
    square = float(v2) * s[:, None] ** 2 - 2 * float(cov) * s[:, None] * t + float(v1) * t**2
    density = np.exp(-square / (2 * det)) / (2 * np.pi * np.sqrt(det))
    return complex(f @ density @ g), float(abs(f) @ density @ abs(g))


def assert_quadrature_agrees(a: Atom, b: Atom, v1: sp.Rational, v2: sp.Rational, cov: sp.Rational) -> None:
    formula = expectation([a], [b], Gaussian(CENTRED, (v1, v2), cov, v1 * v2 - cov**2))
    value = complex(compile_function(formula, context(25))({}))
    exact, size = by_quadrature(a, b, v1, v2, cov)
    assert abs(value - exact) <= 1e-12 * size, (a, b)


def rationals(lo: Any, hi: Any, bottom: int = 6) -> st.SearchStrategy[sp.Rational]:
    return st.fractions(lo, hi, max_denominator=bottom).map(lambda f: R(f.numerator, f.denominator))


SLOPES = rationals(-2, 2).filter(bool)
KNOTS = st.builds(HalfSpace, SLOPES, rationals(-1, 1), st.just(0))
FACTORS = st.builds(HalfSpace, SLOPES, rationals(-1, 1), st.just(1))
BETAS = st.one_of(st.just(sp.S.Zero), rationals(-1, 1), rationals(-2, 2).map(lambda b: sp.I * b))


@st.composite
def an_atom(draw: st.DrawFn, most: int = 1, *, impulses: bool = True) -> Atom:
    """An atom with up to `most` half-spaces, of which one may be a knot."""
    factors = draw(st.lists(FACTORS, max_size=most))
    if len(factors) < most and draw(st.booleans()):
        factors.append(draw(KNOTS))
    alpha = draw(st.one_of(st.just(sp.S.Zero), rationals(-2, 0)))
    dirac = draw(st.one_of(st.none(), rationals(-1, 1))) if impulses and not factors else None
    return Atom(draw(SLOPES), draw(st.integers(0, 3)), alpha, draw(BETAS), tuple(factors), dirac)


@st.composite
def covariances(draw: st.DrawFn) -> tuple[sp.Rational, sp.Rational, sp.Rational]:
    v1, v2 = draw(rationals("1/3", 2)), draw(rationals("1/3", 2))
    return v1, v2, draw(rationals("-4/5", "4/5")) * min(v1, v2)


@given(an_atom(), an_atom(), covariances())
@settings(max_examples=40)
def test_pairs_of_atoms(a: Atom, b: Atom, law: tuple[sp.Rational, sp.Rational, sp.Rational]) -> None:
    assert_quadrature_agrees(a, b, *law)


@given(an_atom(2), an_atom(1), covariances())
@settings(max_examples=6)
def test_pairs_with_up_to_three_half_spaces(
    a: Atom, b: Atom, law: tuple[sp.Rational, sp.Rational, sp.Rational]
) -> None:
    assert_quadrature_agrees(a, b, *law)


FOUR = [
    (Atom(R(1), spaces=(knot(1, R(1, 3)), factor(1, 0))), Atom(R(1), spaces=(knot(-1, 1), factor(2, -1)))),
    (
        Atom(R(1), 1, R(-1, 2), spaces=(factor(1, 0), factor(-1, 1))),
        Atom(R(2), 0, beta=R(1, 2), spaces=(factor(1, 1), factor(1, 0))),
    ),
    (Atom(R(1), 0, beta=sp.I, spaces=(factor(1, 0), factor(2, 1))), Atom(R(1), spaces=(factor(-1, 0), knot(1, 0)))),
]  # fmt: skip


@pytest.mark.parametrize("pair", FOUR, ids=range(len(FOUR)))
def test_four_half_spaces(pair: tuple[Atom, Atom]) -> None:
    assert_quadrature_agrees(*pair, R(3, 2), R(2, 3), R(1, 2))


def test_five_half_spaces_are_refused() -> None:
    phi = tuple(factor(1, n) for n in range(3))
    with pytest.raises(OutsideClass, match="5 half-spaces"):
        expectation([Atom(R(1), spaces=phi)], [Atom(R(1), spaces=phi[:2])])


# The generating function.


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
    (Atom(R(1), 1, R(-1, 2), sp.I, (factor(1, 0),)), Atom(R(1), 2, beta=-2 * sp.I)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_stein_agrees_with_the_generating_function(pair: tuple[Atom, Atom]) -> None:
    a, b = pair
    ctx = context(40)

    def value(expr: sp.Expr, point: dict[sp.Symbol, sp.Expr]) -> Any:
        return compile_function(expr.subs(point), ctx)({})

    direct = value(by_generating_function(a, b), {})
    assert close(value(expectation([a], [b]), POINT), direct)
    swapped = {q1: POINT[q2], q2: POINT[q1], c: POINT[c], Delta: POINT[Delta]}
    assert close(value(expectation([b], [a]), swapped), direct)


def test_expectation_is_bilinear(value: Callable[..., Any]) -> None:
    f, g = atoms("x*Phi(x) - 2*exp(x)"), atoms("x**2 + 3*erf(x)")
    parts = [value(expectation([a], [b]), POINT) for a in f for b in g]
    with mpmath.workdps(40):
        total = mpmath.fsum(parts)
    assert close(value(expectation(f, g), POINT), total)


THREE = ["Phi(x)*step(x)", "x*Phi(x)*step(-x)", "exp(-x**2)*erf(x)*step(x)"]


@pytest.mark.parametrize("text", THREE)
def test_three_centred_half_spaces(text: str, value: Callable[..., Any]) -> None:
    """E[f(u) 1[v > 0]] = ∫ f(u) p(u) Φ(βu/s) du, v | u ~ N(βu, s²); the theorem makes it a sum of three asin."""
    formula = expectation(atoms(text), atoms("step(x)"))
    assert formula.has(sp.asin)
    assert not formula.has(sp.Integral)
    with mpmath.workdps(30):
        variance, beta = mpmath.mpf(2), mpmath.mpf(-1) / 5
        s = mpmath.sqrt(mpmath.mpf(1) / 2 - beta**2 * variance)
        f = sp.lambdify(sp.Symbol("x", real=True), activation(text).expr, [{"Phi": mpmath.ncdf}, "mpmath"])
        integral = mpmath.quad(
            lambda u: f(u) * mpmath.npdf(u, 0, mpmath.sqrt(variance)) * mpmath.ncdf(beta * u / s),
            [-30, -10, -4, -1, 0, 1, 4, 10, 30],
        )
    assert close(value(formula, POINT), integral)


def test_impulses(value: Callable[..., Any]) -> None:
    """E[δ(u − t) g(v)] = p(t) E[g(v) | u = t], v | u ~ N(cu/q1, Δ/q1)."""
    t = R(1, 3)
    density = sp.exp(-(t**2) / (2 * q1)) / sp.sqrt(2 * sp.pi * q1)
    mean, variance = c * t / q1, Delta / q1
    cubic = expectation(diracs([(t, R(5))]), atoms("x**3"))
    assert close(value(cubic, POINT), value(5 * density * (mean**3 + 3 * mean * variance), POINT))
    step = expectation(diracs([(t, R(5))]), atoms("step(x)"))
    assert close(value(step, POINT), value(5 * density * Phi(mean / sp.sqrt(variance)), POINT))
    both = expectation(diracs([(t, R(1))]), diracs([(-t, R(1))]))
    joint = sp.exp(-(q2 * t**2 + 2 * c * t**2 + q1 * t**2) / (2 * Delta)) / (2 * sp.pi * sp.sqrt(Delta))
    assert close(value(both, POINT), value(joint, POINT))


def test_one_variable_alone(value: Callable[..., Any]) -> None:
    """With v = 0 the theorem gives E f(u)."""
    alone = Gaussian(CENTRED, (q1, sp.S.Zero), sp.S.Zero, sp.S.Zero)
    for text in ("max(0, x)**3", "x*Phi(x)", "exp(-x**2)*cos(2*x)", "where(x > 1/2, x**2, exp(x))"):
        formula = expectation(atoms(text), [Atom(sp.S.One)], alone)
        with mpmath.workdps(30):
            f = sp.lambdify(sp.Symbol("x", real=True), activation(text).expr, [{"Phi": mpmath.ncdf}, "mpmath"])
            integral = mpmath.quad(
                lambda u, f=f: f(u) * mpmath.npdf(u, 0, mpmath.sqrt(2)), [-25, -8, -3, 0, 0.5, 1, 3, 8, 25]
            )
        assert close(value(formula, POINT), integral), text


# What the theorem refuses.


@pytest.mark.parametrize(
    "alpha", [R(1, 100), sp.Symbol("a", real=True), R(1, 9) + sp.I, sp.Symbol("a", positive=True)]
)
def test_growth_that_diverges(alpha: sp.Expr) -> None:
    with pytest.raises(DivergentExpectation, match=r"diverges for large variances: .* contains exp") as caught:
        expectation([Atom(R(1), 0, alpha)], [Atom(R(1))])
    assert "\n" not in str(caught.value)


def test_a_complex_variance_with_a_half_space() -> None:
    with pytest.raises(OutsideClass, match="complex variance"):
        expectation([Atom(R(1), 0, sp.I, spaces=(knot(1, 0),))], [Atom(R(1))])
    chirp = expectation([Atom(R(1), 0, sp.I)], [Atom(R(1))])
    assert sp.simplify(chirp - 1 / sp.sqrt(1 - 2 * sp.I * q1)) == 0


# The trace: every step is an equation, and true.


def test_every_step_of_the_trace_says_where_it_comes_from() -> None:
    theorem = Theorem(PAIR)
    theorem.expectation(atoms("x*exp(-x**2 + x)*Phi(x)"), atoms("x**2*step(x)"))
    assert {step.rule for step in theorem.steps} == {"tilt", "shift", "Stein", "condition", "orthant"}
    for step in theorem.steps:
        assert step.citation
        assert step.before.has(E)
        assert not step.after.has(sp.nan, sp.zoo)
        assert step.before != step.after
    laws = [step.where for step in theorem.steps if step.rule in ("tilt", "shift", "condition")]
    assert all({Var(u), Var(v), Cov(u, v)} <= {fact.lhs for fact in where} for where in laws)


def test_an_expectation_is_derived_once() -> None:
    theorem = Theorem(PAIR)
    theorem.expectation(atoms("x*Phi(x)"), atoms("x*Phi(x)"))
    before = len(theorem.steps)
    theorem.expectation(atoms("3*x*Phi(x)"), atoms("-x*Phi(x)"))
    assert len(theorem.steps) == before


STEPS = [
    (("x*exp(-x**2/2)", "x**2*exp(x)"), {"tilt": 1, "shift": 1}),
    (("max(0, x)", "max(0, x)**2"), {"condition": 2, "Stein": 3}),
    (("x**2", "x**4"), {"Stein": 1}),
]


@pytest.mark.parametrize(("pair", "counts"), STEPS, ids=[str(pair) for pair, _ in STEPS])
def test_the_trace_has_the_steps_of_the_derivation(pair: tuple[str, str], counts: dict[str, int]) -> None:
    theorem = Theorem(PAIR)
    theorem.expectation(*map(atoms, pair))
    rules = [step.rule for step in theorem.steps]
    assert all(rules.count(rule) >= count for rule, count in counts.items()), rules


SPOKEN = [
    (Atom(R(1), 2, spaces=(knot(1, R(-1, 3)),)), Atom(R(1), 1, spaces=(knot(-2, R(1, 2)),))),
    (Atom(R(1), 3), Atom(R(1), 2)),
    (Atom(R(1), 2, spaces=(knot(1, R(-1, 3)),)), Atom(R(1), 1, spaces=(factor(1, 0),))),
]  # fmt: skip


@pytest.mark.parametrize("pair", SPOKEN, ids=["knots", "powers", "Phi"])
def test_stein_steps_are_true(pair: tuple[Atom, Atom]) -> None:
    """Each step before a condition changes the law, with both sides by quadrature."""
    law = Gaussian(CENTRED, (R(3, 2), R(2, 3)), R(1, 2), R(3, 4))
    theorem = Theorem(law)
    theorem.expectation([pair[0]], [pair[1]])
    rules = [step.rule for step in theorem.steps]
    spoken = theorem.steps[: rules.index("condition")] if "condition" in rules else theorem.steps
    assert spoken
    for step in spoken:
        sides = [
            complex(side.replace(E, lambda inside: by_density(inside, law)).evalf())
            for side in (step.before, step.after)
        ]
        assert abs(sides[0] - sides[1]) < 1e-10, step.before


def by_density(inside: sp.Expr, law: Gaussian) -> sp.Expr:
    """E[…] under `law` of powers, Heaviside, Phi and at most one Dirac per variable."""
    left, right = Atom(R(1)), Atom(R(1))
    for part in sp.Mul.make_args(inside):
        base, n = part.as_base_exp()
        side = left if part.has(u) else right
        (variable,) = part.free_symbols or {v}
        if part.is_number:
            new = replace(side, coefficient=side.coefficient * part)
        elif base == variable:
            new = Atom(side.coefficient, side.power + int(n), spaces=side.spaces, dirac=side.dirac)
        elif isinstance(part, sp.exp):
            alpha, beta, gamma = sp.Poly(part.exp, variable).all_coeffs()
            new = replace(side, coefficient=side.coefficient * sp.exp(gamma), alpha=alpha, beta=beta)
        elif isinstance(part, sp.DiracDelta):
            form = part.args[0]
            slope, offset = form.coeff(variable), form.subs(variable, 0)
            new = Atom(side.coefficient / abs(slope), side.power, spaces=side.spaces, dirac=-offset / slope)
        else:
            form = part.args[0]
            space = HalfSpace(form.coeff(variable), form.subs(variable, 0), int(isinstance(part, Phi)))
            new = Atom(side.coefficient, side.power, spaces=(*side.spaces, space), dirac=side.dirac)
        left, right = (new, right) if part.has(u) else (left, new)
    return sp.Float(by_quadrature(left, right, law.var[0], law.var[1], law.cov)[0].real)
