"""Activations whose code overflows or cancels far out, as log(1 + e^x) does: exponentials taken out of sums.

Every part of φ is e^E·f with a moderate f, and log and exp are taken of that:

    Σ fᵢ e^Eᵢ = e^m Σ fᵢ e^(Eᵢ − m), m = max Eᵢ;   log(e^E f) = E + log f;   cosh g = e^|g| (1 + e^(−2|g|))/2
"""

from collections.abc import Callable, Sequence
from functools import reduce

import sympy as sp
from sympy.codegen.cfunctions import expm1

from mehler.derive.emit.near_zero import computed, exact
from mehler.derive.emit.program import Program

PROBES = (20.0, 40.0, 800.0, 3e4, 1e6)
LOST, NEGLIGIBLE = 1e-13, 1e-15  # more of a value than the one, and more than the other, is an error
LARGEST = 1e300


def safe(
    exprs: Sequence[sp.Expr], lowered: Callable[[Sequence[sp.Expr]], Program], sides: Sequence[int]
) -> Program:
    """The program of expressions of x by `lowered`; with exponentials out of sums if it is wrong far out without.

    `sides` are the signs of x at which the expressions reach infinity.
    """
    plain = lowered(exprs)
    points = [side * probe for side in sides for probe in PROBES]
    if not any(_fails(plain, n, expr, points) for n, expr in enumerate(exprs)):
        return plain
    return lowered([_whole(_unscaled(expr)) for expr in exprs])


def _fails(program: Program, n: int, expr: sp.Expr, points: list[float]) -> bool:
    values = exact(expr, points)
    if values is None:
        return False
    return any(
        abs(value) < LARGEST and not abs(ours - value) <= LOST * abs(value) + NEGLIGIBLE
        for ours, value in zip(computed(program, n, points), values, strict=True)
    )


def _unscaled(expr: sp.Expr) -> sp.Expr:
    """1 − tanh² as 1/cosh²."""
    a = sp.Wild("a")
    return expr.replace(1 - sp.tanh(a) ** 2, sp.cosh(a) ** -2)


def _whole(expr: sp.Expr) -> sp.Expr:
    exponent, factor = _factored(expr)
    return sp.exp(exponent) * factor


def _factored(expr: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(E, f) with expr = e^E·f."""
    if not expr.args:
        return sp.S.Zero, expr
    if expr.is_Mul:
        exponents, factors = zip(*map(_factored, expr.args), strict=True)
        return sp.Add(*exponents), sp.Mul(*factors)
    if expr.is_Add:
        parts = [_factored(term) for term in expr.args]
        largest = reduce(_max, dict.fromkeys(exponent for exponent, _ in parts))
        return largest, sp.Add(*(factor * sp.exp(exponent - largest) for exponent, factor in parts))
    if isinstance(expr, sp.exp):
        return _whole(expr.exp), sp.S.One
    if expr.is_Pow and expr.exp.is_number:
        exponent, factor = _factored(expr.base)
        return expr.exp * exponent, factor**expr.exp
    argument = _whole(expr.args[0])
    size = sp.Abs(argument)
    if isinstance(expr, sp.cosh):
        return size, (1 + sp.exp(-2 * size)) / 2
    if isinstance(expr, sp.sinh):
        return size, -sp.sign(argument) * expm1(-2 * size) / 2
    if isinstance(expr, expm1):
        return _max(sp.S.Zero, argument), -sp.sign(argument) * expm1(-size)
    if isinstance(expr, sp.log):
        exponent, factor = _factored(expr.args[0])
        return sp.S.Zero, exponent + sp.log(factor)
    return sp.S.Zero, expr.func(*map(_whole, expr.args))


def _max(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    return (a + b + sp.Abs(a - b)) / 2
