"""Duals of activations outside the Gaussian-closed class: values by quadrature, no formula.

Modules for networks come from tables of these (derive/tables, emit/tables.py).
"""

from typing import Any

from mehler.derive.activation import Activation
from mehler.derive.algebra import sample_points
from mehler.derive.dual import Jumps, NumericDual
from mehler.derive.errors import DivergentExpectation, OutsideClass, ParseError
from mehler.derive.evaluate import context
from mehler.derive.quadrature import values_at

# φ may grow at most like exp(b·|x|), so that log|φ(x)|/x² vanishes at infinity: it is small this far out.
FAR = 1000
STEEP = 0.1

# Where φ must be a real number, besides FAR: off the integers, where many formulas have poles.
ORDINARY = (-7.3, -0.61, 0.61, 7.3)


def approximate(phi: Activation, reason: str, jumps: Jumps) -> NumericDual:
    """The numeric dual of φ. Raises DivergentExpectation when φ cannot have one, OutsideClass for impulses in K̇."""
    if jumps == "distribution" and phi.pieces.jumps():
        raise OutsideClass(f"{reason}; K' with the impulses of a jump needs one: use jumps='almost-everywhere'")
    point = sample_points(phi.parameters)[0]
    ctx = context(30)
    try:
        far = values_at(ctx, [phi.pieces], point, (ctx.mpf(-FAR), ctx.mpf(FAR)))[0]
        steep = any(ctx.log(1 + abs(v)) > STEEP * FAR**2 for v in far)
    except OverflowError:
        steep = True
    if steep:
        raise DivergentExpectation(
            f"the expectation diverges: {phi.expr} grows faster than exp(b*|x|); "
            "use an activation that grows at most exponentially"
        )
    return NumericDual(phi, reason, jumps)


def require_real(phi: Activation) -> None:
    """Raise ParseError unless φ is a real number off the integers, where many formulas have poles."""
    point = sample_points(phi.parameters)[0]
    ctx = context(30)
    try:
        values: list[Any] = values_at(ctx, [phi.pieces], point, map(ctx.mpf, ORDINARY))[0]
    except (ZeroDivisionError, ValueError):
        values = [ctx.nan]
    if not all(ctx.isfinite(v) and ctx.im(v) == 0 for v in values):
        raise ParseError(
            f"{phi.expr} is not a real number for every x; an activation must be defined on the whole line"
        )
