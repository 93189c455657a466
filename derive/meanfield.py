"""Mean-field theory of wide random networks, from the diagonal of a derived dual.

    V(q) = σ_w² K_diag(q) + σ_b²       variance map, fixed points q* = V(q*)
    χ_q = V'(q*)                       the variance settles at q* where |χ_q| < 1, in ξ_q = −1/log|χ_q| layers
    χ₁ = σ_w² K̇_diag(q*)               slope of the correlation map R at c = 1: ordered < 1 < chaotic
    ξ_c = −1/log R'(c*)                layers in which correlations settle at c*; c* = 1 in the ordered phase

χ_q is not χ₁: dK_diag/dq = K̇_diag + E[φφ'']. Where φ jumps, R has an infinite slope at c = 1 and χ₁ = ∞: K̇_diag,
taken almost everywhere, lacks the impulses of φ' and must not be read as χ₁.

Poole et al., "Exponential expressivity in deep neural networks through transient chaos", NeurIPS 2016;
Schoenholz, Gilmer, Ganguli and Sohl-Dickstein, "Deep information propagation", ICLR 2017.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import sympy as sp

from mehler.derive.canonical import canonical, smallest
from mehler.derive.dual import NumericDual, ProvedDual, bind
from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import real_values
from mehler.derive.numbers import Number, exact, quoted
from mehler.derive.parser import parse
from mehler.derive.pipeline import derive_dual
from mehler.derive.propagation import DIGITS, TOLERANCE, FixedPoint, Moments, fixed_point, rational, search
from mehler.derive.symbols import q as variance
from mehler.derive.symbols import sigma_b as SIGMA_B
from mehler.derive.symbols import sigma_w as SIGMA_W

# Where fixed points are looked for unless the caller says otherwise.
SPAN: tuple[Number, Number] = ("1e-6", "1e6")

# Polynomials of a higher degree are left to the numerical search rather than to factorisation.
MAX_DEGREE = 12

# σ² and all that follows from it stay far inside the range of floats.
SMALLEST = 1e-50

# A bias that is smaller, relative to q, is what rounding leaves of zero.
ROUNDED = sp.Rational(1, 10**15)

# What is said where χ₁ is infinite.
JUMPS = "phi jumps, so chi_1 is infinite at every q > 0: no ordered phase and no edge of chaos"
STEEP = "E[phi'(u)**2] is infinite, and so is chi_1 at every q > 0: no ordered phase and no edge of chaos"


@dataclass(frozen=True)
class FixedPoints:
    """The fixed points at σ_w and σ_b; `every` when each q is one, as for ReLU at σ_w² = 2, σ_b = 0.

    `searched` is the range of q > 0 that was looked at.
    """

    sigma_w: sp.Expr
    sigma_b: sp.Expr
    points: tuple[FixedPoint, ...]
    every: bool
    searched: tuple[float, float]

    def __str__(self) -> str:
        head = f"sigma_w = {self.sigma_w}, sigma_b = {self.sigma_b}"
        if self.every:
            return f"{head}\nevery q is a fixed point{self._range()}"
        if not self.points:
            return f"{head}\nno fixed point{self._range()}"
        rows: list[Sequence[str]] = [("q*", "chi_q", "chi_1", "phase", "xi_q", "c*", "xi_c")]
        for p in self.points:
            rows.append((*map(digits10, (p.q, p.chi_q, p.chi_1)), p.phase, *map(digits10, (p.xi_q, p.c, p.xi_c))))
        return f"{head}\n{table(rows)}{self._range()}"

    def _range(self) -> str:
        low, high = self.searched
        return "" if (low, high) == (0, math.inf) else f"\nsearched from q = {low:g} to {high:g}"


@dataclass(frozen=True)
class EdgePoint:
    """σ_w² = 1/K̇_diag(q) and σ_b² = q − K_diag(q)/K̇_diag(q): there q is a fixed point with χ₁ = 1."""

    q: float
    sigma_w2: float
    sigma_b2: float

    @property
    def exists(self) -> bool:
        """Whether there are biases of that variance: σ_b² ≥ 0."""
        return self.sigma_b2 >= 0


@dataclass(frozen=True)
class MeanField:
    """The mean-field theory of networks with one activation, in symbols and in numbers.

    Formulas are in q, σ_w and σ_b (`mehler.symbols`), and None without a closed form. `edge` is the edge of chaos
    (σ_w²(q), σ_b²(q)), valid where σ_b² ≥ 0; None where χ₁ is ∞, as φ jumps or E φ'(u)² is infinite. `solutions`
    are the roots of V(q) = q where that equation is rational with factors at most quadratic: fixed points where
    they are ≥ 0.
    `points` are the fixed points at the σ_w and σ_b given.
    """

    dual: ProvedDual | NumericDual
    variance_map: sp.Expr | None
    chi_q: sp.Expr | None
    chi_1: sp.Expr | None
    edge: tuple[sp.Expr, sp.Expr] | None
    solutions: tuple[sp.Expr, ...] | None
    points: FixedPoints | None = None
    _moments: dict[Any, Moments] = field(default_factory=dict, repr=False, compare=False)

    def fixed_points(
        self, sigma_w: Number, sigma_b: Number = 0, *, span: tuple[Number, Number] = SPAN, **params: Number
    ) -> FixedPoints:
        """The fixed points at σ_w > 0 and σ_b ≥ 0 to 15 digits, with stability, phase and depth scales.

        All of them where V(q) = q is rational with factors at most quadratic. Otherwise q* = 0 if V(0) = 0, and the
        sign changes of V(q) − q on a grid in log q over `span`: two fixed points closer than a factor of 1.5, and
        one where V only touches the diagonal, may be missed. Free parameters of φ need values.
        Raises DeriveError.
        """
        w, b = _scale("sigma_w", sigma_w), _scale("sigma_b", sigma_b)
        low, high = (exact(end, "span", DeriveError) for end in span)
        if not 0 < low < high:
            raise DeriveError(f"span=({low}, {high}) is not a range of variances; write e.g. span=(0.001, 1000)")
        moments, w2, b2 = self._at(params), w**2, b**2
        equation = None
        if self.variance_map is not None:
            equation = _polynomial(self.variance_map.xreplace({SIGMA_W: w, SIGMA_B: b, **moments.env}) - variance)
        solved = None if equation is None else _solve(equation)
        values = None if solved is None else _exact_values(solved)
        if equation is not None and equation.is_zero:
            return FixedPoints(w, b, (), True, (0.0, math.inf))
        if solved is not None and values is not None:
            points = [fixed_point(moments, w2, b2, at, root) for at, root in zip(values, solved, strict=True)]
            return FixedPoints(w, b, tuple(sorted(points, key=lambda p: p.q)), False, (0.0, math.inf))
        found = search(moments, w2, b2, (low, high))
        at_zero = [sp.S.Zero] if b == 0 and not found.every and moments.at_zero()[0] <= TOLERANCE else []
        points = [fixed_point(moments, w2, b2, at, None) for at in (*at_zero, *found.roots)]
        return FixedPoints(w, b, tuple(points), found.every, found.searched)

    def edge_at(self, q: Number, **params: Number) -> EdgePoint:
        """The point of the edge of chaos whose fixed point is q > 0. Free parameters of φ need values.

        Raises DeriveError, also where φ jumps.
        """
        at = exact(q, "q", DeriveError)
        if at <= 0:
            raise DeriveError(f"q={q} is not the variance of a fixed point here; use q > 0")
        moments = self._at(params)
        if moments.jumps:
            raise DeriveError(f"{JUMPS}; choose a continuous activation")
        if self.chi_1 is sp.oo:
            raise DeriveError(f"{STEEP}; choose an activation with a larger power of |x|")
        k_dot = moments.slopes(at)[1]
        bias = at - rational(moments.mean_square(at) / k_dot)
        return EdgePoint(float(at), float(1 / k_dot), float(bias) if abs(bias) > ROUNDED * at else 0.0)

    def latex(self) -> str:
        """The formulas as LaTeX; without a closed form, their definitions."""
        w2, b2 = sp.latex(SIGMA_W**2), sp.latex(SIGMA_B**2)
        expected = rf"{w2}\, \mathbb{{E}}[\phi(u)^2] + {b2}, \quad u \sim \mathcal{{N}}(0, q)"
        rows = [
            ("V(q)", expected if self.variance_map is None else sp.latex(self.variance_map)),
            (r"\chi_q", "V'(q)" if self.chi_q is None else sp.latex(self.chi_q)),
            (r"\chi_1", rf"{w2}\, \mathbb{{E}}[\phi'(u)^2]" if self.chi_1 is None else sp.latex(self.chi_1)),
        ]
        if self.edge is not None:
            rows += [
                (rf"{name} \text{{ (edge)}}", sp.latex(f)) for name, f in zip((w2, b2), self.edge, strict=True)
            ]
        rows += [("q^*", sp.latex(root)) for root in self.solutions or ()]
        body = " \\\\\n".join(f"{name} &= {formula}" for name, formula in rows)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        lines = [f"phi(x)     = {self.dual.activation.expr}"]
        if self.variance_map is None:
            lines += [
                "V(q)       = sigma_w**2*E[phi(u)**2] + sigma_b**2, u ~ N(0, q), by quadrature",
                "chi_q      = dV/dq",
                f"chi_1      = {'oo' if self.chi_1 is sp.oo else 'sigma_w**2*E[phi_dot(u)**2]'}",
            ]
        else:
            lines += [
                f"V(q)       = {self.variance_map}",
                f"chi_q      = {self.chi_q}",
                f"chi_1      = {self.chi_1}",
            ]
        if self.chi_1 is sp.oo:
            lines.append(JUMPS if self.dual.activation.pieces.jumps() else STEEP)
        if self.edge is not None:
            lines.append("edge of chaos, with the fixed point q, where sigma_b**2 >= 0:")
            lines += [f"sigma_w**2 = {self.edge[0]}", f"sigma_b**2 = {self.edge[1]}"]
        if self.solutions:
            lines.append("fixed points, where q* >= 0:")
            lines += [f"q*         = {root}" for root in self.solutions]
        return "\n".join(lines if self.points is None else [*lines, "", str(self.points)])

    def as_json(self) -> dict[str, Any]:
        """Everything but the activation's own derivation, in the types of JSON; ∞ as "inf"."""
        found = self.points
        edge = None if self.edge is None else {"sigma_w2": str(self.edge[0]), "sigma_b2": str(self.edge[1])}
        return {
            "expression": str(self.dual.activation.expr),
            "status": self.dual.status,
            "jumps": bool(self.dual.activation.pieces.jumps()),
            **{name: _text(getattr(self, name)) for name in ("variance_map", "chi_q", "chi_1")},
            "edge": edge,
            "solutions": None if self.solutions is None else [str(root) for root in self.solutions],
            "sigma_w": None if found is None else str(found.sigma_w),
            "sigma_b": None if found is None else str(found.sigma_b),
            "every_q": None if found is None else found.every,
            "searched": None if found is None else [_json(end) for end in found.searched],
            "fixed_points": None if found is None else [
                {f.name: _json(getattr(p, f.name)) for f in fields(p)} | {"stable": p.stable} for p in found.points
            ],
        }  # fmt: skip

    def _at(self, params: dict[str, Number]) -> Moments:
        """The moments at values of the parameters; kept, as a search repeats for every σ_w and σ_b."""
        env = bind(self.dual.activation, params)
        key = tuple(env.values())
        if key not in self._moments:
            self._moments[key] = Moments(self.dual, env)
        return self._moments[key]


