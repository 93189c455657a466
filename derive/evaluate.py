"""Values of SymPy formulas in mpmath, on a context of our own.

mpmath's global context is shared by every thread and by the user's own code, and SymPy's lambdify executes
source text. Here an expression becomes a tree of closures, once, and is then called on mpf numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import mpmath
import sympy as sp

from mehler.derive.errors import DeriveError
from mehler.derive.legendre import legendre
from mehler.derive.normal import exp_value, owens_t_value, phi2_value, phi_value
from mehler.derive.numbers import Number, exact
from mehler.derive.special import Phi, Phi2, owens_t

Function = Callable[[Mapping[sp.Symbol, Any]], Any]

_FUNCTIONS = {
    sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.sinh: "sinh", sp.cosh: "cosh",
    sp.tanh: "tanh", sp.sech: "sech", sp.asin: "asin", sp.acos: "acos", sp.atan: "atan", sp.asinh: "asinh",
    sp.erf: "erf", sp.erfc: "erfc", sp.sign: "sign", sp.Abs: "fabs", sp.re: "re", sp.im: "im", sp.conjugate: "conj",
    sp.gamma: "gamma", sp.sinc: "sinc", sp.atan2: "atan2",
}  # fmt: skip

# Functions of a context and values.
_OURS: Mapping[Any, Callable[..., Any]] = {
    sp.exp: exp_value, Phi: phi_value, Phi2: phi2_value, owens_t: owens_t_value
}  # fmt: skip

# Nodes of an integral: raised until a rule agrees with the one before.
ORDERS = (30, 45, 68, 100, 150, 225, 340)


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
    if e.is_Pow and e.exp.is_Rational:
        return (e.base,)
    if isinstance(e, sp.Integral):
        _, lower, upper = _limits(e)
        return (lower, upper, *_split(e)[1])
    if isinstance(e, sp.hyper):
        return (*e.ap, *e.bq, e.argument)
    return tuple(e.args)


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
        return partial(_sum, ctx)
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
    if isinstance(e, sp.Tuple):
        return lambda *values: values
    if e.func in _OURS:
        return partial(_OURS[e.func], ctx)
    if isinstance(e, sp.Integral):
        return _integral(e, ctx)
    if isinstance(e, sp.hyper) and len(e.ap) == 2 and len(e.bq) == 1:
        return lambda a, b, c, z: ctx.hyp2f1(a, b, c, z)
    if isinstance(e, sp.Heaviside):
        return lambda x, at_zero: ctx.one if x > 0 else ctx.zero if x < 0 else at_zero
    if isinstance(e, sp.Min | sp.Max):
        return min if isinstance(e, sp.Min) else max
    if e.func in _FUNCTIONS:
        function: Callable[..., Any] = getattr(ctx, _FUNCTIONS[e.func])
        return function
    raise DeriveError(f"cannot evaluate {e.func.__name__} numerically; report this expression")


def _sum(ctx: Any, *terms: Any) -> Any:
    """The sum. ctx.least, where it is kept, falls to what is left of the largest term, if that is less."""
    total = ctx.fsum(terms)
    least = getattr(ctx, "least", 0)
    if least:
        largest = max(map(abs, terms))
        if abs(total) < least * largest:
            ctx.least = abs(total) / largest
    return total


def _limits(e: sp.Integral) -> tuple[sp.Symbol, sp.Expr, sp.Expr]:
    """The variable and the ends of the outermost integral."""
    limits = e.limits[-1]
    if len(limits) != 3 or any(end.is_infinite for end in limits[1:]):
        raise DeriveError(f"cannot evaluate {e}: an integral needs two finite ends")
    return tuple(limits)


def _split(e: sp.Integral) -> tuple[sp.Expr, dict[sp.Expr, sp.Symbol]]:
    """The integrand, with what does not depend on the variable as symbols, to be evaluated only once."""
    t, *_ = _limits(e)
    outside: dict[sp.Expr, sp.Symbol] = {}

    def lift(part: sp.Basic) -> sp.Basic:
        if part.is_Rational or part == t:
            return part
        if isinstance(part, sp.Expr) and not part.has_free(t):
            return outside.setdefault(part, part if part.is_Symbol else sp.Dummy())
        if isinstance(part, sp.Integral):
            # Its own variable must not be lifted out of it.
            outside.update((s, s) for s in part.free_symbols - {t})
            return part
        return part.func(*(lift(a) for a in part.args))

    return lift(e.func(e.function, *e.limits[:-1]) if len(e.limits) > 1 else e.function), outside


def _integral(e: sp.Integral, ctx: Any) -> Callable[..., Any]:
    t, *_ = _limits(e)
    integrand, outside = _split(e)
    function, symbols = compile_function(integrand, ctx), list(outside.values())

    def value(lower: Any, upper: Any, *values: Any) -> Any:
        env = dict(zip(symbols, values, strict=True))
        return _quadrature(ctx, lambda at: function({**env, t: at}), lower, upper)

    return value


def _quadrature(ctx: Any, f: Callable[[Any], Any], lower: Any, upper: Any) -> Any:
    """∫ f for f analytic between finite ends, where it may be singular in the manner of √(b − t) or 1/√(b − t).

    Gauss-Legendre in t; else in s of t = sin(πs/2), in which such ends are smooth; else tanh-sinh, which also
    bears a singularity close to an end. Raises DeriveError where none settles.
    """
    half, centre = ctx.re(upper - lower) / 2, ctx.re(upper + lower) / 2
    if not half:
        return ctx.zero
    tolerance = ctx.ldexp(ctx.one, 10 - ctx.prec)
    total, settled = _gauss(ctx, lambda s: f(centre + half * s), tolerance)
    if settled:
        return half * total

    # Next to an end b, b − t has half the digits of t.
    with ctx.workprec(2 * ctx.prec):
        total, settled = _gauss(
            ctx, lambda s: f(centre + half * ctx.sinpi(s / 2)) * ctx.cospi(s / 2) * ctx.pi / 2, tolerance
        )
    if settled:
        return half * total

    total, error = ctx.quad(f, [centre - half, centre + half], error=True)
    if not ctx.isfinite(total) or error > tolerance * abs(total):
        raise DeriveError("an integral did not settle: it may not exist; ask for fewer digits or a milder point")
    return total


def _gauss(ctx: Any, f: Callable[[Any], Any], tolerance: Any) -> tuple[Any, bool]:
    """∫ f from −1 to 1, and whether two rules agree to `tolerance` times ∫ |f|."""
    previous: Any = None
    for order in ORDERS:
        values = [w * f(t) for t, w in legendre(ctx, order)]
        total, size = ctx.fsum(values), ctx.fsum(values, absolute=True)
        if previous is not None:
            gap = abs(total - previous)
            if gap <= tolerance * size:
                return total, True
            # Digits grow with the order: a rule that will not have them at the last is not waited for.
            if order > 50 and ctx.mag(gap) - ctx.mag(size) > ctx.mag(tolerance) * order // (2 * ORDERS[-1]):
                break
        previous = total
    return total, False


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
    if all(e == 0 for e in expressions):
        return [mpmath.mpf(0) for _ in expressions]
    # Orders of magnitude between 1 and the smallest or the largest number. A kernel of tiny variances is tiny, but
    # not zero. exp(-1/q) of a huge variance is not 1.
    spread = max((abs(len(str(v.q)) - len(str(abs(v.p)))) for v in env.values() if v != 0), default=0)
    tolerance = mpmath.mpf(10) ** (-digits - 3)
    previous: list[Any] | None = None
    zero = mpmath.mpf(-1)
    # Never the same precision twice: a pass agrees with itself.
    beyond = (400 + 3 * spread, 800 + 6 * spread) if 3 * spread > 150 else ()
    for extra in (10, 25, 60, 150, 400, *beyond):
        ctx = context(digits + extra)
        ctx.least = ctx.one
        values_env = {s: ctx.mpf(int(v.p)) / int(v.q) for s, v in env.items()}
        try:
            values = [ctx.re(compile_function(e, ctx)(values_env)) for e in expressions]
        except ZeroDivisionError:
            raise DeriveError("the formula has no finite value here; choose another point") from None
        if not all(ctx.isfinite(v) for v in values):
            raise DeriveError("the formula has no finite value here; choose another point")
        # Terms that differ from 1 by less than the passes see cancel alike in both.
        blind = ctx.least < ctx.mpf(10) ** (3 - extra) and 2 * extra < 3 * spread
        if (
            previous is not None
            and not blind
            and all(
                e == 0 or (v != 0 and abs(v - p) <= tolerance * abs(v)) or max(abs(v), abs(p)) <= zero
                for e, v, p in zip(expressions, values, previous, strict=True)
            )
        ):
            return values
        previous = values
        # What stays below the rounding of many more digits than asked is zero.
        if extra >= max(60, 3 * spread):
            zero = ctx.mpf(10) ** (-(digits + extra) * 2 // 5)
    raise DeriveError(f"the value does not settle at {digits} digits; ask for fewer digits")
