"""Every committed module in both dtypes against golden values that none of mehler's formulas made.

    python -m pytest tests/generated/test_precision.py --tighten

lists the budgets that the worst error measured here is less than half of.
"""

import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import mehler
import mehler.generated
from mehler.api import evaluator
from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision.budgets import budget
from mehler.numeric.precision.oracle import Oracle
from mehler.numeric.precision.points import admissible
from mehler.numeric.precision.ulp import FUNCTIONS, errors_at

FOLDER = Path(mehler.generated.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != "__init__.py")
DTYPES = ("float64", "float32")
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "precision.json").read_text(encoding="utf-8"))
CASES = GOLDEN["cases"]


@cache
def golden(name: str, dtype: str) -> dict[tuple[float, float, float], tuple[Any, Any]]:
    """(K, K̇) by point, those of the diagonals among them, as mpf."""
    case = CASES[name][dtype]
    with mpmath.workdps(GOLDEN["digits"] + 5):
        table = {(float(q) or 5e-324,) * 3: entry["values"] for q, entry in case["diagonal"].items()}
        table |= {(float(q),) * 3: entry["values"] for q, entry in case["diagonal"].items() if float(q)}
        # √(K K) needs the diagonal at 0 too: the limit.
        table.setdefault((0.0, 0.0, 0.0), table.get((5e-324,) * 3, ["0", "0"]))
        table |= {tuple(entry["at"]): entry["values"] for entry in case["points"]}
        return {at: tuple(map(mpmath.mpf, values)) for at, values in table.items()}


def worst_errors(subject: Evaluator, name: str, dtype: str) -> dict[str, tuple[float, Any]]:
    """The largest scaled ULP error of each function over the golden points, and where."""
    values = golden(name, dtype)
    worst: dict[str, tuple[float, Any]] = dict.fromkeys(FUNCTIONS, (0.0, None))

    def exact(q1: float, q2: float, c: float) -> tuple[Any, Any]:
        return values[q1, q2, c]

    points = [tuple(entry["at"]) for entry in CASES[name][dtype]["points"]]
    points += [(float(q),) * 3 for q in CASES[name][dtype]["diagonal"]]
    for at in dict.fromkeys(points):
        for function, error in errors_at(subject, exact, at, dtype).items():
            if not error <= worst[function][0]:
                worst[function] = (error, at)
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_within_budget_at_the_golden_points(
    name: str, dtype: str, record_property: Any
) -> None:
    module = import_module(f"mehler.generated.{name}")
    worst = worst_errors(Evaluator(module, {}), name, dtype)
    for function, (error, at) in worst.items():
        limit = budget(module, dtype, function)
        if error < limit / 2:
            record_property("tighten", f"{name} {dtype} {function}: worst {error:.2f}, budget {limit:g}")
        assert error <= limit, f"{function} of {name} at {at}: {error:.3g} scaled ulp, budget {limit:g}"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_elu_generated_now_within_budget(dtype: str) -> None:
    subject = evaluator("elu", {})
    for function, (error, at) in worst_errors(subject, "elu", dtype).items():
        assert error <= budget(subject.module, dtype, function), f"{function} at {at}: {error:.3g} scaled ulp"


def test_every_module_has_golden_values_in_every_region() -> None:
    assert set(CASES) >= {*NAMES, "elu"}
    for name, dtypes in CASES.items():
        assert set(dtypes) == set(DTYPES)
        for dtype, case in dtypes.items():
            assert len(case["points"]) >= (30 if name in NAMES else 10)
            assert {entry["source"] for entry in case["points"]} <= {"oracle", "published"}
            assert any(entry["source"] == "oracle" for entry in case["points"])
            for entry in case["points"]:
                assert all(float(np.asarray(v, dtype)) == v for v in entry["at"])
                assert admissible(*entry["at"])
                assert {repr(v) for v in entry["at"][:2]} <= set(case["diagonal"])


@pytest.mark.parametrize("name", ["relu", "gaussian", "sin"])
def test_the_file_holds_what_the_oracle_says(name: str) -> None:
    entry = next(e for e in CASES[name]["float64"]["points"] if e["region"] == "bulk" and e["source"] == "oracle")
    found = Oracle(mehler.network(name).evaluator.module.EXPRESSION, digits=25).both(*entry["at"])
    for value, text in zip(found, entry["values"], strict=True):
        assert mpmath.almosteq(value, mpmath.mpf(text), 1e-14)


def test_the_comparison_notices_one_unit() -> None:
    """A module whose kernel is one more unit off at each point is one more unit off here."""
    relu = import_module("mehler.generated.relu")

    class Shifted:
        NAME = "shifted"
        PARAMETERS: dict[str, float] = {}  # noqa: RUF012

        def __getattr__(self, function: str) -> Any:
            def shifted(*arrays: Any) -> Any:
                return np.nextafter(np.nextafter(getattr(relu, function)(*arrays), np.inf), np.inf)

            return shifted

    before = worst_errors(Evaluator(relu, {}), "relu", "float64")
    after = worst_errors(Evaluator(Shifted(), {}), "relu", "float64")  # type: ignore[arg-type]
    assert all(after[f][0] > before[f][0] + 0.4 for f in ("kernel", "kernel_dot"))
