"""Makes precision.json beside this file: K and K̇ of the committed modules, and of ELU, to 40 digits.

    python tests/golden/make_precision.py            what is missing
    python tests/golden/make_precision.py --fresh    everything, in some 20 minutes

None comes from mehler's formulas: each is made by the independent quadrature of `numeric.precision.oracle`
where that has it in a few seconds ("oracle"), else by the closed form of published.py ("published"). Where
both are had they are compared: a difference is printed, and the published form taken. The points are those of
`numeric.precision.points` and of worst_points.json; each is exact in its dtype. Interrupted, the script goes on
where it was.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from published import DUALS, published

from mehler.api import evaluator
from mehler.console import progress_bar
from mehler.numeric.errors import NumericError
from mehler.numeric.precision.oracle import Oracle
from mehler.numeric.precision.points import adversarial, regions

FOLDER = Path(__file__).parent
OUTPUT = FOLDER / "precision.json"
DIGITS = 40
DTYPES = ("float64", "float32")
SECONDS = 3  # for one value of the oracle
ELU = "elu"
# Points of each region; the others are too hard for quadrature at 40 digits, and have a published form.
DRAWN = {"bulk": 3, "rho near 1": 2, "rho near -1": 2, "rho = +-1": 2, "q1 << q2": 1, "small q": 2, "large q": 1}
LISTED = {
    "rho = +-(1 - 2^-k)": 4, "small angle, q1 != q2": 4, "rho = +-1, q1 != q2": 2, "q = 0": 3, "q1 <<< q2": 2,
    "tiny q": 4, "huge q": 4, "q1 q2 - c^2 minimal": 3, "growing q": 5,
}  # fmt: skip
BY_QUADRATURE = {
    "float64": ("bulk", "rho near 1", "rho near -1", "rho = +-1", "small q", "rho = +-1, q1 != q2", "q = 0"),
    "float32": ("bulk", "rho near 1", "rho = +-1"),
}

Point = tuple[float, float, float]
Values = tuple[Any, Any]


class TooSlow(Exception):
    pass


@contextmanager
def limit(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def spread(points: tuple[Point, ...], count: int) -> list[Point]:
    """`count` of the points, evenly from first to last."""
    return [points[i] for i in np.unique(np.linspace(0, len(points) - 1, count).astype(int))]


def points_of(name: str, dtype: str) -> list[tuple[str, Point]]:
    chosen = []
    for region in (*regions(dtype, seed=40), *adversarial(dtype)):
        count = (DRAWN | LISTED)[region.name]
        chosen += [(region.name, at) for at in spread(region.points, count)]
    worst = json.loads((FOLDER / "worst_points.json").read_text(encoding="utf-8"))
    chosen += [("found by search", tuple(at)) for at in worst.get(name, {}).get(dtype, [])]
    return list(dict.fromkeys(chosen))


class Source:
    """(K, K̇) of one activation with its source, from what was made before or made now."""

    def __init__(self, name: str, dtype: str, known: dict[str, Any]) -> None:
        self.name, self.known = name, known
        self.evaluator = evaluator(name, {})
        # Exact means: of the floats that the evaluator is given in this dtype.
        self.params = {p: float(np.asarray(v, dtype)) for p, v in self.evaluator.values.items()}
        self.oracle = Oracle(self.evaluator.module.EXPRESSION, self.params, digits=DIGITS)

    def __call__(self, at: Point, by_quadrature: bool) -> dict[str, Any] | None:
        key = repr(at)
        if key not in self.known:
            made = self._made(at, by_quadrature)
            if made is None:
                return None
            source, values = made
            self.known[key] = {"source": source, "values": [mpmath.nstr(v, DIGITS) for v in values]}
        return self.known[key]

    def _made(self, at: Point, by_quadrature: bool) -> tuple[str, Values] | None:
        formula = None if self.name == ELU else published(self.name, *at, self.params, DIGITS)
        # For u = 0 the two differ in what φ′(0) is, where that jumps; the angle π/2 is mehler's convention.
        if by_quadrature and (all(at[:2]) or self.name == ELU):
            try:
                with limit(SECONDS if formula else 4 * SECONDS):
                    values = self.oracle.both(*at)
            except (TooSlow, NumericError):
                pass
            else:
                if formula is None or self._agree(at, values, formula):
                    return "oracle", values
        return None if formula is None else ("published", formula)

    def _agree(self, at: Point, values: Values, formula: Values) -> bool:
        for value, other in zip(values, formula, strict=True):
            with mpmath.workdps(DIGITS + 20):
                if abs(value - other) > abs(other) * mpmath.mpf(10) ** (3 - DIGITS) + mpmath.mpf(10) ** -(
                    2 * DIGITS
                ):
                    texts = [mpmath.nstr(v, 20) for v in (value, other)]
                    print(f"{self.name} at {at}: quadrature {texts[0]}, published form {texts[1]}", file=sys.stderr)
                    return False
        return True


def make(name: str, dtype: str, known: dict[str, Any], advance: Any) -> dict[str, Any]:
    source = Source(name, dtype, known)
    points, diagonal = [], {}
    for region, at in points_of(name, dtype):
        advance()
        quadrature = name == ELU or region in BY_QUADRATURE[dtype]
        found = source(at, quadrature)
        own = {}
        for q in dict.fromkeys(at[:2]):
            # The diagonal at 0 is the limit; quadrature is fast on it, for variances that it can resolve.
            least = q or 5e-324
            own[repr(q)] = source((least, least, least), 1e-9 < q < 1e3)
        if found is not None and None not in own.values():
            points.append({"region": region, "at": list(at), **found})
            diagonal |= own
    return {"params": source.params, "points": points, "diagonal": diagonal}


def earlier() -> dict[str, Any]:
    """{"name dtype": {point: values}} of the file that is there."""
    data = json.loads(OUTPUT.read_text(encoding="utf-8"))["cases"] if OUTPUT.exists() else {}
    known: dict[str, Any] = {}
    for name, dtypes in data.items():
        for dtype, case in dtypes.items():
            table = known.setdefault(f"{name} {dtype}", {})
            for entry in case["points"]:
                table[repr(tuple(entry["at"]))] = {key: entry[key] for key in ("source", "values")}
            for q, entry in case["diagonal"].items():
                table[repr((float(q) or 5e-324,) * 3)] = entry
    return known


def write(cases: dict[str, Any]) -> None:
    """One point a line, so that a change of one shows as one."""
    lines = ["{", f' "digits": {DIGITS},', ' "cases": {']
    for i, (name, dtypes) in enumerate(cases.items()):
        lines.append(f"  {json.dumps(name)}: {{")
        for j, (dtype, case) in enumerate(dtypes.items()):
            lines.append(f'   {json.dumps(dtype)}: {{"params": {json.dumps(case["params"])}, "points": [')
            lines.append(",\n".join("    " + json.dumps(entry) for entry in case["points"]))
            lines.append('   ], "diagonal": {')
            entries = (f"    {json.dumps(q)}: {json.dumps(entry)}" for q, entry in case["diagonal"].items())
            lines.append(",\n".join(entries))
            lines.append("   }}" + ("," if j + 1 < len(dtypes) else ""))
        lines.append("  }" + ("," if i + 1 < len(cases) else ""))
    OUTPUT.write_text("\n".join([*lines, " }", "}"]) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="make every value anew")
    known = {} if parser.parse_args().fresh else earlier()
    names = [*sorted(DUALS), ELU]
    cases: dict[str, Any] = {}
    if OUTPUT.exists():
        cases = json.loads(OUTPUT.read_text(encoding="utf-8"))["cases"]
    total = sum(len(points_of(name, dtype)) for name in names for dtype in DTYPES)
    with progress_bar() as bar:
        task = bar.add_task("precision", total=total)
        for name in names:
            bar.update(task, description=name)
            cases[name] = {
                dtype: make(name, dtype, known.get(f"{name} {dtype}", {}), lambda: bar.advance(task))
                for dtype in DTYPES
            }
            write({n: cases[n] for n in names if n in cases})


if __name__ == "__main__":
    main()
