import math

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mehler.derive.activation import NAMED, activation
from mehler.derive.errors import OutsideClass
from mehler.derive.parser import parse
from mehler.derive.pieces import Pieces, split
from mehler.derive.symbols import x

R = sp.Rational


def cut(text: str, **assumptions: str) -> Pieces:
    return activation(text, assumptions).pieces


@pytest.mark.parametrize(
    ("text", "knots", "pieces"),
    [
        ("x**3", (), (x**3,)),
        ("max(0, x)", (0,), (0, x)),
        ("abs(x)", (0,), (-x, x)),
        ("sign(x - 1)", (1,), (-1, 1)),
        ("step(-2*x)", (0,), (1, 0)),
        ("min(max(0, x), 6)", (0, 6), (0, x, 6)),
        ("clip(x, -1, 1)", (-1, 1), (-1, x, 1)),
        ("where(x > 0, x, 2*x)", (0,), (2 * x, x)),
        ("where(x > 0 and x < 1, x, 0)", (0, 1), (0, x, 0)),
        ("Piecewise((0, x < -1), (x + 1, x < 0), (1, True))", (-1, 0), (0, x + 1, 1)),
        ("abs(abs(x) - 1)", (-1, 0, 1), (-x - 1, x + 1, 1 - x, x - 1)),
        ("max(x, -x, 2)", (-2, 2), (-x, 2, x)),
        ("max(0, min(1, max(x, x**2)))", (-1, 0, 1), (1, x**2, x, 1)),
        ("max(0, abs(x) - 1)", (-1, 1), (-x - 1, 0, x - 1)),
        ("abs(x**2 - 2)", (-sp.sqrt(2), sp.sqrt(2)), (x**2 - 2, 2 - x**2, x**2 - 2)),
        ("max(0, exp(x) - 1)", (0,), (0, sp.exp(x) - 1)),
        ("where(exp(2*x) > 3, 1, x)", (sp.log(3) / 2,), (x, 1)),
        ("max(tanh(x), 1/2)", (sp.log(3) / 2,), (R(1, 2), sp.tanh(x))),
        ("max(0, sinh(2*x) - 1)", (sp.log(1 + sp.sqrt(2)) / 2,), (0, sp.sinh(2 * x) - 1)),
        ("where(atan(x)**2 > 1, 1, 0)", (-sp.tan(1), sp.tan(1)), (1, 0, 1)),
        ("max(asinh(x), 2)", (sp.sinh(2),), (2, sp.asinh(x))),
        ("x**2*abs(x)*sin(x)", (0,), (-(x**3) * sp.sin(x), x**3 * sp.sin(x))),
    ],
)
def test_knots_and_pieces(text: str, knots: tuple[sp.Expr, ...], pieces: tuple[sp.Expr, ...]) -> None:
    found = cut(text)
    assert found.knots == knots
    assert [sp.expand(a - b) for a, b in zip(found.pieces, pieces, strict=True)] == [0] * len(pieces)


@pytest.mark.parametrize(
    ("text", "knots", "pieces"),
    [
        ("max(x, x*exp(-abs(x)))", [0], (x * sp.exp(x), x)),
        ("min(x, sin(x))", [0], (x, sp.sin(x))),
        ("max(x, tanh(x))", [0], (sp.tanh(x), x)),
        ("min(x*sigmoid(x), 6)", [6.0146561], (x / (1 + sp.exp(-x)), 6)),
        ("max(softplus(x), 1)", [0.5413249], (1, sp.log(1 + sp.exp(x)))),
        ("where(x**5 - x - 1 > 0, x, 0)", [1.1673040], (0, x)),
        ("max(erf(x), x/2)", [-1.9902328, 0, 1.9902328], (sp.erf(x), x / 2, sp.erf(x), x / 2)),
        ("sign(erf(x) - 1/2)", [0.4769363], (-1, 1)),
        ("abs(exp(-x) - x)", [0.5671433], (sp.exp(-x) - x, x - sp.exp(-x))),
        ("max(0, exp(x)*(x**3 - 2))", [1.2599210], (0, sp.exp(x) * (x**3 - 2))),
        ("abs(max(x, 2*tanh(x)) - 2*tanh(x))", [-1.9150080, 0, 1.9150080], None),
        ("clip(x*sigmoid(x), -1/10, 1)", [-3.5372596, -0.2252655, 1.2784645], None),
        ("abs(x**3 - 2*x + 1/3)", [-1.4911541, 0.1690837, 1.3220704], None),
    ],
)
def test_knots_without_a_formula(text: str, knots: list[float], pieces: tuple[sp.Expr, ...] | None) -> None:
    """The numbers are those of mpmath's findroot."""
    found = cut(text)
    assert found.radius is sp.oo
    assert found.jumps() == () or "sign" in text or "where" in text
    assert [float(knot) for knot in found.knots] == pytest.approx(knots, abs=1e-7)
    if pieces is not None:
        assert [sp.expand(a - b) for a, b in zip(found.pieces, pieces, strict=True)] == [0] * len(pieces)


