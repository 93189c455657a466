"""From an activation to its dual: the rules that can derive one, tried in order.

* Gaussian    φ is a sum of atoms of the Gaussian-closed class: the theorem gives K, K̇ and the diagonals;
* Fourier     φ̂ is a sum of atoms: the theorem over the frequencies;
* powers      φ is a sum of real powers of |x|: ₂F₁;
* Price       only φ' is derived by one of these: K = E φ(u) E φ(v) + ∫₀ᶜ K̇, one explicit integral.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy as sp

from mehler.derive import fourier, powers
from mehler.derive.activation import Activation
from mehler.derive.algebra import merge_integrals
from mehler.derive.atoms import Atom, diracs, expand
from mehler.derive.canonical import canonical
from mehler.derive.dual import Dual, Formulas, Jumps, Step
from mehler.derive.errors import OutsideClass
from mehler.derive.gaussian import Gaussian
from mehler.derive.pieces import Pieces
from mehler.derive.symbols import Delta, E, c, k1, k2, q, q1, q2, t, u, v, x
from mehler.derive.theorem import Theorem

ONE = (Atom(sp.S.One),)


@dataclass
class Rule:
    """Expectations over (u, v), and over one variable u ~ N(0, q), of functions given as sums of atoms."""

    name: str
    citation: str
    terms: Callable[[Pieces], tuple[Atom, ...]]
    pair_law: Theorem
    single_law: Theorem
    pair_mass: sp.Expr = sp.S.One
    single_mass: sp.Expr = sp.S.One

    def pair(self, left: Sequence[Atom], right: Sequence[Atom]) -> sp.Expr:
        return one_integral(self.pair_mass * self.pair_law.expectation(left, right))

    def single(self, f: Pieces) -> sp.Expr:
        return one_integral(self.single_mass * self.single_law.expectation(self.terms(f), ONE))

    @property
    def steps(self) -> list[Step]:
        return self.pair_law.steps + self.single_law.steps


def gaussian_rule() -> Rule:
    zero = (sp.S.Zero, sp.S.Zero)
    return Rule(
        "atoms of the Gaussian-closed class", "Stein 1981; Kan and Robotti 2017", expand,
        Theorem(Gaussian(zero, (q1, q2), c, Delta)), Theorem(Gaussian(zero, (q, sp.S.Zero), sp.S.Zero, sp.S.Zero)),
    )  # fmt: skip


def fourier_rule() -> Rule:
    return Rule(
        "atoms of the Fourier transform", "Fourier inversion", fourier.transform,
        Theorem(fourier.PAIR, axes=(k1, k2)), Theorem(fourier.SINGLE, axes=(k1, k2)),
        fourier.PAIR_MASS, fourier.SINGLE_MASS,
    )  # fmt: skip


def integrate(phi: Activation, jumps: Jumps) -> Dual:
    """The dual of φ, derived but not proved. Raises OutsideClass or DivergentExpectation."""
    if phi.pieces.radius is not sp.oo:
        raise OutsideClass(
            f"no closed form is known: {phi.expr} switches without end; its knots for |x| <= {phi.pieces.radius} "
            "are kept, which serves integrals of a limited variance"
        )
    reasons = []
    for derive in (_by_atoms(gaussian_rule), _by_atoms(fourier_rule), _by_powers, _by_price):
        try:
            return derive(phi, jumps)
        except OutsideClass as reason:
            reasons.append(reason)
    raise reasons[0]


Derivation = Callable[[Activation, Jumps], Dual]


def _by_atoms(make: Callable[[], Rule]) -> Derivation:
    def derive(phi: Activation, jumps: Jumps) -> Dual:
        rule = make()
        slope = phi.pieces.derivative()
        steps, kinks = phi.pieces.jumps(), slope.jumps()
        f, df = rule.terms(phi.pieces), rule.terms(slope)
        d2f = rule.terms(slope.derivative()) + diracs(kinks)
        impulses = diracs(steps)
        trace = [Step("pieces", "knots of the activation", phi.expr, _piecewise(phi.pieces))]
        trace += [
            Step(rule.name, rule.citation, name, sp.Add(*(atom.function(rule.pair_law.axes[0]) for atom in atoms)))
            for name, atoms in ((sp.Symbol("phi"), f), (sp.Symbol("phi'"), df + impulses))
        ]
        kernel, kernel_dot = rule.pair(f, f), rule.pair(df, df)
        trace += rule.steps
        jumped = rule.pair(impulses, impulses) + rule.pair(impulses, df) + rule.pair(df, impulses)
        kernel_diag = rule.single(phi.pieces.times(phi.pieces))
        if kernel.has(sp.Integral) and not kernel_dot.has(sp.Integral):
            # Price's integral of a closed K̇ is shorter than Plackett's of each orthant.
            kernel, kernel_diag = _price(rule.single(phi.pieces), kernel_dot + jumped)
            trace.append(Step("Price", "Price 1958", _product(phi), kernel))
        curvature = rule.pair(d2f, f)
        for knot, step in steps:
            # φ'' holds δ'(u − t), and E[δ'(u − t) φ(v)] = E[δ(u − t) (t φ(v) − c φ'(v))]/q1 by parts.
            at = diracs([(knot, step)])
            curvature += (knot * rule.pair(at, f) - c * rule.pair(at, df + impulses)) / q1
        formulas = Formulas(
            kernel=kernel,
            kernel_dot=kernel_dot,
            kernel_diag=kernel_diag,
            kernel_dot_diag=rule.single(slope.times(slope)),
            curvature=curvature,
        )
        return _dual(phi, formulas, jumped, jumps, trace)

    return derive


def _by_powers(phi: Activation, jumps: Jumps) -> Dual:
    steps = phi.pieces.jumps()
    if steps:
        raise OutsideClass("no closed form is known for real powers with a jump at 0")
    return _dual(phi, powers.formulas(phi.pieces), sp.S.Zero, jumps, [])


def _by_price(phi: Activation, jumps: Jumps) -> Dual:
    """K = E φ(u) E φ(v) + ∫₀ᶜ K̇ dt, and the means by dE φ/dq = ½E φ'' (Price 1958)."""
    if phi.pieces.knots:
        raise OutsideClass("Price's integral needs a smooth activation")
    slope = phi.pieces.derivative()
    bend = slope.derivative()
    rule = _first(lambda rule: (rule.terms(slope), rule.terms(bend)))
    df, d3f = rule.terms(slope), rule.terms(bend.derivative())
    mean = _mean(phi.pieces, bend, rule)
    kernel_dot = rule.pair(df, df)
    kernel, kernel_diag = _price(mean, kernel_dot)
    formulas = Formulas(
        kernel=kernel,
        kernel_dot=kernel_dot,
        kernel_diag=kernel_diag,
        kernel_dot_diag=rule.single(slope.times(slope)),
        curvature=rule.single(bend).xreplace({q: q1}) * mean.xreplace({q: q2}) + _integral(rule.pair(d3f, df), c),
    )
    trace = [*rule.steps, Step("Price", "Price 1958", _product(phi), kernel)]
    return _dual(phi, formulas, sp.S.Zero, jumps, trace)


def _first(works: Callable[[Rule], object]) -> Rule:
    """The first rule of atoms that `works`. Raises the last one's OutsideClass."""
    try:
        works(rule := gaussian_rule())
    except OutsideClass:
        works(rule := fourier_rule())
    return rule


