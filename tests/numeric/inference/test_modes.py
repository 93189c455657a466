"""Modes of a Gram matrix beside linear algebra that does not know them."""

from typing import Any

import numpy as np
import pytest
from scipy import linalg

import mehler
from mehler.numeric.errors import NumericError


@pytest.fixture(scope="module")
def problem() -> tuple[Any, Any]:
    X = np.random.default_rng(0).standard_normal((40, 5))
    return mehler.network("relu", depth=2, sigma_w=1.4, sigma_b=0.1).ntk(X), np.sin(X[:, 0]) + X[:, 1] * X[:, 2]


def test_the_norm_and_the_bound(problem: tuple[Any, Any]) -> None:
    K, y = problem
    found = mehler.modes(K, y)
    norm = y @ linalg.solve(K, y, assume_a="pos")
    assert found.rkhs_norm2 == pytest.approx(norm, rel=1e-9)
    assert found.bound == pytest.approx(np.sqrt(2 * norm / 40), rel=1e-9)


def test_modes_are_learned_in_their_order(problem: tuple[Any, Any]) -> None:
    """f(t) = (1 − exp(−Kt)) y: what is left of y in mode i is exp(−λᵢ t)."""
    K, y = problem
    found = mehler.modes(K, y)
    assert (np.diff(found.eigenvalues) <= 0).all()
    assert (np.diff(found.times) >= 0).all()
    t = found.times[3]
    left = found.vectors.T @ (linalg.expm(-K * t) @ y)
    assert np.allclose(left, np.exp(-found.eigenvalues * t) * found.projections, atol=1e-10)
    assert left[3] / found.projections[3] == pytest.approx(np.exp(-1), rel=1e-9)


def test_power_adds_up(problem: tuple[Any, Any]) -> None:
    K, y = problem
    found = mehler.modes(K, np.stack([y, y**2], axis=1))
    assert found.projections.shape == (40, 2)
    assert found.cumulative[-1] == pytest.approx(1, rel=1e-12)
    assert found.rkhs_norm2 == pytest.approx(mehler.modes(K, y).rkhs_norm2 + mehler.modes(K, y**2).rkhs_norm2)
    assert mehler.modes(K, 0 * y).power.sum() == 0


def test_the_modes_that_hold_the_target() -> None:
    K = np.diag([5.0, 4.0, 3.0, 2.0, 1.0])
    found = mehler.modes(K, np.array([1.0, 3.0, 0.0, 2.0, 0.0]))
    assert found.power.tolist() == pytest.approx([1 / 14, 9 / 14, 0, 4 / 14, 0])
    assert found.holding(0.6).tolist() == [1]
    assert found.holding(0.9).tolist() == [1, 3]
    assert found.holding(1.0).tolist() == [0, 1, 3]
    with pytest.raises(NumericError, match="share=0 is not"):
        found.holding(0)


def test_a_target_that_a_singular_kernel_does_not_reach() -> None:
    X = np.array([[1.0, 2.0], [1.0, 2.0], [0.5, -1.0]])
    K = mehler.network("relu").ntk(X)
    assert mehler.modes(K, np.array([1.0, 1.0, 0.0])).rkhs_norm2 < np.inf
    assert mehler.modes(K, np.array([1.0, -1.0, 0.0])).rkhs_norm2 == np.inf


def _asymmetric() -> Any:
    K = np.eye(3)
    K[0, 2] = 1e-3
    return K


@pytest.mark.parametrize(
    ("K", "y", "fault"),
    [
        (np.eye(3), np.ones(4), r"targets must have shape \(3,\) or \(3, outputs\), not \(4,\)"),
        (np.eye(3), [1, np.nan, 2], r"targets contains NaN or infinity, first at \(1,\)"),
        (np.eye(3), ["a", "b", "c"], "targets has dtype <U1; convert it"),
        (np.ones((3, 2)), np.ones(3), r"kernel matrix must be square, not \(3, 2\)"),
        (np.full((2, 2), np.inf), np.ones(2), r"kernel matrix contains NaN or infinity, first at \(0, 0\)"),
        (_asymmetric(), np.ones(3), "not symmetric: entries differ by 0.001, 0.001 of the largest"),
        (np.diag([2.0, 1.0, -0.5]), np.ones(3), "negative diagonal, -0.5"),
        (np.array([[1, 1.5], [1.5, 1]]), np.ones(2), "smallest eigenvalue is -0.5, .* and the largest is 2.5;"),
    ],
)
def test_bad_input(K: Any, y: Any, fault: str) -> None:
    with pytest.raises(NumericError, match=fault) as error:
        mehler.modes(K, y)
    assert "\n" not in str(error.value)
