from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.normal import owens_t_value, phi2_value
from mehler.derive.special import Phi, Phi2, owens_t

R = sp.Rational
h, k, r, a = sp.symbols("h k r a", real=True)
z, w = sp.symbols("z w")


def close(value: sp.Expr, expected: sp.Expr, digits: int) -> bool:
    return bool(abs(sp.N(value - expected, digits + 10)) < R(1, 10**digits))


def test_special_values_of_phi() -> None:
    assert Phi(0) == R(1, 2)
    assert (Phi(sp.oo), Phi(-sp.oo)) == (1, 0)
    assert Phi(sp.nan) is sp.nan
    # A reflection would lose the relative accuracy of a tail.
    assert Phi(-h).func is Phi


def test_special_values_of_phi2() -> None:
    assert Phi2(0, 0, r) == R(1, 4) + sp.asin(r) / (2 * sp.pi)
    assert Phi2(h, k, 0) == Phi(h) * Phi(k)
    assert (Phi2(h, sp.oo, r), Phi2(sp.oo, k, r)) == (Phi(h), Phi(k))
    assert (Phi2(h, -sp.oo, r), Phi2(-sp.oo, k, r)) == (0, 0)
    assert Phi2(h, k, sp.nan) is sp.nan


def test_phi2_at_correlations_of_one() -> None:
    assert Phi2(2, 1, 1) == Phi(1)
    assert Phi2(h, h + 1, r).subs(r, 1) == Phi(h)
    assert Phi2(h, h, 1) == Phi(h)
    assert Phi2(-2, 1, -1) == 0
    assert Phi2(h, -h, -1) == 0
    assert Phi2(1, 1, -1) == 2 * Phi(1) - 1
    assert Phi2(h, k, 1).func is Phi2


def test_special_values_of_owens_t() -> None:
    assert owens_t(h, 0) == owens_t(sp.oo, a) == owens_t(-sp.oo, a) == 0
    assert owens_t(0, a) == sp.atan(a) / (2 * sp.pi)
    assert owens_t(h, 1) == Phi(h) * Phi(-h) / 2
    assert owens_t(h, sp.oo) == Phi(-sp.Abs(h)) / 2
    assert owens_t(h, -sp.oo) == -Phi(-sp.Abs(h)) / 2
    assert owens_t(-h, a) == owens_t(h, a) == -owens_t(-h, -a)
    assert owens_t(h, sp.nan) is sp.nan


@pytest.mark.parametrize("symbol", [h, k, r])
@pytest.mark.parametrize("function", [Phi2(h, k, r), Phi(h * k + r), owens_t(h, k - 2 * r)], ids=str)
def test_derivatives_are_those_of_the_values(function: sp.Expr, symbol: sp.Symbol) -> None:
    at, step = {h: R(1, 3), k: R(-4, 5), r: R(2, 7)}, R(1, 10**10)
    slope = sp.N(sp.diff(function, symbol).subs(at), 30)
    above, below = (sp.N(function.subs({**at, symbol: at[symbol] + s}), 40) for s in (step, -step))
    assert abs((above - below) / (2 * step) - slope) < 1e-18


def test_phi_is_the_normal_distribution_function() -> None:
    assert abs(sp.N(Phi(R(-5)), 30) - sp.N(sp.erfc(5 / sp.sqrt(2)) / 2, 30)) < 1e-34
    assert close(Phi(1 + 2 * sp.I), sp.erfc(-(1 + 2 * sp.I) / sp.sqrt(2)) / 2, 40)


