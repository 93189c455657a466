"""The notation of activations, read a second time: an interpreter that shares nothing with the derivation.

x ↦ (φ(x), φ′(x)) by dual numbers, and the points where φ switches branch, found by looking.
"""

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import Any

from mehler.numeric.errors import NumericError

Exact = int | float | str | Fraction
Parameters = Mapping[str, Exact]
Dual = tuple[Any, Any]
Function = Callable[[Dual], Dual]
Condition = Callable[[Dual], bool]

# By their mathematical definitions, written anew: those of the derivation may be at fault.
SHORTHANDS = {
    "identity": "x",
    "cubic": "x**3",
    "relu": "max(0, x)",
    "relu2": "max(0, x)**2",
    "relu6": "min(6, max(0, x))",
    "hard_tanh": "max(-1, min(1, x))",
    "softsign": "x/(1 + abs(x))",
    "sigmoid": "1/(1 + exp(-x))",
    "softplus": "log(1 + exp(x))",
    "silu": "x*sigmoid(x)",
    "swish": "x*sigmoid(x)",
    "mish": "x*tanh(softplus(x))",
    "gelu_tanh": "x/2*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))",
    "quick_gelu": "x/(1 + exp(-1.702*x))",
    "logcosh": "log(cosh(x))",
    "isru": "x/sqrt(x**2 + 1)",
    "Phi": "erfc(-x/sqrt(2))/2",
    "probit": "Phi(x)",
    "gelu": "x*Phi(x)",
    "gaussian": "exp(-x**2)",
    "rff": "sqrt(2)*cos(x - pi/4)",
    "tan": "sin(x)/cos(x)",
    "sech": "1/cosh(x)",
    "arctan": "atan(x)",
    "arcsinh": "asinh(x)",
    "Abs": "abs(x)",
    "heaviside": "step(x)",
    "Heaviside": "step(x)",
}
_EXTREMA = {"max": 1, "Max": 1, "maximum": 1, "min": -1, "Min": -1, "minimum": -1}
_HOLDS: dict[type[ast.cmpop], set[int]] = {
    ast.Lt: {-1},
    ast.LtE: {-1, 0},
    ast.Gt: {1},
    ast.GtE: {1, 0},
    ast.Eq: {0},
    ast.NotEq: {-1, 1},
}
_MAGNITUDE = 4096  # bits of exponent: the digits of exp(exp(exp(9))) would take for ever


def exact(value: Exact) -> Fraction:
    """The rational number that is meant; a float stands for its binary value."""
    # 1e999999999 is short to write and long to expand.
    if isinstance(value, str) and not re.fullmatch(r"[^eE]{1,2000}([eE][+-]?\d{1,4})?", value):
        raise NumericError(f"not an exact number: {value[:60]!r}")
    try:
        return Fraction(value)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise NumericError(f"not an exact number: {value!r:.60}") from error


def _parse(text: str) -> ast.expr:
    source = text.strip().replace("^", "**")
    root = ast.parse(source, mode="eval").body
    for node in ast.walk(root):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            literal: Any = exact(ast.get_source_segment(source, node) or "")
            node.value = literal
    return root


def _elementary(m: Any) -> dict[str, Callable[[Any], Dual]]:
    bell = 2 / m.sqrt(m.pi)
    return {
        "exp": lambda v: (m.exp(v),) * 2,
        "log": lambda v: (m.log(v), 1 / v),
        "sqrt": lambda v: (m.sqrt(v), 1 / (2 * m.sqrt(v))),
        "sin": lambda v: (m.sin(v), m.cos(v)),
        "cos": lambda v: (m.cos(v), -m.sin(v)),
        "sinh": lambda v: (m.sinh(v), m.cosh(v)),
        "cosh": lambda v: (m.cosh(v), m.sinh(v)),
        "tanh": lambda v: (m.tanh(v), m.sech(v) ** 2),
        "atan": lambda v: (m.atan(v), 1 / (1 + v * v)),
        "asin": lambda v: (m.asin(v), 1 / m.sqrt(1 - v * v)),
        "acos": lambda v: (m.acos(v), -1 / m.sqrt(1 - v * v)),
        "asinh": lambda v: (m.asinh(v), 1 / m.sqrt(1 + v * v)),
        "erf": lambda v: (m.erf(v), bell * m.exp(-v * v)),
        "erfc": lambda v: (m.erfc(v), -bell * m.exp(-v * v)),
    }


