"""Print a Program as vectorised NumPy."""

import re
from collections.abc import Callable, Mapping

from mehler.derive.emit.program import Apply, Constant, Name, Node, Program, constant_name

# operation: (template, precedence of the result, precedence needed of each operand; any number when empty).
# A template that is no text makes one of the operands' texts.
Row = tuple[str | Callable[[list[str]], str], int, tuple[int, ...]]

TABLE: dict[str, Row] = {
    "add": ("{} + {}", 1, (1, 2)),
    "sub": ("{} - {}", 1, (1, 2)),
    "mul": ("{} * {}", 2, (2, 3)),
    "div": ("{} / {}", 2, (2, 3)),
    "neg": ("-{}", 2, (3,)),
    "sqrt": ("np.sqrt({})", 4, (0,)),
    "exp": ("np.exp({})", 4, (0,)),
    "log": ("np.log({})", 4, (0,)),
    "sin": ("np.sin({})", 4, (0,)),
    "cos": ("np.cos({})", 4, (0,)),
    "tan": ("np.tan({})", 4, (0,)),
    "sinh": ("np.sinh({})", 4, (0,)),
    "cosh": ("np.cosh({})", 4, (0,)),
    "tanh": ("np.tanh({})", 4, (0,)),
    "asinh": ("np.arcsinh({})", 4, (0,)),
    "atan": ("np.arctan({})", 4, (0,)),
    "atan2": ("np.arctan2({}, {})", 4, (0, 0)),
    "abs": ("np.abs({})", 4, (0,)),
    "arccos": ("np.arccos({0})", 4, (0, 0)),
    "arcsin": ("np.arcsin({0})", 4, (0, 0)),
    "sign": ("np.sign({})", 4, (0,)),
    "step": ("np.heaviside({}, 0.5)", 4, (0,)),
    "expm1": ("np.expm1({})", 4, (0,)),
    "one_minus_cos": ("one_minus_cos({}, {})", 4, (0, 0)),
    "exp_sum": ("exp_sum({})", 4, ()),
    "exp_gap": ("exp_gap({})", 4, ()),
    "series": ("series({})", 4, ()),
    "factors": ("({},)", 4, ()),
    "gap": ("gap({}, {}, {}, {})", 4, (0,) * 4),
    "scaled_phi": ("scaled_phi({}, {}, {})", 4, (0,) * 3),
    "scaled_phi2": (f"scaled_phi2({', '.join(['{}'] * 9)})", 4, (0,) * 9),
    "parts_phi2": (f"parts_phi2({', '.join(['{}'] * 10)})", 4, (0,) * 10),
    "Phi": ("ndtr({})", 4, (0,)),
}


def expression(node: Node, table: Mapping[str, Row] = TABLE) -> str:
    """An expression for `node` in the language of a table."""
    return _print(node, table)[0]


def constants(*programs: Program) -> list[str]:
    """Definitions of the irrational constants, each rounded once, with the exact value beside it."""
    found = {
        constant_name(node.exact): node
        for program in programs
        for node in program.nodes()
        if isinstance(node, Constant) and not _is_plain(node)
    }
    return [f"{name} = {_literal(node)}  # {node.exact}" for name, node in sorted(found.items())]


def operations(*programs: Program) -> set[str]:
    """The operations that the programs use."""
    return {node.operation for program in programs for node in program.nodes() if isinstance(node, Apply)}


def _print(node: Node, table: Mapping[str, Row]) -> tuple[str, int]:
    if isinstance(node, Name):
        return node.id, 5
    if isinstance(node, Constant):
        return (_literal(node) if _is_plain(node) else constant_name(node.exact)), 5
    template, precedence, needed = table[node.operation]
    printed = [_print(operand, table) for operand in node.operands]
    if callable(template):
        return template([text for text, _ in printed]), precedence
    if not needed:
        return template.format(", ".join(text for text, _ in printed)), precedence
    operands = [f"({text})" if own < least else text for (text, own), least in zip(printed, needed, strict=True)]
    return template.format(*operands), precedence


def _literal(node: Constant) -> str:
    # repr is the shortest text that reads back as the same double: at most 17 digits.
    return repr(float(node.decimal))


def _is_plain(node: Constant) -> bool:
    """Whether a name would only hide the number: a short one, or a coefficient that is known by its digits."""
    return len(_literal(node)) <= 8 or re.fullmatch(r"\d+\.\d+(e-\d+)?", node.exact) is not None
