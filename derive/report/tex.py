"""A document as a complete LaTeX source: article with amsmath and amssymb, ASCII only, one run of pdflatex."""

import re
import unicodedata

from mehler.derive.report.document import (
    Block,
    Cite,
    Code,
    Display,
    Document,
    Heading,
    Inline,
    Math,
    Paragraph,
    Table,
)
from mehler.derive.report.references import anchor

HEAD = r"""\documentclass{article}
\usepackage{amsmath}
\usepackage{amssymb}
\setlength{\oddsidemargin}{-0.4in}
\setlength{\evensidemargin}{-0.4in}
\setlength{\topmargin}{-0.4in}
\setlength{\textwidth}{7.2in}
\setlength{\textheight}{9.4in}
\setlength{\parindent}{0pt}
\setlength{\parskip}{1ex}
\emergencystretch=3em
\allowdisplaybreaks
"""

# Nothing from the TS1 fonts, which a small TeX installation lacks.
SPECIAL = {
    "$": r"{\char36}", "{": r"$\{$", "}": r"$\}$",
    "\\": r"$\backslash$", "~": r"{\char126}", "^": r"{\char94}", "<": "$<$",
    ">": "$>$", "|": "$|$", '"': r"{\char34}", "`": r"{\char96}", "-": "-{}",
}  # fmt: skip

# Letters and signs of the field's prose, which ASCII lacks.
SIGNS = {
    "φ": r"$\phi$", "Φ": r"$\Phi$", "ρ": r"$\rho$", "θ": r"$\theta$", "Δ": r"$\Delta$", "δ": r"$\delta$",
    "σ": r"$\sigma$", "Σ": r"$\Sigma$", "Θ": r"$\Theta$", "μ": r"$\mu$", "α": r"$\alpha$", "β": r"$\beta$",
    "π": r"$\pi$", "∂": r"$\partial$", "√": r"$\surd$", "∞": r"$\infty$", "≤": r"$\le$", "≥": r"$\ge$",
    "≠": r"$\ne$", "→": r"$\to$", "·": r"$\cdot$", "×": r"$\times$", "−": "$-$", "±": r"$\pm$",
    "ö": r"\"o", "ä": r"\"a", "ü": r"\"u", "é": r"\'e", "–": "--", "—": "---", "…": r"\dots{}",
    "’": "'", "\u0307": "'", "₁": "$_1$", "₂": "$_2$", "₃": "$_3$", "²": "$^2$", "³": "$^3$", "½": r"$\frac12$",
}  # fmt: skip


def tex(document: Document) -> str:
    lines = [
        HEAD + r"\title{" + _inline(document.title) + "}",
        r"\author{}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
        *(_block(block) for block in document.blocks),
    ]
    if document.references:
        lines.append(r"\begin{thebibliography}{99}")
        lines += [rf"\bibitem{{{anchor(key)}}} {_text(text)}" for key, text in document.references]
        lines.append(r"\end{thebibliography}")
    return "\n\n".join([*lines, r"\end{document}"]) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return rf"\{'sub' * (block.level - 1)}section*{{{_inline(block.content)}}}"
        case Paragraph():
            return _inline(block.content)
        case Display():
            rows = [f"{left} &{right}" if right else left for left, right in block.rows]
            return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"
        case Table():
            body = [" & ".join(_inline(cell) for cell in row) + r" \\" for row in block.rows]
            head = " & ".join(_inline(cell) for cell in block.header) + r" \\ \hline"
            columns = "l" * len(block.header)
            return "\n".join([rf"\begin{{tabular}}{{{columns}}}", head, *body, r"\end{tabular}"])


def _inline(content: Inline) -> str:
    return "".join(
        f"${part.tex}$" if isinstance(part, Math)
        else rf"\texttt{{{_text(part.text)}}}" if isinstance(part, Code)
        else rf"{_text(part.key)}~\cite{{{anchor(part.key)}}}" if isinstance(part, Cite)
        else _text(part.text)
        for part in content
    )  # fmt: skip


def _text(text: str) -> str:
    return "".join(_character(character) for character in re.sub(r"\s+", " ", text))


def _character(character: str) -> str:
    if character in SIGNS:
        return SIGNS[character]
    if character in SPECIAL:
        return SPECIAL[character]
    if character in "#%&_":
        return "\\" + character
    if character.isascii() and character.isprintable():
        return character
    ascii_only = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9 .,;()+-]", "", ascii_only) or "?"
