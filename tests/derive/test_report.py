"""Reports: what they say, and that each format is well-formed. No TeX and no browser is needed here."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath
from xml.etree import ElementTree

import pytest
import sympy as sp

from mehler.derive.activation import NAMED, activation
from mehler.derive.dual import Check, NumericDual, Proof, ProvedDual, Step
from mehler.derive.errors import DeriveError
from mehler.derive.latex import LINE, latex, lines, width
from mehler.derive.pipeline import derive_dual
from mehler.derive.report import format_of, report
from mehler.derive.report.references import REFERENCES, cited
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import Delta, E, c, q, q1, q2, rho, sin_theta, theta, u, v, x

Derive = Callable[..., ProvedDual]
FORMS = ("md", "tex", "html")
HOSTILE = r"""<script>alert("x")</script> & $\input{/etc/passwd}$ `%_#~^{}| ](javascript:1) é π 中"""

# What LaTeX, amsmath and amssymb define and reports use. A command outside this list is a fault of the printer.
IN_FORMULAS = (
    "left right Bigl Bigr frac sqrt cdot quad begin end text mathbb mathbf mathrm mathop operatorname dot infty "
    "partial     alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega     Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega     sin cos tan "
    "sinh cosh tanh exp log arcsin arccos arctan max min int limits     le ge ne leq geq neq wedge vee "
    "Longrightarrow longrightarrow thinspace medspace thickspace "
)
IN_DOCUMENTS = (
    "documentclass usepackage setlength oddsidemargin evensidemargin topmargin textwidth textheight parindent "
    "parskip     emergencystretch allowdisplaybreaks title author date maketitle section subsection texttt "
    "cite bibitem hline char     backslash surd to times pm dots "
)
COMMANDS = frozenset(IN_FORMULAS.split())
DOCUMENT_COMMANDS = COMMANDS | frozenset(IN_DOCUMENTS.split())


def _steps() -> tuple[Step, ...]:
    """Every shape that a step may have."""
    a, b = sp.Symbol("alpha_1", real=True), sp.Symbol("slope", real=True)
    relu = [sp.Piecewise((t, t > 0), (b * t, True)) for t in (u, v)]
    long = sp.Add(*(E(u**n * v * sp.Heaviside(u - n)) * sp.exp(-q1 / 2 - n * c) / (q2 + n) for n in range(1, 15)))
    total = E(long * sp.Heaviside(v))
    return (
        Step("split into pieces", "", E(relu[0] * relu[1]), E(u * v * sp.Heaviside(u) * sp.Heaviside(-v))),
        Step("atoms", "Stein 1981", sp.Tuple(u, v), sp.Tuple(u * sp.Heaviside(u), v**2, sp.DiracDelta(v - 1))),
        Step("tilt", "completing the square", sp.Tuple(E(u), E(v)), sp.Tuple(a, Phi2(-q1, c, rho)),
             where=(sp.Eq(a, q1 / (1 + q1)), sp.Eq(b, sp.sqrt(Delta) / q))),
        Step("Stein", "Stein 1981; Kan & Robotti 2017", sp.Eq(E(u * v), c), sp.Eq(E(u * v), q1 - Delta)),
        Step("an equation from another", "Owen 1956", sp.Eq(a, b), sp.Eq(a + 1, b + 1)),
        Step("an equation, then a value", "Owen 1956", sp.Eq(E(u), a), b),
        Step("a value, then an equation", "Sheppard 1899", E(v), sp.Eq(E(v), sp.Integral(Phi(q), (q, 0, c)))),
        Step("a sum of many terms", "Price 1958", E(u), long),
        Step("the sum again", "", long, sp.Integer(0)),
        Step("long inside an expectation", "", total, total),
        Step("nothing changes", "", c, c),
    )  # fmt: skip


@pytest.fixture(scope="module")
def with_steps(derive: Derive) -> ProvedDual:
    relu = derive("relu")
    return replace(relu, dual=replace(relu.dual, steps=_steps()))


@pytest.fixture(scope="module")
def hostile(with_steps: ProvedDual) -> ProvedDual:
    """Every text that is not ours is an attack on the formats."""
    dual = with_steps.dual
    steps = (*dual.steps, Step(HOSTILE, HOSTILE + "; Stein 1981", u, v))
    proof = Proof((Check(HOSTILE, "numeric", True, HOSTILE),))
    phi = replace(dual.activation, text=HOSTILE)
    return replace(with_steps, dual=replace(dual, activation=phi, steps=steps), proof=proof)


@pytest.fixture(params=["relu", "step", "gelu", "leaky_relu", "sin", "x**3", "steps", "hostile", "tanh"])
def result(request: pytest.FixtureRequest, derive: Derive) -> ProvedDual | NumericDual:
    match request.param:
        case "steps":
            return request.getfixturevalue("with_steps")
        case "hostile":
            return request.getfixturevalue("hostile")
        case "tanh":
            return derive_dual("tanh")
    return derive(request.param)


def _formulas(markdown: str) -> list[str]:
    displays = re.findall(r"^\$\$\n(.*?)\n\$\$$", markdown, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^\$\$\n(.*?)\n\$\$$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    rest = re.sub(r"(`+).*?\1", "", rest)
    return displays + re.findall(r"(?<!\\)\$(.+?)(?<!\\)\$", rest)


