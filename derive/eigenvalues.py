"""Eigenvalues of a network's kernel on the sphere to many digits, from its formulas.

    λ_k = |S^{d−2}|/|S^{d−1}| ∫₀^π κ(cos θ) P_k(cos θ) sin^{d−2}θ dθ,   P_k(1) = 1,

so that κ(ρ) = Σ λ_k N(d, k) P_k(ρ) for the uniform probability measure on S^{d−1} (Funk-Hecke). The trapezoidal
rule after θ = π/2 (1 + tanh(π/2 sinh t)) bears every singularity that a kernel has at θ = 0 and θ = π (H. Takahasi
and M. Mori, Publ. RIMS 9 (1974) 721). All k share the values of the kernel.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import mpmath
from sympy import Tuple

from mehler.derive.compose import Recursion
from mehler.derive.dual import bind
from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import compile_function, context
from mehler.derive.symbols import Delta, c, q, q1, q2

# Halvings of the step, the first being 1/4; 2^12 times 8 or so values of the kernel are minutes.
LEVELS = 12


def eigenvalues(
    recursion: Recursion, *, kernel: Literal["ntk", "nngp"], dimension: int, degree: int, digits: int
) -> tuple[list[Any], Any, Any]:
    """(λ_0 … λ_degree, κ(1), error) as mpf; |error| ≤ 10^−digits κ(1) bounds each λ_k. Raises DeriveError.

    The rows are scaled so that x·x/d = 1. The error is the largest change of any λ_k by the last halving of the
    step, each of which doubles the digits or so.
    """
    # Next to θ = 0 a kernel is a function of √(1 − ρ), which has half of the digits of ρ.
    ctx = context(2 * digits + 25)
    value = _kernel(recursion, kernel, ctx)
    top = value(ctx.one)
    unit, bits = abs(top) or ctx.one, ctx.prec + 20
    totals = [0] * (degree + 1)
    before: list[Any] = []
    step = ctx.mpf(1) / 4
    for level in range(LEVELS):
        for theta, weight in _nodes(ctx, step, level > 0, digits):
            rho = ctx.cos(theta)
            term = weight * value(rho) * ctx.sin(theta) ** (dimension - 2) / unit
            fixed = [int(ctx.ldexp(v, bits)) for v in (term, rho)]
            _add(totals, fixed[0], fixed[1], dimension, bits)
        scale = step * unit / _mass(ctx, dimension)
        now = [scale * ctx.ldexp(total, -2 * bits) for total in totals]
        if before:
            error = max(abs(a - b) for a, b in zip(now, before, strict=True))
            if level > 2 and error <= ctx.mpf(10) ** -digits * abs(top):
                return [_rounded(v) for v in now], _rounded(top), _rounded(error)
        before, step = now, step / 2
    raise DeriveError(f"the eigenvalues do not settle to {digits} digits; ask for fewer digits or a lower degree")


def _kernel(recursion: Recursion, kernel: str, ctx: Any) -> Callable[[Any], Any]:
    """κ(ρ) of rows with x·x/d = 1."""
    formulas = recursion.dual.dual.formulas
    constants = {s: ctx.mpf(int(v.p)) / int(v.q) for s, v in bind(recursion.dual.activation, {}).items()}
    w2, b2 = (ctx.mpf(int(s.p)) / int(s.q) for s in (recursion.sigma_w**2, recursion.sigma_b**2))
    both = compile_function(Tuple(formulas.kernel, formulas.kernel_dot), ctx)
    on_diagonal = compile_function(Tuple(formulas.kernel_diag, formulas.kernel_dot_diag), ctx)
    variances = [w2 + b2]
    diagonals = []
    for _ in range(recursion.depth):
        diagonals.append([ctx.re(v) for v in on_diagonal({**constants, q: variances[-1]})])
        variances.append(w2 * diagonals[-1][0] + b2)

    # Nearer to an end a formula may divide by what rounding has made 0; nodes there weigh nothing.
    least = ctx.mpf(10) ** (10 - ctx.dps)

    def value(rho: Any) -> Any:
        sigma = theta = w2 * rho + b2
        for variance, diagonal in zip(variances, diagonals, strict=False):
            sigma = max(sigma, variance * (least - 1))
            if sigma >= variance * (1 - least):
                k, k_dot = diagonal
            else:
                delta = (variance - sigma) * (variance + sigma)
                k, k_dot = map(ctx.re, both({**constants, q1: variance, q2: variance, c: sigma, Delta: delta}))
            sigma = w2 * k + b2
            theta = sigma + w2 * k_dot * theta
        return theta if kernel == "ntk" else sigma

    return value


def _nodes(ctx: Any, step: Any, odd: bool, digits: int) -> Iterator[tuple[Any, Any]]:
    """(θ, dθ/dt) at the multiples of the step, the odd ones alone where the others are known."""
    n = 1 if odd else 0
    while True:
        t = n * step
        u = ctx.pi / 2 * ctx.sinh(t)
        near = 1 / (1 + ctx.exp(2 * u))  # θ/π at −t, without cancellation
        weight = ctx.pi * ctx.pi * ctx.cosh(t) * near * (1 - near)
        yield ctx.pi * (1 - near), weight
        if n:
            yield ctx.pi * near, weight
        if weight < ctx.mpf(10) ** (-digits - 10):
            return
        n += 2 if odd else 1


def _add(totals: list[int], value: int, rho: int, dimension: int, bits: int) -> None:
    """value · P_k(ρ) to the total of each k: (k+d−2) P_{k+1} = (2k+d−2) ρ P_k − k P_{k−1}.

    In integers, ρ and P_k times 2^bits: |P_k| ≤ 1, and only absolute errors count.
    """
    before, now = 0, 1 << bits
    for k in range(len(totals)):
        totals[k] += value * now
        if k == 0:
            before, now = now, rho
        else:
            before, now = now, ((2 * k + dimension - 2) * (rho * now >> bits) - k * before) // (k + dimension - 2)


def _mass(ctx: Any, dimension: int) -> Any:
    """∫₀^π sin^{d−2}θ dθ = √π Γ((d−1)/2)/Γ(d/2)."""
    half = ctx.mpf(dimension) / 2
    return ctx.sqrt(ctx.pi) * ctx.gamma(half - ctx.mpf(1) / 2) / ctx.gamma(half)


def _rounded(value: Any) -> Any:
    """The same number outside of the private context."""
    return mpmath.mp.make_mpf(value._mpf_)
