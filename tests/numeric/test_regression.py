from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mehler
from mehler.numeric.regression import KernelRegression, accuracy, one_hot


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K(X, X), K(X_new, X) and targets."""
    rng = np.random.default_rng(0)
    X, new = rng.standard_normal((30, 4)), rng.standard_normal((9, 4))
    net = mehler.network("gelu", depth=2, sigma_w=1.4, sigma_b=0.1)
    return net.ntk(X), net.ntk(new, X), rng.standard_normal((30, 3))


@pytest.mark.parametrize("ridge", [1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("outputs", [1, 3])
def test_solves_the_ridge_equations(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], ridge: float, outputs: int
) -> None:
    K, cross, Y = problem
    y = Y[:, 0] if outputs == 1 else Y
    shift = ridge * np.mean(np.diag(K)) * np.eye(len(K))
    expected = cross @ np.linalg.solve(K + shift, y)
    prediction = KernelRegression(ridge).fit(K, y).predict(cross)
    assert prediction.shape == expected.shape
    np.testing.assert_allclose(prediction, expected, rtol=1e-9, atol=1e-11)


def test_interpolates_without_a_ridge(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    K, _, y = problem
    np.testing.assert_allclose(KernelRegression(0).fit(K, y).predict(K), y, atol=1e-9)


def test_leaves_the_gram_matrix_as_it_was(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    K, _, y = problem
    before = K.copy()
    KernelRegression().fit(K, y)
    assert np.array_equal(K, before)


@settings(deadline=None, max_examples=60)
@given(exponent=st.integers(-300, 300))
def test_the_ridge_is_relative(exponent: int, problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """A power of 2 is exact, so that nothing but the ridge could change the prediction."""
    K, cross, y = problem
    scale = 2.0**exponent
    scaled = KernelRegression(1e-3).fit(scale * K, y).predict(scale * cross)
    np.testing.assert_allclose(scaled, KernelRegression(1e-3).fit(K, y).predict(cross), rtol=1e-9)


@pytest.mark.parametrize("ridge", [-1e-9, float("nan"), float("inf")])
def test_bad_ridge(ridge: float) -> None:
    with pytest.raises(mehler.NumericError, match=r"ridge=.* must be a finite number >= 0"):
        KernelRegression(ridge)


@pytest.mark.parametrize(("shape", "targets"), [((3, 4), 3), ((3,), 3), ((3, 3), 2), ((2, 3, 3), 2)])
def test_the_gram_matrix_must_be_square_and_fit_the_targets(shape: tuple[int, ...], targets: int) -> None:
    with pytest.raises(mehler.NumericError, match="must be square with a row for each of"):
        KernelRegression().fit(np.ones(shape), np.ones(targets))


def _with(value: float, *places: tuple[int, int]) -> np.ndarray:
    K = np.eye(3)
    for place in places:
        K[place] = value
    return K


@pytest.mark.parametrize(
    ("gram", "y", "fault"),
    [
        (np.ones((0, 0)), np.ones(0), "there is no row to fit"),
        (np.eye(3), np.ones((3, 0)), "there is no row to fit"),
        (np.eye(3), np.array(1.0), "must be square with a row for each of the targets"),
        (np.eye(3), np.ones((3, 1, 1)), "must be square with a row for each of the targets"),
        (_with(np.nan, (0, 0)), np.ones(3), "the Gram matrix contains NaN or infinity"),
        (_with(np.inf, (0, 1), (1, 0)), np.ones(3), "the Gram matrix contains NaN or infinity"),
        (np.eye(3), np.array([1, np.nan, 1]), "the array of targets contains NaN or infinity"),
        (_with(1e-3, (0, 1)), np.ones(3), "the Gram matrix is not symmetric"),
        (1e-200 * _with(1e-3, (0, 1)), np.ones(3), "the Gram matrix is not symmetric"),
        (np.tri(3, dtype=np.float32), np.ones(3), "the Gram matrix is not symmetric"),
        (-np.eye(3), np.ones(3), "the Gram matrix has a negative diagonal"),
        (np.eye(3, dtype=object), np.ones(3), "the Gram matrix has dtype object; convert it"),
        (np.eye(3), np.array(["a", "b", "c"]), "the array of targets has dtype <U1; convert it"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(gram: np.ndarray, y: np.ndarray, fault: str) -> None:
    with pytest.raises(mehler.NumericError, match=fault):
        KernelRegression().fit(gram, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_matrix_may_be_asymmetric_by_its_rounding(dtype: type) -> None:
    K = np.exp(-np.abs(np.subtract.outer(np.arange(9), np.arange(9)))).astype(dtype)
    K[0, 1] *= dtype(1 + 3 * np.finfo(dtype).eps)
    assert np.isfinite(KernelRegression().fit(K, np.ones(9)).predict(K)).all()


@pytest.mark.parametrize("kind", [int, bool, np.uint8, np.float32, list])
def test_whole_numbers_are_targets_and_kernels(kind: Any) -> None:
    K, y = (np.array(values).astype(kind) if kind is not list else values for values in ([[1, 0], [0, 1]], [1, 0]))
    np.testing.assert_allclose(KernelRegression(1.0).fit(K, y).predict(K), [0.5, 0])


def test_no_prediction_before_the_fit() -> None:
    with pytest.raises(mehler.NumericError, match="call fit first"):
        KernelRegression().predict(np.eye(3))


@pytest.mark.parametrize(
    ("cross", "fault"),
    [
        (np.ones((2, 4)), r"must have shape \(m, 3\), m >= 1, not \(2, 4\)"),
        (np.ones(3), r"must have shape \(m, 3\), m >= 1, not \(3,\)"),
        (np.ones((0, 3)), r"must have shape \(m, 3\), m >= 1, not \(0, 3\)"),
        (np.full((2, 3), np.nan), "contains NaN or infinity"),
    ],
)
def test_what_cannot_be_predicted_from_is_one_line(cross: np.ndarray, fault: str) -> None:
    with pytest.raises(mehler.NumericError, match=fault):
        KernelRegression().fit(np.eye(3), np.ones(3)).predict(cross)


def test_one_hot_targets_are_centred() -> None:
    targets = one_hot(np.array([2, 0]), 4)
    np.testing.assert_array_equal(targets, [[-0.25, -0.25, 0.75, -0.25], [0.75, -0.25, -0.25, -0.25]])


def test_accuracy_is_the_share_of_largest_outputs_at_the_label() -> None:
    prediction = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.4], [1.0, 0.0]])
    assert accuracy(prediction, np.array([1, 0, 0, 0])) == 0.75
