"""Expressions of the restricted Python as C++, each with its type."""

import ast
import math
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

import numpy as np

from mehler.derive.errors import EmitError

NUMBER, TRUTH, INDEX, TABLE, NOTHING = "double", "bool", "long long", "s_table", "void"
CONSTANTS = "constant table"
# Functions of C and Python alike, by the number of their arguments.
MATH = dict.fromkeys(("cos", "cosh", "erfc", "fabs", "log", "sin", "sinh", "sqrt", "tan", "tanh"), 1) | {
    "copysign": 2
}
# Words that Python leaves to variables and C++ does not.
WORDS = """
alignas alignof and_eq asm auto bitand bitor bool case catch char class compl const constexpr const_cast decltype
default delete do double dynamic_cast enum explicit export extern false float friend goto inline int long mutable
namespace new noexcept not_eq nullptr operator or_eq private protected public register reinterpret_cast short signed
sizeof static static_assert static_cast struct switch template this thread_local throw true typedef typeid typename
union unsigned using virtual void volatile wchar_t xor xor_eq
"""
RESERVED = frozenset(WORDS.split())
ARITHMETIC = {ast.Add: ("+", "__dadd_rn"), ast.Sub: ("-", "__dsub_rn"), ast.Mult: ("*", "__dmul_rn")}
BITS = {ast.BitAnd: "&", ast.BitOr: "|", ast.LShift: "<<", ast.RShift: ">>"}
SHIFTS = (ast.LShift, ast.RShift)
COMPARE = {ast.Lt: "<", ast.Gt: ">", ast.LtE: "<=", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}

Value = tuple[str, str]  # C++ and its type


class Unit(Protocol):
    """What an expression asks of the definitions around it."""

    definitions: dict[str, ast.FunctionDef]
    values: dict[str, Any]
    tuples: set[int]

    def function(self, name: str, given: Sequence[str] | None) -> tuple[list[str], str]: ...
    def constant(self, name: str) -> tuple[str, str]: ...


def refuse(node: ast.AST, why: str) -> NoReturn:
    raise EmitError(f"no CUDA code for {ast.unparse(node)[:60]!r}: {why}")


def literal(value: float) -> str:
    if isinstance(value, int):
        return f"{value}LL" if abs(value) >= 2**31 else str(value)
    if not math.isfinite(value):
        raise EmitError(f"no CUDA code for the number {value}")
    return repr(value)


def bare(text: str) -> str:
    """Without parentheses around all of it."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and at < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def variable(name: str) -> str:
    """A variable's name in C++, where those of functions are taken."""
    return f"{name}_" if name in RESERVED or name in MATH or name.endswith("_") else name