def _assert_balanced(tex: str) -> None:
    """Braces, \\left and \\right on each line between & and \\\\, and environments, all match."""
    bare = re.sub(r"\\[{}%&$#_\\]", lambda m: m[0] if m[0] == r"\\" else "", tex)
    depth = 0
    for brace in re.findall(r"[{}]", bare):
        depth += 1 if brace == "{" else -1
        assert depth >= 0, tex
    assert depth == 0, tex
    open_environments: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", bare):
        if kind == "begin":
            open_environments.append(name)
        else:
            assert open_environments.pop() == name
    assert not open_environments
    inner = re.sub(r"\\begin\{(cases|pmatrix)\}.*?\\end\{\1\}", "", bare, flags=re.DOTALL)
    for line in re.split(r"\\\\|\n|&", inner):
        assert line.count(r"\left") - line.count(r"\leftrightarrow") == line.count(r"\right"), line
    assert bare.count(r"\Bigl") == bare.count(r"\Bigr")


def test_markdown(result: ProvedDual | NumericDual) -> None:
    text = report(result, "md")
    formulas = _formulas(text)
    assert formulas
    for formula in formulas:
        _assert_balanced(formula)
        commands = set(re.findall(r"\\([A-Za-z]+)", formula))
        # GitHub refuses \operatorname.
        assert commands <= COMMANDS - {"operatorname"}, commands - COMMANDS
        # Markdown drops the backslash before a punctuation mark; a doubled one survives inside $$.
        assert not re.search(r"(?<!\\)\\[^A-Za-z\\]", formula), formula
        assert "<" not in re.sub(r" < ", "", formula)
    assert text.count("$$") % 2 == 0
    assert "<script" not in text.replace("`" + HOSTILE, "") or HOSTILE in text


def test_tex_is_a_document_of_known_commands(result: ProvedDual | NumericDual) -> None:
    text = report(result, "tex")
    assert text.isascii()
    assert text.startswith(r"\documentclass{article}")
    assert text.endswith("\\end{document}\n")
    assert set(re.findall(r"\\usepackage\{(\w+)\}", text)) == {"amsmath", "amssymb"}
    _assert_balanced(text)
    commands = set(re.findall(r"\\([A-Za-z]+)", text))
    assert commands <= DOCUMENT_COMMANDS, commands - DOCUMENT_COMMANDS
    cited_keys, items = set(re.findall(r"\\cite\{(.*?)\}", text)), re.findall(r"\\bibitem\{(.*?)\}", text)
    assert cited_keys == set(items)
    assert len(items) == len(set(items))
    # An empty line inside a display ends TeX's run.
    assert not re.search(r"\\begin\{align\*\}(?:(?!\\end\{align).)*\n\n", text, re.DOTALL)


