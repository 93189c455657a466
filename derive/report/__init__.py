"""A derivation as a page to read and to paste into a paper.

    result ─content→ Document ─markdown | tex | html→ text

`content` knows the mathematics and no format; each format knows blocks and no mathematics.
"""

from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import MappingProxyType

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.errors import DeriveError
from mehler.derive.report.content import document
from mehler.derive.report.document import Document
from mehler.derive.report.markdown import markdown
from mehler.derive.report.tex import tex


def report(result: ProvedDual | NumericDual, form: str) -> str:
    """The derivation of `result` as "md", "tex" or "html": byte for byte the same for the same result.

    Markdown has $$ formulas as GitHub renders them; LaTeX is a complete article with amsmath and amssymb; HTML
    is one file that renders offline in MathML. Raises DeriveError for another format.
    """
    if form not in FORMATS:
        raise DeriveError(f"a report cannot be written as {form!r}; choose from: {', '.join(FORMATS)}")
    return FORMATS[form](document(result))


def format_of(path: PurePath) -> str:
    """The format that the suffix of a file names. Raises DeriveError."""
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        endings = ", ".join(f".{known}" for known in FORMATS)
        raise DeriveError(f"{path.name}: the suffix names the format of a report; use one of {endings}")
    return form


def _html(page: Document) -> str:
    # Only this format needs the converter to MathML, and who imports mehler should not wait for it.
    from mehler.derive.report.html import html

    return html(page)


FORMATS: Mapping[str, Callable[[Document], str]] = MappingProxyType({"md": markdown, "tex": tex, "html": _html})
