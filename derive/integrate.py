"""The theorem: E[a(u)b(v)] for atoms of the Gaussian-closed class, in closed form.

Three rules, applied until nothing is left but a probability of half-spaces:

* tilt    exp(αx² + βx) changes the Gaussian (completing the square);
* Stein   E[x_i F] = E[x_i] E[F] + Σ_j Σ_ij E[∂_j F] strips powers of x. The derivative of a half-space
          1[L > 0] is a Dirac δ(L), and E[δ(L) F] = p_L(0) E[F | L = 0];
* orthant what remains is P(L_1 > 0, …, L_n > 0): Φ for n = 1, Φ₂ for n = 2, and for n = 3 with centred
          forms ⅛ + Σ asin(r_ij)/4π.

Sources: C. Stein, Ann. Statist. 9 (1981) 1135; R. Kan and C. Robotti, J. Comput. Graph. Statist. 26 (2017)
930 (the recursion over truncated moments); W. F. Sheppard, Phil. Trans. A 192 (1899) 101 (the orthant).
"""

from collections.abc import Sequence
from itertools import combinations

import sympy as sp

from mehler.derive.activation import Activation
from mehler.derive.atoms import Atom, diracs, expand
from mehler.derive.canonical import canonical
from mehler.derive.dual import Dual, Formulas, Jumps, Step
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.gaussian import Gaussian, HalfSpace
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import Delta, c, q, q1, q2

Placed = tuple[int, HalfSpace]

PAIR = Gaussian((sp.S.Zero, sp.S.Zero), (q1, q2), c, Delta)
DIAGONAL = Gaussian((sp.S.Zero, sp.S.Zero), (q, q), q, sp.S.Zero)


def integrate(phi: Activation, jumps: Jumps) -> Dual:
    """The dual of φ, derived but not proved. Raises OutsideClass or DivergentExpectation."""
    slope = phi.pieces.derivative()
    steps = phi.pieces.jumps()
    phi_atoms, slope_atoms, dirac_atoms = expand(phi.pieces), expand(slope), diracs(steps)
    impulses = sp.Add(
        expectation(dirac_atoms, dirac_atoms, PAIR),
        expectation(dirac_atoms, slope_atoms, PAIR),
        expectation(slope_atoms, dirac_atoms, PAIR),
    )
    kernel_dot = expectation(slope_atoms, slope_atoms, PAIR)
    kernel_dot_diag = expectation(slope_atoms, slope_atoms, DIAGONAL)
    if steps and jumps == "distribution":
        kernel_dot, kernel_dot_diag = kernel_dot + impulses, sp.oo
    formulas = Formulas(
        kernel=expectation(phi_atoms, phi_atoms, PAIR),
        kernel_dot=kernel_dot,
        kernel_diag=expectation(phi_atoms, phi_atoms, DIAGONAL),
        kernel_dot_diag=kernel_dot_diag,
    )
    shown = [
        f if f is sp.oo else canonical(f)
        for f in (formulas.kernel, kernel_dot, formulas.kernel_diag, kernel_dot_diag)
    ]
    trace = (
        Step("pieces", "knots of the activation", _pieces_text(phi)),
        Step("atoms of phi", "the Gaussian-closed class", " + ".join(str(a) for a in phi_atoms)),
        Step("atoms of phi'", f"derivative, {jumps}", " + ".join(map(str, slope_atoms + dirac_atoms)) or "0"),
        Step(
            "tilt, Stein, orthant",
            "Stein 1981; Kan and Robotti 2017; Sheppard 1899",
            f"K = {formulas.kernel}",
        ),
        Step("tilt, Stein, orthant", "the same on phi'", f"K' = {kernel_dot}"),
        Step("like terms, smallest form", "Delta = q1*q2 - c**2", f"K = {shown[0]}; K' = {shown[1]}"),
    )
    return Dual(
        activation=phi,
        formulas=formulas,
        kernel=shown[0],
        kernel_dot=shown[1],
        kernel_diag=shown[2],
        kernel_dot_diag=shown[3],
        impulses=impulses,
        jumps=jumps,
        steps=trace,
    )


def _pieces_text(phi: Activation) -> str:
    knots = ", ".join(map(str, phi.pieces.knots)) or "none"
    return f"phi = {' | '.join(map(str, phi.pieces.pieces))}, knots: {knots}"


def expectation(left: Sequence[Atom], right: Sequence[Atom], pair: Gaussian) -> sp.Expr:
    """E[f(u) g(v)] for sums of atoms f, g and (u, v) ~ `pair` (centred).

    Raises DivergentExpectation when a tilted Gaussian does not exist for all variances, OutsideClass when
    an orthant probability has no closed form.
    """
    return sp.Add(*(_pair_of_atoms(a, b, pair) for a in left for b in right))


