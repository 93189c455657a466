"""From a proved formula to straight-line code in the state that a pair of inputs carries.

The state is (q1, q2, ρ, s): the two variances and the point (ρ, s) = (cos θ, sin θ) of the pair's angle on
the unit half-circle. Both coordinates may be known to full relative accuracy, at either pole: θ = atan2(s, ρ)
and π − θ = atan2(s, −ρ). Covariance and determinant follow as c = √q1√q2·ρ and Δ = (√q1√q2·s)²; since the
theorem leaves every formula in (q1, q2, c, Δ) without subtraction, nothing is lost near ρ = ±1.

Rules, each an identity:
* angle    asin(N/√P) = atan2(N, √(P − N²)), with P − N² a polynomial in Δ; also as π/2 − atan2(√(P − N²), N)
           and atan2(√(P − N²), −N) − π/2, whichever merges with the terms around it;
* scale    atan2(t·y, t·x) = atan2(y, x) for t > 0;
* growth   e^E sinh g = ½ sign(g) e^(E+|g|) (1 − e^(−2|g|)), likewise cosh: no overflow times underflow;
* expm1    k − k·e^g = −k·expm1(g), whenever the constants of a sum of exponentials cancel at g = 0;
* square   −αq1 − βq2 + γc = −(√(αq1) − √(βq2))² − (2√(αβ) − γ)√(q1q2) − γ√(q1q2)(1 − cos θ) in an exponent;
* share    a subexpression that occurs twice is computed once.
"""

from dataclasses import dataclass

import sympy as sp
from sympy.codegen.cfunctions import expm1

from mehler.derive.canonical import canonical, eliminate_c, steadiest
from mehler.derive.dual import ProvedDual
from mehler.derive.symbols import Delta, c, q, q1, q2, rho, sin_theta

norm = sp.Symbol("norm", positive=True)
covariance = sp.Symbol("c", real=True)
det = sp.Symbol("det", nonnegative=True)


@dataclass(frozen=True)
class StraightLine:
    """Assignments in order, then outputs; expressions in inputs and earlier names."""

    inputs: tuple[sp.Symbol, ...]
    assignments: tuple[tuple[sp.Symbol, sp.Expr], ...]
    outputs: tuple[sp.Expr, ...]


@dataclass(frozen=True)
class Stable:
    """The pair (K, K̇) of (q1, q2, ρ, s, parameters), and the diagonal (K, K̇) of (q, parameters)."""

    pair: StraightLine
    diagonal: StraightLine


def stabilise(proved: ProvedDual) -> Stable:
    """Well-conditioned straight-line forms of a proved dual."""
    parameters = proved.activation.parameters
    formulas = proved.dual.formulas
    pair = [_in_state(canonical(f, with_delta=True)) for f in (formulas.kernel, formulas.kernel_dot)]
    diagonal = [
        _expm1(_angles(canonical(f, with_delta=True))) for f in (formulas.kernel_diag, formulas.kernel_dot_diag)
    ]
    return Stable(
        pair=_share((q1, q2, rho, sin_theta, *parameters), pair, _state_names()),
        diagonal=_share((q, *parameters), diagonal, []),
    )


def _state_names() -> list[tuple[sp.Symbol, sp.Expr]]:
    return [
        (norm, sp.sqrt(q1) * sp.sqrt(q2)),
        (covariance, norm * rho),
        (det, (norm * sin_theta) ** 2),
    ]


class OneMinusCos(sp.Function):  # type: ignore[misc]
    """1 − cos θ from (cos θ, sin θ), accurate where cos θ is near 1."""

    nargs = 2


def _in_state(expr: sp.Expr) -> sp.Expr:
    expr = _squares(_growth(_expm1(_angles(expr))))
    return expr.replace(
        lambda e: e.is_Pow and e.base == Delta and not e.exp.is_Integer,
        lambda e: (norm * sin_theta) ** (2 * e.exp),
    ).xreplace({c: covariance, Delta: det})


def _angles(expr: sp.Expr) -> sp.Expr:
    """Every asin as an atan2 of a numerator and a determinant, in the form that subtracts least."""
    for asin in sorted(expr.atoms(sp.asin), key=sp.default_sort_key):
        opposite, adjacent = _sides(asin.args[0])
        forms = [
            sp.atan2(opposite, adjacent, evaluate=False),
            sp.pi / 2 - sp.atan2(adjacent, opposite, evaluate=False),
            sp.atan2(adjacent, -opposite, evaluate=False) - sp.pi / 2,
        ]
        expr = steadiest([_merge_constants(expr.xreplace({asin: form})) for form in forms])
    return expr


def _merge_constants(expr: sp.Expr) -> sp.Expr:
    """Expanded over the angles, so that a constant beside an angle can cancel; like factors collected again."""
    angles = list(expr.atoms(sp.atan2))
    expanded = sp.collect(sp.expand(expr), angles, sp.factor)
    return steadiest([sp.factor_terms(expanded), expanded, expr])


