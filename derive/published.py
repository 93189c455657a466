"""Closed forms from the literature, and the symbolic proof that derived kernels equal them.

The published formulas are typed in here from their papers, in the angle θ or in (q1, q2, c); nothing of the
theorem is used on that side.

Cho and Saul, "Kernel methods for deep learning", NeurIPS 2009 (arc-cosine kernels of order 0, 1, 2);
Williams, "Computation with infinite neural networks", Neural Computation 10 (1998) 1203 (erf);
Tsuchida et al., "Invariance of weight distributions in rectified MLPs", ICML 2018 (leaky ReLU);
Arora et al., "On exact computation with an infinitely wide neural net", NeurIPS 2019 (the unrolled NTK).
"""

from dataclasses import dataclass

import sympy as sp

from mehler.derive.algebra import DET, is_zero
from mehler.derive.compose import Layer, compose
from mehler.derive.dual import ProvedDual
from mehler.derive.pipeline import closed_form, derive_dual
from mehler.derive.symbols import c, q, q1, q2

COS = c / (sp.sqrt(q1) * sp.sqrt(q2))
THETA = sp.pi / 2 - sp.asin(COS)
SIN = sp.sqrt(DET) / (sp.sqrt(q1) * sp.sqrt(q2))
NORM = sp.sqrt(q1) * sp.sqrt(q2)

# Cho and Saul's angular functions J_n; their kernel of order n is ‖x‖ⁿ‖y‖ⁿ J_n(θ)/π, twice our E[φφ].
J0 = sp.pi - THETA
J1 = SIN + (sp.pi - THETA) * COS
J2 = 3 * SIN * COS + (sp.pi - THETA) * (1 + 2 * COS**2)

RELU = NORM * J1 / (2 * sp.pi)
STEP = J0 / (2 * sp.pi)


@dataclass(frozen=True)
class Verification:
    """One identity: what equals what, where it is from, and whether it was proved."""

    claim: str
    source: str
    passed: bool


def verify_all() -> tuple[Verification, ...]:
    """Every identity, proved in the normal form (exactly, not at points)."""
    relu = closed_form(derive_dual("relu"))
    return (*_relu(relu), *_relu_recursion(relu), *_others())


def _relu(relu: ProvedDual) -> list[Verification]:
    cho_saul = "Cho and Saul 2009"
    relu2 = closed_form(derive_dual("relu2"))
    step = closed_form(derive_dual("step"))
    limit = {q1: q, q2: q, c: q}
    return [
        _equal(
            "ReLU: K is the arc-cosine kernel of order 1, sqrt(q1 q2) J_1(theta)/(2 pi)",
            cho_saul,
            relu.kernel,
            RELU,
        ),
        _equal("ReLU: K' is the arc-cosine kernel of order 0, J_0(theta)/(2 pi)", cho_saul, relu.kernel_dot, STEP),
        _equal("step: K is the arc-cosine kernel of order 0", cho_saul, step.kernel, STEP),
        _equal(
            "ReLU^2: K is the arc-cosine kernel of order 2, q1 q2 J_2(theta)/(2 pi)",
            cho_saul,
            relu2.kernel,
            q1 * q2 * J2 / (2 * sp.pi),
        ),
        _equal("ReLU: dK/dc = K'", "Price 1958", sp.diff(relu.kernel, c), relu.kernel_dot),
        _equal("ReLU^2: dK/dc = K'", "Price 1958", sp.diff(relu2.kernel, c), relu2.kernel_dot),
        _equal("ReLU: K -> q/2 on the diagonal", "E[max(0, u)^2]", relu.kernel.subs(limit), q / 2),
        _equal("ReLU: K' -> 1/2 on the diagonal", "P(u > 0)", relu.kernel_dot.subs(limit), sp.Rational(1, 2)),
        _equal(
            "ReLU: K_diag = q/2 and K'_diag = 1/2 from the theorem itself",
            "rank-one covariance",
            relu.kernel_diag + relu.kernel_dot_diag,
            q / 2 + sp.Rational(1, 2),
        ),
    ]


