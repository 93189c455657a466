"""The test for zero: a "yes" must be a proof, and the zeros that occur must be found."""

from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mehler.derive.activation import activation
from mehler.derive.algebra import (
    DET,
    collect,
    groups,
    is_zero,
    merge_integrals,
    sample_points,
    sign_on_domain,
    size,
)
from mehler.derive.evaluate import compile_function, context
from mehler.derive.integrate import integrate
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import Delta, c, path, q, q1, q2, t

R = sp.Rational
a = sp.Symbol("a", real=True)
RHO = c / (sp.sqrt(q1) * sp.sqrt(q2))
S = 1 + q1 + q2 + q1 * q2 - c**2

ZERO = [
    (q1 + 1) ** 3 - (q1**3 + 3 * q1**2 + 3 * q1 + 1),
    1 / (q1 + 1) - 1 / (q1 + 2) - 1 / ((q1 + 1) * (q1 + 2)),
    sp.sqrt(4 * q1**2 * q2) - 2 * q1 * sp.sqrt(q2),
    sp.sqrt(q1**2 + 2 * q1 + 1) - q1 - 1,
    sp.sqrt(q1 * q2 + q2) - sp.sqrt(q2) * sp.sqrt(q1 + 1),
    sp.sqrt(S) / S - 1 / sp.sqrt(S),
    sp.sqrt(8) - 2 * sp.sqrt(2),
    sp.sqrt(20146741**2 * (q1 + q2)) - 20146741 * sp.sqrt(q1 + q2),
    sp.sqrt(6) - sp.sqrt(2) * sp.sqrt(3),
    (sp.sqrt(2) + sp.sqrt(3)) ** 2 - 5 - 2 * sp.sqrt(6),
    sp.sqrt(sp.pi) ** 3 - sp.pi * sp.sqrt(sp.pi),
    sp.sqrt(Delta) - sp.sqrt(DET),
    (q1 * q2 - Delta) / c - c,
    sp.exp(q1) * sp.exp(-q1) - 1,
    sp.exp(q1 / 2) ** 4 - sp.exp(2 * q1),
    sp.exp((q1**2 - c**2) / (q1 - c)) - sp.exp(q1) * sp.exp(c),
    sp.sinh(c) + sp.cosh(c) - sp.exp(c),
    sp.cosh(c) ** 2 - sp.sinh(c) ** 2 - 1,
    sp.sin(a) ** 2 + sp.cos(a) ** 2 - 1,
    sp.sin(2 * a) - 2 * sp.sin(a) * sp.cos(a),
    sp.cos(2 * a + c) - sp.cos(2 * a) * sp.cos(c) + sp.sin(2 * a) * sp.sin(c),
    sp.asin(RHO) - sp.asin(c / sp.sqrt(q1 * q2)),
    sp.asin(c * (q1 + 1) / ((q1 + 1) * sp.sqrt(q2 + 1))) - sp.asin(c / sp.sqrt(q2 + 1)),
    sp.diff(sp.asin(RHO), c) - 1 / sp.sqrt(Delta),
    Phi(-c / q1) + Phi(c / q1) - 1,
    Phi2(q1, c, RHO) - Phi2(c, q1, RHO),
    Phi2(-q1, c, RHO) - Phi(c) + Phi2(q1, c, -RHO),
    sp.diff(Phi2(q1, q2, c), q1)
    - sp.exp(-(q1**2) / 2) * Phi((q2 - c * q1) / sp.sqrt(1 - c**2)) / sp.sqrt(2 * sp.pi),
]

NOT_ZERO = [
    sp.Integer(1),
    q1 - q2,
    sp.sqrt(q1) - q1,
    sp.sqrt(q1) + sp.sqrt(q2) - sp.sqrt(q1 + q2),
    sp.sqrt(2) + sp.sqrt(3) - sp.sqrt(5),
    sp.sqrt((c + 1) ** 2 - 2 * c - 1) - c,
    sp.sqrt(q1**2 - 2 * q1 * q2 + q2**2) - (q1 - q2),
    sp.exp(q1) - sp.exp(q2),
    sp.exp(q1) - 1 - q1,
    sp.asin(RHO) - RHO,
    sp.asin(RHO) + sp.asin(-RHO) + R(1, 10**30),
    sp.sinh(c) - sp.sin(c),
    Phi(c) + Phi(-c),
    Phi2(q1, c, RHO) - Phi2(q1, c, -RHO),
    sp.pi - R(355, 113),
    sp.sqrt(Delta) - sp.sqrt(q1 * q2 + c**2),
]


