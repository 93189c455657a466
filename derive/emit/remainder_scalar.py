"""Piecewise polynomials for targets of scalars: the formulas of remainder.py and knot_falls.py over t = tan(α/2).

Hermite's coefficients and the tails e^{−t²/4q} belong to rows. The integrals of knot_pairs.py go from t = 1 to
t₀ = tan(θ/2) for K, K̇ and their derivatives by ρ, of which Taylor's formula makes the falls with the integral from
t₀ to 0. Where a variance is so large that impulses cancel the pair is given up.
"""

import textwrap
from math import factorial
from string import Template

from mehler.derive.dual import ProvedDual
from mehler.derive.emit import knot_pairs
from mehler.derive.emit.fused import moments
from mehler.derive.emit.knot_pairs import returned, state, tails, totals_of
from mehler.derive.emit.program import Program, lower
from mehler.derive.emit.remainder import applies, degree
from mehler.derive.stabilise.code import share
from mehler.derive.symbols import x

__all__ = ["applies", "columns", "falls", "pair", "programs", "text"]

TEXT = '''
def row_moments(q$signature):
    """E[phi He_j] and E[phi' He_j], and exp(-t**2/(4 q)) for the knots t, of variances."""
    places = knots($arguments)
    least = 1e-6 * np.min(places[places != 0] ** 2, initial=1.0)
    with np.errstate(all="ignore"):
        rows = in_parts(hermite, q$keywords)
        tails = [quarter(t, np.maximum(q, least)) for t in places]
    return np.array([*rows[:, 0], *rows[:DEGREE, 1], *tails])


@njit(**CALLED)
def s_away(t0, state):
    """s_panel from t = 1 to t0, in panels that halve."""
    $zeros, high = $zero, 1.0
    for _ in range(64):
        if high > t0:
            low = max(high / 2, t0)
            $more, = s_panel(low, high, t0, state)
            $add
            high = low
    return $totals


@njit(**CALLED)
def s_towards(t0, least, state):
    """s_panel from t0 to t = 0, in panels that halve down to `least`, the smallest place where anything turns."""
    $zeros, high = $zero, t0
    for _ in range(60):
        if high > least:
            $more, = s_panel(high / 2, high, 0.0, state)
            $add
            high = high / 2
    $more, = s_panel(0.0, high, 0.0, state)
    $add
    return $totals


@njit(**SCALAR)
def s_nearest(t0, state):
    """The smallest t at which two knots that are apart are felt so."""
    $state = state
    least = 1.0
$nearest
    return least


@njit(**CALLED)
def s_series(q1, root1, q2, root2, rho, sin_theta, $both$parameters):
    """(K, K') of one pair, its variances not large."""
    sign, t0 = s_choose(rho < 0, -1.0, 1.0), s_choose(sin_theta < 1e-18, 1e-18, sin_theta) / (1 + fabs(rho))
    state = s_knot_pairs(q1, root1, q2, root2, sign, $row_tails$parameters)
    $zeros, = s_away(t0, state)
    norm = sign * root1 * root2
    k, k_dot = $series
    return k + sign * ($last), k_dot + sign * ($last_dot)


@njit(**SCALAR)
def s_piece(i, x$parameters):
    """(phi, phi') by its i-th polynomial."""
$pieces


@njit(**SUMMED)
def s_distance(one, two, near, far, root1, root_k1, root_d1, root2, root_k2, root_d2$parameters):
    """Half the squared distances of phi and of phi' over their lengths, on pieces one and two, near < |z| < far."""
    side, low, high = s_choose(near + far < 0, -1.0, 1.0), min(fabs(near), fabs(far)), max(fabs(near), fabs(far))
    width, total, total_dot = min(high - low, 86 / (low + sqrt(low * low + 86))), 0.0, 0.0
    for n in range(DENSITY.shape[1]):
        z = low + width * DENSITY[0, n]
        value1, slope1 = s_piece(one, side * root1 * z$parameters)
        value2, slope2 = s_piece(two, side * root2 * z$parameters)
        value, slope = value1 / root_k1 - value2 / root_k2, slope1 / root_d1 - slope2 / root_d2
        weight = DENSITY[1, n] * s_exp(-z * z / 2)
        total += weight * value * value
        total_dot += weight * slope * slope
    width = width * 0.19947114020071635
    return width * total, width * total_dot


@njit(**CALLED)
def s_parallel(root1, root_k1, root_d1, root2, root_k2, root_d2$parameters):
    """1 - K/sqrt(k1 k2) and 1 - K'/sqrt(d1 d2) of parallel inputs; NaN where a knot of one passes another."""
    total, total_dot, low = 0.0, 0.0, -48.0
    for i in range($count + 1):
        high = 48.0
        if i < $count:
            t = s_knots($arguments)[i]
            here, there = s_clipped(t / root1), s_clipped(t / root2)
            high = min(here, there)
        if high < low:
            return np.nan, np.nan
        middle = min(max(low, 0.0), high)
        part, part_dot = s_distance(i, i, low, middle, root1, root_k1, root_d1, root2, root_k2, root_d2$parameters)
        total, total_dot = total + part, total_dot + part_dot
        part, part_dot = s_distance(i, i, middle, high, root1, root_k1, root_d1, root2, root_k2, root_d2$parameters)
        total, total_dot = total + part, total_dot + part_dot
        if i < $count:
            low = max(here, there)
            one, two = i + (here < there), i + (there < here)
            part, part_dot = s_distance(
                one, two, high, low, root1, root_k1, root_d1, root2, root_k2, root_d2$parameters
            )
            total, total_dot = total + part, total_dot + part_dot
    return total, total_dot


@njit(**SCALAR)
def s_clipped(z):
    return min(max(z, -48.0), 48.0)

'''

