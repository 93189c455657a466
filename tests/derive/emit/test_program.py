from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mehler.derive.emit.numpy import expression
from mehler.derive.emit.program import OPERATIONS, Apply, Constant, Name, Node, constant_name, lower
from mehler.derive.errors import EmitError
from mehler.derive.special import Phi
from mehler.derive.stabilise.code import StraightLine
from mehler.derive.symbols import q1, q2

R = sp.Rational
a, b = sp.symbols("a b", positive=True)
MP = mpmath.mp.clone()
MP.dps = 30


def node(expr: sp.Expr) -> Node:
    (output,) = lower(StraightLine((q1, q2, a, b), (), (expr,))).outputs
    return output


@pytest.mark.parametrize(
    ("expr", "word"),
    [
        (sp.gamma(q1), "gamma"),
        (q1 + sp.besselj(0, q2), "besselj"),
        (q1 ** R(1, 3), "Pow"),
        (q1**q2, "Pow"),
        (sp.acoth(q1), "acoth"),
    ],
)
def test_a_function_without_an_operation_is_refused_by_name(expr: sp.Expr, word: str) -> None:
    with pytest.raises(EmitError, match=word) as caught:
        node(expr)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("expr", [sp.I, sp.oo, q1 * sp.I, sp.zoo, sp.sqrt(-2)])
def test_numbers_that_are_not_real_and_finite_are_refused(expr: sp.Expr) -> None:
    with pytest.raises(EmitError):
        node(expr)


def test_shapes_that_round_least() -> None:
    third = Constant("3.000000000000000000000000000000000000000", "3")
    assert node(q1 / 3) == Apply("div", (Name("q1"), third))
    assert isinstance(node(q1 / 4), Apply)
    assert node(q1 - q2) == Apply("sub", (Name("q1"), Name("q2")))
    assert node(-q1 - q2) == Apply("neg", (Apply("add", (Name("q1"), Name("q2"))),))
    assert node(q1 * sp.sqrt(q1)) == Apply("mul", (Name("q1"), Apply("sqrt", (Name("q1"),))))
    assert node(1 / sp.sqrt(q1)).operation == "div"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (2 * a * b * q1 * q2, "2.0 * b * q1 * q2 * a"),
        (a * sp.sqrt(q1) * sp.sqrt(q2) * q1 * q2, "q1 * np.sqrt(q1) * (q2 * np.sqrt(q2)) * a"),
        (a + q2 + q1 + 3, "3.0 + q1 + q2 + a"),
        (a - q1 - 2 * b, "a - 2.0 * b - q1"),
        (-2 * a * q1, "-2.0 * q1 * a"),
        (-a * q1, "-(q1 * a)"),
        (a / (q1 * q2), "a / (q1 * q2)"),
        (a * (q1 + q2), "a * (q1 + q2)"),
    ],
    ids=str,
)
def test_what_is_small_comes_first(expr: sp.Expr, text: str) -> None:
    """a is a matrix, q1 and q2 are a column and a row, b is a number."""
    code = StraightLine((q1, q2, a, b), (), (expr,))
    (output,) = lower(code, {"q1": 0, "q2": 1, "b": -1}).outputs
    assert expression(output) == text


def test_what_is_made_of_small_quantities_is_small() -> None:
    code = StraightLine((q1, q2, a), ((b, 1 / sp.sqrt(q2 + 1)),), (a * b * q1,))
    assert expression(lower(code, {"q1": 0, "q2": 1}).outputs[0]) == "q1 * b * a"


def test_a_base_is_computed_once() -> None:
    program = lower(StraightLine((q1, q2), (), (sp.Pow(q1 + q2, 3),)))
    assert len(program.body) == 1
    assert program.outputs[0] == Apply("mul", (Apply("mul", (Name("base1"),) * 2), Name("base1")))


def test_earlier_names_are_not_taken_again() -> None:
    base1 = sp.Symbol("base1")
    program = lower(StraightLine((q1, q2), ((base1, q1 + 1),), (sp.Pow(q1 + q2, 2) * base1,)))
    assert [assignment.name for assignment in program.body] == ["base1", "base2"]


def test_constants_have_forty_digits() -> None:
    constant = node(sp.pi / 7)
    assert isinstance(constant, Constant)
    assert mpmath.almosteq(mpmath.mpf(constant.decimal), mpmath.pi / 7)
    assert len(constant.decimal) >= 40
    assert constant.exact == "pi/7"


LEAVES = st.sampled_from(
    [q1, q2, a, b, sp.Integer(2), sp.Integer(-3), R(1, 3), R(-5, 8), sp.pi, sp.sqrt(2), 1 / sp.sqrt(2 * sp.pi)]
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(sp.Add, inner, inner),
        st.builds(sp.Mul, inner, inner),
        st.builds(lambda e, f: e - f, inner, inner),
        st.builds(lambda e: e**2, inner),
        st.builds(lambda e: 1 / (e**2 + 1), inner),
        st.builds(lambda e: sp.sqrt(e**2 + 1) ** 3, inner),
        st.builds(lambda e: sp.exp(-(e**2)), inner),
        st.builds(lambda e, f: sp.atan2(e, f**2 + 1), inner, inner),
        st.builds(Phi, inner),
    ),
    max_leaves=7,
)


@given(EXPRESSIONS)
@settings(max_examples=100)
def test_a_program_means_its_expression(run: Callable[..., list[Any]], expr: sp.Expr) -> None:
    point = {q1: R(3, 7), q2: R(11, 5), a: R(1, 9), b: R(5, 2)}
    program = lower(StraightLine(tuple(point), (), (expr,)))
    (got,) = run(program, {s.name: MP.mpf(int(v.p)) / int(v.q) for s, v in point.items()}, MP)
    expected = MP.mpf(str(sp.N(expr.subs(point), 30)))
    assert abs(got - expected) <= 1e-24 * (1 + abs(expected))
    assert {n.operation for n in program.nodes() if isinstance(n, Apply)} <= OPERATIONS


@pytest.mark.parametrize(
    ("exact", "name"),
    [("pi", "PI"), ("1/(2*pi)", "ONE_OVER_2_PI"), ("sqrt(2)/2", "SQRT_2_OVER_2"), ("2/3", "C_2_OVER_3")],
)
def test_names_say_what_a_constant_is(exact: str, name: str) -> None:
    assert constant_name(exact) == name


@given(EXPRESSIONS)
@settings(max_examples=50)
def test_constant_names_are_identifiers(expr: sp.Expr) -> None:
    for n in lower(StraightLine((q1, q2, a, b), (), (expr,))).nodes():
        if isinstance(n, Constant):
            assert constant_name(n.exact).isidentifier()
            assert constant_name(n.exact).isupper()
