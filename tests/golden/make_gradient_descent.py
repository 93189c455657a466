r"""Makes gradient_descent.json, what neural-tangents' predict functions say, beside this file.

Its environment is that of make_neural_tangents.py. Its time is N = y.size times that of a flow df/dt = −Θ(f − y),
and its ridge, `diag_reg`, is relative to the mean of the diagonal. The kernels are the peer's own and stand in the
file, so that inference is compared and nothing else. Float64 throughout.
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)

import neural_tangents as nt  # noqa: E402
from neural_tangents import stax  # noqa: E402

OUTPUT = Path(__file__).with_name("gradient_descent.json")
PACKAGES = ("neural-tangents", "jax", "jaxlib", "numpy", "scipy")
TIMES = (0.0, 0.3, 4.0, 250.0)  # of a flow without 1/N
# (rows, test rows, columns, outputs, depth, activation, ridge)
PROBLEMS = (
    (5, 3, 4, 1, 1, "Erf", 0.0),
    (12, 5, 6, 3, 2, "Relu", 0.0),
    (30, 7, 10, 2, 3, "Gelu", 1e-3),
    (8, 2, 3, 1, 2, "Relu", 0.1),
)


def case(
    index: int, n: int, m: int, d: int, outputs: int, depth: int, activation: str, ridge: float
) -> dict[str, Any]:
    rng = np.random.default_rng(index)
    X, Z = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    y, f0, g0 = (rng.standard_normal((rows, outputs)) for rows in (n, n, m))
    layers = [layer for _ in range(depth) for layer in (stax.Dense(1, 1.3, 0.2), getattr(stax, activation)())]
    *_, kernel_fn = stax.serial(*layers, stax.Dense(1, 1.3, 0.2))
    flow = nt.predict.gradient_descent_mse(kernel_fn(X, X, "ntk"), y, diag_reg=ridge)
    ensemble = nt.predict.gradient_descent_mse_ensemble(kernel_fn, X, y, diag_reg=ridge)
    infer = nt.predict.gp_inference(kernel_fn(X, X, ("nngp", "ntk")), y, diag_reg=ridge)
    N = y.size
    values: dict[str, Any] = {"X": X, "X_test": Z, "y": y, "f0": f0, "f0_test": g0}
    for kernel in ("ntk", "nngp"):
        values[kernel] = {
            "train": kernel_fn(X, X, kernel), "cross": kernel_fn(Z, X, kernel), "test": kernel_fn(Z, Z, kernel),
        }  # fmt: skip
    at = [flow(N * t, f0, g0, kernel_fn(Z, X, "ntk")) for t in TIMES]
    values["flow"] = {"train": [a[0] for a in at], "test": [a[1] for a in at]}
    for kernel in ("ntk", "nngp"):
        found = [
            ensemble(t=None if t is None else N * t, x_test=Z, get=kernel, compute_cov=True) for t in (*TIMES, None)
        ]
        values[f"ensemble_{kernel}"] = {
            "mean": [g.mean for g in found],
            "covariance": [g.covariance for g in found],
        }
    test = kernel_fn(Z, X, ("nngp", "ntk"))
    for kernel in ("ntk", "nngp"):
        found = infer(get=kernel, k_test_train=test, k_test_test=kernel_fn(Z, Z, "nngp"))
        values[f"inference_{kernel}"] = {"mean": found.mean, "covariance": found.covariance}
    settings = {"depth": depth, "activation": activation.lower(), "sigma_w": 1.3, "sigma_b": 0.2, "ridge": ridge}
    return settings | jax.tree_util.tree_map(lambda a: np.asarray(a).tolist(), values)


def main() -> None:
    cases = [case(index, *problem) for index, problem in enumerate(PROBLEMS)]
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    data = {"versions": versions, "times": TIMES, "cases": cases}
    OUTPUT.write_text(json.dumps(data, indent=None, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
