"""Assemble a standalone NumPy module: docstring with provenance, constants, dual functions, recursion.

The text is a function of the derivation alone: no timestamp, no path, no order that could vary. The module
imports NumPy, and scipy.special where its formulas need Φ; nothing of mehler.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from string import Template
from types import ModuleType
from typing import Any

import sympy as sp

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import by_angle, expectations, exponential, normal, powers, remainder, rescue, tables
from mehler.derive.emit import numpy as target
from mehler.derive.emit.close_pairs import DIFFERENCE, PRICE, close_pairs
from mehler.derive.emit.header import (
    WIDTH,
    budget_rows,
    check_name,
    formulas_of,
    hashed,
    imports_of,
    parameter_table,
    parameters,
    proof_text,
    public,
    quoted,
    signature_of,
    title_of,
)
from mehler.derive.emit.measure import BUDGETS, budgeted
from mehler.derive.emit.network import NETWORK
from mehler.derive.emit.program import Apply, Name, Node, Program, lower
from mehler.derive.emit.row_pairs import ROW_PAIRS
from mehler.derive.emit.templates import HELPERS, MODULE, NAMED
from mehler.derive.errors import EmitError, NoCode
from mehler.derive.pieces import split
from mehler.derive.special import Phi, Phi2
from mehler.derive.stabilise.stage import has_sums, stabilise
from mehler.derive.tables.table import Tables

# 1 - |cos| of the angles at which differences are taken. A table has 1e-14 of its scale at any.
CLOSE = 0.1
CLOSE_TABLES = 1e-3

NORMAL = frozenset({"scaled_phi", "scaled_phi2"})

# The smallest sine at which p = (k - r*h)/sin_theta is taken, 0/0 at 0.
LEAST = "1e-18"

# Without a form of its own for pairs apart.
APART = """\
    k, k_dot = pair(q1, q2, c, rho, _sine(rho)$keywords)
    return weight * k, weight * k_dot"""

RESULTS = ("k", "k_dot", "size", "size_dot")


@dataclass(frozen=True)
class Lowered:
    """The Programs of a proved dual: (K, K̇) of a pair and of the diagonal, and its falls if they have a form.

    Pairs and diagonals may come with the sums of the sizes of their terms; the rest is as in stage.Stable.
    """

    pair: Program
    apart: Program | None
    cosines: tuple[float, float]
    diagonal: Program
    falls: Program | None
    parity: int
    parallel: bool

    @property
    def programs(self) -> list[Program]:
        return [p for p in (self.pair, self.diagonal, self.apart, self.falls) if p is not None]

    @property
    def summed(self) -> bool:
        return len(self.pair.outputs) > 2

    @property
    def normal(self) -> bool:
        """Whether the formulas have Φ in them, or are repaired, before which as many digits may be lost."""
        return self.apart is None or bool(target.operations(*self.programs) & NORMAL)


def lowered(proved: ProvedDual) -> Lowered:
    """The Programs of the closed forms, of which every target is printed."""
    stable = stabilise(proved)
    small = {"q1": 0, "q2": 1, "weight": -1, **dict.fromkeys(parameters(proved), -1)}
    given = proved.activation.parameters
    apart = None if stable.apart is None else lower(stable.apart, small, parameters=given)
    falls = None if stable.falls is None else lower(stable.falls, parameters=given)
    pair, diagonal = (lower(each, parameters=given) for each in (stable.pair, stable.diagonal))
    return Lowered(pair, apart, stable.cosines, diagonal, falls, stable.parity, stable.parallel)


def emit_numpy(proved: ProvedDual, name: str) -> str:
    """The source of a NumPy module for a proved dual. Raises EmitError."""
    check(proved, name)
    return hashed(measured_source(proved, name, closed_of(proved)))


def closed_of(proved: ProvedDual) -> Lowered | ModuleType:
    """What the arrays of a module compute: powers by the angle, Mehler's series by a rule, or the closed forms."""
    if powers.applies(proved):
        return powers
    series = next((rule for rule in (remainder, exponential) if rule.applies(proved)), None)
    return series or lowered(proved)


