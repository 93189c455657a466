"""The theorem: E[a(u)b(v)] for atoms of the Gaussian-closed class.

Three rules, applied until nothing is left but a probability of half-spaces (`orthant`):

* tilt    exp(αx² + βx) changes the Gaussian (completing the square);
* Stein   E[x_i F] = E[x_i] E[F] + Σ_j Σ_ij E[∂_j F] strips powers of x. The derivative of a half-space
          1[L > 0] is a Dirac δ(L), and E[δ(L) F] = p_L(0) E[F | L = 0];
* orthant what remains is P(L_1 > 0, …, L_n > 0).

With a complex β (sin and cos) the mean of the tilted Gaussian is complex: every rule is an identity between
entire functions of the mean, so it holds there too.

Sources: C. Stein, Ann. Statist. 9 (1981) 1135; R. Kan and C. Robotti, J. Comput. Graph. Statist. 26 (2017)
930 (the recursion over truncated moments).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import sympy as sp

from mehler.derive.atoms import Atom
from mehler.derive.dual import Step
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.gaussian import Gaussian, HalfSpace
from mehler.derive.orthant import orthant
from mehler.derive.special import Phi
from mehler.derive.symbols import Cov, E, Var, u, v

Placed = tuple[int, HalfSpace]
Powers = tuple[int, int]

STEIN = "Stein 1981; Kan and Robotti 2017"
ORTHANT = {1: "Sheppard 1899", 2: "Sheppard 1899; Owen 1956", 3: "Sheppard 1899; Plackett 1954", 4: "Plackett 1954"}


@dataclass
class Theorem:
    """The theorem on one Gaussian pair; `steps` collects what was done, in order."""

    pair: Gaussian
    axes: tuple[sp.Symbol, sp.Symbol] = (u, v)
    steps: list[Step] = field(default_factory=list)
    known: dict[object, sp.Expr] = field(default_factory=dict)

    def expectation(self, left: Sequence[Atom], right: Sequence[Atom]) -> sp.Expr:
        """E[f(u) g(v)] for sums of atoms f, g and (u, v) ~ `pair` (centred).

        Raises DivergentExpectation when a tilted Gaussian does not exist for all variances, OutsideClass
        when an orthant probability is more than one integral.
        """
        return sp.Add(*(a.coefficient * b.coefficient * self._of_atoms(a, b) for a in left for b in right))

    def _of_atoms(self, a: Atom, b: Atom) -> sp.Expr:
        key = (_unit(a), _unit(b))
        if key not in self.known:
            self.known[key] = self._derive(a, b)
        return self.known[key]

    def _derive(self, a: Atom, b: Atom) -> sp.Expr:
        spaces = tuple([(0, s) for s in a.spaces] + [(1, s) for s in b.spaces])
        for atom in (a, b):
            if sp.re(atom.alpha).is_nonpositive is not True:
                raise DivergentExpectation(
                    f"the expectation diverges for large variances: the activation contains {atom.growth()}; "
                    "use an activation that grows at most like exp(b*x), or give its parameters signs or values"
                )
            if spaces and atom.alpha.is_real is not True:
                raise OutsideClass(
                    f"no closed form is known: {atom.growth()} with a knot or with Phi leaves the "
                    "Gaussian-closed class (it needs Phi of a complex variance)"
                )
        factors = (
            (a.power, b.power),
            spaces,
            sp.Mul(*(self._impulse(axis, atom) for axis, atom in enumerate((a, b)))),
        )
        before = self._text(*factors, weight=a.growth(self.axes[0]) * b.growth(self.axes[1]))
        weight, gaussian = sp.S.One, self.pair
        if a.alpha != 0 or b.alpha != 0:
            D, gaussian = gaussian.tilt((a.alpha, b.alpha))
            weight /= sp.sqrt(D)
            linear = sp.exp(a.beta * self.axes[0] + b.beta * self.axes[1])
            self._step(
                "tilt", "completing the square", before, weight * self._text(*factors, weight=linear), gaussian
            )
            before = self._text(*factors, weight=linear)
        if a.beta != 0 or b.beta != 0:
            exponent, gaussian = gaussian.shift((a.beta, b.beta))
            shifted = sp.exp(sp.cancel(exponent))
            weight *= shifted
            self._step("shift", "completing the square", before, shifted * self._text(*factors), gaussian)
        for axis, atom in enumerate((a, b)):
            if atom.dirac is not None:
                point = HalfSpace(sp.S.One, -atom.dirac, 0)
                weight *= _density_at_zero(gaussian, axis, point)
                gaussian = self._condition(gaussian, axis, point, (a.power, b.power), spaces)
        return weight * self._moment((a.power, b.power), gaussian, spaces)

    def _moment(self, powers: Powers, gaussian: Gaussian, spaces: tuple[Placed, ...]) -> sp.Expr:
        """E[uᵐ vⁿ ∏ 1[L_j > 0]] by Stein's rule, one power at a time."""
        memo: dict[Powers, sp.Expr] = {}
        conditioned: dict[int, tuple[sp.Expr, Gaussian]] = {}

        def moment(m: int, n: int) -> sp.Expr:
            if m == n == 0:
                return self._orthant(gaussian, spaces)
            if (m, n) in memo:
                return memo[m, n]
            i = 0 if m else 1
            rest = (m - 1, n) if m else (m, n - 1)
            weights = [(gaussian.mean[i], rest)]
            for j in (0, 1):
                if rest[j]:
                    lower = (rest[0] - 1, rest[1]) if j == 0 else (rest[0], rest[1] - 1)
                    weights.append((gaussian.covariance(i, j) * rest[j], lower))
            boundary = [(gaussian.covariance(i, axis) * s.slope, j) for j, (axis, s) in enumerate(spaces)]
            if spaces:
                smooth = [k * self._text(powers, spaces) for k, powers in weights]
                edges = [
                    k * self._text(rest, spaces[:j] + spaces[j + 1 :], self._edge(spaces[j])) for k, j in boundary
                ]
                self._step("Stein", STEIN, self._text((m, n), spaces), sp.Add(*smooth, *edges))
            terms = [k * moment(*powers) for k, powers in weights if k != 0]
            for k, j in boundary:
                if k == 0:
                    continue
                others = spaces[:j] + spaces[j + 1 :]
                if j not in conditioned:
                    conditioned[j] = (
                        _density_at_zero(gaussian, *spaces[j]),
                        self._condition(gaussian, *spaces[j], rest, others),
                    )
                density, given = conditioned[j]
                terms.append(k * density * self._moment(rest, given, others))
            memo[m, n] = sp.Add(*terms) if spaces else sp.expand(sp.Add(*terms))
            return memo[m, n]

        value = moment(*powers)
        if not spaces and any(powers):
            self._step("Stein", STEIN, self._text(powers, ()), value)
        return value

    def _orthant(self, gaussian: Gaussian, spaces: tuple[Placed, ...]) -> sp.Expr:
        """P(L_1 > 0, …, L_n > 0) of the half-spaces' forms."""
        forms = [gaussian.form(axis, space) for axis, space in spaces]
        cov = {(i, i): var for i, (_, var) in enumerate(forms)}
        for (i, (one, a)), (j, (two, b)) in combinations(enumerate(spaces), 2):
            cov[i, j] = a.slope * b.slope * gaussian.covariance(one, two)
        value = orthant([mean for mean, _ in forms], cov)
        if spaces:
            self._step("orthant", ORTHANT[len(spaces)], self._text((0, 0), spaces), value)
        return value

    def _condition(
        self, gaussian: Gaussian, axis: int, space: HalfSpace, powers: Powers, spaces: tuple[Placed, ...]
    ) -> Gaussian:
        density, given = _density_at_zero(gaussian, axis, space), gaussian.condition(axis, space)
        before = self._text(powers, spaces, self._edge((axis, space)))
        self._step(
            "condition",
            "E[delta(L) F] = p(L = 0) E[F | L = 0]",
            before,
            density * self._text(powers, spaces),
            given,
        )
        return given

    def _step(self, rule: str, citation: str, before: sp.Expr, after: sp.Expr, law: Gaussian | None = None) -> None:
        where: tuple[sp.Eq, ...] = ()
        if law is not None:
            one, two = self.axes
            facts = [(E(one), law.mean[0]), (E(two), law.mean[1])] if any(law.mean) else []
            facts += [(Var(one), law.var[0]), (Var(two), law.var[1]), (Cov(one, two), law.cov)]
            where = tuple(sp.Eq(name, value, evaluate=False) for name, value in facts)
        self.steps.append(Step(rule, citation, before, after, where))

    def _text(
        self,
        powers: Powers,
        spaces: tuple[Placed, ...],
        impulses: sp.Expr = sp.S.One,
        *,
        weight: sp.Expr = sp.S.One,
    ) -> sp.Expr:
        """E(…) as a reader writes it, a half-space with noise as Φ."""
        factors = [
            Phi(self._form((axis, s))) if s.noise else sp.Heaviside(self._form((axis, s)), evaluate=False)
            for axis, s in spaces
        ]
        inside = sp.Mul(self.axes[0] ** powers[0], self.axes[1] ** powers[1], weight, impulses, *factors)
        return E(inside) if inside != 1 else inside

    def _edge(self, placed: Placed) -> sp.Expr:
        """The derivative of a half-space: a Dirac, or the density where it is a Φ."""
        form = self._form(placed)
        return sp.exp(-(form**2) / 2) / sp.sqrt(2 * sp.pi) if placed[1].noise else sp.DiracDelta(form)

    def _form(self, placed: Placed) -> sp.Expr:
        axis, space = placed
        return space.slope * self.axes[axis] + space.offset

    def _impulse(self, axis: int, atom: Atom) -> sp.Expr:
        return sp.S.One if atom.dirac is None else sp.DiracDelta(self.axes[axis] - atom.dirac)


def _unit(atom: Atom) -> Atom:
    return Atom(sp.S.One, atom.power, atom.alpha, atom.beta, atom.spaces, atom.dirac)


def _density_at_zero(gaussian: Gaussian, axis: int, space: HalfSpace) -> sp.Expr:
    mean, var = gaussian.form(axis, space)
    return sp.exp(sp.cancel(-(mean**2) / (2 * var))) / sp.sqrt(2 * sp.pi * var)
