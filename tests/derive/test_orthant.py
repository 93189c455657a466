"""P(L₁ > 0, …, L_n > 0) against the iterated integral of the density, which knows none of its closed forms."""

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from mehler.derive.errors import OutsideClass
from mehler.derive.evaluate import compile_function, context, real_values
from mehler.derive.orthant import Covariances, orthant

R = sp.Rational
NODES, WEIGHTS = np.polynomial.legendre.leggauss(72)
FAR = 9.5


def iterated(mean: Sequence[sp.Rational], cov: sp.Matrix) -> float:
    """L = m + Az with A lower triangular: z₁ … z_{n−1} by Gauss-Legendre where L_i > 0, and Φ for z_n."""
    root = np.array(cov.cholesky().evalf(30).tolist(), dtype=float)
    m = np.array([float(value) for value in mean])

    def probability(z: tuple[Any, ...], weight: Any) -> float:
        i = len(z)
        form = m[i] + sum(a * part for a, part in zip(root[i], z, strict=False))
        if i == len(m) - 1:
            return float(np.sum(weight * ndtr(form / root[i, i])))
        low = np.clip(-np.asarray(form) / root[i, i], -FAR, FAR)[..., None]
        half = (FAR - low) / 2
        here = low + half * (1 + NODES)
        density = np.exp(-(here**2) / 2) / np.sqrt(2 * np.pi)
        return probability((*(part[..., None] for part in z), here), weight[..., None] * half * WEIGHTS * density)

    return probability((), np.ones(()))


def entries(cov: sp.Matrix) -> Covariances:
    return {(i, j): cov[i, j] for i in range(cov.rows) for j in range(i, cov.rows)}


def value(mean: Sequence[sp.Expr], cov: sp.Matrix, digits: int = 20) -> Any:
    return real_values([orthant(mean, entries(cov))], {}, digits)[0]


NUMBERS = st.fractions(-1, 1, max_denominator=7).map(lambda f: R(f.numerator, f.denominator))


@st.composite
def laws(draw: st.DrawFn, n: int) -> tuple[list[sp.Rational], sp.Matrix]:
    """Any mean, and AAᵀ with a lower triangular A whose diagonal is away from 0."""
    diagonal = st.fractions("1/2", 2, max_denominator=5).map(lambda f: R(f.numerator, f.denominator))
    A = sp.zeros(n)
    for i in range(n):
        for j in range(i):
            A[i, j] = draw(NUMBERS)
        A[i, i] = draw(diagonal)
    return [2 * draw(NUMBERS) for _ in range(n)], A * A.T


@given(st.integers(1, 3).flatmap(laws))
@settings(max_examples=40)
def test_up_to_three_half_spaces(law: tuple[list[sp.Rational], sp.Matrix]) -> None:
    mean, cov = law
    assert abs(value(mean, cov) - iterated(mean, cov)) < 3e-13


@given(laws(4))
@settings(max_examples=6)
def test_four_half_spaces(law: tuple[list[sp.Rational], sp.Matrix]) -> None:
    mean, cov = law
    assert abs(value(mean, cov, 15) - iterated(mean, cov)) < 3e-13


@given(st.integers(1, 4).flatmap(laws))
@settings(max_examples=20)
def test_centred(law: tuple[list[sp.Rational], sp.Matrix]) -> None:
    mean, cov = [sp.S.Zero] * len(law[0]), law[1]
    formula = orthant(mean, entries(cov))
    assert formula.has(sp.Integral) == (len(mean) == 4 and not cov[:2, 2:].is_zero_matrix)
    assert abs(real_values([formula], {}, 15)[0] - iterated(mean, cov)) < 3e-13


def test_sheppard() -> None:
    """Equal correlations of ½: P = 1/(n + 1), since L_i = Z_i − Z_0 are all positive when Z_0 is the least."""
    for n in range(1, 5):
        cov = sp.ones(n) + sp.eye(n)
        assert abs((n + 1) * value([sp.S.Zero] * n, cov, 18) - 1) < 1e-17


