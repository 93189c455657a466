"""Translate scalar functions from their restricted Python to CUDA C++, so that there is one text of each.

The Python of `compiled.py` and `fused.py` is assignments, tuples, calls, conditions, and loops over ranges and
constant tables. Numbers are doubles; what else there is (truths, integers, tables) is inferred from the entries
down. A tuple becomes a struct, a constant table a constant array. What is not known here is refused, never guessed.

Rounding is Numba's: a function whose decorator allows contraction has plain operators, which the CUDA compiler
makes multiply-adds of; any other has the intrinsics __dmul_rn, __dadd_rn and __dsub_rn, of which it never does. So
Dekker's error-free products are right at every compiler option, and no option is needed.
"""

import ast
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from mehler.derive.emit.expressions import (
    CONSTANTS,
    INDEX,
    NOTHING,
    NUMBER,
    TABLE,
    TRUTH,
    Expressions,
    Value,
    bare,
    literal,
    refuse,
    variable,
)
from mehler.derive.errors import EmitError

ANNOTATIONS = {"truth": TRUTH, "index": INDEX, "table": TABLE}

WIDTH = 112

PRELUDE = """\
struct s_table {  // numbers by two or three indices, of which the last runs fastest
    double* data;
    long long middle, last;
    __device__ double& operator()(long long i, long long j) const { return data[i * last + j]; }
    __device__ double& operator()(long long i, long long j, long long k) const
    {
        return data[(i * middle + j) * last + k];
    }
};

__device__ inline double s_min(double a, double b) { return b < a ? b : a; }
__device__ inline double s_max(double a, double b) { return b > a ? b : a; }
"""


def translated(sources: Sequence[str], entries: Sequence[str]) -> str:
    """CUDA C++ of the functions or constants `entries` and of all that they use, from the first source that has it.

    Raises EmitError for what is not in the restricted language.
    """
    unit = _Unit(sources)
    for entry in entries:
        if entry in unit.definitions:
            unit.function(entry, None)
        else:
            unit.constant(entry)
    structs = [_struct(n) for n in sorted(unit.tuples)]
    return "\n".join([PRELUDE, *structs, *unit.constants.values(), "", *unit.functions.values()])


def _struct(n: int) -> str:
    return f"struct s_{n} {{ double {', '.join(f'_{k}' for k in range(n))}; }};"


class _Unit:
    """What is translated so far, each definition before those that use it."""

    def __init__(self, sources: Sequence[str]) -> None:
        self.definitions: dict[str, ast.FunctionDef] = {}
        self.values: dict[str, Any] = {}
        for source in reversed(sources):
            body = ast.parse(source).body
            self.definitions |= {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
            for node in body:
                # What is made of a function is no constant of a scalar.
                if isinstance(node, ast.Assign):
                    with suppress(NameError):
                        exec(
                            compile(ast.Module([node], []), "constants", "exec"),
                            {"np": np} | self.values,
                            self.values,
                        )
        self.tuples: set[int] = set()
        self.constants: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self.signatures: dict[str, tuple[list[str], str] | None] = {}

    def function(self, name: str, given: Sequence[str] | None) -> tuple[list[str], str]:
        """(types of parameters, type of result) of a function, translated for arguments of `given` types."""
        if name not in self.signatures:
            node = self.definitions.get(name)
            if node is None:
                raise EmitError(f"no CUDA code for the function {name}: it has no definition")
            self.signatures[name] = None
            one = _Function(self, node, given)
            self.signatures[name] = one.parameters, one.result
            self.functions[name] = one.text
        signature = self.signatures[name]
        if signature is None:
            raise EmitError(f"no CUDA code for the function {name}: it calls itself")
        return signature

    def contracts(self, node: ast.FunctionDef) -> bool:
        """Whether its decorator, njit(**FLAGS), allows the contraction of a product and a sum."""
        for decorator in node.decorator_list:
            match decorator:
                case ast.Call(func=ast.Name(id="njit"), args=[], keywords=[ast.keyword(arg=None, value=flags)]):
                    return "contract" in eval(ast.unparse(flags), dict(self.values)).get("fastmath", ())
        refuse(node, "its decorator is not njit(**FLAGS)")

    def constant(self, name: str) -> tuple[str, str]:
        """(C, type) of a constant of a module, or of a table of them."""
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | tuple | np.ndarray):
            raise EmitError(f"no CUDA code for the constant {name}: it is no number and no table of numbers")
        if isinstance(value, int | float):
            kind = INDEX if isinstance(value, int) else NUMBER
            self.constants.setdefault(name, f"constexpr {kind} {name} = {literal(value)};")
            return name, kind
        table = np.asarray(value, np.float64)
        rows = ",\n    ".join("{" + ", ".join(map(literal, row.tolist())) + "}" for row in np.atleast_2d(table))
        if table.ndim != 2:
            raise EmitError(f"no CUDA code for the constant {name}: it is no table of two indices")
        text = f"__constant__ double {name}[{table.shape[0]}][{table.shape[1]}] = {{\n    {rows}\n}};"
        self.constants.setdefault(name, _wrapped(text))
        return name, CONSTANTS


