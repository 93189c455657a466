from fractions import Fraction
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import pytest
import sympy as sp

from mehler.derive import __path__ as derive_path
from mehler.derive.activation import DEFAULTS, NAMED, RESERVED, activation
from mehler.derive.errors import ParseError
from mehler.derive.symbols import x


@pytest.mark.parametrize("given", ["0.1", "1/10", 0.1, Fraction(1, 10), sp.Rational(1, 10), "1e-1"])
def test_parameter_values_are_exact(given: Any) -> None:
    """A float means the decimal its user typed."""
    assert activation("slope*x", {"slope": given}).expr == x / 10
    assert activation("foo*x", {"foo": given}).expr == x / 10


@pytest.mark.parametrize("assumption", ["positive", "negative", "real"])
def test_parameter_assumptions(assumption: str) -> None:
    phi = activation("foo*x", {"foo": assumption})
    assert phi.parameters == (sp.Symbol("foo", **{assumption: True}),)


def test_an_undeclared_parameter_is_a_real_symbol() -> None:
    assert activation("exp(a*x) + b").parameters == (sp.Symbol("a", real=True), sp.Symbol("b", real=True))


def test_a_parameter_may_be_named_like_a_constant_of_code() -> None:
    assert activation("lambda_*x", {"lambda_": 2}).expr == 2 * x


@pytest.mark.parametrize("name", ["x", "1a", "a b", "", "σ", "a.b", 'a"', "a\n"])
def test_impossible_parameter_names_are_refused(name: str) -> None:
    with pytest.raises(ParseError, match="cannot name a parameter") as caught:
        activation("x", {name: 1})
    assert "\n" not in str(caught.value)


def test_names_of_symbols_are_checked_wherever_they_come_from() -> None:
    for name in ('a"""', "a, b", "c", "x"):
        with pytest.raises(ParseError, match="cannot name a parameter"):
            activation("x + a", {"a": sp.Symbol(name)})


@pytest.mark.parametrize("name", [*sorted(RESERVED - {"lambda"}), "sine1", "exponential12"])
def test_a_name_with_another_meaning_has_an_underscore(name: str) -> None:
    for given in (name, f"{name}_"):
        assert activation(f"x*{name}", {given: 2}).expr == 2 * x
        assert activation(f"x*{name}", {given: "real"}).parameters == (sp.Symbol(f"{name}_", real=True),)
    again = activation(f"x*{name}_", {f"{name}_": "real"})
    assert again.parameters == (sp.Symbol(f"{name}_", real=True),)


def test_two_names_stay_two() -> None:
    phi = activation("c*x + c_ + c__", {"c": "real", "c_": "real", "c__": 3})
    assert [s.name for s in phi.parameters] == ["c_", "c___"]
    assert phi.expr.subs({sp.Symbol("c___", real=True): 1, sp.Symbol("c_", real=True): 2}) == x + 5


def test_the_symbols_of_the_engine_are_reserved() -> None:
    names = set()
    for module in walk_packages(derive_path, "mehler.derive."):
        names |= {v.name for v in vars(import_module(module.name)).values() if isinstance(v, sp.Symbol)}
    assert {"q1", "root1", "weight", "det", "sigma_w"} <= names
    assert names - {"x"} <= RESERVED


@pytest.mark.parametrize("name", sorted(RESERVED - {"lambda", "phi"}))
def test_symbols_of_the_derivation_are_unknown_names(name: str) -> None:
    with pytest.raises(ParseError, match="one variable"):
        activation(f"{name}*x")


@pytest.mark.parametrize(
    "value", ["abc", "", "1/0", "nan", "inf", float("nan"), float("inf"), None, [1], "0x1", "1\n2"]
)
def test_values_that_are_no_numbers_are_refused(value: Any) -> None:
    with pytest.raises(ParseError, match="not a number") as caught:
        activation("a*x", {"a": value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [10**200, "1e300", f"1/{10**200}"])
def test_values_of_too_many_digits_are_refused(value: Any) -> None:
    with pytest.raises(ParseError, match="too many digits"):
        activation("a*x", {"a": value})


def test_a_parameter_that_does_not_occur_is_refused() -> None:
    with pytest.raises(ParseError, match="no parameter 'b'"):
        activation("a*x", {"b": 1})
    with pytest.raises(ParseError, match="no parameter 'a'"):
        activation("relu", {"a": 1})


def test_customary_values_belong_to_names_only() -> None:
    assert activation("leaky_relu").defaults == {"a": sp.Rational(1, 100)}
    assert activation("leaky_relu", {"a": 2}).defaults == {}
    assert activation("where(x > 0, x, a*x)").defaults == {}
    assert set(DEFAULTS) <= set(NAMED)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("ReLU", "relu"),
        ("GELU", "gelu"),
        ("swish", "silu"),
        ("Swish", "silu"),
        ("SiLU", "silu"),
        ("hardtanh", "hard_tanh"),
        ("Hardtanh", "hard_tanh"),
        ("hardswish", "hard_swish"),
        ("HardSigmoid", "hard_sigmoid"),
        ("LeakyReLU", "leaky_relu"),
        ("PReLU", "leaky_relu"),
        ("linear", "identity"),
        ("tanhshrink", "x - tanh(x)"),
        ("logsigmoid", "log(sigmoid(x))"),
        ("Tanh", "tanh"),
        ("2*ReLU6(x) - Swish(-x)", "2*relu6(x) - silu(-x)"),
        ("x*log1p(x**2)", "x*log(1 + x**2)"),
        ("expm1(-x**2)", "exp(-x**2) - 1"),
    ],
)
def test_names_as_frameworks_spell_them(text: str, same: str) -> None:
    difference = activation(text).expr - activation(same).expr
    for point in (-2.3, -0.4, 0.6, 7.1):
        assert abs(sp.N(difference.subs({x: point, sp.Symbol("a", real=True): 0.3}))) < 1e-12
    assert activation(text).defaults == activation(same).defaults


def test_a_declared_parameter_is_not_a_name() -> None:
    assert activation("x*RELU", {"RELU": 3}).expr == 3 * x


@pytest.mark.parametrize(
    ("text", "params", "remedy"),
    [
        ("a*cos(b*x + c)", {}, "a parameter needs a value or an assumption, e.g. c=0.1"),
        ("rho*x", {}, "a parameter needs a value or an assumption, e.g. rho=0.1"),
        ("inf*x", {}, "not a finite number"),
        ("min(x, Infinity)", {}, "not a finite number"),
        ("where(x > 0, x, nan)", {}, "not a finite number"),
        ("inf*x", {"inf": 1}, "choose another, e.g. 'alpha'"),
        ("elu(x, 2)", {}, "its parameters are given apart, e.g. a=0.1"),
        ("selu(x, 2, 3)", {}, "its parameters are given apart, e.g. alpha=0.1"),
        ("leaky_relu(x, negative_slope=0.1)", {}, "its parameters are given apart, e.g. a=0.1"),
        ("leaky_relu", {"negative_slope": 0.1}, "its parameters are a"),
        ("slope*x", {"a": 1}, "its parameters are slope"),
        ("foo*x", {}, "foo=0.1 or foo=positive"),
    ],
)
def test_advice_can_be_followed(text: str, params: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ParseError) as caught:
        activation(text, params)
    assert remedy in str(caught.value)
    assert "--" not in str(caught.value), "Python has no options"
