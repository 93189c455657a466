"""The spectrum of a kernel on the sphere, as a result."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """λ_k and N(d, k), k = 0 … degree, of a kernel κ(ρ) = Σ λ_k N(d, k) P_k(ρ) on S^{d−1}, and how λ_k falls.

        λ_k ∼ prefactor · k^decay_exponent        as k → ∞

    eigenvalues: (degree + 1,), float64, or mpf (dtype object) where digits were asked for.
    multiplicities: (degree + 1,), integers.
    error: absolute, the same for each λ_k; those below it, also zeros by symmetry, are noise of that size.
    trace: κ(1) = Σ λ_k N(d, k) over all k.
    decay_exponent: −∞ where λ_k falls faster than any power; NaN where it is not known.
    prefactor: for even and for odd k; 0 for a parity whose eigenvalues fall faster, or vanish.
    """

    eigenvalues: NDArray[Any]
    multiplicities: NDArray[Any]
    error: float
    trace: Any
    decay_exponent: float
    prefactor: tuple[float, float]
    kernel: str
    dimension: int
    label: str = "kernel"

    @property
    def degrees(self) -> NDArray[np.int64]:
        """0 … degree."""
        return np.arange(len(self.eigenvalues))

    @property
    def shares(self) -> Array:
        """λ_k N(d, k)/κ(1): of the trace, the part of each degree."""
        return np.array(self.eigenvalues * self.multiplicities / self.trace, dtype=float)

    @property
    def tail(self) -> float:
        """κ(1) − Σ λ_k N(d, k), what is left of the trace beyond the degree; at least 0."""
        return max(0.0, float(self.trace - (self.eigenvalues * self.multiplicities).sum()))

    def predicted(self, degree: Any) -> Array:
        """prefactor · Γ(k−ν)/Γ(k+ν+d−1) ∼ prefactor · k^decay_exponent, ν = (1 − d − decay_exponent)/2.

        It is the exact λ_k of the leading term of the kernel, c(1−ρ)^ν. NaN where k ≤ ν or no power is known.
        """
        k = np.asarray(degree, dtype=float)
        if not math.isfinite(self.decay_exponent):
            return np.full(k.shape, np.nan)
        order = (1 - self.dimension - self.decay_exponent) / 2
        scale = np.where(k % 2 == 0, *self.prefactor)
        inside = k > order
        safe = np.where(inside, k, order + 1)
        ratio = np.exp(gammaln(safe - order) - gammaln(safe + order + self.dimension - 1))
        return np.where(inside, scale * ratio, np.nan)

    def as_json(self) -> dict[str, Any]:
        """All of it in the types of JSON; ∞ and NaN as text, eigenvalues of many digits as text."""
        text = self.eigenvalues.dtype == object
        even, odd = self.prefactor
        return {
            "kernel": self.kernel,
            "dimension": self.dimension,
            "eigenvalues": [str(v) if text else float(v) for v in self.eigenvalues],
            "multiplicities": [int(n) for n in self.multiplicities],
            "error": self.error,
            "trace": str(self.trace) if text else float(self.trace),
            "tail": self.tail,
            "decay_exponent": _finite(self.decay_exponent),
            "prefactor": {"even": _finite(even), "odd": _finite(odd)},
        }


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
