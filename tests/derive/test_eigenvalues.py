"""Eigenvalues on the sphere beside published values, exact formulas and power series that mehler does not use."""

from typing import Any

import mpmath
import pytest

from mehler.derive import eigenvalues as module
from mehler.derive.compose import Recursion, compose
from mehler.derive.eigenvalues import eigenvalues
from mehler.derive.errors import DeriveError
from mehler.derive.pipeline import closed_form, derive_dual

DIMENSIONS = (2, 3, 5, 10)


def recursion(expr: str, depth: int = 1, sigma_w: Any = 1.0, sigma_b: Any = 0.0) -> Recursion:
    return compose(closed_form(derive_dual(expr)), depth, sigma_w, sigma_b)


def values(expr: str, kernel: Any, dimension: int, degree: int, digits: int, **network: Any) -> list[Any]:
    return eigenvalues(
        recursion(expr, **network), kernel=kernel, dimension=dimension, degree=degree, digits=digits
    )[0]


def half_space(alpha: int, k: int, d: int) -> Any:
    """The coefficient of t₊^α, |μ_k|. F. Bach, JMLR 18 (2017)."""
    if k == alpha:
        return mpmath.mpf(1) / 2 if alpha == 0 else mpmath.mpf(1) / (2 * d)
    if k > alpha and (k - alpha) % 2 == 0:
        return mpmath.mpf(0)
    half = mpmath.mpf(1) / 2
    top = mpmath.gamma(alpha + 1) * mpmath.gamma(mpmath.mpf(d) / 2) * mpmath.gamma((k - alpha) * half)
    return abs(top / (2 ** (alpha + 1) * mpmath.pi * mpmath.gamma((k + alpha + d) * half)))


def arc_cosine(order: int, k: int, d: int) -> Any:
    """λ_k of κ₀ = 2 E[step step] and κ₁ = 2 E[relu relu], as theory of half-spaces gives it."""
    return 2 * half_space(0, k, d) ** 2 if order == 0 else 2 * d * half_space(1, k, d) ** 2


def tangent(k: int, d: int) -> Any:
    """λ_k of κ₁ + ρκ₀, by the recurrence for a product with ρ."""
    below = k * arc_cosine(0, k - 1, d) if k else 0
    return arc_cosine(1, k, d) + (below + (k + d - 2) * arc_cosine(0, k + 1, d)) / mpmath.mpf(2 * k + d - 2 or 1)


def power(p: int, k: int, d: int) -> Any:
    """λ_k of ρᵖ."""
    if p < k or (p - k) % 2:
        return mpmath.mpf(0)
    half = mpmath.mpf(1) / 2
    top = mpmath.gamma(d * half) * mpmath.factorial(p)
    return top / (2**p * mpmath.factorial((p - k) // 2) * mpmath.gamma((p + k + d) * half))


def agree(found: Any, expected: Any, relative: float, absolute: float) -> bool:
    return bool(abs(found - expected) <= max(relative * abs(expected), absolute))


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize(("expr", "order"), [("step", 0), ("relu", 1)])
def test_arc_cosine_kernels(expr: str, order: int, dimension: int) -> None:
    with mpmath.workdps(40):
        found = values(expr, "nngp", dimension, 12, 20)
        for k, value in enumerate(found):
            assert agree(2 * value, arc_cosine(order, k, dimension), 1e-12, 1e-19), k


@pytest.mark.parametrize("dimension", [3, 5, 10])
def test_the_tangent_kernel_of_relu(dimension: int) -> None:
    with mpmath.workdps(40):
        # Θ = 2K + 2K̇ρ at σ_w = 1 is the sum of the two arc-cosine kernels.
        found = values("sqrt(2)*max(0, x)", "ntk", dimension, 12, 20)
        for k, value in enumerate(found):
            assert agree(value, tangent(k, dimension), 1e-12, 1e-19), k


def test_the_values_of_the_literature() -> None:
    three = values("sqrt(2)*max(0, x)", "ntk", 3, 5, 20)
    five = values("sqrt(2)*max(0, x)", "ntk", 5, 5, 20)
    expected = [1 / 2, 1 / 3, 5 / 64, 0, 1 / 192, 0]
    assert [float(v) for v in three] == pytest.approx(expected, rel=1e-12, abs=1e-19)
    expected = [0.421875, 0.2, 1 / 32, 0, 0.0010375977, 0]
    assert [float(v) for v in five] == pytest.approx(expected, rel=5e-8, abs=1e-19)


@pytest.mark.parametrize("dimension", [*(pytest.param(d, marks=pytest.mark.slow) for d in (2, 3, 5)), 10])
def test_powers_of_rho_down_to_1e_30(dimension: int) -> None:
    """K of erf is (2/π) asin(2ρ/3), with the known power series of the arcsine."""
    with mpmath.workdps(60):
        terms = {
            2 * j + 1: mpmath.binomial(2 * j, j) / (4**j * (2 * j + 1)) * (mpmath.mpf(2) / 3) ** (2 * j + 1)
            for j in range(220)
        }
        degree = 41
        found = values("erf(x)", "nngp", dimension, degree, 45)
        least = mpmath.mpf(1)
        for k in range(1, degree + 1, 2):
            expected = 2 / mpmath.pi * mpmath.fsum(a * power(p, k, dimension) for p, a in terms.items())
            assert agree(found[k], expected, 1e-12, 0), k
            least = min(least, expected) if expected > 1e-30 else least
        assert all(abs(v) < 1e-45 for v in found[::2])
        assert dimension < 10 or least < 1e-20


@pytest.mark.slow
def test_a_polynomial_has_no_more_degrees_than_it_is_high() -> None:
    found = values("x**3 - x", "nngp", 4, 6, 16)
    # Hermite: x³ − x = He₃ + 2x, so K = 6ρ³ + 4ρ.
    expected = [4 * power(1, k, 4) + 6 * power(3, k, 4) for k in range(7)]
    for value, exact in zip(found, expected, strict=True):
        assert agree(value, exact, 1e-12, 1e-15)


@pytest.mark.parametrize("kernel", [pytest.param("ntk", marks=pytest.mark.slow), "nngp"])
def test_they_add_up_to_the_trace_of_a_deep_network(kernel: Any) -> None:
    """Σ λ_k N(3, k) → κ(1): for the smooth GELU, to all digits."""
    network = recursion("gelu", depth=3, sigma_w=1.3, sigma_b=0.2)
    found, trace, error = eigenvalues(network, kernel=kernel, dimension=3, degree=80, digits=20)
    with mpmath.workdps(40):
        total = mpmath.fsum(v * (2 * k + 1) for k, v in enumerate(found))
        assert abs(total - trace) < 1e-20
    assert error < 1e-20 * trace


def test_digits_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEVELS", 3)
    with pytest.raises(DeriveError, match="do not settle to 30 digits"):
        values("relu", "ntk", 3, 5, 30)


def test_a_wrong_weight_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = module._add

    def wrong(totals: Any, value: Any, rho: Any, dimension: int, bits: int) -> None:
        right(totals, value, rho, dimension + 1, bits)

    monkeypatch.setattr(module, "_add", wrong)
    found = values("relu", "nngp", 3, 8, 20)
    assert not agree(2 * found[4], arc_cosine(1, 4, 3), 1e-3, 0)