@pytest.mark.parametrize(
    ("text", "parity"),
    [
        ("abs(sin(x))", 1),
        ("max(0, sin(x))", 0),
        ("max(cos(x), 1/2)", 1),
        ("sign(tan(x/2)) + x", -1),
        ("abs(x*cos(x))", 1),
    ],
)
def test_knots_without_end(text: str, parity: int) -> None:
    """Between its knots, each piece is what Python says of φ."""
    found = cut(text)
    assert float(found.radius) > 190
    assert found.parity() == parity
    assert found.derivative().radius == found.radius
    scope = {"sin": math.sin, "cos": math.cos, "tan": math.tan, "sign": lambda t: math.copysign(1, t)}
    for at in (-99.3, -11.1, -1.7, 0.4, 3.3, 42.0, 99.9, 180.5):
        piece = found.pieces[sum(float(t) < at for t in found.knots)]
        assert float(piece.subs(x, R(str(at)))) == pytest.approx(eval(text, {**scope, "x": at}), abs=1e-12)


def test_two_radii_make_the_smaller() -> None:
    one, two = Pieces((R(1),), (x, -x), R(30)), Pieces((R(2),), (x, R(0)), R(20))
    assert one.times(two).radius == 20
    assert one.times(Pieces((), (x,))).radius == 30
    assert two.scaled(R(-1, 2)).radius == 40


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("max(x*exp(-x), exp(-1))", sp.exp(-1)),
        ("max(0, x) + min(0, x)", x),
        ("abs(x)*sign(x)", x),
        ("max(x, x - 1)", x),
        ("where(x > 0, x**2, abs(x)**2)", x**2),
        ("abs(x**2 + 1)", x**2 + 1),
        ("max(tanh(x), 2)", sp.Integer(2)),
    ],
)
def test_a_knot_where_nothing_changes_is_dropped(text: str, same: sp.Expr) -> None:
    found = cut(text)
    assert found.knots == ()
    assert sp.expand(found.pieces[0] - same) == 0


@pytest.mark.parametrize(
    ("text", "jumps"),
    [
        ("x", ()),
        ("max(0, x)", ()),
        ("x*step(x)", ()),
        ("sign(x)", ((0, 2),)),
        ("step(1 - x)", ((1, -1),)),
        ("where(x > 2, x**2, 1)", ((2, 3),)),
        ("sign(x) + step(x - 1) + abs(x + 1)", ((0, 2), (1, 1))),
        ("sign(x**2 - 1)", ((-1, -2), (1, 2))),
    ],
)
def test_jumps(text: str, jumps: tuple[tuple[int, int], ...]) -> None:
    assert cut(text).jumps() == jumps


def test_derivative_is_taken_piece_by_piece() -> None:
    assert cut("max(0, x)**2").derivative() == Pieces((0,), (0, 2 * x))
    assert cut("sign(x)").derivative() == Pieces((0,), (0, 0))


# 0 claims nothing: where the order of −a and a is not known it is the answer, and no error.
@pytest.mark.parametrize(
    ("text", "parity"),
    [
        ("x**2 - cos(x)", 1),
        ("x**3 + sin(x)", -1),
        ("x + 1", 0),
        ("abs(x)", 1),
        ("sign(x)*exp(-x**2)", -1),
        ("max(0, x)", 0),
        ("clip(x, -1, 1)", -1),
        ("clip(x, -1, 2)", 0),
        ("abs(abs(x) - 1)", 1),
        ("x*Phi(x)", 0),
        ("erf(x)", -1),
        ("sin(x)/x", 1),
        ("x/(1 + x**2)", -1),
        ("a*x**3", -1),
        ("abs(x - 1) + abs(x + 1)", 1),
        ("where(x > 0, x, 2*x)", 0),
        ("max(0, x - a)", 0),
        ("abs(x - a)", 0),
    ],
)
def test_parity(text: str, parity: int) -> None:
    assert cut(text).parity() == parity


