"""Learning curves of kernel regression on the sphere S⁹, beside the theory that knows the spectrum alone.

    python tests/benchmarks/learning_curves.py [picture.png] [trials] [noise]

The target is a sum of harmonics of degree 1, 2 and 3: x₁ + x₂ + …, x₁x₂ + x₃x₄ + … and x₁x₂x₃ + x₄x₅x₆ + …, scaled
to the powers of POWER. Examples are uniform on the sphere, their targets have noise of that variance (0.1). Printed
for each n: the mean and the standard deviation over the trials of the test error without the noise of the test
targets, the theory, and how far the mean is from it.
"""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy import linalg

import mehler

SEED, DIMENSION, DEPTH, SIGMA_W, SIGMA_B, RIDGE = 0, 10, 3, math.sqrt(2), 0.3, 1e-3
POWER = (0.0, 0.5, 0.3, 0.2)
SIZES = (20, 50, 100, 200, 500, 1000, 2000)
TESTED, DEGREE = 2000, 60


def sphere(rng: Any, n: int) -> Any:
    """n rows, uniform on the sphere, with x·x/d = 1."""
    X = rng.standard_normal((n, DIMENSION))
    return X * (math.sqrt(DIMENSION) / np.linalg.norm(X, axis=1))[:, None]


def target(X: Any) -> Any:
    """f of rows: E (x₁ … x_k)² = dᵏ/(d (d+2) … (d+2k−2)), and different products are uncorrelated."""
    f = 0
    for k, power in enumerate(POWER):
        terms = DIMENSION // k if k else 1
        products = X[:, : terms * k].reshape(len(X), terms, k).prod(axis=2)
        mean_square = math.prod(DIMENSION / (DIMENSION + 2 * i) for i in range(k))
        f = f + math.sqrt(power / (terms * mean_square)) * products.sum(axis=1)
    return f


def trial(network: Any, rng: Any, n: int, noise: float) -> float:
    """The mean squared error on fresh rows of one regression from n examples."""
    X, X_test = sphere(rng, n), sphere(rng, TESTED)
    K = network.ntk(X)
    K[np.diag_indices(n)] += RIDGE * K.diagonal().mean()
    y = target(X) + math.sqrt(noise) * rng.standard_normal(n)
    weights = linalg.solve(K, y, assume_a="pos")
    return float(np.mean((network.ntk(X_test, X) @ weights - target(X_test)) ** 2))


def theory(network: Any, n: Any, noise: float) -> mehler.LearningCurve:
    """The learning curve, the error without the noise of the test targets."""
    spectrum = mehler.spectrum(network, dimension=DIMENSION, degree=DEGREE, digits=30)
    power = np.zeros(DEGREE + 1)
    power[: len(POWER)] = POWER
    curve = mehler.learning_curve(
        spectrum.eigenvalues, spectrum.multiplicities, power, n, ridge=RIDGE, noise=noise, tail=spectrum.tail
    )
    return replace(curve, test=curve.test - noise)


def main() -> None:
    picture, trials, variance = ([*sys.argv[1:], *("learning-curves.png", "30", "0.1")[len(sys.argv) - 1 :]])[:3]
    curves, measured, noise = {}, {}, float(variance)
    print(f"S^{DIMENSION - 1}, depth {DEPTH}, sigma_w = {SIGMA_W:.4f}, sigma_b = {SIGMA_B}, ridge {RIDGE:g}")
    print(f"noise {noise:g}, {trials} trials, seed {SEED}")
    print(f"{'':6} {'n':>5} {'mean':>10} {'sd':>10} {'theory':>10} {'mean/theory - 1':>16}")
    for name in ("relu", "gelu"):
        network = mehler.network(name, depth=DEPTH, sigma_w=SIGMA_W, sigma_b=SIGMA_B)
        curve, at = (theory(network, n, noise) for n in (np.geomspace(SIZES[0], SIZES[-1], 60), SIZES))
        rng = np.random.default_rng(SEED)
        errors = np.empty((len(SIZES), int(trials)))
        for i, n in enumerate(SIZES):
            bar = track(errors[i], f"{name} {n}", transient=True, console=Console(stderr=True))
            errors[i] = [trial(network, rng, n, noise) for _ in bar]
            mean, expected = errors[i].mean(), at.test[i]
            row = f"{mean:10.4e} {errors[i].std():10.1e} {expected:10.4e} {mean / expected - 1:16.2%}"
            print(f"{name:6} {n:5} {row}", flush=True)
        curves[name], measured[name] = curve, (np.array(SIZES), errors)
    import matplotlib

    matplotlib.use("Agg")
    display = mehler.LearningCurveDisplay.from_curves(curves, measured=measured)
    display.figure_.savefig(Path(picture), dpi=120)


if __name__ == "__main__":
    main()
