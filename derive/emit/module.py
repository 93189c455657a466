"""Assemble a standalone NumPy module: docstring with provenance, constants, dual functions, recursion.

The text is a function of the derivation alone: no timestamp, no path, no order that could vary. The module
imports NumPy, and scipy.special where its formulas need Φ; nothing of mehler.
"""

import ast
import hashlib
import keyword
import re
import textwrap
from importlib.metadata import version
from string import Template

import sympy as sp

from mehler.derive.dual import ProvedDual, shown
from mehler.derive.emit import numpy as target
from mehler.derive.emit.program import Apply, Name, Node, Program, lower
from mehler.derive.emit.templates import HELPERS, MODULE
from mehler.derive.errors import EmitError
from mehler.derive.special import Phi, Phi2
from mehler.derive.stabilise.stage import stabilise

# Largest error allowed, in units in the last place of sqrt(K(q1, q1) K(q2, q2)), over 1e-6 <= q <= 1e6 and
# all correlations where that is finite. Elementary formulas keep to a few units; a growing exponential
# multiplies the rounding of its exponent by the exponent, which may reach 709; Owen's T is absolutely accurate.
BUDGET_ELEMENTARY = 8
BUDGET_GROWING = 1024
BUDGET_NORMAL = 256

NORMAL = frozenset({"Phi", "Phi2"})

# Phi((k - rho*h)/sin_theta) has its limit at sin_theta = 0, where the quotient itself is 0/0.
LIMIT = "    sin_theta = np.maximum(sin_theta, 1e-18)\n"

WIDTH = 108


def emit_numpy(proved: ProvedDual, name: str) -> str:
    """The source of a NumPy module for a proved dual. Raises EmitError."""
    check_name(name)
    if proved.kernel_dot_diag is sp.oo:
        raise EmitError(
            "K' with the impulses of a jump is infinite on the diagonal, which code cannot hold; "
            "use jumps='almost-everywhere'"
        )
    _check_functions(proved)
    stable = stabilise(proved)
    pair, diagonal = lower(stable.pair), lower(stable.diagonal)
    used = target.operations(pair, diagonal)
    defaults = {
        s.name: repr(float(proved.activation.defaults[s.name])) if s.name in proved.activation.defaults else None
        for s in proved.activation.parameters
    }
    source = Template(MODULE).substitute(
        title=_title(proved, name),
        formulas=_formulas(proved),
        proof=textwrap.indent(str(proved.proof), "    "),
        imports=_imports(used),
        name=name,
        expression=str(proved.activation.expr),
        parameters=_parameter_table(proved, defaults),
        jumps=proved.jumps,
        version=version("mehler"),
        budget=_budget(pair, diagonal),
        constants="".join(f"{line}\n" for line in target.constants(pair, diagonal)),
        helpers="".join(text for operation, text in HELPERS.items() if operation in used),
        signature="".join(f", {p}" if v is None else f", {p}={v}" for p, v in defaults.items()),
        keywords="".join(f", {p}={p}" for p in defaults),
        pair=(LIMIT if used & NORMAL else "") + _body(pair, like="rho"),
        diagonal=_body(diagonal, like="q"),
    )
    _check_parameters(source, list(defaults))
    return source.replace("SOURCE-HASH", hashlib.sha256(source.encode()).hexdigest()[:16])


