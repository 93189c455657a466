"""What the stable forms cost: generated NumPy modules beside textbook NumPy, in one run, as ratios of medians.

    python tests/benchmarks/stable_speed.py [repeats]

The textbook functions are those that everybody types in: cosines from the Gram matrix, clipped, and their arc.
Rows are random, or all within an angle of 1e-3 of each other, where every pair must be refined; then random rows
are a third. Depth 0 is the start alone, the angles of rows. All are timed in turn.
"""

import importlib
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

Array = Any
ROWS, WIDTH, SEED = (256, 1024), 784, 0
SCALES = {"sigma_w": 2**0.5, "sigma_b": 0.1}


def relu(q1: Array, q2: Array, c: Array) -> tuple[Array, Array]:
    norm = np.sqrt(q1 * q2)
    cos = np.clip(c / norm, -1, 1)
    theta = np.arccos(cos)
    return norm * (np.sqrt(1 - cos * cos) + (np.pi - theta) * cos) / (2 * np.pi), (np.pi - theta) / (2 * np.pi)


def erf(q1: Array, q2: Array, c: Array) -> tuple[Array, Array]:
    p = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / np.pi * np.arcsin(2 * c / np.sqrt(p)), 4 / np.pi / np.sqrt(p - 4 * c * c)


def gelu(q1: Array, q2: Array, c: Array) -> tuple[Array, Array]:
    p = (1 + q1) * (1 + q2)
    d = p - c * c
    angle = 0.25 + np.arcsin(c / np.sqrt(p)) / (2 * np.pi)
    root = np.sqrt(d)
    k = c * angle + (c * c + q1 * q2 * d) / (2 * np.pi * p * root)
    return k, angle + (c**3 + c * (q1 + q2 + 3) * d) / (2 * np.pi * p * d * root)


DUALS = {"relu": relu, "erf": erf, "gelu": gelu}


def textbook(dual: Callable[..., Any], X: Array, Y: Array, depth: int, sigma_w: float, sigma_b: float) -> Array:
    w2, b2 = sigma_w**2, sigma_b**2
    q1 = (w2 / X.shape[1] * np.einsum("ij,ij->i", X, X) + b2)[:, None]
    q2 = (w2 / X.shape[1] * np.einsum("ij,ij->i", Y, Y) + b2)[None, :]
    sigma = theta = w2 / X.shape[1] * (X @ Y.T) + b2
    for _ in range(depth):
        k, k_dot = dual(q1, q2, sigma)
        q1, q2, sigma = w2 * dual(q1, q1, q1)[0] + b2, w2 * dual(q2, q2, q2)[0] + b2, w2 * k + b2
        theta = sigma + w2 * k_dot * theta
    return theta


def medians(works: list[Callable[[], Any]], repeats: int) -> list[float]:
    times: list[list[float]] = [[] for _ in works]
    for work in works:  # the first call of a process starts threads
        work()
    for _ in range(repeats):
        for work, known in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            known.append(time.perf_counter() - start)
    return [statistics.median(known) for known in times]


def case(rows: str, n: int, name: str, depth: int, repeats: int) -> str:
    module = importlib.import_module(f"mehler.generated.{name}")
    random = np.random.default_rng(SEED).standard_normal((2 * n, WIDTH))
    X = random[:1] + 1e-3 * random if rows == "close" else random
    works = [
        lambda: textbook(DUALS[name], X[:n], X[n:], depth, **SCALES),
        lambda: module.ntk(X[:n], X[n:], depth=depth, **SCALES),
        lambda: module.ntk(random[:n], random[n:], depth=depth, **SCALES),
    ]
    with np.errstate(all="ignore"):
        plain, stable, *others = medians(works if rows == "close" else works[:2], repeats)
    text = f"{rows:6} {n:5} x {n:<5} {name:5} depth={depth:<3} {plain * 1e3:7.1f} {stable * 1e3:7.1f}"
    return text + "".join(f"{stable / each:7.2f}" for each in (plain, *others))


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, seed {SEED}")
    print(f"d = {WIDTH}, median of {repeats}; textbook ms, generated ms, ratio; to random rows")
    # Each in a process of its own: what an allocator has learnt from large arrays makes small ones faster.
    context = multiprocessing.get_context("spawn")
    for each in product(("random", "close"), ROWS, DUALS, (0, 1, 3, 10)):
        with context.Pool(1) as pool:
            print(pool.apply(case, (*each, repeats)), flush=True)


if __name__ == "__main__":
    main()
