"""The words of an activation: functions, constants, comparisons, and how each is built.

A switch of x stays as it is written: `pieces` cuts it. SymPy would try to decide it, by algebra without a bound.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair

from mehler.derive.sizes import Refused, built
from mehler.derive.special import Phi
from mehler.derive.symbols import x

# A free name that is not a parameter is read as a second variable. These names are parameters unasked;
# any other must be declared, so that "x*y" is refused and "x*slope" with slope=1/2 is not.
PARAMETER_NAMES = frozenset(
    {
        *("a", "b", "m", "p", "s", "slope", "scale", "shift"),
        *("alpha", "beta", "gamma", "delta", "epsilon", "kappa", "mu", "nu", "omega", "sigma", "tau"),
    }
)

# What other languages call numbers.
NOT_FINITE = frozenset({"inf", "infinity", "oo", "nan"})

Function = Callable[..., Any]


def smooth(function: Any) -> Function:
    return lambda *args: built(function, *args)


def switch(function: Any) -> Function:
    """A switch, or a comparison, which SymPy decides where nothing in it depends on x."""

    def evaluated(*args: Any) -> Any:
        return built(function, *args, evaluate=not any(arg.has(x) for arg in args))

    return evaluated


exp, log, maximum, minimum = smooth(sp.exp), smooth(sp.log), switch(sp.Max), switch(sp.Min)


def piecewise(*branches: tuple[sp.Expr, sp.Basic]) -> sp.Expr:
    """The branches up to the first that is always taken."""
    kept: list[sp.Basic] = []
    for value, condition in branches:
        if condition is not sp.false:
            # The constructors of SymPy would fold branches and conditions into each other.
            kept.append(sp.Tuple.__new__(ExprCondPair, value, condition))
        if condition is sp.true:
            break
    if not kept:
        raise Refused("is nowhere defined; add a last branch (value, True)")
    if len(kept) == 1 and kept[0].args[1] is sp.true:
        return kept[0].args[0]
    return built(lambda *pairs: sp.Basic.__new__(sp.Piecewise, *pairs), *kept)


def where(condition: sp.Basic, yes: sp.Expr, no: sp.Expr) -> sp.Expr:
    return piecewise((yes, condition), (no, sp.true))


def power(base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
    """SymPy would raise each branch of a Piecewise, and fold what comes out."""
    return built(sp.Pow, base, exponent, evaluate=not isinstance(base, sp.Piecewise))


def conjunction(*conditions: sp.Basic) -> sp.Basic:
    """All of them. What is known is decided, and nothing else: SymPy would compare each with each."""
    if sp.false in conditions:
        return sp.false
    return sp.And(*(c for c in conditions if c is not sp.true), evaluate=False)


def negation(condition: sp.Basic) -> sp.Basic:
    """By De Morgan's laws, since only comparisons and what joins them can be written."""
    if isinstance(condition, sp.And | sp.Or):
        join = sp.Or if isinstance(condition, sp.And) else sp.And
        return join(*map(negation, condition.args), evaluate=False)
    return condition.negated if isinstance(condition, Relational) else sp.Not(condition)


def disjunction(*conditions: sp.Basic) -> sp.Basic:
    return negation(conjunction(*map(negation, conditions)))


def _clip(g: sp.Expr, lo: sp.Expr, hi: sp.Expr) -> sp.Expr:
    return maximum(lo, minimum(hi, g))


def _sigmoid(g: sp.Expr) -> sp.Expr:
    return power(built(sp.Add, sp.S.One, exp(-g)), sp.S.NegativeOne)


def _expm1(g: sp.Expr) -> sp.Expr:
    return built(sp.Add, exp(g), sp.S.NegativeOne)


def _log1p(g: sp.Expr) -> sp.Expr:
    return log(built(sp.Add, sp.S.One, g))


def _softplus(g: sp.Expr) -> sp.Expr:
    return _log1p(exp(g))


# name: (function, number of arguments; None for any positive number)
FUNCTIONS: Mapping[str, tuple[Function, int | None]] = {
    "exp": (exp, 1),
    "log": (log, 1),
    "expm1": (_expm1, 1),
    "log1p": (_log1p, 1),
    "sqrt": (lambda g: power(g, sp.S.Half), 1),
    "sin": (smooth(sp.sin), 1),
    "cos": (smooth(sp.cos), 1),
    "tan": (smooth(sp.tan), 1),
    "sinh": (smooth(sp.sinh), 1),
    "cosh": (smooth(sp.cosh), 1),
    "tanh": (smooth(sp.tanh), 1),
    "sech": (smooth(sp.sech), 1),
    "atan": (smooth(sp.atan), 1),
    "arctan": (smooth(sp.atan), 1),
    "asin": (smooth(sp.asin), 1),
    "arcsin": (smooth(sp.asin), 1),
    "acos": (smooth(sp.acos), 1),
    "arccos": (smooth(sp.acos), 1),
    "asinh": (smooth(sp.asinh), 1),
    "arcsinh": (smooth(sp.asinh), 1),
    "erf": (smooth(sp.erf), 1),
    "erfc": (smooth(sp.erfc), 1),
    "Phi": (smooth(Phi), 1),
    "sigmoid": (_sigmoid, 1),
    "softplus": (_softplus, 1),
    "abs": (switch(sp.Abs), 1),
    "Abs": (switch(sp.Abs), 1),
    "sign": (switch(sp.sign), 1),
    "step": (switch(sp.Heaviside), 1),
    "heaviside": (switch(sp.Heaviside), 1),
    "Heaviside": (switch(sp.Heaviside), 1),
    "max": (maximum, None),
    "Max": (maximum, None),
    "maximum": (maximum, None),
    "min": (minimum, None),
    "Min": (minimum, None),
    "minimum": (minimum, None),
    "clip": (_clip, 3),
    "where": (where, 3),
}

CONSTANTS: Mapping[str, sp.Expr] = {"pi": sp.pi, "e": sp.E, "E": sp.E}

OPERATORS: Mapping[type[ast.operator], Function] = {
    ast.Add: smooth(sp.Add),
    ast.Sub: lambda a, b: built(sp.Add, a, built(sp.Mul, sp.S.NegativeOne, b)),
    ast.Mult: smooth(sp.Mul),
    ast.Div: lambda a, b: built(sp.Mul, a, power(b, sp.S.NegativeOne)),
    ast.Pow: power,
}

COMPARISONS: Mapping[type[ast.cmpop], Function] = {
    ast.Lt: switch(sp.Lt),
    ast.LtE: switch(sp.Le),
    ast.Gt: switch(sp.Gt),
    ast.GtE: switch(sp.Ge),
}
