"""A document as one HTML file that needs nothing else: formulas in MathML, no script, no external resource."""

import re
from html import escape

from latex2mathml.converter import convert

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

STYLE = """
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; font: 1.05rem/1.55 Georgia, serif; color: #1a1a1a;
       background: #fff; }
h1, h2, h3 { font-weight: 600; line-height: 1.25; } h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; }
h3 { font-size: 1.05rem; } h2 { border-bottom: 1px solid #ddd; padding-bottom: .2rem; margin-top: 2.2rem; }
.display { overflow-x: auto; padding: .3rem 0; }
math { font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", "DejaVu Math TeX Gyre", math; }
mtable.rows > mtr > mtd { text-align: left; padding: .35em 0; }
mtable.rows > mtr > mtd:first-child { text-align: right; }
mtd[columnalign="left"] { text-align: left; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; }
th { border-bottom: 1px solid #999; } td { border-bottom: 1px solid #eee; }
code { font-size: .9em; background: #f4f4f4; padding: .1em .25em; } a { color: #124a8c; text-decoration: none; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; } code { background: #24272d; }
  h2 { border-color: #444; } td { border-color: #333; } a { color: #8ab4f8; } }
""".strip()

# What browsers need beyond the converter: they know no mathvariant but the normal one, so that the bold digit is a
# character of its own and capital Greek letters are set upright as TeX does; a named function has space around it.
REPAIRS = tuple(
    (re.compile(pattern), better)
    for pattern, better in (
        (r'<mn mathvariant="bold">1</mn>', "<mn>&#x1D7CF;</mn>"),
        (r"<mi>(&#x003(?:9[1-9A-F]|A[0-9]);)</mi>", r'<mi mathvariant="normal">\1</mi>'),
        (r"<mi>;</mi>", "<mo>;</mo>"),
        (r"((?:<ms(?:up|ub|ubsup)>)?<mi>(?:exp|log|a?r?c?(?:sin|cos|tan)h?)</mi>)", r'<mspace width="0.17em"/>\1'),
        (r"((?:sin|cos)</mi>)(?=<mi)", r'\1<mspace width="0.17em"/>'),
    )
)


def html(document: Document) -> str:
    body = [f"<h1>{_inline(document.title)}</h1>", *(_block(block) for block in document.blocks)]
    if document.references:
        items = [
            f'<li id="{anchor(key)}"><strong>{escape(key)}</strong>. {escape(text)}</li>'
            for key, text in document.references
        ]
        body += ["<h2>References</h2>", "<ul>", *items, "</ul>"]
    title = escape("".join(part.tex if isinstance(part, Math) else part.text for part in document.title))  # type: ignore[union-attr]
    return "\n".join(
        [
            "<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{title}</title>", f"<style>\n{STYLE}\n</style>", "</head>", "<body>",
            *body, "</body>", "</html>", "",
        ]
    )  # fmt: skip


def _block(block: Block) -> str:
    match block:
        case Heading():
            level = block.level + 1
            return f"<h{level}>{_inline(block.content)}</h{level}>"
        case Paragraph():
            return f"<p>{_inline(block.content)}</p>"
        case Display():
            rows = "\n".join(
                f"<mtr><mtd>{_mathml(left)}</mtd><mtd>{_mathml(right)}</mtd></mtr>" for left, right in block.rows
            )
            table = f'<mtable class="rows" displaystyle="true">\n{rows}\n</mtable>'
            return f'<div class="display"><math display="block">{table}</math></div>'
        case Table():
            head = "".join(f"<th>{_inline(cell)}</th>" for cell in block.header)
            rows = "\n".join(
                "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in block.rows
            )
            return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _inline(content: Inline) -> str:
    return "".join(
        f"<math>{_mathml(part.tex)}</math>" if isinstance(part, Math)
        else f"<code>{escape(part.text)}</code>" if isinstance(part, Code)
        else f'<a href="#{anchor(part.key)}">{escape(part.key)}</a>' if isinstance(part, Cite)
        else escape(part.text)
        for part in content
    )  # fmt: skip


def _mathml(tex: str) -> str:
    """The contents of a <math> element."""
    if not tex:
        return ""
    inside = re.sub(r"^<math[^>]*>|</math>$", "", convert(tex))
    for pattern, better in REPAIRS:
        inside = pattern.sub(better, inside)
    return inside
