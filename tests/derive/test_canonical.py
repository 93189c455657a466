"""The form a reader sees, and that it is the same function."""

from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mehler.derive.algebra import sample_points
from mehler.derive.canonical import canonical, eliminate_c, in_angle, smallest
from mehler.derive.dual import Dual, ProvedDual, shown
from mehler.derive.evaluate import compile_function, context
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import Delta, c, q1, q2, theta

ROOT = sp.sqrt(q1) * sp.sqrt(q2)
ANGLES = sp.sin(theta) + (sp.pi - theta) * sp.cos(theta)

FORMS: dict[str, sp.Expr] = {
    "relu": ROOT * ANGLES / (2 * sp.pi),
    "step": (sp.pi - theta) / (2 * sp.pi),
    "sign": 1 - 2 * theta / sp.pi,
    "erf": 2 / sp.pi * sp.asin(2 * c / (sp.sqrt(2 * q1 + 1) * sp.sqrt(2 * q2 + 1))),
    "sin": sp.exp(-q1 / 2 - q2 / 2) * sp.sinh(c),
    "cos": sp.exp(-q1 / 2 - q2 / 2) * sp.cosh(c),
    "exp(x)": sp.exp(c + q1 / 2 + q2 / 2),
    "x**3": 6 * c**3 + 9 * c * q1 * q2,
    "gaussian": 1 / sp.sqrt(sp.expand((1 + 2 * q1) * (1 + 2 * q2) - 4 * c**2)),
    "rff": sp.exp(c - q1 / 2 - q2 / 2),
}

EVERY = [
    *("step", "sign", "relu", "leaky_relu", "abs", "relu2", "erf", "gelu", "sin", "cos", "rff", "exp", "gaussian"),
    *("x**2 - x/2 + 1", "sin(x)**2", "probit", "exp(x)*step(x)"),
]


@pytest.mark.parametrize("name", FORMS)
def test_kernels_are_shown_in_the_form_people_know(name: str, derive: Callable[..., ProvedDual]) -> None:
    form = shown(derive(name).kernel)
    assert sp.count_ops(form) <= sp.count_ops(FORMS[name])
    assert sp.simplify(form - FORMS[name]) == 0
    assert form.has(theta) == FORMS[name].has(theta)


def test_relu_reads_as_cho_and_saul_wrote_it(derive: Callable[..., ProvedDual]) -> None:
    assert shown(derive("relu").kernel) == ROOT * ANGLES / (2 * sp.pi)
    assert shown(derive("relu").kernel_dot) in {
        (sp.pi - theta) / (2 * sp.pi),
        sp.Rational(1, 2) - theta / (2 * sp.pi),
    }


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("with_delta", [False, True])
def test_the_value_is_kept(
    name: str,
    with_delta: bool,
    integrated: Callable[..., Any],
    points: list[Any],
    value: Callable[..., Any],
) -> None:
    formulas = integrated(name).formulas
    for formula in (formulas.kernel, formulas.kernel_dot, formulas.kernel_diag, formulas.kernel_dot_diag):
        form = canonical(formula, with_delta=with_delta)
        assert with_delta or not form.has(Delta)
        for point in points:
            before = value(formula, point)
            assert abs(value(form, point) - before) <= 1e-25 * (1 + abs(before))


@pytest.mark.parametrize("name", ["relu", "step", "abs", "relu2", "leaky_relu"])
def test_the_angle_keeps_the_value(
    name: str, derive: Callable[..., ProvedDual], points: list[Any], value: Callable[..., Any]
) -> None:
    for formula in (derive(name).kernel, derive(name).kernel_dot):
        form = in_angle(formula)
        if form is None:
            assert not formula.has(sp.asin)
            continue
        assert not form.has(c)
        for point in points:
            angle = sp.acos(point[c] / sp.sqrt(point[q1] * point[q2]))
            assert abs(value(form, {**point, theta: angle}) - value(formula, point)) <= 1e-25


def test_no_angle_where_there_is_none() -> None:
    assert in_angle(c + sp.exp(q1)) is None
    assert in_angle(sp.asin(c / sp.sqrt(q1 + 1)) * q2) is None


def test_c_squared_is_eliminated_exactly() -> None:
    poly = 3 * c**5 - c**4 * q1 + c**2 + c + 7
    form = eliminate_c(poly)
    assert sp.Poly(form, c).degree() == 1
    assert sp.expand(form.subs(Delta, q1 * q2 - c**2) - poly) == 0


def test_ties_go_to_the_earlier_form() -> None:
    assert smallest([q1 + c, q2 + c, q1 * q2 + c]) == q1 + c


# Conjugates and reflections.


