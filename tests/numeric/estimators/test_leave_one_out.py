"""Leave-one-out in closed form against leaving rows out."""

from typing import Any

import numpy as np
import pytest

import mehler
from mehler.numeric.estimators.leave_one_out import leave_one_out


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_is_what_leaving_each_row_out_gives(outputs: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((15, 6)), rng.standard_normal((15, *outputs))
    K, ridges = A @ A.T, [1e-3, 0.1, 3.0]
    found = leave_one_out(K, y, ridges)
    errors = []
    for ridge in ridges:
        alpha, total = ridge * np.diag(K).mean(), 0.0
        for i in range(15):
            rest = np.arange(15) != i
            left = K[i, rest] @ np.linalg.solve(K[np.ix_(rest, rest)] + alpha * np.eye(14), y[rest])
            total += float(np.sum((y[i] - left) ** 2))
            if ridge == found.ridge:
                np.testing.assert_allclose(found.predictions[i], left, atol=1e-9)
        errors.append(total / y.size)
    np.testing.assert_allclose(found.errors, errors, rtol=1e-8)
    assert found.ridge == ridges[int(np.argmin(errors))]


def test_noise_needs_a_ridge() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    K = mehler.network("relu", depth=2, sigma_w=2**0.5).ntk(X)
    clean, noisy = (leave_one_out(K, X[:, 0] + s * rng.standard_normal(60)).ridge for s in (0.0, 3.0))
    assert clean < 1e-2 < noisy


def test_duplicates_without_a_ridge_are_finite() -> None:
    K = np.ones((4, 4)) + np.kron(np.eye(2), np.ones((2, 2)))
    assert np.isfinite(leave_one_out(K, np.arange(4.0), [0.0, 1e-3]).errors).all()


@pytest.mark.parametrize("ridges", [[-1.0], [float("nan")]])
def test_bad_ridges(ridges: Any) -> None:
    with pytest.raises(mehler.NumericError, match="must be a finite number >= 0"):
        leave_one_out(np.eye(3), np.ones(3), ridges)
