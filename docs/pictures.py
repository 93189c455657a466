"""Draws the pictures of docs/inference.md and docs/dynamics.md beside this file: python docs/pictures.py"""

from pathlib import Path

import matplotlib
import numpy as np

import mehler

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parent


def bands() -> None:
    """Estimator, trained ensemble and its beginning, in one dimension."""
    rng = np.random.default_rng(0)
    X = np.sort(rng.uniform(-1.5, 1.5, 12))
    y = np.sin(3 * X) + 0.05 * rng.standard_normal(12)
    rows = np.linspace(-2, 2, 200)
    network = mehler.network("relu", depth=3, sigma_w=2**0.5, sigma_b=0.3)
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True, constrained_layout=True)
    for ax, t in zip(axes, (0.0, 0.5, None), strict=True):
        mean, covariance = mehler.ensemble(network, X[:, None], y, rows[:, None], t=t)
        mehler.PosteriorDisplay.from_moments(rows, mean, covariance, X, y, ax=ax)
        ax.set_title(f"networks at t = {'∞' if t is None else f'{t:g}'}")
    figure.savefig(FOLDER / "inference-bands.png", dpi=110)


def training() -> None:
    """Losses of a noisy problem, and the shares of modes that are left."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((60, 4)), rng.standard_normal((100, 4))
    y, z = X[:, 0] * X[:, 1] + 0.7 * rng.standard_normal(60), Z[:, 0] * Z[:, 1]
    network = mehler.network("relu", depth=2, sigma_w=2**0.5, sigma_b=0.1)
    flow = mehler.GradientFlow(network.ntk(X), y)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    mehler.LossDisplay.from_flow(flow, K_val=network.ntk(Z, X), y_val=z, ax=axes[0])
    axes[0].set_ylim(1, 200)
    mehler.LearningDisplay.from_flow(flow, count=6, ax=axes[1])
    figure.savefig(FOLDER / "dynamics-training.png", dpi=110)


if __name__ == "__main__":
    bands()
    training()
