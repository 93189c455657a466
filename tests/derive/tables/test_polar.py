"""Polar quadrature against the arc-cosine kernels of Cho and Saul (NIPS 2009) and Williams' (NIPS 1996)."""

from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from mehler.derive.errors import EmitError
from mehler.derive.tables.polar import Polar, resolving

VARIANCES = np.array([1e-4, 0.3, 1.0, 40.0, 1e3])


def relu(q1: Any, q2: Any, theta: float) -> Any:
    return np.sqrt(q1 * q2) * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)


def williams(q1: Any, q2: Any, theta: float) -> Any:
    c = np.sqrt(q1 * q2) * np.cos(theta)
    return 2 / np.pi * np.arcsin(np.clip(2 * c / np.sqrt((1 + 2 * q1) * (1 + 2 * q2)), -1, 1))


@pytest.mark.parametrize(
    ("f", "parity", "formula"),
    [(lambda u: np.maximum(u, 0), 0, relu), (erf, -1, williams), (erf, 0, williams)],
)
@pytest.mark.parametrize("theta", [0.0, 1e-9, 0.01, 0.7, np.pi / 2, 2.5, 3.1415])
def test_published_kernels(f: Any, parity: int, formula: Any, theta: float) -> None:
    polar = Polar(f, VARIANCES, parity)
    exact = formula(VARIANCES[:, None], VARIANCES[None, :], theta)
    own = np.array([formula(q, q, 0.0) for q in VARIANCES])
    scale = np.sqrt(np.outer(own, own))
    matrix = polar(theta)
    assert np.abs((matrix - exact) / scale).max() < 5e-15
    assert np.array_equal(matrix, matrix.T)
    assert np.abs(polar.diagonal() / own - 1).max() < 3e-15


@pytest.mark.parametrize(
    ("f", "parity"), [(lambda u: np.maximum(u, 0), 0), (np.tanh, -1), (np.cos, 1), (np.exp, 0)]
)
def test_two_angles_at_once(f: Any, parity: int) -> None:
    """What shares its nodes with θ is π − θ, where f need not be even or odd."""
    polar = Polar(f, np.array([1e-4, 0.3, 1.0]), parity, farthest=18.0)
    for theta in (1e-6, 0.7, np.pi / 2):
        here, there = polar.mirrored(theta)
        assert np.array_equal(here, polar(theta))
        assert np.abs(there - polar(np.pi - theta)).max() < 1e-14


def test_a_wrong_formula_is_seen() -> None:
    exact = relu(VARIANCES[:, None], VARIANCES[None, :], 0.7 + 1e-11)
    assert np.abs(Polar(lambda u: np.maximum(u, 0), VARIANCES)(0.7) / exact - 1).max() > 1e-12


def test_extended_precision_is_kept() -> None:
    long = Polar(np.tanh, VARIANCES.astype(np.longdouble))(np.longdouble(0.7))
    assert long.dtype == np.longdouble
    assert np.abs(long - Polar(np.tanh, VARIANCES, -1)(0.7)).max() < 3e-15


def gaussian_of_sin(frequency: float, q1: Any, q2: Any, theta: float) -> Any:
    """E[sin(fu) sin(fv)]."""
    square, c = frequency**2, np.sqrt(q1 * q2) * np.cos(theta)
    return np.exp(-square * (q1 + q2) / 2) * np.sinh(square * c)


def test_a_wilder_function_has_more_nodes_until_none_are_enough() -> None:
    """Both are seen by the diagonal alone; what they are worth, by a closed form at other angles."""
    tame, wilder = (resolving(lambda u, f=f: np.sin(f * u), np.array([1e-4, 1.0]), -1) for f in (1.0, 5.0))
    assert tame.nodes < wilder.nodes
    for theta in (0.3, 1.2):
        for q1, q2, value in zip((1e-4, 1.0), (1e-4, 1.0), np.diag(wilder(theta)), strict=True):
            scale = gaussian_of_sin(5.0, q1, q2, 0.0)
            assert abs(value - gaussian_of_sin(5.0, q1, q2, theta)) < 1e-13 * scale
    with pytest.raises(EmitError, match="too wild for quadrature at a variance of 1e"):
        resolving(lambda u: np.sin(5 * u), np.array([1e-4, 1e3]), -1)


@pytest.mark.parametrize("high", [30.0, 100.0, 300.0])
def test_what_goes_on_turning(high: float) -> None:
    """In steps of log r alone sin(u) ended at a variance of 30."""
    variances = np.array([1e-2, 1.0, high / 2, high])
    exact = lambda theta: gaussian_of_sin(1.0, variances[:, None], variances[None, :], theta)  # noqa: E731
    polar = resolving(np.sin, variances, -1)
    for theta in (0.0, 1e-3, 0.05, 0.9, 3.0):
        assert np.abs(polar(theta) - exact(theta)).max() < 3e-14  # the formula has c = 300 rounded


def test_what_grows_has_its_weight_far_out() -> None:
    """exp(u/2) does at r = √q, over 9.6, where what does not grow has ended."""
    variances = np.array([1e-4, 1.0, 40.0, 300.0])
    polar = resolving(lambda u: np.exp(u / 2), variances)
    own = np.exp(variances / 4)
    for theta in (0.0, 1e-3, 0.05, 0.9, 3.0):
        distance = variances[:, None] + variances - 2 * np.sqrt(np.outer(variances, variances)) * np.cos(theta)
        assert np.abs(polar(theta) / np.outer(own, own) - np.exp(-distance / 8)).max() < 1e-13


def test_nodes_are_saved_where_little_is_left() -> None:
    """Equal steps in log r down to 1e-9 took 38,000 nodes."""
    assert Polar(np.tanh, VARIANCES, -1).nodes < 15_000


@pytest.mark.parametrize("f", [lambda u: 0 * u, lambda u: np.exp(u * u)])
def test_a_kernel_that_is_nothing_or_infinite(f: Any) -> None:
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(EmitError, match="0 or not finite"):
        resolving(f, VARIANCES)


def test_extended_precision_is_resolved_as_well() -> None:
    long = np.array([0.3, 40.0], np.longdouble)
    matrix = resolving(np.tanh, long, -1, 11, 22)(np.longdouble(0.7))
    assert np.abs(matrix / resolving(np.tanh, long, -1, 23, 45)(np.longdouble(0.7)) - 1).max() < 1e-15
