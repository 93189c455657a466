"""Derived kernels equal the published closed forms; a wrong one is reported, not proved."""

from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp

from mehler.derive import published
from mehler.derive.published import report, verify_all


@pytest.fixture(autouse=True)
def _shared(derive: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "derive_dual", derive)


def test_every_identity_is_proved() -> None:
    results = verify_all()
    assert all(result.passed for result in results)
    claims = "\n".join(result.claim for result in results)
    for part in ("order 0", "order 1", "order 2", "dK/dc = K'", "q/2", "1/2", "any layer", "depth 2: Theta", "erf"):
        assert part in claims
    text = report(results)
    assert f"{len(results)} of {len(results)} proved" in text
    assert "NO" not in text


@pytest.mark.parametrize(
    ("name", "change", "claim"),
    [
        ("RELU", lambda f: f * (1 + sp.Rational(1, 10**12)), "ReLU: K is the arc-cosine"),
        ("STEP", lambda f: f + sp.Rational(1, 4), "step: K is the arc-cosine"),
        ("J2", lambda f: f.subs(3, 2), "ReLU^2: K is the arc-cosine"),
    ],
)
def test_a_wrong_published_formula_is_not_proved(
    name: str, change: Callable[[sp.Expr], sp.Expr], claim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, name, change(getattr(published, name)))
    results = verify_all()
    failed = [result.claim for result in results if not result.passed]
    assert any(text.startswith(claim) for text in failed)
    assert len(failed) < len(results)
    assert "| NO | " in report(results)


def test_a_wrong_recursion_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Θ without Σ added in each layer."""
    right = published.compose

    class Wrong:
        def __init__(self, *args: Any) -> None:
            self.right = right(*args)

        def step(self, layer: Any) -> Any:
            new = self.right.step(layer)
            return type(new)(new.sigma11, new.sigma22, new.sigma12, new.theta12 - new.sigma12)

        def layers(self) -> Any:
            first = self.step(self.right.start())
            return self.right.start(), first, self.step(first)

    monkeypatch.setattr(published, "compose", Wrong)
    failed = [result.claim for result in verify_all() if not result.passed]
    assert len(failed) == 3
    assert all("Theta" in claim for claim in failed)
