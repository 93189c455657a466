"""Measure an evaluator: against the proved formula in mpmath, and both against quadrature.

The formula at many digits is the exact value at hundreds of points; at a few, an oracle with its own table
of activations and its own quadrature confirms the formula itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mehler.api import evaluator as evaluator_of
from mehler.api import number
from mehler.derive.activation import NAMED
from mehler.derive.pipeline import closed_form, derive_dual
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator, load_file
from mehler.numeric.precision.oracle import Oracle
from mehler.numeric.precision.ulp import Row, measure, regions

ORACLE_POINTS = ((2, Fraction(1, 2), Fraction(-2, 5)), (Fraction(3, 4), 1, Fraction(4, 5)))
ORACLE_DIGITS = 18


@dataclass(frozen=True)
class Certificate:
    """The errors of an evaluator by function and region, and the agreement of its formula with quadrature."""

    name: str
    expression: str
    dtype: str
    budget: float
    rows: tuple[Row, ...]
    formula_error: float

    @property
    def max_ulp(self) -> float:
        return max(row.worst for row in self.rows)

    @property
    def passed(self) -> bool:
        return self.max_ulp <= self.budget and self.formula_error < 10.0 ** (2 - ORACLE_DIGITS)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "expression": self.expression,
            "dtype": self.dtype,
            "budget": self.budget,
            "max_ulp": self.max_ulp,
            "formula_error": self.formula_error,
            "passed": self.passed,
            "rows": [vars(row) for row in self.rows],
        }


def certify(
    evaluator: str, params: Mapping[str, Any], *, dtype: str = "float64", points: int = 12, seed: int = 0
) -> Certificate:
    """Measure the evaluator of an activation, or a generated file. Raises NumericError and DeriveError."""
    if dtype not in ("float64", "float32"):
        raise NumericError(f"--dtype {dtype} is not known; use float64 or float32")
    if not 1 <= points <= 1000:
        raise NumericError(f"--points {points} is out of range; use 1 to 1000")
    if seed < 0:
        raise NumericError(f"--seed {seed} is out of range; use 0 or more")
    return certify_evaluator(_load(evaluator, params), np.dtype(dtype), points, seed)


def certify_evaluator(evaluator: Evaluator, dtype: np.dtype[Any], points: int, seed: int = 0) -> Certificate:
    """Measure one evaluator at `points` points in each region."""
    module = evaluator.module
    # Exact means: of the very floats that the evaluator is given, its parameters among them.
    params = {name: Fraction(float(dtype.type(value))) for name, value in evaluator.values.items()}
    dual = closed_form(derive_dual(module.EXPRESSION, jumps=module.JUMPS, **params))  # type: ignore[arg-type]

    @cache
    def exact(q1: float, q2: float, c: float) -> tuple[Any, Any]:
        return dual.evaluate(*(Fraction(v) for v in (q1, q2, c)), digits=25)

    rows = measure(evaluator, exact, regions(dtype, seed, points), dtype)
    oracle = Oracle(module.EXPRESSION, params, digits=ORACLE_DIGITS)
    formula_error = 0.0
    for point in ORACLE_POINTS:
        formula = dual.evaluate(*point, digits=25)
        quadrature = oracle.both(*point)
        known = 1 if module.JUMPS == "distribution" else 2
        for a, b in list(zip(formula, quadrature, strict=True))[:known]:
            formula_error = max(formula_error, float(abs(a - b) / max(1, abs(a))))
    return Certificate(module.NAME, module.EXPRESSION, str(dtype), module.BUDGET, tuple(rows), formula_error)


def _load(name: str, params: Mapping[str, Any]) -> Evaluator:
    """The evaluator of a file, or else of a named activation or an expression, as a network has it."""
    if not name.endswith(".py"):
        if name.isidentifier() and name not in NAMED:
            raise NumericError(
                f"{name[:80]!r} names no activation and no .py file; see 'mehler list', or 'mehler generate'"
            )
        return evaluator_of(name, dict(params))
    return Evaluator(load_file(Path(name)), {key: number(key, value) for key, value in params.items()})


def show(certificate: Certificate) -> None:
    """The table of a certificate on the terminal."""
    from rich.table import Table

    from mehler.console import out

    table = Table("function", "region", "points", "worst scaled ulp", "at (q1, q2, c)", box=None, pad_edge=False)
    for row in certificate.rows:
        at = ", ".join(f"{v:.4g}" for v in row.at)
        table.add_row(row.function, row.region, str(row.points), f"{row.worst:.2f}", at)
    out.print(f"{certificate.name}: phi(x) = {certificate.expression}, {certificate.dtype}", markup=False)
    out.print(table)
    out.print(
        f"formula against independent quadrature: {certificate.formula_error:.0e}\n"
        f"worst {certificate.max_ulp:.2f} scaled ulp, budget {certificate.budget:g}: "
        + ("passed" if certificate.passed else "OVER BUDGET"),
        markup=False,
    )
