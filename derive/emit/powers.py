"""Sums of real powers of |x| on each side of 0, in code: for each pair of exponents p, r one function of the angle.

    K = Σ q1^{p/2} q2^{r/2} κ(ρ),    κ a sum of two ₂F₁ in ρ² (derive/powers.py)

κ is analytic for |ρ| < 1. At ρ = ±1 it has, with z = sin²θ and e = (p + r + 1)/2, the form A(z) + z^e B(z), or one
with log z where e is an integer. So that nothing is large near such an e = m + ε, |ε| ≤ ½,

    κ = A(z) + z^m ((z^ε − 1)/ε) B(z),

of which ε = 0 is the limit. All three are Chebyshev series: A and B for z ≤ ½, as they are analytic up to z = 1,
and κ between. For K' the same, with e one less: where e ≤ 0 it is infinite at ρ = ±1. Where 0 < e < ½, and m would
be 0, the form A + z^e B is kept, whose A(0) is the scale of K' then.

The connection of both forms: NIST Digital Library of Mathematical Functions, 15.8.4 and 15.8.10.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from string import Template
from typing import Any

import mpmath
import sympy as sp

from mehler.derive import powers
from mehler.derive.dual import ProvedDual
from mehler.derive.errors import EmitError

DIGITS = 90
LIMIT = 30  # digits to which an integer e is approached, where the two forms have poles
MIDDLE, END = 60, 32  # members of series, before those that do not count are dropped
FAINT = 1e-18

TEXT = '''
FLAT = 8192  # pairs at a time, to stay in a cache
HALF_ROOT = 0.7071067811865476  # cosines beyond are near an end of the angle
# Of K and of K', for each pair of exponents of q1 and q2: these, m, epsilon, whether z**epsilon is taken less 1 and
# over epsilon; Chebyshev coefficients between the ends, and (A, B) at cos = 1 and at cos = -1.
PROFILES = (
$profiles)
# Exponents and factors of K(q, q) and of K'(q, q).
DIAGONALS = (
$diagonals)


def pair_by_powers(q1, q2, rho, sin_theta):
    """(K, K') of arrays that broadcast."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in (q1, q2, rho, sin_theta)))
    rho, sin_theta = (np.broadcast_to(a, shape).ravel() for a in (rho, sin_theta))
    results = []
    for profiles in PROFILES:
        total = np.zeros(shape)
        for one, two, *profile in profiles:
            values = np.empty(rho.shape)
            for start in range(0, len(rho), FLAT):
                part = slice(start, start + FLAT)
                values[part] = of_angle(rho[part], sin_theta[part], *profile)
            total += raised(q1, one) * raised(q2, two) * values.reshape(shape)
        results.append(total)
    return results


def raised(q, exponent):
    """A power of a variance, to an exponent and its rounding; a negative one of 0, where phi has no slope, is 0."""
    (exponent, rounding), q = exponent, np.asarray(q, np.float64)
    positive = np.where(q > 0, q, 1.0)
    value = positive**exponent
    if rounding:  # which the logarithm of a large or small variance multiplies
        value *= 1 + rounding * np.log(positive)
    return np.where(q > 0, value, 0.0 if exponent else 1.0)


def of_angle(rho, sin_theta, m, epsilon, lessened, between, *ends):
    """One of the functions of the angle."""
    values = chebyshev(rho / HALF_ROOT, between)
    for side, (whole, part) in zip((1, -1), ends):
        near = np.flatnonzero(side * rho > HALF_ROOT)
        if len(near):
            z = sin_theta[near] ** 2
            y = 4 * z - 1
            values[near] = chebyshev(y, whole) + singular(z, m, epsilon, lessened) * chebyshev(y, part)
    return values


def singular(z, m, epsilon, lessened):
    """z**m (z**epsilon - 1)/epsilon, or the power alone; at z = 0 its limit."""
    logs = np.log(np.maximum(z, 1e-320))
    if not lessened:
        return np.where(z > 0, np.exp((m + epsilon) * logs), 0.0)
    value = np.expm1(epsilon * logs) / epsilon if epsilon else logs
    return np.where(z > 0, value * z**m, 0.0 if m else -np.inf)


def chebyshev(x, coefficients):
    """A sum of Chebyshev's polynomials."""
    value, after = np.zeros_like(x), np.zeros_like(x)
    for coefficient in coefficients[:0:-1]:
        value, after = 2 * x * value + (coefficient - after), value
    return x * value + (coefficients[0] - after)

'''

FALLS = """
# Of sqrt(K11 K22) - K over a power of sqrt(q1 q2), and of the same of K': (A(0) - A)/z, and -B.
FALLS = (
$falls)


def fall_by_powers(norm, sin_theta, exponent, m, epsilon, lessened, whole, part):
    z = np.minimum(sin_theta * sin_theta, 0.5)
    y = 4 * z - 1
    rest = z * chebyshev(y, whole) + singular(z, m, epsilon, lessened) * chebyshev(y, part)
    return raised(norm, exponent) * rest

"""

# Where K' is infinite on the diagonal there is no tangent kernel, and nothing is computed of one.
GUARD = """\
    if tangent:
        raise ValueError("E[phi'(u)**2] is infinite, and so is the tangent kernel of a row with itself; use nngp")
"""
NO_SLOPE = "diagonal(q)[0], np.ones_like(q)"

BODIES = {
    "pair": """\
    with np.errstate(all="ignore"):
        return pair_by_powers(q1, q2, rho, sin_theta)""",
    "diagonal": """\
    with np.errstate(all="ignore"):
        return [sum(raised(q, power) * factor for power, factor in terms) for terms in DIAGONALS]""",
}

FALLEN = """\
    norm = np.sqrt(q1) * np.sqrt(q2)
    with np.errstate(all="ignore"):
        found = [np.maximum(fall_by_powers(norm, sin_theta, *fall), 0) for fall in FALLS]
        return found if len(found) > 1 else (*found, np.zeros_like(found[0]))"""


@dataclass(frozen=True)
class Profile:
    """κ for a pair of exponents: its values at given precision by cos θ, and (A, B) by z at either end."""

    p: sp.Rational
    r: sp.Rational
    e: sp.Rational
    weights: tuple[Any, Any]  # of the even and the odd ₂F₁

    @property
    def m(self) -> int:
        return max(0, int(sp.floor(self.e + sp.Rational(1, 2))))

    @property
    def epsilon(self) -> sp.Rational:
        return self.e - self.m

    @property
    def lessened(self) -> bool:
        return self.m > 0 or bool(self.e <= 0)

    def between(self, ctx: Any, rho: Any) -> Any:
        terms = zip(self.weights, self._parameters(ctx, 0), strict=True)
        return sum(w * scale(rho) * ctx.hyp2f1(a, b, c, rho**2) for w, (scale, a, b, c) in terms)

    def at_end(self, ctx: Any, z: Any, side: int) -> tuple[Any, Any]:
        """(A, B) at cos θ = side·√(1 − z)."""
        shift = ctx.mpf(10) ** -LIMIT if self.epsilon == 0 else 0
        epsilon = shift or ctx.mpf(int(self.epsilon.p)) / int(self.epsilon.q)
        rho = side * ctx.sqrt(1 - z)
        first = second = ctx.zero
        for w, (scale, a, b, c) in zip(self.weights, self._parameters(ctx, shift), strict=True):
            e, factor = c - a - b, w * scale(rho) * ctx.gamma(c)
            first += factor * ctx.gamma(e) * ctx.rgamma(c - a) * ctx.rgamma(c - b) * ctx.hyp2f1(a, b, 1 - e, z)
            one, two = c - a, c - b
            second += factor * ctx.gamma(-e) * ctx.rgamma(a) * ctx.rgamma(b) * ctx.hyp2f1(one, two, 1 + e, z)
        return (first + z**self.m * second, epsilon * second) if self.lessened else (first, second)

    def _parameters(self, ctx: Any, shift: Any) -> list[tuple[Callable[[Any], Any], Any, Any, Any]]:
        p, r = (ctx.mpf(int(v.p)) / int(v.q) + shift for v in (self.p, self.r))
        half = ctx.mpf(1) / 2
        return [
            (lambda rho: ctx.one, -p / 2, -r / 2, half),
            (lambda rho: 2 * rho, (1 - p) / 2, (1 - r) / 2, 3 * half),
        ]


def applies(proved: ProvedDual) -> bool:
    """Whether the dual is one of real powers."""
    return bool(proved.kernel.has(sp.hyper))


def refuse(proved: ProvedDual) -> None:
    """Raise EmitError for real powers, of a target that has no code for them."""
    if applies(proved):
        raise EmitError(
            f"{proved.activation.text!r}, of real powers, has code for the target numpy alone; use that"
        )


def functions(proved: ProvedDual) -> str:
    """The functions of TEXT, and of FALLS where φ is a single power. Raises EmitError for parameters."""
    if proved.activation.parameters:
        name = proved.activation.parameters[0].name
        raise EmitError(
            f"code for real powers needs a number for every parameter; give {name} one, e.g. {name}=1.5"
        )
    ctx = mpmath.mp.clone()
    ctx.dps = DIGITS
    both = profiles(proved, ctx)
    text = Template(TEXT).substitute(
        profiles="".join(f"    ({''.join(_entry(ctx, each) for each in of_one)}),\n" for of_one in both),
        diagonals="".join(f"    ({''.join(_diagonal(ctx, each) for each in of_one)}),\n" for of_one in both),
    )
    if falls(proved):
        finite = [of_one[0] for of_one in both if of_one[0].e > 0]
        text += Template(FALLS).substitute(falls="".join(_fall(ctx, profile) for profile in finite))
    return text


def infinite(proved: ProvedDual) -> bool:
    """Whether K' is infinite on the diagonal."""
    return proved.kernel_dot_diag is sp.oo


def falls(proved: ProvedDual) -> str:
    """The body of falls, where φ is a single power."""
    exponents = {p for p, _ in powers.of(proved.activation.pieces)}
    return FALLEN if len(exponents) == 1 else ""


def profiles(proved: ProvedDual, ctx: Any) -> tuple[list[Profile], list[Profile]]:
    """Those of K and of K'."""
    phi = powers.of(proved.activation.pieces)
    return _profiles(phi, ctx), _profiles(powers.derivative(phi), ctx)


def _profiles(phi: Mapping[tuple[sp.Expr, int], sp.Expr], ctx: Any) -> list[Profile]:
    exponents = sorted({p for p, _ in phi})
    found = []
    for p in exponents:
        for r in exponents:
            weights = []
            for parity in (0, 1):
                size = phi.get((p, parity), sp.S.Zero) * phi.get((r, parity), sp.S.Zero)
                gammas = [sp.gamma((v + 1 + parity) / 2) for v in (p, r)]
                value = size * sp.sqrt(2) ** (p + r) / sp.pi * sp.Mul(*gammas)
                weights.append(ctx.mpf(sp.N(value, DIGITS)._mpf_) if value != 0 else ctx.zero)
            if any(weights):
                found.append(Profile(p, r, (p + r + 1) / 2, (weights[0], weights[1])))
    return found


def _entry(ctx: Any, profile: Profile) -> str:
    """A member of PROFILES."""
    root = ctx.sqrt(ctx.mpf(1) / 2)
    between = _coefficients(ctx, MIDDLE, lambda y: [profile.between(ctx, root * y)])[0]
    ends = [_coefficients(ctx, END, partial(_at_end, ctx, profile, side)) for side in (1, -1)]
    numbers = [_numbers(between), *(f"({_numbers(a)}, {_numbers(b)})" for a, b in ends)]
    head = f"{_exact(profile.p / 2)}, {_exact(profile.r / 2)}, {_form(profile)}"
    return "(" + ", ".join([head, *numbers]) + "),\n        "


def _at_end(ctx: Any, profile: Profile, side: int, y: Any) -> tuple[Any, Any]:
    return profile.at_end(ctx, (1 + y) / 4, side)


def _form(profile: Profile) -> str:
    return f"{profile.m}, {float(profile.epsilon)!r}, {profile.lessened}"


def _diagonal(ctx: Any, profile: Profile) -> str:
    """A member of DIAGONALS: κ at cos θ = 1."""
    power = f"({_exact((profile.p + profile.r) / 2)}, "
    if profile.e <= 0:
        return power + "np.inf), "
    return power + f"{float(profile.at_end(ctx, ctx.zero, 1)[0])!r}), "


def _fall(ctx: Any, profile: Profile) -> str:
    """A member of FALLS."""
    start = profile.at_end(ctx, ctx.zero, 1)[0]

    def values(y: Any) -> list[Any]:
        z = (1 + y) / 4
        whole, part = profile.at_end(ctx, z, 1)
        return [(start - whole) / z, -part]

    whole, part = _coefficients(ctx, END, values)
    return f"    ({_exact(profile.p)}, {_form(profile)}, {_numbers(whole)}, {_numbers(part)}),\n"


def _coefficients(ctx: Any, count: int, function: Callable[[Any], Sequence[Any]]) -> list[list[float]]:
    """Chebyshev's of several functions on [−1, 1], those at the end dropped that do not count."""
    nodes = [ctx.cos(ctx.pi * (2 * n + 1) / (2 * count)) for n in range(count)]
    columns = zip(*map(function, nodes), strict=True)
    angles = [ctx.cos(ctx.pi * n / (2 * count)) for n in range(4 * count)]
    found = []
    for column in columns:
        row = [
            2 * ctx.fdot((v, angles[k * (2 * n + 1) % (4 * count)]) for n, v in enumerate(column)) / count
            for k in range(count)
        ]
        row[0] /= 2
        size = max(1.0, *(float(abs(a)) for a in row))
        last = max((k for k, a in enumerate(row) if abs(a) > FAINT * size), default=0)
        found.append([float(a) for a in row[: last + 1]])
    return found


def _exact(exponent: sp.Rational) -> str:
    """A number rounded, and what is lost in that."""
    rounded = float(exponent)
    return f"({rounded!r}, {float(exponent - sp.Rational(rounded))!r})"


def _numbers(values: list[float]) -> str:
    return "(" + "".join(f"{v!r}, " for v in values) + ")"
