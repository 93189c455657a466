"""Named rewrites of a proved formula, each an identity, that leave nothing to cancel or to overflow.

* angle    asin(N/√P) = atan2(N, √(P − N²)), with P − N² a polynomial in Δ; also as π/2 − atan2(√(P − N²), N)
           and atan2(√(P − N²), −N) − π/2, whichever merges with the terms around it;
* scale    atan2(t·y, t·x) = atan2(y, x) for t > 0;
* growth   e^E sinh g = ½ sign(g) e^(E+|g|) (1 − e^(−2|g|)), likewise cosh: no overflow times underflow;
* expm1    k − k·e^g = −k·expm1(g), whenever the constants of a sum of exponentials cancel at g = 0;
* square   −αq1 − βq2 + γc = −(√(αq1) − √(βq2))² − (2√(αβ) − γ)√(q1q2) − γ√(q1q2)(1 − cos θ) in an exponent.
"""

import sympy as sp
from sympy.codegen.cfunctions import expm1

from mehler.derive.canonical import eliminate_c, steadiest
from mehler.derive.symbols import Delta, c, q1, q2, rho, sin_theta

norm = sp.Symbol("norm", positive=True)


class OneMinusCos(sp.Function):  # type: ignore[misc]
    """1 − cos θ from (cos θ, sin θ), accurate where cos θ is near 1."""

    nargs = 2


def angles(expr: sp.Expr) -> sp.Expr:
    """Every asin as an atan2 of a numerator and a determinant, in the form that subtracts least."""
    for asin in sorted(expr.atoms(sp.asin), key=sp.default_sort_key):
        opposite, adjacent = _sides(asin.args[0])
        forms = [
            sp.atan2(opposite, adjacent, evaluate=False),
            sp.pi / 2 - sp.atan2(adjacent, opposite, evaluate=False),
            sp.atan2(adjacent, -opposite, evaluate=False) - sp.pi / 2,
        ]
        expr = steadiest([_merge_constants(expr.xreplace({asin: form})) for form in forms])
    return expr


def _merge_constants(expr: sp.Expr) -> sp.Expr:
    """Expanded over the angles, so that a constant beside an angle can cancel; like factors collected again."""
    angles = list(expr.atoms(sp.atan2))
    expanded = sp.collect(sp.expand(expr), angles, sp.factor)
    return steadiest([sp.factor_terms(expanded), expanded, expr])


def small_exponents(expr: sp.Expr) -> sp.Expr:
    def rule(total: sp.Expr) -> sp.Expr:
        split = [term.as_coeff_Mul() for term in total.args]
        weights = {factor: number for number, factor in split if isinstance(factor, sp.exp)}
        constant = sp.Add(*(term for term in total.args if term.is_number))
        if constant == 0 or constant + sp.Add(*weights.values()) != 0:
            return total
        return total - constant + sp.Add(*(k * (expm1(e.exp) - e) for e, k in weights.items()))

    return expr.replace(lambda e: e.is_Add, rule)


def growth(expr: sp.Expr) -> sp.Expr:
    """Hyperbolic functions merged with the exponential beside them."""
    if isinstance(expr, sp.sinh | sp.cosh):
        expr = sp.Mul(expr, sp.S.One, evaluate=False)
    if not expr.args:
        return expr
    if not expr.is_Mul:
        return expr.func(*(growth(a) for a in expr.args))
    exponent, rest = sp.S.Zero, sp.S.One
    for factor in expr.args:
        if isinstance(factor, sp.exp):
            exponent += factor.exp
        elif isinstance(factor, sp.sinh | sp.cosh):
            size = sp.Abs(factor.args[0])
            exponent += size
            if isinstance(factor, sp.sinh):
                rest *= -sp.sign(factor.args[0]) * expm1(-2 * size) / 2
            else:
                rest *= (1 + sp.exp(-2 * size)) / 2
        else:
            rest *= growth(factor)
    return sp.exp(sp.expand(exponent)) * rest


def squares(expr: sp.Expr) -> sp.Expr:
    return expr.replace(lambda e: isinstance(e, sp.exp), lambda e: sp.exp(_square(e.exp)))


def _square(exponent: sp.Expr) -> sp.Expr:
    """The square rule, where the exponent has its form; |c| may stand for c, and |cos θ| then for cos θ."""
    expanded = sp.expand(exponent)
    for cov, cosine in ((c, rho), (sp.Abs(c), sp.Abs(rho))):
        alpha, beta, gamma = (expanded.coeff(v) for v in (q1, q2, cov))
        rest = sp.expand(expanded - alpha * q1 - beta * q2 - gamma * cov)
        if rest.has(q1, q2, c) or not (alpha.is_negative and beta.is_negative and gamma.is_positive):
            continue
        gap = (sp.sqrt(-alpha) * sp.sqrt(q1) - sp.sqrt(-beta) * sp.sqrt(q2)) ** 2
        slack = sp.simplify(2 * sp.sqrt(alpha * beta) - gamma)
        return rest - gap - slack * norm - gamma * norm * OneMinusCos(cosine, sin_theta)
    return exponent


def _sides(ratio: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(N, √(P − N²)) of N/√P, up to a common positive factor."""
    numerator, denominator = sp.fraction(sp.together(ratio))
    square = sp.expand(denominator**2)
    rest = sp.factor(eliminate_c(sp.expand(square - numerator**2)))
    if rest == Delta:
        return rho, sin_theta
    return numerator, sp.sqrt(rest)
