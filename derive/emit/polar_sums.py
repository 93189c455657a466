"""The text of a generated module for expectations of a φ with knots at 0 alone: quadrature in polar coordinates.

The rule is that of derive/tables/polar.py. At one angle all variances are rows of two matrices, whose product has
all their pairs: a matrix of pairs at a few angles, as a box asks for, takes a thousandth of the sums one by one.
How far it goes is found out when a module is made, beside the rule for the line in expectations.py.
"""

from string import Template
from typing import Any

import numpy as np

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import expectations
from mehler.derive.tables.polar import ANGULAR, AREA, END, NEAR, RADIAL, REFINEMENTS

# Variances at which the two rules are compared, the most by which they may differ, and those that must hold.
TRIED = 2.0 ** np.array([*range(-80, 81, 4)])
ALLOWED = 5e-15
NEEDED = 2.0**-14, 2.0**10

_TEXT = '''
POLAR_LOW, POLAR_HIGH = $low, $high  # variances between which polar coordinates were found to be as good as sums
DENSE = 64  # as many entries of a matrix are computed for a pair that is asked for, at most
VALUES = 2**16  # of phi that are computed at a time


def pair_one_by_one(q1, q2, rho, sin_theta):
    """(K, K') of flat arrays by quadrature, of those at one angle together."""
    results = np.empty((2, len(q1)))
    small, large = np.minimum(q1, q2), np.maximum(q1, q2)
    polar = (small >= POLAR_LOW) & (large <= POLAR_HIGH)
    rest = np.flatnonzero(~polar)
    if len(rest):
        results[:, rest] = pair_by_quadrature(*(a[rest] for a in (q1, q2, rho, sin_theta)))
    flat = sin_theta * np.sqrt(large) < 1e-18  # which no kernel tells from 0
    places = np.where(flat, np.sign(rho), rho) + 1j * np.where(flat, 0, sin_theta)
    at = np.flatnonzero(polar)
    at = at[np.lexsort((large[at], small[at], places[at]))]
    for group in np.split(at, 1 + np.flatnonzero(np.diff(places[at]))) if len(at) else ():
        (one, i), (two, j) = (np.unique(q[group], return_inverse=True) for q in (small, large))
        place = places[group[0]]
        if len(one) * len(two) <= DENSE * len(group):
            results[:, group] = at_angle(one, two, place.real, place.imag)[:, i, j]
            continue
        for part in np.split(np.arange(len(group)), range(DENSE, len(group), DENSE)):
            (rows, m), (columns, n) = (np.unique(each[part], return_inverse=True) for each in (i, j))
            results[:, group[part]] = at_angle(one[rows], two[columns], place.real, place.imag)[:, m, n]
    return results


def at_angle(rows, columns, rho, sin_theta):
    """(K, K') of all pairs of a variance of `rows` and one of `columns`, at one angle."""
    t, r, weights = _known(polar_nodes, float(np.ceil(np.log2(max(rows.max(), columns.max(), 1)))))
    ends, total = [np.sqrt(q)[:, None] for q in (rows, columns)], np.zeros((2, len(rows), len(columns)))
    theta, rest = np.arctan2(sin_theta, rho), np.arctan2(sin_theta, -rho)
    for half, gap, sign in ((rest / 2, theta, 1), (theta / 2, rest, -1)):
        if half == 0:
            continue
        near, far = r * np.sin(half * t), r * np.sin(gap + half * t)
        step = max(1, VALUES // (len(rows) + len(columns)))
        for part in (slice(k, k + step) for k in range(0, len(t), step)):
            twice = half * np.tile(weights[part], 2)
            # The sector is halved, and either input may be the one in front.
            for one, two in ((near, far), (far, near)):
                left, right = _of_both_signs(ends[0] * one[part], 1), _of_both_signs(ends[1] * two[part], sign)
                for matrix, a, b in zip(total, left, right):
                    matrix += (a * twice) @ b.T
    return total / (2 * np.pi)


def _of_both_signs(u, sign):
    """(phi, phi') at u > 0 and at -u, beside each other; the other way round for sign = -1."""
    sides = [np.broadcast_arrays(*piece(x), x)[:2] for piece, x in ((PIECES[-1], u), (PIECES[0], -u))]
    values = [np.concatenate(both[::sign], -1) for both in zip(*sides)]
    return [np.where(np.abs(v) < 1e-150, 0, v) for v in values]  # numbers that take processors long


def polar_nodes(high):
    """Nodes t in [0, 1] of half a sector, their radii and weights, for variances up to 2**high.

    Steps in log r from where phi turns on, and the double exponential rule in the angle.
    """
    log_root = max(high, 0) * np.log(2) / 2
    near, nearest = max($near, log_root), $area - log_root
    s = np.arange(round((nearest / 2 - near) * $radial), round($last * $radial) + 1) / $radial
    shrunk = np.exp(np.minimum(-s - near, 700))
    s, shrunk = (each[s - shrunk >= nearest] for each in (s, shrunk))
    grown = $bend * np.exp(s - shrunk)
    r = np.log1p(grown) / $bend
    radial = grown / (1 + grown) * (1 + shrunk) / ($bend * $radial) * r * np.exp(-r * r / 2)
    step = np.ceil($angular * max(1, np.hypot(1, log_root / np.pi) / 1.5) + $turns)
    y = np.arange(-round($end * step), 1) / step
    bent = np.pi / 2 * np.sinh(y)
    angular = np.pi / 2 * np.cosh(y) / np.cosh(bent) ** 2 / step
    angular[-1] /= 2  # the middle
    weights = np.outer(angular, radial)
    heard = weights > 1e-23 / max(2.0**high, 1)
    t = 2 / (1 + np.exp(-2 * bent))
    return tuple(np.broadcast_to(a, heard.shape)[heard] for a in (t[:, None], r, weights))

'''