def measured_source(proved: ProvedDual, name: str, closed: Lowered | ModuleType) -> str:
    """`numpy_source` with the budget that its measured error allows. Raises NoCode where none does."""
    elementary = not closed.normal if isinstance(closed, Lowered) else closed is powers
    least = BUDGETS[0] if elementary else BUDGETS[1]
    kind = "closed form" if isinstance(closed, Lowered) else closed.__name__
    return budgeted(proved, kind, least, lambda budget: numpy_source(proved, name, closed, budget))


def _keeps_a_budget(proved: ProvedDual, name: str, closed: Lowered | ModuleType) -> bool:
    try:
        measured_source(proved, name, closed)
    except NoCode:
        return False
    return True


def slow(proved: ProvedDual) -> bool:
    """Whether the NumPy code of a closed form takes longer than tables, which take a matrix product and a sum.

    It does where terms may cancel: their sizes are summed as well, and for some pairs a series or an integral.
    """
    return has_sums(proved)


def emit_tables(dual: ProvedDual | NumericDual, name: str, pair: Tables | None) -> str:
    """The source of a NumPy module of the tables of K and K̇, or of values at some pairs and what is between them.

    Raises EmitError.
    """
    if pair is None and isinstance(dual, ProvedDual) and lacking(dual) is None and dual.activation.parameters:
        return emit_numpy(dual, name)
    return hashed(tables_source(dual, name, pair))


def tables_source(dual: ProvedDual | NumericDual, name: str, pair: Tables | None, target: str = "numpy") -> str:
    """The same before it has its hash, of which a module for `target` takes what it needs.

    Without tables, and beyond them, are sums or the closed form; on a GPU nothing.
    """
    check_name(name)
    bodies = tables.WITHIN if pair else tables.ALONE
    falls, formulas = "", f"    phi(x)   = {dual.activation.expr}"
    closed = None
    if isinstance(dual, ProvedDual) and lacking(dual) is None and target != "cupy":
        closed = closed_of(dual)
    if isinstance(dual, ProvedDual) and closed is not None and _keeps_a_budget(dual, name, closed):
        formula = _code(dual, closed, "", "")
        programs, parts = formula.programs, [*formula.helpers, tables.functions(dual, pair, formula.bodies)]
        evidence = f"{tables.evidence(dual, pair, True, target)}\n\n{proof_text(dual)}"
        formulas = formulas_of(dual)
        if pair is None:
            bodies, falls = tables.BESIDE_FORMULA, formula.falls
    else:
        programs, parts = expectations.programs(dual), [tables.functions(dual, pair)]
        evidence = tables.evidence(dual, pair, False, target)
    parity = split(dual.activation.expr).parity()
    code = _Code(
        programs,
        parts,
        bodies,
        falls,
        parity,
        parallel=True,
        normal=True,
        close=CLOSE_TABLES,
        tile="256, 512",
        strip="131072, 131072",
        rounding=8e-15,
        lowest=CLOSE_TABLES - 1,
        highest=1 - CLOSE_TABLES,
        matrices=pair is not None,
        first=by_angle.FIRST,
    )
    return _assembled(dual, name, code, formulas, evidence, budget_rows(BUDGETS[-1]))


def numpy_source(proved: ProvedDual, name: str, closed: Lowered | ModuleType, budget: int) -> str:
    """A NumPy module with a budget, before it has its hash: of closed forms, or by a rule for Mehler's series."""
    defaults = parameters(proved)
    keywords = "".join(f", {p}={p}" for p in defaults)
    signature = signature_of(defaults)
    code = _code(proved, closed, signature, keywords)
    return _assembled(proved, name, code, formulas_of(proved), proof_text(proved), budget_rows(budget))


