"""Duals of activations outside the Gaussian-closed class: values by quadrature, no formula.

Coefficient tables with a certified bound, and evaluators made from them, are still to come; until then
such an activation can be evaluated at points, and cannot be composed into a network.
"""

import sympy as sp

from mehler.derive.activation import Activation
from mehler.derive.algebra import sample_points
from mehler.derive.dual import Jumps, NumericDual
from mehler.derive.errors import DivergentExpectation, ParseError
from mehler.derive.evaluate import compile_function, context
from mehler.derive.symbols import x

# φ may grow at most like exp(b·|x|): log|φ(x)|/x² must vanish at infinity. Far points decide.
FAR = (30, 1000, 30000)


def approximate(phi: Activation, reason: str, jumps: Jumps) -> NumericDual:
    """The numeric dual of φ. Raises DivergentExpectation or ParseError when φ cannot have one."""
    point = sample_points(phi.parameters)[0]
    ctx = context(30)
    env = {s: ctx.mpf(int(v.p)) / int(v.q) for s, v in point.items()}
    for piece, direction in ((phi.pieces.pieces[0], -1), (phi.pieces.pieces[-1], 1)):
        function = compile_function(piece, ctx)
        try:
            sizes = [abs(function(env | {x: ctx.mpf(direction * t)})) for t in FAR]
            rates = [ctx.log(1 + size) / t**2 for size, t in zip(sizes, FAR, strict=True)]
        except OverflowError:
            rates = [ctx.one]
        except ZeroDivisionError:
            continue
        if rates[-1] > 1e-3:
            raise DivergentExpectation(
                f"the expectation diverges: {phi.expr} grows faster than exp(b*|x|); "
                "use an activation that grows at most exponentially"
            )
    for piece in phi.pieces.pieces:
        if sp.im(piece.subs(x, sp.Rational(-13, 7))).is_zero is False and len(phi.pieces.pieces) == 1:
            raise ParseError(
                f"{phi.expr} is not real for negative x; an activation must be defined on the whole line"
            )
    return NumericDual(phi, reason, jumps)
