"""P(L₁ > 0, …, L_n > 0) for Gaussian forms L of given means and covariances: what every expectation comes to.

n = 1 is Φ and n = 2 is Φ₂; centred n = 3 is ⅛ + Σ asin(r_ij)/4π. For n = 3 off the origin and n = 4, scale
the covariances between two groups by λ: at λ = 0 the groups are independent, and the derivative in λ is
a density times a probability of n − 2 forms, dP/dλ = Σ C_ij p(L_i = L_j = 0) P(others > 0 | L_i = L_j = 0)
over the pairs across. So P is one integral over 0 ≤ λ ≤ 1. The means may be complex, since each side is
entire in them.

Sources: W. F. Sheppard, Phil. Trans. A 192 (1899) 101; R. L. Plackett, Biometrika 41 (1954) 351.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import sympy as sp

from mehler.derive.errors import OutsideClass
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import path

Covariances = Mapping[tuple[int, int], sp.Expr]


def orthant(mean: Sequence[sp.Expr], cov: Covariances) -> sp.Expr:
    """P(L_i > 0 for all i); cov[i, j] for i ≤ j. Raises OutsideClass for n > 4."""
    n = len(mean)
    if n == 0:
        return sp.S.One
    if n <= 2 or (n == 3 and all(m.is_zero for m in mean)):
        h = [sp.together(m / sp.sqrt(cov[i, i])) for i, m in enumerate(mean)]
        r = {(i, j): cov[i, j] / sp.sqrt(sp.factor(cov[i, i] * cov[j, j])) for i, j in combinations(range(n), 2)}
        if n == 1:
            return Phi(h[0])
        if n == 2:
            return Phi2(h[0], h[1], r[0, 1])
        return sp.Rational(1, 8) + sp.Add(*(sp.asin(value) for value in r.values())) / (4 * sp.pi)
    if n > 4:
        raise OutsideClass(
            f"no closed form is known: a product of knots and Phi factors needs the normal probability of {n} "
            "half-spaces together, which is more than one integral"
        )
    left, right = range(n // 2), range(n // 2, n)
    apart = sp.Mul(*(orthant([mean[i] for i in side], _within(side, cov)) for side in (left, right)))
    scaled = {(i, j): path * value if i in left and j in right else value for (i, j), value in cov.items()}
    rates = [cov[i, j] * _rate(mean, scaled, i, j) for i, j in product(left, right) if cov[i, j] != 0]
    return apart + (sp.Integral(sp.Add(*rates), (path, 0, 1)) if rates else 0)


def _within(side: range, cov: Covariances) -> Covariances:
    return {(i - side.start, j - side.start): cov[i, j] for i, j in cov if i in side and j in side}


def _rate(mean: Sequence[sp.Expr], cov: Covariances, i: int, j: int) -> sp.Expr:
    """p(L_i = L_j = 0) · P(the others > 0 | L_i = L_j = 0)."""
    a, b, ab = cov[i, i], cov[j, j], cov[i, j]
    det = sp.factor(a * b - ab**2)
    exponent = (b * mean[i] ** 2 - 2 * ab * mean[i] * mean[j] + a * mean[j] ** 2) / (2 * det)
    others = [k for k in range(len(mean)) if k not in (i, j)]

    def gains(k: int) -> tuple[sp.Expr, sp.Expr]:
        to_i, to_j = _get(cov, k, i), _get(cov, k, j)
        return (b * to_i - ab * to_j) / det, (a * to_j - ab * to_i) / det

    def given(k: int, m: int) -> sp.Expr:
        one, two = gains(k)
        return sp.factor(cov[k, m] - one * _get(cov, m, i) - two * _get(cov, m, j))

    means = [sp.together(mean[k] - gains(k)[0] * mean[i] - gains(k)[1] * mean[j]) for k in others]
    rest = {(x, y): given(others[x], others[y]) for x in range(len(others)) for y in range(x, len(others))}
    return sp.exp(-sp.factor(exponent)) / (2 * sp.pi * sp.sqrt(det)) * orthant(means, rest)


def _get(cov: Covariances, i: int, j: int) -> sp.Expr:
    return cov[min(i, j), max(i, j)]
