"""What tables are worth: a module beside the definition of its kernels at fresh points, in extended precision.

The other side is polar quadrature again, but with φ as SymPy prints it, in the longest floating-point type of NumPy
(64 bits of significance on x86, else those of a double), with other nodes. mpmath confirms that at a few points
by iterated Gauss–Legendre rules, which share nothing with it.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import sympy as sp
from scipy.special import erf, erfc, ndtr
from sympy.codegen.rewriting import create_expand_pow_optimization

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.errors import DeriveError
from mehler.derive.pieces import Pieces, split
from mehler.derive.symbols import x
from mehler.derive.tables.polar import Array, Function, resolving
from mehler.derive.tables.table import RANGE, Certificate

# (q1, q2, c, cos, sin) ↦ (K, K̇), as a generated module has them.
Pair = Callable[..., Any]

VARIANCES, ANGLES, MPMATH = 9, 6, 6  # angles come with what they lack to pi
LEAST = -6  # log of the variances at which mpmath must not give up
SMALL_ANGLES = (0.0, 1e-12, 1e-7, 1e-4, 1e-2)
STEPS = (11, 22)
SEED = 0

PRODUCTS = create_expand_pow_optimization(12, base_req=lambda base: True)


def _multiplied(expr: sp.Expr) -> tuple[list[tuple[sp.Symbol, sp.Expr]], sp.Expr]:
    """Common parts, and the rest; powers as products, of which one takes as long as forty in extended precision."""
    parts, rest = sp.cse(expr, list=False)
    return [(symbol, PRODUCTS(part)) for symbol, part in parts], PRODUCTS(rest)


def _of_doubles(function: Callable[[Any], Any]) -> Function:
    """What nobody has in extended precision, with the 16 digits of a double."""
    return lambda u: np.asarray(function(np.asarray(u, np.float64)), np.longdouble)


CODE = [{"erf": _of_doubles(erf), "erfc": _of_doubles(erfc), "Phi": _of_doubles(ndtr)}, "numpy"]


def extended(f: Pieces) -> Function:
    """f of arrays in extended precision. Knots at 0 alone."""
    left, right = (sp.lambdify(x, side, CODE, cse=_multiplied) for side in f.beside(sp.S.Zero))

    def function(u: Array) -> Array:
        values = np.empty_like(u)
        with np.errstate(all="ignore"):
            for here, side in ((u > 0, right), (u <= 0, left)):  # in extended precision nothing is cheap
                if here.any():
                    values[here] = side(u[here])
        return values

    return function


def certify(
    dual: ProvedDual | NumericDual, pair: Pair, extent: tuple[float, float] = RANGE, seed: int = SEED
) -> Certificate:
    """The largest errors of `pair` at fresh variances of `extent`, with its ends, and at fresh angles and poles."""
    rng = np.random.default_rng(seed)
    low, high = np.log(extent)
    variances = np.exp(np.sort(np.r_[low, rng.uniform(low, high, VARIANCES - 2), high])).clip(*extent)
    thetas = np.r_[rng.uniform(0, math.pi / 2, ANGLES), SMALL_ANGLES, np.exp(rng.uniform(-12, 0, 4))]
    phi = dual.activation.pieces
    parity = split(dual.activation.expr).parity()
    long = variances.astype(np.longdouble)
    exact = [resolving(extended(f), long, p, *STEPS) for f, p in ((phi, parity), (phi.derivative(), -parity))]
    diagonals = [polar.diagonal() for polar in exact]
    scales = [np.sqrt(np.outer(d, d)) for d in diagonals]
    q1, q2 = variances[:, None], variances[None, :]
    norm = np.sqrt(q1) * np.sqrt(q2)

    def errors(theta: float) -> list[float]:
        """Those of K and of K' at an angle and at what it lacks to π."""
        found = []
        for n, polar in enumerate(exact):
            both = polar.mirrored(long.dtype.type(theta))
            for cos, values in zip((np.cos(theta), -np.cos(theta)), both, strict=True):
                places = norm * cos, np.full_like(norm, cos), np.full_like(norm, np.sin(theta))
                found.append(float((np.abs(pair(q1, q2, *places)[n] - values) / scales[n]).max()))
        return [max(found[:2]), max(found[2:])]

    with ThreadPoolExecutor() as pool:
        worst = [max(found) for found in zip(*pool.map(errors, thetas), strict=True)]
    count = 2 * len(thetas) * VARIANCES * (VARIANCES + 1) // 2
    return Certificate(count, seed, worst[0], worst[1], MPMATH, _confirmed(dual, min(high, 3.0), rng))


def _confirmed(dual: ProvedDual | NumericDual, high: float, rng: Any) -> float:
    """The largest difference of the two quadratures, in the same units; where mpmath gives up, at milder points."""
    worst, count = 0.0, 0
    phi = dual.activation.pieces
    while count < MPMATH:
        q1, q2 = (sp.Rational(f"{v:.4g}") for v in np.exp(rng.uniform(high - 6, high, 2)))
        rho = sp.Rational(round(float(rng.uniform(-0.95, 0.95)), 3))
        root = sp.sqrt(q1 * q2)
        c = sp.Rational(f"{float(rho * root):.6g}")
        try:
            values = dual.evaluate(q1, q2, c, digits=20)
        except DeriveError:
            if high < LEAST:
                raise
            high -= math.log(100)
            continue
        count += 1
        theta = np.arccos(np.longdouble(str((c / root).n(25))))
        for f, value in zip((phi, phi.derivative()), values, strict=True):
            both = np.array([str(q1.n(25)), str(q2.n(25))]).astype(np.longdouble)
            polar = resolving(extended(f), both, 0, *STEPS)
            matrix, diagonal = polar(theta), polar.diagonal()
            difference = matrix[0, 1] - np.longdouble(str(value))
            worst = max(worst, float(abs(difference) / np.sqrt(diagonal[0] * diagonal[1])))
    return worst