def _expm1(expr: sp.Expr) -> sp.Expr:
    def rule(total: sp.Expr) -> sp.Expr:
        split = [term.as_coeff_Mul() for term in total.args]
        weights = {factor: number for number, factor in split if isinstance(factor, sp.exp)}
        constant = sp.Add(*(term for term in total.args if term.is_number))
        if constant == 0 or constant + sp.Add(*weights.values()) != 0:
            return total
        return total - constant + sp.Add(*(k * (expm1(e.exp) - e) for e, k in weights.items()))

    return expr.replace(lambda e: e.is_Add, rule)


def _growth(expr: sp.Expr) -> sp.Expr:
    """Hyperbolic functions merged with the exponential beside them."""
    if isinstance(expr, sp.sinh | sp.cosh):
        expr = sp.Mul(expr, sp.S.One, evaluate=False)
    if not expr.args:
        return expr
    if not expr.is_Mul:
        return expr.func(*(_growth(a) for a in expr.args))
    exponent, rest = sp.S.Zero, sp.S.One
    for factor in expr.args:
        if isinstance(factor, sp.exp):
            exponent += factor.exp
        elif isinstance(factor, sp.sinh | sp.cosh):
            size = sp.Abs(factor.args[0])
            exponent += size
            if isinstance(factor, sp.sinh):
                rest *= -sp.sign(factor.args[0]) * expm1(-2 * size) / 2
            else:
                rest *= (1 + sp.exp(-2 * size)) / 2
        else:
            rest *= _growth(factor)
    return sp.exp(sp.expand(exponent)) * rest


def _squares(expr: sp.Expr) -> sp.Expr:
    return expr.replace(lambda e: isinstance(e, sp.exp), lambda e: sp.exp(_square(e.exp)))


def _square(exponent: sp.Expr) -> sp.Expr:
    """The square rule, where the exponent has its form; |c| may stand for c, and |cos θ| then for cos θ."""
    expanded = sp.expand(exponent)
    for cov, cosine in ((c, rho), (sp.Abs(c), sp.Abs(rho))):
        alpha, beta, gamma = (expanded.coeff(v) for v in (q1, q2, cov))
        rest = sp.expand(expanded - alpha * q1 - beta * q2 - gamma * cov)
        if rest.has(q1, q2, c) or not (alpha.is_negative and beta.is_negative and gamma.is_positive):
            continue
        gap = (sp.sqrt(-alpha) * sp.sqrt(q1) - sp.sqrt(-beta) * sp.sqrt(q2)) ** 2
        slack = sp.simplify(2 * sp.sqrt(alpha * beta) - gamma)
        return rest - gap - slack * norm - gamma * norm * OneMinusCos(cosine, sin_theta)
    return exponent


def _sides(ratio: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(N, √(P − N²)) of N/√P, up to a common positive factor."""
    numerator, denominator = sp.fraction(sp.together(ratio))
    square = sp.expand(denominator**2)
    rest = sp.factor(eliminate_c(sp.expand(square - numerator**2)))
    if rest == Delta:
        return rho, sin_theta
    return numerator, sp.sqrt(rest)


def _share(
    inputs: tuple[sp.Symbol, ...], outputs: list[sp.Expr], known: list[tuple[sp.Symbol, sp.Expr]]
) -> StraightLine:
    shared, reduced = sp.cse(outputs, symbols=sp.numbered_symbols("shared"), order="canonical")
    names: dict[sp.Symbol, sp.Symbol] = {}
    counts: dict[str, int] = {}
    assignments = []
    for symbol, value in shared:
        if value.is_number:
            names[symbol] = value
            continue
        kind = _kind(value)
        counts[kind] = counts.get(kind, 0) + 1
        names[symbol] = sp.Symbol(f"{kind}{counts[kind]}")
        assignments.append((names[symbol], value.xreplace(names)))
    reduced = [value.xreplace(names) for value in reduced]
    used = set().union(*(v.free_symbols for _, v in assignments), *(v.free_symbols for v in reduced))
    needed: list[tuple[sp.Symbol, sp.Expr]] = []
    for symbol, value in reversed(known):
        if symbol in used:
            needed.insert(0, (symbol, value))
            used |= value.free_symbols
    return StraightLine(inputs, tuple(needed + assignments), tuple(reduced))


def _kind(value: sp.Expr) -> str:
    """What a shared quantity is, for its name."""
    if isinstance(value, sp.atan2):
        return "angle"
    if isinstance(value, sp.exp):
        return "exponential"
    if value.is_Pow and value.exp == sp.Rational(1, 2):
        return "root"
    return {sp.Add: "sum", sp.Mul: "product", sp.Pow: "power"}.get(value.func, str(value.func.__name__).lower())
