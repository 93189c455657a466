"""Activations without a closed form: what their tables are, what other series would take, and how fast they are.

    python tests/benchmarks/tables.py [docs/tables-measured.md]        (2 minutes, quiet machine)

Terms are counted until the rest is below 1e-13 of √(K11 K22), at ρ = 1 and equal variances: of
Mehler's series in Hermite coefficients, and of Chebyshev series in ρ and in θ. The degree
of the committed tables serves all variances.
"""

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

import mehler
from mehler.derive.emit.library import TABLED
from mehler.derive.tables.polar import Polar
from mehler.numeric import workers

VARIANCES = (1.0, 10.0, 1000.0)
ENOUGH = 1e-13
MOST = 1200
ROWS, WIDTH, DEPTH = 4096, 256, 3


def hermite(module: Any, q: float) -> int | None:
    """Terms of Σ aₙ² until the rest is small: aₙ = E[φ(√q z) hₙ(z)] by the trapezoidal rule."""
    z = np.linspace(-60, 60, 60001)
    functions = np.exp(-z * z / 4) / (2 * np.pi) ** 0.25, z * np.exp(-z * z / 4) / (2 * np.pi) ** 0.25
    phi = module.activation(np.sqrt(q) * z, 0) * functions[0]
    before, now = functions
    squares = []
    for n in range(MOST):
        squares.append((np.sum(phi * before) * (z[1] - z[0])) ** 2)
        before, now = now, (z * now - np.sqrt(n + 1) * before) / np.sqrt(n + 2)
    rest = np.sum(phi * phi) * (z[1] - z[0]) - np.cumsum(squares)
    # The rest is a difference, of which rounding leaves 1e-15 or so: terms are extrapolated no further.
    small = np.flatnonzero(rest < ENOUGH * np.sum(squares))
    return int(small[0]) + 1 if len(small) else None


def terms(values: np.ndarray) -> int | None:
    sizes = np.maximum.accumulate(np.abs(values)[::-1])[::-1]
    small = np.flatnonzero(sizes < ENOUGH)
    return int(small[0]) if len(small) else None


def fitted(module: Any, q: float, angle: bool, count: int = 400) -> int | None:
    """Terms of a Chebyshev series in θ, or in ρ."""
    x = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    polar = Polar(lambda u: module.activation(u, 0), np.array([q]))
    thetas = np.pi / 2 * (1 - x) if angle else np.arccos(x)
    values = np.array([polar(t)[0, 0] for t in thetas]) / polar.diagonal()[0]
    return terms(chebyshev.chebfit(x, values, count - 1))


def speed(name: str, sphere: bool, target: Any) -> float:
    X = np.random.default_rng(0).standard_normal((ROWS, WIDTH))
    if sphere:
        X *= np.sqrt(WIDTH) / np.linalg.norm(X, axis=1, keepdims=True)
    network = mehler.network(name, depth=DEPTH, sigma_w=1.5, sigma_b=0.1, target=target)
    network.ntk(X[:512])
    times = []
    for _ in range(3):
        started = time.perf_counter()
        network.ntk(X)
        times.append(time.perf_counter() - started)
    return ROWS * ROWS / sorted(times)[1] / 1e6


def shown(value: int | None, most: int) -> str:
    return f"over {most}" if value is None else str(value)


def main() -> None:
    lines = [
        "| activation | Hermite, q = 1, 10, 1000 | Chebyshev in ρ | in θ | tables: degree × rank of K, K̇ | bytes |",
        "|---|---|---|---|---|---|",
    ]
    for name in TABLED:
        module = import_module(f"mehler.generated.tables.{name}")
        columns = [
            ", ".join(shown(hermite(module, q), MOST) for q in VARIANCES),
            *(", ".join(shown(fitted(module, q, angle), 400) for q in VARIANCES) for angle in (False, True)),
            ", ".join(f"{len(core)} × {len(basis)}" for _, basis, core in module.TABLES),
            f"{Path(module.__file__).stat().st_size:,}",
        ]
        lines.append(f"| {name} | " + " | ".join(columns) + " |")
        print(lines[-1], flush=True)
    size = f"depth {DEPTH}, n = {ROWS:,}, d = {WIDTH}, {workers.count(None)} threads"
    lines.append(f"\nNTK Gram matrix, tanh, {size} (medians of 3):\n")
    for target in ("NumPy", "Numba"):
        distinct, sphere = (speed("tanh", each, target.lower()) for each in (False, True))
        lines.append(
            f"- {target}: {distinct:.1f} million entries a second with distinct norms, {sphere:.1f} on the sphere"
        )
        print(lines[-1])
    if len(sys.argv) > 1:
        head = "<!-- Made by `python tests/benchmarks/tables.py`. -->\n\n"
        Path(sys.argv[1]).write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
