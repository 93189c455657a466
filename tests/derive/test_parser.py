import time
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mehler.derive.activation import NAMED, activation
from mehler.derive.errors import OutsideClass, ParseError
from mehler.derive.functions import FUNCTIONS
from mehler.derive.parser import MAX_DEPTH, MAX_LENGTH, parse
from mehler.derive.sizes import MAX_EXPONENT
from mehler.derive.special import Phi
from mehler.derive.symbols import x

HALF = sp.Rational(1, 2)

ACCEPTED = {
    "x": x,
    "+x": x,
    "x - -x": 2 * x,
    "max(0,x)": sp.Max(0, x),
    "Max(x, 0)": sp.Max(0, x),
    "maximum(0, x)": sp.Max(0, x),
    "max(x, -x, 2)": sp.Max(x, -x, 2),
    "min(x, 1)": sp.Min(x, 1),
    "Min(x, 1)": sp.Min(x, 1),
    "minimum(x, 1)": sp.Min(x, 1),
    "clip(x, -1, 1)": sp.Max(-1, sp.Min(1, x)),
    "abs(x)": sp.Abs(x),
    "Abs(x)": sp.Abs(x),
    "sign(x)": sp.sign(x),
    "step(x)": sp.Heaviside(x),
    "heaviside(x)": sp.Heaviside(x),
    "Heaviside(x)": sp.Heaviside(x),
    "where(x > 0, x, 0)": sp.Piecewise((x, x > 0), (0, True)),
    "Piecewise((x, x > 0), (0, True))": sp.Piecewise((x, x > 0), (0, True)),
    "Piecewise((-1, x < -1), (x, x < 1), (1, True))": sp.Piecewise((-1, x < -1), (x, x < 1), (1, True)),
    "x if x > 0 else 0": sp.Piecewise((x, x > 0), (0, True)),
    "x**2": x**2,
    "x^2": x**2,
    "2^-1*x": x / 2,
    "x**(1/3)": x ** sp.Rational(1, 3),
    "2**x": 2**x,
    "e**x": sp.exp(x),
    "E**x": sp.exp(x),
    "pi*x": sp.pi * x,
    "sqrt(2)*x": sp.sqrt(2) * x,
    "Phi(x)": Phi(x),
    "erf(x)": sp.erf(x),
    "erfc(x)": sp.erfc(x),
    "sigmoid(x)": 1 / (1 + sp.exp(-x)),
    "softplus(x)": sp.log(1 + sp.exp(x)),
    "arctan(x)": sp.atan(x),
    "asin(tanh(x))": sp.asin(sp.tanh(x)),
    "arccos(tanh(x))": sp.acos(sp.tanh(x)),
    "tanh(x)/cosh(x)": sp.tanh(x) / sp.cosh(x),
    "relu": sp.Max(0, x),
    "relu(x)": sp.Max(0, x),
    "relu(x) - relu(x - 1)": sp.Max(0, x) - sp.Max(0, x - 1),
    "gelu(2*x)": 2 * x * Phi(2 * x),
    "silu(-x)": -x / (1 + sp.exp(x)),
    "  max( 0,\n x )\t": sp.Max(0, x),
    "a*x": sp.Symbol("a", real=True) * x,
}

LITERALS = {
    "0.1": sp.Rational(1, 10),
    "1e-3": sp.Rational(1, 1000),
    "2.50": sp.Rational(5, 2),
    ".5": HALF,
    "1.": sp.Integer(1),
    "1_000": sp.Integer(1000),
    "1/3": sp.Rational(1, 3),
    "0.30000000000000004": sp.Rational(30000000000000004, 10**17),
    "1E2": sp.Integer(100),
}

