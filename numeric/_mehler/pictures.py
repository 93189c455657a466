"""Pictures of a dual activation and of a Gram matrix (matplotlib, extra `plot`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from mehler.numeric.evaluator import Evaluator


def dual_curves(evaluator: Evaluator, title: str, path: Path) -> None:
    """K/K_diag and K̇/K̇_diag against the correlation ρ, at variances 1/4, 1 and 4."""
    rho = np.linspace(-1, 1, 401)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    for variance, style in ((0.25, ":"), (1.0, "-"), (4.0, "--")):
        q = np.full_like(rho, variance)
        for axis, name in zip(axes, ("kernel", "kernel_dot"), strict=True):
            values = getattr(evaluator.module, name)(q, q, variance * rho, **evaluator.values)
            scale = getattr(evaluator.module, f"{name}_diag")(q[:1], **evaluator.values)[0]
            axis.plot(rho, values / scale if scale else values, style, color="C0", label=f"q = {variance:g}")
    for axis, name in zip(axes, (r"$K/K_{\mathrm{diag}}$", r"$\dot K/\dot K_{\mathrm{diag}}$"), strict=True):
        axis.set_xlabel(r"correlation $\rho$")
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.suptitle(rf"dual activation of {title if len(title) < 60 else 'the activation'}".replace("$", ""))
    _save(figure, path)


def gram_heat_map(gram: Any, path: Path) -> None:
    """A Gram matrix, rows ordered by class."""
    figure, axis = plt.subplots(figsize=(5, 4.2), constrained_layout=True)
    image = axis.imshow(gram, cmap="viridis", interpolation="nearest")
    figure.colorbar(image, ax=axis, label="NTK")
    axis.set_title("NTK of the training images, by digit")
    axis.set_xlabel("image")
    axis.set_ylabel("image")
    _save(figure, path)


def error_curves(curves: Sequence[Any], title: str, path: Path) -> None:
    """Scaled ULP errors of K and K̇ against the angle near 0 and near π, on logarithmic axes, with the budget.

    Errors below 0.01 are drawn there, and what is not finite at the upper edge.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4), sharey=True, constrained_layout=True)
    finite = [e for curve in curves for e in curve.errors if np.isfinite(e)]
    top = 10 * max([curve.budget for curve in curves] + finite)
    for axis, side in zip(axes, ("0", "pi"), strict=True):
        for curve, mark, color in zip((c for c in curves if c.side == side), "o^", ("C0", "C1"), strict=True):
            name = "$K$" if curve.function == "kernel" else r"$\dot{K}$"
            errors = np.clip(np.nan_to_num(curve.errors, nan=np.inf), 0.01, top)
            axis.loglog(curve.angles, errors, mark, ms=3.5, color=color, alpha=0.7, label=name)
        limits = {curve.function: curve.budget for curve in curves}
        for n, limit in enumerate(sorted(set(limits.values()))):
            axis.axhline(limit, color="C3", ls="--", lw=1.2, label="budget" if n == 0 else None)
        axis.set_ylim(0.007, top)
        axis.set_xlabel(r"angle $\theta$" if side == "0" else r"angle $\pi - \theta$")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error in scaled ULP")
    axes[0].legend(frameon=False, loc="upper left", ncols=3)
    figure.suptitle(title.replace("$", ""))
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, format="png", dpi=120)
    plt.close(figure)
