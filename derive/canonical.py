"""The form a formula is shown in: like terms merged by rule, then the smallest of a few candidates.

A formula is grouped as Σ (roots × transcendental terms) × (rational coefficient). Exponentials whose
exponents differ in the sign of their part odd in c combine to cosh and sinh. Each coefficient may be written
in c or in Δ = q1q2 − c²; whichever has fewer operations stays.
"""

from collections import defaultdict
from collections.abc import Callable

import sympy as sp

from mehler.derive.algebra import DET, MAX_SIZE, groups, size
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import Delta, c, q1, q2, theta

Groups = dict[sp.Expr, sp.Expr]


def canonical(expr: sp.Expr, *, with_delta: bool = False) -> sp.Expr:
    """The smallest form of `expr` found, in (q1, q2, c); `with_delta` lets Δ stand for q1q2 − c²."""
    if size(expr) > MAX_SIZE:
        return expr if with_delta else expr.xreplace({Delta: DET})
    if with_delta:
        total = _assembled(groups(expr), steadiest, with_delta=True)
        return steadiest([total, sp.factor_terms(total), expr])
    # The reflections of Φ and Φ₂ merge terms; they lose digits, which a reader does not mind. Complex terms
    # merge as conjugates instead. A large formula has time for one of the two only.
    work = size(expr)
    if not expr.has(Phi, Phi2) or expr.has(sp.I) or work > MAX_SIZE // 2:
        reductions = [False]
    else:
        reductions = [False, True] if work <= MAX_SIZE // 4 else [True]
    totals = [_assembled(groups(expr, reduce=reduce), smallest, with_delta=False) for reduce in reductions]
    plain = expr.xreplace({Delta: DET})
    return smallest([*(form for total in totals for form in (total, sp.factor_terms(total))), plain])


def _assembled(terms: Groups, best: Callable[[list[sp.Expr]], sp.Expr], *, with_delta: bool) -> sp.Expr:
    paired = _conjugates(_hyperbolic(_hyperbolic(terms, {c: -c}), {sp.I: -sp.I}))
    return sp.Add(
        *(best(_term_forms(monomial, coefficient, with_delta)) for monomial, coefficient in paired.items())
    )


def in_angle(expr: sp.Expr) -> sp.Expr | None:
    """`expr` in (q1, q2, θ) with c = √(q1q2) cos θ, when θ is the only angle that occurs in it."""
    root = sp.sqrt(q1) * sp.sqrt(q2)
    angles = {a for a in expr.atoms(sp.asin) if a.has(c)}
    if not angles or any(a.args[0] != c / root for a in angles):
        return None
    replaced = expr.xreplace(dict.fromkeys(angles, sp.pi / 2 - theta))
    replaced = replaced.replace(
        lambda e: e.is_Pow and sp.expand(e.base - DET) == 0,
        lambda e: (root * sp.sin(theta)) ** (2 * e.exp),
    ).xreplace({c: root * sp.cos(theta)})
    by_scale: Groups = defaultdict(lambda: sp.S.Zero)
    for term in sp.Add.make_args(sp.expand(replaced)):
        angular, scale = term.as_independent(*(term.free_symbols - {theta}))
        by_scale[scale] += angular
    forms = []
    for scale, angular in by_scale.items():
        numerator, denominator = sp.fraction(sp.together(angular))
        by_cosine = sp.collect(sp.expand(numerator), [sp.cos(theta), sp.sin(theta)])
        by_angle = sp.collect(sp.expand(numerator), theta)
        forms.append(scale * smallest([by_cosine, by_angle, sp.factor(numerator)]) / denominator)
    return smallest([sp.factor_terms(sp.Add(*forms)), sp.factor_terms(replaced)])


def smallest(forms: list[sp.Expr]) -> sp.Expr:
    """The form of the fewest operations; the earlier one when two are equal."""
    return min(forms, key=lambda e: (sp.count_ops(e), forms.index(e)))


def steadiest(forms: list[sp.Expr]) -> sp.Expr:
    """A real form, as code needs; then the fewest subtractions, which lose digits; then the smallest form."""
    return min(forms, key=lambda e: (e.has(sp.I), _subtractions(e), sp.count_ops(e), forms.index(e)))


def _subtractions(expr: sp.Expr) -> int:
    sums = [e for e in sp.preorder_traversal(expr) if e.is_Add]
    return sum(min(negative, len(e.args) - negative) for e in sums for negative in [_negative_terms(e)])


def _negative_terms(total: sp.Expr) -> int:
    return sum(term.could_extract_minus_sign() for term in total.args)


