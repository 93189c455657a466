"""Measure an evaluator: against the proved formula in mpmath, and both against quadrature.

The formula at many digits is the exact value at hundreds of points, and in the recursion of a network; at a
few, an oracle with its own table of activations and its own quadrature confirms the formula itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mehler.api import evaluator as evaluator_of
from mehler.api import number
from mehler.derive.activation import NAMED
from mehler.derive.parser import spelled
from mehler.derive.pipeline import derive_dual
from mehler.exact import Formula, Quadrature, exact
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator, load_file
from mehler.numeric.precision import network
from mehler.numeric.precision.budgets import budget
from mehler.numeric.precision.oracle import Oracle
from mehler.numeric.precision.points import Point, Region, point, within
from mehler.numeric.precision.search import search
from mehler.numeric.precision.ulp import FUNCTIONS, Row, adversarial, errors_at, measure, regions

ORACLE_POINTS = ((2, Fraction(1, 2), Fraction(-2, 5)), (Fraction(3, 4), 1, Fraction(4, 5)))
ORACLE_DIGITS = 18
TARGETS = ("numpy", "numba")
# A few pairs of rows of each kind, and some that become close in the network: enough for a damaged recursion, which
# errs everywhere, to show.
ANGLES = (0.0, 0.5, 1e-2, 1e-5)
FACTORS = (1.0, 1e-3)
DEPTHS = (1, 3)
NETWORK_DIGITS = 20
CLIMBS = 8
MOVES = 60
Track = Callable[[Sequence[Any], str], Iterable[Any]]


@dataclass(frozen=True)
class Certificate:
    """The errors of an evaluator by function and region, and the agreement of its formula with quadrature."""

    name: str
    expression: str
    dtype: str
    budgets: Mapping[str, float]  # by function
    rows: tuple[Row, ...]
    formula_error: float
    networks: tuple[network.Case, ...] = field(default=())  # the worst of each kernel and region
    network_budget: float = network.BUDGET

    @property
    def budget(self) -> float:
        """The largest of the budgets."""
        return max(self.budgets.values())

    @property
    def max_ulp(self) -> float:
        return max(row.worst for row in self.rows)

    @property
    def max_network(self) -> float:
        return max((case.units(self.dtype) for case in self.networks), default=0.0)

    @property
    def passed(self) -> bool:
        return (
            all(row.worst <= self.budgets[row.function] for row in self.rows)
            and self.max_network <= self.network_budget
            and self.formula_error < 10.0 ** (2 - ORACLE_DIGITS)
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "expression": self.expression,
            "dtype": self.dtype,
            "budget": self.budget,
            "budgets": dict(self.budgets),
            "max_ulp": self.max_ulp,
            "formula_error": self.formula_error,
            "network_budget": self.network_budget,
            "max_network": self.max_network,
            "passed": self.passed,
            "rows": [vars(row) for row in self.rows],
            "networks": [
                {
                    "kernel": case.kernel, "region": case.region, "depth": case.depth, "sigma_w": case.network[0],
                    "sigma_b": case.network[1], "angle": case.angle, "factor": case.factor,
                    "relative_error": case.error, "units": case.units(self.dtype),
                }
                for case in self.networks
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """An evaluator in one dtype, and the formula that it ought to evaluate."""

    evaluator: Evaluator
    dtype: np.dtype[Any]
    exact: Formula | Quadrature
    params: Mapping[str, Fraction]  # of the activation: the very floats that the evaluator is given


def subject(name: str, params: Mapping[str, Any], *, dtype: str = "float64", target: str = "numpy") -> Subject:
    """The evaluator of a file, or else of a named activation or an expression, as a network has it.

    Raises NumericError and DeriveError.
    """
    if dtype not in ("float64", "float32"):
        raise NumericError(f"--dtype {dtype} is not known; use float64 or float32")
    if target not in TARGETS:
        raise NumericError(f"--target {target} is not known; use {' or '.join(TARGETS)}")
    evaluator = _load(name, params, target)
    if target != evaluator.module.TARGET:
        raise NumericError(f"{name} is a module for {evaluator.module.TARGET[:40]}, not for {target}")
    return subject_of(evaluator, np.dtype(dtype))


def subject_of(evaluator: Evaluator, dtype: np.dtype[Any]) -> Subject:
    """An evaluator with the formula of its activation, derived and proved."""
    module = evaluator.module
    params = {name: Fraction(float(dtype.type(value))) for name, value in evaluator.values.items()}
    dual = derive_dual(module.EXPRESSION, jumps=module.JUMPS, **params)  # type: ignore[arg-type]
    return Subject(evaluator, dtype, exact(dual), params)


def certify(
    what: Subject,
    *,
    points: int = 12,
    seed: int = 0,
    deep: bool = False,
    track: Track = lambda items, _: items,
) -> Certificate:
    """Measure at `points` points in each region, and in networks; `deep`: also climb from the worst points.

    `track`(items, stage) goes through the items of a stage in turn, as a progress bar does.
    Raises NumericError.
    """
    if not 1 <= points <= 1000:
        raise NumericError(f"--points {points} is out of range; use 1 to 1000")
    if seed < 0:
        raise NumericError(f"--seed {seed} is out of range; use 0 or more")
    evaluator, exact, dtype = what.evaluator, what.exact, what.dtype
    module = evaluator.module
    budgets = {function: budget(module, dtype, function) for function in FUNCTIONS}
    places = (*regions(dtype, seed, points), *adversarial(dtype))
    tables: tuple[float, float] | None = getattr(module, "RANGE", None)
    places = within(*tables, places) if tables else _answered(evaluator, places, dtype)
    rows = measure(evaluator, exact, track(places, "regions"), dtype)
    if deep:
        starts = sorted(rows, key=lambda row: -row.worst / budgets[row.function])[:CLIMBS]
        rows += search(evaluator, exact, track(starts, "search"), dtype, moves=MOVES, seed=seed)
    cases = network.measure_network(
        evaluator, exact.at_working_precision, dtype, angles=ANGLES[: 2 if tables else None],
        factors=FACTORS[: 1 if tables else None], depths=DEPTHS, digits=NETWORK_DIGITS,
        track=lambda pairs: track(pairs, "networks"),
    ) if module.JUMPS == "almost-everywhere" else []  # fmt: skip
    worst = network.worst_by_region(cases, dtype).values()
    return Certificate(
        module.NAME,
        module.EXPRESSION,
        str(dtype),
        budgets,
        tuple(rows),
        _formula_error(what),
        tuple(worst),
        budgets["kernel"] if tables else network.BUDGET,
    )


def _answered(evaluator: Evaluator, where: Sequence[Region], dtype: np.dtype[Any]) -> tuple[Region, ...]:
    """The points without those that a module says it refuses: at variances over its SUMMABLE, by a ValueError."""
    module = evaluator.module

    def refused(at: Point) -> bool:
        if max(at[:2]) <= getattr(module, "SUMMABLE", float("inf")):
            return False
        arrays = [np.asarray([v], dtype) for v in at]
        try:
            with np.errstate(all="ignore"):
                module.kernel(*arrays, **evaluator.values)
                module.kernel_dot(*arrays, **evaluator.values)
        except ValueError:
            return True
        return False

    left = (Region(r.name, tuple(at for at in r.points if not refused(at))) for r in where)
    return tuple(region for region in left if region.points)


def _formula_error(what: Subject) -> float:
    module = what.evaluator.module
    oracle = Oracle(module.EXPRESSION, what.params, digits=ORACLE_DIGITS)
    error = 0.0
    for at in ORACLE_POINTS:
        formula, quadrature = what.exact(*at), oracle.both(*at)
        known = 1 if module.JUMPS == "distribution" else 2
        for a, b in list(zip(formula, quadrature, strict=True))[:known]:
            error = max(error, float(abs(a - b) / max(1, abs(a))))
    return error


def _load(name: str, params: Mapping[str, Any], target: str) -> Evaluator:
    if not name.endswith(".py"):
        if name.isidentifier() and spelled(name, NAMED) not in NAMED:
            raise NumericError(
                f"{name[:80]!r} names no activation and no .py file; see 'mehler list', or 'mehler generate'"
            )
        return evaluator_of(name, dict(params), target)
    return Evaluator(load_file(Path(name)), {key: number(key, value) for key, value in params.items()})


@dataclass(frozen=True)
class Curve:
    """Errors of one function against the angle from 0 or from π, at several pairs of variances."""

    function: str
    side: str
    budget: float
    angles: tuple[float, ...]
    errors: tuple[float, ...]


def curves(what: Subject, count: int = 24) -> list[Curve]:
    """The scaled ULP errors of kernel and kernel_dot at angles from what the dtype resolves to 1."""
    least = float(np.finfo(what.dtype).eps) ** 0.5
    found = []
    for side, sign in (("0", 1), ("pi", -1)):
        samples: dict[str, list[tuple[float, float]]] = {"kernel": [], "kernel_dot": []}
        for n, angle in enumerate(np.geomspace(least, 1, count)):
            for a, b in ((1.0, 1.0), (0.7, 0.7001 + 0.01 * n), (0.02, 50.0 + n)):
                at = point(a, b, sign * float(np.cos(angle)), what.dtype)
                for function, error in errors_at(what.evaluator, what.exact, at, what.dtype).items():
                    if function in samples:
                        samples[function].append((float(angle), error))
        for function, pairs in samples.items():
            angles, errors = zip(*pairs, strict=True)
            found.append(Curve(function, side, budget(what.evaluator.module, what.dtype, function), angles, errors))
    return found


def show(certificate: Certificate) -> None:
    """The tables of a certificate on the terminal."""
    from mehler.console import say, table
    from mehler.console import show as show_table

    errors = table("function", "region", "points", "worst scaled ulp", "at (q1, q2, c)")
    for row in certificate.rows:
        at = ", ".join(f"{v:.4g}" for v in row.at)
        errors.add_row(row.function, row.region, str(row.points), f"{row.worst:.2f}", at)
    say(f"{certificate.name}: phi(x) = {certificate.expression}, {certificate.dtype}")
    show_table(errors)
    if certificate.networks:
        networks = table("network", "rows", "worst, in eps", "relative error", "at")
        for case in certificate.networks:
            w, b = case.network
            at = f"L={case.depth} w={w:g} b={b:g} angle={case.angle:g} |y|/|x|={case.factor:g}"
            networks.add_row(
                case.kernel, case.region, f"{case.units(certificate.dtype):.2f}", f"{case.error:.0e}", at
            )
        show_table(networks)
    verdicts = [f"{name} {value:g}" for name, value in certificate.budgets.items()]
    limits = f"{certificate.budget:g}" if len(set(certificate.budgets.values())) == 1 else ", ".join(verdicts)
    say(
        f"formula against independent quadrature: {certificate.formula_error:.0e}\n"
        f"worst {certificate.max_network:.2f} eps in networks, budget {certificate.network_budget:g}\n"
        f"worst {certificate.max_ulp:.2f} scaled ulp, budget {limits}: "
        + ("passed" if certificate.passed else "OVER BUDGET")
    )
