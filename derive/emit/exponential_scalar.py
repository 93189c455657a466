"""ELU's kind for targets of scalars: the linear equation of exponential.py, solved from ρ = 0 or from ρ = 1.

In the notation of exponential.py for d = 1, y = λ(ρ − r) and H(r) = E_r[e^{−b₁|z₁|} e^{−b₂|z₂|}; one quadrant],

    K̇(ρ)     = K̇(r₀) + j² H(r₀)(e^{y₀} − 1) + ∫_{r₀}^ρ {J² − Jj A + j² (1 − A)(e^y − 1)} dr/(2π s)
    [K(ρ) − K(r₀)]/√(q1q2)
             = (ρ − r₀)[K̇(r₀) + j² H(r₀) g(y₀)] + ∫_{r₀}^ρ (ρ − r){J² − Jj A + j² (1 − A) g(y)} dr/(2π s)

with g(y) = (e^y − 1 − y)/y. From r₀ = 0 what is outside of the integral belongs to rows: E[φ], E[φ'] and
E[e^{−b|z|}; one side]. It grows as e^{λρ}: where λρ > SPLIT, r₀ = 1, and nothing grows. With tan(τ/2) in place of
r = sin τ or cos τ the integrand is rational but for erfcx and exp; so few nodes serve for every angle, up to a
variance. Beyond that the closed form is well conditioned, and is taken.
"""

from string import Template

import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit import exponential, scalar
from mehler.derive.emit.fused import moments
from mehler.derive.emit.normal import rule
from mehler.derive.emit.program import Program, lower
from mehler.derive.stabilise.code import share
from mehler.derive.symbols import x

# The largest λρ at which the solution from ρ = 0 is taken.
SPLIT = 2.0

# Up to these b, rules of 16 and of 24 nodes are right to the last digits; and b θ for the falls.
FEW, MANY, FALL = 1.8, 5.0, 5.0

# E[φ], E[φ'] and E[e^{−b|z|}; one side], which belong to rows.
COLUMNS = ("mean", "tilt", "fade")

