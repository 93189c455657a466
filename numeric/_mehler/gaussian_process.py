"""The kernel of a network as scikit-learn's Gaussian processes take it."""

import math
from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from mehler.kernel_function import network_function
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Array

BOUNDS = (1e-2, 1e2)
# Weights of f(h), f(2h), f(3h), less those at −h, −2h, −3h, over h: f' with an error of h⁶f⁽⁷⁾/140.
STENCIL = (3 / 4, -3 / 20, 1 / 60)


class NetworkKernel(Kernel):  # type: ignore[misc]
    """Σᴸ ("nngp") or Θᴸ ("ntk") with the hyperparameters log σ_w and log σ_b.

    A bound "fixed" holds one of them; σ_b = 0, which has no logarithm, is fixed. The gradient is by central
    differences of sixth order in the logarithms, with step 1/(50 (depth + 1)); its relative error is below 1e-9.
    It costs six Gram matrices for each free hyperparameter. For GaussianProcessRegressor: its alpha is the noise.
    """

    def __init__(
        self,
        activation: str = "relu",
        depth: int = 3,
        sigma_w: float = math.sqrt(2),
        sigma_b: float = 0.0,
        kernel: str = "ntk",
        sigma_w_bounds: Any = BOUNDS,
        sigma_b_bounds: Any = BOUNDS,
    ) -> None:
        self.activation = activation
        self.depth = depth
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.kernel = kernel
        self.sigma_w_bounds = sigma_w_bounds
        self.sigma_b_bounds = sigma_b_bounds

    @property
    def hyperparameter_sigma_w(self) -> Any:
        return Hyperparameter("sigma_w", "numeric", self.sigma_w_bounds)

    @property
    def hyperparameter_sigma_b(self) -> Any:
        return Hyperparameter("sigma_b", "numeric", self.sigma_b_bounds if self.sigma_b else "fixed")

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """K (n, m), and with `eval_gradient` also ∂K/∂θ (n, n, hyperparameters), θ = (log σ_b, log σ_w).

        Raises NumericError, also for a gradient with Y, which is not defined.
        """
        X = np.asarray(X)
        X = X if X.dtype == np.float32 else X.astype(np.float64)
        Y = None if Y is None else np.asarray(Y, X.dtype)
        K = self._function(self.sigma_w, self.sigma_b)(X, Y)
        if not eval_gradient:
            return K
        if Y is not None:
            raise NumericError("the gradient is that of K(X, X); leave Y out")
        free = [parameter.name for parameter in self.hyperparameters if not parameter.fixed]
        return K, np.stack([self._slope(name, X) for name in free], axis=-1) if free else np.empty((*K.shape, 0))

    def _slope(self, name: str, X: Array) -> Array:
        step = 1 / (50 * (self.depth + 1))
        scales = {"sigma_w": self.sigma_w, "sigma_b": self.sigma_b}
        slope = np.zeros((len(X), len(X)))
        for multiple, weight in enumerate(STENCIL, 1):
            for side in (1, -1):
                moved = scales | {name: scales[name] * math.exp(side * multiple * step)}
                slope += (side * weight / step) * self._function(moved["sigma_w"], moved["sigma_b"])(X)
        return slope

    def diag(self, X: Any) -> Any:
        """K(x, x) of the rows of X, (n,)."""
        X = np.asarray(X)
        return self._function(self.sigma_w, self.sigma_b).diag(X if X.dtype == np.float32 else X.astype(np.float64))

    def is_stationary(self) -> bool:
        return False

    def _function(self, sigma_w: float, sigma_b: float) -> Any:
        return network_function(self.activation, self.depth, sigma_w, sigma_b, self.kernel)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return (
            f"NetworkKernel({self.activation!r}, depth={self.depth}, sigma_w={self.sigma_w:.3g}, "
            f"sigma_b={self.sigma_b:.3g}, kernel={self.kernel!r})"
        )
