"""Values of SymPy formulas in mpmath, on a context of our own.

mpmath's global context is shared by every thread and by the user's own code, and SymPy's lambdify executes
source text. Here an expression becomes a tree of closures, once, and is then called on mpf numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
import sympy as sp

from mehler.derive.errors import DeriveError
from mehler.derive.numbers import Number, exact
from mehler.derive.special import Phi, Phi2, phi2_value

Function = Callable[[Mapping[sp.Symbol, Any]], Any]

_UNARY = {
    sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.sinh: "sinh", sp.cosh: "cosh",
    sp.tanh: "tanh", sp.sech: "sech", sp.asin: "asin", sp.acos: "acos", sp.atan: "atan", sp.asinh: "asinh",
    sp.erf: "erf", sp.erfc: "erfc", sp.sign: "sign", sp.Abs: "fabs", Phi: "ncdf",
}  # fmt: skip


def context(digits: int) -> Any:
    """A private mpmath context of `digits` significant digits."""
    ctx = mpmath.mp.clone()
    ctx.dps = digits
    return ctx


def compile_function(expr: sp.Expr, ctx: Any) -> Function:
    """A function of {symbol: value} that evaluates `expr` in `ctx`, each distinct subexpression once."""
    position: dict[sp.Basic, int] = {}
    program: list[tuple[Callable[..., Any], list[int], sp.Symbol | None]] = []

    def place(e: sp.Basic) -> int:
        if e not in position:
            inputs = [] if e.is_Symbol else [place(a) for a in _operands(e)]
            operation = _identity if e.is_Symbol else _operation(e, ctx)
            program.append((operation, inputs, e if e.is_Symbol else None))
            position[e] = len(program) - 1
        return position[e]

    place(expr)

    def run(env: Mapping[sp.Symbol, Any]) -> Any:
        values: list[Any] = []
        for operation, inputs, symbol in program:
            values.append(env[symbol] if symbol is not None else operation(*(values[i] for i in inputs)))
        return values[-1]

    return run


def _identity(value: Any) -> Any:
    return value


def _operands(e: sp.Basic) -> tuple[sp.Basic, ...]:
    """The arguments evaluated at run time: a rational exponent is part of the operation."""
    return (e.base,) if e.is_Pow and e.exp.is_Rational else tuple(e.args)


def _operation(e: sp.Basic, ctx: Any) -> Callable[..., Any]:
    if e.is_Rational:
        value = ctx.mpf(int(e.p)) / int(e.q)
        return lambda: value
    if e is sp.I:
        return lambda: ctx.j
    if e.is_NumberSymbol:
        constant = +ctx.mpf(e._to_mpmath(ctx.prec + 20))
        return lambda: constant
    if e.is_Add:
        return lambda *terms: ctx.fsum(terms)
    if e.is_Mul:
        return lambda *factors: ctx.fprod(factors)
    if e.is_Pow and e.exp.is_Integer:
        n = int(e.exp)
        return lambda base: base**n
    if e.is_Pow and (2 * e.exp).is_Integer:
        odd = int(2 * e.exp)
        return lambda base: ctx.sqrt(base) ** odd
    if e.is_Pow and e.exp.is_Rational:
        exponent = ctx.mpf(int(e.exp.p)) / int(e.exp.q)
        return lambda base: ctx.power(base, exponent)
    if e.is_Pow:
        return lambda base, exponent: ctx.power(base, exponent)
    if isinstance(e, Phi2):
        return lambda h, k, r: phi2_value(ctx, h, k, r)
    if e.func in _UNARY:
        function: Callable[..., Any] = getattr(ctx, _UNARY[e.func])
        return function
    raise DeriveError(f"cannot evaluate {e.func.__name__} numerically; report this expression")


def covariance(q1: Number, q2: Number, c: Number) -> tuple[sp.Rational, sp.Rational, sp.Rational]:
    """(q1, q2, c) as exact numbers of a covariance: q1, q2 ≥ 0 and c² ≤ q1q2. Raises DeriveError."""
    a, b, ab = (exact(v, name, DeriveError) for v, name in ((q1, "q1"), (q2, "q2"), (c, "c")))
    if a < 0 or b < 0:
        raise DeriveError(f"the variances q1={a} and q2={b} must not be negative")
    if ab**2 > a * b:
        raise DeriveError(f"no covariance has q1={a}, q2={b}, c={ab}: |c| may be at most sqrt(q1*q2)")
    return a, b, ab


def real_values(expressions: Sequence[sp.Expr], env: Mapping[sp.Symbol, sp.Rational], digits: int) -> list[Any]:
    """The values of real formulas to `digits` digits; precision rises until two passes agree.

    Raises DeriveError when a value is not finite or does not settle, as at a pole of the formula.
    """
    previous: list[Any] | None = None
    zero = mpmath.mpf(0)
    for extra in (10, 25, 60, 150, 400):
        ctx = context(digits + extra)
        values_env = {s: ctx.mpf(int(v.p)) / int(v.q) for s, v in env.items()}
        try:
            values = [ctx.re(compile_function(e, ctx)(values_env)) for e in expressions]
        except ZeroDivisionError:
            raise DeriveError("the formula has no finite value here; choose another point") from None
        if not all(ctx.isfinite(v) for v in values):
            raise DeriveError("the formula has no finite value here; choose another point")
        tolerance = ctx.mpf(10) ** (-digits - 3)
        if previous is not None and all(
            abs(v - p) <= tolerance * abs(v) or max(abs(v), abs(p)) <= zero
            for v, p in zip(values, previous, strict=True)
        ):
            return values
        previous = values
        # What stays below the rounding of many more digits than asked is zero.
        zero = ctx.mpf(10) ** (-(digits + extra) * 2 // 5) if extra >= 60 else zero
    raise DeriveError(f"the value does not settle at {digits} digits; ask for fewer digits")
