"""The adversarial points are what their names say."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mehler.numeric.precision.points import admissible, adversarial, point

DTYPES = ["float64", "float32"]


def _region(name: str, dtype: str) -> tuple[Any, ...]:
    return next(region.points for region in adversarial(dtype) if region.name == name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_are_covariances_in_floats_of_the_dtype(dtype: str) -> None:
    found = adversarial(dtype)
    assert found == adversarial(dtype)
    for region in found:
        assert len(region.points) >= 6
        for at in region.points:
            assert admissible(*at), (region.name, at)
            assert all(float(np.asarray(v, dtype)) == v for v in at)


def _gaps(name: str, dtype: str) -> set[Fraction]:
    """(q1 q2 - c²)/(q1 q2) of each point."""
    exact = [tuple(map(Fraction, at)) for at in _region(name, dtype)]
    return {(q1 * q2 - c * c) / (q1 * q2) for q1, q2, c in exact}


def test_correlations_beside_one_are_exact() -> None:
    rho = 1 - Fraction(1, 2**50)
    assert 1 - rho**2 in _gaps("rho = +-(1 - 2^-k)", "float64")
    assert {np.sign(at[2]) for at in _region("rho = +-(1 - 2^-k)", "float64")} == {1, -1}


@pytest.mark.parametrize("dtype", DTYPES)
def test_parallel_pairs_of_unequal_variances_have_no_gap(dtype: str) -> None:
    assert _gaps("rho = +-1, q1 != q2", dtype) == {0}
    assert all(at[0] != at[1] for at in _region("rho = +-1, q1 != q2", dtype))


@pytest.mark.parametrize(("dtype", "digits"), [("float64", 53), ("float32", 24)])
def test_the_least_determinants_are_one_unit(dtype: str, digits: int) -> None:
    integers = [at for at in _region("q1 q2 - c^2 minimal", dtype) if all(float(v).is_integer() for v in at)]
    assert integers
    for q1, q2, c in integers:
        assert int(q1) * int(q2) - int(c) ** 2 == 1
    assert max(max(at[:2]) for at in integers) > 2 ** (digits - 3)


@pytest.mark.parametrize(("dtype", "least", "most"), [("float64", 1e-300, 1e150), ("float32", 1e-30, 1e30)])
def test_variances_reach_the_ends(dtype: str, least: float, most: float) -> None:
    assert min(at[0] for at in _region("tiny q", dtype)) == float(np.asarray(least, dtype))
    assert max(at[0] for at in _region("huge q", dtype)) == float(np.asarray(most, dtype))
    assert (0.0, 0.0, 0.0) in _region("q = 0", dtype)


def test_small_angles_are_small() -> None:
    angles = sorted(float(gap) ** 0.5 for gap in _gaps("small angle, q1 != q2", "float64") if gap)
    assert angles[0] < 3e-8
    assert angles[-1] == pytest.approx(1e-2, rel=1e-3)


def test_rounding_goes_towards_zero() -> None:
    q1, q2, c = point(3.0, 1 / 3, 1.0, "float64")
    assert Fraction(c) ** 2 <= Fraction(q1) * Fraction(q2) < Fraction(np.nextafter(np.nextafter(c, 2), 2)) ** 2


@pytest.mark.parametrize(
    "at", [(1, 1, 1.0000001), (-1, 1, 0), (1, float("inf"), 0), (0, 1, 1e-300), (1, 1, float("nan"))]
)
def test_what_is_no_covariance(at: Any) -> None:
    assert not admissible(*at)
