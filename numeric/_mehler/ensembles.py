"""What an ensemble of networks of infinite width predicts after training."""

from typing import Any

from mehler.api import Network
from mehler.kernel_function import NetworkFunction
from mehler.numeric import inputs
from mehler.numeric.gram import Kernel
from mehler.numeric.inference.checks import Array
from mehler.numeric.inference.posterior import Blocks, gaussian_process, trained_ensemble


def ensemble(
    network: Network, X: Any, y: Any, X_test: Any, *, t: Any = None, kernel: Kernel = "ntk", ridge: float = 0.0
) -> tuple[Array, Array]:
    """Mean and covariance of the outputs on X_test (m, d) of networks that learned y on X (n, d).

    kernel="ntk": networks trained to time t from random initial parameters, covariance
    Σ** − A Σ* − (A Σ*)ᵀ + A Σ Aᵀ with A = Θ* (1 − e^{−Θ̃t})/Θ̃ (Lee et al. 2019). kernel="nngp": their Bayesian
    posterior, or for a finite t training of the last layer alone. α = ridge · mean diagonal is added to Θ or Σ; t
    is a time of df/dt = −Θ(f − y), an array whose axes come first, or None for infinity.

    y is (n,) or (n, outputs); mean t.shape + (m,) or (m, outputs), covariance t.shape + (m, m), the same for every
    output. Raises NumericError.
    """
    inputs.kernel(kernel)
    nngp = _blocks(NetworkFunction(network, "nngp"), X, X_test)
    if kernel == "nngp":
        return gaussian_process(nngp, y, t=t, ridge=ridge)
    function = NetworkFunction(network, "ntk")
    return trained_ensemble(Blocks(function(X), function(X_test, X), None), nngp, y, t=t, ridge=ridge)


def _blocks(function: NetworkFunction, X: Any, X_test: Any) -> Blocks:
    return Blocks(function(X), function(X_test, X), function(X_test))
