"""Every operation against plain matrix algebra, at rational points, where equality is exact."""

from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mehler.derive.gaussian import Gaussian, HalfSpace
from mehler.derive.symbols import Delta, c, q, q1, q2

R = sp.Rational

CENTRED = (sp.S.Zero, sp.S.Zero)
PAIR = Gaussian(CENTRED, (q1, q2), c, Delta)
TWICE = Gaussian(CENTRED, (q, q), q, sp.S.Zero)


def rational(f: Fraction) -> sp.Rational:
    return R(f.numerator, f.denominator)


def fractions(lo: int, hi: int) -> st.SearchStrategy[sp.Rational]:
    return st.fractions(lo, hi, max_denominator=9).map(rational)


VARIANCES = st.fractions("1/9", 5, max_denominator=9).map(rational)
CORRELATIONS = st.fractions("-8/9", "8/9", max_denominator=9).map(rational)
NEGATIVE = fractions(-3, 0)
ANY = fractions(-3, 3)
SPACES = st.builds(HalfSpace, ANY.filter(bool), ANY, st.sampled_from([0, 1]))


@st.composite
def gaussians(draw: st.DrawFn, centred: bool = False) -> Gaussian:
    a, b = draw(VARIANCES), draw(VARIANCES)
    # c = r·min(a, b) has c² < ab, and is rational.
    ab = draw(CORRELATIONS) * min(a, b)
    mean = (sp.S.Zero, sp.S.Zero) if centred else (draw(ANY), draw(ANY))
    return Gaussian(mean, (a, b), ab, a * b - ab**2)


def matrix(g: Gaussian) -> sp.Matrix:
    return sp.Matrix([[g.var[0], g.cov], [g.cov, g.var[1]]])


def mean(g: Gaussian) -> sp.Matrix:
    return sp.Matrix(g.mean)


def consistent(g: Gaussian) -> bool:
    return bool(sp.cancel(g.var[0] * g.var[1] - g.cov**2 - g.det) == 0)


@given(gaussians(centred=True), NEGATIVE, NEGATIVE)
@settings(max_examples=50)
def test_tilt(g: Gaussian, a1: sp.Rational, a2: sp.Rational) -> None:
    D, tilted = g.tilt((a1, a2))
    alpha = sp.diag(a1, a2)
    assert matrix(tilted) == (matrix(g).inv() - 2 * alpha).inv()
    assert (sp.eye(2) - 2 * alpha * matrix(g)).det() == D
    assert consistent(tilted)


@given(gaussians(centred=True), ANY, ANY)
@settings(max_examples=30)
def test_shift(g: Gaussian, b1: sp.Rational, b2: sp.Rational) -> None:
    beta = sp.Matrix([b1, b2])
    exponent, shifted = g.shift((b1, b2))
    assert mean(shifted) == matrix(g) * beta
    assert exponent == (beta.T * matrix(g) * beta)[0] / 2
    assert matrix(shifted) == matrix(g)
    assert consistent(shifted)


@given(gaussians(), st.sampled_from([0, 1]), SPACES)
@settings(max_examples=50)
def test_form_and_condition(g: Gaussian, axis: int, space: HalfSpace) -> None:
    """The law of (u, v) given s·x + t + n·Z = 0, by the Schur complement in the covariance of (u, v, Z)."""
    joint = sp.diag(matrix(g), 1)
    row = sp.Matrix([[space.slope if i == axis else 0 for i in (0, 1)] + [space.noise]])
    variance = (row * joint * row.T)[0]
    form = (row * mean(g).col_join(sp.Matrix([0])))[0] + space.offset
    assert g.form(axis, space) == (form, variance)
    gain = (joint * row.T)[:2, :] / variance
    conditioned = g.condition(axis, space)
    assert matrix(conditioned) == matrix(g) - gain * gain.T * variance
    assert mean(conditioned) == mean(g) - gain * form
    assert consistent(conditioned)


@given(gaussians(centred=True), NEGATIVE, NEGATIVE, ANY, ANY, SPACES, SPACES)
@settings(max_examples=30)
def test_the_determinant_stays_right_along_a_derivation(
    g: Gaussian,
    a1: sp.Rational,
    a2: sp.Rational,
    b1: sp.Rational,
    b2: sp.Rational,
    one: HalfSpace,
    two: HalfSpace,
) -> None:
    _, g = g.tilt((a1, a2))
    _, g = g.shift((b1, b2))
    g = g.condition(0, one)
    assert consistent(g)
    if g.form(1, two)[1] != 0:
        g = g.condition(1, two)
        assert consistent(g)


def test_symbolic_covariances_stay_rational_and_consistent() -> None:
    a, s, t = sp.symbols("a s t", positive=True)
    _, g = PAIR.tilt((-a, -s))
    for step in (g, g.condition(0, HalfSpace(s, t, 1)), g.condition(1, HalfSpace(s, t, 0))):
        gap = step.var[0] * step.var[1] - step.cov**2 - step.det
        assert sp.cancel(gap.subs(Delta, q1 * q2 - c**2)) == 0
        assert all(entry.subs({q1: 2, q2: 1, c: 0, Delta: 2}).is_rational_function() for entry in step.var)


@pytest.mark.parametrize("noise", [0, 1])
def test_one_variable_twice(noise: int) -> None:
    """With Δ = 0, u and v are the same variable of variance q, and stay so."""
    a, b = R(-1, 3), R(-2)
    D, tilted = TWICE.tilt((a, b))
    assert sp.expand(D - (1 - 2 * (a + b) * q)) == 0
    assert [sp.cancel(entry - 1 / (1 / q - 2 * (a + b))) for entry in (*tilted.var, tilted.cov)] == [0, 0, 0]
    assert tilted.det == 0
    g = TWICE.condition(0, HalfSpace(R(3), R(0), noise))
    expected = 1 / (1 / q + 9) if noise else 0
    assert [sp.cancel(entry - expected) for entry in (*g.var, g.cov)] == [0, 0, 0]
    assert g.det == 0
