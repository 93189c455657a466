"""Print a Program as vectorised NumPy."""

import re

from mehler.derive.emit.program import Apply, Constant, Name, Node, Program, constant_name

# operation: (template, precedence of the result, precedence needed of each operand; any number when empty)
TABLE: dict[str, tuple[str, int, tuple[int, ...]]] = {
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
    "atan": ("np.arctan({})", 4, (0,)),
    "atan2": ("np.arctan2({}, {})", 4, (0, 0)),
    "abs": ("np.abs({})", 4, (0,)),
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


def expression(node: Node) -> str:
    """A Python expression for `node`."""
    return _print(node)[0]


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


def _print(node: Node) -> tuple[str, int]:
    if isinstance(node, Name):
        return node.id, 5
    if isinstance(node, Constant):
        return (_literal(node) if _is_plain(node) else constant_name(node.exact)), 5
    template, precedence, needed = TABLE[node.operation]
    if not needed:
        return template.format(", ".join(_print(operand)[0] for operand in node.operands)), precedence
    operands = []
    for operand, least in zip(node.operands, needed, strict=True):
        text, own = _print(operand)
        operands.append(f"({text})" if own < least else text)
    return template.format(*operands), precedence


def _literal(node: Constant) -> str:
    # repr is the shortest text that reads back as the same double: at most 17 digits.
    return repr(float(node.decimal))


def _is_plain(node: Constant) -> bool:
    """Whether a name would only hide the number: a short one, or a coefficient that is known by its digits."""
    return len(_literal(node)) <= 8 or re.fullmatch(r"\d+\.\d+(e-\d+)?", node.exact) is not None
