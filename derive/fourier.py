"""The Fourier rule: φ that are no atoms themselves, but whose Fourier transform is a sum of atoms.

With φ(x) = (1/2π) ∫ φ̂(k) e^{ikx} dk,

    E[φ(u)ψ(v)] = (2π)⁻² ∬ φ̂(k) ψ̂(l) exp(−½(q1k² + 2ckl + q2l²)) dk dl,

an expectation of atoms again, over the Gaussian of covariance Σ⁻¹. It covers Σ R(x) e^{iβx} with rational R
that are bounded at infinity: 1/(1 + x²), x²/(1 + x²), sin(x)/x, (1 − cos x)/x², x/(1 + x²)², …. A partial fraction
has the transform (residues; a pole on the real line as its finite part, which is right when the poles of all terms
together cancel)

    1/(x − z)ⁿ  →  iπ (s − sgn k) (−ik)ⁿ⁻¹/(n − 1)! e^{−ikz},   s = sgn Im z,

and what R tends to is an impulse, 1 → 2π δ(k).
"""

import sympy as sp

from mehler.derive.atoms import Atom, diracs, merge
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.gaussian import Gaussian, HalfSpace
from mehler.derive.pieces import Pieces
from mehler.derive.symbols import Delta, c, q, q1, q2, x

# (u, v) of the theorem are the frequencies: the law of covariance Σ⁻¹, and the factor before it.
PAIR = Gaussian((sp.S.Zero, sp.S.Zero), (q2 / Delta, q1 / Delta), -c / Delta, 1 / Delta)
PAIR_MASS = 1 / (2 * sp.pi * sp.sqrt(Delta))
SINGLE = Gaussian((sp.S.Zero, sp.S.Zero), (1 / q, sp.S.Zero), sp.S.Zero, sp.S.Zero)
SINGLE_MASS = 1 / sp.sqrt(2 * sp.pi * q)

MAX_POLES = 24

Fraction = tuple[sp.Expr, sp.Expr, int]  # coefficient/(x − pole)^order


def transform(pieces: Pieces) -> tuple[Atom, ...]:
    """The atoms of φ̂. Raises OutsideClass, or DivergentExpectation where φ has a pole on the real line."""
    if pieces.knots:
        raise OutsideClass(f"no closed form is known: {pieces.pieces[0]} changes at the knot {pieces.knots[0]}")
    (expr,) = pieces.pieces
    waves, limits = {}, []
    for beta, ratio in _waves(expr).items():
        limit, waves[beta] = _partial_fractions(ratio, expr)
        limits.append((beta, 2 * sp.pi * limit))
    _check_real_poles(waves, expr)
    atoms = []
    for beta, fractions in waves.items():
        for coefficient, pole, order in fractions:
            atoms += _transformed(coefficient, pole, order, beta)
    return merge(atoms) + diracs((beta, limit) for beta, limit in limits if limit != 0)


def _waves(expr: sp.Expr) -> dict[sp.Expr, sp.Expr]:
    """φ = Σ R_β(x) e^{iβx} as {β: R_β}."""
    waves: dict[sp.Expr, sp.Expr] = {}
    numerator, denominator = sp.fraction(sp.together(expr))
    if not denominator.is_polynomial(x):
        raise _outside(expr)
    expanded = sp.expand(sp.expand(numerator).rewrite(sp.exp))
    for term in sp.Add.make_args(expanded):
        exponent, ratio = sp.S.Zero, sp.S.One
        for factor in sp.Mul.make_args(term):
            if isinstance(factor, sp.exp) and factor.has(x):
                exponent += factor.exp
            else:
                ratio *= factor
        exponent = sp.expand(exponent)
        beta = sp.expand(exponent.coeff(x, 1) / sp.I)
        rest = sp.expand(exponent - sp.I * beta * x)
        if rest.has(x) or beta.is_real is not True or not ratio.is_polynomial(x):
            raise _outside(expr)
        waves[beta] = waves.get(beta, sp.S.Zero) + ratio * sp.exp(rest)
    return {beta: ratio / denominator for beta, ratio in waves.items()}


