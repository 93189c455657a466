"""Solves with kernel matrices: against equations, mpmath, pseudo-inverses, and multivariate normal densities."""

import warnings
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import mehler
from mehler.numeric.inference.solve import NearSingularWarning, log_marginal_likelihood, solve

Make = Callable[..., np.ndarray]


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 1.0])
@pytest.mark.parametrize("outputs", [(), (3,)])
def test_solves_the_ridge_equations(kernel: Make, ridge: float, outputs: tuple[int, ...]) -> None:
    K, y = kernel(20), np.random.default_rng(1).standard_normal((20, *outputs))
    before = K.copy()
    x = solve(K, y, ridge=ridge)
    np.testing.assert_allclose(K @ x + ridge * np.diag(K).mean() * x, y, atol=1e-10)
    assert np.array_equal(K, before)


def test_agrees_with_sixty_digits(kernel: Make) -> None:
    K, y = kernel(8), np.arange(8.0)
    with mpmath.workdps(60):
        exact = mpmath.lu_solve(mpmath.matrix(K.tolist()), mpmath.matrix(y.tolist()))
    np.testing.assert_allclose(solve(K, y), [float(v) for v in exact], rtol=1e-10)


def test_float32_is_solved_in_float64(kernel: Make) -> None:
    K, y = kernel(30).astype(np.float32), np.ones(30, np.float32)
    x = solve(K, y)
    assert x.dtype == np.float64
    np.testing.assert_allclose(x, np.linalg.solve(K.astype(float), y.astype(float)), rtol=1e-9)


def test_duplicate_rows_have_the_solution_of_minimum_norm(kernel: Make) -> None:
    K = kernel(10)
    K, y = K[np.ix_([0, 0, *range(1, 10)], [0, 0, *range(1, 10)])], np.arange(11.0)
    with pytest.warns(NearSingularWarning, match=r"condition number is over \de\+\d+.*ridge=\d"):
        x = solve(K, y)
    np.testing.assert_allclose(x, np.linalg.pinv(K, hermitian=True) @ y, rtol=1e-9)
    assert x[0] == pytest.approx(x[1], rel=1e-9)


@pytest.mark.parametrize("rows", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_near_duplicates(rows: int) -> None:
    """An ill-conditioned kernel: finite, and the targets that it can reach are reached."""
    points = np.sort(np.random.default_rng(0).random(rows))
    K = np.exp(-((points[:, None] - points[None, :]) ** 2) * 8)
    y = np.sin(3 * points)
    with pytest.warns(NearSingularWarning):
        x = solve(K, y)
    np.testing.assert_allclose(K @ x, y, atol=1e-6)


def test_a_zero_kernel_has_the_zero_solution() -> None:
    with pytest.warns(NearSingularWarning):
        assert not solve(np.zeros((3, 3)), np.ones(3)).any()


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
def test_scales_with_the_kernel(kernel: Make, scale: float) -> None:
    K, y = kernel(6), np.arange(6.0)
    np.testing.assert_allclose(solve(scale * K, y, ridge=1e-3) * scale, solve(K, y, ridge=1e-3), rtol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 10.0])
def test_an_indefinite_matrix_is_refused_whatever_the_ridge(kernel: Make, ridge: float) -> None:
    K = kernel(12)
    values, vectors = np.linalg.eigh(K)
    values[0] = -1e-4
    with pytest.raises(mehler.NumericError, match=r"smallest eigenvalue is -0.0001, where rounding explains -\d"):
        solve((vectors * values) @ vectors.T, np.ones(12), ridge=ridge)


def _with(value: float, *places: tuple[int, int]) -> np.ndarray:
    K = np.eye(3)
    for place in places:
        K[place] = value
    return K


@pytest.mark.parametrize(
    ("K", "y", "fault"),
    [
        (np.ones((3, 4)), np.ones(3), "must be square"),
        (np.ones(3), np.ones(3), "must be square"),
        (np.eye(3), np.ones(2), r"must have shape \(3,\) or \(3, outputs\), not \(2,\)"),
        (np.ones((0, 0)), np.ones(0), "there is no row to fit"),
        (np.eye(3), np.ones((3, 0)), "there is no row to fit"),
        (np.eye(3), np.ones((3, 1, 1)), "must have shape"),
        (_with(np.nan, (0, 0)), np.ones(3), "the kernel matrix contains NaN or infinity"),
        (_with(np.inf, (0, 1), (1, 0)), np.ones(3), "the kernel matrix contains NaN or infinity"),
        (np.eye(3), np.array([1, np.nan, 1]), "the array of targets contains NaN or infinity"),
        (_with(1e-3, (0, 1)), np.ones(3), "not symmetric: entries differ by 0.001, 0.001 of the largest"),
        (1e-200 * _with(1e-3, (0, 1)), np.ones(3), "not symmetric"),
        (np.tri(3, dtype=np.float32), np.ones(3), "not symmetric"),
        (-np.eye(3), np.ones(3), "negative diagonal, -1"),
        (np.eye(3, dtype=object), np.ones(3), "the kernel matrix has dtype object; convert it"),
        (np.eye(3), np.array(["a", "b", "c"]), "the array of targets has dtype <U1; convert it"),
    ],
)
def test_what_cannot_be_solved_is_one_line(K: Any, y: Any, fault: str) -> None:
    with pytest.raises(mehler.NumericError, match=fault) as error:
        solve(K, y)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ridge", [-1e-9, float("nan"), float("inf"), "1", True, None])
def test_bad_ridge(ridge: Any) -> None:
    with pytest.raises(mehler.NumericError, match=r"ridge=.* must be a finite number >= 0"):
        solve(np.eye(2), np.ones(2), ridge=ridge)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_matrix_may_be_asymmetric_by_its_rounding(dtype: type) -> None:
    K = np.exp(-np.abs(np.subtract.outer(np.arange(9), np.arange(9)))).astype(dtype)
    K[0, 1] *= dtype(1 + 3 * np.finfo(dtype).eps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(solve(K, np.ones(9))).all()


@pytest.mark.parametrize("kind", [int, bool, np.uint8, np.float32, list])
def test_whole_numbers_are_targets_and_kernels(kind: Any) -> None:
    K, y = (np.array(values).astype(kind) if kind is not list else values for values in ([[1, 0], [0, 1]], [1, 0]))
    np.testing.assert_allclose(solve(K, y, ridge=1.0), [0.5, 0])


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_marginal_likelihood_is_a_normal_density(kernel: Make, ridge: float) -> None:
    K, y = kernel(7), np.random.default_rng(2).standard_normal((7, 2))
    covariance = K + ridge * np.diag(K).mean() * np.eye(7)
    expected = sum(multivariate_normal(np.zeros(7), covariance).logpdf(column) for column in y.T)
    assert log_marginal_likelihood(K, y, ridge=ridge) == pytest.approx(expected, rel=1e-10)


def test_a_singular_kernel_has_no_likelihood() -> None:
    with pytest.raises(mehler.NumericError, match="has no likelihood; give a ridge"):
        log_marginal_likelihood(np.ones((3, 3)), np.ones(3))
