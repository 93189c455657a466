"""A network's kernel as a function of rows, for estimators and Gaussian processes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mehler.api import Network, network
from mehler.numeric import inputs, workers
from mehler.numeric.estimators.rows import diagonal, directed
from mehler.numeric.evaluator import Array
from mehler.numeric.gram import Kernel

ANY_BIAS = 1.0  # with which the checks of rows allow zero rows


@dataclass(frozen=True)
class NetworkFunction:
    """K(x, x') of a network, "ntk" or "nngp". Zero rows are allowed (mehler.numeric.estimators.rows.directed)."""

    network: Network
    kernel: Kernel
    threads: int | None = None

    def __call__(self, X: Any, Y: Any = None) -> Array:
        """K of the rows of X (n, d) and Y (m, d; X when None), float32 or float64. Raises NumericError."""
        X, Y = inputs.pair_of_rows(X, Y, ANY_BIAS)
        X, Y = directed(X, Y, self.network.sigma_b)
        return self.network.gram(self.kernel, X, Y, threads=self.threads)

    def diag(self, X: Any) -> Array:
        """K(x, x) of the rows of X, (n,)."""
        X, _ = directed(inputs.rows(X, "X", ANY_BIAS), None, self.network.sigma_b)
        net = self.network
        with np.errstate(under="ignore"):
            return diagonal(
                net.evaluator, X, kernel=self.kernel, depth=net.depth, sigma_w=net.sigma_w, sigma_b=net.sigma_b
            )


def network_function(
    activation: str,
    depth: int,
    sigma_w: float,
    sigma_b: float,
    kernel: Kernel,
    target: Any = "auto",
    threads: int | None = None,
) -> NetworkFunction:
    """Checked. Raises NumericError and DeriveError, as mehler.network."""
    inputs.kernel(kernel)
    if threads is not None:
        workers.count(threads)
    return NetworkFunction(
        network(activation, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, target=target), kernel, threads
    )
