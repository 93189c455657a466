"""Rule "tail": a growing exponential beside a small normal probability becomes one operation of both.

    e^E Φ(h)        = ScaledPhi(E, E − h²/2, h)
    e^E Φ₂(h, k; r) = ScaledPhi2(E, edge h, edge k),  an edge being (h, p, E − h²/2, E − (h² + p²)/2)

with p = (k − r h)/√(1 − r²) for h and (h − r k)/√(1 − r²) for k. The exponents and p are simplified as formulas
in (√q1, √q2, ρ, s): for the tilted Gaussians of the theorem the last exponent is usually 0 and p a multiple of
s = sin θ, so that nothing overflows, and nothing cancels near ρ = ±1. Where p keeps s in its denominator, as
it does for a knot t ≠ 0, its numerator is a difference that the rule "gap" writes out:

    √A − ρ√B = (A − B)/(√A + √B) + √B (1 − ρ),   Q ∝ A − 2ρ√(AB) + B = (√A − √B)² + 2√(AB) (1 − ρ).

Sources: D. B. Owen, Ann. Math. Statist. 27 (1956) 1075; A. Genz, Stat. Comput. 14 (2004) 251 (correlations
near ±1); W. J. Cody, Math. Comp. 23 (1969) 631 (erfc with its exponential taken out).
"""

import sympy as sp

from mehler.derive.special import Phi, Phi2
from mehler.derive.stabilise.rules import ExpGap, ExpSum, OneMinusCos, exponents
from mehler.derive.symbols import Delta, c, q, q1, q2, rho, sin_theta

root, root1, root2 = sp.symbols("root root1 root2", positive=True)

ROOTS = [(root1, sp.sqrt(q1)), (root2, sp.sqrt(q2)), (root, sp.sqrt(q))]


class Gap(sp.Function):  # type: ignore[misc]
    """√A − ρ√B from (A, B, ρ, s), accurate where A and B are close and ρ is near 1."""

    nargs = 4
    is_extended_real = True


class ScaledPhi(sp.Function):  # type: ignore[misc]
    """e^E Φ(h) from (E, E − h²/2, h)."""

    nargs = 3
    is_extended_real = True
    is_nonnegative = True


class ScaledPhi2(sp.Function):  # type: ignore[misc]
    """e^E Φ₂(h, k; r) from E and, for each edge, (h, (k − rh)/√(1 − r²), E − h²/2, E − Q/2)."""

    nargs = 9
    is_extended_real = True
    is_nonnegative = True


class PartsPhi2(sp.Function):  # type: ignore[misc]
    """What the rounding errors of a ScaledPhi2 are relative to, from its value and its arguments."""

    nargs = 10
    is_extended_real = True
    is_nonnegative = True


def sizes(expr: sp.Expr) -> sp.Expr:
    """|expr| for a term, with every Φ₂ and every sum as large as the parts it is computed from."""
    return sp.Mul(*map(_size, sp.Mul.make_args(expr)))


def _size(factor: sp.Expr) -> sp.Expr:
    if isinstance(factor, ScaledPhi2):
        return PartsPhi2(factor, *factor.args)
    if isinstance(factor, ScaledPhi):
        return factor
    if factor.is_Pow and factor.exp.is_positive:
        return _size(factor.base) ** factor.exp
    # Of numbers that are known exactly, or to their last digits, one difference is right.
    if factor.is_Add and not (len(factor.args) == 2 and all(a.is_Symbol for a in factor.args)):
        return sp.Add(*map(sizes, factor.args))
    return sp.Abs(factor)


def terms(expr: sp.Expr) -> tuple[sp.Expr, list[sp.Expr]]:
    """`expr` as a part without Φ, and the terms with it in scaled form, in (√q1, √q2, ρ, s) as symbols."""
    plain: list[sp.Expr] = []
    weights: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand_mul(expr)):
        exponent, functions, rest = _split(term)
        phase = sp.im(exponent)  # of conjugate terms, whose sum is real
        if functions:
            function = _scaled(exponent, functions)
        elif exponent.has(Delta):
            function = sp.exp(gaps(reduced(exponent)))
        elif exponent != 0 and rest.has(q, q1, q2, c) and not phase.has(q, q1, q2, c):
            function = exponents(sp.exp(sp.expand(exponent - sp.I * phase)))
            rest = sp.expand(rest * sp.exp(sp.I * phase)).replace(sp.exp, lambda a: sp.exp(a).rewrite(sp.cos))
        else:
            plain.append(term)
            continue
        weights[function] = weights.get(function, sp.S.Zero) + rest
    coefficients = {function: _weight(function, weight) for function, weight in weights.items()}
    return sp.Add(*plain), [_squared(k * function) for function, k in coefficients.items() if k != 0]