TEXT = '''
ROOT_HALF_PI = 1.2533141373155003
MEAN_HALF = 0.3989422804014327  # E[z; z > 0]

$rules
def row_moments(q$signature):
    """E[phi], E[phi'] and E[exp(-b z); z > 0] of variances."""
    with np.errstate(all="ignore"):
        fade = erfcx(jumps($arguments)[2] * np.sqrt(q) * SQRT_HALF) / 2
        return np.array([*in_parts(hermite, q$keywords)[0], fade])


@njit(**SCALAR)
def s_shape($plain):
    """phi = start + line x + bend exp(rate x) on one side, less the rate's sign; the slope on the other; jumps."""
$shape


@njit(**SUMMED)
def s_turns(nodes, b1, b2, t0, versor, inwards, whole, jump):
    """The two integrals over t = t0 x of [0, 1], of the correlation r from 0 (versor = 1) or from 1 (-1) on."""
    strength, scale, total, total_dot = b1 * b2, 2 / (1 + t0 * t0), 0.0, 0.0
    for n in range(nodes.shape[1]):
        t = t0 * nodes[0, n]
        inverse = 1 / (1 + t * t)
        sine = s_choose(inwards, 1 - t * t, 2 * t) * inverse
        lag = t0 * nodes[2, n] * s_choose(inwards, 1 - t * t0, -(t0 + t)) * inverse * scale
        one, two = b1 * sine, b2 * sine
        both = ROOT_HALF_PI * (one * s_erfcx(one * SQRT_HALF) + two * s_erfcx(two * SQRT_HALF))
        y = strength * lag
        gone = s_expm1(y)
        impulses, bent = whole * (whole - jump * both), jump * jump * (1 - both)
        weight = nodes[1, n] * inverse
        total += weight * lag * (impulses + bent * (gone / s_choose(y == 0, 1.0, y) - s_choose(y == 0, 0.0, 1.0)))
        total_dot += weight * (impulses + bent * gone)
    factor = 2 * versor * t0 * ONE_OVER_TWO_PI
    return factor * total, factor * total_dot


@njit(**CALLED)
def s_series(root1, root2, rho, sin_theta, mean1, tilt1, fade1, mean2, tilt2, fade2$parameters):
    """(K, K') of one pair, its variances not large."""
    start, line, bend, other, whole, jump, rate = s_shape($arguments)
    b1, b2, norm = rate * root1, rate * root2, root1 * root2
    strength = b1 * b2
    if strength * rho <= $split:
        k, k_dot, common = mean1 * mean2, tilt1 * tilt2, jump * jump * fade1 * fade2
        inwards, versor, away, t0 = True, 1.0, rho, rho / (1 + sin_theta)
    else:
        fade = s_erfcx((b1 + b2) * SQRT_HALF) / 2
        tops = start + bend
        slopes1, slopes2 = line * root1, line * root2
        lean1, lean2 = MEAN_HALF - b1 * fade1, MEAN_HALF - b2 * fade2
        k = start * start / 2 + start * (slopes1 + slopes2) * MEAN_HALF + slopes1 * slopes2 / 2
        k += bend * (start * (fade1 + fade2) + bend * fade + slopes1 * lean2 + slopes2 * lean1)
        k += tops * tops / 2 + tops * other * (root1 + root2) * MEAN_HALF + other * other * norm / 2
        tilt = -bend * rate
        k_dot = (other * other + line * line) / 2 + tilt * (line * (fade1 + fade2) + tilt * fade)
        common = jump * jump * fade
        inwards, versor, away = False, -1.0, -sin_theta * sin_theta / (1 + rho)
        t0 = sin_theta / (1 + rho)
    y = strength * away
    gone = s_expm1(y)
    g = s_choose(y == 0, 0.0, gone / s_choose(y == 0, 1.0, y) - 1)
    if max(b1, b2) <= $few:
        part, part_dot = s_turns(FEW, b1, b2, t0, versor, inwards, whole, jump)
    else:
        part, part_dot = s_turns(MANY, b1, b2, t0, versor, inwards, whole, jump)
    return k + norm * (away * (k_dot + common * g) + part), k_dot + common * gone + part_dot


@njit(**CALLED)
def s_parallel(root1, root2, root_k1, root_k2, root_d1, root_d2$parameters):
    """1 - K/sqrt(k1 k2) and 1 - K'/sqrt(d1 d2) of parallel inputs: half the squared distance of functions."""
    start, line, bend, other, _, _, rate = s_shape($arguments)
    b1, b2 = rate * root1, rate * root2
    top, tilt = (start + bend) / root_k1 - (start + bend) / root_k2, -bend * rate
    slope = other * root1 / root_k1 - other * root2 / root_k2
    total = (top * top + slope * slope) / 2 + 2 * top * slope * MEAN_HALF
    slope = other / root_d1 - other / root_d2
    total_dot = slope * slope / 2
    fixed, fixed_dot = line * root1 / root_k1 - line * root2 / root_k2, line / root_d1 - line / root_d2
    for n in range(DENSE.shape[1]):
        z = 9 * DENSE[0, n]
        gone1, gone2 = s_expm1(-b1 * z), s_expm1(-b2 * z)
        value = top + fixed * z + bend * (gone1 / root_k1 - gone2 / root_k2)
        value_dot = fixed_dot + tilt * ((1 + gone1) / root_d1 - (1 + gone2) / root_d2)
        weight = 9 * MEAN_HALF * DENSE[1, n] * s_exp_moderate(-z * z / 2)
        total += weight * value * value
        total_dot += weight * value_dot * value_dot
    return total / 2, total_dot / 2

'''

PAIR = """\
    if {rate} * max(root_q1, root_q2) <= {many}:
        return s_series(root_q1, root_q2, rho, sin_theta{moments}{parameters})
"""

