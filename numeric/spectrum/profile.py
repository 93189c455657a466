"""A network's kernel between two rows as a function of the angle between them."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mehler.numeric.gram import Kernel

Array = NDArray[np.float64]


class Kernels(Protocol):
    """What has Gram matrices, as mehler's networks do."""

    def gram(self, kernel: Kernel, X: Any, Y: Any = None) -> Any: ...


def profile(network: Kernels, theta: Array, kernel: Kernel = "ntk") -> Array:
    """κ(θ) of rows with x·x/d = 1 at the angles θ (n,). It does not depend on d. Raises NumericError."""
    theta = np.asarray(theta, dtype=float)
    rows = np.sqrt(2) * np.stack([np.cos(theta), np.sin(theta)], axis=1)
    first = np.array([[np.sqrt(2), 0.0]])
    values: Array = np.asarray(network.gram(kernel, first, rows))[0]
    return values