@pytest.mark.parametrize("expr", ZERO, ids=str)
def test_zero_is_proved(expr: sp.Expr) -> None:
    assert is_zero(expr)


@pytest.mark.parametrize("expr", NOT_ZERO, ids=str)
def test_what_is_not_zero_is_never_proved_zero(expr: sp.Expr) -> None:
    assert not is_zero(expr)


LEAVES = st.sampled_from([q1, q2, c, Delta, sp.Integer(2), R(-1, 3), sp.pi, sp.sqrt(2), sp.asin(RHO), Phi(c / q1)])
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(sp.Add, inner, inner),
        st.builds(sp.Mul, inner, inner),
        st.builds(lambda e: e**2, inner),
        st.sampled_from([sp.sqrt(q1 + 1), sp.sqrt(q1 * q2), 1 / sp.sqrt(S), sp.sqrt(Delta), 1 / (q2 + 3)]),
        st.sampled_from([sp.exp(-q1 / 2), sp.exp(c - q2), sp.cosh(c), sp.sinh(2 * c), sp.exp(-c / (q1 + 1))]),
    ),
    max_leaves=6,
)
REWRITES: dict[str, Callable[[sp.Expr], sp.Expr]] = {
    "expand": sp.expand,
    "factor": lambda e: sp.factor(e.subs(Delta, DET)),
    "together": sp.together,
    "common factor": lambda e: sp.expand(e * (q1 + 1) * sp.sqrt(q2 + 5)) / (q1 + 1) / sp.sqrt(q2 + 5),
    "exponentials": lambda e: e.rewrite(sp.exp),
    "powsimp": sp.powsimp,
    "delta": lambda e: e.subs(c**2, q1 * q2 - Delta),
    "partial fractions": lambda e: e.replace(1 / (q2 + 3), 1 - (q2 + 2) / (q2 + 3)),
}


@given(FORMULAS, st.sampled_from(sorted(REWRITES)))
@settings(max_examples=80)
def test_rewritten_formulas_are_equal(expr: sp.Expr, name: str) -> None:
    assert is_zero(expr - REWRITES[name](expr)), name


@given(
    FORMULAS,
    st.sampled_from(sorted(REWRITES)),
    st.sampled_from([sp.S.One, c, sp.sqrt(q1), sp.exp(-q1), sp.asin(RHO)]),
)
@settings(max_examples=60)
def test_a_tiny_error_is_not_zero(expr: sp.Expr, name: str, term: sp.Expr) -> None:
    assert not is_zero(expr - REWRITES[name](expr) + term / 10**40), name


@given(FORMULAS)
@settings(max_examples=40)
def test_collecting_keeps_the_value(expr: sp.Expr) -> None:
    for point in sample_points(expr.free_symbols):
        before = sp.N(expr.subs(point), 40)
        assert abs(sp.N(collect(expr).subs(point), 40) - before) <= 1e-30 * (1 + abs(before))


def test_groups_are_monomials_with_rational_coefficients(value: Callable[..., Any]) -> None:
    expr = (1 + q1) * sp.asin(RHO) / 2 + sp.sqrt(Delta) * (1 + c) - sp.asin(RHO) / 2 + sp.sqrt(DET) * c
    found = groups(expr)
    assert set(found) == {sp.asin(RHO), sp.sqrt(sp.expand(DET))}
    assert sp.expand(found[sp.asin(RHO)] - q1 / 2) == 0
    assert sp.expand(found[sp.sqrt(sp.expand(DET))] - 1 - 2 * c) == 0


def test_sample_points_are_in_the_domain() -> None:
    p, n = sp.Symbol("p", positive=True), sp.Symbol("n", negative=True)
    for point in sample_points([a, p, n]):
        assert point[q1] * point[q2] - point[c] ** 2 == point[Delta] > 0
        assert point[p] > 0 > point[n]
    assert len({point[a] > 0 for point in sample_points([a])}) == 2


def test_signs() -> None:
    assert sign_on_domain(q1 + 1) == 1
    assert sign_on_domain(-1 - q1 * q2) == -1
    assert sign_on_domain(DET) == 1
    assert sign_on_domain(sp.expand(-S)) == -1