def _partial_fractions(ratio: sp.Expr, expr: sp.Expr) -> tuple[sp.Expr, list[Fraction]]:
    """What a rational function tends to at infinity, and the rest."""
    numerator, denominator = (sp.Poly(part, x) for part in sp.fraction(sp.cancel(ratio)))
    if numerator.degree() > denominator.degree():
        raise _outside(expr)
    limit = numerator.LC() / denominator.LC() if numerator.degree() == denominator.degree() else sp.S.Zero
    numerator = numerator - limit * denominator
    if numerator.is_zero:
        return limit, []
    poles = sp.roots(denominator)
    if sum(poles.values()) != denominator.degree() or sum(poles.values()) > MAX_POLES:
        raise OutsideClass(f"no closed form is known: cannot locate the poles of {expr} exactly")
    lead = denominator.LC()
    fractions = []
    for pole, order in poles.items():
        others = sp.Mul(*((x - z) ** n for z, n in poles.items() if z != pole))
        regular = numerator.as_expr() / (lead * others)
        for n in range(order):
            coefficient = sp.diff(regular, x, n).subs(x, pole) / sp.factorial(n)
            fractions.append((sp.radsimp(sp.simplify(coefficient)), pole, order - n))
    return limit, [f for f in fractions if f[0] != 0]


def _check_real_poles(waves: dict[sp.Expr, list[Fraction]], expr: sp.Expr) -> None:
    real = {pole for fractions in waves.values() for _, pole, _ in fractions if sp.im(pole).is_zero}
    for pole in real:
        principal: dict[int, sp.Expr] = {}
        for beta, fractions in waves.items():
            for coefficient, z, order in fractions:
                for n in range(order if z == pole else 0):
                    term = coefficient * (sp.I * beta) ** n / sp.factorial(n) * sp.exp(sp.I * beta * pole)
                    principal[order - n] = principal.get(order - n, sp.S.Zero) + term
        if any(sp.simplify(value.rewrite(sp.cos)) != 0 for value in principal.values()):
            raise DivergentExpectation(
                f"the expectation diverges: {expr} is infinite at x = {pole}; use an activation that is finite "
                "on the whole line"
            )


def _transformed(coefficient: sp.Expr, pole: sp.Expr, order: int, beta: sp.Expr) -> list[Atom]:
    """The transform of coefficient·e^{iβx}/(x − z)ⁿ: that of the fraction, at k − β."""
    side = sp.sign(sp.im(pole))
    if not side.is_Integer:
        raise OutsideClass(f"the side of the pole {pole} is not known; give the parameters values or signs")
    scale = sp.expand(coefficient * sp.exp(sp.I * beta * pole) * sp.pi * sp.I)
    # iπ(s − sgn k) by half-lines: a decaying ray keeps its direction, as in `atoms`.
    above, below = HalfSpace(sp.S.One, -beta, 0), HalfSpace(-sp.S.One, beta, 0)
    parts: list[tuple[sp.Expr, tuple[HalfSpace, ...]]]
    if side == 0:
        parts = [(-2 * scale, (above,)), (scale, ())]
    else:
        parts = [(-2 * scale, (above,)) if side < 0 else (2 * scale, (below,))]
    powers = sp.Poly(sp.expand((-sp.I * (x - beta)) ** (order - 1) / sp.factorial(order - 1)), x)
    return [
        Atom(weight * k, n, beta=sp.expand(-sp.I * pole), spaces=spaces)
        for weight, spaces in parts
        for (n,), k in powers.terms()
    ]


def _outside(expr: sp.Expr) -> OutsideClass:
    return OutsideClass(
        f"no closed form is known: {expr} leaves the Gaussian-closed class, and is no sum of rational functions "
        "that are bounded at infinity times sin and cos"
    )
