from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.special import Phi, Phi2, phi2_value

R = sp.Rational
h, k, r = sp.symbols("h k r", real=True)

TRIPLES = [
    (R(1, 3), R(-2), R(1, 2)),
    (R(-1), R(1, 5), R(-9, 10)),
    (R(2), R(2), R(99, 100)),
    (R(-3), R(-3), R(-95, 100)),
    (R(1, 2), R(1), R(0)),
    (R(0), R(1), R(-1, 7)),
]


def by_quadrature(ctx: Any, h: Any, k: Any, r: Any) -> Any:
    """P(X ≤ h, Y ≤ k) = ∫_{−∞}^h φ(s) Φ((k − rs)/√(1 − r²)) ds, the definition."""
    return ctx.quad(lambda s: ctx.npdf(s) * ctx.ncdf((k - r * s) / ctx.sqrt(1 - r * r)), [-ctx.inf, -6, -2, 0, h])


@pytest.mark.parametrize("point", TRIPLES)
def test_phi2_is_the_bivariate_normal_probability(point: tuple[sp.Rational, ...]) -> None:
    ctx = mpmath.mp.clone()
    ctx.dps = 25
    numbers = [ctx.mpf(int(v.p)) / int(v.q) for v in point]
    expected = by_quadrature(ctx, *numbers)
    assert abs(phi2_value(ctx, *numbers) - expected) < 1e-20
    assert abs(ctx.mpf(str(sp.N(Phi2(*point), 25))) - expected) < 1e-20


def test_phi2_at_correlations_of_one() -> None:
    ctx = mpmath.mp.clone()
    a, b = ctx.mpf("0.3"), ctx.mpf("-1.2")
    assert abs(phi2_value(ctx, a, b, ctx.one) - ctx.ncdf(b)) < 1e-14
    assert abs(phi2_value(ctx, a, -b, -ctx.one) - (ctx.ncdf(a) + ctx.ncdf(-b) - 1)) < 1e-14
    assert phi2_value(ctx, a, b, -ctx.one) == 0


def test_special_values() -> None:
    assert Phi(0) == R(1, 2)
    assert (Phi(sp.oo), Phi(-sp.oo)) == (1, 0)
    assert Phi2(0, 0, r) == R(1, 4) + sp.asin(r) / (2 * sp.pi)
    assert Phi2(h, k, 0) == Phi(h) * Phi(k)
    assert Phi2(2, 1, 1) == Phi(1)
    assert Phi2(-2, 1, -1) == 0
    assert Phi2(1, 1, -1) == 2 * Phi(1) - 1


@pytest.mark.parametrize("symbol", [h, k, r])
def test_derivatives_are_those_of_the_values(symbol: sp.Symbol) -> None:
    at, step = {h: R(1, 3), k: R(-4, 5), r: R(2, 7)}, R(1, 10**10)
    for function in (Phi2(h, k, r), Phi(h * k + r)):
        slope = sp.N(sp.diff(function, symbol).subs(at), 30)
        above, below = (sp.N(function.subs({**at, symbol: at[symbol] + s}), 40) for s in (step, -step))
        assert abs((above - below) / (2 * step) - slope) < 1e-18


def test_phi_is_the_normal_distribution_function() -> None:
    assert abs(sp.N(Phi(R(-5)), 30) - sp.N(sp.erfc(5 / sp.sqrt(2)) / 2, 30)) < 1e-34


def test_latex() -> None:
    assert sp.latex(Phi(h)) == r"\Phi\left(h\right)"
    assert sp.latex(Phi2(h, k, r) ** 2) == r"\Phi_2^{2}\left(h, k; r\right)"
