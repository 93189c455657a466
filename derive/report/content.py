"""What a report says: a derived dual as a document, from its conventions to its references."""

from collections.abc import Sequence
from importlib.metadata import version

import sympy as sp

from mehler.derive.dual import NumericDual, ProvedDual, Step, shown
from mehler.derive.errors import DeriveError
from mehler.derive.latex import latex, width
from mehler.derive.report.displays import Steps, definitions, equations, polynomial
from mehler.derive.report.document import (
    Block,
    Cite,
    Code,
    Document,
    Heading,
    Inline,
    Math,
    Paragraph,
    Table,
    Text,
    inline,
    keys,
    plain,
)
from mehler.derive.report.references import REFERENCES, cited
from mehler.derive.special import Phi, Phi2
from mehler.derive.sphere import series, sphere
from mehler.derive.symbols import rho

# Coefficients of the power series on the sphere.
TERMS = 6

# A φ wider than this is named in the title as it was typed.
MAX_TITLE = 60

NOTATION: Sequence[tuple[type[sp.Basic], str]] = (
    (sp.Heaviside, r"$\mathbf{1}[L > 0]$ is 1 where $L > 0$ and 0 where $L < 0$."),
    (sp.DiracDelta, r"$\delta$ is Dirac's impulse."),
    (Phi, r"$\Phi(h)$ is the distribution function of the standard normal law."),
    (
        Phi2,
        r"$\Phi_2(h, k; r)$ is the probability that $X \le h$ and $Y \le k$ for standard normal $X$, $Y$ of "
        "correlation $r$ ([[Plackett 1954]], [[Genz 2004]]).",
    ),
)


def document(result: ProvedDual | NumericDual) -> Document:
    """The report on a result. The same result gives the same document."""
    blocks: list[Block] = [*_conventions(result)]
    if isinstance(result, NumericDual):
        blocks += _no_formula(result)
    else:
        blocks += [*_formulas(result), *_sphere(result), *_jumps(result)]
        blocks += [*_derivation(result.steps), *_proof(result)]
    blocks += [_provenance(result)]
    references = tuple((key, REFERENCES[key]) for key in sorted(keys(tuple(blocks)), key=_year))
    return Document(_title(result), tuple(blocks), references)


def _year(key: str) -> tuple[str, str]:
    return key.rsplit(" ", 1)[-1], key


def _title(result: ProvedDual | NumericDual) -> Inline:
    formula = latex(result.activation.expr)
    if width(formula) > MAX_TITLE or "cases" in formula:
        return (Text("Dual kernels of "), Code(result.activation.text))
    return (Text("Dual kernels of "), Math(rf"\phi(x) = {formula}"))


def _section(title: str) -> Heading:
    return Heading(1, plain(title))


def _conventions(result: ProvedDual | NumericDual) -> list[Block]:
    activation = result.activation
    blocks: list[Block] = [
        _section("Conventions"),
        Paragraph(inline("The activation is")),
        equations((r"\phi(x)", activation.expr)),
        Paragraph(
            inline(
                r"Let $u$ and $v$ be centred and jointly Gaussian with covariance "
                r"$\begin{pmatrix} q_1 & c \\ c & q_2 \end{pmatrix}$, that is $\mathbb{E}[u^2] = q_1$, "
                r"$\mathbb{E}[v^2] = q_2$ and $\mathbb{E}[uv] = c$. Write $\Delta = q_1 q_2 - c^2$ for its "
                r"determinant, $\rho = c / \sqrt{q_1 q_2}$ for the correlation and $\theta = \arccos\rho$ for the "
                r"angle. The dual kernels are $K(q_1, q_2, c) = \mathbb{E}[\phi(u) \phi(v)]$ and "
                r"$\dot K(q_1, q_2, c) = \mathbb{E}[\phi'(u) \phi'(v)]$."
            )
        ),
    ]
    notation = [text for function, text in NOTATION if any(e.has(function) for e in _expressions(result))]
    if notation:
        blocks.append(Paragraph(inline(" ".join(notation))))
    if activation.parameters:
        blocks.append(Paragraph(_parameters(result)))
    return blocks


def _parameters(result: ProvedDual | NumericDual) -> Inline:
    parts: list[Text | Math | Code | Cite] = [Text("Parameters: ")]
    for i, symbol in enumerate(result.activation.parameters):
        kind = "positive" if symbol.is_positive else "negative" if symbol.is_negative else "real"
        parts += [Text("; " if i else ""), Math(latex(symbol)), Text(f", {kind}")]
        if symbol.name in result.activation.defaults:
            parts += [Text(", by default "), Math(latex(result.activation.defaults[symbol.name]))]
    return (*parts, Text("."))


def _expressions(result: ProvedDual | NumericDual) -> list[sp.Basic]:
    found: list[sp.Basic] = [result.activation.expr]
    if isinstance(result, ProvedDual):
        found += [result.kernel, result.kernel_dot, result.kernel_diag, result.kernel_dot_diag]
    for step in result.steps:
        found += [step.before, step.after, *step.where]
    return found


def _no_formula(result: NumericDual) -> list[Block]:
    return [
        _section("Result"),
        Paragraph((Text("No formula is derived: "), *plain(result.reason), Text("."))),
        Paragraph(
            inline(
                r"$K$ and $\dot K$ have values all the same, by quadrature to any number of digits: "
                "`mehler derive EXPR --at q1=1,q2=1,c=1/2`."
            )
        ),
    ]


