"""The straight-line Program that every target prints from, and the door through which SymPy leaves.

A Program is a list of named quantities in a small set of operations. Evaluation order is fixed here, so that
all targets round alike. What has no operation is refused by name.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from types import MappingProxyType

import sympy as sp
from sympy.codegen.cfunctions import expm1

from mehler.derive.errors import EmitError
from mehler.derive.special import Phi
from mehler.derive.stabilise.apart import Arccos, Arcsin
from mehler.derive.stabilise.code import StraightLine
from mehler.derive.stabilise.expansion import Series
from mehler.derive.stabilise.rules import ExpGap, ExpSum, OneMinusCos
from mehler.derive.stabilise.tails import Gap, PartsPhi2, ScaledPhi, ScaledPhi2

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
    sp.tanh: "tanh", sp.asinh: "asinh", sp.atan: "atan", sp.atan2: "atan2", sp.Abs: "abs", sp.sign: "sign",
    sp.Heaviside: "step", Phi: "Phi", expm1: "expm1", OneMinusCos: "one_minus_cos",
    Gap: "gap", ScaledPhi: "scaled_phi", ScaledPhi2: "scaled_phi2",
    PartsPhi2: "parts_phi2", Arcsin: "arcsin", Arccos: "arccos",
}  # fmt: skip

OPERATIONS = frozenset(
    {"add", "sub", "mul", "div", "neg", "sqrt", "exp_sum", "exp_gap", "factors", "series", *FUNCTIONS.values()}
)


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

    def only(self, outputs: Sequence[int]) -> "Program":
        """The Program of some outputs, with what they need."""
        chosen = tuple(self.outputs[n] for n in outputs)
        used = {node for output in chosen for node in _walk(output)}
        body = []
        for assignment in reversed(self.body):
            if Name(assignment.name) in used:
                body.append(assignment)
                used.update(_walk(assignment.value))
        return Program(self.inputs, tuple(reversed(body)), chosen)

    def nodes(self) -> Iterator[Node]:
        """Every node, operands before operations."""
        for root in (*(assignment.value for assignment in self.body), *self.outputs):
            yield from _walk(root)


def parameter_name(parameter: sp.Symbol) -> str:
    """What code calls a parameter of φ: nothing else in it, in Python or in C++ has a name that begins so."""
    return f"phi_{parameter.name}"


def lower(
    code: StraightLine,
    small: Mapping[str, int] = MappingProxyType({}),
    parameters: Sequence[sp.Symbol] = (),
) -> Program:
    """A Program from straight-line SymPy. Raises EmitError naming a function without an operation.

    `parameters` are those of φ.
    `small`: numbers, say −1, of inputs that are smaller arrays than the others, if any are. In products and sums
    what depends on inputs of one number comes before what depends on a larger one, or on those of several.
    """
    names = {symbol: parameter_name(symbol) if symbol in parameters else symbol.name for symbol in code.inputs}
    lowering = _Lowering(names, small)
    for symbol, value in code.assignments:
        lowering.assign(symbol.name, lowering.node(value))
    outputs = tuple(lowering.node(value) for value in code.outputs)
    return Program(tuple(names.values()), tuple(lowering.body), outputs)


def _walk(node: Node) -> Iterator[Node]:
    if isinstance(node, Apply):
        for operand in node.operands:
            yield from _walk(operand)
    yield node


class _Lowering:
    def __init__(self, inputs: Mapping[sp.Symbol, str], small: Mapping[str, int]) -> None:
        self.inputs = inputs
        self.names = set(inputs.values())
        self.body: list[Assignment] = []
        self.sizes: dict[str, float] = dict(small)

    def size(self, node: Node) -> float:
        if isinstance(node, Apply):
            sizes = {self.size(operand) for operand in node.operands} - {-1}
            return sizes.pop() if len(sizes) == 1 else math.inf if sizes else -1
        return self.sizes.get(node.id, math.inf) if isinstance(node, Name) else -1

    def smallest_first(self, nodes: Sequence[Node]) -> list[Node]:
        return sorted(nodes, key=self.size) if self.sizes else list(nodes)

    def by_size(self, factors: Sequence[Node]) -> list[Node]:
        """Factors in order, those of one finite size multiplied."""
        products: list[Node] = []
        for size, group in groupby(self.smallest_first(factors), key=self.size):
            alike = list(group)
            products += [_product_of(alike)] if size < math.inf else alike
        return products

    def assign(self, name: str, value: Node) -> Name:
        if self.sizes:
            self.sizes[name] = self.size(value)
        self.names.add(name)
        self.body.append(Assignment(name, value))
        return Name(name)

    def node(self, expr: sp.Expr) -> Node:
        if expr.is_number:
            return _constant(expr)
        if expr.is_Symbol:
            name = self.inputs.get(expr, expr.name)
            if name not in self.names:
                raise EmitError(f"code has no value for {expr}")
            return Name(name)
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow and (2 * expr.exp).is_Integer:
            return self._product(expr)
        if isinstance(expr, ExpSum):
            return Apply("exp_sum", self._terms(expr.args[0]))
        if isinstance(expr, ExpGap):
            return Apply("exp_gap", (self.node(expr.args[0]), *self._terms(expr.args[1])))
        if isinstance(expr, Series):
            return Apply("series", tuple(self.node(a) for a in expr.args))
        if isinstance(expr, sp.asin | sp.acos):
            sine = expr.args[0] if isinstance(expr, sp.asin) else sp.sqrt(1 - expr.args[0] ** 2)
            cosine = sp.sqrt(1 - expr.args[0] ** 2) if isinstance(expr, sp.asin) else expr.args[0]
            return Apply("atan2", (self.node(sine), self.node(cosine)))
        if expr.func in FUNCTIONS:
            return Apply(FUNCTIONS[expr.func], tuple(self.node(a) for a in expr.args))
        raise EmitError(f"no target has an operation for {expr.func.__name__}, which {expr} needs")

    def _terms(self, exponent: sp.Expr) -> tuple[Node, ...]:
        """The terms of a sum as lists of factors, to be multiplied and added without error."""
        terms = []
        for term in sp.Add.make_args(sp.expand(exponent)):
            number, rest = term.as_coeff_Mul()
            factors: list[Node] = []
            for factor in sp.Mul.make_args(rest):
                base, power = factor.as_base_exp()
                factors += [self.node(base)] * int(power) if power.is_Integer and power > 0 else [self.node(factor)]
            rounded = sp.Rational(float(number))
            for part in (rounded, number - rounded):
                if part == 0:
                    continue
                if _is_power_of_two(part):  # exact as it is
                    terms.append(Apply("factors", (self._scaled(part, factors[:1], []), *factors[1:])))
                else:
                    terms.append(Apply("factors", (_constant(part), *factors)))
        return tuple(terms)

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
        if negative and number != -1 and self.sizes:
            return self._scaled(sp.S.One, [_constant(number), *above], below)
        number = -number if negative else number
        # 1/3 is not a float and 3 is, and π is much better rounded than 1/π: divide by it instead.
        if number.is_real and number not in (0, 1) and 4 * _rounding(1 / number) < _rounding(number):
            below = [_constant(1 / number), *below]
        elif number != 1 or not above:
            above = [_constant(number), *above]
        above, below = self.by_size(above), self.by_size(below)
        node = _quotient(above or [_constant(sp.S.One)], below)
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
        total, *rest = self.smallest_first([self.node(term) for term in terms])
        for node in rest:
            total = Apply(operation, (total, node))
        return total


def _quotient(above: Sequence[Node], below: Sequence[Node]) -> Node:
    """Above over below; of many factors, those below divide in turn with those above, that none may overflow."""
    if max(len(above), len(below)) <= 2 or len(below) < 2:
        node = _product_of(above)
        return Apply("div", (node, _product_of(below))) if below else node
    node = above[0]
    for i in range(1, max(len(above), len(below) + 1)):
        if i <= len(below):
            node = Apply("div", (node, below[i - 1]))
        if i < len(above):
            node = Apply("mul", (node, above[i]))
    return node


def _product_of(factors: Sequence[Node]) -> Node:
    node = factors[0]
    for factor in factors[1:]:
        node = Apply("mul", (node, factor))
    return node


@cache
def _rounding(number: sp.Expr) -> float:
    """|fl(x)/x − 1| in double precision."""
    exact = sp.N(number, CONSTANT_DIGITS)
    return abs(float(sp.Float(float(exact), CONSTANT_DIGITS) / exact - 1))


def _is_power_of_two(number: sp.Rational) -> bool:
    return all(int(abs(n)) & (int(abs(n)) - 1) == 0 for n in (number.p, number.q))


def _constant(number: sp.Expr) -> Node:
    if number.could_extract_minus_sign():
        return Apply("neg", (_constant(-number),))
    if not number.is_real or not number.is_finite:
        raise EmitError(f"{number} is not a finite real number; code cannot hold it")
    decimal = str(sp.N(number, CONSTANT_DIGITS))
    return Constant(decimal, decimal if number.is_Float else str(number))


def constant_name(exact: str) -> str:
    """A name for an irrational constant that says what it is: 1/(2*pi) is ONE_OVER_2_PI."""
    text = exact.replace("1/", "ONE_OVER_", 1) if exact.startswith("1/") else exact
    name = re.sub(r"[^A-Z0-9]+", "_", text.replace("-", "MINUS_").replace("/", "_OVER_").upper()).strip("_")
    return f"C_{name}" if name[0].isdigit() else name
