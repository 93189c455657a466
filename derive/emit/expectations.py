"""φ in a generated module, and expectations of it: Gauss-Legendre rules on panels between the scales of φ.

    E[f(u)]      panels in z = u/√q between 0 and the knots t/√q of f
    K, K̇         the same twice, v = √q2 (ρz + s w), with panels also about z = t/(√q2 ρ), where the inner
                 integral turns within s/ρ (s = sin θ)

A sum of positive weights times φ(u)φ(v) is off by eps·E|φ(u)φ(v)| ≤ eps·√(K11 K22): right in scaled units wherever
the panels resolve it. Panels at fixed places see φ on scales near those. Whether that is enough is found out
beforehand, of the means of φ(u), φ'(u) and their squares, by the same rule on halved panels: as far as the two
agree, sums of pairs hold as well, for φ(u)φ(v) turns no faster than the squares.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

import numpy as np
import sympy as sp
from scipy.special import ndtr

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import far, near_zero
from mehler.derive.emit import numpy as target
from mehler.derive.emit.normal import rule
from mehler.derive.emit.program import Program, lower, parameter_name
from mehler.derive.special import Phi
from mehler.derive.stabilise.code import share
from mehler.derive.stabilise.rules import small_exponents
from mehler.derive.symbols import x

# Knots of panels besides those of φ, from the cheapest: the first with which sums reach FAR are taken, or those
# with which they reach farthest. Equal panels are for a φ that goes on turning.
SCALES = (
    *([2.0**n for n in exponents] for exponents in (range(7), range(13), range(-8, 13), range(-16, 21))),
    [1.0, 2.0, 4.0, 8.0, *map(float, range(16, 513, 16))],
)
FAR = 1e8

# Variances at which sums are tried, at last those over 1e150, and the most by which two rules may differ.
TRIED = 2.0 ** np.array([*range(-40, 41), *range(50, 501, 10)])
ALLOWED = 1e-12
PAIRS = 3000  # over the square of the number of panels: pairs whose nodes fit into some 10 MB
END = 9.3  # where the normal density ends for a rule

DENSITY = rule("DENSITY", 28, "0.5", "Nodes and weights for the normal density: exp(-43) at 1.")

# φ itself, and rules for its expectation.
SHAPE = '''
def activation(x, order$signature):
    """phi(x) for order = 0 and phi'(x) for order = 1."""
    value = PIECES[0](x$keywords)[order]
    for knot, function in zip(knots($arguments), PIECES[1:]):
        value = np.where(x > knot, function(x$keywords)[order], value)
    return value


def knots($plain):
    """Where phi is not smooth, in order."""
    return np.array([$knots], np.float64)

$pieces

def panels(breaks):
    """Nodes z and weights, with the normal density, between sorted breaks along the last axis, 0 among them."""
    low, high = breaks[..., :-1, None], breaks[..., 1:, None]
    side = np.where(low >= 0, 1.0, -1.0)
    near, far = np.where(low >= 0, low, -high), np.where(low >= 0, high, -low)
    width = np.minimum(far - near, 86 / (near + np.sqrt(near * near + 86)))
    z = near + width * DENSITY[0]
    weights = width * DENSITY[1] * np.exp(-z * z / 2) * 0.3989422804014327
    shape = (*breaks.shape[:-1], (breaks.shape[-1] - 1) * DENSITY.shape[1])
    return (side * z).reshape(shape), weights.reshape(shape)


def between(*breaks):
    """Breaks along a last axis, in order, with 0 and the ends of the line among them."""
    shape = np.broadcast_shapes(*(b.shape[:-1] for b in breaks))
    ends = np.broadcast_to([-FAR, 0.0, FAR], (*shape, 3))
    breaks = [np.broadcast_to(b, (*shape, b.shape[-1])) for b in breaks]
    return np.sort(np.clip(np.nan_to_num(np.concatenate([ends, *breaks], -1)), -FAR, FAR), -1)

'''

# Expectations of φ itself, by panels that every φ has.
EXPECTATIONS = '''
REACH = (-9, -3, -1, 0, 1, 3, 9)
SCALES = np.array($scales)
PART = $part  # pairs that are summed at a time


def weighed(weights, x$signature):
    """(phi(x), phi'(x)), and 0 where a weight is 0: on a panel without a width phi may have no value."""
    values = PIECES[0](x$keywords)
    for knot, function in zip(knots($arguments), PIECES[1:]):
        values = [np.where(x > knot, *sides) for sides in zip(function(x$keywords), values)]
    return np.where(weights == 0, 0.0, np.broadcast_arrays(*values, x)[:2])


