"""From a proved formula to straight-line code in the state that a pair of inputs carries.

The state is (q1, q2, c, ρ, s): the two variances, the covariance, and the point (ρ, s) = (cos θ, sin θ) of the
pair's angle on the unit half-circle. Both coordinates may be known to full relative accuracy, at either pole:
θ = atan2(s, ρ) and π − θ = atan2(s, −ρ). The determinant follows as Δ = (√q1√q2·s)²; since the theorem leaves
every formula in (q1, q2, c, Δ) without subtraction, nothing is lost near ρ = ±1.
"""

from dataclasses import dataclass

import sympy as sp

from mehler.derive.canonical import canonical
from mehler.derive.dual import ProvedDual
from mehler.derive.stabilise.code import StraightLine, share
from mehler.derive.stabilise.rules import angles, growth, norm, small_exponents, squares
from mehler.derive.symbols import Delta, c, q, q1, q2, rho, sin_theta

det = sp.Symbol("det", nonnegative=True)


@dataclass(frozen=True)
class Stable:
    """The pair (K, K̇) of (q1, q2, c, ρ, s, parameters), and the diagonal (K, K̇) of (q, parameters)."""

    pair: StraightLine
    diagonal: StraightLine


def stabilise(proved: ProvedDual) -> Stable:
    """Well-conditioned straight-line forms of a proved dual."""
    parameters = proved.activation.parameters
    formulas = proved.dual.formulas
    pair = [_in_state(canonical(f, with_delta=True)) for f in (formulas.kernel, formulas.kernel_dot)]
    diagonal = [
        small_exponents(angles(canonical(f, with_delta=True)))
        for f in (formulas.kernel_diag, formulas.kernel_dot_diag)
    ]
    known = [(norm, sp.sqrt(q1) * sp.sqrt(q2)), (det, (norm * sin_theta) ** 2)]
    return Stable(
        pair=share((q1, q2, c, rho, sin_theta, *parameters), pair, known),
        diagonal=share((q, *parameters), diagonal, []),
    )


def _in_state(expr: sp.Expr) -> sp.Expr:
    expr = squares(growth(small_exponents(angles(expr))))
    return expr.replace(
        lambda e: e.is_Pow and e.base == Delta and not e.exp.is_Integer,
        lambda e: (norm * sin_theta) ** (2 * e.exp),
    ).xreplace({Delta: det})