def test_groups_that_restore_to_one_monomial_are_added() -> None:
    """exp(c)·exp(q1) and exp(c + q1) differ as monomials and not as expressions."""
    text = "exp(-(x-1)**2)*cos(x)"
    diagonal = integrate(activation(text), "almost-everywhere").formulas.kernel_dot_diag
    point = {q: sp.Rational(3, 7)}
    assert abs(sp.N((collect(diagonal) - diagonal).subs(point), 30)) < 1e-25


# Integrals.

INTEGRANDS = st.sampled_from(
    [
        1 / sp.sqrt(q1 * q2 - t**2),
        sp.exp(-t * q1),
        t**2 * sp.asin(t / (sp.sqrt(q1) * sp.sqrt(q2))),
        sp.sqrt(q1 + 1) * sp.cosh(t),
        Phi(t / sp.sqrt(q2 + 1)) * q1,
        t / (q1 * q2 + 1),
    ]
)
WEIGHTS = st.sampled_from([sp.S.One, R(-2, 3), q1, 1 / sp.sqrt(q2 + 1), sp.exp(-q1), sp.pi * c])


def over_c(f: sp.Expr, sign: int = 1) -> sp.Expr:
    return sp.Integral(f, (t, 0, sign * c))


@given(INTEGRANDS, INTEGRANDS, WEIGHTS, WEIGHTS)
@settings(max_examples=40)
def test_integration_is_linear(f: sp.Expr, g: sp.Expr, a: sp.Expr, b: sp.Expr) -> None:
    gap = a * over_c(f) + b * over_c(g) - over_c(sp.expand(a * f + b * g))
    assert is_zero(gap)
    assert is_zero(gap + a * over_c(f) + a * over_c(f.subs(t, -t), -1))
    assert not is_zero(gap + over_c(f) / 10**40)
    assert not is_zero(gap + a / 10**40)


@given(INTEGRANDS, INTEGRANDS, WEIGHTS, st.sampled_from([1, -1]))
@settings(max_examples=25)
def test_merged_integrals_keep_the_value(f: sp.Expr, g: sp.Expr, a: sp.Expr, sign: int) -> None:
    expr = a * over_c(f, sign) - 2 * over_c(g) + sp.Integral(g.subs(t, path), (path, 0, 1)) + a
    merged = merge_integrals(expr)
    assert {i.limits[0][0] for i in merged.atoms(sp.Integral)} <= {t, path}
    assert len(merged.atoms(sp.Integral)) <= 2
    ctx = context(25)
    for point in sample_points([])[:2]:
        # ∫ g over (0, 1) needs q1q2 > 1 there.
        env = {s: ctx.mpf(int(v.p)) / int(v.q) for s, v in (point | {q1: R(7, 3), q2: R(9, 5)}).items()}
        before, after = (compile_function(e, ctx)(env) for e in (expr, merged))
        assert abs(before - after) < 1e-20 * (1 + abs(before))


def test_integrals_over_different_intervals_stay_apart() -> None:
    expr = over_c(sp.exp(t)) + sp.Integral(sp.exp(t), (t, 0, q))
    assert len(merge_integrals(expr).atoms(sp.Integral)) == 2
    assert not is_zero(over_c(sp.exp(t)) - sp.Integral(sp.exp(t), (t, 0, q1)))
    assert merge_integrals(q1 + c) == q1 + c


def test_an_integral_of_nothing_is_gone() -> None:
    assert merge_integrals(over_c(t) - over_c(t) * 2 + over_c(t)) == 0
    assert merge_integrals(3 * over_c(t) + 3 * over_c(t, -1)) == over_c(6 * t)
    assert is_zero(over_c(t**2, -1) + over_c(t**2))


def test_an_integral_depends_on_its_end() -> None:
    """Price's theorem for an integral: d/dc ∫₀ᶜ f(t) dt = f(c)."""
    f = sp.exp(-(t**2)) / sp.sqrt(q1 * q2 - t**2)
    assert is_zero(sp.diff(over_c(f), c) - f.subs(t, c))
    assert not is_zero(sp.diff(over_c(f), c) - f.subs(t, -c) * (1 + R(1, 10**30)))


def test_what_is_too_large_is_left_undecided() -> None:
    """ "No" is an answer that claims nothing, and comes at once."""
    large = sp.Add(*(sp.exp(n * q1) * sp.sqrt(q2 + n) for n in range(1, 150)))
    assert size(large) > 700
    assert not is_zero(large - sp.Add(*(c * e for e in large.args)) / c)
