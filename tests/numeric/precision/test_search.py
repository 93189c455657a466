"""The climb finds worse points than it starts from, stays among the covariances, and does not leave the budget."""

from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from mehler.generated import relu, sin
from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision.budgets import budget
from mehler.numeric.precision.points import admissible, adversarial, regions
from mehler.numeric.precision.search import climb, neighbour, search
from mehler.numeric.precision.ulp import Row, measure

RELU = Evaluator(relu, {})


def arc_cosine(q1: float, q2: float, c: float) -> tuple[Any, Any]:
    """(K, K̇) of the ReLU, typed in from Cho and Saul."""
    with mpmath.workdps(60):
        product = mpf(q1) * mpf(q2)
        if not product:
            return mpf(0), mpf(1) / 4
        sine = mpmath.sqrt(max(mpf(0), product - mpf(c) ** 2))
        opposite = mpmath.atan2(sine, -mpf(c))
        return (sine + c * opposite) / (2 * mpmath.pi), opposite / (2 * mpmath.pi)


POINTS = [(d, p) for d in ("float64", "float32") for r in (*regions(d), *adversarial(d)) for p in r.points]


@settings(max_examples=200, deadline=None)
@given(where=st.sampled_from(POINTS), seed=st.integers(0, 2**32))
def test_a_neighbour_is_a_covariance_in_floats_of_the_dtype(where: Any, seed: int) -> None:
    dtype, start = where
    found = neighbour(start, np.random.default_rng(seed), dtype)
    if found is not None:
        assert found != start
        assert admissible(*found)
        assert all(float(np.asarray(v, dtype)) == v for v in found)
    found = neighbour((start[0],) * 3, np.random.default_rng(seed), dtype, diagonal=True)
    assert found is None or found[0] == found[1] == found[2]


@settings(max_examples=15, deadline=None)
@given(
    at=st.sampled_from(
        [p for r in (*regions("float64", 3), *adversarial("float64")) for p in r.points if p[0] * p[1]]
    ),
    function=st.sampled_from(["kernel", "kernel_dot"]),
    seed=st.integers(0, 1000),
)
def test_relu_keeps_its_budget_wherever_a_climb_goes(at: Any, function: str, seed: int) -> None:
    start = Row(function, "here", 1, 0.0, at)
    found = climb(RELU, arc_cosine, start, "float64", moves=25, seed=seed)
    assert found.worst <= budget(relu, "float64", function), found


def test_a_climb_finds_a_narrow_fault() -> None:
    """Wrong within 1e-9 of ρ = 1/2 alone, further off the closer: random points near it would not tell."""

    class Damaged:
        NAME, PARAMETERS = "damaged", {}
        kernel_dot, kernel_diag, kernel_dot_diag = map(
            staticmethod, (relu.kernel_dot, relu.kernel_diag, relu.kernel_dot_diag)
        )

        @staticmethod
        def kernel(q1: Any, q2: Any, c: Any) -> Any:
            gap = np.abs(c / np.sqrt(q1 * q2) - 0.5)
            return relu.kernel(q1, q2, c) * (1 + 1e-16 / (1e-3 + gap))

    subject = Evaluator(Damaged(), {})  # type: ignore[arg-type]
    start = Row("kernel", "bulk", 1, 0.0, (1.0, 1.0, 0.4))
    found = climb(subject, arc_cosine, start, "float64", moves=300, seed=1)
    q1, q2, c = found.at
    assert found.region == "search from bulk"
    assert found.worst > 20
    assert abs(c / np.sqrt(q1 * q2) - 0.5) < 0.03


def test_a_search_is_the_same_each_time_and_never_better_than_its_start() -> None:
    rows = [r for r in measure(RELU, arc_cosine, regions("float64", 0, 3), "float64") if r.function == "kernel"][:3]
    found = search(RELU, arc_cosine, rows, "float64", moves=20)
    assert found == search(RELU, arc_cosine, rows, "float64", moves=20)
    assert all(a.worst >= b.worst for a, b in zip(found, rows, strict=True))


def test_what_is_infinitely_wrong_is_left_where_it_is() -> None:
    start = Row("kernel", "bulk", 1, float("inf"), (1.0, 1.0, 0.5))
    assert climb(RELU, arc_cosine, start, "float64").at == start.at


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_typed_formula_agrees_with_the_module(dtype: str) -> None:
    rows = measure(Evaluator(sin, {}), _sine, regions(dtype, 0, 2), dtype)
    assert max(row.worst for row in rows) < 8


def _sine(q1: float, q2: float, c: float) -> tuple[Any, Any]:
    with mpmath.workdps(60):
        decay = mpmath.exp(-(mpf(q1) + mpf(q2)) / 2)
        return decay * mpmath.sinh(mpf(c)), decay * mpmath.cosh(mpf(c))