FALLS = """\
    start, line, bend, other, whole, jump, rate = s_shape({arguments})
    b1, b2, t0 = rate * root_q1, rate * root_q2, sin_theta / (1 + rho)
    if max(b1, b2) * t0 > {fall} / 2:
        return np.nan, np.nan
    gap_k, gap_d = 0.0, 0.0
    if q1 != q2:
        if max(b1, b2) > 16.0:
            return np.nan, np.nan
        gap_k, gap_d = s_parallel(root_q1, root_q2, root_k1, root_k2, root_d1, root_d2{parameters})
    part, part_dot = s_turns(MANY, b1, b2, t0, -1.0, False, whole, jump)
    common = jump * jump * s_erfcx((b1 + b2) * SQRT_HALF) / 2
    versine, slope = sin_theta * sin_theta / (1 + rho), root_d1 * root_d2
    y = -b1 * b2 * versine
    gone = s_expm1(y)
    g = s_choose(y == 0, 0.0, gone / s_choose(y == 0, 1.0, y) - 1)
    fall = root_q1 * root_q2 * (versine * (slope * (1 - gap_d) + common * g) - part)
    return fall + root_k1 * root_k2 * gap_k, slope * gap_d - common * gone - part_dot"""


def applies(proved: ProvedDual) -> bool:
    """Whether φ is of this kind, and d = 1."""
    return exponential.applies(proved) and exponential.degree(proved) == 1


def text(proved: ProvedDual, signature: str, keywords: str, names: str) -> str:
    """The functions of TEXT for the activation of a proved dual."""
    plain = names.removeprefix(", ")
    return Template(TEXT).substitute(
        rules=_nodes("FEW", 16) + _nodes("MANY", 24) + rule("DENSE", 32, "3", "Nodes and weights for a density."),
        signature=signature,
        keywords=keywords,
        parameters=names,
        arguments=plain,
        plain=plain,
        shape=_shape(proved),
        split=SPLIT,
        few=FEW,
    )


def columns(proved: ProvedDual) -> tuple[str, ...]:
    """The names of what row_moments returns."""
    return COLUMNS


def pair(proved: ProvedDual, names: str) -> str:
    """What s_pair begins with."""
    arguments, given = names.removeprefix(", "), moments(COLUMNS)
    return PAIR.format(rate=f"s_shape({arguments})[6]", many=MANY, moments=given, parameters=names)


def falls(proved: ProvedDual, names: str) -> str:
    """The body of s_falls."""
    return FALLS.format(arguments=names.removeprefix(", "), parameters=names, fall=FALL)


def _nodes(name: str, order: int) -> str:
    """A rule on [0, 1], and 1 - x of its nodes."""
    source = rule(f"{name}_RULE", order, "0", "Nodes and weights on [0, 1], and the nodes' distances from 1.")
    return source.rstrip() + f"\n{name} = np.array((*{name}_RULE, 1 - {name}_RULE[0]))\n\n"


def programs(proved: ProvedDual) -> tuple[Program, ...]:
    """What s_shape returns: on x = side·|x|, with every slope taken outwards from 0."""
    phi = proved.activation
    parts = exponential.parts(proved)
    assert parts is not None
    _, whole, jump, rate, side = parts
    here, there = phi.pieces.pieces[(1 + side) // 2], phi.pieces.pieces[(1 - side) // 2]
    power = sp.expand(here - exponential.tail(here))
    bend = sp.simplify(exponential.tail(here).subs(x, 0))
    values = [power.subs(x, 0), side * sp.diff(power, x), bend, -side * sp.diff(there, x), whole, jump, rate]
    code = share(phi.parameters, [sp.simplify(v) for v in values], [])
    return (lower(code, parameters=phi.parameters),)


def _shape(proved: ProvedDual) -> str:
    """The body of s_shape."""
    (program,) = programs(proved)
    lines = [f"    {name} = {text}" for name, text in scalar.assignments(program)]
    return "\n".join([*lines, "    return " + ", ".join(f"1.0 * ({v})" for v in scalar.results(program))])
