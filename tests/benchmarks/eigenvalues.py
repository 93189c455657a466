"""The smallest eigenvalues of a tangent kernel's Gram matrix with near-duplicates, beside the exact ones.

    python tests/benchmarks/eigenvalues.py [activation] [rows] [duplicates] [depth]

Exact entries come from the published dual functions in mpmath. Compared are the eigenvalues of three matrices: of
the exact entries, of these rounded to float64, and of those that the generated module computes. No float64 solver
could tell them apart, so each matrix is first projected to the span of its lowest eigenvectors, with integers for
the exact one (Rayleigh-Ritz: the error is quadratic in that of the span); what the others differ by is small and is
projected in floats.
"""

import importlib
import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from rich.progress import track

from mehler.numeric.precision.network import exact_network

SEED, DIMENSION, DISTANCE, DIGITS, BITS = 0, 20, 1e-7, 40, 160
SIGMA_W, SIGMA_B = math.sqrt(2), 0.1


def published(name: str, params: dict[str, float]) -> Any:
    path = Path(__file__).parents[1] / "golden" / "published.py"
    spec = importlib.util.spec_from_file_location("published", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dual(name, params)


def points(n: int, duplicates: int) -> Any:
    """n rows, the last `duplicates` of them at the relative distance DISTANCE from the first."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((n, DIMENSION))
    moves = rng.standard_normal((duplicates, DIMENSION))
    moves *= DISTANCE * np.linalg.norm(X[:duplicates], axis=1)[:, None] / np.linalg.norm(moves, axis=1)[:, None]
    X[n - duplicates :] = X[:duplicates] + moves
    return X


def exact_gram(dual: Any, X: Any, depth: int) -> Any:
    """Integers: the entries times 2**BITS."""
    n = len(X)
    gram = np.empty((n, n), object)
    with mpmath.workprec(BITS + 40):
        for i in track(range(n), "exact entries"):
            for j in range(i + 1):
                entry = exact_network(dual, X[i], X[j], depth, SIGMA_W, SIGMA_B, digits=DIGITS)[-1][1]
                gram[i, j] = gram[j, i] = int(mpmath.nint(mpmath.ldexp(entry, BITS)))
    return gram


def integers(A: Any) -> Any:
    """Floats times 2**BITS, exactly."""
    return np.vectorize(lambda x: int(math.ldexp(x, 80)) << (BITS - 80), otypes=[object])(A)


def floats(A: Any, bits: int) -> Any:
    return np.vectorize(lambda x: float(mpmath.ldexp(mpmath.mpf(x), -bits)), otypes=[float])(A)


def main() -> None:
    name, *sizes = [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]]
    n, duplicates, depth = map(int, sizes)
    X = points(n, duplicates)
    exact = exact_gram(published(name, {}), X, depth)
    module = importlib.import_module(f"mehler.generated.{name}")
    with mpmath.workprec(BITS + 40):
        rounded = floats(exact, BITS)
    ours = module.ntk(X, depth=depth, sigma_w=SIGMA_W, sigma_b=SIGMA_B)
    span = np.linalg.eigh(rounded)[1][:, :duplicates]
    basis = np.vectorize(lambda x: int(math.ldexp(x, 100)), otypes=[object])(span)
    small = floats(basis.T.dot(exact).dot(basis), BITS + 200)
    inverse = np.linalg.inv(np.linalg.cholesky(floats(basis.T.dot(basis), 200)))
    small = inverse @ small @ inverse.T

    def errors(matrix: Any) -> Any:
        difference = floats(integers(matrix) - exact, BITS)
        part = inverse @ (span.T @ difference @ span) @ inverse.T
        return np.abs(np.linalg.eigvalsh(small + part) / eigenvalues - 1)

    eigenvalues = np.linalg.eigvalsh(small)
    print(f"{name}, depth {depth}, {n} rows of {DIMENSION}, {duplicates} at {DISTANCE} from another, seed {SEED}")
    print(
        f"eigenvalues {eigenvalues[0]:.3e} ... {eigenvalues[-1]:.3e}, largest {np.linalg.eigvalsh(rounded)[-1]:.3g}"
    )
    print(f"{'relative errors of the lowest':32} {'smallest':>10} {'median':>10} {'largest':>10} {'rms':>10}")
    for label, matrix in (("exact entries, rounded", rounded), ("generated module", ours)):
        e = errors(matrix)
        print(f"{label:32} {e[0]:10.2e} {np.median(e):10.2e} {e.max():10.2e} {np.sqrt(np.mean(e**2)):10.2e}")


DEFAULTS = ("relu", "500", "100", "3")

if __name__ == "__main__":
    main()
