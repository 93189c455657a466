"""Derivations are shared: each takes a second or so, and most tests need only their result."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis import settings

from mehler.derive.activation import activation
from mehler.derive.dual import Dual, Jumps, ProvedDual
from mehler.derive.emit.program import Apply, Constant, Name, Node, Program
from mehler.derive.errors import DeriveError
from mehler.derive.integrate import integrate
from mehler.derive.normal import phi2_value
from mehler.derive.pipeline import closed_form, derive_dual
from mehler.derive.symbols import Delta, c, q, q1, q2

# The same examples on every machine and in every run; nothing is written to disk.
settings.register_profile("reproducible", derandomize=True, database=None, deadline=None)
settings.load_profile("reproducible")

ALMOST_EVERYWHERE: Jumps = "almost-everywhere"


def _derive(expr: str, jumps: Jumps = ALMOST_EVERYWHERE, **params: Any) -> ProvedDual:
    result = _derived(expr, jumps, **params)
    if isinstance(result, DeriveError):
        raise result
    return result


@cache
def _derived(expr: str, jumps: Jumps, **params: Any) -> ProvedDual | DeriveError:
    try:
        return closed_form(derive_dual(expr, jumps=jumps, **params))
    except DeriveError as error:
        return error


@cache
def _integrated(expr: str, jumps: Jumps = ALMOST_EVERYWHERE) -> Dual:
    return integrate(activation(expr), jumps)


@pytest.fixture(scope="session")
def derive() -> Callable[..., ProvedDual]:
    """`derive_dual` for what has a closed form, each activation once a session."""
    return _derive


@pytest.fixture(scope="session")
def integrated() -> Callable[..., Dual]:
    """The dual before its proof, each activation once a session."""
    return _integrated


Point = Mapping[sp.Symbol, sp.Expr]


@pytest.fixture(scope="session")
def points() -> list[Point]:
    """Generic covariances, with Δ and q, and a value for the parameter a."""
    R = sp.Rational
    triples = [(R(2), R(1, 2), R(-2, 5)), (R(3, 7), R(11, 5), R(5, 7)), (R(1, 3), R(1, 3), R(1, 4))]
    a = sp.Symbol("a", real=True)
    return [{q1: u, q2: v, c: w, Delta: u * v - w**2, q: u, a: R(-3, 7)} for u, v, w in triples]


@pytest.fixture(scope="session")
def value() -> Callable[..., Any]:
    """The value of an expression at a point to many digits, by SymPy's own evaluation."""

    def evaluate(expr: sp.Expr, point: Point, digits: int = 30) -> Any:
        return mpmath.mpmathify(sp.re(sp.N(sp.sympify(expr).subs(point), digits)))

    return evaluate


@pytest.fixture(scope="session")
def run() -> Callable[..., list[Any]]:
    """An interpreter of Programs over mpmath numbers: the meaning that every printer must reproduce."""
    return _run


def _run(program: Program, inputs: Mapping[str, Any], ctx: Any = mpmath.mp) -> list[Any]:
    names = dict(inputs)
    for assignment in program.body:
        names[assignment.name] = _value(assignment.value, names, ctx)
    return [_value(node, names, ctx) for node in program.outputs]


def _value(node: Node, names: Mapping[str, Any], ctx: Any) -> Any:
    if isinstance(node, Name):
        return names[node.id]
    if isinstance(node, Constant):
        return ctx.mpf(node.decimal)
    assert isinstance(node, Apply)
    return _meaning(ctx)[node.operation](*(_value(operand, names, ctx) for operand in node.operands))


def _series(ctx: Any, y: Any, total: Any, switch: Any, power: Any, step: Any, *coefficients: Any) -> Any:
    """The power series below the switch, in doubles; in many digits the sum that it stands for."""
    if not y < switch:
        return total
    if ctx.prec > 100:
        return total
    return y ** int(power) * ctx.polyval(coefficients[::-1], y ** int(step))


@cache
def _meaning(ctx: Any) -> dict[str, Callable[..., Any]]:
    functions = {name: getattr(ctx, name) for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh")}
    return functions | {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "neg": lambda a: -a,
        "sqrt": ctx.sqrt,
        "atan": ctx.atan,
        "atan2": ctx.atan2,
        "arcsin": lambda sine, cosine: ctx.atan2(sine, cosine),
        "arccos": lambda cosine, sine: ctx.atan2(sine, cosine),
        "abs": abs,
        "sign": ctx.sign,
        "step": lambda a: (1 + ctx.sign(a)) / 2,
        "expm1": ctx.expm1,
        "one_minus_cos": lambda cos, sin: sin * sin / (1 + cos) if cos > 0 else 1 - cos,
        "factors": lambda *factors: ctx.fprod(factors),
        "exp_sum": lambda *terms: ctx.exp(ctx.fsum(terms)),
        "exp_gap": lambda near, *terms: ctx.exp(near if near > -2 else ctx.fsum(terms)),
        "series": partial(_series, ctx),
        "gap": lambda a, b, cos, sin: ctx.sqrt(a) - cos * ctx.sqrt(b),
        "scaled_phi": lambda exponent, rest, h: ctx.exp(exponent) * ctx.ncdf(h),
        "scaled_phi2": lambda *args: _scaled_phi2(ctx, *args),
        "parts_phi2": lambda value, *args: value,
        "Phi": ctx.ncdf,
    }


def _scaled_phi2(
    ctx: Any, exponent: Any, h: Any, p: Any, _near: Any, _far: Any, k: Any, p_k: Any, *_rests: Any
) -> Any:
    """e^E Φ₂(h, k; r), with r from the apex (h, p) of the quadrant."""
    return ctx.exp(exponent) * phi2_value(ctx, h, k, (h * k - p * p_k) / (h * h + p * p))
