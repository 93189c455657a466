"""A module states a budget that was measured on its own formula, or is not made."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mehler.derive.activation import activation
from mehler.derive.dual import Proof, ProvedDual
from mehler.derive.emit import remainder
from mehler.derive.emit.measure import BUDGETS, budgeted, measured, points
from mehler.derive.emit.module import lowered, numpy_source
from mehler.derive.errors import NoCode
from mehler.derive.integrate import integrate
from mehler.numeric.precision.oracle import Oracle

# Of φ(x) = x: K = c and K̇ = 1, with an error.
IDENTITY = """
import numpy as np

SUMMABLE = {summable}

def kernel(q1, q2, c):
    {guard}
    return c * (1 + {error})

def kernel_dot(q1, q2, c):
    return np.ones_like(c)

def kernel_diag(q):
    return q

def kernel_dot_diag(q):
    return np.ones_like(q)
"""


def unproved(text: str) -> ProvedDual:
    return ProvedDual(integrate(activation(text), "almost-everywhere"), Proof(()))


def stated(text: str, error: str, guard: str = "", summable: str = "np.inf") -> int:
    """The budget of a module for φ(x) = x with an error in K."""
    asked = []

    def build(budget: int) -> str:
        asked.append(budget)
        return IDENTITY.format(error=error, guard=guard, summable=summable)

    budgeted(unproved(text), f"test {error} {guard} {summable}", BUDGETS[0], build)
    return asked[-1]


def test_points_are_covariances_of_every_kind() -> None:
    found = points()
    assert all(Fraction(c) ** 2 <= Fraction(q1) * Fraction(q2) for q1, q2, c in found)
    assert {1e-300, 1e150} <= {q for q1, q2, _ in found for q in (q1, q2)}
    rhos = [c / q1**0.5 / q2**0.5 for q1, q2, c in found if q1 > q2]
    assert min(rhos) < -0.999999
    assert max(rhos) > 0.999999


@pytest.mark.parametrize(("error", "budget"), [("0", 4), ("1.5e-15", 32), ("1e-14", 400)])
def test_the_budget_is_the_least_that_the_error_allows(error: str, budget: int) -> None:
    assert stated("x", error) == budget


@pytest.mark.parametrize("error", ["1e-12", "np.nan", "np.where(q1 == 1e5, 1e-9, 0)", "np.where(c < 0, 1e-10, 0)"])
def test_what_keeps_no_budget_is_not_made(error: str) -> None:
    with pytest.raises(NoCode, match="use tables"):
        stated("x", error)


def test_points_that_a_module_may_refuse_do_not_count() -> None:
    refused = "if max(q1[0], q2[0]) > 1e6: raise ValueError"
    assert stated("x", "np.where(np.maximum(q1, q2) > 1e6, 1e-3, 0)", refused, "1e6") == 4
    with pytest.raises(NoCode, match="refuses every point"):
        stated("x", "0", "raise ValueError", "0")


def test_another_value_error_of_a_module_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(ValueError, match="of its own"):
        stated("x", "0", "if max(q1[0], q2[0]) > 1e6: raise ValueError('of its own')", "1e9")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["where(x<-1/2,0,where(x>1/2,1,-2*x**3+3/2*x+1/2))", "where(abs(x) < 1, x**2, 1)"])
def test_the_series_of_a_bounded_activation_is_caught(text: str) -> None:
    """Mehler's series of it was emitted with a budget of 32, and was wrong by its own size."""
    proved = unproved(text)
    with pytest.raises(NoCode):
        budgeted(proved, "test series", BUDGETS[1], lambda budget: numpy_source(proved, "m", remainder, budget))


@pytest.mark.slow
def test_sums_without_the_scales_of_one_variance_are_caught() -> None:
    proved = unproved("where(x>0,x,x*exp(x))")
    source = numpy_source(proved, "m", lowered(proved), BUDGETS[1])
    assert measured(proved, source).worst < 16
    assert measured(proved, source.replace("SCALES / root1, seen, *layers", "SCALES / root1, *layers")).worst > 1e6


BOUNDED = [
    ("where(x<-1/2,0,where(x>1/2,1,-2*x**3+3/2*x+1/2))", [(1e6, 1e6, 0.6e6), (1e8, 1e10, -0.9e9), (1.0, 1e3, 9.0)]),
    ("where(abs(x)<1,x-x**3/3,sign(x)*2/3)", [(1e5, 1e5, 3e4), (1.0, 1e4, 90.0)]),
    ("where(x>2,1,where(x>=0,x-x**2/4,where(x>=-2,x+x**2/4,-1)))", [(1e5, 1e5, -9e4), (1e4, 2.0, 7.0)]),
    ("where(abs(x)<1,x**2*(3-2*abs(x)),1)", [(1e5, 1e5, 3e4), (1e6, 1.0, 600.0)]),
    ("clip(x, -1, 1)**3", [(1e6, 1e6, 3e5), (1e4, 1.0, -60.0)]),
    ("where(x>0,x,x*exp(x))", [(1e4, 1e8, -1e6), (1e5, 1e5, -9e4)]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "where"), BOUNDED)
def test_what_was_wrong_is_right(text: str, where: list[tuple[float, float, float]]) -> None:
    from mehler.api import evaluator

    module: Any = evaluator(text, {}, "numpy").module
    oracle = Oracle(text, digits=17)
    functions: tuple[Callable[..., Any], ...] = (module.kernel, module.kernel_dot)
    for at in where:
        scales = [(float(a) * float(b)) ** 0.5 for a, b in zip(*map(oracle.diagonal, at[:2]), strict=True)]
        for function, exact, scale in zip(functions, oracle.both(*at), scales, strict=True):
            (value,) = function(*(np.array([v]) for v in at))
            assert abs(value - float(exact)) <= 32 * np.spacing(scale), at
