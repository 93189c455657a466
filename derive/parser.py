"""The safe parser: activation text to a SymPy expression in x, by Python's `ast` and a whitelist.

The text is untrusted. It is never evaluated: each syntax node is looked up in a table. Length, depth and number of
nodes are bounded here, and whatever is built of them in `sizes`.
"""

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from fractions import Fraction

import sympy as sp

from mehler.derive.errors import ParseError
from mehler.derive.functions import (
    COMPARISONS,
    CONSTANTS,
    FUNCTIONS,
    NOT_FINITE,
    OPERATORS,
    PARAMETER_NAMES,
    conjunction,
    disjunction,
    negation,
    piecewise,
    where,
)
from mehler.derive.sizes import Refused, built, inspected
from mehler.derive.symbols import x

MAX_LENGTH = 2000
MAX_DEPTH = 60
MAX_NODES = 500

_NUMBER = re.compile(r"(\d[\d_]*)?(\.(\d[\d_]*)?)?([eE][+-]?\d{1,3})?")


def parse(text: str, shorthands: Mapping[str, str], parameters: Mapping[str, sp.Expr]) -> sp.Expr:
    """The SymPy expression of `text` in x and its parameters.

    `shorthands` maps names such as "relu" to expressions; `parameters` maps declared names to values or
    symbols. Raises ParseError, in one line, for anything that is not an activation.
    """
    return _Parser(text, shorthands, parameters).run()


