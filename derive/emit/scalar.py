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
    "asinh": _call("asinh", 1),
    "exp": _call("s_exp", 1),
    "expm1": _call("s_expm1", 1),
    "atan": ("s_atan2({}, 1.0)", 4, (0,)),
    "atan2": _call("s_atan2", 2),
    "arccos": _call("s_unit_arccos", 2),
    "arcsin": _call("s_unit_arcsin", 2),
    "arccos_by_gap": _call("s_arccos", 2),
    "arcsin_by_gap": _call("s_arcsin", 2),
    "sign": _call("s_sign", 1),
    "step": _call("s_step", 1),
    "one_minus_cos": _call("s_one_minus_cos", 2),
    "versine": _call("s_versine", 2),
    "factors": (_factors, 4, ()),
    "exp_sum": (lambda terms: f"s_exp_sum({_total(terms)})", 4, ()),
    "exp_gap": (lambda operands: f"s_exp_gap({operands[0]}, {_total(operands[1:])})", 4, ()),
    "series": (_series, 4, ()),
    "gap": _call("s_gap", 4),
    "scaled_phi": _call("s_scaled_phi", 3),
    "scaled_phi2": _call("s_scaled_phi2", 9),
    "sector": _call("s_sector", 4),
    "quadrant": _call("s_quadrant", 5),
    "parts_phi2": _call("s_parts_phi2", 10),
    "Phi": _call("s_Phi", 1),
}

RHO, SINE, GAP = Name("rho"), Name("sin_theta"), Name("gap")  # of an angle θ the cosine, sine and 1 − |cos θ|
OPPOSITE = Apply("neg", (RHO,))

# What is known before a pair is looked at, or carried in its state, by the operation that it saves.
ROOTS = {name: f"root_{name}" for name in ("q1", "q2", "k1", "k2")}
KNOWN: dict[Node, Node] = {
    Apply("atan2", (SINE, RHO)): Apply("arccos_by_gap", (RHO, GAP)),
    Apply("atan2", (SINE, OPPOSITE)): Apply("arccos_by_gap", (OPPOSITE, GAP)),
    Apply("atan2", (RHO, SINE)): Apply("arcsin_by_gap", (RHO, GAP)),
    Apply("one_minus_cos", (Apply("abs", (RHO,)), SINE)): GAP,
    Apply("one_minus_cos", (RHO, SINE)): Apply("versine", (RHO, GAP)),
}
KNOWN.update((Apply("sqrt", (Name(name),)), Name(root)) for name, root in ROOTS.items())


def with_known(program: Program) -> Program:
    """The Program with `KNOWN` quantities as inputs of their own."""
    body = tuple(replace(a, value=_known(a.value)) for a in program.body)
    outputs = tuple(_known(node) for node in program.outputs)
    more = ROOTS | {SINE.id: GAP.id}
    inputs = [name for given in program.inputs for name in (given, more.get(given, "")) if name]
    return Program(tuple(inputs), body, outputs)


def _known(node: Node) -> Node:
    if not isinstance(node, Apply):
        return node
    return KNOWN.get(node) or Apply(node.operation, tuple(_known(operand) for operand in node.operands))


def with_sectors(program: Program) -> Program:
    """The Program with every Φ₂ made of its two sectors, and each sector, which is an integral, computed once."""
    found: dict[tuple[Node, ...], Name] = {}
    values: dict[str, Node] = {}
    body: list[Assignment] = []

    def size(node: Node) -> Node:
        """A node with the same absolute value, stripped of signs."""
        value = values.get(node.id) if isinstance(node, Name) else node
        return size(value.operands[0]) if isinstance(value, Apply) and value.operation == "neg" else node

    def sector(h: Node, *rest: Node) -> Name:
        key = size(h), *rest
        if key not in found:
            found[key] = Name(f"sector{len(found) + 1}")
            operands = Apply("abs", (size(h),)), Apply("neg", (rest[0],)), *rest[1:]
            body.append(Assignment(found[key].id, Apply("sector", operands)))
        return found[key]

    def walk(node: Node) -> Node:
        if not isinstance(node, Apply):
            return node
        operands = tuple(walk(operand) for operand in node.operands)
        if node.operation != "scaled_phi2":
            return Apply(node.operation, operands)
        exponent, one, other = operands[0], operands[1:5], operands[5:]
        return Apply("quadrant", (exponent, one[0], other[0], sector(*one), sector(*other)))

    for assignment in program.body:
        value = walk(assignment.value)
        values[assignment.name] = value
        body.append(replace(assignment, value=value))
    outputs = tuple(walk(node) for node in program.outputs)
    return Program(program.inputs, tuple(body), outputs)


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
