"""Straight-line code: named quantities in order. A subexpression that occurs twice is computed once."""

from dataclasses import dataclass

import sympy as sp

from mehler.derive.stabilise.rules import ExpGap, ExpSum


@dataclass(frozen=True)
class StraightLine:
    """Assignments in order, then outputs; expressions in inputs and earlier names."""

    inputs: tuple[sp.Symbol, ...]
    assignments: tuple[tuple[sp.Symbol, sp.Expr], ...]
    outputs: tuple[sp.Expr, ...]


def share(
    inputs: tuple[sp.Symbol, ...], outputs: list[sp.Expr], known: list[tuple[sp.Symbol, sp.Expr]]
) -> StraightLine:
    # What is computed in twice the precision must not be rounded on the way: it is a quantity of its own.
    precise = sorted(set().union(*(e.atoms(ExpSum, ExpGap) for e in outputs)), key=sp.default_sort_key)
    exponentials = {e: sp.Symbol(f"exponential{i}", positive=True) for i, e in enumerate(precise, 1)}
    outputs = [output.xreplace(exponentials) for output in outputs]
    shared, reduced = sp.cse(outputs, symbols=sp.numbered_symbols("shared"), order="canonical")
    names: dict[sp.Symbol, sp.Symbol] = {}
    counts: dict[str, int] = {"exponential": len(precise)}
    assignments = [(symbol, e) for e, symbol in exponentials.items()]
    for symbol, value in shared:
        # A high negative power underflows by itself where the product it belongs to does not.
        if value.is_number or (value.is_Pow and value.exp.is_number and value.exp < -1):
            names[symbol] = value.xreplace(names)
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
    if isinstance(value, sp.atan2 | sp.atan):
        return "angle"
    if isinstance(value, sp.exp):
        return "exponential"
    if value.is_Pow and value.exp == sp.Rational(1, 2):
        return "root"
    return {sp.Add: "sum", sp.Mul: "product", sp.Pow: "power"}.get(value.func, str(value.func.__name__).lower())
