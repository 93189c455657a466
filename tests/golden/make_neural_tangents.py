r"""Makes neural_tangents.json, the NNGP and NTK Gram matrices of Google's neural-tangents, beside this file.

The peer pins old versions of its own dependencies, so it lives in a virtual environment of its own:

    python -m venv PEER
    PEER/bin/pip install "neural-tangents==0.6.5" "jax==0.4.25" "jaxlib==0.4.25" "numpy<2" "scipy<1.13" \
        "tf2jax==0.3.6"
    PEER/bin/python tests/golden/make_neural_tangents.py

A network of depth L is L times [Dense(1, W_std=w, b_std=b), activation], then the readout
Dense(1, W_std=w, b_std=b), in the "ntk" parameterization: Dense maps a kernel K to w²K + b² (the first one
xy/d to w²xy/d + b²). The matrices are kernel_fn(X, Y), in float64. The peer differentiates almost
everywhere: it ignores the delta in the derivative of an activation that jumps.

Not in the table: Hermite (right only for inputs of variance 1), ExpNormalized (no activation behind it),
Elementwise and ElementwiseNumerical (no closed form of the peer's own), Monomial(0) (a constant). A case
whose matrices are not finite is named in "left_out".
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from neural_tangents import stax

OUTPUT = Path(__file__).with_name("neural_tangents.json")
PACKAGES = ("neural-tangents", "jax", "jaxlib", "numpy", "scipy", "tf2jax")
DEPTHS = (1, 3)
SCALES = ((1.4, 0.1), (0.9, 0.0))  # (sigma_w, sigma_b)

# The stax constructor, and the same function of x in mehler's notation.
ACTIVATIONS = {
    "Relu()": "max(0, x)",
    "LeakyRelu(0.1)": "where(x > 0, x, 0.1*x)",
    "Abs()": "abs(x)",
    "ABRelu(-0.3, 1.7)": "-0.3*min(x, 0) + 1.7*max(x, 0)",
    "Sign()": "sign(x)",
    "RectifiedMonomial(0)": "step(x)",
    "RectifiedMonomial(1)": "x*step(x)",
    "RectifiedMonomial(2)": "max(0, x)**2",
    "RectifiedMonomial(3)": "max(0, x)**3",
    "Monomial(1)": "x",
    "Monomial(2)": "x**2",
    "Monomial(3)": "x**3",
    "Monomial(4)": "x**4",
    "Monomial(5)": "x**5",
    "Polynomial([0.5, -1.0, 0.3, 0.2])": "0.5 - x + 0.3*x**2 + 0.2*x**3",
    "Erf()": "erf(x)",
    "Erf(0.7, 1.3, 0.4)": "0.7*erf(1.3*x) + 0.4",
    "Sigmoid_like()": "0.5*erf(x/2.4020563531719796) + 0.5",
    "Gelu()": "x*Phi(x)",
    "Sin()": "sin(x)",
    "Sin(0.8, 1.5, 0.3)": "0.8*sin(1.5*x + 0.3)",
    "Cos()": "cos(x)",
    "Cos(1.2, 0.7, 0.5)": "1.2*cos(0.7*x + 0.5)",
    "Rbf(1.0)": "sqrt(2)*sin(sqrt(2)*x + pi/4)",
    "Rbf(0.3)": "sqrt(2)*sin(sqrt(0.6)*x + pi/4)",
    "Exp()": "exp(x)",
    "Exp(0.5, 0.6)": "0.5*exp(0.6*x)",
    "Gaussian()": "exp(-x**2)",
    "Gaussian(1.5, -0.4)": "1.5*exp(-0.4*x**2)",
    "Gabor()": "exp(-x**2)*sin(x)",
}


def gram(peer: str, depth: int, w: float, b: float, X: np.ndarray, Y: np.ndarray) -> dict[str, np.ndarray]:
    """The matrices of one network, from the peer."""

    def dense() -> Any:
        return stax.Dense(1, W_std=w, b_std=b, parameterization="ntk")

    hidden = [layer for _ in range(depth) for layer in (dense(), eval(peer, vars(stax)))]
    *_, kernel_fn = stax.serial(*hidden, dense())
    # There are no spatial axes here; the flag selects the peer's formulas for the variances, without which
    # RectifiedMonomial divides 0 by 0 at the angle 0 and passes NaN on to the next layer.
    kernels = kernel_fn(X, Y, ("nngp", "ntk"), diagonal_spatial=True)
    return {name: np.asarray(getattr(kernels, name)) for name in ("nngp", "ntk")}


def main() -> None:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))

    cases, left_out = [], []
    for peer, expr in ACTIVATIONS.items():
        for depth in DEPTHS:
            for w, b in SCALES:
                case = {"expr": expr, "peer": peer, "depth": depth, "sigma_w": w, "sigma_b": b}
                grams = gram(peer, depth, w, b, X, Y)
                assert all(m.dtype == np.float64 and m.shape == (5, 4) for m in grams.values())
                if bad := [name for name, matrix in grams.items() if not np.isfinite(matrix).all()]:
                    left_out.append(case | {"reason": f"the peer's {' and '.join(bad)} is not finite"})
                else:
                    cases.append(case | {name: matrix.tolist() for name, matrix in grams.items()})

    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    data = {"versions": versions, "X": X.tolist(), "Y": Y.tolist(), "cases": cases, "left_out": left_out}
    OUTPUT.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
