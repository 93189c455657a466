"""Assemble a standalone Numba module: the fused recursion, and of the NumPy module what that calls.

Its text is taken from three sources in turn, fused.py, compiled.py and the NumPy module of the same dual: the
definitions that are reached from its public names. So there is one text of every function, whatever the target.
"""

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from string import Template
from types import ModuleType

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import exponential, exponential_scalar, powers, remainder, remainder_scalar, rescue, scalar
from mehler.derive.emit import numpy as arrays
from mehler.derive.emit.compiled import helpers
from mehler.derive.emit.fused import (
    CHECK,
    CLOSER,
    FUSED,
    GIVEN_UP,
    LOST,
    PRICE,
    ROW_PARTS,
    SOUND,
    by_parts,
    by_series,
)
from mehler.derive.emit.header import STANDARD, hashed, parameters, public, quoted, signature_of
from mehler.derive.emit.module import (
    LEAST,
    NORMAL,
    Lowered,
    assignment,
    check,
    lacking,
    lowered,
    measured_source,
    tables_source,
)
from mehler.derive.emit.normal import SPECIAL
from mehler.derive.emit.program import Program
from mehler.derive.emit.row_parts import by_rows
from mehler.derive.emit.tables_compiled import TABULATED
from mehler.derive.errors import EmitError
from mehler.derive.stabilise.stage import has_sums
from mehler.derive.tables.table import Tables

HEADER = ("NAME", "EXPRESSION", "PARAMETERS", "JUMPS", "TARGET", "ENGINE", "BUDGETS", "SOURCE")
PUBLIC = ("kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag", "nngp", "ntk", "rows_of", "tile_of")
IMPORTS = {
    "numba": "from numba import njit",
    "cupy": """
try:
    import cupy
except ImportError:
    raise ImportError("this module needs CuPy; install it with: pip install cupy-cuda13x") from None
""",
}
MATH = ("asinh", "copysign", "cos", "cosh", "erfc", "fabs", "log", "sin", "sinh", "sqrt", "tan", "tanh")

# Places whose text has places of its own, of those that are filled then.
LATE = ("apart", "row_limits")

# Rules for Mehler's series in scalars, and those of the arrays that they leave pairs to.
ARRAYS = {remainder_scalar: remainder, exponential_scalar: exponential}

COMPILED = """
The recursion of a network runs in one loop nest, which Numba compiles at the first call and keeps in its cache.
"""


COMPILED_LAYER = """
A layer of a matrix of pairs is one call, which Numba compiles at the first and keeps in its cache.
"""


def slow(proved: ProvedDual) -> bool:
    """Whether the code of a closed form takes longer than tables: where terms may cancel and no series is known."""
    return has_sums(proved) and not any(rule.applies(proved) for rule in ARRAYS)


def emit_numba(proved: ProvedDual, name: str) -> str:
    """The source of a Numba module for a proved dual. Raises EmitError."""
    check(proved, name)
    powers.refuse(proved)
    code = lowered(proved)
    rule = series_of(proved, code)
    return numba_source(proved, code, measured_source(proved, name, ARRAYS[rule] if rule else code), rule)


def numba_source(proved: ProvedDual, code: Lowered, plain: str, rule: ModuleType | None = None) -> str:
    """The source of a Numba module, `plain` being that of the NumPy module before it has its hash.

    `rule`: that of `series_of`.
    """
    return assembled(_fused(proved, code, rule), plain, COMPILED, "numba")


def emit_numba_tables(dual: ProvedDual | NumericDual, name: str, tables: Tables | None) -> str:
    """The source of a Numba module of the tables of K and K̇. Raises EmitError."""
    source = tables_source(dual, name, present(dual, tables))
    return assembled(TABULATED, source, COMPILED_LAYER, "numba")


