"""Learning curves of kernel regression from the spectrum of the kernel and the power of the target.

    Σᵢ λᵢ/(λᵢ + κ) + δ/κ = n,   Lᵢ = λᵢ/(λᵢ + κ),   E₀ = n/(n − Σᵢ Lᵢ²)
    test = E₀ (Σᵢ (1 − Lᵢ)² vᵢ² + σ²),   train = (δ/(nκ))² test

for f = K_xX (K + δI)⁻¹ y from n examples, vᵢ the coefficients of the target, σ² the variance of the noise on y.
B. Bordelon, A. Canatar and C. Pehlevan, ICML 2020; J. Simon, M. Dickens, D. Karkada and M. DeWeese, TMLR 2023.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from mehler.numeric.errors import NumericError
from mehler.numeric.inputs import shown

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """What kernel regression from n examples does on average.

    n: (m,). test, train: (m,), mean squared errors with the noise σ² in both.
    learnabilities: (m, eigenspaces), L of every eigenfunction of each eigenspace, in [0, 1]: its coefficient in the
    mean prediction is L times that in the target.
    kappa: (m,), the effective ridge. overfitting: (m,), E₀ ≥ 1.
    """

    n: Array
    test: Array
    train: Array
    learnabilities: Array
    kappa: Array
    overfitting: Array


def learning_curve(
    eigenvalues: Any,
    multiplicities: Any,
    target: Any,
    n: Any,
    *,
    ridge: float = 0.0,
    noise: float = 0.0,
    tail: float = 0.0,
) -> LearningCurve:
    """The learning curve of kernel ridge regression, from spectra such as those of `mehler.spectrum`.

    eigenvalues, multiplicities: (k,), λ ≥ 0 of each eigenspace and its dimension.
    target: (k,), the power Σ vᵢ² of the target in each eigenspace: E f² is their sum.
    n: a number > 0 of training examples, or an array of them.
    ridge: relative to the kernel's diagonal, as everywhere in mehler: δ = ridge · (Σ λ·multiplicity + tail).
    noise: σ², the variance of the noise on y. Power of the target beyond the last eigenspace acts as noise does.
    tail: the trace beyond the last eigenspace (`Spectrum.tail`): eigenvalues far below κ act as a ridge, their sum.

    Without ridge and tail, n ≥ the number of eigenfunctions with λ > 0 makes all of these learnable (κ = 0).
    Raises NumericError.
    """
    values, counts = _vector(eigenvalues, "eigenvalues"), _vector(multiplicities, "multiplicities")
    power = _vector(target, "target")
    if not len(values) == len(counts) == len(power):
        raise NumericError(
            f"eigenvalues, multiplicities and target have lengths {len(values)}, {len(counts)} and {len(power)}; "
            "give one of each for every eigenspace"
        )
    ridge, noise, tail = _scalar(ridge, "ridge"), _scalar(noise, "noise"), _scalar(tail, "tail")
    sizes = _vector(np.ravel(n), "n")
    if not (sizes > 0).all():
        raise NumericError("n must be > 0: the number of training examples")
    trace = float(values @ counts) + tail
    if not trace > 0:
        raise NumericError("all eigenvalues are 0; give the spectrum of a kernel")
    delta = ridge * trace
    kappa = np.array([_effective(values, counts, delta + tail, float(size)) for size in sizes])
    with np.errstate(invalid="ignore"):
        learned = np.where(values > 0, values / (values + kappa[:, None]), 0.0)
    free = sizes - learned**2 @ counts
    overfitting = np.divide(sizes, free, out=np.full(len(sizes), np.inf), where=free > 0)
    missed = (1 - learned) ** 2 @ power + noise
    test = np.where(missed > 0, overfitting * np.where(missed > 0, missed, 1), 0.0)
    # δ/(nκ) = 1 − Σ L/n, which also holds where there are more examples than eigenfunctions, and κ = 0.
    left = np.divide(delta, sizes * kappa, out=1 - learned @ counts / sizes, where=kappa > 0)
    train = np.where(left > 0, left**2 * np.where(left > 0, test, 0), 0.0)
    return LearningCurve(sizes, test, train, learned, kappa, overfitting)


def _effective(values: Array, counts: Array, ridge: float, n: float) -> float:
    """κ > 0 of Σ counts·λ/(λ + κ) + ridge/κ = n; 0 where n exceeds what the sum can be."""
    positive = values > 0
    values, counts = values[positive], counts[positive]
    if ridge == 0 and n >= counts.sum():
        return 0.0

    def excess(log: float) -> float:
        kappa = math.exp(log)
        return float((counts * (values / (values + kappa))).sum() + ridge / kappa) - n

    # κ n ≤ Σ counts·λ + ridge, as λ/(λ + κ) ≤ λ/κ.
    high = math.log((float(values @ counts) + ridge) / n) + 1e-9
    step = 1.0
    while excess(high - step) <= 0:
        step *= 2
    return math.exp(brentq(excess, high - step, high, xtol=1e-14, rtol=1e-14))


def _vector(values: Any, name: str) -> Array:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise NumericError(f"{name} is not an array of numbers; give one number for each eigenspace") from None
    if array.ndim != 1 or not len(array):
        raise NumericError(f"{name} must be a vector with at least one entry, not of shape {array.shape}")
    if not (np.isfinite(array) & (array >= 0)).all():
        where = int(np.argmin(np.isfinite(array) & (array >= 0)))
        raise NumericError(f"{name}[{where}] = {array[where]:.3g} is not a finite number >= 0")
    return array


def _scalar(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise NumericError(f"{name}={shown(value)} is not a finite number >= 0")
    return number