def mean_field(
    expr: str, *, sigma_w: Number | None = None, sigma_b: Number | None = None, **params: Number
) -> MeanField:
    """V(q) = σ_w² K_diag(q) + σ_b², χ_q, χ₁ and the edge of chaos of networks with the activation `expr`.

    `expr` and `params` are as in `derive_dual`. With σ_w (a number, or text such as "3/2" or "sqrt(2)") and σ_b
    (0 unless given) the result also holds the fixed points there. Without a closed form there are numbers only.
    Raises DeriveError.
    """
    if sigma_w is None and sigma_b is not None:
        raise DeriveError("sigma_b without sigma_w gives no network; give both")
    # Before the derivation, which takes a second or more.
    scales = [_scale(n, v) for n, v in (("sigma_w", sigma_w), ("sigma_b", sigma_b)) if v is not None]
    result = _formulas(derive_dual(expr, **params))  # type: ignore[arg-type]
    return replace(result, points=result.fixed_points(*scales)) if scales else result


def show_edge(points: Sequence[EdgePoint]) -> str:
    """The edge of chaos as a table."""
    rows = [(digits10(p.q), digits10(p.sigma_w2), digits10(p.sigma_b2) if p.exists else "none") for p in points]
    return table([("q on the edge", "sigma_w**2", "sigma_b**2"), *rows])


