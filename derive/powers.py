"""Sums of powers of |x| on each side of 0, with real exponents: a ₂F₁ for each pair.

    E[|u|^p |v|^r]             = G (q1^p q2^r 2^{p+r})^½ Γ((p+1)/2) Γ((r+1)/2)/π · ₂F₁(−p/2, −r/2; ½; ρ²)
    E[sgn(u)|u|^p sgn(v)|v|^r] = (q1^p q2^r 2^{p+r})^½ Γ(p/2+1) Γ(r/2+1)/π · 2ρ ₂F₁((1−p)/2, (1−r)/2; 3/2; ρ²)

with G = 1, and 0 between an even and an odd power. They follow from Mehler's formula with the Hermite
coefficients of |x|^p; for p = r = 1 they are those of |x| and x.

Source: F. G. Mehler, J. reine angew. Math. 66 (1866) 161; S. Kamat, Biometrika 40 (1953) 20 (absolute moments).
"""

import sympy as sp

from mehler.derive.dual import Formulas
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.pieces import Pieces
from mehler.derive.symbols import Delta, c, q, q1, q2, x

# φ = Σ a_p |x|^p (parity 0) + Σ b_p sgn(x)|x|^p (parity 1), keyed by (p, parity).
Powers = dict[tuple[sp.Expr, int], sp.Expr]

RHO = c / (sp.sqrt(q1) * sp.sqrt(q2))


def formulas(pieces: Pieces) -> Formulas:
    """K, K̇ and their diagonals. Raises OutsideClass, or DivergentExpectation for |x|^p with p ≤ −½."""
    exponents = {e.exp for piece in pieces.pieces for e in piece.atoms(sp.Pow) if e.base.has(x) or e.base == 0}
    if unsigned := sorted({str(s) for e in exponents for s in e.free_symbols if not s.is_positive}):
        raise DivergentExpectation(
            f"the sign of the exponent {unsigned[0]} is not known, and E[phi(u)**2] diverges for exponents below "
            f"-1/2; declare it positive, e.g. {unsigned[0]}=positive, or give it a value"
        )
    phi = of(pieces)
    if any((2 * p + 1).is_positive is not True for p, _ in phi):
        raise DivergentExpectation(
            "the expectation diverges: the square of a power of |x| below -1/2 has none; use larger exponents, "
            "or declare them, e.g. p=positive"
        )
    slope = derivative(phi)
    if any((p + 1).is_positive is not True and p.is_number for p, _ in slope):
        raise DivergentExpectation(
            "E[phi'(u) phi'(v)] diverges: phi' has a power of |x| of -1 or below; use larger exponents"
        )
    bend = derivative(slope)
    exists = all((p + 1).is_positive for p, _ in bend)
    return Formulas(
        kernel=_pair(phi, phi),
        kernel_dot=_pair(slope, slope),
        kernel_diag=_single(phi),
        kernel_dot_diag=_single(slope),
        curvature=_pair(bend, phi) if exists else None,
    )


def of(pieces: Pieces) -> Powers:
    """φ as a sum of powers. Raises OutsideClass."""
    if any(knot != 0 for knot in pieces.knots):
        raise OutsideClass("no closed form is known for real powers with a knot that is not at 0")
    left, right = pieces.pieces[0], pieces.pieces[-1]
    y = sp.Symbol("y", positive=True)
    total: Powers = {}
    for side, piece in ((1, right.subs(x, y)), (-1, left.subs(x, -y))):
        expanded = sp.expand(sp.powsimp(sp.expand_power_base(piece, force=True)))
        for term in sp.Add.make_args(expanded) if expanded != 0 else ():
            coefficient, power = term.as_independent(y)
            exponent = power.as_base_exp()[1] if power.has(y) else sp.S.Zero
            if power != y**exponent or exponent.has(y) or exponent.is_real is not True:
                raise OutsideClass(f"no closed form is known: {piece.subs(y, side * x)} is no sum of powers")
            if coefficient.is_real is not True:
                raise OutsideClass(f"{piece.subs(y, side * x)} is not a real number for every x")
            for parity in (0, 1):
                sign = side if parity else 1
                key = (exponent, parity)
                total[key] = total.get(key, sp.S.Zero) + sign * coefficient / 2
    return {key: sp.expand(value) for key, value in total.items() if sp.expand(value) != 0}


def derivative(powers: Powers) -> Powers:
    """d|x|^p/dx = p sgn(x)|x|^(p−1), almost everywhere."""
    return {(p - 1, 1 - parity): value * p for (p, parity), value in powers.items() if p != 0}


def _pair(left: Powers, right: Powers) -> sp.Expr:
    terms = []
    for (p, parity), a in left.items():
        for (r, other), b in right.items():
            if parity != other:
                continue
            scale = sp.sqrt(q1**p * q2**r) * sp.sqrt(2 ** (p + r)) / sp.pi
            if parity:
                gammas = sp.gamma(p / 2 + 1) * sp.gamma(r / 2 + 1)
                value = 2 * RHO * _hypergeometric((1 - p) / 2, (1 - r) / 2, sp.Rational(3, 2))
            else:
                gammas = sp.gamma((p + 1) / 2) * sp.gamma((r + 1) / 2)
                value = _hypergeometric(-p / 2, -r / 2, sp.Rational(1, 2))
            terms.append(a * b * scale * gammas * value)
    return sp.Add(*terms)


def _hypergeometric(a: sp.Expr, b: sp.Expr, c_: sp.Expr) -> sp.Expr:
    """₂F₁(a, b; c; ρ²), by Euler's transformation with its branch point at ρ² = 1 as a power of Δ."""
    gap = c_ - a - b
    if gap.is_negative:
        return (Delta / (q1 * q2)) ** gap * sp.hyper((c_ - a, c_ - b), (c_,), RHO**2)
    return sp.hyper((a, b), (c_,), RHO**2)


def _single(powers: Powers) -> sp.Expr:
    """E[φ(u)²] = Σ of E|u|^p = (2q)^{p/2} Γ((p+1)/2)/√π; infinite when a power is −1 or below."""
    terms = []
    for (p, parity), a in powers.items():
        for (r, other), b in powers.items():
            if parity == other:
                if (p + r + 1).is_nonpositive:
                    return sp.oo
                terms.append(a * b * (2 * q) ** ((p + r) / 2) * sp.gamma((p + r + 1) / 2) / sp.sqrt(sp.pi))
    return sp.Add(*terms)
