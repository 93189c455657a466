"""The pictures of docs/spectra.md that no trial is needed for.

    python tests/benchmarks/spectra.py [folder]

spectra-decay.png: eigenvalues on S² with the lines that are derived for them. spectra-locality.png: κ(θ) by depth.
"""

import math
import sys
from pathlib import Path

import matplotlib

import mehler

matplotlib.use("Agg")

from matplotlib import pyplot

DEGREE, DIGITS, SIGMA_W, SIGMA_B = 100, 40, math.sqrt(2), 0.3
DEPTHS = (1, 3, 10, 30)


def decay(place: Path) -> None:
    """The NTK of ReLU, ELU and GELU, and the NNGP kernel of the step function."""
    spectra = [
        mehler.spectrum(
            mehler.network(name, depth=depth, sigma_w=SIGMA_W, sigma_b=SIGMA_B, target="numpy"),
            dimension=3, degree=DEGREE, kernel=kernel, digits=DIGITS,
        )
        for name, depth, kernel in (("step", 1, "nngp"), ("relu", 3, "ntk"), ("elu", 2, "ntk"), ("gelu", 3, "ntk"))
    ]  # fmt: skip
    display = mehler.SpectrumDisplay.from_spectrum(*spectra)
    display.ax_.set_ylim(1e-14, 10)
    display.figure_.savefig(place / "spectra-decay.png", dpi=120)


def locality(place: Path) -> None:
    """The NTK of ReLU networks by depth, and of erf networks."""
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.8), sharey=True, constrained_layout=True)
    for ax, name, sigma_w in zip(axes, ("relu", "erf"), (SIGMA_W, 1.5), strict=True):
        networks = {f"depth {n}": mehler.network(name, depth=n, sigma_w=sigma_w) for n in DEPTHS}
        mehler.LocalityDisplay.from_networks(networks, ax=ax)
        ax.set_title(f"{name}, NTK")
    figure.savefig(place / "spectra-locality.png", dpi=120)


if __name__ == "__main__":
    folder = Path(*sys.argv[1:2])
    decay(folder)
    locality(folder)
