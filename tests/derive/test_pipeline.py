import pytest
import sympy as sp

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.errors import DeriveError, DivergentExpectation, OutsideClass, ParseError
from mehler.derive.pipeline import closed_form, derive_dual


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