def _formulas(dual: ProvedDual | NumericDual) -> MeanField:
    jumps = bool(dual.activation.pieces.jumps())
    k, k_dot = dual.kernel_diag, dual.kernel_dot_diag
    if k is None or k_dot is None:
        return MeanField(dual, None, None, sp.oo if jumps else None, None, None)
    w2 = SIGMA_W**2
    endless = jumps or k_dot is sp.oo
    edge = None if endless else (_tidy(1 / k_dot), _tidy(variance - k / k_dot))
    variance_map = w2 * k + SIGMA_B**2
    equation = _polynomial(variance_map - variance)
    solutions = None if equation is None else _solve(equation)
    chi_1 = sp.oo if endless else w2 * k_dot
    return MeanField(dual, variance_map, w2 * _tidy(sp.diff(k, variance)), chi_1, edge, solutions)


def _tidy(expr: sp.Expr) -> sp.Expr:
    if expr.has(sp.Integral):
        return expr
    forms = [expr, sp.factor_terms(expr), canonical(expr), canonical(sp.together(expr))]
    return smallest([*forms, sp.expand(expr)])


def _polynomial(difference: sp.Expr) -> sp.Poly | None:
    """The numerator of V(q) − q as a polynomial in q, where V is rational in q."""
    if difference.has(sp.Integral) or not difference.is_rational_function(variance):
        return None
    return sp.Poly(sp.numer(sp.together(difference)), variance)