def _formulas(result: ProvedDual) -> list[Block]:
    return [
        _section("Result"),
        equations(("K", shown(result.kernel)), (r"\dot K", shown(result.kernel_dot))),
        Paragraph(inline("and on the diagonal $q_1 = q_2 = c = q$")),
        equations(("K(q, q, q)", result.kernel_diag), (r"\dot K(q, q, q)", result.kernel_dot_diag)),
    ]


def _sphere(result: ProvedDual) -> list[Block]:
    on = sphere(result)
    blocks: list[Block] = [
        Paragraph(
            inline(r"On the sphere $q_1 = q_2 = 1$, $c = \rho$, write $h(\rho) = K(1, 1, \rho)$ and so $\dot h$:")
        ),
        equations((r"h(\rho)", on.kernel), (r"\dot h(\rho)", on.kernel_dot)),
    ]
    try:
        displays = [
            polynomial(name, r"\rho", series(formula, TERMS), ends=_ends(formula))
            for name, formula in ((r"h(\rho)", on.kernel), (r"\dot h(\rho)", on.kernel_dot))
        ]
    except DeriveError:
        return blocks
    return [
        *blocks,
        Paragraph(
            inline(
                r"The coefficient of $\rho^n$ in $h$ is $a_n^2$ with the Hermite coefficient "
                r"$a_n = \mathbb{E}[\phi(z) \operatorname{He}_n(z)] / \sqrt{n!}$, $z$ standard normal ([[Mehler "
                "1866]], [[Daniely et al. 2016]]):"
            )
        ),
        *displays,
    ]


def _ends(formula: sp.Expr) -> bool:
    return bool(formula.is_polynomial(rho) and sp.degree(formula, rho) < TERMS)


def _jumps(result: ProvedDual) -> list[Block]:
    if result.dual.impulses == 0:
        return []
    places = result.activation.pieces.jumps()
    where: list[Text | Math | Code | Cite] = []
    for i, (t, step) in enumerate(places):
        where += [Text(", " if i else ""), Math(f"x = {latex(t)}"), Text(" (by "), Math(latex(step)), Text(")")]
    chosen = "almost everywhere" if result.jumps == "almost-everywhere" else "as a distribution"
    return [
        _section("The jumps"),
        Paragraph((*inline(r"$\phi$ jumps at "), *where, *inline(r", so its derivative has two meanings."))),
        Paragraph(
            inline(
                r"Almost everywhere, $\phi'$ is the derivative away from the jumps. This is what back-propagation "
                r"computes. $\dot K$ is then finite, but it is not $\partial K / \partial c$."
            )
        ),
        Paragraph(
            inline(
                r"As a distribution, $\phi'$ has besides, at each jump $t$, the impulse "
                r"$(\phi(t^+) - \phi(t^-)) \, \delta(x - t)$. Then $\dot K = \partial K / \partial c$ ([[Price "
                r"1958]]), and the impulses contribute to it"
            )
        ),
        equations((r"\dot K_\delta", result.dual.impulses_shown)),
        Paragraph(
            inline(
                r"which is infinite at $\rho = 1$: there $\dot K(q, q, q) = \infty$, with it the diagonal of the "
                r"neural tangent kernel, $\Theta' = \Sigma' + \sigma_w^2 \dot K \, \Theta$ ([[Jacot et al. 2018]])."
            )
        ),
        Paragraph(inline(rf"In this report $\dot K$ is taken {chosen}.")),
    ]


def _derivation(steps: Sequence[Step]) -> list[Block]:
    blocks: list[Block] = [_section("Derivation")] if steps else []
    displays = Steps()
    for number, step in enumerate(steps, 1):
        display, origin = displays.display(number, step)
        blocks.append(Heading(2, (Text(f"Step {number}: "), *plain(step.rule))))
        sources = [Cite(part) if known else Text(part) for part, known in cited(step.citation)]
        by = [part for source in sources for part in (Text(", "), source)][1:]
        begin = [Text(f"From the result of step {origin}" + (", by " if by else ""))] if origin else [Text("By ")]
        if by or origin:
            blocks.append(Paragraph((*begin, *by, Text(":"))))
        blocks.append(display)
        if step.where:
            blocks += [Paragraph(plain("where")), definitions(step.where)]
    return blocks


def _proof(result: ProvedDual) -> list[Block]:
    checks = result.proof.checks
    if not checks:
        return []
    verdict = "passed" if result.proof.passed else "did not all pass"
    rows = tuple(
        (
            plain(check.name),
            plain("exact" if check.kind == "symbolic" else "numeric"),
            plain(check.detail),
            plain("passed" if check.passed else "FAILED"),
        )
        for check in checks
    )
    return [
        _section("Proof"),
        Paragraph(
            inline(
                f"These checks {verdict}. An exact one is an identity decided in a normal form over a field of "
                r"rational functions; $\partial K / \partial c = \dot K$ is the theorem of [[Price 1958]]. A "
                "numeric one compares with quadrature that shares nothing with the derivation. K' stands for "
                r"$\dot K$."
            )
        ),
        Table((plain("check"), plain("kind"), plain("detail"), plain("outcome")), rows),
    ]


def _provenance(result: ProvedDual | NumericDual) -> Paragraph:
    activation = result.activation
    return Paragraph(
        (
            Text(f"Made by mehler {version('mehler')} from "), Code(activation.text), Text(", that is "),
            Code(str(activation.expr)), Text(f"; status {result.status}, derivative at jumps {result.jumps}."),
        )
    )  # fmt: skip
