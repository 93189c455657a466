"""The straight-line Program that every target prints from, and the door through which SymPy leaves.

A Program is a list of named quantities in a small set of operations. Evaluation order is fixed here, so that
all targets round alike. What has no operation is refused by name.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.codegen.cfunctions import expm1

from mehler.derive.errors import EmitError
from mehler.derive.special import Phi, Phi2
from mehler.derive.stabilise.code import StraightLine
from mehler.derive.stabilise.rules import OneMinusCos

# Enough for any binary format in use; targets round once, from here.
CONSTANT_DIGITS = 40


@dataclass(frozen=True)
class Name:
    """An input or an earlier quantity."""

    id: str


@dataclass(frozen=True)
class Constant:
    """A real number: its decimal expansion to 40 digits, and the exact expression it came from."""

    decimal: str
    exact: str


@dataclass(frozen=True)
class Apply:
    """One operation of `OPERATIONS` on its operands."""

    operation: str
    operands: tuple["Node", ...]


Node = Name | Constant | Apply

FUNCTIONS = {
    sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.sinh: "sinh", sp.cosh: "cosh",
    sp.tanh: "tanh", sp.atan: "atan", sp.atan2: "atan2", sp.Abs: "abs", sp.sign: "sign", sp.Heaviside: "step",
    Phi: "Phi", Phi2: "Phi2", expm1: "expm1", OneMinusCos: "one_minus_cos",
}  # fmt: skip

OPERATIONS = frozenset({"add", "sub", "mul", "div", "neg", "sqrt", *FUNCTIONS.values()})


@dataclass(frozen=True)
class Assignment:
    name: str
    value: Node


@dataclass(frozen=True)
class Program:
    """Named quantities in order, then the values returned; all in the inputs and earlier names."""

    inputs: tuple[str, ...]
    body: tuple[Assignment, ...]
    outputs: tuple[Node, ...]

    def nodes(self) -> Iterator[Node]:
        """Every node, operands before operations."""
        for root in (*(assignment.value for assignment in self.body), *self.outputs):
            yield from _walk(root)


def lower(code: StraightLine) -> Program:
    """A Program from straight-line SymPy. Raises EmitError naming a function without an operation."""
    lowering = _Lowering({symbol.name for symbol in code.inputs})
    for symbol, value in code.assignments:
        lowering.assign(symbol.name, lowering.node(value))
    outputs = tuple(lowering.node(value) for value in code.outputs)
    return Program(tuple(s.name for s in code.inputs), tuple(lowering.body), outputs)


def _walk(node: Node) -> Iterator[Node]:
    if isinstance(node, Apply):
        for operand in node.operands:
            yield from _walk(operand)
    yield node


class _Lowering:
    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.body: list[Assignment] = []

    def assign(self, name: str, value: Node) -> Name:
        self.names.add(name)
        self.body.append(Assignment(name, value))
        return Name(name)

    def node(self, expr: sp.Expr) -> Node:
        if expr.is_number:
            return _constant(expr)
        if expr.is_Symbol:
            return Name(expr.name)
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow and (2 * expr.exp).is_Integer:
            return self._product(expr)
        if expr.func in FUNCTIONS:
            return Apply(FUNCTIONS[expr.func], tuple(self.node(a) for a in expr.args))
        raise EmitError(f"no target has an operation for {expr.func.__name__}, which {expr} needs")

    def _sum(self, expr: sp.Expr) -> Node:
        terms = expr.as_ordered_terms()
        positive = [t for t in terms if not t.could_extract_minus_sign()]
        negative = [-t for t in terms if t.could_extract_minus_sign()]
        if not positive:
            return Apply("neg", (self._fold("add", negative),))
        total = self._fold("add", positive)
        for term in negative:
            total = Apply("sub", (total, self.node(term)))
        return total

    def _product(self, expr: sp.Expr) -> Node:
        number: sp.Expr = sp.S.One
        above: list[Node] = []
        below: list[Node] = []
        for factor in sp.Mul.make_args(expr):
            base, exponent = factor.as_base_exp()
            if factor.is_number:
                number *= factor
            elif isinstance(factor, sp.exp) or not (2 * exponent).is_Integer:
                above.append(self.node(factor))
            elif exponent > 0:
                above += self._power(base, exponent)
            else:
                below += self._power(base, -exponent)
        return self._scaled(number, above, below)

    def _scaled(self, number: sp.Expr, above: list[Node], below: list[Node]) -> Node:
        negative = number.could_extract_minus_sign()
        number = -number if negative else number
        # 1/3 is not a float and 3 is: divide by it once instead of rounding it first.
        if number.is_Rational and number.p == 1 and not _is_dyadic(number):
            below = [_constant(1 / number), *below]
        elif number != 1 or not above:
            above = [_constant(number), *above]
        node = _product_of(above)
        if below:
            node = Apply("div", (node, _product_of(below)))
        return Apply("neg", (node,)) if negative else node

    def _power(self, base: sp.Expr, exponent: sp.Rational) -> list[Node]:
        """base^exponent as factors: repeated products, and a square root for a half."""
        node = self.node(base)
        whole, half = int(exponent), exponent - int(exponent)
        if not isinstance(node, Name) and (whole > 1 or (whole and half)):
            node = self.assign(self._fresh(), node)
        return [node] * whole + ([Apply("sqrt", (node,))] if half else [])

    def _fresh(self) -> str:
        return next(f"base{i}" for i in range(1, len(self.names) + 2) if f"base{i}" not in self.names)

    def _fold(self, operation: str, terms: Sequence[sp.Expr]) -> Node:
        total = self.node(terms[0])
        for term in terms[1:]:
            total = Apply(operation, (total, self.node(term)))
        return total


def _product_of(factors: Sequence[Node]) -> Node:
    node = factors[0]
    for factor in factors[1:]:
        node = Apply("mul", (node, factor))
    return node


def _is_dyadic(number: sp.Rational) -> bool:
    return int(number.q) & (int(number.q) - 1) == 0


def _constant(number: sp.Expr) -> Node:
    if number.could_extract_minus_sign():
        return Apply("neg", (_constant(-number),))
    if not number.is_real or not number.is_finite:
        raise EmitError(f"{number} is not a finite real number; code cannot hold it")
    return Constant(str(sp.N(number, CONSTANT_DIGITS)), str(number))


def constant_name(exact: str) -> str:
    """A name for an irrational constant that says what it is: 1/(2*pi) is ONE_OVER_2_PI."""
    text = exact.replace("1/", "ONE_OVER_", 1) if exact.startswith("1/") else exact
    name = re.sub(r"[^A-Z0-9]+", "_", text.replace("-", "MINUS_").replace("/", "_OVER_").upper()).strip("_")
    return f"C_{name}" if name[0].isdigit() else name
