"""Writes docs/accuracy.md: the worst errors of the committed modules, and of networks beside neural-tangents.

    python tests/benchmarks/accuracy.py docs/accuracy.md

Exact values are the closed forms of tests/golden/published.py in mpmath; neural-tangents' values were recorded by
tests/golden/make_accuracy_rows.py.
"""

import json
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from published import DUALS, dual, published  # noqa: E402

from mehler.console import progress_bar  # noqa: E402
from mehler.numeric.evaluator import Evaluator  # noqa: E402
from mehler.numeric.precision.budgets import budget  # noqa: E402
from mehler.numeric.precision.network import exact_network  # noqa: E402
from mehler.numeric.precision.points import Region, adversarial, regions  # noqa: E402
from mehler.numeric.precision.ulp import FUNCTIONS, measure  # noqa: E402

DTYPES = ("float64", "float32")
ACTIVATIONS = ("relu", "erf", "gelu")
COMMITTED = sorted(name for name in DUALS if find_spec(f"mehler.generated.{name}") is not None)

HEAD = """# Accuracy, measured

Made by `python tests/benchmarks/accuracy.py docs/accuracy.md`. [Precision](precision.md) says what is measured.

## Kernels

The largest error in scaled ULP of each function, over random points of every region, the adversarial ones and those
that a search found; 0.5 is correct rounding. In brackets the budget that the module states, where the error is
over it.
"""
NETWORKS = """
## Networks

Relative error of the NTK of a pair of rows, from X, with σ_w = √2, σ_b = 0.1 and four features. `angle` is that
between the rows; *nt* is neural-tangents {version} on the same rows and in the same dtype.
"""


def subject(name: str) -> Evaluator:
    return Evaluator(import_module(f"mehler.generated.{name}"), {})


def worst(name: str, dtype: str) -> dict[str, float]:
    """The largest error of each function."""
    evaluator = subject(name)
    params = {p: float(np.asarray(v, dtype)) for p, v in evaluator.values.items()}

    @cache
    def exact(q1: float, q2: float, c: float) -> tuple[Any, Any]:
        return published(name, q1, q2, c, params, 25)

    found = json.loads((GOLDEN / "worst_points.json").read_text(encoding="utf-8")).get(name, {}).get(dtype, [])
    searched = Region("found by search", tuple((q1, q2, c) for q1, q2, c in found))
    rows = measure(evaluator, exact, (*regions(dtype, 1), *adversarial(dtype), searched), dtype)
    return {f: max(row.worst for row in rows if row.function == f) for f in FUNCTIONS}


def kernels(advance: Any) -> list[str]:
    lines = [
        "| module | dtype | `kernel` | `kernel_dot` | `kernel_diag` | `kernel_dot_diag` |",
        "|---|---|---|---|---|---|",
    ]
    for name in COMMITTED:
        for dtype in DTYPES:
            cells = []
            for function, error in worst(name, dtype).items():
                limit = budget(import_module(f"mehler.generated.{name}"), dtype, function)
                shown = f"{error:.2f}" if error < 1000 else "∞" if np.isinf(error) else f"{error:.0e}"
                cells.append(shown if error <= limit else f"{shown} ({limit:g})")
            lines.append(f"| {name} | {dtype} | {' | '.join(cells)} |")
            advance()
    return lines


def networks(advance: Any) -> list[str]:
    data = json.loads((GOLDEN / "accuracy_rows.json").read_text(encoding="utf-8"))
    lines = [NETWORKS.format(version=data["versions"]["neural-tangents"]).rstrip()]
    w, b = data["sigma_w"], data["sigma_b"]
    columns = [(name, depth) for name in ACTIVATIONS for depth in data["depths"]]
    for dtype in DTYPES:
        lines += ["", f"### {dtype}", ""]
        lines.append("| angle | " + " | ".join(f"{name}, depth {depth} | nt" for name, depth in columns) + " |")
        lines.append("|---" * (1 + 2 * len(columns)) + "|")
        for pair in (p for p in data["pairs"] if p["dtype"] == dtype):
            x, y = (np.asarray(pair[key], dtype) for key in "xy")
            cells = [f"{pair['angle']:.0e}".replace("e-0", "e-")]
            for name, depth in columns:
                exact = exact_network(dual(name, {}), x, y, depth, w, b, 20)[depth][1]
                ours = subject(name).module.ntk(x[None], y[None], depth=depth, sigma_w=w, sigma_b=b)[0, 0]
                cells += [_error(float(ours), exact), _error(pair["ntk"][f"{name} {depth}"], exact)]
            lines.append(f"| {' | '.join(cells)} |")
            advance()
    return lines


def _error(computed: float, exact: Any) -> str:
    return f"{float(abs(mpmath.mpf(computed) - exact) / abs(exact)):.0e}"


def main() -> None:
    pairs = len(json.loads((GOLDEN / "accuracy_rows.json").read_text(encoding="utf-8"))["pairs"])
    with progress_bar() as bar:
        task = bar.add_task("accuracy", total=2 * len(COMMITTED) + pairs)
        lines = [HEAD, *kernels(lambda: bar.advance(task)), *networks(lambda: bar.advance(task))]
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
