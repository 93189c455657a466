"""Make tables.json: K and K' of the activations that modules hold as tables, at points that no table was made from.

    python tests/golden/make_tables.py [NAME ...]        (10 seconds an activation)

Values are those of `mehler.numeric.precision.oracle`, Gauss-Legendre rules in mpmath with a table of activations of
their own, to 18 digits. Points are floats, given in hexadecimal; the first are adversarial.
"""

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

from mehler.numeric.precision.oracle import Oracle
from mehler.numeric.precision.points import point

FILE = Path(__file__).parent / "tables.json"
NAMES = (
    *("tanh", "sigmoid", "silu", "softplus", "mish", "gelu_tanh"),
    *("quick_gelu", "softsign", "arctan", "logcosh", "sech", "isru"),
)
DIGITS, RANDOM = 18, 6
CORNERS = (
    *((1e-4, 1e3, 0.9), (1e3, 1e3, 0.9999), (1e3, 1e3, -0.9999)),
    *((1e-4, 1e-4, 0.5), (30.0, 31.0, 1 - 1e-7), (1.0, 1.0, 0.0)),
)


def points(name: str) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(sum(map(ord, name)))
    free = [(*np.exp(rng.uniform(np.log(1e-4), np.log(1e3), 2)), rng.uniform(-0.99, 0.99)) for _ in range(RANDOM)]
    return [point(*p, np.float64) for p in (*CORNERS, *free)]


def values(name: str) -> list[dict[str, Any]]:
    oracle = Oracle(name, {}, digits=DIGITS)
    found = []
    for at in points(name):
        q1, q2, c = map(Fraction, at)
        entries = [oracle.both(*p) for p in ((q1, q2, c), (q1, q1, q1), (q2, q2, q2))]
        texts = [[mpmath.nstr(v, DIGITS) for v in pair] for pair in entries]
        found.append({"at": [v.hex() for v in at], "values": texts[0], "ends": texts[1:]})
    return found


def main() -> None:
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for name in sys.argv[1:] or NAMES:
        known[name] = values(name)
        FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(name, flush=True)


if __name__ == "__main__":
    main()
