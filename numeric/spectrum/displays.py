"""Pictures of spectra, in the style of scikit-learn's displays: made by `from_…`, drawn in `ax` (extra `plot`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mehler.numeric.axes import axes
from mehler.numeric.errors import NumericError
from mehler.numeric.gram import Kernel
from mehler.numeric.spectrum.learning import LearningCurve
from mehler.numeric.spectrum.profile import Kernels, profile
from mehler.numeric.spectrum.sphere import Spectrum

Array = NDArray[np.float64]


@dataclass
class SpectrumDisplay:
    """Eigenvalues λ_k against k, both logarithmic, with the derived line prefactor · k^exponent.

    `ax_` and `figure_` hold the axes and the figure, `lines_` what was drawn.
    """

    spectra: Sequence[Spectrum]

    @classmethod
    def from_spectrum(cls, *spectra: Spectrum, ax: Any = None) -> "SpectrumDisplay":
        """Draws one spectrum or several. Raises NumericError without matplotlib."""
        return cls(spectra).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> "SpectrumDisplay":
        """Draws in `ax`, or in axes of its own. Eigenvalues below their error, and k = 0, are left out."""
        self.ax_ = axes(ax)
        self.figure_, self.lines_ = self.ax_.figure, []
        for n, spectrum in enumerate(self.spectra):
            k, values = spectrum.degrees[1:], np.array(spectrum.eigenvalues[1:], dtype=float)
            seen = values > spectrum.error
            label = f"{spectrum.label}, {spectrum.kernel}, d = {spectrum.dimension}"
            self.lines_ += self.ax_.loglog(k[seen], values[seen], "o", ms=3.5, color=f"C{n}", label=label)
            line = np.where(seen, spectrum.predicted(k), np.nan)
            drawn = np.isfinite(line) & (line > 0)
            for parity in (0, 1):
                half = drawn & (k % 2 == parity)
                if half.any():
                    text = f"derived, $k^{{{spectrum.decay_exponent:g}}}$" if parity == k[drawn][0] % 2 else None
                    self.lines_ += self.ax_.loglog(k[half], line[half], "-", lw=1, color=f"C{n}", label=text)
        self.ax_.set_xlabel("degree $k$")
        self.ax_.set_ylabel(r"eigenvalue $\lambda_k$")
        self.ax_.grid(alpha=0.3)
        self.ax_.legend(frameon=False)
        return self


@dataclass
class LearningCurveDisplay:
    """Test errors against the number of examples: theory as lines, measured means with their spread.

    `ax_`, `figure_` and `lines_` as in SpectrumDisplay.
    """

    curves: Mapping[str, LearningCurve]
    measured: Mapping[str, tuple[Array, Array]]

    @classmethod
    def from_curves(
        cls,
        curves: Mapping[str, LearningCurve],
        *,
        measured: Mapping[str, tuple[Array, Array]] | None = None,
        ax: Any = None,
    ) -> "LearningCurveDisplay":
        """Draws named curves. `measured` gives, by the same names, n (m,) and errors (m, trials); bars are ± 1 sd.

        Raises NumericError.
        """
        measured = measured or {}
        unknown = sorted(set(measured) - set(curves))
        if unknown:
            raise NumericError(f"measured has {unknown[0]!r}, which is no curve; use the names of curves")
        return cls(curves, measured).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> "LearningCurveDisplay":
        """Draws in `ax`, or in axes of its own."""
        self.ax_ = axes(ax)
        self.figure_, self.lines_ = self.ax_.figure, []
        for i, (name, curve) in enumerate(self.curves.items()):
            order = np.argsort(curve.n)
            self.lines_ += self.ax_.plot(curve.n[order], curve.test[order], "-", color=f"C{i}", label=name)
            if name in self.measured:
                n, errors = self.measured[name]
                self.ax_.errorbar(
                    n, errors.mean(axis=1), errors.std(axis=1), fmt="o", ms=4, capsize=2, color=f"C{i}",
                    label=f"{name}, mean ± sd of {errors.shape[1]} trials",
                )  # fmt: skip
        self.ax_.set_xscale("log")
        self.ax_.set_yscale("log")
        self.ax_.set_xlabel("training examples $n$")
        self.ax_.set_ylabel("test error")
        self.ax_.grid(alpha=0.3)
        self.ax_.legend(frameon=False)
        return self


@dataclass
class LocalityDisplay:
    """κ(θ)/κ(0) against the angle θ between two rows: how local a kernel is, by depth.

    `theta` (n,) and `values`, one (n,) for each name. `ax_`, `figure_` and `lines_` as in SpectrumDisplay.
    """

    theta: Array
    values: Mapping[str, Array]

    @classmethod
    def from_networks(
        cls, networks: Mapping[str, Kernels], *, kernel: Kernel = "ntk", ax: Any = None
    ) -> "LocalityDisplay":
        """Draws the kernels of named networks, e.g. {"depth 1": …, "depth 3": …}. Raises NumericError."""
        theta = np.linspace(0, np.pi, 401)
        values = {name: profile(network, theta, kernel) for name, network in networks.items()}
        return cls(theta, {name: v / v[0] for name, v in values.items()}).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> "LocalityDisplay":
        """Draws in `ax`, or in axes of its own."""
        self.ax_ = axes(ax)
        self.figure_, self.lines_ = self.ax_.figure, []
        for name, values in self.values.items():
            self.lines_ += self.ax_.plot(self.theta, values, label=name)
        self.ax_.set_xlabel(r"angle $\theta$")
        self.ax_.set_ylabel(r"$\kappa(\theta)/\kappa(0)$")
        self.ax_.grid(alpha=0.3)
        self.ax_.legend(frameon=False)
        return self
