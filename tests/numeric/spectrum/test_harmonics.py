"""Harmonics beside scipy's polynomials and exact projections of known functions."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import special

from mehler.numeric.errors import NumericError
from mehler.numeric.spectrum.harmonics import multiplicities, polynomials, projection


def test_multiplicities() -> None:
    assert multiplicities(2, 4).tolist() == [1, 2, 2, 2, 2]
    assert multiplicities(3, 6).tolist() == [2 * k + 1 for k in range(7)]
    assert multiplicities(4, 6).tolist() == [(k + 1) ** 2 for k in range(7)]
    for d in (5, 10):  # polynomials of degree k on the sphere: those of degree k and k − 1 without it
        expected = [math.comb(k + d - 1, k) + (math.comb(k + d - 2, k - 1) if k else 0) for k in range(9)]
        assert np.cumsum(multiplicities(d, 8)).tolist() == expected
    assert multiplicities(100, 60).dtype == object
    assert multiplicities(100, 60)[60] == math.comb(159, 60) - math.comb(157, 58)


@pytest.mark.parametrize("dimension", [2, 3, 5, 10])
def test_polynomials(dimension: int) -> None:
    theta = np.linspace(0, np.pi, 37)
    rho = np.cos(theta)
    for k, values in enumerate(polynomials(rho, dimension, 30)):
        if dimension == 2:
            expected = np.cos(k * theta)
        else:
            half = dimension / 2 - 1
            expected = special.eval_gegenbauer(k, half, rho) / special.eval_gegenbauer(k, half, 1.0)
        assert np.allclose(values, expected, rtol=0, atol=1e-13)


def of_power(nu: float, k: int, d: int) -> float:
    """λ_k of (1−ρ)^ν."""
    top = special.poch(-nu, k) * 2 ** (nu + d - 2) * math.gamma(d / 2) * math.gamma(nu + (d - 1) / 2)
    return float(top / (math.sqrt(math.pi) * math.gamma(nu + k + d - 1)))


@pytest.mark.parametrize("dimension", [2, 3, 5, 10])
@pytest.mark.parametrize("nu", [0.25, 0.5, 1.5])
def test_a_singular_function(nu: float, dimension: int) -> None:
    found, error = projection(lambda theta: (2 * np.sin(theta / 2) ** 2) ** nu, dimension, 40)
    expected = np.array([of_power(nu, k, dimension) for k in range(41)])
    assert np.abs(found - expected).max() <= error < 1e-13


def test_the_error_tells_of_a_function_that_is_too_rough() -> None:
    found, error = projection(lambda theta: np.cos(theta) > 0.3, 3, 3)
    # ∫ over the cap, half of ρ from 0.3 to 1.
    assert 1e-5 < abs(found[0] - 0.35) < 3 * error


@pytest.mark.parametrize(
    ("dimension", "degree", "fault"),
    [
        (1, 3, "dimension=1 is not"),
        (3, -1, "degree=-1 is not"),
        (3.0, 2, "dimension=3.0 is not"),
        (3, True, "degree="),
    ],
)
def test_bad_input(dimension: Any, degree: Any, fault: str) -> None:
    with pytest.raises(NumericError, match=fault):
        multiplicities(dimension, degree)


def test_a_kernel_that_is_not_finite() -> None:
    with pytest.raises(NumericError, match="not finite at every angle"):
        projection(lambda theta: np.where(theta < 1, np.inf, theta), 3, 2)