def test_html_is_one_whole_page(result: ProvedDual | NumericDual) -> None:
    text = report(result, "html")
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    names = Counter(element.tag for element in root.iter())
    assert (
        names["math"] == names["mtable"] + sum(e.get("display") is None for e in root.iter("math")) or names["math"]
    )
    assert not {"script", "link", "img", "iframe", "object"} & set(names)
    for element in root.iter():
        assert not any(key.startswith("on") for key in element.attrib)
        assert element.get("href", "#").startswith("#")
        # Converters leave what they do not know as text.
        assert element.tag not in ("mi", "mo", "mn") or not (element.text or "").startswith("\\"), element.text
        assert element.tag not in ("mi", "mo", "mn") or element.text != "&"
        arity = {"msup": 2, "msub": 2, "mfrac": 2, "msubsup": 3, "mover": 2}.get(element.tag)
        assert arity in (None, len(element)), ElementTree.tostring(element)
    assert not re.search(r"(?i)https?://(?!www\.w3\.org)|url\(|@import", text)
    targets = {e.get("href") for e in root.iter("a")}
    assert targets <= {f"#{e.get('id')}" for e in root.iter("li")}


@pytest.mark.parametrize("form", FORMS)
def test_reports_are_deterministic(with_steps: ProvedDual, form: str) -> None:
    assert report(with_steps, form) == report(with_steps, form)


@pytest.mark.parametrize("form", FORMS)
def test_text_from_outside_is_shown_and_does_nothing(hostile: ProvedDual, form: str) -> None:
    text = report(hostile, form)
    if form == "html":
        assert "<script" not in text
        assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; $\\input{/etc/passwd}$" in text
    if form == "tex":
        assert r"\input" not in text
        assert r"$\backslash$input$\{$/etc/passwd$\}${\char36}" in text
    if form == "md":
        outside_code = re.sub(r"(`{2,}).*?\1", "", text)
        assert "<script" not in outside_code
        assert not re.search(r"(?<!\\)\]\(", outside_code)
        # A bar in a cell would open a new one.
        rows = [row for row in text.splitlines() if row.startswith("|")]
        assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {5}
        assert r"\$\\input{/etc/passwd}\$" in outside_code


def test_contents(derive: Derive) -> None:
    text = report(derive("relu"), "md")
    headings = re.findall(r"^#+ .*", text, re.MULTILINE)
    assert headings[:4] == [r"# Dual kernels of $\phi(x) = \max\left(0, x\right)$", "## Conventions", "## Result",
                            "## Derivation"]  # fmt: skip
    assert headings[-2:] == ["## Proof", "## References"]
    for expected in (
        r"K &= \frac{\sqrt{q_1 q_2} \left(\left(\pi - \theta\right) \cos \theta + \sin \theta\right)}{2 \pi}",
        r"\dot K &= \frac{\pi - \theta}{2 \pi}",
        r"K(q, q, q) &= \frac{q}{2}",
        r"h(\rho) &= \frac{\rho \left(\pi - \arccos \rho\right) + \sqrt{1 - \rho^{2}}}{2 \pi}",
        r"h(\rho) &= \frac{1}{2 \pi} + \frac{1}{4} \rho + \frac{1}{4 \pi} \rho^{2} + \frac{1}{48 \pi} \rho^{4} + O",
        "| dK/dc = E[phi'(u) phi'(v)] | exact |",
        "Made by mehler ",
        "from `relu`, that is `Max(0, x)`; status closed-form",
        "- **Price 1958** R. Price",
    ):
        assert expected in text, expected
    assert "jumps at" not in text


def test_a_series_that_ends_has_no_remainder(derive: Derive) -> None:
    text = report(derive("x**3"), "md")
    assert r"h(\rho) &= 9 \rho + 6 \rho^{3}" + "\n" in text
    assert r"O\left(" not in text


def test_jumps(derive: Derive) -> None:
    for jumps, words in (("almost-everywhere", "almost everywhere"), ("distribution", "as a distribution")):
        text = report(derive("step", jumps), "md")
        assert "$\\phi$ jumps at $x = 0$ (by $1$)" in text
        assert r"\dot K_\delta &= \frac{1}{2 \pi \sqrt{- c^{2} + q_1 q_2}}" in text
        assert "infinite at $\\rho = 1$" in text
        assert f"$\\dot K$ is taken {words}." in text


def test_numeric_reports_give_the_reason() -> None:
    result = derive_dual("tanh")
    for form in FORMS:
        text = report(result, form)
        assert "No formula is derived" in text
        assert "tanh" in text
        assert "Step 1" not in text