def present(dual: ProvedDual | NumericDual, tables: Tables | None) -> Tables:
    """The tables, if there are any. Raises EmitError."""
    if tables is None:
        known = isinstance(dual, ProvedDual) and lacking(dual) is None
        raise EmitError(
            f"{dual.activation.text!r} has knots elsewhere than at 0, and so no tables; use the target "
            + ("numba, for which its closed form has code" if known else "numpy, which sums the integrals")
        )
    return tables


def assembled(compiled: str, plain: str, note: str, target: str) -> str:
    """Of each definition that is reached the text in `compiled`, or in helpers, or in the NumPy module `plain`."""
    plain = plain.replace('TARGET = "numpy"', f'TARGET = "{target}"')
    pools = [_Definitions(text) for text in (compiled, helpers(), plain)]
    reached = _reached((*HEADER, *PUBLIC), pools)
    docstring = ast.get_docstring(ast.parse(plain), clean=False)
    parts = [f'"""{quoted(docstring or "")}{note}"""\n', _imports(reached, IMPORTS[target])]
    for pool in reversed(pools):
        parts += [text for names, text in pool.entries if any(reached.get(name) is pool for name in names)]
    return hashed("".join(parts))


class _Definitions:
    """The top-level definitions of a module's text in order, each with the comment above it."""

    def __init__(self, text: str) -> None:
        lines = text.splitlines()
        self.entries: list[tuple[set[str], str]] = []
        self.needs: dict[str, set[str]] = {}
        for node in ast.parse(text).body:
            names = _bound(node)
            if not names:
                continue
            if names & self.needs.keys():
                raise EmitError(f"generated code would define {min(names & self.needs.keys())} twice")
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(d.lineno for d in decorators)]) - 1
            while first and lines[first - 1].startswith("#"):
                first -= 1
            space = "\n\n" if isinstance(node, ast.FunctionDef) else "\n" if lines[first].startswith("#") else ""
            self.entries.append((names, space + "\n".join(lines[first : node.end_lineno]) + "\n"))
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            for name in names:
                self.needs[name] = used - _locals(node)


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return set()


def _locals(node: ast.stmt) -> set[str]:
    if not isinstance(node, ast.FunctionDef):
        return set()
    stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}