def _term_forms(monomial: sp.Expr, coefficient: sp.Expr, with_delta: bool) -> list[sp.Expr]:
    numerator, denominator = sp.fraction(coefficient)
    forms = [monomial * coefficient, monomial * sp.expand(numerator) / denominator]
    forms += [monomial * form / denominator for form in _by_radicand(numerator, monomial)]
    if with_delta:
        original = monomial
        monomial = monomial.replace(lambda e: e.is_Pow and not e.exp.is_Integer, _root_in_delta)
        numerator, denominator = eliminate_c(numerator), sp.factor(eliminate_c(denominator))
        radicands = {e.base: eliminate_c(e.base) for e in original.atoms(sp.Pow) if e.base.has(c)}
        forms = [_root_in_delta_everywhere(form.xreplace(radicands)) for form in forms]
        forms += [monomial * sp.factor(numerator) / denominator, monomial * numerator / denominator]
    return forms


def _by_radicand(poly: sp.Expr, monomial: sp.Expr) -> list[sp.Expr]:
    """poly = Q·d + R for each radicand d of the monomial that has several terms."""
    radicands = [e.base for e in monomial.atoms(sp.Pow) if e.exp == sp.Rational(1, 2) and e.base.is_Add]
    radicands = [d for d in radicands if d.is_polynomial(q1, q2, c)]
    forms = []
    for d in radicands:
        (quotient,), rest = sp.reduced(poly, [d], q1, q2, c, order="grlex")
        if quotient != 0:
            forms.append(sp.factor(quotient) * d + sp.factor(rest))
    return forms


def _root_in_delta_everywhere(expr: sp.Expr) -> sp.Expr:
    return expr.replace(lambda e: e.is_Pow and e.exp.is_Rational and not e.exp.is_Integer, _root_in_delta)


def _root_in_delta(power: sp.Expr) -> sp.Expr:
    return smallest([sp.factor(eliminate_c(power.base)), power.base]) ** power.exp


def eliminate_c(poly: sp.Expr) -> sp.Expr:
    """c² replaced by q1q2 − Δ in a polynomial."""
    if not poly.is_polynomial(c):
        return poly
    return sp.expand(
        sp.Add(*(k * (q1 * q2 - Delta) ** (n // 2) * c ** (n % 2) for (n,), k in sp.Poly(poly, c).terms()))
    )


def _hyperbolic(terms: Groups, flip: dict[sp.Expr, sp.Expr]) -> Groups:
    """a·e^(E+g) + b·e^(E−g) = e^E·((a+b) cosh g + (a−b) sinh g), where g is the part of the exponent that
    changes sign under `flip`. With i → −i, cosh and sinh of an imaginary g are cos and i·sin."""
    result: Groups = defaultdict(lambda: sp.S.Zero)
    left = dict(terms)
    while left:
        monomial = next(iter(left))
        coefficient = left.pop(monomial)
        rest, exponent = _exponent(monomial)
        flipped = exponent.xreplace(flip)
        odd = sp.expand((exponent - flipped) / 2)
        partner = rest * sp.exp(sp.expand(flipped))
        if odd == 0 or partner not in left:
            result[monomial] += coefficient
            continue
        other = left.pop(partner)
        if odd.could_extract_minus_sign():
            odd, coefficient, other = -odd, other, coefficient
        even = rest * sp.exp(sp.expand((exponent + flipped) / 2))
        for function, weight in ((sp.cosh, coefficient + other), (sp.sinh, coefficient - other)):
            if sp.expand(weight) != 0:
                result[even * function(odd)] += sp.factor(weight)
    return dict(result)


def _conjugates(terms: Groups) -> Groups:
    """k·M + k*·M* = 2 Re(k·M), for real coefficients and M with i inside Φ or Φ₂."""
    result: Groups = defaultdict(lambda: sp.S.Zero)
    left = dict(terms)
    while left:
        monomial = next(iter(left))
        coefficient = left.pop(monomial)
        unit = sp.I if sp.I in sp.Mul.make_args(monomial) else sp.S.One
        conjugate = unit * (monomial / unit).xreplace({sp.I: -sp.I})
        sign = -1 if unit is sp.I else 1
        other = left.get(conjugate)
        if other is None or sp.expand(other - sign * coefficient) != 0:
            result[monomial] += coefficient
        else:
            del left[conjugate]
            result[sp.re(monomial)] += 2 * coefficient
    return dict(result)


def _exponent(monomial: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    factors = sp.Mul.make_args(monomial)
    exponent = sp.Add(*(f.exp for f in factors if isinstance(f, sp.exp)))
    return sp.Mul(*(f for f in factors if not isinstance(f, sp.exp))), sp.expand(exponent)
