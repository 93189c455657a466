"""Programs of pairs whose angles are away from 0 and π: their cosines say all that is needed, and no series is."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from mehler.derive.emit.program import Apply, Constant, Name, Node, Program

RHO, SINE, GAP = Name("rho"), Name("sin_theta"), Name("gap")  # of an angle θ the cosine, sine and 1 − |cos θ|
OPPOSITE = Apply("neg", (RHO,))
SQUARE = Apply("mul", (SINE, SINE))

# Angles by one polynomial or function, where their cosines are known.
ANGLES: dict[Node, Node] = {
    Apply("atan2", (SINE, RHO)): Apply("arccos", (RHO, GAP)),
    Apply("atan2", (SINE, OPPOSITE)): Apply("arccos", (OPPOSITE, GAP)),
    Apply("atan2", (RHO, SINE)): Apply("arcsin", (RHO, GAP)),
}

# The angles that series are in, and the sign of the cosines where they are used.
ENDS: dict[Node, int] = {Apply("atan2", (SINE, RHO)): 1, Apply("atan2", (SINE, OPPOSITE)): -1}


def apart(program: Program) -> tuple[Program, float, float]:
    """The Program without its series at an end of the angle, and between which cosines it is as good as with them.

    Beside its inputs it needs the names of `by_cosine`.
    """
    values = {a.name: a.value for a in program.body}
    limits = {-1: 1.0, 1: 1.0}

    def walk(node: Node) -> Node:
        if not isinstance(node, Apply):
            return node
        if node == SQUARE:
            return Name("square")
        if node in ANGLES:
            return ANGLES[node]
        if node.operation == "series":
            angle, total, switch = node.operands[:3]
            angle = values[angle.id] if isinstance(angle, Name) else angle
            if isinstance(switch, Constant) and angle in ENDS:
                limit = math.floor(1000 * math.cos(float(switch.decimal))) / 1000
                limits[ENDS[angle]] = min(limits[ENDS[angle]], limit)
                return walk(total)
        return Apply(node.operation, tuple(walk(operand) for operand in node.operands))

    body = tuple(replace(a, value=walk(a.value)) for a in program.body)
    outputs = tuple(walk(node) for node in program.outputs)
    return Program(program.inputs, body, outputs), -limits[-1], limits[1]


def by_cosine(lines: Sequence[str], root: str, absolute: str) -> list[str]:
    """The lines of a program of `apart`, and before them those of what they need of an angle, by its cosine."""
    known = {
        "square": "(1 - rho) * (1 + rho)",
        SINE.id: f"{root}(square)",
        GAP.id: f"1 - {absolute}(rho)",
    }
    lines = list(lines)
    for name, value in reversed(known.items()):
        if any(re.search(rf"\b{name}\b", line) for line in lines):
            lines = [f"{name} = {value}", *lines]
    return lines