def _reached(names: Iterable[str], pools: Sequence[_Definitions]) -> dict[str, _Definitions | None]:
    """The pool, if any, of every name that is reached from `names`."""
    found: dict[str, _Definitions | None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = next((pool for pool in pools if name in pool.needs), None)
            pool = found[name]
            waiting += [] if pool is None else pool.needs[name]
    return found


def _imports(reached: Iterable[str], package: str) -> str:
    lines = ["\n", *(f"import {name}\n" for name in STANDARD if name in reached)]
    outside = [name for name in MATH if name in reached]
    if outside:
        lines.append(f"from math import {', '.join(outside)}\n")
    if len(lines) > 1:
        lines.append("\n")
    lines.append(f"import numpy as np\n{package}\n")
    special = [name for name in SPECIAL if name in reached]
    if special:
        lines.append(f"from scipy.special import {', '.join(special)}\n")
    return "".join(lines) + "\n"


def _fused(proved: ProvedDual, code: Lowered, rule: ModuleType | None) -> str:
    filled = places(proved, code, rule)
    filled |= closeness(code.parity, code.parallel, code.falls is not None, filled)
    text = ""
    if code.apart is None:
        filled["apart"] = Template(filled["apart"]).substitute(filled)
    else:
        program, parts = by_rows(code.apart, frozenset({"weight", *parameters(proved)}))
        filled["apart"] = indented(lines_of(program, ("k", "k_dot")), "return k, k_dot")
        if parts:
            filled |= {key: Template(part).substitute(filled) for key, part in by_parts(len(parts)).items()}
            values = "".join(f"        {arrays.expression(part)},\n" for part in parts)
            text = Template(ROW_PARTS).substitute(filled, values=values)
    text += Template(FUSED).substitute(filled)
    if rule is None:
        return text
    programs = code.pair, *rule.programs(proved)  # the arrays have other formulas
    constants = "".join(f"{line}\n" for line in arrays.constants(*programs))
    series: str = rule.text(proved, *(filled[k] for k in ("signature", "keywords", "parameters")))
    return constants + text + series


def places(proved: ProvedDual, code: Lowered, rule: ModuleType | None = None) -> dict[str, str]:
    """What stands for each $place of a template of fused pairs, but those of `closeness`."""
    defaults = parameters(proved)
    names = "".join(f", {p}" for p in defaults)
    common: dict[str, str] = {
        "public": public(defaults),
        "signature": signature_of(defaults),
        "keywords": "".join(f", {p}={p}" for p in defaults),
        "parameters": names,
        "floats": "".join(f", float({p})" for p in defaults),
        "loss": str(rescue.LOSS),
        "loss_small": str(rescue.LOSS_SMALL),
    }
    alone = rule is remainder_scalar
    filled = dict.fromkeys(re.findall(r"\$(\w+)", FUSED), "") | {"columns": "15"}
    filled |= by_series(rule.columns(proved), alone) if rule else GIVEN_UP if code.summed else SOUND
    filled |= {key: Template(text).substitute(common) for key, text in filled.items() if key not in LATE}
    return filled | common | {
        "pair": (rule.pair(proved, names) if rule else "") + ("" if alone else _pair(code)),
        "falls": rule.falls(proved, names)
        if rule
        else Template(PRICE).substitute(arguments=filled["bounds"] + names)
        if code.falls is None
        else indented(lines_of(code.falls, ("fall", "fall_dot")), "return fall, fall_dot"),
        "lost": Template(LOST).substitute(common) if code.summed else "",
    }  # fmt: skip


def series_of(proved: ProvedDual, code: Lowered) -> ModuleType | None:
    """The rule for Mehler's series in scalars that takes the place of the closed form, or stands beside it."""
    rules = (rule for rule in ARRAYS if code.summed and rule.applies(proved))
    return next(rules, None)


def closeness(parity: int, parallel: bool, closed: bool, places: dict[str, str]) -> dict[str, str]:
    """Which pairs of a block are close, and their gaps: as in network.py, where K(-c) = parity * K(c).

    `closed`: whether falls have a closed form.
    """
    near = "fabs(rho) > 1 - CLOSE" if parity else "rho > 1 - CLOSE"
    close_rho = near
    if not parallel:
        near = f"({near}) & s_alike(k1, k2) & s_alike(d1, d2)"
    lines = Template(CLOSER).substitute(
        places | {"spoiled": places.get("spoiled", "")},
        folded="obtuse, rho = rho < 0, fabs(rho)" if parity else "",
        fall_dot="s_choose(obtuse, 2 - fall_dot, fall_dot)" if parity > 0 else "fall_dot",
    )
    lines = "".join(f"{line}\n" for line in lines.splitlines() if line.strip())
    if not closed:  # costly: for close pairs alone, not for all of a block without a branch
        lines = "if near:\n" + textwrap.indent(lines, "    ")
    return {"near": near, "close_rho": close_rho, "differences": textwrap.indent(lines, " " * 24)}


def _pair(code: Lowered) -> str:
    if not code.summed:
        return indented(lines_of(code.pair, ("k", "k_dot")), "return k, k_dot")
    least = LEAST if arrays.operations(code.pair) & NORMAL else "1e-150"
    floor = f"sin_theta = s_choose(sin_theta < {least}, {least}, sin_theta)"
    lines = lines_of(code.pair, ("k", "k_dot", "size", "size_dot"))
    return indented([floor], lines, Template(CHECK).substitute(loss=rescue.LOSS))


def lines_of(program: Program, names: Sequence[str]) -> list[str]:
    program = scalar.with_sectors(scalar.with_known(program))
    results = zip(names, scalar.results(program), strict=True)
    return [assignment(name, text) for name, text in (*scalar.assignments(program), *results)]


def indented(*parts: str | list[str]) -> str:
    lines: Iterator[str] = (line for part in parts for line in ([part] if isinstance(part, str) else part))
    return textwrap.indent("\n".join(lines), "    ")
