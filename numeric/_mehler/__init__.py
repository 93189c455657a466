"""mehler: derives, proves, generates and measures the kernels of infinitely wide neural networks.

    mehler.derive_dual("x*Phi(x)")            K and K̇ as formulas, with their proof
    mehler.network("relu", depth=3).ntk(X)    a Gram matrix
    mehler.generate("erf(x)", name="erf")     the source of a standalone evaluator
    mehler.mean_field("tanh", sigma_w=1.5)    fixed points, phases, depth scales, the edge of chaos
    mehler.spectrum(network, dimension=3, degree=50)   eigenvalues on the sphere, and how they fall

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
    from mehler.numeric.spectrum.displays import LearningCurveDisplay, LocalityDisplay, SpectrumDisplay
    from mehler.numeric.spectrum.learning import LearningCurve, learning_curve
    from mehler.numeric.spectrum.modes import Modes, modes
    from mehler.numeric.spectrum.sphere import Spectrum
    from mehler.spectra import spectrum

__all__ = [
    "DeriveError",
    "KernelRegression",
    "LearningCurve",
    "LearningCurveDisplay",
    "LocalityDisplay",
    "Modes",
    "Network",
    "NumericError",
    "Spectrum",
    "SpectrumDisplay",
    "derive_dual",
    "generate",
    "learning_curve",
    "mean_field",
    "modes",
    "network",
    "spectrum",
    "symbols",
]

_HOME = {
    "DeriveError": "mehler.derive.errors",
    "KernelRegression": "mehler.numeric.regression",
    "LearningCurve": "mehler.numeric.spectrum.learning",
    "LearningCurveDisplay": "mehler.numeric.spectrum.displays",
    "LocalityDisplay": "mehler.numeric.spectrum.displays",
    "Modes": "mehler.numeric.spectrum.modes",
    "Network": "mehler.api",
    "NumericError": "mehler.numeric.errors",
    "Spectrum": "mehler.numeric.spectrum.sphere",
    "SpectrumDisplay": "mehler.numeric.spectrum.displays",
    "derive_dual": "mehler.derive.pipeline",
    "generate": "mehler.derive.pipeline",
    "learning_curve": "mehler.numeric.spectrum.learning",
    "mean_field": "mehler.derive.meanfield",
    "modes": "mehler.numeric.spectrum.modes",
    "network": "mehler.api",
    "spectrum": "mehler.spectra",
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