CONDITIONS: dict[str, Callable[[Any], bool]] = {
    "x > 0 and x < 1": lambda t: 0 < t < 1,
    "(x > 0) & (x < 1)": lambda t: 0 < t < 1,
    "0 < x < 1": lambda t: 0 < t < 1,
    "1 >= x > 0": lambda t: 0 < t <= 1,
    "x < 0 or x > 1": lambda t: t < 0 or t > 1,
    "(x < 0) | (x > 1)": lambda t: t < 0 or t > 1,
    "not x > 0": lambda t: t <= 0,
    "not (x > 0 and x < 1) or x >= 3": lambda t: t <= 0 or t >= 1,
    "abs(x) <= 2": lambda t: abs(t) <= 2,
    "x**2 < 2": lambda t: t * t < 2,
    "True": lambda t: True,
    "2 < 1": lambda t: False,
}

# Text, and a word that the message must have: the fault, or the remedy.
REJECTED = [
    ("__import__('os').system('true')", "known function"),
    ("__import__('os')", "known function"),
    ("eval(x)", "known function"),
    ("x.real", "not allowed"),
    ("().__class__", "not allowed"),
    ("x.__class__(x)", "known function"),
    ("x[0]", "not allowed"),
    ("[x][0]", "not allowed"),
    ("[x, 1]", "not allowed"),
    ("(x, 1)", "not allowed"),
    ("{x}", "not allowed"),
    ("{1: x}", "not allowed"),
    ("lambda x: x", "not allowed"),
    ("(lambda: x)()", "known function"),
    ("[x for x in x]", "not allowed"),
    ("sum(x for x in x)", "known function"),
    ("f'{x}'", "not allowed"),
    ("'x'", "not allowed"),
    ("b'x'", "not allowed"),
    ("None", "not allowed"),
    ("...", "not allowed"),
    ("1j*x", "not allowed"),
    ("(y := x)", "not allowed"),
    ("(yield x)", "not allowed"),
    ("await x", "not allowed"),
    ("x @ x", "not allowed"),
    ("x // 2", "not allowed"),
    ("x % 2", "not allowed"),
    ("~x", "not allowed"),
    ("x << 2", "not allowed"),
    ("x in x", "compare"),
    ("x; x", "cannot read"),
    ("x = 1", "cannot read"),
    ("import os", "cannot read"),
    ("max(0, x", "cannot read"),
    ("x +", "cannot read"),
    ("x!", "cannot read"),
    ("x\0", "cannot read"),
    ("x\\", "cannot read"),
    ("", "empty"),
    ("  \n", "empty"),
    ("3", "does not depend on x"),
    ("pi**2", "does not depend on x"),
    ("x - x", "does not depend on x"),
    ("x*y", "one variable"),
    ("max(x, y)", "one variable"),
    ("foo*x", "foo=0.1 or foo=positive"),
    ("foo(x)", "known function"),
    ("x(2)", "known function"),
    ("2*relu", "relu(x)"),
    ("exp(x, x)", "1 argument"),
    ("exp()", "1 argument"),
    ("max()", "at least 1"),
    ("where(x > 0, x)", "3 argument"),
    ("clip(x, 1)", "3 argument"),
    ("gelu(x, x)", "1 argument"),
    ("max(0, x, key=x)", "by position"),
    ("clip(x, a_min=0, a_max=1)", "by position"),
    ("max(*x)", "by position"),
    ("max(**x)", "by position"),
    ("Piecewise()", "Piecewise("),
    ("Piecewise(x)", "Piecewise("),
    ("Piecewise(*x)", "Piecewise("),
    ("Piecewise((x, x > 0, 1))", "Piecewise("),
    ("where(x, 1, 2)", "not a condition"),
    ("x if x else 1", "not a condition"),
    ("where(x == 0, 1, x)", "compare"),
    ("where(x != 0, 1, x)", "compare"),
    ("x > 0", "is a condition"),
    ("1 + (x > 0)", "is a condition"),
    ("True", "is a condition"),
    ("x/0", "divides by zero"),
    ("x/(1 - 1)", "divides by zero"),
    ("x*0**-1", "divides by zero"),
    ("x/(x - x)", "divides by zero"),
    ("log(0)*x", "finite"),
    ("9**9**9", "exponent"),
    ("(9**9)**9**9", "exponent"),
    (f"x**{MAX_EXPONENT + 1}", "exponent"),
    ("x**pi", "exponent"),
    ("x**1e9", "exponent"),
    ("(2**32)**32*x", "too large"),
    ("9" * 61 + "*x", "60 characters"),
    ("1e999*x", "too large"),
    ("1e9999999*x", "plain decimal"),
    ("1e-999*x", "too large"),
    ("0x10*x", "plain decimal"),
    ("xʹ", "ASCII"),
    ("x²", "ASCII"),
    ("max(0,\u00a0x)", "ASCII"),
    ("σ*x", "ASCII"),
    ("x" + " " * MAX_LENGTH, "characters"),
    ("(" * 10**6 + "x" + ")" * 10**6, "characters"),
    ("exp(" * 10**6, "characters"),
    ("-" * 10**6 + "x", "characters"),
    ("(" * 500 + "x" + ")" * 500, "nested"),
    ("abs(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1), "nested"),
    ("-" * 200 + "x", "nested"),
    ("x" + "**x" * 600, "parts"),
    ("x" + "+x" * 900, "parts"),
]


def _label(text: str) -> str:
    return ascii(text[:40])


@pytest.mark.parametrize("text", ACCEPTED)
def test_notation_people_use_is_accepted(text: str) -> None:
    assert parse(text, NAMED, {}) == ACCEPTED[text]


@pytest.mark.parametrize("literal", LITERALS)
def test_decimal_literals_are_exact(literal: str) -> None:
    assert parse(f"{literal}*x", NAMED, {}) == LITERALS[literal] * x


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_choose_as_python_does(condition: str) -> None:
    expr = parse(f"where({condition}, x**2 + 5, -x)", NAMED, {})
    for t in (sp.Integer(-3), -HALF, sp.Rational(1, 3), sp.Rational(3, 2), sp.Integer(4)):
        assert expr.subs(x, t) == (t**2 + 5 if CONDITIONS[condition](t) else -t), t


def test_every_name_is_a_shorthand_that_parses() -> None:
    for name, text in NAMED.items():
        assert parse(name, NAMED, {}) == parse(text, NAMED, {})


def test_every_function_takes_x() -> None:
    for name, (_, count) in FUNCTIONS.items():
        if count == 1:
            assert parse(f"{name}(x)", NAMED, {}).has(x)


def test_largest_sizes_that_are_accepted() -> None:
    assert parse(f"x**{MAX_EXPONENT}", NAMED, {}) == x**MAX_EXPONENT
    assert parse("9" * 60 + "*x", NAMED, {}) == sp.Integer("9" * 60) * x
    assert parse("(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH, NAMED, {}) == x


@pytest.mark.parametrize(("text", "word"), REJECTED, ids=[_label(text) for text, _ in REJECTED])
def test_rejected_in_one_line_that_names_the_fault(text: str, word: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ParseError) as caught:
        activation(text)
    assert time.perf_counter() - start < 1
    message = str(caught.value)
    assert word in message
    assert message.isprintable(), "one line, without control characters"
    assert len(message) < 250


@pytest.mark.parametrize("text", [None, 3, b"x", ["x"]])
def test_only_text_is_an_activation(text: Any) -> None:
    with pytest.raises(ParseError, match="is text"):
        activation(text)


TOKENS = [
    *("x", "x", "x", "a", "y", "pi", "e", "0", "1", "2", "9", ".5", "0.1", "1e9", "(", ")", ",", " ", "\n"),
    *("+", "-", "*", "/", "**", "^", "<", ">", "<=", "==", "&", "|", "~", "@", "%", ":", "=", "[", "]", ".", "'"),
    *(" and ", " or ", " not ", " if ", " else ", " for ", " in ", "lambda ", "True", "max(", "min(", "abs("),
    *("where(", "Piecewise((", "exp(", "log(", "sqrt(", "Phi(", "relu(", "gelu(", "sign(", "clip(", "\\", "{", "}"),
]


def _parses_or_is_refused(text: str) -> None:
    start = time.perf_counter()
    try:
        result = activation(text)
    except (ParseError, OutsideClass) as error:
        assert "\n" not in str(error)
    else:
        assert result.expr.has(x)
        assert len(result.pieces.pieces) == len(result.pieces.knots) + 1
    assert time.perf_counter() - start < 5


@given(st.text(max_size=40))
@settings(max_examples=300)
def test_any_text_parses_or_is_refused(text: str) -> None:
    _parses_or_is_refused(text)


@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=12).map("".join))
@settings(max_examples=600)
def test_any_text_of_the_grammar_parses_or_is_refused(text: str) -> None:
    _parses_or_is_refused(text)


