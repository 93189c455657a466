"""Printed text is read back by Python and must mean, to the last bit, what the tree says."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st

from mehler.derive.emit.numpy import TABLE, constants, expression, operations
from mehler.derive.emit.program import OPERATIONS, Apply, Assignment, Constant, Name, Node, Program, constant_name
from mehler.derive.emit.templates import HELPERS

A, B, C = Name("a"), Name("b"), Name("c")
ENV = {"a": 0.7310585786300049, "b": -1.3e-5, "c": 3.3333333333333335e7}

MEANING: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "atan2": np.arctan2,
    "abs": np.abs,
}


def apply(operation: str, *operands: Node) -> Apply:
    return Apply(operation, operands)


def program(*outputs: Node) -> Program:
    return Program(("a", "b", "c"), (), outputs)


def printed(node: Node) -> Any:
    names: dict[str, Any] = {"np": np}
    exec("\n".join(constants(program(node))), names)
    return eval(expression(node), names | ENV)


def direct(node: Node) -> Any:
    if isinstance(node, Name):
        return ENV[node.id]
    if isinstance(node, Constant):
        return float(node.decimal)
    return MEANING[node.operation](*(direct(operand) for operand in node.operands))


TRICKY = {
    "a - (b - c)": apply("sub", A, apply("sub", B, C)),
    "a - b - c": apply("sub", apply("sub", A, B), C),
    "a - (b + c)": apply("sub", A, apply("add", B, C)),
    "a + (b + c)": apply("add", A, apply("add", B, C)),
    "a / (b * c)": apply("div", A, apply("mul", B, C)),
    "a / b * c": apply("mul", apply("div", A, B), C),
    "a * (b / c)": apply("mul", A, apply("div", B, C)),
    "a / (b / c)": apply("div", A, apply("div", B, C)),
    "-(a + b) * c": apply("mul", apply("neg", apply("add", A, B)), C),
    "-((a + b) * c)": apply("neg", apply("mul", apply("add", A, B), C)),
    "a * (-b)": apply("mul", A, apply("neg", B)),
    "a / (-b)": apply("div", A, apply("neg", B)),
    "a - -b": apply("sub", A, apply("neg", B)),
    "-(-a)": apply("neg", apply("neg", A)),
    "-(a - b)": apply("neg", apply("sub", A, B)),
    "np.exp(-(a - b) / c)": apply("exp", apply("div", apply("neg", apply("sub", A, B)), C)),
    "np.arctan2(a + b, -c)": apply("atan2", apply("add", A, B), apply("neg", C)),
}


@pytest.mark.parametrize("text", TRICKY)
def test_precedence(text: str) -> None:
    assert expression(TRICKY[text]) == text
    assert printed(TRICKY[text]) == direct(TRICKY[text])


def constant(value: sp.Expr) -> Constant:
    return Constant(str(sp.N(value, 40)), str(value))


CONSTANTS = [
    constant(sp.sympify(text)) for text in ("2", "1/2", "pi", "sqrt(2)/3", "1/(2*pi)", "10**30", "1/10**9", "1/3")
]
TREES = st.recursive(
    st.sampled_from([A, B, C, *CONSTANTS]),
    lambda inner: st.one_of(
        st.builds(apply, st.sampled_from(["add", "sub", "mul", "div", "atan2"]), inner, inner),
        st.builds(apply, st.sampled_from(["neg", "exp", "abs"]), inner),
    ),
    max_leaves=10,
)


@given(TREES)
def test_the_text_means_the_tree(tree: Node) -> None:
    with np.errstate(all="ignore"):
        try:
            expected = direct(tree)
        except (ZeroDivisionError, OverflowError):
            assume(False)
        assert np.array_equal(printed(tree), expected, equal_nan=True)


@pytest.mark.parametrize("node", CONSTANTS, ids=lambda node: node.exact)
def test_literals_read_back_exactly(node: Constant) -> None:
    """The nearest double of the forty digits, in the shortest text that has it."""
    nearest = float(node.decimal)
    assert printed(node) == nearest
    lines = constants(program(node))
    assert len(lines) <= 1
    for line in lines:
        assert line.endswith(f"# {node.exact}")
        assert constant_name(node.exact).isidentifier()


def test_every_operation_can_be_printed() -> None:
    assert set(TABLE) == OPERATIONS
    for operation, (template, _, needed) in TABLE.items():
        text = expression(apply(operation, *([A, B, C] * 4)[: len(needed) or 3]))
        compile(text, operation, "eval")
        assert template.count("{0}") == 1 or template.count("{}") == (len(needed) or 1)
    assert set(HELPERS) <= OPERATIONS


def test_operations_are_collected_from_bodies_too() -> None:
    code = Program(("a",), (Assignment("root1", apply("sqrt", A)),), (apply("exp", Name("root1")),))
    assert operations(code) == {"sqrt", "exp"}
