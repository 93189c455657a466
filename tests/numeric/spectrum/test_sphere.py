"""The result of a spectrum: shares, tail, and the line of one term."""

import math

import numpy as np
import pytest

from mehler.numeric.spectrum.harmonics import multiplicities, projection
from mehler.numeric.spectrum.sphere import Spectrum


@pytest.mark.parametrize("dimension", [2, 3, 6])
def test_the_line_is_exact_for_one_term(dimension: int) -> None:
    """κ = 2 − (1−ρ)^½ has λ_k on the line, from k = 1 on."""
    values, error = projection(lambda theta: 2 - np.sqrt(2) * np.sin(theta / 2), dimension, 12)
    c = -(2 ** (dimension - 1.5)) * math.gamma(dimension / 2) * math.gamma(dimension / 2)
    prefactor = c / (math.sqrt(math.pi) * math.gamma(-0.5))
    counts = multiplicities(dimension, 12)
    found = Spectrum(values, counts, error, 2.0, -float(dimension), (prefactor, prefactor), "ntk", dimension)
    assert np.allclose(found.predicted(found.degrees)[1:], values[1:], rtol=1e-9)
    assert np.isnan(found.predicted(0))
    assert found.predicted(10**6) == pytest.approx(prefactor * 1e6 ** -float(dimension), rel=1e-4)
    assert found.tail == pytest.approx(2 - values @ counts)
    assert found.shares.sum() == pytest.approx(1 - found.tail / 2)


def test_infinities_as_text() -> None:
    found = Spectrum(np.ones(2), np.array([1, 3]), 0.0, 4.0, -math.inf, (0.0, 0.0), "nngp", 3)
    assert found.as_json()["decay_exponent"] == "-inf"
    assert found.as_json()["multiplicities"] == [1, 3]
    assert np.isnan(found.predicted([1, 2])).all()
