"""Regression and classification by networks of infinite width, as scikit-learn's estimators."""

import math
from typing import Any

from mehler.kernel_function import network_function
from mehler.numeric.estimators.machine import KernelFunction, KernelMachine, MachineClassifier, MachineRegressor
from mehler.numeric.gram import Kernel

SQRT2 = math.sqrt(2)


class _NetworkMachine(KernelMachine):
    """What both have: the parameters of the network, of its kernel and of the ridge.

    `activation` is a name or an expression in x, `depth` the number of hidden layers, `kernel` "ntk" or "nngp",
    `ridge` relative to the mean diagonal of the kernel, `target` and `threads` what evaluates it.
    """

    def __init__(
        self,
        activation: str = "relu",
        depth: int = 3,
        sigma_w: float = SQRT2,
        sigma_b: float = 0.0,
        kernel: Kernel = "ntk",
        ridge: float = 1e-6,
        target: Any = "auto",
        threads: int | None = None,
    ) -> None:
        self.activation = activation
        self.depth = depth
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.kernel = kernel
        self.ridge = ridge
        self.target = target
        self.threads = threads

    def make_kernel(self) -> KernelFunction:
        """The kernel of the network. Raises NumericError and DeriveError."""
        return network_function(
            self.activation, self.depth, self.sigma_w, self.sigma_b, self.kernel, self.target, self.threads
        )


class NTKRegressor(MachineRegressor, _NetworkMachine):
    """f(x) = K(x, X)(K + αI)⁻¹y: the mean of networks of infinite width trained for ever ("ntk"), or of their
    posterior ("nngp"); α = ridge · mean diagonal (Jacot et al. 2018; Lee et al. 2019).
    """


class NTKClassifier(MachineClassifier, _NetworkMachine):
    """The largest output of the regression on ±1, or on centred one-hot targets for more than two classes."""