def _pair_of_atoms(a: Atom, b: Atom, pair: Gaussian) -> sp.Expr:
    for atom in (a, b):
        if atom.alpha.is_nonpositive is not True:
            raise DivergentExpectation(
                f"the expectation diverges for large variances: the activation contains {atom.growth()}; "
                "use an activation that grows at most like exp(b*x), or give its parameters signs or values"
            )
    D, gaussian = pair.tilt((a.alpha, b.alpha))
    exponent, gaussian = gaussian.shift((a.beta, b.beta))
    prefactor = a.coefficient * b.coefficient * sp.exp(sp.cancel(exponent)) / sp.sqrt(D)
    spaces = tuple([(0, s) for s in a.spaces] + [(1, s) for s in b.spaces])
    if spaces and any(m.is_real is not True for m in gaussian.mean):
        raise OutsideClass(
            "a product of sin or cos with a knot or with Phi needs Phi of a complex argument, "
            "which this version does not derive"
        )
    for axis, atom in enumerate((a, b)):
        if atom.dirac is not None:
            point = HalfSpace(sp.S.One, -atom.dirac, 0)
            prefactor *= _density_at_zero(gaussian, axis, point)
            gaussian = gaussian.condition(axis, point)
    return prefactor * _moment((a.power, b.power), gaussian, spaces)


def _density_at_zero(gaussian: Gaussian, axis: int, space: HalfSpace) -> sp.Expr:
    mean, var = gaussian.form(axis, space)
    if var.is_zero:
        raise DivergentExpectation(
            "the expectation of a product of two Dirac impulses is infinite on the diagonal; "
            "use jumps='almost-everywhere'"
        )
    return sp.exp(sp.cancel(-(mean**2) / (2 * var))) / sp.sqrt(2 * sp.pi * var)


def _moment(powers: tuple[int, int], gaussian: Gaussian, spaces: tuple[Placed, ...]) -> sp.Expr:
    """E[uᵐ vⁿ ∏ 1[L_j > 0]] by Stein's rule, one power at a time."""
    memo: dict[tuple[int, int], sp.Expr] = {}
    boundary = [
        (axis, space, _density_at_zero(gaussian, axis, space), gaussian.condition(axis, space), j)
        for j, (axis, space) in enumerate(spaces)
        if any(powers) and not gaussian.form(axis, space)[1].is_zero
    ]

    def moment(m: int, n: int) -> sp.Expr:
        if m == n == 0:
            return _orthant(gaussian, spaces)
        if (m, n) not in memo:
            i = 0 if m else 1
            rest = (m - 1, n) if m else (m, n - 1)
            terms = [gaussian.mean[i] * moment(*rest)]
            for j in (0, 1):
                if rest[j]:
                    lower = (rest[0] - 1, rest[1]) if j == 0 else (rest[0], rest[1] - 1)
                    terms.append(gaussian.covariance(i, j) * rest[j] * moment(*lower))
            for axis, space, density, conditioned, j in boundary:
                others = spaces[:j] + spaces[j + 1 :]
                terms.append(
                    gaussian.covariance(i, axis) * space.slope * density * _moment(rest, conditioned, others)
                )
            memo[m, n] = sp.Add(*terms) if spaces else sp.expand(sp.Add(*terms))
        return memo[m, n]

    return moment(*powers)


def _orthant(gaussian: Gaussian, spaces: tuple[Placed, ...]) -> sp.Expr:
    """P(L_1 > 0, …, L_n > 0) of the half-spaces' forms."""
    factor: sp.Expr = sp.S.One
    random = []
    for axis, space in spaces:
        mean, var = gaussian.form(axis, space)
        if var.is_zero:
            factor *= sp.Heaviside(mean)
        else:
            random.append((axis, space, mean / sp.sqrt(var), var))
    h = [sp.together(item[2]) for item in random]
    r = {
        (i, j): _correlation(gaussian, random[i][:2], random[j][:2], random[i][3] * random[j][3])
        for i, j in combinations(range(len(random)), 2)
    }
    match len(random):
        case 0:
            return factor
        case 1:
            return factor * Phi(h[0])
        case 2:
            return factor * Phi2(h[0], h[1], r[0, 1])
        case 3 if all(mean.is_zero for mean in h):
            return factor * (sp.Rational(1, 8) + sp.Add(*(sp.asin(v) for v in r.values())) / (4 * sp.pi))
    raise OutsideClass(
        f"a product of knots and Phi factors needs the normal probability of {len(random)} half-spaces "
        + ("off the origin" if len(random) == 3 else "together")
        + ", which has no closed form"
    )


def _correlation(gaussian: Gaussian, one: Placed, two: Placed, variances: sp.Expr) -> sp.Expr:
    (i, a), (j, b) = one, two
    return a.slope * b.slope * gaussian.covariance(i, j) / sp.sqrt(sp.factor(variances))
