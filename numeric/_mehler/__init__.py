"""mehler: derives, proves, generates and measures the kernels of infinitely wide neural networks.

    mehler.derive_dual("x*Phi(x)")            K and K̇ as formulas, with their proof
    mehler.network("relu", depth=3).ntk(X)    a Gram matrix
    mehler.generate("erf(x)", name="erf")     the source of a standalone evaluator
    mehler.mean_field("tanh", sigma_w=1.5)    fixed points, phases, depth scales, the edge of chaos

Everything is imported on first use, so that `import mehler` stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mehler.api import Network, network
    from mehler.derive import symbols
    from mehler.derive.errors import DeriveError
    from mehler.derive.meanfield import mean_field
    from mehler.derive.pipeline import derive_dual, generate
    from mehler.numeric.errors import NumericError
    from mehler.numeric.regression import KernelRegression

__all__ = [
    "DeriveError",
    "KernelRegression",
    "Network",
    "NumericError",
    "derive_dual",
    "generate",
    "mean_field",
    "network",
    "symbols",
]

_HOME = {
    "DeriveError": "mehler.derive.errors",
    "KernelRegression": "mehler.numeric.regression",
    "Network": "mehler.api",
    "NumericError": "mehler.numeric.errors",
    "derive_dual": "mehler.derive.pipeline",
    "generate": "mehler.derive.pipeline",
    "mean_field": "mehler.derive.meanfield",
    "network": "mehler.api",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "symbols":
        return import_module("mehler.derive.symbols")
    if name == "__version__":
        from importlib.metadata import version

        return version("mehler")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mehler' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