class Activation:
    """x ↦ (φ(x), φ′(x)), read from the notation of φ and differentiated almost everywhere by dual numbers."""

    def __init__(self, expression: str, parameters: Parameters, m: Any) -> None:
        self.m = m
        # The signs that decided the branches of the last evaluation: where they change, φ switches.
        self._path: list[int] = []
        self._knots: dict[int, list[Any]] = {}
        self._unary = _elementary(m) | {
            "abs": lambda v: (abs(v), self._side(v)),
            "sign": lambda v: (m.mpf(self._side(v)), 0),
            "step": lambda v: (m.mpf(1 + self._side(v)) / 2, 0),
        }
        self._constants = {"pi": +m.pi, "e": +m.e, "E": +m.e}
        self._constants |= {name: self.number(exact(value)) for name, value in parameters.items()}
        if len(expression) > 2000 or "x" in parameters:
            raise NumericError("the activation is longer than 2000 characters, or has a parameter x")
        try:
            root = _parse(expression)
            if isinstance(root, ast.Name) and root.id in self._unary.keys() | SHORTHANDS.keys():
                root = ast.Call(func=root, args=[ast.Name(id="x")], keywords=[])
            self._dual = self._value(root)
        except NumericError:
            raise
        except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
            raise NumericError(f"not an activation: {error}".splitlines()[0]) from error

    def __call__(self, x: Any) -> Dual:
        self._path.clear()
        try:
            return self._dual((x, self.m.one))
        except (ValueError, ArithmeticError, TypeError, RecursionError, MemoryError) as error:
            raise NumericError(f"φ is undefined at x = {self.m.nstr(x, 6)}: {error}") from error

    def knots(self, reach: float) -> list[Any]:
        """The points |x| ≤ max(60, reach) where φ takes another branch; far ones are sought more coarsely."""
        coarse = 2 ** max(0, math.ceil(math.log2(reach / 60)))
        if coarse not in self._knots:
            # Dyadic points are exact at any precision, and the likely knots 0, ±1, ±1/2 are among them.
            grid = sorted({scale * k for scale in (1, coarse) for k in range(-1920, 1921)})
            points = [self.m.mpf(k) / 32 for k in grid] if self._branch(self.m.zero) else []
            steps = pairwise((x, self._branch(x)) for x in points)
            self._knots[coarse] = sorted({t for start, end in steps for t in self._between(*start, *end)})
        return self._knots[coarse]

    def _between(self, a: Any, before: tuple[int, ...], b: Any, after: tuple[int, ...]) -> Iterator[Any]:
        m = self.m
        tiny = m.ldexp(max(1, abs(a), abs(b)), 4 - m.prec)
        for _ in range(100):
            if before == after:
                return
            low, high = a, b
            while high - low > tiny:
                middle = (low + high) / 2
                low, high = (middle, high) if self._branch(middle) == before else (low, middle)
            short = m.ldexp(m.nint(m.ldexp(high, 20)), -20)
            yield short if abs(short - high) <= 2 * tiny else high
            a, before = high, self._branch(high)
        raise NumericError(f"φ switches without end near x = {m.nstr(a, 6)}")

    def _branch(self, x: Any) -> tuple[int, ...]:
        self(x)
        return tuple(self._path)

    def _side(self, gap: Any) -> int:
        side: int = (gap > 0) - (gap < 0)
        self._path.append(side)
        return side

    def number(self, value: Fraction) -> Any:
        """The fraction at working precision."""
        return self.m.mpf(value.numerator) / value.denominator

    def _value(self, node: ast.expr) -> Function:
        function = self._compiled(node)
        if any(isinstance(part, ast.Name) and part.id == "x" for part in ast.walk(node)):
            return function
        constant = function((self.m.zero, self.m.zero))
        return lambda x: constant

    def _compiled(self, node: ast.expr) -> Function:
        match node:
            case ast.Name(id="x"):
                return lambda x: x
            case ast.Name(id=name) if name in self._constants:
                return lambda x: (self._constants[name], 0)
            case ast.Constant(value=Fraction() as value):
                number = self.number(value)
                return lambda x: (number, 0)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._value(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._value(operand)
                return lambda x: (-(v := inner(x))[0], -v[1])
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self._value(left), self._value(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._select([(test, body), (ast.Constant(value=True), orelse)])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, args)
        raise NumericError(f"not part of the notation: {ast.unparse(node)[:60]}")

    def _binary(self, op: ast.operator, left: Function, right: Function) -> Function:
        match op:
            case ast.Add():
                return lambda x: ((a := left(x))[0] + (b := right(x))[0], a[1] + b[1])
            case ast.Sub():
                return lambda x: ((a := left(x))[0] - (b := right(x))[0], a[1] - b[1])
            case ast.Mult():
                return lambda x: ((a := left(x))[0] * (b := right(x))[0], a[1] * b[0] + a[0] * b[1])
            case ast.Div():
                return lambda x: (q := (a := left(x))[0] / (b := right(x))[0], (a[1] - q * b[1]) / b[0])
            case ast.Pow():
                return lambda x: self._power(*left(x), *right(x))
        raise NumericError(f"not part of the notation: {type(op).__name__}")

    def _power(self, base: Any, d_base: Any, exponent: Any, d_exponent: Any) -> Dual:
        power = self._bounded(base) ** self._bounded(exponent)
        slope = exponent * base ** (exponent - 1) * d_base if exponent and d_base else 0
        return power, slope + power * self.m.log(base) * d_exponent if d_exponent else slope

    def _bounded(self, value: Any) -> Any:
        if self.m.mag(value) > _MAGNITUDE:
            raise NumericError(f"a number beyond 2**{_MAGNITUDE}")
        return value

    def _call(self, name: str, args: list[ast.expr]) -> Function:
        match name, args:
            case "Piecewise", [_, *_] if all(isinstance(p, ast.Tuple) and len(p.elts) == 2 for p in args):
                return self._select([(p.elts[1], p.elts[0]) for p in args if isinstance(p, ast.Tuple)])
            case "where", [test, body, orelse]:
                return self._select([(test, body), (ast.Constant(value=True), orelse)])
            case "clip", [value, low, high]:
                floored = self._extremum(1, [self._value(value), self._value(low)])
                return self._extremum(-1, [floored, self._value(high)])
            case _, [_, *_] if name in _EXTREMA:
                return self._extremum(_EXTREMA[name], [self._value(a) for a in args])
        if len(args) != 1 or name not in self._unary.keys() | SHORTHANDS.keys():
            raise NumericError(f"no function {name} of {len(args)} arguments in the notation")
        inner = self._value(args[0])
        if name in SHORTHANDS:
            shorthand = self._value(_parse(SHORTHANDS[name]))
            return lambda x: shorthand(inner(x))
        unary = self._unary[name]

        def composed(x: Dual) -> Dual:
            value, slope = inner(x)
            outer, outer_slope = unary(self._bounded(value))
            return outer, outer_slope * slope

        return composed

    def _extremum(self, sign: int, candidates: list[Function]) -> Function:
        def best(a: Dual, b: Dual) -> Dual:
            side = sign * self._side(b[0] - a[0])
            # At a tie the slope is the mean, as in (a + b + |a - b|)/2.
            return (a, b)[side > 0] if side else (a[0], (a[1] + b[1]) / 2)

        return lambda x: reduce(best, (f(x) for f in candidates))

    def _select(self, pieces: list[tuple[ast.expr, ast.expr]]) -> Function:
        branches = [(self._condition(test), self._value(body)) for test, body in pieces]

        def chosen(x: Dual) -> Dual:
            for holds, body in branches:
                if holds(x):
                    return body(x)
            raise NumericError("no piece covers it")

        return chosen

    def _condition(self, node: ast.expr) -> Condition:
        match node:
            case ast.Constant(value=bool() as truth):
                return lambda x: truth
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                negated = self._condition(operand)
                return lambda x: not negated(x)
            case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as op, right=right):
                joint: ast.boolop = ast.And() if isinstance(op, ast.BitAnd) else ast.Or()
                return self._condition(ast.BoolOp(op=joint, values=[left, right]))
            case ast.BoolOp(op=op, values=values):
                parts, combine = [self._condition(v) for v in values], all if isinstance(op, ast.And) else any
                return lambda x: combine(part(x) for part in parts)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _HOLDS for op in ops):
                sides = [self._value(v) for v in (left, *others)]
                links = [(a, b, _HOLDS[type(op)]) for (a, b), op in zip(pairwise(sides), ops, strict=True)]
                return lambda x: all(self._side(a(x)[0] - b(x)[0]) in holds for a, b, holds in links)
        raise NumericError(f"not a condition of the notation: {ast.unparse(node)[:60]}")