def _relu_recursion(relu: ProvedDual) -> list[Verification]:
    """The recursion against formulas written independently of `compose`: unrolled, and layer by layer for any L."""
    arora = "Arora et al. 2019"
    b = sp.Symbol("sigma_b", nonnegative=True)
    # With σ_w² = 2 the variances stay (σ_b = 0) and the angle map is cos θ' = J_1(θ)/π.
    network = compose(relu, 2, sp.sqrt(2), sp.S.Zero)
    first, second = network.layers()[1:]
    cos1 = J1 / sp.pi
    results = [
        _equal("depth 1: Sigma = sqrt(q1 q2) J_1/pi", arora, first.sigma12, NORM * cos1),
        _equal(
            "depth 1: Theta = Sigma_1 + Sigma_0 J_0/pi",
            arora,
            first.theta12,
            NORM * (cos1 + COS * J0 / sp.pi),
        ),
        _equal("depth 2: the variances are those of the input", arora, second.sigma11 + second.sigma22, q1 + q2),
        _equal(
            "depth 2: Theta unrolls to sum_h Sigma_h prod_k K'_k",
            arora,
            second.theta12,
            _unrolled([first, second], [J0 / sp.pi, _j0_of(first) / sp.pi]),
        ),
    ]
    # The inductive step for any depth: one step from a layer of free symbols, with biases.
    p1, p2 = sp.symbols("p1 p2", positive=True)
    r, t = sp.symbols("r t", real=True)
    w = sp.Symbol("sigma_w", positive=True)
    layer = compose(relu, 1, w, b).step(Layer(p1, p2, r, t))
    rename = {p1: q1, p2: q2, r: c}
    results += [
        _equal(
            "any layer: Sigma' = w^2 sqrt(q1 q2) J_1/(2 pi) + b^2",
            "Lee et al. 2018",
            layer.sigma12.subs(rename),
            w**2 * RELU + b**2,
        ),
        _equal(
            "any layer: Theta' = Sigma' + w^2 J_0/(2 pi) Theta",
            "Jacot et al. 2018",
            layer.theta12.subs(rename),
            w**2 * RELU + b**2 + w**2 * STEP * t,
        ),
        _equal(
            "any layer: q' = w^2 q/2 + b^2",
            "Lee et al. 2018",
            layer.sigma11.subs(rename),
            w**2 * q1 / 2 + b**2,
        ),
    ]
    return results


def _j0_of(layer: Layer) -> sp.Expr:
    return sp.pi / 2 + sp.asin(layer.sigma12 / sp.sqrt(layer.sigma11 * layer.sigma22))


def _unrolled(layers: list[Layer], slopes: list[sp.Expr]) -> sp.Expr:
    """Σ_h Σʰ ∏_{k>h} K̇ᵏ, Arora et al. (9)."""
    sigmas = [c, *(layer.sigma12 for layer in layers)]
    return sp.Add(*(sigma * sp.Mul(*slopes[h:]) for h, sigma in enumerate(sigmas)))


def _others() -> list[Verification]:
    a = sp.Symbol("a", real=True)
    cases: list[tuple[str, str, str, sp.Expr]] = [
        (
            "erf",
            "Williams 1998",
            "2/pi asin(2c/sqrt((1 + 2q1)(1 + 2q2)))",
            2 / sp.pi * sp.asin(2 * c / sp.sqrt((1 + 2 * q1) * (1 + 2 * q2))),
        ),
        (
            "exp(-x**2/2)",
            "Williams 1998",
            "1/sqrt((1 + q1)(1 + q2) - c^2)",
            1 / sp.sqrt((1 + q1) * (1 + q2) - c**2),
        ),
        (
            "sqrt(2)*cos(x)",
            "Rahimi and Recht 2007",
            "exp(-|x - y|^2/2) + exp(-|x + y|^2/2)",
            sp.exp(-(q1 + q2 - 2 * c) / 2) + sp.exp(-(q1 + q2 + 2 * c) / 2),
        ),
        (
            "leaky_relu",
            "Tsuchida et al. 2018",
            "((1 - a)^2 J_1/(2 pi) + a cos(theta)) sqrt(q1 q2)",
            NORM * ((1 - a) ** 2 * J1 / (2 * sp.pi) + a * COS),
        ),
        (
            "abs(x)",
            "Tsuchida et al. 2018",
            "2 sqrt(q1 q2) (J_1/pi - cos(theta)/2)",
            2 * NORM * (J1 / sp.pi - COS / 2),
        ),
    ]
    return [
        _equal(f"{expr}: K = {text}", source, closed_form(derive_dual(expr)).kernel, formula)
        for expr, source, text, formula in cases
    ]


def _equal(claim: str, source: str, derived: sp.Expr, published: sp.Expr) -> Verification:
    return Verification(claim, source, is_zero(derived - published))


def report(results: tuple[Verification, ...]) -> str:
    """A Markdown report that a person can read."""
    lines = [
        "# Derived kernels equal the published closed forms",
        "",
        "Made by `mehler verify`. Each line is an identity between the kernel that the theorem derives and a",
        "formula typed in from its paper, decided exactly: the difference is zero in a normal form over the field",
        "of rational functions, not at sample points. θ = arccos(c/√(q1q2)), J_0 = π − θ,",
        "J_1 = sin θ + (π − θ) cos θ, J_2 = 3 sin θ cos θ + (π − θ)(1 + 2 cos² θ).",
        "",
        "| proved | identity | source |",
        "|---|---|---|",
        *(f"| {'yes' if r.passed else 'NO'} | {r.claim} | {r.source} |" for r in results),
        "",
        f"{sum(r.passed for r in results)} of {len(results)} proved.",
    ]
    return "\n".join(lines) + "\n"