def test_knots_of_known_signs_are_no_mirror_images() -> None:
    assert cut("abs(x) + abs(x - a)", a="positive").parity() == 0
    assert cut("abs(x + a) + abs(x - a)", a="positive").parity() == 1


def test_the_order_of_symbolic_knots_must_be_known() -> None:
    with pytest.raises(OutsideClass, match="order of") as caught:
        cut("abs(x) + abs(x - a)")
    assert "a=positive" in str(caught.value)
    with pytest.raises(OutsideClass, match="order of"):
        cut("abs(x - a) + abs(x - b)")
    assert cut("abs(x) + abs(x - a)", a="positive").knots == (0, sp.Symbol("a", positive=True))
    assert cut("abs(x) + abs(x - a)", a="negative").knots == (sp.Symbol("a", negative=True), 0)
    assert cut("abs(x - a) + abs(x - b)", a="1/2", b="-1").knots == (-1, R(1, 2))


def test_one_symbolic_knot_needs_no_order() -> None:
    a = sp.Symbol("a", real=True)
    assert cut("max(0, x - a)") == Pieces((a,), (0, x - a))


def test_the_sign_of_a_symbolic_slope_must_be_known() -> None:
    with pytest.raises(OutsideClass, match="sign of"):
        cut("max(0, a*x)")
    a = sp.Symbol("a", positive=True)
    assert cut("max(0, a*x)", a="positive") == Pieces((0,), (0, a * x))


@pytest.mark.parametrize("text", ["max(0, sin(1/x))", "abs(sin(99*x))", "max(exp(a*x), x)", "max(0, x**2 - a*x)"])
def test_a_switch_that_cannot_be_located_is_outside_the_class(text: str) -> None:
    with pytest.raises(OutsideClass, match="cannot locate|cannot tell|too often|is not known") as caught:
        cut(text)
    assert "\n" not in str(caught.value)


def test_a_line_with_a_hole_is_refused() -> None:
    with pytest.raises(OutsideClass, match="undefined"):
        cut("Piecewise((x, x > 1), (0, x < 0))")


NUMBERS = st.fractions(min_value=-3, max_value=3, max_denominator=4).map(lambda f: f"({f})")
LINES = st.builds("({}*x + {})".format, NUMBERS, NUMBERS)
SWITCHED = st.recursive(
    LINES,
    lambda inner: st.one_of(
        st.builds("abs({})".format, inner),
        st.builds("max({}, {})".format, inner, inner),
        st.builds("min({}, {})".format, inner, inner),
        st.builds("where({0} > {1}, {0}, {2})".format, inner, inner, inner),
        st.builds("({} - {})".format, inner, inner),
        st.builds("step({})*{}".format, inner, inner),
    ),
    max_leaves=5,
)


@given(SWITCHED)
@settings(max_examples=80)
def test_the_pieces_are_the_function(text: str) -> None:
    expr = parse(text, NAMED, {})
    found = split(expr)
    assert list(found.knots) == sorted(set(found.knots))
    assert not any(piece.has(sp.Abs, sp.Max, sp.Min, sp.Heaviside, sp.Piecewise) for piece in found.pieces)
    # Off the knots, whose denominators are small.
    for t in (R(-37, 7), R(-117, 101), R(-1, 1009), R(101, 997), R(1013, 1009), R(17, 3) + R(1, 1013)):
        piece = found.pieces[sum(bool(knot < t) for knot in found.knots)]
        assert piece.subs(x, t) == expr.subs(x, t), (text, t)


@pytest.mark.parametrize(
    ("text", "knots"),
    [
        ("abs(tanh(x))", ["0"]),
        ("max(0, x*tanh(2*x - 1))", ["0", "1/2"]),
        ("abs(sinh(x**2 - 4)*exp(x))", ["-2", "2"]),
    ],
)
def test_knots_of_odd_increasing_functions(text: str, knots: list[str]) -> None:
    assert activation(text).pieces.knots == tuple(map(sp.Rational, knots))