@pytest.mark.parametrize("n", [1, 2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_all_signs_together_are_certain(n: int) -> None:
    """Σ P(±L₁ > 0, …, ±L_n > 0) = 1."""
    A = sp.Matrix([[2, 0, 0, 0], [1, 1, 0, 0], [-1, R(1, 3), 1, 0], [R(1, 2), -1, R(2, 5), R(3, 2)]])[:n, :n]
    mean, total = [R(1, 3), R(-1, 2), R(1), R(-1, 5)][:n], mpmath.mpf(0)
    for bits in range(2**n):
        S = sp.diag(*((-1) ** (bits >> i) for i in range(n)))
        total += value(list(S * sp.Matrix(mean)), S * A * A.T * S, 16)
    assert abs(total - 1) < 1e-15


def test_independent_groups_factor_without_an_integral() -> None:
    mean = [R(1), R(-1, 2), R(2), R(1, 3)]
    cov = sp.diag(sp.Matrix([[2, 1], [1, 1]]), sp.Matrix([[1, R(1, 3)], [R(1, 3), 2]]))
    formula = orthant(mean, entries(cov))
    assert not formula.has(sp.Integral)
    assert (
        sp.expand(formula - orthant(mean[:2], entries(cov[:2, :2])) * orthant(mean[2:], entries(cov[2:, 2:]))) == 0
    )


COMPLEX = [
    ((R(1, 2) + sp.I, R(-1, 3) + 2 * sp.I), sp.Matrix([[1, R(2, 5)], [R(2, 5), R(3, 2)]])),
    ((sp.I, sp.I), sp.Matrix([[2, -1], [-1, 1]])),
    ((R(-1) + sp.I / 3, R(1, 7)), sp.Matrix([[R(1, 2), R(1, 2)], [R(1, 2), 1]])),
]


@pytest.mark.parametrize(("mean", "cov"), COMPLEX, ids=range(len(COMPLEX)))
def test_complex_means(mean: tuple[sp.Expr, sp.Expr], cov: sp.Matrix) -> None:
    """∫₀^∞ p(l) P(L₂ > 0 | L₁ = l) dl, whose integrand is entire in the means."""
    ctx = context(30)
    a, ab, b = (ctx.mpf(int(cov[i].p)) / int(cov[i].q) for i in (0, 1, 3))
    m = [ctx.mpmathify(sp.N(part, 40)) for part in mean]
    s = ctx.sqrt(b - ab**2 / a)

    def integrand(x: Any) -> Any:
        given = (m[1] + ab / a * (x - m[0])) / s
        density = ctx.exp(-((x - m[0]) ** 2) / (2 * a)) / ctx.sqrt(2 * ctx.pi * a)
        return density * ctx.erfc(-given / ctx.sqrt(2)) / 2

    integral = ctx.quad(integrand, [0, 1, 2, 4, 8, 20])
    assert abs(compile_function(orthant(mean, entries(cov)), ctx)({}) - integral) < 1e-24


def test_one_complex_mean() -> None:
    ctx = context(30)
    formula = compile_function(orthant([R(1, 2) + sp.I], {(0, 0): sp.Integer(2)}), ctx)({})
    density = ctx.quad(lambda x: ctx.exp(-((x - 0.5 - 1j) ** 2) / 4) / ctx.sqrt(4 * ctx.pi), [0, 1, 2, 4, 8, 20])
    assert abs(formula - density) < 1e-24


def test_nothing_is_certain_and_five_are_refused() -> None:
    assert orthant([], {}) == 1
    with pytest.raises(OutsideClass, match="5 half-spaces") as caught:
        orthant([R(1)] * 5, entries(sp.eye(5) + sp.ones(5)))
    assert "\n" not in str(caught.value)
