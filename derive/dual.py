"""The types that pass from stage to stage: a derived dual, its proof, and the two results a user sees."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sympy as sp

from mehler.derive.activation import Activation
from mehler.derive.canonical import canonical, in_angle, smallest
from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import context, covariance, real_values
from mehler.derive.numbers import Number, exact
from mehler.derive.pieces import Pieces
from mehler.derive.quadrature import expectation_1d, expectations_2d
from mehler.derive.symbols import Delta, c, q, q1, q2

Jumps = Literal["almost-everywhere", "distribution"]


@dataclass(frozen=True)
class Step:
    """One step of a derivation: before = after, by a rule and where that comes from.

    Expectations stand as E(…) of `mehler.derive.symbols` over centred Gaussian u and v, half-spaces as
    Heaviside; `where` defines what is new, such as the covariance of a tilted pair.
    """

    rule: str
    citation: str
    before: sp.Expr
    after: sp.Expr
    where: tuple[sp.Eq, ...] = ()


@dataclass(frozen=True)
class Formulas:
    """K, K̇ in (q1, q2, c, Δ) and K_diag, K̇_diag in q, as the theorem left them.

    `curvature` is E[φ''(u)φ(v)] with φ'' in the sense of distributions, the other derivative of K:
    2 ∂K/∂q1. It serves the proof alone, and is None where it does not exist.
    """

    kernel: sp.Expr
    kernel_dot: sp.Expr
    kernel_diag: sp.Expr
    kernel_dot_diag: sp.Expr
    curvature: sp.Expr | None


@dataclass(frozen=True)
class Dual:
    """A derived dual activation, not yet proved.

    `impulses` is what the jumps of φ add to E[φ'(u)φ'(v)] in the sense of distributions; 0 without jumps.
    `kernel_dot` contains it when `jumps` is "distribution".
    """

    activation: Activation
    formulas: Formulas
    kernel: sp.Expr
    kernel_dot: sp.Expr
    kernel_diag: sp.Expr
    kernel_dot_diag: sp.Expr
    impulses: sp.Expr
    jumps: Jumps
    steps: tuple[Step, ...]

    @property
    def status(self) -> str:
        """ "closed-form", or "integral" when a formula keeps one explicit integral."""
        return "integral" if self.formulas.kernel.has(sp.Integral) else "closed-form"

    @property
    def impulses_shown(self) -> sp.Expr:
        return canonical(self.impulses)


@dataclass(frozen=True)
class Check:
    """One check of a proof: exact ("symbolic"), to a number of digits at points ("numeric"), or without a value to
    compare with ("undone"), where `detail` says why."""

    name: str
    kind: Literal["symbolic", "numeric", "undone"]
    passed: bool
    detail: str


@dataclass(frozen=True)
class Proof:
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    def __str__(self) -> str:
        width = max((len(check.name) for check in self.checks), default=0)
        return "\n".join(
            f"{'ok    ' if check.passed else 'FAILED'} {check.name:{width}}  {check.detail}"
            for check in self.checks
        )


@dataclass(frozen=True)
class Measurement:
    """The largest error of a module of the dual at `points` points, in ulp(√(K(q1, q1) K(q2, q2)))."""

    worst: float
    points: int


@dataclass(frozen=True)
class ProvedDual:
    """K = E[φ(u)φ(v)] and K̇ = E[φ'(u)φ'(v)] in closed form, with their proof.

    `kernel` and `kernel_dot` are SymPy expressions in q1, q2 > 0 and c, |c| ≤ √(q1q2); `kernel_diag` and
    `kernel_dot_diag` in q > 0 (see `mehler.symbols`). Free parameters of φ stay symbols.
    """

    dual: Dual
    proof: Proof

    @property
    def status(self) -> str:
        return self.dual.status

    @property
    def activation(self) -> Activation:
        return self.dual.activation

    @property
    def kernel(self) -> sp.Expr:
        return self.dual.kernel

    @property
    def kernel_dot(self) -> sp.Expr:
        return self.dual.kernel_dot

    @property
    def kernel_diag(self) -> sp.Expr:
        return self.dual.kernel_diag

    @property
    def kernel_dot_diag(self) -> sp.Expr:
        return self.dual.kernel_dot_diag

    @property
    def jumps(self) -> Jumps:
        return self.dual.jumps

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.dual.steps

    def evaluate(self, q1: Number, q2: Number, c: Number, *, digits: int = 25, **params: Number) -> tuple[Any, Any]:
        """(K, K̇) at exact q1, q2 ≥ 0, |c| ≤ √(q1q2), as mpf of `digits` digits. Raises DeriveError."""
        return evaluate(self, q1, q2, c, digits, params)

    def latex(self) -> str:
        """K and K̇ as LaTeX, in the angle θ = arccos(c/√(q1q2)) where that is shorter."""
        lines = [
            f"{symbol} &= {sp.latex(shown(expr))}"
            for symbol, expr in (("K", self.kernel), (r"\dot K", self.kernel_dot))
        ]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return (
            f"phi(x)    = {self.activation.expr}\nK         = {shown(self.kernel)}\n"
            f"K'        = {shown(self.kernel_dot)}\nK(q, q)   = {self.kernel_diag}\n"
            f"K'(q, q)  = {self.kernel_dot_diag}"
        )


@dataclass(frozen=True)
class NumericDual:
    """An activation without a known closed form: values by quadrature, to the digits asked.

    `reason` names the part of φ that left the Gaussian-closed class.
    """

    activation: Activation
    reason: str
    jumps: Jumps
    proof: Proof = field(default=Proof(()), init=False)
    steps: tuple[Step, ...] = field(default=(), init=False)
    kernel: None = field(default=None, init=False)
    kernel_dot: None = field(default=None, init=False)
    kernel_diag: None = field(default=None, init=False)
    kernel_dot_diag: None = field(default=None, init=False)
    status: str = field(default="numeric", init=False)

    def evaluate(self, q1: Number, q2: Number, c: Number, *, digits: int = 25, **params: Number) -> tuple[Any, Any]:
        """(K, K̇) at exact q1, q2 > 0, |c| ≤ √(q1q2), by Gauss-Legendre quadrature. Raises DeriveError."""
        v1, v2, cov = covariance(q1, q2, c)
        env = bind(self.activation, params)
        if v1 * v2 == cov**2:
            return _on_boundary(self.activation, (v1, v2, cov), env, digits)
        functions = (self.activation.pieces, self.activation.pieces.derivative())
        return _rounded(expectations_2d(functions, v1, v2, cov, env, digits), digits)

    def latex(self) -> str:
        """φ as LaTeX, with the reason why no formula follows."""
        return rf"\phi(x) = {sp.latex(self.activation.expr)} \quad \text{{(no closed form is known)}}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return f"phi(x)    = {self.activation.expr}\n{self.reason}"


def shown(expr: sp.Expr) -> sp.Expr:
    """The form a reader sees: in the angle θ when that has no more operations."""
    angular = in_angle(expr)
    return expr if angular is None else smallest([angular, expr])


def bind(activation: Activation, params: Mapping[str, Number]) -> dict[sp.Symbol, sp.Rational]:
    """Values for every free parameter of φ: those given, then its defaults. Raises DeriveError."""
    values = {}
    unknown = sorted(set(params) - {symbol.name for symbol in activation.parameters})
    if unknown:
        raise DeriveError(f"the activation has no parameter {unknown[0]!r}; leave it out")
    for symbol in activation.parameters:
        if symbol.name in params:
            values[symbol] = exact(params[symbol.name], symbol.name, DeriveError)
        elif symbol.name in activation.defaults:
            values[symbol] = activation.defaults[symbol.name]
        else:
            raise DeriveError(f"the parameter {symbol.name} has no value; give one, e.g. {symbol.name}=0.1")
    return values


def evaluate(
    result: ProvedDual, v1: Number, v2: Number, cov: Number, digits: int, params: Mapping[str, Number]
) -> tuple[Any, Any]:
    """(K, K̇) of a proved dual by its formulas, which on the diagonal are those in q and hold at Δ = 0 where
    they have a value there; elsewhere on the boundary by quadrature. K̇ may be infinite at ρ = 1."""
    a, b, ab = covariance(v1, v2, cov)
    env = bind(result.activation, params)
    formulas = result.dual.formulas
    if a == b == ab > 0:
        pair, point = [formulas.kernel_diag, formulas.kernel_dot_diag], env | {q: a}
    else:
        pair, point = [formulas.kernel, formulas.kernel_dot], env | {q1: a, q2: b, c: ab, Delta: a * b - ab**2}
    if a == 0 or b == 0:
        return _on_boundary(result.activation, (a, b, ab), env, digits)
    try:
        if formulas.kernel_dot_diag is sp.oo and a * b == ab**2 and ab > 0:
            return _rounded([*real_values(pair[:1], point, digits), math.inf], digits)
        return _rounded(real_values(pair, point, digits), digits)
    except DeriveError:
        if a * b != ab**2 or result.dual.jumps == "distribution":
            raise
        return _on_boundary(result.activation, (a, b, ab), env, digits)


def _on_boundary(
    activation: Activation,
    point: tuple[sp.Rational, sp.Rational, sp.Rational],
    env: Mapping[sp.Symbol, sp.Rational],
    digits: int,
) -> tuple[Any, Any]:
    """(K, K̇) where u and v are proportional, or one of them is 0 (then with φ and φ' at 0, a knot halved)."""
    # Of the larger variance, whose quadrature sees the scale of φ and all above it, not what is below.
    (b, a), ab = sorted(point[:2]), point[2]
    phi, values = activation.pieces, []
    for f in (phi, phi.derivative()):
        if ab != 0:
            values.append(expectation_1d(f.times(f.scaled(ab / a)), a, env, digits))
        else:
            values.append(_mean(f, a, env, digits) * _mean(f, b, env, digits))
    return _rounded(values, digits)


def _mean(f: Pieces, variance: sp.Rational, env: Mapping[sp.Symbol, sp.Rational], digits: int) -> Any:
    if variance > 0:
        return expectation_1d(f, variance, env, digits)
    return real_values([sp.Add(*f.at_zero()) / 2], env, digits)[0]


def _rounded(values: list[Any], digits: int) -> tuple[Any, Any]:
    """Two values rounded to `digits` digits, in a context in which they print so."""
    ctx = context(digits)
    kernel, kernel_dot = (ctx.mpf(v) for v in values)
    return +kernel, +kernel_dot