def _assembled(
    dual: ProvedDual | NumericDual, name: str, code: "_Code", formulas: str, evidence: str, budgets: str
) -> str:
    defaults = parameters(dual)
    keywords = "".join(f", {p}={p}" for p in defaults)
    signature = signature_of(defaults)
    named = NAMED if defaults else ""
    helpers = "".join(dict.fromkeys(code.helpers))
    return Template(MODULE).substitute(
        title=quoted(title_of(dual, name)),
        formulas=quoted(formulas),
        evidence=quoted(evidence),
        imports=imports_of(named + helpers),
        name=name,
        expression=json.dumps(str(dual.activation.expr)),
        parameters=parameter_table(dual),
        jumps=dual.jumps,
        version=version("mehler"),
        budgets=budgets,
        constants="".join(f"{line}\n" for line in target.constants(*code.programs)),
        named=named,
        helpers=helpers,
        public=public(defaults),
        signature=signature,
        keywords=keywords,
        network=Template(NETWORK)
        .substitute(
            public=public(defaults),
            signature=signature,
            keywords=keywords,
            values="".join(f", {p}" for p in defaults),
            pairs=keywords.removeprefix(", "),
            row_pairs=ROW_PAIRS,
            first=code.first,
            guard=code.guard,
            slope=code.slope or f"diagonal(q{keywords})",
            **close_pairs(code.parity, code.parallel, code.matrices, signature, keywords),
        )
        .strip(),
        falls=Template(DIFFERENCE if code.falls else PRICE)
        .substitute(signature=signature, keywords=keywords, body=code.falls, rounding=code.rounding)
        .strip(),
        close=code.close,
        tile=code.tile,
        strip=code.strip,
        limits=f"{code.lowest!r}, {code.highest!r}",
        **{"apart": Template(APART).substitute(keywords=keywords), **code.bodies},
    )


@dataclass(frozen=True)
class _Code:
    """What the dual functions of a module are made of; `falls` is empty where it has no closed form."""

    programs: Sequence[Program]
    helpers: Sequence[str]
    bodies: Mapping[str, str]
    falls: str
    parity: int
    parallel: bool
    normal: bool
    close: float = CLOSE
    # Cosines beyond which pairs are not apart.
    lowest: float = CLOSE - 1
    highest: float = 1 - CLOSE
    tile: str = "256, 2048"
    # Pairs of a tile that go through the layers together: few for a cache, many for threads that wait for each
    # other between any two operations; and where some are close, so that there are dozens of arrays.
    strip: str = "131072, 16384"
    # By how much of its scale a kernel may err.
    rounding: float = 4e-15
    # What is done with pairs of rows before they are taken through the layers.
    first: str = ""
    # Whether pairs of all rows and columns take less time than as many others.
    matrices: bool = False
    # What is done before anything about rows is computed.
    guard: str = ""
    # (K, K') of a row at each layer.
    slope: str = ""


def _code(proved: ProvedDual, closed: Lowered | ModuleType, signature: str, keywords: str) -> _Code:
    if isinstance(closed, Lowered):
        return _by_formula(proved, closed, signature, keywords)
    return _by_powers(proved) if closed is powers else _by_series(closed, proved, signature, keywords)


def _by_formula(proved: ProvedDual, closed: Lowered, signature: str, keywords: str) -> _Code:
    """The closed forms, and a rescue where their terms cancel."""
    pair, diagonal, falls, programs = closed.pair, closed.diagonal, closed.falls, closed.programs
    used = target.operations(*programs)
    bodies = {
        name: _body(program, RESULTS[: len(program.outputs)], like)
        for name, program, like in (("pair", pair, "rho"), ("diagonal", diagonal, "q"))
    }
    parts = [text for key, texts in HELPERS.items() if key in used for text in texts]
    limits: dict[str, Any] = {}
    if closed.apart is None:
        programs += expectations.programs(proved)
        parts.append(rescue.functions(proved, signature, keywords, bodies))
        bodies = rescue.bodies(keywords, LEAST if used & NORMAL else "1e-150")
    else:
        bodies["apart"] = _body(closed.apart, RESULTS[:2], "rho", "c")
        low, high = closed.cosines
        limits = {"lowest": max(low, CLOSE - 1), "highest": min(high, 1 - CLOSE)}
    text = "" if falls is None else _body(falls, ("fall", "fall_dot"), like="rho")
    return _Code(programs, parts, bodies, text, closed.parity, closed.parallel, closed.normal, **limits)