def _weight(function: sp.Expr, weight: sp.Expr) -> sp.Expr:
    """The coefficient of e^E Φ or of e^E; for a bare e^E in the means of the tilted Gaussian, if that has some.

    With E = αq1 + βq2 + γc, 4αβ = γ², it is a polynomial in m1 = q1 + (γ/2α)c, m2 = q2 + (γ/2β)c and c, and
    e^E falls in m1 and m2: of q1, q2 and c each term would be far larger than the whole.
    """
    if isinstance(function, sp.exp | ExpSum | ExpGap):
        exponent = sp.expand(function.args[-1])
        alpha, beta, gamma = (exponent.coeff(v) for v in (q1, q2, c))
        weight = sp.expand(weight) if gamma != 0 else weight
        if gamma != 0 and sp.expand(4 * alpha * beta - gamma**2) == 0 and weight.is_polynomial(q1, q2, c):
            one, two = sp.symbols("mean1 mean2")
            shifted = {q1: one - gamma / (2 * alpha) * c, q2: two - gamma / (2 * beta) * c}
            poly = sp.expand(weight.xreplace(shifted))
            means = {
                one: root1 * gaps(root1 + gamma / (2 * alpha) * root2 * rho),
                two: root2 * gaps(root2 + gamma / (2 * beta) * root1 * rho),
            }
            return sp.collect(poly, [one, two]).xreplace(means)
    return _in_c(gaps(reduced(weight)))


def _squared(expr: sp.Expr) -> sp.Expr:
    """Even powers of √q as powers of q, which is known without rounding."""
    squares = {root1: q1, root2: q2, root: q}
    return expr.replace(
        lambda e: e.is_Pow and e.base in squares and e.exp.is_even, lambda e: squares[e.base] ** (e.exp / 2)
    )


def _split(term: sp.Expr) -> tuple[sp.Expr, list[sp.Expr], sp.Expr]:
    """The exponent of a product, its factors Φ and Φ₂, and the rest."""
    exponent, functions, rest = sp.S.Zero, [], sp.S.One
    for factor in sp.Mul.make_args(term):
        base, power = factor.as_base_exp()
        if isinstance(factor, sp.exp):
            exponent += factor.exp
        elif isinstance(base, Phi | Phi2) and power.is_Integer and power.is_positive:
            functions += [base] * int(power)
        else:
            rest *= factor
    return exponent, sorted(functions, key=sp.default_sort_key), rest


def _scaled(exponent: sp.Expr, functions: list[sp.Expr]) -> sp.Expr:
    product = sp.S.One
    for function in functions:
        scaled = scaled_phi2 if isinstance(function, Phi2) else scaled_phi
        product *= scaled(exponent, *function.args)
        exponent = sp.S.Zero
    return product


def _in_c(coefficient: sp.Expr) -> sp.Expr:
    """√q1√q2ρ is c, which is known without rounding."""
    merged = sp.factor(coefficient.subs(rho, c / (root1 * root2)))
    return merged if sp.count_ops(merged) < sp.count_ops(coefficient) else coefficient


def scaled_phi(exponent: sp.Expr, h: sp.Expr) -> sp.Expr:
    exponent, h = reduced(exponent), reduced(h)
    return ScaledPhi(exponent, _exponent(exponent, h**2 / 2), gaps(h))


def scaled_phi2(exponent: sp.Expr, h: sp.Expr, k: sp.Expr, r: sp.Expr) -> sp.Expr:
    """e^E Φ₂(h, k; r): symmetric in h and k, so the edges are put in one order."""
    exponent, h, k, r = (reduced(e) for e in (exponent, h, k, r))
    sine = _sine(r)
    edges = []
    for one, other in sorted(((h, k), (k, h)), key=lambda e: sp.default_sort_key(e[0])):
        across = reduced((other - r * one) / sine)
        near = _exponent(exponent, one**2 / 2)
        edges.append((gaps(one), gaps(across), near, _exponent(near, across**2 / 2)))
    return ScaledPhi2(exponent, *edges[0], *edges[1])