PAIR = """\
    if s_is_wide(q1, q2{parameters}):
        return np.nan, np.nan
    return s_series(q1, root_q1, q2, root_q2, rho, sin_theta{moments}{parameters})"""

FALLS = """\
    if s_is_wide(q1, q2{parameters}):
        return np.nan, np.nan
    gap_k, gap_d = 0.0, 0.0
    if q1 != q2:
        gap_k, gap_d = s_parallel(root_q1, root_k1, root_d1, root_q2, root_k2, root_d2{parameters})
    t0, norm = s_choose(sin_theta < 1e-18, 1e-18, sin_theta) / (1 + rho), root_q1 * root_q2
    state = s_knot_pairs(q1, root_q1, q2, root_q2, 1.0, {row_tails}{parameters})
    least = s_nearest(t0, state)
    {totals}, = s_towards(t0, least, state)
    fall, fall_dot = {last}, {last_dot}
    {totals}, = s_away(t0, state)
    versine, factor = sin_theta * sin_theta / (1 + rho), 1.0
{taylor}
    return fall + root_k1 * root_k2 * gap_k, fall_dot + root_d1 * root_d2 * gap_d"""


def text(proved: ProvedDual, signature: str, keywords: str, names: str) -> str:
    """The functions of TEXT for the activation of a proved dual."""
    d, totals = degree(proved), totals_of(proved)
    _, _, *pieces = programs(proved)
    gaps = [name for name in state(proved).split(", ") if name.startswith("gap")]
    return knot_pairs.text(proved, names) + Template(TEXT).substitute(
        signature=signature,
        keywords=keywords,
        parameters=names,
        arguments=names.removeprefix(", "),
        state=state(proved),
        row_tails=tails(proved),
        both=moments(columns(proved)).removeprefix(",\n    "),
        zeros=", ".join(totals),
        zero=", ".join(["0.0"] * len(totals)),
        totals=_tuple(totals),
        more=", ".join(f"more{n}" for n in range(len(totals))),
        add="; ".join(f"{name} += more{n}" for n, name in enumerate(totals)),
        series=f"{_series('mean', 0, d)}, {_series('tilt', 0, d - 1)}",
        last=_last(totals, d),
        last_dot=_last_dot(d - 1),
        pieces=_pieces(pieces),
        count=len(proved.activation.pieces.knots),
        nearest="\n".join(
            f"    least = s_choose(fabs({gap}) > 1e-17 * t0, min(least, fabs({gap}) / 18), least)" for gap in gaps
        ),
    )


def programs(proved: ProvedDual) -> tuple[Program, ...]:
    """The knots, the products of jumps, and (φ, φ′) of x on each piece."""
    phi = proved.activation
    pieces = zip(phi.pieces.pieces, phi.pieces.derivative().pieces, strict=True)
    codes = (share((x, *phi.parameters), list(values), []) for values in pieces)
    return *knot_pairs.programs(proved), *(lower(code, parameters=phi.parameters) for code in codes)


def pair(proved: ProvedDual, names: str) -> str:
    """The body of s_pair."""
    return PAIR.format(moments=moments(columns(proved)), parameters=names)


def falls(proved: ProvedDual, names: str) -> str:
    """The body of s_falls."""
    totals, d, lines = totals_of(proved), degree(proved), []
    for n in range(1, d + 1):
        lines.append(f"    factor = factor * versine / {n}")
        lines.append(f"    fall += factor * ({_series('mean', n, d)} + {_last(totals, d - n)})")
        if n < d:  # phi' is of a degree less
            lines.append(f"    fall_dot += factor * ({_series('tilt', n, d - 1)} + {_last_dot(d - 1 - n)})")
    return FALLS.format(
        parameters=names,
        row_tails=tails(proved),
        totals=", ".join(totals),
        last=_last(totals, d),
        last_dot=_last_dot(d - 1),
        taylor="\n".join(lines),
    )


def columns(proved: ProvedDual) -> list[str]:
    """The names of what row_moments returns."""
    d = degree(proved)
    names = [f"mean{j}_" for j in range(d + 1)] + [f"tilt{j}_" for j in range(d)]
    return names + [f"tail{i}_" for i in range(len(proved.activation.pieces.knots))]


def _series(name: str, n: int, top: int) -> str:
    """Mehler's series of the n-th derivative by ρ."""
    value = "0.0"
    for j in range(top, n - 1, -1):
        value = f"({name}{j}_1 * {name}{j}_2 + rho / {float(j - n + 1)} * {value})"
    return value


def _last(totals: list[str], p: int) -> str:
    rest = f" + rest{p}" if f"rest{p}" in totals else ""
    return f"(norm * total{p}{rest}) / {float(factorial(p))}"


def _last_dot(p: int) -> str:
    return f"total{p} / {float(factorial(p))}" if p >= 0 else "0.0"


def _tuple(names: list[str]) -> str:
    return f"({' '.join(f'{name},' for name in names)})"


def _pieces(programs: list[Program]) -> str:
    """The body of s_piece."""
    lines = []
    for i, program in enumerate(programs[:-1]):
        lines += [f"    if i == {i}:", textwrap.indent(returned(program), "    ")]
    return "\n".join([*lines, returned(programs[-1])])
