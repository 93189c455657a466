import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sympy as sp

from mehler.derive import pipeline, prove
from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit.header import provenance
from mehler.derive.errors import (
    DerivationTimeout,
    DeriveError,
    DivergentExpectation,
    OutsideClass,
    ParseError,
    ProofError,
)
from mehler.derive.pipeline import closed_form, derivation, derive_dual, generate


def test_a_closed_form_carries_its_proof_and_steps() -> None:
    result = derive_dual("max(0, x)")
    assert isinstance(result, ProvedDual)
    assert result.status == "closed-form"
    assert "ok     dK/dc" in str(result.proof)
    assert [step.rule for step in result.steps]
    assert r"\theta" in result.latex()
    assert result._repr_latex_().startswith("$")
    assert "K(q, q)   = q/2" in str(result)


def test_parameters_by_keyword() -> None:
    a = sp.Symbol("a", positive=True)
    assert derive_dual("exp(a*x)", a="positive").kernel.free_symbols >= {a}
    assert derive_dual("a*x", a=0.1).kernel == derive_dual("x/10").kernel


def test_no_closed_form_is_said_with_its_reason() -> None:
    result = derive_dual("x*tanh(x)")
    assert isinstance(result, NumericDual)
    assert result.status == "numeric"
    assert (result.kernel, result.kernel_dot, result.proof.passed) == (None, None, False)
    assert "tanh(x) leaves the Gaussian-closed class" in result.reason
    assert "tanh" in result.latex()
    with pytest.raises(OutsideClass, match="tanh"):
        closed_form(result)


def test_only_two_kinds_of_jumps() -> None:
    with pytest.raises(DeriveError, match="distribution"):
        derive_dual("relu", jumps="both")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("__import__('os')", ParseError),
        ("x*y", ParseError),
        ("exp(x**2)", DivergentExpectation),
        ("exp(x**4)", DivergentExpectation),
    ],
)
def test_errors_pass_through_in_one_line(text: str, error: type[DeriveError]) -> None:
    with pytest.raises(error) as caught:
        derive_dual(text)
    assert "\n" not in str(caught.value)


# What the rules do not derive has values by quadrature all the same.


def _fail(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def assert_values(result: object) -> None:
    """Of φ(x) = x³ at q1 = 2, q2 = 1/2, c = −2/5: K = 9 q1 q2 c + 6 c³ and K̇ = 9 q1 q2 + 18 c²."""
    assert isinstance(result, NumericDual)
    kernel, kernel_dot = result.evaluate(2, "1/2", "-2/5", digits=15)
    assert abs(kernel - (-3.984)) < 1e-14
    assert abs(kernel_dot - 11.88) < 1e-13


def test_after_the_time_limit_values_are_by_quadrature(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEHLER_CACHE", str(tmp_path))  # other tests derive it

    def endless(*_: object) -> None:
        while True:
            time.sleep(0.001)

    monkeypatch.setattr(pipeline, "integrate", endless)
    result, cached = derivation("x**3", {}, timeout=0.3)
    assert_values(result)
    assert not cached
    assert "no closed form was found in 0.3 s" in result.reason  # type: ignore[union-attr]
    assert "raise timeout" in result.reason  # type: ignore[union-attr]
    assert derivation("x**3", {}, timeout=0.3) == (result, True)
    with pytest.raises(DerivationTimeout):
        derivation("x**3", {}, timeout=0.3, fallback=False)
    monkeypatch.setattr(pipeline, "_of_tables", lambda result, *_: result.reason)
    assert "in 0.3 s" in generate("x**3", name="cubic", timeout=0.3)
    monkeypatch.undo()
    assert isinstance(derive_dual("x**3"), ProvedDual)  # with more time there is a formula


def test_code_that_takes_too_long_is_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> None:
        raise DerivationTimeout("late")

    monkeypatch.setattr(pipeline, "_code", late)
    monkeypatch.setattr(pipeline, "_of_tables", lambda result, *_: result.status)
    assert generate("x**3", name="cubic") == "closed-form"


@pytest.mark.parametrize(
    ("stage", "error", "said"),
    [
        ("prove", ProofError("'x**3' failed its proof"), "failed its proof"),
        ("integrate", TypeError("of SymPy"), "ended in TypeError; this is a fault of mehler"),
    ],
)
def test_a_fault_is_reported_and_leaves_values_by_quadrature(
    stage: str, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, stage, _fail(error))
    for _ in range(2):  # a cache would hide it
        with pytest.warns(RuntimeWarning, match=said):
            result, _ = derivation("x**3", {}, cached=False)
        assert_values(result)
    with pytest.raises(type(error)):
        derivation("x**3", {}, cached=False, fallback=False)


def test_a_check_without_a_value_to_compare_with_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove, "expectations_2d", _fail(DeriveError("quadrature did not reach 25 digits")))
    result, _ = derivation("x**3", {}, cached=False)
    monkeypatch.undo()
    assert_values(result)
    assert "a formula was derived, but it could not be proved" in result.reason  # type: ignore[union-attr]
    assert "quadrature did not reach 25 digits" in result.reason  # type: ignore[union-attr]


def test_impulses_need_a_closed_form() -> None:
    with pytest.raises(OutsideClass, match="use jumps='almost-everywhere'"):
        derive_dual("sign(x)/(1 + exp(-x))", jumps="distribution")


def test_code_that_is_slow_gives_way_to_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """One rule for all: what may cancel is slow in NumPy; without tables its code is taken, for some pairs."""
    taken = []
    monkeypatch.setattr(pipeline, "tabulated", lambda result, progress: taken.append(result.activation.text))
    assert provenance(generate("relu", name="fast", timeout=None)) == "K and K' come from their closed form"
    assert taken == []
    source = generate("where(x > 1, x, 1)", name="slow", timeout=None)
    assert "def expansion" in source
    assert provenance(source).startswith("K and K' come from that code for few pairs and from Chebyshev series")
    assert taken == ["where(x > 1, x, 1)"]
    assert "def _fused" in generate("where(x > 1, x, 1)", name="quick", target="numba", timeout=None)
    assert len(taken) == 1
