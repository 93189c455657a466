"""The spectrum of a network's kernel on the sphere: its eigenvalues, and how they fall."""

import math
from functools import partial
from typing import Any

import numpy as np

from mehler.api import Network
from mehler.derive.decay import decay
from mehler.derive.eigenvalues import eigenvalues
from mehler.derive.errors import DeriveError
from mehler.derive.pipeline import derive_dual
from mehler.numeric import inputs
from mehler.numeric.errors import NumericError
from mehler.numeric.gram import Kernel
from mehler.numeric.inputs import shown
from mehler.numeric.spectrum import harmonics
from mehler.numeric.spectrum.profile import profile
from mehler.numeric.spectrum.sphere import Spectrum

MOST_DIGITS = 200


def spectrum(
    network: Network, *, dimension: int, degree: int, kernel: Kernel = "ntk", digits: int | None = None
) -> Spectrum:
    """κ(ρ) = Σ λ_k N(d, k) P_k(ρ) on S^{d−1}: λ_k and N(d, k) for k = 0 … degree, and the law by which λ_k falls.

    Rows are scaled so that x·x/d = 1; the measure is uniform, of mass 1; d = `dimension` ≥ 2. Without `digits` the
    eigenvalues are floats, by quadrature of the network's evaluator, whatever its activation. With `digits` (1 to
    200), for an activation with a formula, they are mpf with an absolute error below 10^−digits κ(1): digits=45
    gives λ = 1e-30 to twelve digits or more. The exponent and the prefactor are derived from the knots of φ, layer
    by layer, with no eigenvalue (mehler.derive.decay); NaN where that is not known, as for |x|^(3/2).
    Raises NumericError, and DeriveError for `digits` without a formula.
    """
    dimension, degree = harmonics.checked(dimension, degree)
    inputs.kernel(kernel)
    counts = harmonics.multiplicities(dimension, degree)
    values: Any
    if digits is None:
        values, error = harmonics.projection(partial(profile, network, kernel=kernel), dimension, degree)
        trace: Any = float(profile(network, np.zeros(1), kernel)[0])
    else:
        if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= MOST_DIGITS:
            raise NumericError(f"digits={shown(digits)} is not an integer from 1 to {MOST_DIGITS}")
        found, trace, error = eigenvalues(
            network.recursion, kernel=kernel, dimension=dimension, degree=degree, digits=digits
        )
        values, error = np.array(found, dtype=object), float(error)
    dual = derive_dual(network.activation, **(network.evaluator.values | dict(network.params)))
    exponent, prefactor = math.nan, (math.nan, math.nan)
    try:
        law = decay(
            dual, depth=network.depth, sigma_w=network.sigma_w, sigma_b=network.sigma_b, kernel=kernel,
            dimension=dimension,
        )  # fmt: skip
        exponent, prefactor = law.exponent, (law.even, law.odd)
    except DeriveError:  # the eigenvalues stand
        pass
    label = f"{network.activation}, depth {network.depth}"
    return Spectrum(values, counts, error, trace, exponent, prefactor, kernel, dimension, label)
