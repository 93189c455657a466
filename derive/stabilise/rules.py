"""Named rewrites of a proved formula, each an identity, that leave nothing to cancel or to overflow.

* angle    asin(N/√P) = atan2(N, √(P − N²)), with P − N² a polynomial in Δ; also as π/2 − atan2(√(P − N²), N)
           and atan2(√(P − N²), −N) − π/2, whichever takes up a constant beside it;
* scale    atan2(t·y, t·x) = atan2(y, x) for t > 0;
* growth   e^E sinh g = ½ sign(g) e^(E+|g|) (1 − e^(−2|g|)), likewise cosh: no overflow times underflow;
* expm1    k − k·e^g = −k·expm1(g), whenever the constants of a sum of exponentials cancel at g = 0;
* determinant  q1q2 − c² = Δ in an exponent, where that has fewer terms;
* exponent −αq1 − βq2 + γc = −(√(αq1) − √(βq2))² − (2√(αβ) − γ)√(q1q2) − γ√(q1q2)(1 − cos θ) where that is
           small, and else a sum in twice the precision: exp multiplies the error of its argument by it;
* ratio    (f + g)/h = f/h + g/h: a numerator may overflow where the quotient does not.
"""

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

import sympy as sp
from sympy.codegen.cfunctions import expm1

from mehler.derive.canonical import eliminate_c
from mehler.derive.symbols import Delta, c, q, q1, q2, rho, sin_theta

norm = sp.Symbol("norm", positive=True)


class OneMinusCos(sp.Function):  # type: ignore[misc]
    """1 − cos θ from (cos θ, sin θ), accurate where cos θ is near 1."""

    nargs = 2
    is_extended_real = True
    is_nonnegative = True


class ExpSum(sp.Function):  # type: ignore[misc]
    """exp of a sum of products."""

    nargs = 1


class ExpGap(sp.Function):  # type: ignore[misc]
    """exp of a sum of products that cancel; the first argument is that sum with its digits near 0."""

    nargs = 2


def angles(expr: sp.Expr, cosines: Mapping[sp.Expr, sp.Expr] = MappingProxyType({})) -> sp.Expr:
    """Every asin as an atan2 of a numerator and a determinant, in the form that subtracts least.

    `cosines`: what has a symbol, where the sine has one.
    """
    for asin in sorted(expr.atoms(sp.asin), key=sp.default_sort_key):
        sine = asin.args[0]
        opposite, adjacent = (sine, cosines[sine]) if sine in cosines else sides(sine)
        forms = [
            sp.atan2(opposite, adjacent, evaluate=False),
            sp.pi / 2 - sp.atan2(adjacent, opposite, evaluate=False),
            sp.atan2(adjacent, -opposite, evaluate=False) - sp.pi / 2,
        ]
        expr = min((_put(expr, asin, form) for form in forms), key=_terms)
    return expr


def _terms(expr: sp.Expr) -> int:
    """A constant that an angle has taken up can no longer cancel against it."""
    return len(sp.Add.make_args(sp.expand(expr)))


def _put(expr: sp.Expr, asin: sp.Expr, form: sp.Expr) -> sp.Expr:
    """`form` for `asin`, expanded as far as a constant in it can cancel against others; the rest as it was."""
    terms = sp.Add.make_args(expr)
    if len(terms) == 1:
        factors = sp.Mul.make_args(expr)
        if len(factors) > 1:
            return sp.Mul(*(_put(f, asin, form) if f.has(asin) else f for f in factors))
        return expr.xreplace({asin: form})
    merged = sp.Add(*(sp.expand_mul(_put(term, asin, form)) if term.has(asin) else term for term in terms))
    return sp.factor_terms(_collected(merged))


def _collected(expr: sp.Expr) -> sp.Expr:
    """Terms that differ by a factor of numbers and parameters as one."""
    total: dict[sp.Expr, sp.Expr] = defaultdict(lambda: sp.S.Zero)
    for term in sp.Add.make_args(expr):
        coefficient, rest = term.as_independent(q1, q2, c, rho, sin_theta, Delta, q, as_Add=False)
        total[rest] += coefficient
    return sp.Add(*(sp.factor(coefficient) * rest for rest, coefficient in total.items()))


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


def determinants(expr: sp.Expr) -> sp.Expr:
    """Exponents in Δ for c² where that has fewer terms: then q1q2 and c² had cancelled near ρ = ±1."""

    def rule(e: sp.Expr) -> sp.Expr:
        above, below = sp.fraction(sp.together(e.exp))
        numerators = [sp.expand(above), eliminate_c(sp.expand(above))]
        before, after = (len(sp.Add.make_args(n)) for n in numerators)
        return sp.exp(numerators[1] / below) if after < before else e

    return expr.replace(lambda e: isinstance(e, sp.exp) and e.has(Delta) and e.has(c), rule)


def exponents(expr: sp.Expr) -> sp.Expr:
    """Polynomial exponents of more than one term, or of parameters, as sums in twice the precision."""

    def rule(e: sp.Expr) -> sp.Expr:
        exponent = sp.expand(e.exp)
        if not exponent.is_polynomial(*exponent.free_symbols, *exponent.atoms(sp.Abs)):
            return e
        if not exponent.is_Add and exponent.free_symbols <= {q, q1, q2, c}:
            return e
        near = _near(exponent)
        return ExpSum(exponent) if near is None else ExpGap(near, exponent)

    return expr.replace(lambda e: isinstance(e, sp.exp), rule)


def _near(exponent: sp.Expr) -> sp.Expr | None:
    """The exponent without cancellation at small angles; |c| may stand for c, and |cos θ| then for cos θ."""
    for cov, cosine in ((c, rho), (sp.Abs(c), sp.Abs(rho))):
        alpha, beta, gamma = (exponent.coeff(v) for v in (q1, q2, cov))
        rest = sp.expand(exponent - alpha * q1 - beta * q2 - gamma * cov)
        if rest.has(q1, q2, c) or not (alpha.is_negative and beta.is_negative and gamma.is_positive):
            continue
        roots = sp.sqrt(-alpha) * sp.sqrt(q1) + sp.sqrt(-beta) * sp.sqrt(q2)
        gap = ((alpha * q1 - beta * q2) / roots) ** 2
        slack = sp.simplify(2 * sp.sqrt(alpha * beta) - gamma)
        return rest - gap - slack * norm - gamma * norm * OneMinusCos(cosine, sin_theta)
    return None


def ratios(expr: sp.Expr) -> sp.Expr:
    """Quotients of sums as sums of quotients, common factors cancelled."""

    def rule(product: sp.Expr) -> sp.Expr:
        above = [f for f in product.args if f.is_Add]
        below = [f for f in product.args if f.is_Pow and f.exp.is_negative and not f.is_number]
        if len(above) != 1 or not below:
            return product
        rest = product / above[0]
        return sp.Add(*(term * rest for term in above[0].args))

    return expr.replace(lambda e: e.is_Mul, rule)


def sides(ratio: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(N, √(P − N²)) of N/√P, up to a common positive factor."""
    numerator, denominator = sp.fraction(sp.together(ratio))
    square = sp.expand(denominator**2)
    rest = sp.factor(eliminate_c(sp.expand(square - numerator**2)))
    if rest == Delta:
        return rho, sin_theta
    return numerator, sp.sqrt(rest)
