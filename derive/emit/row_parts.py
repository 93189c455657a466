"""What a Program computes of one variance alone: for a row once, in place of each of its pairs."""

from dataclasses import replace

from mehler.derive.emit.program import Apply, Assignment, Name, Node, Program

VARIANCES = ("q1", "q2")
CHEAP = frozenset({"add", "sub", "mul", "neg"})
ROOTS = tuple(Apply("sqrt", (Name(name),)) for name in VARIANCES)  # which are at hand


def by_rows(program: Program, others: frozenset[str]) -> tuple[Program, list[Node]]:
    """The Program with part1_1, part1_2, … as inputs, and what these are of q = q1, and of q = q2.

    `others`: names of inputs that are no variances, nor belong to a pair.
    """
    values = {a.name: a.value for a in program.body}
    parts: list[Node] = []
    names: dict[str, Node] = {}

    def variance(node: Node) -> set[str]:
        """The variances that a value depends on; both, where it does on the pair."""
        if isinstance(node, Name):
            if node.id in values:
                return variance(values[node.id])
            return set() if node.id in others else {node.id} if node.id in VARIANCES else set(VARIANCES)
        return set().union(*map(variance, node.operands)) if isinstance(node, Apply) else set()

    def closed(node: Node) -> Node:
        """In the name q alone."""
        if isinstance(node, Name):
            return closed(values[node.id]) if node.id in values else Name("q") if node.id in VARIANCES else node
        return Apply(node.operation, tuple(map(closed, node.operands))) if isinstance(node, Apply) else node

    def walk(node: Node) -> Node:
        if isinstance(node, Name):
            return names.get(node.id, node)
        if not isinstance(node, Apply) or node in ROOTS:
            return node
        of = variance(node)
        if len(of) == 1 and _is_costly(node) and node.operation != "factors":  # which are no number
            part = closed(node)
            if part not in parts:
                parts.append(part)
            return Name(f"part{parts.index(part) + 1}_{VARIANCES.index(of.pop()) + 1}")
        return Apply(node.operation, tuple(map(walk, node.operands)))

    body: list[Assignment] = []
    for assignment in program.body:
        value = walk(assignment.value)
        if isinstance(value, Name):
            names[assignment.name] = value
        else:
            body.append(replace(assignment, value=value))
    outputs = tuple(map(walk, program.outputs))
    inputs = [f"part{n}_{i}" for i in (1, 2) for n in range(1, len(parts) + 1)]
    return Program((*program.inputs, *inputs), tuple(body), outputs), parts


def _is_costly(node: Node) -> bool:
    return isinstance(node, Apply) and (
        (node.operation not in CHEAP and node not in ROOTS) or any(map(_is_costly, node.operands))
    )
