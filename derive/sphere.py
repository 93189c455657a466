"""The dual on the sphere q1 = q2 = 1: h(ρ) = K(1, 1, ρ) and ḣ(ρ) = K̇(1, 1, ρ), as formulas and as power series.

h(ρ) = Σₙ aₙ² ρⁿ, where aₙ = E[φ(z) Heₙ(z)]/√n! are the normalised Hermite coefficients of φ. So the coefficients
of h are ≥ 0, and those of ḣ are (n+1) aₙ₊₁², unless φ jumps and ḣ is that of the almost-everywhere derivative.
F. G. Mehler, J. reine angew. Math. 66 (1866) 161; A. Daniely, R. Frostig and Y. Singer, NeurIPS 2016.

A series comes by Taylor arithmetic: each node of a formula maps the exact truncated series of its arguments to its
own, so that no n-th derivative is ever written out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from mehler.derive.canonical import canonical, smallest
from mehler.derive.dual import ProvedDual
from mehler.derive.errors import DeriveError
from mehler.derive.latex import latex
from mehler.derive.special import Phi2
from mehler.derive.symbols import Delta, c, q1, q2, rho

Series = list[sp.Expr]


@dataclass(frozen=True)
class Sphere:
    """h = `kernel` and ḣ = `kernel_dot`, in ρ ∈ [−1, 1] and the parameters of φ."""

    kernel: sp.Expr
    kernel_dot: sp.Expr

    def series(self, n: int) -> tuple[sp.Expr, ...]:
        """The coefficients of ρ⁰ … ρⁿ⁻¹ in h, exact: squared Hermite coefficients of φ. Raises DeriveError."""
        return series(self.kernel, n)

    def series_dot(self, n: int) -> tuple[sp.Expr, ...]:
        """The coefficients of ρ⁰ … ρⁿ⁻¹ in ḣ, exact. Raises DeriveError."""
        return series(self.kernel_dot, n)

    def latex(self) -> str:
        """h and ḣ as LaTeX."""
        rows = [rf"h(\rho) &= {latex(self.kernel)}", rf"\dot h(\rho) &= {latex(self.kernel_dot)}"]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return f"h(rho)    = {self.kernel}\nh'(rho)   = {self.kernel_dot}"


def sphere(result: ProvedDual) -> Sphere:
    """K and K̇ of a proved dual at q1 = q2 = 1, c = ρ."""
    return Sphere(_on_sphere(result.kernel), _on_sphere(result.kernel_dot))


def series(formula: sp.Expr, n: int) -> tuple[sp.Expr, ...]:
    """The first n coefficients of the power series of `formula` about ρ = 0.

    Raises DeriveError when n < 0, or when a node of the formula has no power series there.
    """
    if n < 0:
        raise DeriveError(f"a series of {n} coefficients does not exist; ask for 0 or more")
    return tuple(_short(value) for value in _Taylor().of(formula, n))


def _on_sphere(expr: sp.Expr) -> sp.Expr:
    """The smallest form found of `expr` at q1 = q2 = 1."""
    # The normal form knows the domain of c, not of ρ.
    raw = expr.subs(Delta, q1 * q2 - c**2).subs({q1: 1, q2: 1}).replace(Phi2, _symmetric)
    forms = []
    for form in (raw, canonical(raw)):
        joined = _join_roots(form)
        forms += [form, joined, _collected(joined), _in_arccosine(joined)]
    return smallest(forms).subs(c, rho)


def _symmetric(h: sp.Expr, k: sp.Expr, r: sp.Expr) -> sp.Expr:
    """Φ₂(h, k; r) = Φ₂(k, h; r): equal variances make twins that the general formula keeps apart."""
    return Phi2(*sorted((h, k), key=sp.default_sort_key), r)


def _join_roots(expr: sp.Expr) -> sp.Expr:
    """√A·√B written √(AB) in every product, where that multiplies out to a shorter radicand."""

    def join(product: sp.Expr) -> sp.Expr:
        by_exponent: dict[sp.Rational, list[sp.Expr]] = defaultdict(list)
        others: list[sp.Expr] = []
        for factor in product.args:
            half = factor.is_Pow and factor.exp.is_Rational and factor.exp.q == 2 and factor.base.has(c)
            (by_exponent[factor.exp] if half else others).append(factor.base if half else factor)
        roots = [smallest([sp.expand(sp.Mul(*b)), sp.Mul(*b)]) ** e for e, b in by_exponent.items()]
        return sp.Mul(*others, *roots)

    return expr.replace(lambda e: e.is_Mul, join)


def _collected(expr: sp.Expr, angles: Sequence[sp.Symbol] = ()) -> sp.Expr:
    """`expr` over one denominator, its numerator collected by arcsines and roots, or by powers of ρ."""
    numerator, denominator = sp.fraction(sp.together(expr))
    found = [e for e in numerator.atoms(sp.asin, sp.Pow) if not e.is_polynomial(c)]
    numerator = sp.expand(numerator)
    generators = [*angles, *sorted(found, key=sp.default_sort_key)]
    forms = [sp.collect(numerator, generators, sp.factor), sp.collect(numerator, c)]
    return smallest([sp.factor_terms(form) / denominator for form in forms])


def _in_arccosine(expr: sp.Expr) -> sp.Expr:
    """`expr` with asin z = ψ − π/2, collected in the angle ψ = π − acos z."""
    angles = {e: sp.Dummy(f"psi{n}") for n, e in enumerate(sorted(expr.atoms(sp.asin), key=sp.default_sort_key))}
    turned = expr.xreplace({e: psi - sp.pi / 2 for e, psi in angles.items()})
    return _collected(turned, list(angles.values())).xreplace(
        {psi: sp.pi - sp.acos(e.args[0]) for e, psi in angles.items()}
    )


class _Taylor:
    """Exact truncated power series in ρ of the nodes of a formula, each computed once."""

    def __init__(self) -> None:
        self.known: dict[tuple[sp.Expr, int], Series] = {}

    def of(self, expr: sp.Expr, n: int) -> Series:
        """The coefficients of ρ⁰ … ρⁿ⁻¹ in `expr`."""
        if n <= 0:
            return []
        if (expr, n) not in self.known:
            self.known[expr, n] = self._of(expr, n)
        return self.known[expr, n]

    def _of(self, expr: sp.Expr, n: int) -> Series:
        if not expr.has(rho):
            return [expr] + [sp.S.Zero] * (n - 1)
        if expr == rho:
            return [sp.S.Zero, sp.S.One, *[sp.S.Zero] * n][:n]
        if expr.is_Add:
            return [sp.Add(*terms) for terms in zip(*(self.of(a, n) for a in expr.args), strict=True)]
        if expr.is_Mul:
            constant, moving = expr.as_independent(rho, as_Add=False)
            product, *others = (self.of(a, n) for a in sp.Mul.make_args(moving))
            for other in others:
                product = _times(product, other)
            return [sp.expand(constant * value) for value in product]
        if isinstance(expr, sp.exp):
            return self._exponential(self.of(expr.exp, n))
        if expr.is_Pow and not expr.exp.has(rho):
            return _power(self.of(expr.base, n), expr.exp)
        if isinstance(expr, sp.Function):
            return self._composed(expr, n)
        return _by_definition(expr, n)

    def _composed(self, expr: sp.Expr, n: int) -> Series:
        """f(g₁, …) from its derivative Σ ∂ᵢf(g) gᵢ', which is one order shorter."""
        slope = [sp.S.Zero] * (n - 1)
        for i, argument in enumerate(expr.args, 1):
            if argument.has(rho):
                inner = [k * value for k, value in enumerate(self.of(argument, n))][1:]
                outer = self.of(expr.fdiff(i), n - 1)
                slope = [sp.expand(a + b) for a, b in zip(slope, _times(outer, inner), strict=True)]
        return [_value(expr), *(value / k for k, value in enumerate(slope, 1))]

    def _exponential(self, g: Series) -> Series:
        """y = exp(g) by y' = g' y."""
        y = [sp.exp(g[0])]
        for k in range(1, len(g)):
            y.append(sp.expand(sp.Add(*(j * g[j] * y[k - j] for j in range(1, k + 1))) / k))
        return y


