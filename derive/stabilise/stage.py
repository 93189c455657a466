"""From a proved formula to straight-line code in the state that a pair of inputs carries.

The state is (q1, q2, c, ρ, s): the two variances, the covariance, and the point (ρ, s) = (cos θ, sin θ) of the
pair's angle on the unit half-circle. Both coordinates may be known to full relative accuracy, at either pole:
θ = atan2(s, ρ) and π − θ = atan2(s, −ρ). The determinant follows as Δ = (√q1√q2·s)²; since the theorem leaves
every formula in (q1, q2, c, Δ) without subtraction, nothing is lost near ρ = ±1.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import sympy as sp
from sympy.codegen.cfunctions import expm1

from mehler.derive.canonical import canonical
from mehler.derive.dual import ProvedDual
from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import real_values
from mehler.derive.pieces import split
from mehler.derive.special import Phi, Phi2
from mehler.derive.stabilise.apart import apart, cosines, det
from mehler.derive.stabilise.code import StraightLine, share
from mehler.derive.stabilise.difference import NoDifference, deficit
from mehler.derive.stabilise.expansion import expansions
from mehler.derive.stabilise.rules import angles, determinants, exponents, growth, norm, ratios, small_exponents
from mehler.derive.stabilise.tails import ROOTS, sizes, terms
from mehler.derive.symbols import Delta, c, q, q1, q2, rho, sin_theta

# K and K̇ of an input with itself.
k1, k2, d1, d2 = sp.symbols("k1 k2 d1 d2", nonnegative=True)

# A variance that is small and one that is large, with covariances, and how many times larger than their sum terms
# must be there to need a remedy.
SMALL, LARGE = sp.Rational(1, 10**6), sp.Integer(10**4)
PLACES = ((SMALL, SMALL / 2), (LARGE, LARGE - 1), (LARGE, 1 - LARGE))
LOSS = 100


@dataclass(frozen=True)
class Stable:
    """The pair (K, K̇) of (q1, q2, c, ρ, s, parameters), and the diagonal (K, K̇) of (q, parameters).

    With Φ in them, or terms that cancel at small variances, also the sums of the absolute values of their terms:
    what rounding errors are relative to.
    `falls` are √(k1 k2) − K and √(d1 d2) − K̇ of (q1, q2, c, ρ, s, k1, k2, d1, d2, parameters) for c ≥ 0, where
    there are closed forms in which nothing cancels unless k1, k2 or d1, d2 differ by much; `parallel` says that
    they may differ, as parallel inputs have parallel outputs. `parity` is 1 or −1 when K(−c) = ±K(c), else 0.
    `apart` is the pair times w of (q1, q2, c, ρ, w, parameters), as good for ρ between `cosines`; None with sums
    of sizes.
    """

    pair: StraightLine
    apart: StraightLine | None
    cosines: tuple[float, float]
    diagonal: StraightLine
    falls: StraightLine | None
    parallel: bool
    parity: int


def stabilise(proved: ProvedDual) -> Stable:
    """Well-conditioned straight-line forms of a proved dual."""
    parameters = proved.activation.parameters
    formulas = proved.dual.formulas
    summed = has_sums(proved)
    pair = _outputs((formulas.kernel, formulas.kernel_dot), _in_state, summed)
    diagonal = _outputs((formulas.kernel_diag, formulas.kernel_dot_diag), _on_diagonal, summed)
    known = [*ROOTS, (norm, sp.sqrt(q1) * sp.sqrt(q2)), (det, (norm * sin_theta) ** 2)]
    state = (q1, q2, c, rho, sin_theta)
    falls, parallel = None, True
    if not summed:
        with suppress(NoDifference):
            differences = [
                deficit(formula, *ends) for formula, ends in zip(pair, ((k1, k2), (d1, d2)), strict=True)
            ]
            given = (*state, k1, k2, d1, d2, *parameters)
            falls = share(given, [e.xreplace({Delta: det}) for e, _ in differences], known)
            parallel = all(same for _, same in differences)
    expanded = [expansions(e) for e in pair]
    kernels = [determinants(canonical(f, with_delta=True)) for f in (formulas.kernel, formulas.kernel_dot)]
    return Stable(
        pair=share((*state, *parameters), [e.xreplace({Delta: det}) for e in expanded], known),
        apart=None if summed else apart(kernels, parameters),
        cosines=cosines(expanded),
        diagonal=share((q, *parameters), diagonal, ROOTS),
        falls=falls,
        parallel=parallel,
        parity=split(proved.activation.expr).parity(),
    )


def has_sums(proved: ProvedDual) -> bool:
    """Whether code for K and K̇ adds terms that may cancel, and so has to watch their sizes."""
    return bool(proved.kernel.has(Phi, Phi2)) or _cancels(proved)


def _cancels(proved: ProvedDual) -> bool:
    """Whether the terms of K or K̇ are far larger than √(K11 K22) somewhere: at small variances, as those of
    x − sin x are, or at large ones, as those of x sin x are."""
    f = proved.dual.formulas
    phi = proved.activation
    env = {symbol: phi.defaults.get(symbol.name, sp.Rational(1, 2)) for symbol in phi.parameters}
    for formula, diagonal in ((f.kernel, f.kernel_diag), (f.kernel_dot, f.kernel_dot_diag)):
        sums = [_size(formula), _size(diagonal)]
        for variance, cov in PLACES:
            point = {q1: variance, q2: variance, q: variance, c: cov, Delta: variance**2 - cov**2}
            try:
                *totals, scale = real_values([*sums, diagonal], env | point, 10)
            except DeriveError:
                continue
            if max(totals) > LOSS * scale:
                return True
    return False


def _size(formula: sp.Expr) -> sp.Expr:
    """The sum of the sizes of the terms of a formula's smallest form."""
    terms = sp.Add.make_args(sp.expand_mul(small_exponents(canonical(formula, with_delta=True))))
    return sp.Add(*(sp.Abs(term.replace(expm1, lambda a: sp.exp(a) - 1)) for term in terms))


def _outputs(formulas: tuple[sp.Expr, sp.Expr], rest: Callable[[sp.Expr], sp.Expr], summed: bool) -> list[sp.Expr]:
    if not summed:
        return [rest(canonical(f, with_delta=True)) for f in formulas]
    sums = []
    for formula in formulas:
        plain, scaled = terms(formula)
        sums.append([*sp.Add.make_args(rest(canonical(plain, with_delta=True))), *scaled])
    return [sp.Add(*args) for args in sums] + [sp.Add(*(sizes(term) for term in args)) for args in sums]


def _on_diagonal(expr: sp.Expr) -> sp.Expr:
    return ratios(exponents(small_exponents(angles(expr))))


def _in_state(expr: sp.Expr) -> sp.Expr:
    return ratios(exponents(growth(small_exponents(angles(determinants(expr)))))).replace(
        lambda e: e.is_Pow and e.base == Delta and not e.exp.is_Integer,
        lambda e: (norm * sin_theta) ** (2 * e.exp),
    )
