"""Activations: an expression in x with its parameters, and the names people use for some of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sympy as sp

from mehler.derive.deadline import within
from mehler.derive.errors import DerivationTimeout, ParseError
from mehler.derive.functions import NOT_FINITE, PARAMETER_NAMES
from mehler.derive.numbers import Number, exact
from mehler.derive.parser import parse, shorten, spelled
from mehler.derive.pieces import Pieces, split
from mehler.derive.symbols import x

# A name is nothing but a shorthand for an expression: one rule derives them all.
NAMED: Mapping[str, str] = MappingProxyType(
    {
        "identity": "x",
        "step": "Heaviside(x)",
        "sign": "sign(x)",
        "relu": "max(0, x)",
        "leaky_relu": "where(x > 0, x, a*x)",
        "abs": "abs(x)",
        "relu2": "max(0, x)**2",
        "erf": "erf(x)",
        "probit": "Phi(x)",
        "gelu": "x*Phi(x)",
        "sin": "sin(x)",
        "cos": "cos(x)",
        "rff": "sqrt(2)*cos(x - pi/4)",
        "exp": "exp(a*x)",
        "gaussian": "exp(-x**2)",
        "cubic": "x**3",
        "snake": "x + sin(a*x)**2/a",
        "gabor": "exp(-x**2)*sin(x)",
        "mexican_hat": "(1 - x**2)*exp(-x**2/2)",
        "sinc": "sin(x)/x",
        "lorentzian": "1/(1 + x**2)",
        "arctan": "arctan(x)",
        "elu": "where(x > 0, x, a*(exp(x) - 1))",
        "selu": "scale*where(x > 0, x, alpha*(exp(x) - 1))",
        "celu": "where(x > 0, x, a*(exp(x/a) - 1))",
        "relu6": "min(max(0, x), 6)",
        "hard_tanh": "clip(x, -1, 1)",
        "hard_sigmoid": "clip(x/6 + 1/2, 0, 1)",
        "hard_swish": "x*clip(x/6 + 1/2, 0, 1)",
        "softshrink": "x - clip(x, -1/2, 1/2)",
        "hardshrink": "where(abs(x) > 1/2, x, 0)",
        "tanh": "tanh(x)",
        "sigmoid": "sigmoid(x)",
        "silu": "x*sigmoid(x)",
        "softplus": "softplus(x)",
        "mish": "x*tanh(softplus(x))",
        "softsign": "x/(1 + abs(x))",
        "gelu_tanh": "x*(1 + tanh(sqrt(2/pi)*(x + 44715*x**3/1000000)))/2",
        "quick_gelu": "x*sigmoid(1702*x/1000)",
        "logcosh": "log(cosh(x))",
        "sech": "sech(x)",
        "isru": "x/sqrt(1 + x**2)",
        "tanhshrink": "x - tanh(x)",
        "log_sigmoid": "-softplus(-x)",
    }
)

# Run-time defaults of named parameters, where the field has a customary value.
DEFAULTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "leaky_relu": {"a": "0.01"},
        "exp": {"a": "1"},
        "snake": {"a": "1"},
        "elu": {"a": "1"},
        "selu": {"scale": "1.0507009873554805", "alpha": "1.6732632423543772"},
        "celu": {"a": "1"},
    }
)

# Names with a meaning of their own beside a parameter. One of these is written with an underscore at its end.
RESERVED = frozenset(
    {
        # Symbols of a derivation.
        *("q", "q1", "q2", "c", "rho", "theta", "sin_theta", "Delta", "norm", "det", "square", "weight"),
        *("t", "lambda", "u", "v", "y", "k1", "k2", "d1", "d2", "root", "root1", "root2", "phi"),
        # Arguments beside which a parameter is given.
        *("sigma_w", "sigma_b", "depth", "X", "Y", "tangent", "expr", "activation", "jumps", "timeout"),
        *("name", "target", "progress", "span", "digits"),
    }
)
NUMBERED = re.compile(r"(inverse|sine|cosine|secant|exponential)\d+|constant_\w+")

# Seconds of the processor that an activation may take to be parsed and cut: where its size does not tell, as where
# SymPy asks whether nested roots are real.
READING = 1.2


@dataclass(frozen=True)
class Activation:
    """φ as the user wrote it, as an expression in x, and cut into smooth pieces."""

    text: str
    expr: sp.Expr
    pieces: Pieces
    defaults: Mapping[str, sp.Expr]

    def __post_init__(self) -> None:
        for symbol in self.parameters:
            if not _is_name(symbol.name) or symbol.name != _symbol_name(symbol.name, set()):
                raise ParseError(f"{shorten(symbol.name)!r} cannot name a parameter; choose another, e.g. 'alpha'")

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The free symbols other than x, by name."""
        return tuple(sorted(self.expr.free_symbols - {x}, key=lambda s: s.name))