def moments(q$signature):
    """E[phi(u)], E[phi'(u)], E[phi(u)**2] and E[phi'(u)**2] for u of variance q; at q = 0, of both sides of 0."""
    root = np.sqrt(q)[..., None]
    least = np.maximum(root, 1e-300)
    nodes, weights = panels(between(knots($arguments) / least, SCALES / least))
    x = np.where(root > 0, root * nodes, np.copysign(5e-324, nodes))
    value, slope = weighed(weights, x$keywords)
    return [np.sum(weights * values, -1) for values in (value, slope, value * value, slope * slope)]


def double_sums(q1, q2, rho, sin_theta$signature):
    """(K, K') of flat arrays by two nested rules, the larger variance outside."""
    root1, root2 = np.sqrt(np.maximum(q1, q2))[:, None], np.sqrt(np.minimum(q1, q2))[:, None]
    rho, sin_theta = rho[:, None], sin_theta[:, None]
    places = knots($arguments)
    turn = sin_theta / np.abs(rho)
    centre = places / root2 / rho
    # The scales of phi(v) as its mean at u shows them, but for those that the spread of v wipes out.
    seen = np.where(np.abs(SCALES) >= root2 * sin_theta, SCALES / root2 / rho, FAR)
    layers = (centre + reach * turn for reach in REACH)
    nodes, weights = panels(between(places / root1, SCALES / root1, seen, *layers))
    outer = weights * weighed(weights, root1 * nodes$keywords)
    heard = np.any(np.abs(outer) > 1e-22 * np.max(np.abs(outer), -1, keepdims=True), (0, 1))
    nodes, outer = nodes[:, heard], outer[..., heard]
    root2, mean, sin_theta = root2[..., None], (rho * nodes)[..., None], sin_theta[..., None]
    nodes, inner = panels(between((places / root2 - mean) / sin_theta, (SCALES / root2 - mean) / sin_theta))
    inner = np.sum(inner * weighed(inner, root2 * (mean + sin_theta * nodes)$keywords), -1)
    return np.sum(outer * inner, -1)


def double_sum(order, q1, q2, rho, sin_theta$signature):
    """K (order = 0) or K' (order = 1) of the same."""
    return double_sums(q1, q2, rho, sin_theta$keywords)[order[0]]

