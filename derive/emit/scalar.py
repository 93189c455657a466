"""Print a Program as code of scalars, in what Python and C have in common: calls, operators, literals.

Everything else is a function called s_…, one for each operation; a target defines those once, in its own
language: `compiled.py` for Numba. So this table serves every target that has scalars.
"""

from dataclasses import replace

from mehler.derive.emit.approximants import horner
from mehler.derive.emit.numpy import Row, expression
from mehler.derive.emit.program import Apply, Assignment, Name, Node, Program


def _series(operands: list[str]) -> str:
    """y^m (a₀ + a₁ y^d + …) below the switch, written out: a loop inside would not vectorise."""
    angle, total, switch, power, step, *coefficients = operands
    variable = _power(angle, int(float(step)))
    near = f"({horner(coefficients, variable)}) * {_power(angle, int(float(power)))}"
    return f"s_choose({angle} < {switch}, {near}, {total})"


def _power(base: str, exponent: int) -> str:
    return "(" + " * ".join([base] * exponent) + ")" if exponent else "1.0"


def _factors(operands: list[str]) -> str:
    text = f"s_exactly({operands[0]})"
    for factor in operands[1:]:
        text = f"s_times({text}, {factor})"
    return text


def _total(terms: list[str]) -> str:
    text = terms[0]
    for term in terms[1:]:
        text = f"s_plus({text}, {term})"
    return text


def _call(name: str, count: int) -> Row:
    return f"{name}({', '.join(['{}'] * count)})", 4, (0,) * count


TABLE: dict[str, Row] = {
    "add": ("{} + {}", 1, (1, 2)),
    "sub": ("{} - {}", 1, (1, 2)),
    "mul": ("{} * {}", 2, (2, 3)),
    "div": ("{} / {}", 2, (2, 3)),
    "neg": ("-{}", 2, (3,)),
    "sqrt": _call("sqrt", 1),
    "abs": _call("fabs", 1),
    "log": _call("log", 1),
    "sin": _call("sin", 1),
    "cos": _call("cos", 1),
    "tan": _call("tan", 1),
    "sinh": _call("sinh", 1),
    "cosh": _call("cosh", 1),
    "tanh": _call("tanh", 1),
    "exp": _call("s_exp", 1),
    "expm1": _call("s_expm1", 1),
    "atan": ("s_atan2({}, 1.0)", 4, (0,)),
    "atan2": _call("s_atan2", 2),
    "sign": _call("s_sign", 1),
    "step": _call("s_step", 1),
    "one_minus_cos": _call("s_one_minus_cos", 2),
    "factors": (_factors, 4, ()),
    "exp_sum": (lambda terms: f"s_exp_sum({_total(terms)})", 4, ()),
    "exp_gap": (lambda operands: f"s_exp_gap({operands[0]}, {_total(operands[1:])})", 4, ()),
    "series": (_series, 4, ()),
    "gap": _call("s_gap", 4),
    "scaled_phi": _call("s_scaled_phi", 3),
    "scaled_phi2": _call("s_scaled_phi2", 9),
    "parts_phi2": _call("s_parts_phi2", 10),
    "Phi": _call("s_Phi", 1),
}

# Square roots that belong to a row: known once for all of its pairs.
ROOTS = {name: f"root_{name}" for name in ("q1", "q2", "k1", "k2")}


def with_roots(program: Program) -> Program:
    """The Program with the square roots of rows as inputs beside the rows' values."""
    body = tuple(replace(a, value=_rooted(a.value)) for a in program.body)
    outputs = tuple(_rooted(node) for node in program.outputs)
    inputs = [name for known in program.inputs for name in (known, ROOTS.get(known, "")) if name]
    return Program(tuple(inputs), body, outputs)


def _rooted(node: Node) -> Node:
    if not isinstance(node, Apply):
        return node
    if node.operation == "sqrt" and isinstance(node.operands[0], Name) and node.operands[0].id in ROOTS:
        return Name(ROOTS[node.operands[0].id])
    return Apply(node.operation, tuple(_rooted(operand) for operand in node.operands))


def assignments(program: Program) -> list[tuple[str, str]]:
    """(name, expression) for the body of a Program, in order."""
    return [(a.name, expression(a.value, TABLE)) for a in _single(program).body]


def results(program: Program) -> list[str]:
    """Expressions for the outputs of a Program."""
    return [expression(node, TABLE) for node in _single(program).outputs]


def _single(program: Program) -> Program:
    """The angle of a series by name: its text is repeated."""
    body: list[Assignment] = []
    names: dict[Node, Name] = {}

    def walk(node: Node) -> Node:
        if not isinstance(node, Apply):
            return node
        operands = tuple(walk(operand) for operand in node.operands)
        if node.operation == "series" and isinstance(operands[0], Apply):
            angle = operands[0]
            if angle not in names:
                names[angle] = Name(f"near{len(names) + 1}")
                body.append(Assignment(names[angle].id, angle))
            operands = (names[angle], *operands[1:])
        return Apply(node.operation, operands)

    for assignment in program.body:
        value = walk(assignment.value)
        body.append(replace(assignment, value=value))
    outputs = tuple(walk(node) for node in program.outputs)
    return Program(program.inputs, tuple(body), outputs)
