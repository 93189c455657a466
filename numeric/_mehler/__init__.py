"""mehler: derives, proves, generates and measures the kernels of infinitely wide neural networks.

    mehler.derive_dual("x*Phi(x)")            K and K̇ as formulas, with their proof
    mehler.network("relu", depth=3).ntk(X)    a Gram matrix
    mehler.generate("erf(x)", name="erf")     the source of a standalone evaluator
    mehler.GradientFlow(K, y).predict(t)      what a network has learned at time t
    mehler.ensemble(network, X, y, X_test)    mean and covariance of trained networks
    mehler.NTKRegressor(), NTKClassifier()    estimators for scikit-learn
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
    from mehler.ensembles import ensemble
    from mehler.estimators import NTKClassifier, NTKRegressor
    from mehler.gaussian_process import NetworkKernel
    from mehler.numeric.errors import NumericError
    from mehler.numeric.estimators.leave_one_out import leave_one_out
    from mehler.numeric.inference.descent import loss_flow
    from mehler.numeric.inference.displays import LearningDisplay, LossDisplay, PosteriorDisplay
    from mehler.numeric.inference.flow import GradientFlow
    from mehler.numeric.inference.modes import Modes, modes
    from mehler.numeric.inference.solve import NearSingularWarning, log_marginal_likelihood, solve
    from mehler.numeric.spectrum.displays import LearningCurveDisplay, LocalityDisplay, SpectrumDisplay
    from mehler.numeric.spectrum.learning import LearningCurve, learning_curve
    from mehler.numeric.spectrum.sphere import Spectrum
    from mehler.spectra import spectrum

__all__ = [
    "DeriveError",
    "GradientFlow",
    "LearningCurve",
    "LearningCurveDisplay",
    "LearningDisplay",
    "LocalityDisplay",
    "LossDisplay",
    "Modes",
    "NTKClassifier",
    "NTKRegressor",
    "NearSingularWarning",
    "Network",
    "NetworkKernel",
    "NumericError",
    "PosteriorDisplay",
    "Spectrum",
    "SpectrumDisplay",
    "derive_dual",
    "ensemble",
    "generate",
    "learning_curve",
    "leave_one_out",
    "log_marginal_likelihood",
    "loss_flow",
    "mean_field",
    "modes",
    "network",
    "solve",
    "spectrum",
    "symbols",
]

_HOME = {
    "DeriveError": "mehler.derive.errors",
    "GradientFlow": "mehler.numeric.inference.flow",
    "LearningCurve": "mehler.numeric.spectrum.learning",
    "LearningCurveDisplay": "mehler.numeric.spectrum.displays",
    "LearningDisplay": "mehler.numeric.inference.displays",
    "LocalityDisplay": "mehler.numeric.spectrum.displays",
    "LossDisplay": "mehler.numeric.inference.displays",
    "Modes": "mehler.numeric.inference.modes",
    "NTKClassifier": "mehler.estimators",
    "NTKRegressor": "mehler.estimators",
    "NearSingularWarning": "mehler.numeric.inference.solve",
    "Network": "mehler.api",
    "NetworkKernel": "mehler.gaussian_process",
    "NumericError": "mehler.numeric.errors",
    "PosteriorDisplay": "mehler.numeric.inference.displays",
    "Spectrum": "mehler.numeric.spectrum.sphere",
    "SpectrumDisplay": "mehler.numeric.spectrum.displays",
    "derive_dual": "mehler.derive.pipeline",
    "ensemble": "mehler.ensembles",
    "generate": "mehler.derive.pipeline",
    "learning_curve": "mehler.numeric.spectrum.learning",
    "leave_one_out": "mehler.numeric.estimators.leave_one_out",
    "log_marginal_likelihood": "mehler.numeric.inference.solve",
    "loss_flow": "mehler.numeric.inference.descent",
    "mean_field": "mehler.derive.meanfield",
    "modes": "mehler.numeric.inference.modes",
    "network": "mehler.api",
    "solve": "mehler.numeric.inference.solve",
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
