"""Displayed formulas: equations and steps as rows that fit a page."""

import sympy as sp

from mehler.derive.dual import Step
from mehler.derive.latex import LINE, latex, lines, width
from mehler.derive.report.document import Display

Rows = list[tuple[str, str]]

# Before a formula of several lines, a left-hand side up to this width stands beside it, a longer one above it.
MAX_LEFT = 14

# A formula of more lines than this that a step takes over from an earlier one is not printed again.
MAX_REPEATED = 3


def equations(*pairs: tuple[str, sp.Basic]) -> Display:
    """name = formula, one below the other."""
    return Display(tuple(row for name, formula in pairs for row in _chain_row(name, "=", formula)))


def definitions(where: tuple[sp.Eq, ...]) -> Display:
    """What a step's `where` defines."""
    rows: Rows = []
    for item in where:
        if isinstance(item, sp.Eq):
            rows += _equation(item.lhs, item.rhs)
        else:
            rows += _lines(item)
    return Display(tuple(rows))


def polynomial(name: str, variable: str, coefficients: tuple[sp.Expr, ...], *, ends: bool) -> Display:
    """name = Σ coefficients[n] variableⁿ, and O(…) of what follows unless the series `ends`."""
    terms = []
    for n, coefficient in enumerate(coefficients):
        if coefficient != 0:
            power = "" if n == 0 else variable if n == 1 else f"{variable}^{{{n}}}"
            scale = latex(coefficient)
            if coefficient.is_Add and n:
                scale = rf"\left({scale}\right)"
            terms.append((power if scale == "1" and n else f"{scale} {power}").strip())
    if not ends:
        terms.append(rf"O\left({variable}^{{{len(coefficients)}}}\right)")
    first, *others = terms or ["0"]
    rows: Rows = [(name, f"= {first}")]
    for term in others:
        signed = term if term.startswith("-") else f"+ {term}"
        left, right = rows[-1]
        if width(right) + width(signed) <= LINE - width(name) - 2:
            rows[-1] = (left, f"{right} {signed}")
        else:
            rows.append(("", rf"\quad {signed}"))
    return Display(tuple(rows))


class Steps:
    """The displays of a derivation's steps; it remembers which step a long formula came from."""

    def __init__(self) -> None:
        self.origin: dict[sp.Basic, int] = {}

    def display(self, number: int, step: Step) -> tuple[Display, int | None]:
        """before = after; with the number of the step whose result `before` is, when it is too long to repeat."""
        before, after = _elements(step.before), _elements(step.after)
        rows: Rows = []
        origin = None
        if len(before) == len(after) > 1:
            for b, a in zip(before, after, strict=True):
                rows += _statement(b, a)
        elif len(before) == len(after) == 1:
            origin = self.origin.get(before[0])
            long = origin is not None and len(lines(before[0])) > MAX_REPEATED
            rows = _chain_row("", "=", after[0]) if long else _statement(before[0], after[0])
            origin = origin if long else None
        else:
            rows = _list(before) + _list(after, r"\longrightarrow ")
        self.origin.setdefault(after[-1] if len(after) == 1 else step.after, number)
        return Display(tuple(rows)), origin


def _elements(side: sp.Basic) -> tuple[sp.Basic, ...]:
    return tuple(side) if isinstance(side, sp.Tuple) else (side,)


def _statement(before: sp.Basic, after: sp.Basic) -> Rows:
    """before = after; two equations with one left-hand side are one chain, other relations follow by ⟹."""
    b, a = _sides(before), _sides(after)
    if len(a) == 1:
        chain = [*b, *a]
    elif len(a) == 2 and (a[0] == before or a[0] == b[0]):
        chain = [*b, a[1]]
    else:
        return _lines(before) + _lines(after, r"\Longrightarrow\quad ")
    # A rule may leave a formula as it is; it is then shown once.
    chain = [e for i, e in enumerate(chain) if i == 0 or e != chain[i - 1]]
    rows, rest = (_equation(chain[0], chain[1]), chain[2:]) if len(chain) > 1 else (_lines(chain[0]), [])
    for formula in rest:
        rows += _chain_row("", "=", formula)
    return rows


def _equation(before: sp.Basic, after: sp.Basic) -> Rows:
    left, right = latex(before), latex(after)
    if width(left) <= MAX_LEFT or width(left) + width(right) <= LINE:
        return _chain_row(left, "=", after)
    return _lines(before) + _chain_row("", "=", after)


def _sides(formula: sp.Basic) -> list[sp.Basic]:
    return [formula.lhs, formula.rhs] if isinstance(formula, sp.Eq) else [formula]


def _chain_row(left: str, sign: str, formula: sp.Basic) -> Rows:
    head, *others = lines(formula, LINE - width(left) - 2)
    return [(left, f"{sign} {head}"), *(("", rf"\quad {line}") for line in others)]


def _lines(formula: sp.Basic, head: str = "") -> Rows:
    first, *others = lines(formula)
    return [("", head + first), *(("", rf"\quad {line}") for line in others)]


def _list(items: tuple[sp.Basic, ...], head: str = "") -> Rows:
    rows: Rows = []
    for i, item in enumerate(items):
        part = _lines(item, head if i == 0 else r"\quad " if head else "")
        left, right = part[-1]
        part[-1] = (left, right + (", " if i < len(items) - 1 else ""))
        rows += part
    return rows