def _mean(phi: Pieces, bend: Pieces, rule: Rule) -> sp.Expr:
    """E φ(u), u ~ N(0, q): 0 for odd φ, else φ(0) + ½∫₀^q E φ''."""
    (f,) = phi.pieces
    if sp.expand(f + f.xreplace({x: -x})) == 0:
        return sp.S.Zero
    rate = rule.single(bend).xreplace({q: t}) / 2
    return f.subs(x, 0) + (sp.Integral(rate, (t, 0, q)) if rate != 0 else 0)


def _price(mean: sp.Expr, kernel_dot: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """K = m(q1) m(q2) + ∫₀ᶜ K̇ and its diagonal, from m(q) = E φ(u)."""
    kernel = mean.xreplace({q: q1}) * mean.xreplace({q: q2}) + _integral(kernel_dot, c)
    return kernel, mean**2 + _integral(kernel_dot.xreplace({q1: q, q2: q}), q)


def _integral(rate: sp.Expr, end: sp.Symbol) -> sp.Expr:
    """∫₀ᵉⁿᵈ of an expression in (q1, q2, c, Δ) over c."""
    variances = (q, q) if end == q else (q1, q2)
    along = canonical(rate.xreplace({c: t, Delta: sp.Mul(*variances) - t**2}))
    return sp.Integral(along, (t, 0, end)) if along != 0 else sp.S.Zero


def one_integral(expr: sp.Expr) -> sp.Expr:
    """`expr` with its integrals over the same interval as one, the integrand in its smallest form."""
    merged = merge_integrals(expr)
    return merged.xreplace({i: sp.Integral(canonical(i.function), *i.limits) for i in merged.atoms(sp.Integral)})


def _product(phi: Activation) -> sp.Expr:
    return E(phi.expr.xreplace({x: u}) * phi.expr.xreplace({x: v}))


def _piecewise(pieces: Pieces) -> sp.Expr:
    branches = [(piece, x < knot) for piece, knot in zip(pieces.pieces, pieces.knots, strict=False)]
    return sp.Piecewise(*branches, (pieces.pieces[-1], True))


def _dual(phi: Activation, formulas: Formulas, impulses: sp.Expr, jumps: Jumps, trace: list[Step]) -> Dual:
    if impulses != 0 and jumps == "distribution":
        formulas = Formulas(
            formulas.kernel, formulas.kernel_dot + impulses, formulas.kernel_diag, sp.oo, formulas.curvature
        )
    derived = (formulas.kernel, formulas.kernel_dot, formulas.kernel_diag, formulas.kernel_dot_diag)
    shown = [f if f is sp.oo else canonical(f) for f in derived]
    for name, before, after in zip(("K", "K'", "K(q, q)", "K'(q, q)"), derived, shown, strict=True):
        trace.append(Step("like terms, smallest form", f"{name}, Delta = q1*q2 - c**2", before, after))
    return Dual(
        activation=phi,
        formulas=formulas,
        kernel=shown[0],
        kernel_dot=shown[1],
        kernel_diag=shown[2],
        kernel_dot_diag=shown[3],
        impulses=impulses,
        jumps=jumps,
        steps=tuple(trace),
    )
