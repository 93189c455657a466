"""A document of text and formulas, before it is Markdown, LaTeX or HTML.

Text is never markup here: each renderer escapes it for its own format, so that an expression which a user typed can
stand anywhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Math:
    """A formula in the line, as LaTeX."""

    tex: str


@dataclass(frozen=True)
class Code:
    text: str


@dataclass(frozen=True)
class Cite:
    """A key of the references."""

    key: str


Inline = tuple[Text | Math | Code | Cite, ...]


@dataclass(frozen=True)
class Heading:
    """Of level 1 (a section) or 2."""

    level: int
    content: Inline


@dataclass(frozen=True)
class Paragraph:
    content: Inline


@dataclass(frozen=True)
class Display:
    """A displayed formula: rows (left, right) of LaTeX, aligned between left and right."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    header: tuple[Inline, ...]
    rows: tuple[tuple[Inline, ...], ...]


Block = Heading | Paragraph | Display | Table


@dataclass(frozen=True)
class Document:
    """`title` as text and formulas; `references` are (key, full reference) of what the blocks cite."""

    title: Inline
    blocks: tuple[Block, ...]
    references: tuple[tuple[str, str], ...]


def inline(text: str) -> Inline:
    """Our own prose: $…$ is a formula, [[…]] a citation, `…` code. Never for text from outside."""
    parts: list[Text | Math | Code | Cite] = []
    for part in re.split(r"(\$[^$]*\$|\[\[[^\]]*\]\]|`[^`]*`)", text):
        match part[:1]:
            case "$":
                parts.append(Math(part[1:-1]))
            case "`":
                parts.append(Code(part[1:-1]))
            case "[" if part.startswith("[["):
                parts.append(Cite(part[2:-2]))
            case _:
                parts += [Text(part)] if part else []
    return tuple(parts)


def plain(text: str) -> Inline:
    """Text from outside, character for character, on one line."""
    return (Text(" ".join(text.split())),)


def keys(blocks: tuple[Block, ...]) -> Iterator[str]:
    """The keys that are cited, each once, in order."""
    seen = set()
    for block in blocks:
        match block:
            case Heading(content=content) | Paragraph(content=content):
                cells: tuple[Inline, ...] = (content,)
            case Table(header=header, rows=rows):
                cells = (*header, *(cell for row in rows for cell in row))
            case _:
                cells = ()
        for part in (part for cell in cells for part in cell):
            if isinstance(part, Cite) and part.key not in seen:
                seen.add(part.key)
                yield part.key