def _solve(equation: sp.Poly) -> tuple[sp.Expr, ...] | None:
    """The roots that may be ≥ 0, where every factor is linear or quadratic: SymPy may take forever with more."""
    if equation.degree() > MAX_DEGREE or equation.domain.is_EX:
        return None
    roots: list[sp.Expr] = []
    for factor, _ in equation.factor_list()[1] if not equation.is_zero else []:
        match [sp.factor_terms(a) for a in factor.all_coeffs()]:
            case [a, b]:
                roots.append(smallest([sp.factor_terms(-b) / a, b / sp.expand(-a), _tidy(-b / a)]))
            case [a, b, c]:
                root = sp.sqrt(_tidy(b**2 - 4 * a * c))
                roots += [_tidy((-b - root) / (2 * a)), _tidy((-b + root) / (2 * a))]
            case _:
                return None
    return tuple(r for r in roots if not (r.is_negative or r.is_real is False))


def _exact_values(roots: Sequence[sp.Expr]) -> list[sp.Rational] | None:
    """The roots as rational numbers of DIGITS digits; None when one is not known to be ≥ 0."""
    if not all(root.is_nonnegative for root in roots):
        return None
    return [root if root.is_Rational else rational(real_values([root], {}, DIGITS)[0]) for root in roots]


def _scale(name: str, value: Number) -> sp.Expr:
    """σ_w > 0 or σ_b ≥ 0 as an exact number; text may be a constant such as sqrt(2)."""
    positive = name == "sigma_w"
    try:
        number = _constant(value)
        size = float(number) if number.is_real else math.nan
    except (DeriveError, TypeError, OverflowError):
        size = math.nan
    if not math.isfinite(size) or size < 0 or (positive and size == 0):
        raise DeriveError(f"{name}={quoted(value)} must be a finite number {'>' if positive else '>='} 0")
    if size and not SMALLEST <= size <= 1 / SMALLEST:
        raise DeriveError(f"{name}={size:g} is out of range; use {SMALLEST:g} to {1 / SMALLEST:g}")
    return number


def _constant(value: Number) -> sp.Expr:
    try:
        return exact(value, "", DeriveError)
    except DeriveError:
        if isinstance(value, sp.Expr):
            return value
        if isinstance(value, str):
            return parse(value, {}, {})
        raise


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def digits10(value: float | None) -> str:
    """A number as tables show it."""
    return "-" if value is None else f"{value:.10g}"


def _text(value: sp.Expr | None) -> str | None:
    return None if value is None else str(value)


def _json(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else "inf"
    return str(value) if isinstance(value, sp.Expr) else value