# An expression as text, and its value computed beside it in mpmath.
Tree = tuple[str, Any]

MP = mpmath.mp.clone()
MP.dps = 40
AT = sp.Rational(37, 64)


def _apart(a: Any, b: Any) -> bool:
    """Whether a < b; numbers that only rounding tells apart are not used."""
    assume(a == b or abs(a - b) > 1e-12)
    return bool(a < b)


def _larger(a: Any, b: Any) -> Any:
    return b if _apart(a, b) else a


def _sign(a: Any) -> Any:
    return MP.mpf(_apart(0, a) - _apart(a, 0))


UNARY: list[tuple[str, Callable[[Any], Any]]] = [
    ("-({})", lambda a: -a),
    ("sin({})", MP.sin),
    ("cos({})", MP.cos),
    ("tanh({})", MP.tanh),
    ("exp(sin({}))", lambda a: MP.exp(MP.sin(a))),
    ("erf({})", MP.erf),
    ("Phi({})", MP.ncdf),
    ("sigmoid(cos({}))", lambda a: 1 / (1 + MP.exp(-MP.cos(a)))),
    ("({})**2", lambda a: a**2),
    ("({})^3", lambda a: a**3),
    ("sqrt(1 + ({})**2)", lambda a: MP.sqrt(1 + a**2)),
    ("abs({})", lambda a: _sign(a) * a),
    ("sign({})", _sign),
    ("step({})", lambda a: (1 + _sign(a)) / 2),
    ("relu({})", lambda a: _larger(MP.zero, a)),
    ("clip({}, -1, 0.25)", lambda a: _larger(-MP.one, -_larger(-a, -MP.mpf("0.25")))),
]
BINARY: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("({}) + ({})", lambda a, b: a + b),
    ("{} - ({})", lambda a, b: a - b),
    ("({}) * ({})", lambda a, b: a * b),
    ("({}) / (1 + ({})**2)", lambda a, b: a / (1 + b**2)),
    ("max({}, {})", _larger),
    ("min({}, {})", lambda a, b: -_larger(-a, -b)),
    ("where({0} < {1}, {0}, 3)", lambda a, b: a if _apart(a, b) else MP.mpf(3)),
    ("(0.5 if {0} > {1} else {1})", lambda a, b: MP.mpf("0.5") if _apart(b, a) else b),
]
LEAVES = st.one_of(
    st.just(("x", MP.mpf(37) / 64)),
    st.decimals(min_value=-4, max_value=4, places=2).map(lambda d: (f"({d})", MP.mpf(str(d)))),
)


def _grow(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.builds(lambda rule, a: (rule[0].format(a[0]), rule[1](a[1])), st.sampled_from(UNARY), children),
        st.builds(
            lambda rule, a, b: (rule[0].format(a[0], b[0]), rule[1](a[1], b[1])),
            st.sampled_from(BINARY),
            children,
            children,
        ),
    )


@given(st.recursive(LEAVES, _grow, max_leaves=8))
@settings(max_examples=120)
def test_value_is_that_of_direct_evaluation(tree: Tree) -> None:
    text, direct = tree
    assume(len(text) < MAX_LENGTH // 2)
    parsed = parse(text, NAMED, {})
    assert abs(MP.mpf(str(sp.N(parsed.subs(x, AT), 30))) - direct) < 1e-20 * (1 + abs(direct)), text
