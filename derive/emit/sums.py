"""The slow way of modules of tables: expectations summed by the rules of rescue.py, where these resolve φ.

A rule with panels at fixed places sees φ on scales near those. Whether that is enough is found out beforehand,
of the means of φ(u), φ'(u) and their squares, by the same rule on halved panels: as far as the two agree, sums of
pairs hold as well, for φ(u)φ(v) turns no faster than the squares. Beyond, a module raises an error.
"""

from string import Template
from typing import Any

import numpy as np
from scipy.special import ndtr

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import numpy as target
from mehler.derive.emit import rescue

# Exponents of 2 of the knots of panels besides those of φ, from the cheapest: the first with which sums reach FAR
# is taken, or that with which they reach farthest.
SCALES = (range(6), range(13), range(-8, 13), range(-16, 21))
FAR = 1e8

# Variances at which sums are tried, and the most by which two rules may differ.
TRIED = 2.0 ** np.arange(-40, 41)
ALLOWED = 1e-12
END = 9.3  # where the normal density ends for a rule

TEXT = '''
SUMMABLE = $largest  # the largest variance at which the rules resolve phi


def pair_by_quadrature(q1, q2, rho, sin_theta):
    """(K, K') of flat arrays by their definition; where a variance is 0, products of means."""
    results, zero = np.empty((2, len(q1))), (q1 == 0) | (q2 == 0)
    for order in (0, 1):
        for start in range(0, len(q1), 8):
            part = slice(start, start + 8)
            results[order, part] = double_sum(np.array([order]), *(a[part] for a in (q1, q2, rho, sin_theta)))
        results[order, zero] = moments(q1[zero])[order] * moments(q2[zero])[order]
    return results


def require_resolved(q, message=""):
    if np.any(q > SUMMABLE):
        message += f"the activation is too wild for sums at variances over {SUMMABLE:.3g}"
        raise ValueError(f"{message}: scale the inputs, sigma_w or sigma_b")

'''


def functions(dual: ProvedDual | NumericDual) -> tuple[float, str]:
    """The largest variance at which sums are right, 0.0 if none, and the functions of a module for them."""
    known, shape = resolving(dual)
    return known, shape + Template(TEXT).substitute(largest=repr(known))


def resolving(dual: ProvedDual | NumericDual) -> tuple[float, str]:
    """The variance up to which sums are right, and the functions of a module for φ and its expectations."""
    known, found = -1.0, ""
    for exponents in SCALES:
        scales = [side * 2.0**n for side in (-1, 1) for n in exponents]
        text = rescue.expectations(dual, "", "", scales)
        reach = largest(dual, text)
        if reach > known:
            known, found = reach, text
        if known >= FAR:
            break
    return known, found


def namespace(dual: ProvedDual | NumericDual, text: str) -> dict[str, Any]:
    """What the functions of a module for φ are called, by its code for them."""
    scope: dict[str, Any] = {"np": np, "ndtr": ndtr}
    exec("\n".join([*target.constants(*rescue.programs(dual)), text]), scope)
    return scope


def largest(dual: ProvedDual | NumericDual, shape: str) -> float:
    """The variance up to which the sums of a module, whose functions for φ are `shape`, are right; 0.0 if none."""
    scope = namespace(dual, shape)
    known = 0.0
    with np.errstate(all="ignore"):
        for q in map(float, TRIED):
            root = np.sqrt(np.array([q]))[:, None]
            breaks = scope["between"](scope["knots"]() / root, scope["SCALES"] / root)
            heard = np.clip(breaks, -END, END)
            halves = np.concatenate([breaks, (heard[..., 1:] + heard[..., :-1]) / 2], -1)
            nodes, weights = scope["panels"](np.sort(halves, -1))
            means, squares = np.split(np.ravel(scope["moments"](np.array([q]))), 2)
            for order in (0, 1):
                values = scope["weighed"](weights, root * nodes, order)
                mean, square = np.sum(weights * values), np.sum(weights * values**2)
                gap = np.maximum(np.abs(squares[order] - square), np.sqrt(square) * np.abs(means[order] - mean))
                if not gap <= ALLOWED * square:  # or not a number
                    return known
            known = q
    return known