def outside_parts(expr: sp.Expr) -> sp.Expr:
    """`expr` with its real and imaginary parts as symbols."""
    return expr.replace(lambda e: isinstance(e, sp.re | sp.im), lambda _: sp.Dummy(real=True))


@pytest.mark.parametrize("text", ["sin(x)*step(x)", "sin(x)*max(0, x)", "exp(-abs(x))*cos(x)"])
def test_conjugate_pairs_are_real_parts(text: str, integrated: Callable[..., Dual]) -> None:
    dual = integrated(text)
    for formula in (dual.kernel, dual.kernel_dot):
        assert formula.has(sp.re, sp.im)
        assert not outside_parts(formula).has(sp.I)


@pytest.mark.parametrize("text", ["sin(x/3 + 1/7)*exp(-x**2/7)", "cos(x + 1)*(x + 2)"])
def test_a_phase_leaves_a_real_formula_for_code(text: str, integrated: Callable[..., Dual]) -> None:
    dual = integrated(text)
    for formula in (dual.kernel, dual.kernel_dot):
        assert not canonical(formula, with_delta=True).has(sp.I)


def test_a_conjugate_pair_is_twice_a_real_part() -> None:
    z = Phi(q1 + sp.I * c)
    assert canonical(z + z.subs(sp.I, -sp.I)) == 2 * sp.re(z)
    assert canonical(sp.I * z - sp.I * z.subs(sp.I, -sp.I)) in {2 * sp.re(sp.I * z), -2 * sp.im(z)}
    assert canonical(3 * z * z.subs(sp.I, -sp.I)).has(sp.re) is False


def test_reflections_merge_the_terms_of_sinc(integrated: Callable[..., Dual]) -> None:
    dual = integrated("sin(x)/x")
    assert len(dual.kernel.atoms(Phi2)) == 2
    assert len(dual.formulas.kernel.atoms(Phi2)) > 2


@pytest.mark.parametrize(
    ("expr", "form"),
    [
        (Phi(q1) + Phi(-q1), sp.S.One),
        (Phi2(q1, q2, c / 9) + Phi2(-q1, q2, -c / 9), Phi(q2)),
        (Phi2(-q1, -q2, c / 9) + Phi(q1) + Phi(q2) - 1, Phi2(q1, q2, c / 9)),
    ],
)
def test_reflections(expr: sp.Expr, form: sp.Expr) -> None:
    assert canonical(expr) == form


def test_small_probabilities_keep_their_digits_with_delta() -> None:
    """A formula to be evaluated is not reflected: Φ(−h) stays, 1 − Φ(h) would have lost it."""
    assert canonical(Phi(-q1) * q2, with_delta=True) == Phi(-q1) * q2


RHO = c / ROOT
S = 1 + q1 + q2 + q1 * q2 - c**2
LEAVES = st.sampled_from(
    [q1, q2, c, Delta, sp.Integer(2), sp.Rational(-1, 3), sp.pi, sp.sqrt(2), sp.asin(RHO), Phi(c / q1), Phi(-q1)]
)
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(sp.Add, inner, inner),
        st.builds(sp.Mul, inner, inner),
        st.builds(lambda e: e**2, inner),
        st.sampled_from([sp.sqrt(q1 + 1), 1 / sp.sqrt(S), sp.sqrt(Delta), 1 / (q2 + 3), 1 / Delta]),
        st.sampled_from([Phi2(q1, c, RHO / 2), sp.exp(-q2 / (2 * Delta))]),
        st.sampled_from([sp.exp(-q1 / 2), sp.exp(c - q2), sp.cosh(c), sp.exp(-c / (q1 + 1))]),
        st.sampled_from([sp.exp(sp.I * c) + sp.exp(-sp.I * c), sp.re(Phi(q1 + sp.I * c)), sp.sin(c)]),
    ),
    max_leaves=7,
)  # fmt: skip


@given(FORMULAS, st.booleans())
@settings(max_examples=20)
def test_the_smallest_form_is_the_same_function(expr: sp.Expr, with_delta: bool) -> None:
    form = canonical(expr, with_delta=with_delta)
    assert (
        sp.count_ops(form) <= sp.count_ops(expr.subs(Delta, q1 * q2 - c**2))
        or with_delta
        or form.has(Phi, Phi2, sp.exp)
    )
    ctx = context(40)
    for point in sample_points([]):
        env = {s: ctx.mpf(int(v.p)) / int(v.q) for s, v in point.items()}
        before, after = (compile_function(e, ctx)(env) for e in (expr, form))
        assert abs(before - after) <= mpmath.mpf(10) ** -30 * (1 + abs(before))