def _times(f: Series, g: Series) -> Series:
    return [sp.expand(sp.Add(*(f[j] * g[k - j] for j in range(k + 1)))) for k in range(len(f))]


def _power(g: Series, s: sp.Expr) -> Series:
    """y = g^s by g y' = s g' y; for a natural power also where g(0) = 0."""
    if s.is_Integer and s > 0:
        y = g
        for _ in range(int(s) - 1):
            y = _times(y, g)
        return y
    if g[0].is_zero:
        raise DeriveError("the formula on the sphere has no power series at rho = 0 in the form it was derived in")
    y = [g[0] ** s]
    for k in range(1, len(g)):
        total = sp.Add(*((s * j - (k - j)) * g[j] * y[k - j] for j in range(1, k + 1)))
        y.append(sp.expand(total / (k * g[0])))
    return y


def _by_definition(expr: sp.Expr, n: int) -> Series:
    """Derivatives at 0 over factorials, for a node without a rule, such as an integral."""
    values = [sp.S.Zero] * n
    for k in range(n):
        values[k] = _value(expr) / sp.factorial(k)
        expr = sp.diff(expr, rho)
    return values


def _value(expr: sp.Expr) -> sp.Expr:
    value = expr.subs(rho, 0)
    if value.has(sp.nan, sp.zoo, sp.oo):
        raise DeriveError("the formula on the sphere has no power series at rho = 0 in the form it was derived in")
    return value


def _short(value: sp.Expr) -> sp.Expr:
    """The smallest form found of a coefficient; squares show where powers of e and √(2π) are powers of a symbol."""
    if value.has(sp.Integral):  # which the normal form does not know
        return value
    normal = canonical(value)
    return smallest([normal, sp.factor(normal), _factored_over_roots(normal)])


def _factored_over_roots(value: sp.Expr) -> sp.Expr:
    exponents = [e.exp for e in value.atoms(sp.exp) if e.exp.is_Rational]
    step = sp.Rational(1, sp.ilcm(1, 1, *(e.q for e in exponents)))
    power, root = sp.Dummy("exp", positive=True), sp.Dummy("root", positive=True)
    lifted = value.replace(lambda e: e == sp.E, lambda _: power ** (1 / step))
    lifted = lifted.replace(
        lambda e: isinstance(e, sp.exp) and e.exp.is_Rational, lambda e: power ** (e.exp / step)
    )
    factored = sp.factor(lifted.subs(sp.pi, root**2 / 2))
    return factored.subs({power: sp.exp(step), root: sp.sqrt(2 * sp.pi)})