'''

RESOLVED = """
SUMMABLE = $largest  # the largest variance at which the rules resolve phi


def require_resolved(q, message=""):
    if np.any(q > SUMMABLE):
        message += f"the activation is too wild for sums at variances over {SUMMABLE:.3g}"
        raise ValueError(f"{message}: scale the inputs, sigma_w or sigma_b")

"""


def resolving(
    dual: ProvedDual | NumericDual, signature: str = "", keywords: str = "", allowed: float = ALLOWED
) -> tuple[float, str]:
    """The variance up to which sums are right, and the functions of a module for φ and its expectations."""
    known, found = -1.0, ""
    for places in SCALES:
        text = expectations(dual, signature, keywords, [side * place for side in (-1, 1) for place in places])
        reach = largest(dual, text, allowed)
        if reach > known:
            known, found = reach, text
        if known >= FAR:
            break
    return known, found + Template(RESOLVED).substitute(largest=repr(known))


def namespace(dual: ProvedDual | NumericDual, text: str) -> dict[str, Any]:
    """What the functions of a module for φ are called, by its code for them."""
    scope: dict[str, Any] = {"np": np, "ndtr": ndtr}
    exec("\n".join([*target.constants(*programs(dual)), text]), scope)
    return scope


def largest(dual: ProvedDual | NumericDual, text: str, allowed: float = ALLOWED) -> float:
    """The variance up to which the sums of a module, whose functions for φ are `text`, are right; 0.0 if none."""
    scope = namespace(dual, text)
    phi = dual.activation
    given = {parameter_name(s): float(phi.defaults.get(s.name, 1)) for s in phi.parameters}
    known = 0.0
    with np.errstate(all="ignore"):
        for q in map(float, TRIED):
            if END * math.sqrt(q) > phi.pieces.radius:  # φ has knots beyond those that are known
                return known
            root = np.sqrt(np.array([q]))[:, None]
            breaks = scope["between"](scope["knots"](**given) / root, scope["SCALES"] / root)
            heard = np.clip(breaks, -END, END)
            halves = np.concatenate([breaks, (heard[..., 1:] + heard[..., :-1]) / 2], -1)
            nodes, weights = scope["panels"](np.sort(halves, -1))
            means, squares = np.split(np.ravel(scope["moments"](np.array([q]), **given)), 2)
            for order, values in enumerate(scope["weighed"](weights, root * nodes, **given)):
                mean, square = np.sum(weights * values), np.sum(weights * values**2)
                gap = np.maximum(np.abs(squares[order] - square), np.sqrt(square) * np.abs(means[order] - mean))
                if not gap <= allowed * square:  # or not a number
                    return known
            known = q
    return known


def expectations(dual: ProvedDual | NumericDual, signature: str, keywords: str, scales: Sequence[float]) -> str:
    """The functions of SHAPE and EXPECTATIONS for the activation of a dual."""
    names = {
        "signature": signature,
        "keywords": keywords,
        "arguments": names_of(dual),
        "scales": tuple(scales),
        "part": max(1, PAIRS // (2 * len(scales) ** 2)),
    }
    return shape(dual, signature, keywords) + Template(EXPECTATIONS).substitute(names)


def shape(
    proved: ProvedDual | NumericDual,
    signature: str,
    keywords: str,
    orders: Sequence[int] = (0, 1),
    careful: bool = True,
) -> str:
    """The functions of SHAPE for the activation of a dual; `activation` may have some of its orders alone.

    Unless `careful`, its code may be wrong far out and near 0.
    """
    texts, labels = [], []
    *pieces, places = programs(proved, careful)
    series = _series(proved, pieces) if careful else [[None, None] for _ in pieces]
    for i, program in enumerate(pieces):
        lines = [f"{a.name} = {target.expression(a.value)}" for a in program.only(orders).body]
        values = [target.expression(node) for node in program.outputs]
        for n, coefficients in enumerate(series[i]):
            if coefficients is not None:
                numbers = textwrap.fill(
                    ", ".join(map(repr, coefficients)), 108, initial_indent="    ", subsequent_indent="    "
                )
                texts.append(f"\nSERIES{i}{n} = [\n{numbers}\n]\n")
                values[n] = f"np.where(np.abs(x) < NEAR, taylor(x, SERIES{i}{n}), {values[n]})"
        lines.append("return " + ", ".join(values[n] for n in orders) + ("" if orders[1:] else ","))
        body = textwrap.indent("\n".join(lines), "    ")
        texts.append(f"\ndef piece{i}(x{signature}):\n{body}\n")
        labels.append(f"piece{i}")
    near = near_zero.TEXT if any(any(pair) for pair in series) else ""
    return (
        near
        + DENSITY
        + Template(SHAPE).substitute(
            signature=signature,
            keywords=keywords,
            arguments=names_of(proved),
            plain=signature.removeprefix(", "),
            knots=", ".join(target.expression(node) for node in places.outputs),
            pieces="\n".join(texts) + f"\n\nPIECES = ({', '.join(labels)},)\nFAR = 48.0\n",
        )
    )


def names_of(proved: ProvedDual | NumericDual) -> str:
    """The parameters of φ, as arguments of a call."""
    return ", ".join(map(parameter_name, proved.activation.parameters))


def _series(dual: ProvedDual | NumericDual, pieces: Sequence[Program]) -> list[list[list[float] | None]]:
    """For φ and φ' on each piece, the Taylor polynomial that it needs near 0, if any."""
    phi = dual.activation.pieces
    beside = phi.beside(sp.S.Zero)
    found: list[list[list[float] | None]] = []
    for program, piece in zip(pieces, phi.pieces, strict=True):
        sides = [side for side, other in zip((-1, 1), beside, strict=True) if other is piece]
        pair = (piece, sp.diff(piece, x))
        found.append(near_zero.polynomials(program, pair, sum(sides)) if sides else [None, None])
    return found


def programs(proved: ProvedDual | NumericDual, careful: bool = True) -> list[Program]:
    """(φ, φ') of x on each piece, and the knots."""
    phi = proved.activation
    pieces = zip(phi.pieces.pieces, phi.pieces.derivative().pieces, strict=True)
    inputs = (x, *phi.parameters)

    def lowered(exprs: Sequence[sp.Expr]) -> Program:
        code = share(inputs, [small_exponents(_elementary(e)) for e in exprs], [])
        return lower(code, parameters=phi.parameters)

    count = len(phi.pieces.knots)
    # The outer two pieces reach infinity.
    sides = [[side for side, end in ((-1, 0), (1, count)) if i == end] for i in range(count + 1)]
    code = [far.safe(pair, lowered, ends if careful else ()) for pair, ends in zip(pieces, sides, strict=True)]
    places = share(phi.parameters, list(phi.pieces.knots), [])
    return [*code, lower(places, parameters=phi.parameters)]


REWRITTEN: Mapping[Any, Any] = {
    sp.erf: lambda a: 2 * Phi(sp.sqrt(2) * a) - 1,
    sp.erfc: lambda a: 2 * Phi(-sp.sqrt(2) * a),
    sp.sech: lambda a: 1 / sp.cosh(a),
}


def _elementary(expr: sp.Expr) -> sp.Expr:
    for function, form in REWRITTEN.items():
        expr = expr.replace(function, form)
    powers = [p for p in expr.atoms(sp.Pow) if not (2 * p.exp).is_Integer and p.base != sp.E]
    return expr.xreplace({p: sp.exp(p.exp * sp.log(p.base)) for p in powers})
