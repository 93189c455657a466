"""Straight-line code: named quantities in order. A subexpression that occurs twice is computed once."""

from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True)
class StraightLine:
    """Assignments in order, then outputs; expressions in inputs and earlier names."""

    inputs: tuple[sp.Symbol, ...]
    assignments: tuple[tuple[sp.Symbol, sp.Expr], ...]
    outputs: tuple[sp.Expr, ...]


def share(
    inputs: tuple[sp.Symbol, ...], outputs: list[sp.Expr], known: list[tuple[sp.Symbol, sp.Expr]]
) -> StraightLine:
    shared, reduced = sp.cse(outputs, symbols=sp.numbered_symbols("shared"), order="canonical")
    names: dict[sp.Symbol, sp.Symbol] = {}
    counts: dict[str, int] = {}
    assignments = []
    for symbol, value in shared:
        if value.is_number:
            names[symbol] = value
            continue
        kind = _kind(value)
        counts[kind] = counts.get(kind, 0) + 1
        names[symbol] = sp.Symbol(f"{kind}{counts[kind]}")
        assignments.append((names[symbol], value.xreplace(names)))
    reduced = [value.xreplace(names) for value in reduced]
    used = set().union(*(v.free_symbols for _, v in assignments), *(v.free_symbols for v in reduced))
    needed: list[tuple[sp.Symbol, sp.Expr]] = []
    for symbol, value in reversed(known):
        if symbol in used:
            needed.insert(0, (symbol, value))
            used |= value.free_symbols
    return StraightLine(inputs, tuple(needed + assignments), tuple(reduced))


def _kind(value: sp.Expr) -> str:
    """What a shared quantity is, for its name."""
    if isinstance(value, sp.atan2):
        return "angle"
    if isinstance(value, sp.exp):
        return "exponential"
    if value.is_Pow and value.exp == sp.Rational(1, 2):
        return "root"
    return {sp.Add: "sum", sp.Mul: "product", sp.Pow: "power"}.get(value.func, str(value.func.__name__).lower())