def text(dual: ProvedDual | NumericDual, functions: str) -> str:
    """The functions, and how far they hold; "" where they do not. `functions`: those of expectations.py."""
    if set(dual.activation.pieces.knots) - {0} or dual.activation.parameters:
        return ""
    best, found = -1.0, ""
    for times, turns, farthest in REFINEMENTS:
        bend = (1 + 0.75 * turns) / 8
        places: dict[str, Any] = {
            "near": NEAR,
            "area": AREA,
            "end": END,
            "radial": round(times * RADIAL),
            "angular": round(times * ANGULAR),
            "turns": round(turns * farthest),
            "bend": bend,
            "last": round(float(np.log(np.expm1(bend * farthest) / bend)), 3),
        }
        low, high = _reach(dual, functions + Template(_TEXT).substitute(places, low=0.0, high=1e300))
        if high > best:
            best, found = high, Template(_TEXT).substitute(places, low=repr(low), high=repr(high))
        if low <= NEEDED[0] and high >= NEEDED[1]:
            break
    return found if best > 0 else ""


def _reach(dual: ProvedDual | NumericDual, source: str) -> tuple[float, float]:
    """The variances about 1 between which the diagonal is as the rule for the line has it."""
    scope = expectations.namespace(dual, source)
    scope["_known"] = lambda function, *arguments: function(*arguments)
    summable, good = scope["SUMMABLE"], []
    with np.errstate(all="ignore"):
        for q in map(float, TRIED[summable >= TRIED]):
            exact = np.ravel(scope["moments"](np.array([q])))[2:]
            found = np.ravel(scope["at_angle"](*2 * [np.array([q])], 1.0, 0.0))
            good.append(bool(np.all(np.abs(found - exact) <= ALLOWED * exact)))
    one = int(np.flatnonzero(TRIED == 1)[0])
    if one >= len(good) or not good[one]:
        return np.inf, 0.0
    low = next((n for n in range(one, -1, -1) if not good[n]), -1) + 1
    high = next((n for n in range(one, len(good)) if not good[n]), len(good)) - 1
    return float(TRIED[low]), float(TRIED[high])
