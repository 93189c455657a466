"""Pictures of a dual activation and of a Gram matrix (matplotlib, extra `plot`)."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from mehler.console import whole_file
from mehler.numeric.evaluator import Evaluator


def dual_curves(evaluator: Evaluator, title: str, path: Path) -> Path:
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
    return _save(figure, path)


def gram_heat_map(gram: Any, path: Path) -> Path:
    """A Gram matrix, rows ordered by class."""
    figure, axis = plt.subplots(figsize=(5, 4.2), constrained_layout=True)
    image = axis.imshow(gram, cmap="viridis", interpolation="nearest")
    figure.colorbar(image, ax=axis, label="NTK")
    axis.set_title("NTK of the training images, by digit")
    axis.set_xlabel("image")
    axis.set_ylabel("image")
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
    return path
