"""Polynomials in place of libm, whose functions a compiler cannot vectorise: fitted here, in forty digits.

    atan t        = t + t³ P(t²)                        |t| ≤ tan π/8
    asin t        = t + t³ P(t²)                        |t| ≤ 1/2, and with fewer terms |t| ≤ sin π/8
    atanh t       = t + t³ P(t²)                        |t| ≤ (√2 − 1)/(√2 + 1); 2 atanh t = log((1 + t)/(1 − t))
    exp r         = 1 + r + r² P(r)                     |r| ≤ ½ ln 2, and 2ᵏ exp r = exp(r + k ln 2)
    expm1 r       = r + r² P(r)                         the same P
    erfcx x       = P((x − 4)/(x + 4)) / (1 + 2x)       x ≥ 0 (M. M. Shepherd and J. G. Laframboise,
                                                        Math. Comp. 36 (1981) 249)
    erf x         = 2/√π (x + x³ P(x²))                 x² ≤ ½

Each P interpolates at the nodes of Chebyshev, which is within a factor of 3 of the best there is, and its
coefficients are rounded once. `error` is what remains: the largest relative error of the function, its
polynomial evaluated exactly, on a dense set of points.
"""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath

DIGITS = 40
SAMPLES = 1500

WIDTH = 104

# Enough for 2⁻⁵⁶: rounding at evaluation then decides.
DEGREES = {"asin": 13, "asin_pi_8": 9, "atan": 10, "atanh": 6, "exp": 10, "erfcx": 26, "erf": 10}

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Approximant:
    """Coefficients from the constant term on, and the largest relative error of the function made of them."""

    coefficients: tuple[float, ...]
    error: float

    def lines(self, result: str, variable: str) -> str:
        """Code that sets `result` to the polynomial in `variable`, by pairs (G. Estrin): shallow, for pipelines."""
        terms, lines, power, degree = [repr(a) for a in self.coefficients], [], variable, 1
        while len(terms) > 1:
            terms = [_pair(*terms[n : n + 2], power=power) for n in range(0, len(terms), 2)]
            if len(terms) > 1:
                degree *= 2
                lines.append(f"{variable}{degree} = {power} * {power}")
                power = f"{variable}{degree}"
        text = textwrap.fill(terms[0], WIDTH, break_long_words=False, break_on_hyphens=False)
        return textwrap.indent("\n".join([*lines, f"{result} = (", textwrap.indent(text, "    "), ")"]), "    ")


def _pair(low: str, high: str = "", *, power: str) -> str:
    return f"({low} + {high} * {power})" if high else low


def horner(coefficients: list[str], variable: str) -> str:
    """a₀ + x(a₁ + x(a₂ + …)) as an expression that reads from the highest term on."""
    text = coefficients[-1]
    for a in reversed(coefficients[:-1]):
        text = f"({text}) * {variable} " + (f"- {a[1:]}" if a.startswith("-") else f"+ {a}")
    return text


@cache
def approximant(name: str) -> Approximant:
    """The polynomial P of a function of `DEGREES`."""
    ctx = mpmath.mp.clone()
    ctx.dps = DIGITS
    function, low, high, whole = _problem(ctx, name)
    degree = DEGREES[name]
    nodes = [
        (low + high) / 2 + (high - low) / 2 * ctx.cos(ctx.pi * (2 * k + 1) / (2 * degree + 2))
        for k in range(degree + 1)
    ]
    powers = ctx.matrix([[node**j for j in range(degree + 1)] for node in nodes])
    solution = ctx.lu_solve(powers, ctx.matrix([function(node) for node in nodes]))
    coefficients = tuple(float(a) for a in solution)
    return Approximant(coefficients, _error(ctx, coefficients, function, low, high, whole))


def _problem(ctx: Any, name: str) -> tuple[Function, Any, Any, Callable[[Any, Any], Any]]:
    """P as a function, its interval, and the relative error of the whole at z that an error of P makes."""
    zero, one = ctx.zero, ctx.one
    if name == "atan":

        def arc(z: Any) -> Any:
            return (ctx.atan(ctx.sqrt(z)) / ctx.sqrt(z) - 1) / z if z > ctx.mpf(10) ** -12 else -one / 3 + z / 5

        return arc, zero, ctx.tan(ctx.pi / 8) ** 2 * (1 + ctx.mpf(2) ** -20), lambda z, p: z * p / (1 + z * arc(z))
    if name in ("asin", "asin_pi_8"):

        def bow(z: Any) -> Any:
            return (ctx.asin(ctx.sqrt(z)) / ctx.sqrt(z) - 1) / z if z > ctx.mpf(10) ** -12 else one / 6 + 3 * z / 40

        high = one / 4 if name == "asin" else ctx.sin(ctx.pi / 8) ** 2 * (1 + ctx.mpf(2) ** -20)
        return bow, zero, high, lambda z, p: z * p / (1 + z * bow(z))
    if name == "atanh":

        def ratio(z: Any) -> Any:
            return (ctx.atanh(ctx.sqrt(z)) / ctx.sqrt(z) - 1) / z if z > ctx.mpf(10) ** -12 else one / 3 + z / 5

        root = (ctx.sqrt(2) - 1) / (ctx.sqrt(2) + 1)
        return ratio, zero, root**2 * (1 + ctx.mpf(2) ** -20), lambda z, p: z * p / (1 + z * ratio(z))
    if name == "exp":

        def tail(r: Any) -> Any:
            return (ctx.expm1(r) - r) / r**2 if abs(r) > ctx.mpf(10) ** -12 else one / 2 + r / 6

        half = ctx.log(2) / 2 * (1 + ctx.mpf(2) ** -20)  # rounding may pass the middle
        return tail, -half, half, lambda r, p: r * p / (1 + r * tail(r))  # of expm1, which is the harder
    if name == "erfcx":

        def scaled(t: Any) -> Any:
            x = 4 * (1 + t) / (1 - t) if t < 1 else ctx.inf
            if x > 1000:  # 2x erfcx(x) √π/2 → 1
                y = 1 / (2 * x * x) if x < ctx.inf else zero
                return (1 + 1 / (2 * x)) * 2 / ctx.sqrt(ctx.pi) * (1 - y + 3 * y**2 - 15 * y**3 + 105 * y**4)
            return (1 + 2 * x) * ctx.exp(x * x) * ctx.erfc(x)

        return scaled, -one, one, lambda t, p: p / scaled(t)

    def rest(z: Any) -> Any:
        return (
            (ctx.erf(ctx.sqrt(z)) / ctx.sqrt(z) * ctx.sqrt(ctx.pi) / 2 - 1) / z
            if z > ctx.mpf(10) ** -12
            else -one / 3 + z / 10
        )

    return rest, zero, one / 2, lambda z, p: z * p / (1 + z * rest(z))


def _error(ctx: Any, coefficients: tuple[float, ...], function: Function, low: Any, high: Any, whole: Any) -> float:
    worst = ctx.zero
    for k in range(SAMPLES + 1):
        z = low + (high - low) * k / SAMPLES
        worst = max(worst, abs(whole(z, ctx.polyval(coefficients[::-1], z) - function(z))))
    return float(worst)
