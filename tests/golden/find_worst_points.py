"""Makes worst_points.json beside this file: where a hill climb found each committed module at its worst.

    python tests/golden/find_worst_points.py && python tests/golden/make_precision.py

For each module, dtype and function it climbs from the two worst of the regions, against the closed forms of
published.py. Points that are there already are kept while they are among the worst.
"""

import argparse
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from published import DUALS, published

from mehler.api import evaluator
from mehler.console import progress_bar
from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision.points import Region, adversarial, regions
from mehler.numeric.precision.search import search
from mehler.numeric.precision.ulp import FUNCTIONS, measure

OUTPUT = Path(__file__).with_name("worst_points.json")
DTYPES = ("float64", "float32")


def worst_points(name: str, dtype: str, known: list[list[float]], moves: int) -> list[list[float]]:
    """The worst point found for each function, the diagonals left out where they are right to the last bit."""
    subject = Evaluator(evaluator(name, {}).module, {})
    params = {p: float(np.asarray(v, dtype)) for p, v in subject.values.items()}

    @cache
    def exact(q1: float, q2: float, c: float) -> tuple[Any, Any]:
        return published(name, q1, q2, c, params, 25)

    before = Region("known", tuple((q1, q2, c) for q1, q2, c in known))
    rows = measure(subject, exact, (*regions(dtype, 5), *adversarial(dtype), before), dtype)
    found = []
    for function in FUNCTIONS:
        # An infinite error is a fault to mend, not a point to start from.
        starts = sorted(
            (r for r in rows if r.function == function and np.isfinite(r.worst)), key=lambda r: -r.worst
        )
        best = max(search(subject, exact, starts[:2], dtype, moves=moves), key=lambda r: r.worst)
        if best.worst > 0:
            found.append(list(best.at))
    return [list(at) for at in dict.fromkeys(map(tuple, found))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=100, help="moves of each climb")
    moves = parser.parse_args().moves
    points = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
    with progress_bar() as bar:
        task = bar.add_task("search", total=len(DUALS) * len(DTYPES))
        for name in sorted(DUALS):
            bar.update(task, description=name)
            for dtype in DTYPES:
                known = points.get(name, {}).get(dtype, [])
                points.setdefault(name, {})[dtype] = worst_points(name, dtype, known, moves)
                bar.advance(task)
            OUTPUT.write_text(json.dumps(points, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
