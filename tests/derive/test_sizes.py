"""What may be built: texts that are short to write, and too large where they are nested, split or evaluated."""

import time
from contextlib import suppress

import pytest
import sympy as sp

from mehler.derive.activation import activation
from mehler.derive.errors import DeriveError
from mehler.derive.sizes import MAX_DEGREE, Refused, at, built, size
from mehler.derive.symbols import x

a = sp.Symbol("a", real=True)

# Text, and what the message says of it.
LARGE = {
    "2**where(x>0,x,1e10)": "too large a number",
    "2**where(x>0,x,1e5)": "too large a number",
    "2**max(x,1e10)": "too large a number",
    "2**(where(x>0,x,x+1e10)-x)": "too large a number",
    "where(x>0,1e100,x)**where(x>0,32,1)": "too large a number",
    "x*where(x>0,3,1e-9)**30*where(x>0,1e-9,1)**30": "too large a number",
    "1e100**where(x>0,1,5)*x": "too large a number",
    "6**0.30000000000000004*x": "too many digits",
    "(6*x)**0.30000000000000004": "too many digits",
    "(((x**32)**32)**32)**32": "the degree 1024",
    "(x**8)**9": "the degree 72",
    "x**30*x**30*x**30": "the degree 90",
    "relu2(relu2(relu2(relu2(relu2(relu2(relu2(x)))))))": "the degree",
    "(a+b+m+p+s+x)**32": "terms or more",
    "(1+x+x**2+x**3+x**4)**16": "terms or more",
    "((a+b+x)**8)*((a+b+x)**8)": "terms or more",
    "(x+1e-150)**32": "too many digits once expanded",
    "gelu(" * 20 + "x" + ")" * 20: "parts once written out",
    "selu(" * 9 + "x" + ")" * 9: "parts once written out",
    "max(x,exp(exp(exp(100))))": "too large a number",
    "x+sin(exp(exp(100)))": "too large a number",
    "x*exp(exp(1e150))": "too large a number",
    "cosh(exp(8))*x": "too large a number",
    "exp(where(x>0,x,1e10))": "too large a number",
    "sigmoid(where(x>0,x,-1e9))": "too large a number",
    "max(x,1e300)": "too large a number",
    "where(x>1e300,x,0)": "too large a number",
    "abs(x)+" * 100 + "x": "",
    "abs(" * 11 + "x" + "".join(f"-{2**k})" for k in range(10, -1, -1)): "",
}

# The same, small enough.
ENOUGH = [
    "2**where(x>0,x,10)",
    "2**max(x,3)*exp(-x**2)",
    "(x**8)**8",
    "(a+b*x)**16",
    "6**0.3*x",
    "abs(x)**1.4142135",
    "gelu(gelu(gelu(x)))",
    "relu(" * 30 + "x" + ")" * 30,
    "max(x,exp(exp(4)))",
    "exp(-exp(-10*x))",
    "sin(1000*x)",
    f"max({','.join(f'{i}*x-{i * i}' for i in range(20))})",
]


@pytest.mark.parametrize("text", LARGE, ids=lambda text: text[:30])
def test_what_is_too_large_is_refused_at_once(text: str) -> None:
    start = time.thread_time()
    with pytest.raises(DeriveError) as caught:
        activation(text)
    assert time.thread_time() - start < 2
    assert LARGE[text] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ENOUGH, ids=lambda text: text[:30])
def test_what_is_smaller_is_taken(text: str) -> None:
    start = time.thread_time()
    assert activation(text).expr.has(x)
    assert time.thread_time() - start < 2


@pytest.mark.parametrize(
    "expr",
    [
        (1 + x) ** 5,
        (a + x - 3) ** 6,
        (x + sp.Rational(2, 7)) ** 4 * (x - 1) ** 3,
        (1 + sp.exp(x)) ** 4 * x,
        (x + 1) ** -3,
        2 * x - a,
    ],
)
def test_a_size_is_a_bound_of_the_expanded_form(expr: sp.Expr) -> None:
    expanded = sp.expand(sp.denom(expr) if sp.denom(expr) != 1 else expr)
    found = size(expr)
    assert found.terms >= len(sp.Add.make_args(expanded))
    assert found.bits >= max(sp.Rational(number).p.bit_length() for number in expanded.atoms(sp.Rational))
    if expanded.is_polynomial(x):
        assert found.degree >= sp.degree(expanded, x)
    assert found.nodes == sum(1 for _ in sp.preorder_traversal(expr))


def test_the_degree_bound_is_sharp() -> None:
    assert built(sp.Pow, x**32, sp.Integer(2)) == x**MAX_DEGREE
    with pytest.raises(Refused, match="the degree 66"):
        built(sp.Pow, x**33, sp.Integer(2))


def test_a_value_at_a_point_is_bounded_too() -> None:
    assert at(2**x + sp.sin(x) * a, sp.Integer(3)) == 8 + sp.sin(3) * a
    with pytest.raises(Refused, match="too large a number"):
        at(sp.Integer(10**9) ** x, sp.Integer(30))
    with pytest.raises(Refused, match="divides by zero"):
        at(1 / x, sp.S.Zero)
    with pytest.raises(Refused, match="an exponent that is no fraction"):
        at(2**x, sp.Integer(10) ** 10)


@pytest.mark.parametrize(
    "text",
    [
        "max(log(-1),x)",
        "min(x,sqrt(-2))",
        "where(sqrt(-1)>0,x,0)",
        "x*log(-2)",
        "clip(x,-1,(-1)**(1/3))",
        "x - clip(1e+100, (-1 / 2) ** 0.1, -1)",
    ],
)
def test_a_constant_is_real(text: str) -> None:
    with pytest.raises(DeriveError, match="is not a real number"):
        activation(text)


@pytest.mark.parametrize(
    "text",
    [
        "celu(Piecewise((x,x>100)))",
        "selu(Piecewise((x,b>alpha)))",
        "x+Piecewise((x,x>100))",
        "elu(Piecewise((x,1>2)))",
        "1/(min(1,x)*0)",
        "where(mish(mish(x))>a,x,Piecewise((1,x>0)))",
        "(max(max(0,x)**p,x))**p",
        "hardshrink(1/x)+abs(1/sin(x))",
        "Piecewise((x,tanh(x)>Piecewise((a,x>1),(1,True))),(2,b<x))",
        "where(x**32 <= exp(0.3), x, sin(1/0.0))",
    ],
)
def test_whatever_sympy_says_is_one_error(text: str) -> None:
    start = time.thread_time()
    with pytest.raises(DeriveError) as caught:
        activation(text)
    assert time.thread_time() - start < 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "((sigmoid((sigmoid((sigmoid((x)**1.5))**3))**0.1))**7.25)**1.5",
        "gelu_tanh(((gelu_tanh(gelu_tanh((gelu_tanh(gelu_tanh((x)**0.1)))**1.5)))**0.1)**1/2)",
    ],
)
def test_what_no_size_tells_ends_in_time(text: str) -> None:
    start = time.thread_time()
    with suppress(DeriveError):
        activation(text)
    assert time.thread_time() - start < 2