@pytest.mark.parametrize("digits", [15, 60])
def test_values_have_the_digits_asked_for(digits: int) -> None:
    ctx = mpmath.mp.clone()
    ctx.dps = digits + 20
    third, near = ctx.one / 3, 1 - ctx.mpf(10) ** -30
    for expr, expected in (
        (Phi2(R(1, 3), -2, R(1, 2)), phi2_value(ctx, third, ctx.mpf(-2), ctx.mpf(0.5))),
        (Phi2(R(1, 3), R(1, 3), 1 - R(1, 10**30)), phi2_value(ctx, third, third, near)),
        (owens_t(R(1, 3), 2), owens_t_value(ctx, third, ctx.mpf(2))),
        (Phi(R(1, 3)), ctx.ncdf(third)),
    ):
        assert abs(ctx.convert(sp.N(expr, digits)._to_mpmath(ctx.prec)) - expected) < ctx.mpf(10) ** -digits


def test_values_of_complex_arguments() -> None:
    value = sp.N(Phi2(1 + sp.I, 2, R(1, 2)), 30)
    assert close(sp.conjugate(value), sp.N(Phi2(1 - sp.I, 2, R(1, 2)), 30), 28)
    assert sp.N(Phi(h)) == Phi(h)


POINTS = [(R(1, 3), R(-2), R(1, 2)), (R(-1), R(1, 5), R(-9, 10)), (R(2), R(2), R(99, 100)), (R(-1), R(-3), R(1, 9))]


@pytest.mark.parametrize("point", POINTS)
def test_phi2_in_terms_of_owens_t(point: tuple[sp.Rational, ...]) -> None:
    rewritten = Phi2(h, k, r).rewrite(owens_t)
    assert not rewritten.has(Phi2)
    assert close(rewritten.subs(dict(zip((h, k, r), point, strict=True))), Phi2(*point), 30)


@pytest.mark.parametrize("target", [sp.erf, sp.erfc])
def test_phi_in_terms_of_error_functions(target: Any) -> None:
    rewritten = Phi(h).rewrite(target)
    assert rewritten.has(target)
    for value in (R(-3, 2), R(1, 3)):
        assert close(rewritten.subs(h, value), Phi(value), 30)


def test_conjugates() -> None:
    assert sp.conjugate(Phi(z)) == Phi(sp.conjugate(z))
    assert sp.conjugate(Phi2(z, w, r)) == Phi2(sp.conjugate(z), sp.conjugate(w), r)
    assert sp.conjugate(owens_t(z, a)) == owens_t(sp.conjugate(z), a)
    assert sp.conjugate(Phi2(h, k, z)).func is sp.conjugate
    assert sp.conjugate(Phi2(h, k, r)) == Phi2(h, k, r)


def test_signs() -> None:
    assert (Phi(h).is_positive, Phi(h).is_real, Phi(z).is_positive) == (True, True, None)
    half = Phi2(h, k, R(1, 2))
    assert (half.is_positive, half.is_real, Phi2(h, k, r).is_positive, Phi2(z, k, r).is_real) == (
        True,
        True,
        None,
        None,
    )
    assert (owens_t(h, R(1, 2)).is_positive, owens_t(h, R(-1, 2)).is_positive, owens_t(h, a).is_real) == (
        True,
        False,
        True,
    )


def test_limits() -> None:
    x = sp.Symbol("x", real=True)
    assert [sp.limit(Phi(x), x, end) for end in (sp.oo, -sp.oo, 1)] == [1, 0, Phi(1)]
    assert [sp.limit(Phi(1 / x), x, 0, side) for side in "+-"] == [1, 0]
    # Mills' ratio.
    assert sp.limit(x * Phi(x) * sp.exp(x**2 / 2), x, -sp.oo) == -1 / sp.sqrt(2 * sp.pi)
    assert sp.limit(Phi2(h, x, r), x, sp.oo) == Phi(h)
    assert sp.limit(Phi2(1, 2, r), r, 1) == Phi(1)
    assert sp.limit(owens_t(h, x), x, sp.oo) == Phi(-sp.Abs(h)) / 2


def test_latex() -> None:
    assert sp.latex(Phi(h)) == r"\Phi\left(h\right)"
    assert sp.latex(Phi2(h, k, r) ** 2) == r"\Phi_2^{2}\left(h, k; r\right)"
    assert sp.latex(owens_t(h, a)) == r"T\left(h, a\right)"
