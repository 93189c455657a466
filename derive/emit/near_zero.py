"""Activations that cancel at 0, as log(cosh x) does: Taylor polynomials there, where code would lose digits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp
from scipy.special import ndtr

from mehler.derive.emit import numpy as target
from mehler.derive.emit.program import Apply, Program
from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import compile_function, context
from mehler.derive.symbols import x

# A polynomial of this degree stands for |x| < NEAR, if it is right there to 17 digits.
DEGREE, NEAR = 24, 0.125
PROBES = (0.07, 0.013, 0.0021, 1.1e-4, 3.3e-6)
LOST = 32  # in eps: more of it is cancellation

CTX = context(80)
RADIUS, SAMPLES = CTX.mpf(1) / 2, 128  # of the circle that gives coefficients

TEXT = f'''
NEAR = {NEAR}  # below it, Taylor polynomials


def taylor(x, coefficients):
    """A polynomial, from its highest coefficient."""
    value = np.zeros_like(x)
    for coefficient in coefficients:
        value = value * x + coefficient
    return value

'''


def polynomials(program: Program, exprs: tuple[sp.Expr, ...], side: int) -> list[list[float] | None]:
    """For each output of a program, the expression `exprs` of x: coefficients if its code loses digits near 0.

    `side` is the sign of x there, or 0 for both.
    """
    points = [s * p for p in PROBES for s in ((1, -1) if side == 0 else (side,))]
    if any(isinstance(node, Apply) and node.operation == "Phi" for node in program.nodes()):
        return [None] * len(exprs)
    return [_series(expr, points) if _loses(program, n, expr, points) else None for n, expr in enumerate(exprs)]


def computed(program: Program, n: int, points: list[float]) -> list[float]:
    """Output `n` of a program of x alone, by its code for NumPy."""
    body = "".join(f"    {a.name} = {target.expression(a.value)}\n" for a in program.body)
    text = f"def piece(x):\n{body}    return {target.expression(program.outputs[n])}"
    scope: dict[str, Any] = {"np": np, "ndtr": ndtr}
    exec("\n".join([*target.constants(program), text]), scope)
    with np.errstate(all="ignore"):
        return [float(np.asarray(scope["piece"](np.array([p]))).ravel()[0]) for p in points]


def exact(expr: sp.Expr, points: list[float], digits: int = 60) -> list[Any] | None:
    """The values of an expression; None where it has none, or depends on parameters."""
    ctx = context(digits)
    try:
        function = compile_function(expr, ctx)
        return [function({x: ctx.mpf(p)}) for p in points] if expr.free_symbols <= {x} else None
    except (DeriveError, ZeroDivisionError, ValueError, OverflowError):
        return None


def _loses(program: Program, n: int, expr: sp.Expr, points: list[float]) -> bool:
    values = exact(expr, points) if expr.has(x) else None
    if values is None:
        return False
    eps = float(np.finfo(float).eps)
    return any(
        not abs(a - b) <= LOST * eps * abs(b) for a, b in zip(computed(program, n, points), values, strict=True)
    )


def _series(expr: sp.Expr, points: list[float]) -> list[float] | None:
    """Taylor coefficients, the highest first, if they hold at the points and at NEAR."""
    function = compile_function(expr, CTX)
    places = [*points, NEAR * (1 if points[0] > 0 else -1)]
    values = exact(expr, places, CTX.dps)
    for taylor in (_by_differences, _by_circle):
        try:
            series = taylor(lambda v: function({x: v}))
        except (DeriveError, ZeroDivisionError, ValueError):
            continue
        scale = max(abs(c) for c in series)
        rounded = [float(c) if abs(c) > scale * CTX.mpf(10) ** -30 else 0.0 for c in reversed(series)]
        sums = [CTX.polyval([CTX.mpf(c) for c in rounded], CTX.mpf(place)) for place in places]
        if values is not None and all(abs(a - b) <= 4e-16 * abs(b) for a, b in zip(sums, values, strict=True)):
            return rounded
    return None


def _by_differences(function: Callable[[Any], Any]) -> list[Any]:
    series: list[Any] = CTX.taylor(function, CTX.mpf("1e-40"), DEGREE)
    return series


def _by_circle(function: Callable[[Any], Any]) -> list[Any]:
    """By Cauchy's integral: at 0 itself there may be a removable singularity, as of (1 − cos x)/x²."""
    roots = [CTX.expjpi(CTX.mpf(2 * k) / SAMPLES) for k in range(SAMPLES)]
    values = [function(RADIUS * root) for root in roots]
    return [
        CTX.re(CTX.fsum(v * roots[-k * n % SAMPLES] for k, v in enumerate(values))) / SAMPLES / RADIUS**n
        for n in range(DEGREE + 1)
    ]