def _by_series(rule: ModuleType, proved: ProvedDual, signature: str, keywords: str) -> _Code:
    """Mehler's series and its remainder, by the rule of `remainder` or `exponential`."""
    programs = [*expectations.programs(proved), *rule.programs(proved)]
    parts = [
        normal.CONSTANTS,
        expectations.shape(proved, signature, keywords),
        rule.functions(proved, signature, keywords),
    ]
    parity = split(proved.activation.expr).parity()
    falls = rule.close(proved, keywords)
    return _Code(programs, parts, rule.bodies(keywords), falls, parity, parallel=True, normal=True)


def _by_powers(proved: ProvedDual) -> _Code:
    """Functions of the angle for each pair of exponents."""
    parity = split(proved.activation.expr).parity()
    guard, slope = ("", "diagonal(q)") if not powers.infinite(proved) else (powers.GUARD, powers.NO_SLOPE)
    return _Code(
        [], [powers.functions(proved)], powers.BODIES, powers.falls(proved), parity, parallel=True, normal=False,
        guard=guard, slope=slope,
    )  # fmt: skip


def check(proved: ProvedDual, name: str) -> None:
    """Raise EmitError for what no module can hold."""
    check_name(name)
    if proved.kernel_dot_diag is sp.oo and not powers.applies(proved):
        raise EmitError(
            "K' with the impulses of a jump is infinite on the diagonal, which code cannot hold; "
            "use jumps='almost-everywhere'"
        )
    what = lacking(proved)
    if what is not None:
        raise EmitError(f"the kernels of {proved.activation.text!r} need {what}, for which there is no code")


def lacking(proved: ProvedDual) -> str | None:
    """What the formulas of a dual need that code cannot evaluate to the last digits, if anything."""
    f = proved.dual.formulas
    formulas = sp.Tuple(f.kernel, f.kernel_dot, f.kernel_diag, f.kernel_dot_diag)
    for what, kinds in (
        ("one explicit integral", (sp.Integral,)),
        ("Phi of a complex argument", (sp.I,)),
    ):
        if formulas.has(*kinds) and (kinds != (sp.I,) or formulas.has(Phi, Phi2)):
            return what
    return None


def _body(program: Program, results: tuple[str, ...], like: str, *others: str) -> str:
    """The lines of a function whose results have the full shape, as `like` and `others` do."""
    lines = [assignment(a.name, target.expression(a.value)) for a in program.body]
    shaped = _shaped_names(program, {like, "sin_theta", *others})
    for name, output in zip(results, program.outputs, strict=True):
        text = target.expression(output)
        lines.append(assignment(name, text if _uses(output, shaped) else f"np.full_like({like}, {text})"))
    return textwrap.indent("\n".join([*lines, f"return {', '.join(results)}"]), "    ")


def assignment(name: str, text: str) -> str:
    if len(name) + len(text) + 3 <= WIDTH:
        return f"{name} = {text}"
    lines = textwrap.wrap(text, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return f"{name} = (\n" + textwrap.indent("\n".join(lines), "    ") + "\n)"


def _shaped_names(program: Program, inputs: set[str]) -> set[str]:
    """Names whose arrays have the full shape, which those of `inputs` have."""
    shaped = set(inputs)
    for assignment in program.body:
        if _uses(assignment.value, shaped):
            shaped.add(assignment.name)
    return shaped


def _uses(node: Node, names: set[str]) -> bool:
    if isinstance(node, Apply):
        return any(_uses(operand, names) for operand in node.operands)
    return isinstance(node, Name) and node.id in names
