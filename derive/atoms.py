"""Expand an activation into the Gaussian-closed class, or say which part left it.

An atom is κ·xᵏ·exp(αx² + βx)·∏ 1[s_j x + t_j + n_j Z_j > 0]; design.md section 4.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp

from mehler.derive.errors import OutsideClass
from mehler.derive.gaussian import HalfSpace
from mehler.derive.pieces import Pieces
from mehler.derive.special import Phi
from mehler.derive.symbols import x

# Σ (power + 1) over the atoms: the pairs to integrate, and Stein's recursion in each, grow with its square.
MAX_WORK = 200

Shape = tuple[int, sp.Expr, sp.Expr, tuple[HalfSpace, ...]]


@dataclass(frozen=True)
class Atom:
    """κ·xᵏ·exp(αx² + βx)·∏ half-spaces, or with `dirac` = t the impulse κ·δ(x − t)."""

    coefficient: sp.Expr
    power: int = 0
    alpha: sp.Expr = sp.S.Zero
    beta: sp.Expr = sp.S.Zero
    spaces: tuple[HalfSpace, ...] = ()
    dirac: sp.Expr | None = None

    def growth(self, variable: sp.Symbol = x) -> sp.Expr:
        return sp.exp(self.alpha * variable**2 + self.beta * variable)

    def function(self, variable: sp.Symbol) -> sp.Expr:
        """The atom as a reader writes it, a half-space with noise as Φ."""
        if self.dirac is not None:
            return self.coefficient * sp.DiracDelta(variable - self.dirac)
        forms = [(s.slope * variable + s.offset, s.noise) for s in self.spaces]
        factors = [Phi(form) if noise else sp.Heaviside(form, evaluate=False) for form, noise in forms]
        return sp.Mul(self.coefficient, variable**self.power, self.growth(variable), *factors)


def expand(pieces: Pieces) -> tuple[Atom, ...]:
    """The atoms of a piecewise smooth function. Raises OutsideClass naming the offending part."""
    total: dict[Shape, sp.Expr] = {}
    for i, piece in enumerate(pieces.pieces):
        lo = pieces.knots[i - 1] if i else None
        hi = pieces.knots[i] if i < len(pieces.knots) else None
        for indicator in _indicator(lo, hi):
            _add(total, _product(_smooth(piece), indicator))
    atoms = _atoms(total)
    if sum(atom.power + 1 for atom in atoms) > MAX_WORK:
        raise OutsideClass(
            f"the activation expands into {len(atoms)} terms of high degree, too many to integrate; simplify it"
        )
    return atoms


def diracs(jumps: Iterable[tuple[sp.Expr, sp.Expr]]) -> tuple[Atom, ...]:
    """Σ step·δ(x − t), what the jumps of φ add to its distributional derivative."""
    return tuple(Atom(step, dirac=t) for t, step in jumps)


# A sum of atoms, keyed by shape so that like terms merge as they appear.
Sum = dict[Shape, sp.Expr]

_ONE: Shape = (0, sp.S.Zero, sp.S.Zero, ())


def _indicator(lo: sp.Expr | None, hi: sp.Expr | None) -> list[Sum]:
    """1[lo < x < hi] by half-lines. A ray keeps its own direction: e^x·1[x < 0] is small, while
    e^x − e^x·1[x > 0] would be the difference of two large terms."""
    if lo is None and hi is None:
        return [{_ONE: sp.S.One}]
    if lo is None:
        return [{(0, sp.S.Zero, sp.S.Zero, (HalfSpace(-sp.S.One, hi, 0),)): sp.S.One}]
    above: Sum = {(0, sp.S.Zero, sp.S.Zero, (HalfSpace(sp.S.One, -lo, 0),)): sp.S.One}
    if hi is None:
        return [above]
    return [above, {(0, sp.S.Zero, sp.S.Zero, (HalfSpace(sp.S.One, -hi, 0),)): -sp.S.One}]


def _smooth(expr: sp.Expr) -> Sum:
    if not expr.has(x):
        return {_ONE: expr}
    if expr == x:
        return {(1, sp.S.Zero, sp.S.Zero, ()): sp.S.One}
    if isinstance(expr, sp.Add):
        total: Sum = {}
        for term in expr.args:
            _add(total, _smooth(term))
        return total
    if isinstance(expr, sp.Mul):
        result: Sum = {_ONE: sp.S.One}
        for factor in expr.args:
            result = _product(result, _smooth(factor))
        return result
    if isinstance(expr, sp.exp) or (isinstance(expr, sp.Pow) and not expr.base.has(x)):
        return _exponential(expr)
    if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0:
        half = _smooth(expr.base ** (expr.exp // 2)) if expr.exp > 1 else {_ONE: sp.S.One}
        square = _product(half, half)
        return _product(square, _smooth(expr.base)) if expr.exp % 2 else square
    if isinstance(expr, Phi | sp.erf | sp.erfc):
        return _normal_cdf(expr)
    if isinstance(expr, sp.sin | sp.cos | sp.sinh | sp.cosh) and expr.args[0].is_polynomial(x):
        return _smooth(sp.expand(expr.rewrite(sp.exp)))
    raise _outside(expr, "only polynomials, exp(quadratic), sin, cos, erf, Phi and switches are")


def _exponential(expr: sp.Expr) -> Sum:
    exponent = expr.exp if isinstance(expr, sp.exp) else expr.exp * sp.log(expr.base)
    exponent = sp.expand(exponent)
    if not exponent.is_polynomial(x) or sp.degree(exponent, x) > 2:
        raise _outside(expr, "an exponent may be at most quadratic")
    alpha, beta, gamma = (exponent.coeff(x, n) for n in (2, 1, 0))
    return {(0, alpha, beta, ()): sp.exp(gamma)}


def _normal_cdf(expr: sp.Expr) -> Sum:
    argument = sp.expand(expr.args[0])
    if not argument.is_polynomial(x) or sp.degree(argument, x) != 1:
        raise _outside(expr, "the argument of erf or Phi must be affine")
    slope, offset = argument.coeff(x, 1), argument.coeff(x, 0)
    if isinstance(expr, Phi):
        return {(0, sp.S.Zero, sp.S.Zero, (HalfSpace(slope, offset, 1),)): sp.S.One}
    sign = 1 if isinstance(expr, sp.erf) else -1
    space = HalfSpace(sign * sp.sqrt(2) * slope, sign * sp.sqrt(2) * offset, 1)
    constant = -sp.S.One if isinstance(expr, sp.erf) else sp.S.Zero
    return {(0, sp.S.Zero, sp.S.Zero, (space,)): sp.Integer(2), _ONE: constant}


def _outside(expr: sp.Expr, why: str) -> OutsideClass:
    return OutsideClass(f"no closed form is known: {expr} leaves the Gaussian-closed class ({why})")


def _add(total: Sum, terms: Sum) -> None:
    for shape, coefficient in terms.items():
        total[shape] = total.get(shape, sp.S.Zero) + coefficient


def _product(left: Sum, right: Sum) -> Sum:
    total: Sum = {}
    for (m, a, b, s), kappa in left.items():
        for (n, a2, b2, s2), kappa2 in right.items():
            _add(total, {(m + n, a + a2, b + b2, _ordered(s + s2)): kappa * kappa2})
    return total


def _ordered(spaces: tuple[HalfSpace, ...]) -> tuple[HalfSpace, ...]:
    return tuple(sorted(spaces, key=lambda s: (s.noise, str(s.slope), str(s.offset))))


def merge(atoms: Iterable[Atom]) -> tuple[Atom, ...]:
    """The same sum with like atoms merged."""
    total: Sum = {}
    for atom in atoms:
        _add(total, {(atom.power, atom.alpha, atom.beta, atom.spaces): atom.coefficient})
    return _atoms(total)


def _atoms(total: Sum) -> tuple[Atom, ...]:
    atoms = (
        Atom(sp.expand(coefficient), power, alpha, beta, spaces)
        for (power, alpha, beta, spaces), coefficient in total.items()
    )
    return tuple(atom for atom in atoms if atom.coefficient != 0)