def activation(text: str, params: Mapping[str, Number] | None = None) -> Activation:
    """The activation of `text`, a name of `NAMED` or an expression in x.

    A parameter may be given a value (a number, "1/10", "0.1": decimals are exact), an assumption
    ("positive", "negative", "real") or a SymPy expression; without either it stays a real symbol.
    A parameter whose name is in `RESERVED` has a symbol with an underscore at its end, as in c_, and may be given
    by that name too.
    Raises ParseError, or OutsideClass when a knot cannot be located.
    """
    name = spelled(text.strip(), NAMED) if isinstance(text, str) else ""
    names = _names_in(text, NAMED) if isinstance(text, str) else set()
    declared = {}
    for key, value in (params or {}).items():
        known = key if key in names else key.removesuffix("_")
        declared[known] = _value(key, _symbol_name(known, names), value)

    def read() -> tuple[sp.Expr, Pieces]:
        expr = parse(text, NAMED, declared)
        return expr, split(expr)

    try:
        expr, pieces = within(READING, read, processor=True)
    except DerivationTimeout:
        raise ParseError(f"{shorten(text)!r} takes over {READING:g} s to read; simplify it") from None
    if not expr.has(x):
        raise ParseError(f"{shorten(text)!r} does not depend on x; write a function of x such as 'max(0, x)'")
    unused = sorted(set(declared) - names)
    if unused:
        others = sorted(names & PARAMETER_NAMES)
        remedy = f"its parameters are {', '.join(others)}" if others else "leave it out"
        raise ParseError(f"the activation has no parameter {shorten(unused[0], 20)!r}; {remedy}")
    defaults = {key: _value(key, key, value) for key, value in DEFAULTS.get(name, {}).items()}
    free = {s.name for s in expr.free_symbols}
    return Activation(name, expr, pieces, {k: v for k, v in defaults.items() if k in free})


def _names_in(text: str, named: Mapping[str, str]) -> set[str]:
    written = re.findall(r"[A-Za-z_]\w*", text)
    names = {*written, *(spelled(name, named) for name in written)}
    return names.union(*(_names_in(named[n], {}) for n in names if n in named))


def _symbol_name(name: str, others: set[str]) -> str:
    """The name of a parameter's symbol: its own, or with underscores after it where that has another meaning."""
    while name in RESERVED or NUMBERED.fullmatch(name):
        name += "_"
        while name in others:
            name += "_"
    return name


def _is_name(name: str) -> bool:
    return name.isidentifier() and name.isascii() and name != "x" and name not in NOT_FINITE


def _value(name: str, symbol: str, value: Number) -> sp.Expr:
    if not _is_name(name):
        raise ParseError(f"{shorten(name)!r} cannot name a parameter; choose another, e.g. 'alpha'")
    if isinstance(value, sp.Expr):
        return value
    if isinstance(value, str) and value.strip() in {"positive", "negative", "real"}:
        return sp.Symbol(symbol, **{value.strip(): True})
    number = exact(value, name, ParseError)
    if max(abs(int(number.p)).bit_length(), int(number.q).bit_length()) > 512:
        raise ParseError(f"parameter {name} has too many digits; use fewer")
    return number
