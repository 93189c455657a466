"""The header of a generated module: its docstring with provenance, imports, parameters and budgets."""

import hashlib
import json
import keyword
import re
import textwrap
from collections.abc import Mapping

import sympy as sp

from mehler.derive.dual import NumericDual, ProvedDual, shown
from mehler.derive.emit import normal
from mehler.derive.emit.program import parameter_name
from mehler.derive.errors import EmitError

WIDTH = 108

# Of the standard library what a module may need.
STANDARD = ("base64", "functools", "warnings", "zlib")


def proof_text(proved: ProvedDual) -> str:
    return "Proof, as run when this file was generated:\n" + textwrap.indent(str(proved.proof), "    ")


def hashed(source: str) -> str:
    """`source` with its own hash in it."""
    return source.replace("SOURCE-HASH", hashlib.sha256(source.encode()).hexdigest()[:16])


def provenance(source: str) -> str:
    """What evaluates K and K' in a module, as its docstring has it."""
    docstring = source[: source.find("\nNAME =")]
    found = re.search(r"K and K' come from .*?(?=,\n|\.\s|, which)", docstring, re.DOTALL)
    return " ".join(found[0].split()) if found else "K and K' come from their closed form"


def parameters(proved: ProvedDual | NumericDual) -> dict[str, str | None]:
    """The default of each parameter as code, or None, by what code calls it."""
    phi = proved.activation
    given = {s: phi.defaults.get(s.name) for s in phi.parameters}
    return {parameter_name(s): None if v is None else repr(float(v)) for s, v in given.items()}


def public(defaults: Mapping[str, str | None]) -> str:
    """What stands before a function that is called with the parameters by name."""
    return "@_named\n" if defaults else ""


def signature_of(defaults: Mapping[str, str | None]) -> str:
    """Parameters at the end of a function's own."""
    return "".join(f", {p}" if v is None else f", {p}={v}" for p, v in defaults.items())


def check_name(name: str) -> None:
    """Raise EmitError unless `name` can name a module file and nothing else."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name) or keyword.iskeyword(name):
        raise EmitError(
            f"{name[:60]!r} cannot name a module; use a lower-case letter, then letters, digits and _ (at most 60)"
        )


def quoted(text: str) -> str:
    """`text` as it is written between three double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def title_of(proved: ProvedDual | NumericDual, name: str) -> str:
    text = str(proved.activation.expr)
    return f"Kernels of infinitely wide networks with the activation {name if len(text) > 40 else text}."


def formulas_of(proved: ProvedDual) -> str:
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


def imports_of(helpers: str) -> str:
    special = [name for name in normal.SPECIAL if f"{name}(" in helpers]
    standard = "".join(f"import {name}\n" for name in STANDARD if f"{name}." in helpers)
    lines = [standard + "\n" if standard else "", "import numpy as np\n"]
    return "".join(lines) + (f"from scipy.special import {', '.join(special)}\n" if special else "")


def parameter_table(dual: ProvedDual | NumericDual) -> str:
    values = zip(dual.activation.parameters, parameters(dual).values(), strict=True)
    return "{" + ", ".join(f"{json.dumps(symbol.name)}: {value}" for symbol, value in values) + "}"


def budget_rows(budget: int) -> str:
    functions = ", ".join(
        f'"{name}": {budget}' for name in ("kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag")
    )
    return "".join(f'    "{dtype}": {{{functions}}},\n' for dtype in ("float64", "float32"))