class Expressions:
    """The expressions of one function; `contracts` says whether its products and sums may be fused."""

    unit: Unit
    contracts: bool
    types: dict[str, str]
    known: set[str]  # names that have a value by now
    stored: set[str]  # names that are assigned anywhere

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=bool(value)):
                return str(value).lower(), TRUTH
            case ast.Constant(value=int(value)):
                return literal(value), INDEX
            case ast.Constant(value=float(value)):
                return literal(value), NUMBER
            case ast.Name(id=name):
                return self.named(node, name)
            case ast.Attribute(value=ast.Name(id="np"), attr="nan"):
                return "__longlong_as_double(0x7ff8000000000000LL)", NUMBER
            case ast.Tuple(elts=parts):
                self.unit.tuples.add(len(parts))
                numbers = [self.number(self.value(part), part) for part in parts]
                return f"s_{len(parts)}{{{', '.join(map(bare, numbers))}}}", f"s_{len(parts)}"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                text, kind = self.value(operand)
                if kind != INDEX:
                    text, kind = self.number((text, kind), operand), NUMBER
                return (f"-{text}" if isinstance(operand, ast.Constant) else f"(-{text})"), kind
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return f"(!{self.truth(operand)})", TRUTH
            case ast.BoolOp(op=op, values=values):
                joint = " && " if isinstance(op, ast.And) else " || "
                return f"({joint.join(self.truth(value) for value in values)})", TRUTH
            case ast.BinOp(left=left, op=op, right=right):
                if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
                    refuse(node, "numbers that are given are one number")
                return self.binary(node, type(op), self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARE:
                one, two = self.value(left), self.value(right)
                if not one[1] == two[1] == INDEX:
                    one, two = (self.number(one, left), NUMBER), (self.number(two, right), NUMBER)
                return f"({one[0]} {COMPARE[type(op)]} {two[0]})", TRUTH
            case ast.IfExp(test=test, body=yes, orelse=no):
                return self.choice(node, test, yes, no)
            case ast.Subscript():
                return self.part(node)
            case ast.Call(keywords=[]):
                return self.call(node)
        refuse(node, "it is not in the language of scalars")

    def named(self, node: ast.Name, name: str) -> Value:
        if name in self.types:
            if name not in self.known:
                refuse(node, "it may have no value here")
            return variable(name), self.types[name]
        if name in self.stored or name not in self.unit.values:
            refuse(node, "it has no value")
        return self.unit.constant(name)

    def number(self, value: Value, node: ast.AST) -> str:
        """A value as a double."""
        text, kind = value
        if kind == NUMBER:
            return text
        if kind == TRUTH:
            return f"({text} ? 1.0 : 0.0)"
        if kind == INDEX:
            digits = text.removesuffix("LL")
            return f"{digits}.0" if digits.removeprefix("-").isdigit() and len(digits) < 16 else f"(double){text}"
        refuse(node, f"{kind} is no number")

    def truth(self, node: ast.expr) -> str:
        text, kind = self.value(node)
        if kind != TRUTH:
            refuse(node, "a condition is a comparison")
        return text

    def index(self, node: ast.expr) -> str:
        text, kind = self.value(node)
        if kind != INDEX:
            refuse(node, "an index is an integer")
        return text

    def binary(self, node: ast.expr, op: type[ast.operator], one: Value, two: Value) -> Value:
        if op in BITS:
            if one[1] != two[1] or one[1] not in (INDEX, TRUTH) or (one[1] == TRUTH and op in SHIFTS):
                refuse(node, "bits are those of two integers, or of two truths")
            text = f"({one[0]} {BITS[op]} {two[0]})"
            return (text, INDEX) if one[1] == INDEX else (f"bool{text}", TRUTH)
        if op in ARITHMETIC:
            sign, exactly = ARITHMETIC[op]
            if one[1] == two[1] == INDEX:
                return f"({one[0]} {sign} {two[0]})", INDEX
            left, right = self.number(one, node), self.number(two, node)
            plain, exact = f"({left} {sign} {right})", f"{exactly}({bare(left)}, {bare(right)})"
            return plain if self.contracts else exact, NUMBER
        if op is ast.Div:
            return f"({self.number(one, node)} / {self.number(two, node)})", NUMBER
        refuse(node, "the operator is not known")

    def choice(self, node: ast.expr, test: ast.expr, yes: ast.expr, no: ast.expr) -> Value:
        one, two = self.value(yes), self.value(no)
        if one[1] != two[1] or one[1] == INDEX:
            one, two = (self.number(one, yes), NUMBER), (self.number(two, no), NUMBER)
        return f"({self.truth(test)} ? {one[0]} : {two[0]})", one[1]

    def part(self, node: ast.Subscript) -> Value:
        """An entry of a tuple, of a table, of a constant table, or of its shape."""
        match node.value, node.slice:
            case ast.Attribute(value=ast.Name(id=name), attr="shape"), ast.Constant(value=int(axis)):
                if name not in self.types and isinstance(self.unit.values.get(name), np.ndarray):
                    return literal(int(self.unit.values[name].shape[axis])), INDEX
                refuse(node, "only a constant table has a shape")
        (text, kind), at = self.value(node.value), node.slice
        if kind == TABLE and isinstance(at, ast.Tuple) and len(at.elts) in (2, 3):
            return f"{text}({', '.join(map(self.index, at.elts))})", NUMBER
        if kind == CONSTANTS and isinstance(at, ast.Tuple) and len(at.elts) == 2:
            return text + "".join(f"[{self.index(each)}]" for each in at.elts), NUMBER
        if kind.startswith("s_") and kind != TABLE and isinstance(at, ast.Constant):
            if not isinstance(at.value, int) or not 0 <= at.value < int(kind[2:]):
                refuse(node, "the tuple has no such part")
            return f"{text}._{at.value}", NUMBER
        refuse(node, "it has no such part")

    def call(self, node: ast.Call) -> Value:
        match node.func, node.args:
            # The bits of a double as an integer, and back.
            case (
                ast.Attribute(value=ast.Call(func=ast.Attribute(attr=made), args=[inner]), attr="view"),
                [ast.Attribute(value=ast.Name(id="np"), attr=seen)],
            ):
                if (made, seen) == ("float64", "int64"):
                    return f"__double_as_longlong({bare(self.number(self.value(inner), inner))})", INDEX
                if (made, seen) == ("int64", "float64"):
                    return f"__longlong_as_double({bare(self.index(inner))})", NUMBER
            case ast.Attribute(value=ast.Name(id="np"), attr="float64"), [inner]:
                return self.number(self.value(inner), inner), NUMBER
            case ast.Attribute(value=ast.Name(id="np"), attr="int64"), [inner]:
                return f"(long long){self.number(self.value(inner), inner)}", INDEX
            case ast.Name(id="s_choose"), [test, yes, no]:
                return self.choice(node, test, yes, no)
            case ast.Name(id="min" | "max" as name), [one, two]:
                return f"s_{name}({self.number(self.value(one), one)}, {self.number(self.value(two), two)})", NUMBER
            case ast.Name(id=name), arguments if name not in self.types and name not in self.stored:
                if name in MATH and len(arguments) == MATH[name]:
                    return f"{name}({', '.join(bare(self.number(self.value(a), a)) for a in arguments)})", NUMBER
                if name in self.unit.definitions and name not in MATH:
                    return self.applied(node, name, [self.value(a) for a in arguments])
        refuse(node, "the function is not known")

    def applied(self, node: ast.Call, name: str, values: list[Value]) -> Value:
        if len(values) != len(self.unit.definitions[name].args.args):
            refuse(node, "it has another number of arguments")
        wanted, result = self.unit.function(name, [kind for _, kind in values])
        texts = [
            value[0]
            if value[1] == kind
            else self.number(value, node)
            if kind == NUMBER
            else refuse(node, f"no {kind}")
            for value, kind in zip(values, wanted, strict=True)
        ]
        if result == NOTHING:
            refuse(node, "it has no result")
        return f"{name}({', '.join(map(bare, texts))})", result