def check_name(name: str) -> None:
    """Raise EmitError unless `name` can name a module file and nothing else."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name) or keyword.iskeyword(name):
        raise EmitError(
            f"{name[:60]!r} cannot name a module; use a lower-case letter, then letters, digits and _ (at most 60)"
        )


def _check_functions(proved: ProvedDual) -> None:
    """Raise EmitError for a formula that code cannot evaluate to the last digits yet."""
    f = proved.dual.formulas
    formulas = sp.Tuple(f.kernel, f.kernel_dot, f.kernel_diag, f.kernel_dot_diag)
    for what, kinds in (
        ("one explicit integral", (sp.Integral,)),
        ("a hypergeometric function", (sp.hyper,)),
        ("Phi of a complex argument", (sp.I,)),
    ):
        if formulas.has(*kinds) and (kinds != (sp.I,) or formulas.has(Phi, Phi2)):
            raise EmitError(
                f"the kernels of {proved.activation.text!r} need {what}, for which there is no code yet; "
                "evaluate them at points with mehler derive --at"
            )


def _check_parameters(source: str, parameters: list[str]) -> None:
    """Raise EmitError when a parameter's name already means something where the module passes it on."""
    try:
        module = ast.parse(source)
        compile(module, "the module", "exec")
    except SyntaxError as error:  # a parameter named as another argument, or by a keyword
        raise EmitError(
            f"a parameter's name has a meaning in generated code ({error.msg}); call it 'alpha'"
        ) from None
    taken = {alias.asname or alias.name for node in ast.walk(module) for alias in getattr(node, "names", ())}
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            taken.add(node.name)
            if set(parameters) & {argument.arg for argument in node.args.args}:
                taken |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for name in parameters:
        if name in taken:
            raise EmitError(f"the parameter name {name!r} has a meaning in generated code; call it e.g. 'alpha'")


def _title(proved: ProvedDual, name: str) -> str:
    text = str(proved.activation.expr)
    return f"Kernels of infinitely wide networks with the activation {name if len(text) > 40 else text}."


def _formulas(proved: ProvedDual) -> str:
    rows = [
        ("phi(x)", proved.activation.expr),
        ("K", shown(proved.kernel)),
        ("K'", shown(proved.kernel_dot)),
        ("K(q, q)", proved.kernel_diag),
        ("K'(q, q)", proved.kernel_dot_diag),
    ]
    return "\n".join(
        textwrap.fill(
            f"{label:8} = {_text(expr)}",
            WIDTH,
            initial_indent="    ",
            subsequent_indent=" " * 15,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for label, expr in rows
    )


def _text(expr: sp.Expr) -> str:
    return str(expr).replace("Delta", "(q1*q2 - c**2)")


def _imports(used: set[str]) -> str:
    special = (["ndtr"] if used & NORMAL else []) + (["owens_t"] if "Phi2" in used else [])
    return "import numpy as np\n" + (f"from scipy.special import {', '.join(special)}\n" if special else "")


def _parameter_table(proved: ProvedDual, defaults: dict[str, str | None]) -> str:
    return "{" + ", ".join(f'"{p}": {v}' for p, v in defaults.items()) + "}"


def _body(program: Program, like: str) -> str:
    lines = [f"{a.name} = {target.expression(a.value)}" for a in program.body]
    shaped = _shaped_names(program, like)
    for name, output in zip(("k", "k_dot"), program.outputs, strict=True):
        text = target.expression(output)
        lines.append(f"{name} = {text if _uses(output, shaped) else f'np.full_like({like}, {text})'}")
    return textwrap.indent("\n".join([*lines, "return k, k_dot"]), "    ")


def _shaped_names(program: Program, like: str) -> set[str]:
    """Names whose arrays have the full shape of the input `like`."""
    shaped = {like, "c", "sin_theta"}
    for assignment in program.body:
        if _uses(assignment.value, shaped):
            shaped.add(assignment.name)
    return shaped


def _uses(node: Node, names: set[str]) -> bool:
    if isinstance(node, Apply):
        return any(_uses(operand, names) for operand in node.operands)
    return isinstance(node, Name) and node.id in names


def _budget(*programs: Program) -> int:
    used = target.operations(*programs)
    if used & NORMAL:
        return BUDGET_NORMAL
    growing = any(
        isinstance(node, Apply) and node.operation == "exp" and not _is_negated(node.operands[0], program)
        for program in programs
        for node in program.nodes()
    )
    return BUDGET_GROWING if growing else BUDGET_ELEMENTARY


def _is_negated(node: Node, program: Program) -> bool:
    if isinstance(node, Name):
        return any(a.name == node.id and _is_negated(a.value, program) for a in program.body)
    return isinstance(node, Apply) and node.operation == "neg"