def _exponent(exponent: sp.Expr, square: sp.Expr) -> sp.Expr:
    """exponent − square as one formula, or as that difference where s stays in a denominator.

    There h² and p² have one sign: the larger of them is known to the last digit, and the sum as well.
    """
    merged = reduced(exponent - square)
    return exponent - gaps(square) if _has_sine_below(merged) else gaps(merged)


def _has_sine_below(expr: sp.Expr) -> bool:
    return any(p.exp.is_negative and p.base.has(sin_theta) for p in expr.atoms(sp.Pow))


def _sine(r: sp.Expr) -> sp.Expr:
    """√(1 − r²) without cancellation."""
    square = sp.factor(reduced(1 - r**2))
    return sp.powdenest(sp.sqrt(square), force=True)


def reduced(expr: sp.Expr) -> sp.Expr:
    """A rational function of the state as one fraction, 1 − ρ² in it as s², and ρ² and s² traded for each other
    where that is shorter."""
    numerator, denominator = sp.fraction(sp.cancel(sp.together(in_roots(expr))))
    denominator = _traded(denominator, rho, sin_theta)
    forms = [_traded(numerator, *pair) for pair in ((rho, sin_theta), (sin_theta, rho))]
    forms = [sp.factor(sp.cancel(form / denominator)) for form in forms]
    return min(forms, key=lambda e: (_has_sine_below(e), sp.count_ops(e)))


def in_roots(expr: sp.Expr) -> sp.Expr:
    """(q1, q2, c, Δ) and q by (√q1, √q2, ρ, s) and √q."""
    determinant = root1 * root2 * sin_theta
    expr = expr.replace(
        lambda e: e.is_Pow and e.base == Delta and not e.exp.is_Integer, lambda e: determinant ** (2 * e.exp)
    )
    return expr.xreplace({Delta: determinant**2}).subs(
        {c: root1 * root2 * rho, q1: root1**2, q2: root2**2, q: root**2}
    )


def _traded(poly: sp.Expr, one: sp.Symbol, other: sp.Symbol) -> sp.Expr:
    """one² replaced by 1 − other² in a polynomial."""
    if not poly.is_polynomial(one):
        return poly
    return sp.expand(
        sp.Add(*(k * (1 - other**2) ** (n // 2) * one ** (n % 2) for (n,), k in sp.Poly(poly, one).terms()))
    )


def gaps(expr: sp.Expr) -> sp.Expr:
    """Rule "gap" on every a√q1 ± b√q2 ρ, and its square form on every a²q1 ± 2ab√(q1q2)ρ + b²q2."""
    return expr.replace(lambda e: e.is_Add and e.has(rho), _gap)


def _gap(total: sp.Expr) -> sp.Expr:
    for left, right in ((root1, root2), (root2, root1)):
        if not total.is_polynomial(left, right, rho):
            return total
        poly = sp.Poly(total, left, right, rho)
        monomials = {m: poly.coeff_monomial(m) for m in poly.monoms()}
        mixed = [m for m in monomials if m[2]]
        if mixed == [(0, 1, 1)] and (1, 0, 0) in monomials:
            factor, a, b = sp.S.One, monomials[1, 0, 0], monomials[0, 1, 1]
        elif mixed == [(1, 1, 1)] and (2, 0, 0) in monomials:
            factor, a, b = left, monomials[2, 0, 0], monomials[1, 1, 1]
            other = monomials.get((0, 2, 0), sp.S.Zero)
            if sp.expand(b**2 - 4 * a * other) == 0 and a.is_number:
                side, sign = sp.sign(a), sp.sign(a) * sp.sign(b)
                straight = Gap(side * a * left**2, side * other * right**2, sp.S.One, sp.S.Zero)
                bent = sp.Abs(b) * left * right * OneMinusCos(-sign * rho, sin_theta)
                rest = total - a * left**2 - b * left * right * rho - other * right**2
                return sp.expand(rest) + side * (straight**2 + bent)
        else:
            continue
        sign = sp.sign(a * b)
        if sign.is_number:
            gap = sp.sign(a) * factor * Gap(a**2 * left**2, b**2 * right**2, -sign * rho, sin_theta)
            return sp.expand(total - factor * (a * left + b * right * rho)) + gap
    return total
