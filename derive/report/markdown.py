"""A document as Markdown with $…$ formulas, as GitHub, Jupyter and pandoc render them."""

import re

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

# Markdown removes the backslash from \, and its like before TeX sees them.
SPACES = {
    r"\,": r"\thinspace ",
    r"\:": r"\medspace ",
    r"\;": r"\thickspace ",
    r"\!": r"\negthinspace ",
    r"\ ": r"\space ",
}


def markdown(document: Document) -> str:
    blocks = [f"# {_inline(document.title)}", *(block(part) for part in document.blocks)]
    if document.references:
        blocks.append("## References")
        blocks.append("\n".join(f"- **{_text(key)}** {_text(text)}" for key, text in document.references))
    return "\n\n".join(blocks) + "\n"


def block(part: Block) -> str:
    match part:
        case Heading():
            return f"{'#' * (part.level + 1)} {_inline(part.content)}"
        case Paragraph():
            return _inline(part.content)
        case Display():
            rows = [f"{left} &{right}" if right else left for left, right in part.rows]
            return "$$\n\\begin{aligned}\n" + _math(" \\\\\n".join(rows)) + "\n\\end{aligned}\n$$"
        case Table():
            lines = [part.header, *part.rows]
            cells = ["| " + " | ".join(cell(content) for content in line) + " |" for line in lines]
            return "\n".join([cells[0], "|" + "---|" * len(part.header), *cells[1:]])


def cell(content: Inline) -> str:
    # A bar in code or a formula would end the cell; those in text are escaped already.
    return re.sub(r"(?<!\\)\|", r"\\|", _inline(content))


def _inline(content: Inline) -> str:
    return "".join(
        f"${_math(part.tex)}$" if isinstance(part, Math)
        else _code(part.text) if isinstance(part, Code)
        else _text(part.key) if isinstance(part, Cite)
        else _text(part.text)
        for part in content
    )  # fmt: skip


def _math(tex: str) -> str:
    # GitHub refuses \operatorname.
    tex = re.sub(r"\\operatorname\{(\w+)\}", r"\\mathop{\\mathrm{\1}}", tex)
    return re.sub(r"\\\\|\\[,:;! ]", lambda m: SPACES.get(m[0], m[0]), tex)


def _text(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_$|~#]|\](?=[(\[:]))", r"\\\1", text)


def _code(text: str) -> str:
    """A code span whose fence is longer than any run of backticks inside."""
    text = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