def test_every_step_in_order_with_its_citations(with_steps: ProvedDual) -> None:
    text = report(with_steps, "md")
    assert re.findall(r"^### Step (\d+): (.*)", text, re.MULTILINE) == [
        (str(n), step.rule) for n, step in enumerate(with_steps.steps, 1)
    ]
    assert "By Stein 1981, Kan and Robotti 2017:" in text
    assert "By completing the square:" in text
    assert r"\alpha_1 &= \frac{q_1}{q_1 + 1}" in text
    assert "From the result of step 8:" in text
    assert re.search(r"\\mathbb\{E\}\\left\[u v\\right\] &= c \\\\\n\s*&= - \\Delta \+ q_1", text)
    assert r"\Longrightarrow\quad \alpha_1 + 1 = \mathop{\mathrm{slope}} + 1" in text
    assert r"\longrightarrow u \mathbf{1}\left[u > 0\right], " in text
    references = text.split("## References")[1]
    assert all(
        f"**{key}**" in references for key in ("Stein 1981", "Owen 1956", "Price 1958", "Kan and Robotti 2017")
    )
    assert "Jacot" not in references


def test_citations() -> None:
    assert cited("Stein 1981; Cho & Saul 2009;  by hand ") == [
        ("Stein 1981", True), ("Cho and Saul 2009", True), ("by hand", False),
    ]  # fmt: skip
    assert cited("") == []
    # A key ends in the year that its reference gives.
    assert all(f"({key[-4:]})" in text for key, text in REFERENCES.items())


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (E(u * v), r"\mathbb{E}\left[u v\right]"),
        (E(u) ** 2, r"\mathbb{E}\left[u\right]^{2}"),
        (sp.Heaviside(u - 1), r"\mathbf{1}\left[u - 1 > 0\right]"),
        (sp.DiracDelta(v + q1), r"\delta\left(q_1 + v\right)"),
        (Delta * sin_theta**2, r"\Delta \sin^{2}\theta"),
        (sp.cos(theta), r"\cos \theta"),
        (Phi2(q, c, rho) * Phi(q), r"\Phi\left(q\right) \Phi_2\left(q, c; \rho\right)"),
        (sp.sqrt(q1) * sp.sqrt(q2), r"\sqrt{q_1 q_2}"),
        (sp.exp(q1 / 2) * sp.exp(q2 / 2), r"e^{q_1 / 2 + q_2 / 2}"),
        (sp.exp(-(c**2) / (2 * q1)), r"\exp\left(- \frac{c^{2}}{2 q_1}\right)"),
        (sp.asin(rho), r"\arcsin \rho"),
        (sp.Symbol("alpha_beta"), r"\alpha_{\beta}"),
        (sp.Symbol("w_out"), r"w_{\mathrm{out}}"),
        # SymPy itself reads modifiers into names, and would use \mathscr, which amssymb lacks.
        (sp.Symbol("xscr"), r"\operatorname{xscr}"),
        (
            sp.Piecewise((x, x > 0), (0, True)),
            r"\begin{cases} x & \text{for } x > 0 \\ 0 & \text{otherwise} \end{cases}",
        ),
    ],
)  # fmt: skip
def test_notation(expr: sp.Expr, expected: str) -> None:
    assert latex(expr) == expected


def test_long_formulas_are_cut_into_lines_that_fit(derive: Derive) -> None:
    for step in _steps():
        for side in (step.before, step.after):
            if isinstance(side, sp.Expr):
                cut = lines(side)
                assert all(width(line) <= LINE + 12 for line in cut), cut
                _assert_balanced(" ".join(cut).replace(r"\Bigl", "").replace(r"\Bigr", ""))
    assert len(lines(_steps()[7].after)) > 2


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_named_activation_can_be_shown(name: str) -> None:
    _assert_balanced(latex(activation(name).expr))


def test_formats() -> None:
    assert [format_of(PurePath(p)) for p in ("a/b.md", "x.TEX", "c.d.html")] == ["md", "tex", "html"]
    for path in ("a.pdf", "a", "a.md.bak"):
        with pytest.raises(DeriveError, match=r"use one of \.md, \.tex, \.html"):
            format_of(PurePath(path))
    with pytest.raises(DeriveError, match="choose from: md, tex, html"):
        report(NumericDual(activation("tanh"), "", "almost-everywhere"), "pdf")
