"""What belongs to one variance: taken out of a Program, and the same number put back."""

from collections.abc import Callable
from typing import Any

import mpmath
import pytest

from mehler.derive.dual import ProvedDual
from mehler.derive.emit.module import lowered
from mehler.derive.emit.program import Apply, Assignment, Constant, Name, Node, Program
from mehler.derive.emit.row_parts import by_rows

Q1, Q2, C, A = map(Name, ("q1", "q2", "c", "a"))
ONE = Constant("1", "1")


def apply(operation: str, *operands: Node) -> Apply:
    return Apply(operation, operands)


def root(v: Node) -> Node:
    return apply("sqrt", apply("add", v, ONE))


HEAVY = ["erf(x)*exp(-x**2)", "erf(a*x)"]  # to derive


@pytest.mark.parametrize(
    "name", ["erf", "gelu", "relu", "exp", "sin", *(pytest.param(t, marks=pytest.mark.slow) for t in HEAVY)]
)
def test_with_its_parts_a_program_means_what_it_meant(
    name: str, derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]
) -> None:
    program = lowered(derive(name)).apart
    assert program is not None
    reduced, parts = by_rows(program, frozenset({"phi_a", "weight"}))
    values = {"q1": mpmath.mpf(2), "q2": mpmath.mpf("0.7"), "c": mpmath.mpf("0.5"), "phi_a": mpmath.mpf("1.3")}
    values["weight"] = mpmath.mpf("2.1")
    values["rho"] = values["c"] / mpmath.sqrt(values["q1"] * values["q2"])
    for n, part in enumerate(parts, 1):
        for i in (1, 2):
            one = Program(("q",), (), (part,))
            (values[f"part{n}_{i}"],) = run(one, {"q": values[f"q{i}"], "phi_a": values["phi_a"]}, mpmath.mp)
    for got, right in zip(run(reduced, values, mpmath.mp), run(program, values, mpmath.mp), strict=True):
        assert abs(got - right) <= 1e-14 * abs(right)


def test_no_root_of_a_variance_is_left_to_pairs(derive: Callable[..., ProvedDual]) -> None:
    program = lowered(derive("gelu")).apart
    assert program is not None
    reduced, parts = by_rows(program, frozenset({"weight"}))
    assert len(parts) == 1
    roots = [node for node in reduced.nodes() if isinstance(node, Apply) and node.operation == "sqrt"]
    assert len(roots) == 1  # that of the pair


def test_one_function_of_both_variances_is_one_part() -> None:
    program = Program(("q1", "q2"), (Assignment("root1", root(Q1)),), (apply("mul", Name("root1"), root(Q2)),))
    reduced, parts = by_rows(program, frozenset())
    assert parts == [root(Name("q"))]
    assert reduced.body == ()
    assert reduced.outputs == (apply("mul", Name("part1_1"), Name("part1_2")),)
    assert reduced.inputs == ("q1", "q2", "part1_1", "part1_2")


def test_what_is_cheap_or_at_hand_stays() -> None:
    cheap = apply("add", apply("mul", Q1, Q1), ONE), apply("sqrt", Q2)
    program = Program(("q1", "q2"), (), cheap)
    assert by_rows(program, frozenset()) == (program, [])


def test_a_parameter_belongs_to_any_row() -> None:
    scaled = root(apply("mul", A, Q2))
    _, parts = by_rows(Program(("q2", "a"), (), (scaled,)), frozenset({"a"}))
    assert parts == [root(apply("mul", A, Name("q")))]
    assert by_rows(Program(("q2", "a"), (), (scaled,)), frozenset())[1] == []


def test_a_part_of_parts_is_written_out() -> None:
    body = Assignment("one", root(Q1)), Assignment("two", apply("exp", Name("one")))
    reduced, parts = by_rows(Program(("q1", "c"), body, (apply("mul", C, Name("two")),)), frozenset())
    assert apply("exp", root(Name("q"))) in parts
    assert reduced.outputs == (apply("mul", C, Name(f"part{parts.index(apply('exp', root(Name('q')))) + 1}_1")),)