def tree(text: str) -> tuple[str, ast.expr]:
    """The syntax tree of `text`, its size bounded. Raises ParseError."""
    if not isinstance(text, str):
        raise ParseError(f"an activation is text such as 'max(0, x)', not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise ParseError(f"the activation has {len(text)} characters; at most {MAX_LENGTH} are accepted")
    if not text.strip():
        raise ParseError("the activation is empty; write a function of x such as 'max(0, x)'")
    if not text.isascii():
        bad = next(ch for ch in text if not ch.isascii())
        raise ParseError(f"the activation contains {bad!a}; write it in plain ASCII, e.g. 'max(0, x)'")
    if _nesting(text) > MAX_DEPTH:
        raise ParseError(f"the activation is nested more than {MAX_DEPTH} deep; simplify it")
    source = " ".join(text.split()).replace("^", "**")
    try:
        with warnings.catch_warnings(action="ignore"):  # of Python, on 1if
            node = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise ParseError(
            f"cannot read {shorten(text)!r} ({reason}); write a function of x such as 'max(0, x)'"
        ) from None
    if sum(1 for _ in ast.walk(node)) > MAX_NODES:
        raise ParseError(f"the activation has more than {MAX_NODES} parts; simplify it")
    return source, node


def shorten(text: str, width: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


# Other names for a shorthand, without capitals and underscores.
ALIASES = {"swish": "silu", "hardsilu": "hard_swish", "linear": "identity", "prelu": "leaky_relu"}


def spelled(name: str, shorthands: Mapping[str, str]) -> str:
    """The known name that `name` stands for. Capitals and underscores do not matter, as in ReLU and hardtanh."""
    if name in shorthands or name in FUNCTIONS or len(name) == 1:
        return name
    plain = name.replace("_", "").lower()
    if ALIASES.get(plain) in shorthands:
        return ALIASES[plain]
    return next((n for n in (*shorthands, *FUNCTIONS) if n.replace("_", "").lower() == plain), name)


def _nesting(text: str) -> int:
    depth = deepest = 0
    for ch in text:
        depth += (ch in "([{") - (ch in ")]}")
        deepest = max(deepest, depth)
    return deepest


class _Parser:
    def __init__(self, text: str, shorthands: Mapping[str, str], parameters: Mapping[str, sp.Expr]) -> None:
        self.source, self.node = tree(text)
        self.shorthands = shorthands
        self.parameters = parameters

    def run(self) -> sp.Expr:
        return self.expression(self.node, x, 0)

    def expression(self, node: ast.expr, argument: sp.Expr, depth: int) -> sp.Expr:
        value = self.convert(node, argument, depth)
        if not isinstance(value, sp.Expr):
            raise ParseError(f"{self.text(node)!r} is a condition, not a value; use where(condition, a, b)")
        return value

    def condition(self, node: ast.expr, argument: sp.Expr, depth: int) -> sp.Basic:
        value = self.convert(node, argument, depth)
        if isinstance(value, sp.Expr):
            raise ParseError(f"{self.text(node)!r} is not a condition; write a comparison such as x > 0")
        return value

    def convert(self, node: ast.expr, argument: sp.Expr, depth: int) -> sp.Basic:
        if depth > MAX_DEPTH:
            raise ParseError(f"the activation is nested more than {MAX_DEPTH} deep; simplify it")
        try:
            return self.build(node, argument, depth)
        except Refused as refused:
            raise ParseError(f"{self.text(node)!r} {refused.reason}") from None

    def build(self, node: ast.expr, argument: sp.Expr, depth: int) -> sp.Basic:
        def sub(child: ast.expr) -> sp.Expr:
            return self.expression(child, argument, depth + 1)

        def condition(child: ast.expr) -> sp.Basic:
            return self.condition(child, argument, depth + 1)

        match node:
            case ast.Constant(value=bool()):
                return sp.true if node.value else sp.false
            case ast.Constant(value=int() | float()):
                return self.number(node)
            case ast.Name():
                return self.name(node, argument, depth)
            case ast.UnaryOp(op=ast.USub()):
                return built(sp.Mul, sp.S.NegativeOne, sub(node.operand))
            case ast.UnaryOp(op=ast.UAdd()):
                return sub(node.operand)
            case ast.UnaryOp(op=ast.Not()):
                return negation(condition(node.operand))
            case ast.BinOp(op=ast.BitAnd()):
                return conjunction(condition(node.left), condition(node.right))
            case ast.BinOp(op=ast.BitOr()):
                return disjunction(condition(node.left), condition(node.right))
            case ast.BinOp() if type(node.op) in OPERATORS:
                return OPERATORS[type(node.op)](sub(node.left), sub(node.right))
            case ast.BoolOp():
                combine = conjunction if isinstance(node.op, ast.And) else disjunction
                return combine(*(condition(v) for v in node.values))
            case ast.Compare():
                return self.comparison(node, [sub(node.left), *(sub(v) for v in node.comparators)])
            case ast.IfExp():
                return where(condition(node.test), sub(node.body), sub(node.orelse))
            case ast.Call():
                return self.call(node, sub, condition)
        raise ParseError(
            f"{self.text(node)!r} is not allowed in an activation; "
            "use numbers, x, + - * / ** and the functions that 'mehler list' names"
        )

    def number(self, node: ast.Constant) -> sp.Expr:
        text = self.text(node)
        if not _NUMBER.fullmatch(text) or len(text) > 60:
            raise ParseError(f"the number {shorten(text)!r} is not a plain decimal of at most 60 characters")
        value = Fraction(text)
        return inspected(sp.Rational(value.numerator, value.denominator))

    def name(self, node: ast.Name, argument: sp.Expr, depth: int) -> sp.Expr:
        name = node.id
        if name == "x":
            return argument
        if name in self.parameters:
            return self.parameters[name]
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in PARAMETER_NAMES:
            return sp.Symbol(name, real=True)
        known = spelled(name, self.shorthands)
        if depth == 0 and known in self.shorthands:
            return self.shorthand(known, argument)
        if depth == 0 and known in FUNCTIONS and FUNCTIONS[known][1] == 1:
            return FUNCTIONS[known][0](argument)
        if known in FUNCTIONS or known in self.shorthands:
            raise ParseError(f"{name} is a function; write {name}(x)")
        if name.lower() in NOT_FINITE:
            raise ParseError(f"{name} is not a finite number; write a large number, or where(condition, a, b)")
        short = shorten(name, 20)
        raise ParseError(
            f"{shorten(name)!r} is not known: an activation is a function of the one variable x; "
            f"a parameter needs a value or an assumption, e.g. {short}=0.1 or {short}=positive"
        )

    def shorthand(self, name: str, argument: sp.Expr) -> sp.Expr:
        parser = _Parser(self.shorthands[name], self.shorthands, self.parameters)
        return parser.expression(parser.node, argument, 1)

    def comparison(self, node: ast.Compare, values: list[sp.Expr]) -> sp.Basic:
        parts = []
        for op, left, right in zip(node.ops, values, values[1:], strict=False):
            if type(op) not in COMPARISONS:
                raise ParseError(f"{self.text(node)!r} must compare with <, <=, > or >=")
            parts.append(COMPARISONS[type(op)](left, right))
        return conjunction(*parts)

    def call(
        self,
        node: ast.Call,
        sub: Callable[[ast.expr], sp.Expr],
        condition: Callable[[ast.expr], sp.Basic],
    ) -> sp.Expr:
        if not isinstance(node.func, ast.Name):
            raise ParseError(f"{self.text(node)!r} is not a call of a known function by position")
        name = spelled(node.func.id, self.shorthands)
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise ParseError(
                f"{self.text(node)!r} is not a call of a known function by position{self.advice(name)}"
            )
        if name == "Piecewise":
            return self.piecewise(node, sub, condition)
        entry: tuple[Callable[..., sp.Expr], int | None]
        if name in self.shorthands and name not in FUNCTIONS:
            entry = self._named(name), 1
        elif name in FUNCTIONS:
            entry = FUNCTIONS[name]
        else:
            raise ParseError(f"{shorten(name)!r} is not a known function; 'mehler list' names those that are")
        function, count = entry
        if not node.args or (count is not None and len(node.args) != count):
            raise ParseError(
                f"{name} takes {count or 'at least 1'} argument(s), not {len(node.args)}{self.advice(name)}"
            )
        if name == "where":
            return where(condition(node.args[0]), sub(node.args[1]), sub(node.args[2]))
        value: sp.Expr = function(*(sub(argument) for argument in node.args))
        return value

    def advice(self, name: str) -> str:
        """How a shorthand's parameters are given, for who wrote them as arguments."""
        words = re.findall(r"[A-Za-z_]\w*", self.shorthands.get(name, ""))
        parameters = sorted(set(words) & PARAMETER_NAMES)
        return f"; its parameters are given apart, e.g. {parameters[0]}=0.1" if parameters else ""

    def _named(self, name: str) -> Callable[..., sp.Expr]:
        return lambda argument: self.shorthand(name, argument)

    def piecewise(
        self, node: ast.Call, sub: Callable[[ast.expr], sp.Expr], condition: Callable[[ast.expr], sp.Basic]
    ) -> sp.Expr:
        branches = []
        for branch in node.args:
            if not isinstance(branch, ast.Tuple) or len(branch.elts) != 2:
                raise ParseError("write Piecewise((value, condition), …, (value, True))")
            branches.append((sub(branch.elts[0]), condition(branch.elts[1])))
        if not branches:
            raise ParseError("write Piecewise((value, condition), …, (value, True))")
        return piecewise(*branches)

    def text(self, node: ast.AST) -> str:
        return shorten(ast.get_source_segment(self.source, node) or "this part")