class _Function(Expressions):
    """One function: its text, and the types that were found on the way."""

    def __init__(self, unit: _Unit, node: ast.FunctionDef, given: Sequence[str] | None) -> None:
        self.unit, self.node, self.contracts = unit, node, unit.contracts(node)
        if (
            node.args.defaults
            or node.args.kwonlyargs
            or node.args.vararg
            or node.args.kwarg
            or node.args.posonlyargs
        ):
            refuse(node, "its parameters are not plain")
        names = [argument.arg for argument in node.args.args]
        self.parameters = [
            self.annotated(argument) or (kind if kind != INDEX else NUMBER)
            for argument, kind in zip(node.args.args, given or [NUMBER] * len(names), strict=True)
        ]
        self.stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.types = dict(zip(names, self.parameters, strict=True))
        self.known = set(names)
        self.loops: set[str] = set()
        self.hoisted: list[tuple[str, str]] = []
        self.result, self.temporaries = "", 0
        body = node.body
        note = ast.get_docstring(node)
        lines = self.block(body[1:] if note else body, 1)
        if self.result and not self.ends(body):
            refuse(node, "it may end without a result")
        self.result = self.result or NOTHING
        arguments = ", ".join(f"{kind} {variable(n)}" for n, kind in zip(names, self.parameters, strict=True))
        comments = (
            [f"// {line}" for line in textwrap.wrap(note.partition("\n\n")[0], WIDTH) if note] if note else []
        )
        kinds = sorted({kind for kind, _ in self.hoisted})
        declared = [f"    {kind} {', '.join(variable(n) for k, n in self.hoisted if k == kind)};" for kind in kinds]
        head = _wrapped(f"__device__ inline {self.result} {node.name}({arguments})")
        self.text = "\n".join([*comments, head, "{", *map(_wrapped, [*declared, *lines]), "}", ""])

    @staticmethod
    def annotated(argument: ast.arg) -> str | None:
        match argument.annotation:
            case None:
                return None
            case ast.Constant(value=str(kind)) if kind in ANNOTATIONS:
                return ANNOTATIONS[kind]
        refuse(argument, f"a parameter is a number, or one of {', '.join(ANNOTATIONS)}")

    # Statements.

    def block(self, body: Sequence[ast.stmt], depth: int) -> list[str]:
        return [line for statement in body for line in self.statement(statement, depth)]

    def statement(self, node: ast.stmt, depth: int) -> list[str]:
        space = "    " * depth
        match node:
            case ast.Assign(targets=[target], value=value):
                return [space + line for line in self.assign(target, value, depth)]
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                total = ast.BinOp(ast.Name(name, ast.Load()), op, value)
                return [space + line for line in self.store(ast.Name(name, ast.Store()), self.value(total), depth)]
            case ast.Return(value=ast.expr() as value):
                text, kind = self.value(value)
                if kind in (TABLE, CONSTANTS, INDEX):
                    text, kind = self.number((text, kind), value), NUMBER
                if self.result and kind != self.result:
                    refuse(node, f"its results are {self.result} and {kind}")
                self.result = kind
                return [f"{space}return {bare(text)};"]
            case ast.If(test=test, body=yes, orelse=no):
                lines = [f"{space}if ({bare(self.truth(test))}) {{"]
                before = set(self.known)
                lines += self.block(yes, depth + 1)
                after, self.known = (None if self.ends(yes) else self.known), set(before)
                if no:
                    lines += [f"{space}}} else {{", *self.block(no, depth + 1)]
                known = [k for k in (after, None if no and self.ends(no) else self.known) if k is not None]
                self.known = set.intersection(*known) if known else before
                return [*lines, f"{space}}}"]
            case ast.For(target=target, iter=over, body=body, orelse=[]):
                before = set(self.known)
                head, lines = self.loop(target, over, depth)
                lines = [f"{space}{head} {{", *lines, *self.block(body, depth + 1), f"{space}}}"]
                self.known = before
                return lines
        refuse(node, "a statement is an assignment, a return, an if or a for")

    def ends(self, body: Sequence[ast.stmt]) -> bool:
        """Whether a block always returns."""
        last = body[-1]
        return isinstance(last, ast.Return) or (
            isinstance(last, ast.If) and bool(last.orelse) and self.ends(last.body) and self.ends(last.orelse)
        )

    def loop(self, target: ast.expr, over: ast.expr, depth: int) -> tuple[str, list[str]]:
        """The head of a loop over a range or the rows of a constant table, and what its body begins with."""
        match target, over:
            case ast.Name(id=name), ast.Call(func=ast.Name(id="range"), args=[*ends], keywords=[]) if len(ends) < 3:
                first, last = [self.index(end) for end in [ast.Constant(0), *ends][-2:]]
                if name in self.types and (name not in self.loops or name in self.known):
                    refuse(target, "the variable of a loop is nothing else")
                self.types[name] = INDEX
                self.loops.add(name)
                self.known.add(name)
                name = variable(name)
                return f"for (long long {name} = {first}; {name} < {last}; ++{name})", []
            case ast.Tuple(elts=parts), ast.Name(id=table) if table not in self.types and table in self.unit.values:
                self.unit.constant(table)
                rows, columns = np.shape(self.unit.values[table])
                if columns != len(parts):
                    refuse(over, f"its rows have {columns} numbers")
                row = self.temporary("row")
                lines = [
                    "    " * (depth + 1) + line
                    for k, part in enumerate(parts)
                    for line in self.store(part, (f"{table}[{row}][{k}]", NUMBER), depth + 1)
                ]
                return f"for (long long {row} = 0; {row} < {rows}; ++{row})", lines
        refuse(over, "a loop is over a range or over the rows of a constant table")

    def temporary(self, stem: str) -> str:
        self.temporaries += 1
        return f"{stem}_{self.temporaries}"

    def assign(self, target: ast.expr, value: ast.expr, depth: int) -> list[str]:
        if not isinstance(target, ast.Tuple):
            return self.store(target, self.value(value), depth)
        if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
            values, lines = [self.value(v) for v in value.elts], []
            if any(
                _names(ast.Tuple(target.elts[:k])) & _names(v) for k, v in enumerate(value.elts)
            ):  # as if at once
                for k, (text, kind) in enumerate(values):
                    values[k] = self.temporary("value"), kind
                    lines.append(f"{kind} {values[k][0]} = {bare(text)};")
        else:
            text, kind = self.value(value)
            if kind != f"s_{len(target.elts)}":
                refuse(value, f"it is not {len(target.elts)} numbers")
            whole = self.temporary("values")
            lines = [f"{kind} {whole} = {text};"]
            values = [(f"{whole}._{k}", NUMBER) for k in range(len(target.elts))]
        for part, each in zip(target.elts, values, strict=True):
            lines += self.store(part, each, depth)
        return lines

    def store(self, target: ast.expr, value: Value, depth: int) -> list[str]:
        if isinstance(target, ast.Subscript):
            place, kind = self.value(target)
            if "(" not in place or kind != NUMBER:
                refuse(target, "only numbers of a table are assigned")
            return [f"{place} = {bare(self.number(value, target))};"]
        if not isinstance(target, ast.Name):
            refuse(target, "what is assigned has a name")
        text, kind = value
        if kind in (TABLE, CONSTANTS, NOTHING):
            refuse(target, f"{kind} is not assigned")
        known = self.types.setdefault(target.id, kind)
        if known != kind:
            if known != NUMBER:
                refuse(target, f"it is {known}, then {kind}")
            text = self.number(value, target)
        new = target.id not in self.known and (known, target.id) not in self.hoisted
        self.known.add(target.id)
        if new and depth > 1:
            self.hoisted.append((known, target.id))
            new = False
        return [f"{known + ' ' if new else ''}{variable(target.id)} = {bare(text)};"]


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _wrapped(text: str) -> str:
    """Lines no longer than a module's may be; C++ does not mind where they end."""
    return "\n".join(part for line in text.split("\n") for part in _parts(line))


def _parts(line: str) -> Iterator[str]:
    space = line[: len(line) - len(line.lstrip())]
    while len(line) > WIDTH:
        end = max(line.rfind(" ", len(space) + 5, WIDTH), 0)
        if end < WIDTH // 2:  # a call within a call within …
            end = line.rfind("(", 0, WIDTH) + 1
        yield line[:end].rstrip()
        line = f"{space}    {line[end:].lstrip()}"
    yield line
