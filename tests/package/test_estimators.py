"""The estimators under scikit-learn's own checks, and against the equations they solve."""

import pickle
import tracemalloc
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mehler
from mehler.numeric.estimators import machine


@parametrize_with_checks([mehler.NTKRegressor(target="numpy"), mehler.NTKClassifier(target="numpy")])
def test_scikit_learn_accepts(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((30, 4)), rng.standard_normal((30, 3)), rng.standard_normal((9, 4))


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("ridge", [1e-6, 1e-2, 1.0])
def test_solves_the_ridge_equations(data: tuple[np.ndarray, ...], kernel: Any, outputs: int, ridge: float) -> None:
    X, y, Z = data
    y = y[:, 0] if outputs == 1 else y
    net = mehler.network("gelu", depth=2, sigma_w=1.4, sigma_b=0.1)
    K = net.gram(kernel, X)
    expected = net.gram(kernel, Z, X) @ np.linalg.solve(K + ridge * np.diag(K).mean() * np.eye(30), y)
    model = mehler.NTKRegressor("gelu", depth=2, sigma_w=1.4, sigma_b=0.1, kernel=kernel, ridge=ridge)
    np.testing.assert_allclose(model.fit(X, y).predict(Z), expected, rtol=1e-9, atol=1e-10)


def test_parameters_are_those_that_are_documented() -> None:
    names = {
        "activation": "relu", "depth": 3, "sigma_w": 2**0.5, "sigma_b": 0.0, "kernel": "ntk", "ridge": 1e-6,
        "target": "auto", "threads": None,
    }  # fmt: skip
    for model in (mehler.NTKRegressor(), mehler.NTKClassifier()):
        assert model.get_params() == names


def test_deviations_are_those_of_a_gaussian_process(data: tuple[np.ndarray, ...]) -> None:
    """scikit-learn's, with the same kernel and noise, up to the amplitude, and of an observation."""
    X, y, Z = data
    for weight in (None, np.ones(30)):
        model = mehler.NTKRegressor("erf", depth=2, sigma_w=1.4, sigma_b=0.2, ridge=1e-2)
        mean, deviation = model.fit(X, y, sample_weight=weight).predict(Z, return_std=True)
        kernel = mehler.NetworkKernel("erf", 2, 1.4, 0.2, sigma_w_bounds="fixed", sigma_b_bounds="fixed")
        noise = 1e-2 * kernel.diag(X).mean()
        peer = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(X, y)
        expected, spread = peer.predict(Z, return_std=True)
        np.testing.assert_allclose(mean, expected, atol=1e-9)
        K = kernel(X) + noise * np.eye(30)
        amplitude = np.diag(y.T @ np.linalg.solve(K, y)) / 30
        np.testing.assert_allclose(deviation, np.sqrt((spread**2 + noise) * amplitude), rtol=1e-6)


@pytest.mark.parametrize("sigma_b", [0.0, 0.3])
@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("activation", ["relu", "erf", "tanh"])
def test_the_diagonal_is_that_of_the_gram_matrix(activation: str, kernel: Any, sigma_b: float) -> None:
    X = np.random.default_rng(0).standard_normal((6, 3))
    function = mehler.NetworkKernel(activation, 3, 1.3, sigma_b, kernel)
    np.testing.assert_allclose(function.diag(X), np.diag(function(X)), rtol=1e-12)


def test_a_weight_of_two_is_a_row_given_twice(data: tuple[np.ndarray, ...]) -> None:
    X, y, Z = data
    weights = np.random.default_rng(1).integers(0, 3, 30)
    repeated = np.repeat(np.arange(30), weights)
    weighted = mehler.NTKRegressor(ridge=1e-2).fit(X, y, sample_weight=weights).predict(Z, return_std=True)
    plain = mehler.NTKRegressor(ridge=1e-2).fit(X[repeated], y[repeated]).predict(Z, return_std=True)
    np.testing.assert_allclose(weighted[0], plain[0], rtol=1e-8)
    unscaled = [d / np.sqrt(s) for d, s in ((weighted[1], 1 / 30), (plain[1], 1 / len(repeated)))]
    np.testing.assert_allclose(unscaled[0], unscaled[1], rtol=1e-8)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_a_zero_row_is_the_limit_of_short_rows(activation: str) -> None:
    X = np.random.default_rng(0).standard_normal((5, 3))
    for kernel in ("ntk", "nngp"):
        function = mehler.NetworkKernel(activation, 2, 1.2, 0.0, kernel)
        rows, limit = (np.vstack([X, scale * X[:1]]) for scale in (0.0, 1e-9))
        np.testing.assert_allclose(function(rows), function(limit), atol=1e-7)
        np.testing.assert_allclose(function.diag(rows), np.diag(function(rows)), rtol=1e-10, atol=1e-20)


def test_classes_are_regressed_on_centred_targets() -> None:
    X, labels = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[labels]
    model = mehler.NTKClassifier(ridge=1e-2).fit(X, names)
    scores = model.decision_function(X)
    peer = mehler.NTKRegressor(ridge=1e-2).fit(X, np.eye(3)[labels] - 1 / 3)
    np.testing.assert_allclose(scores, peer.predict(X), atol=1e-10)
    assert (model.predict(X) == model.classes_[scores.argmax(axis=1)]).all()
    assert model.score(X, names) > 0.95
    two = mehler.NTKClassifier(ridge=1e-2).fit(X[:100], names[:100])
    signs = mehler.NTKRegressor(ridge=1e-2).fit(X[:100], 2.0 * labels[:100] - 1).predict(X)
    np.testing.assert_allclose(two.decision_function(X), signs, atol=1e-10)


def test_pipelines_grids_and_processes() -> None:
    X, labels = load_iris(return_X_y=True)
    grid = {
        "activation": ["relu", "erf"], "depth": [1, 2], "sigma_w": [1.0, 1.5], "sigma_b": [0.0, 0.1],
        "kernel": ["ntk", "nngp"], "ridge": [1e-3, 1.0], "target": ["numpy"], "threads": [1],
    }  # fmt: skip
    model = make_pipeline(StandardScaler(), mehler.NTKClassifier())
    assert set(grid) == set(mehler.NTKClassifier().get_params())
    search = GridSearchCV(model, {f"ntkclassifier__{name}": values for name, values in grid.items()}, cv=2)
    search.fit(X[::3], labels[::3])
    assert search.best_score_ > 0.9
    with joblib.parallel_config("threading"):
        scores = cross_val_score(search.best_estimator_, X, labels, cv=2, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(search.best_estimator_, X, labels, cv=2))


def test_a_pickle_predicts_the_same(data: tuple[np.ndarray, ...]) -> None:
    X, y, Z = data
    model = mehler.NTKRegressor().fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(Z), model.predict(Z))


def test_frames_give_feature_names(data: tuple[np.ndarray, ...]) -> None:
    pandas = pytest.importorskip("pandas")
    X, y, Z = data
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    model = mehler.NTKRegressor().fit(frame, pandas.Series(y[:, 0]))
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(pandas.DataFrame(Z, columns=["a", "b", "c", "e"]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prediction_in_tiles_is_the_same_and_bounded(monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    rng = np.random.default_rng(0)
    X, y, Z = rng.standard_normal((100, 5)), rng.standard_normal(100), rng.standard_normal((4_000, 5))
    model = mehler.NTKRegressor(depth=1, target="numpy", threads=1, ridge=1e-2).fit(X.astype(dtype), y)
    whole = model.predict(Z[:1000])
    monkeypatch.setattr(machine, "ENTRIES", 100 * 256)
    np.testing.assert_allclose(model.predict(Z[:1000]), whole, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-11)
    peaks = []
    for rows in (1000, 4000):
        tracemalloc.start()
        model.predict(Z[:rows])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 3000 * 100 * np.dtype(dtype).itemsize / 4  # of the kernel of the further rows


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"ridge": -1.0}, "ridge=-1.0 must be a finite number >= 0"),
        ({"ridge": float("nan")}, "ridge=nan must be"),
        ({"kernel": "rbf"}, "kernel='rbf' is not known"),
        ({"depth": -1}, "depth=-1 must be an integer >= 0"),
        ({"sigma_w": 0.0}, "sigma_w=0.0 must be a finite number > 0"),
        ({"threads": 0}, "threads=0 must be an integer >= 1"),
        ({"target": "gpu"}, "target 'gpu' is not known"),
        ({"activation": "x +"}, "x +"),
    ],
)
def test_bad_parameters_are_named_at_the_fit(parameters: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault.replace("+", r"\+")):
        mehler.NTKRegressor(**parameters).fit(np.eye(3), np.ones(3))


def test_bad_targets_and_weights() -> None:
    for y, fault in ((np.ones(2), "inconsistent numbers of samples"), (np.array([1, np.nan, 1]), "NaN")):
        with pytest.raises(ValueError, match=fault):
            mehler.NTKRegressor().fit(np.eye(3), y)
    with pytest.raises(mehler.NumericError, match="at least two classes"):
        mehler.NTKClassifier().fit(np.eye(3), ["a"] * 3)
    with pytest.raises(ValueError, match="all sample weights are 0|at least one non-zero"):
        mehler.NTKRegressor().fit(np.eye(3), np.ones(3), sample_weight=np.zeros(3))


def numerical_gradient(kernel: Any, X: np.ndarray) -> np.ndarray:
    """Central differences of second order, Richardson-extrapolated, which shares nothing with the stencil."""
    theta, columns = kernel.theta, []
    for i in range(len(theta)):
        slopes = []
        for step in (2e-3, 1e-3):
            ends = [kernel.clone_with_theta(theta + side * step * np.eye(len(theta))[i])(X) for side in (1, -1)]
            slopes.append((ends[0] - ends[1]) / (2 * step))
        columns.append((4 * slopes[1] - slopes[0]) / 3)
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("depth", [0, 1, 3, 10])
@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_the_gradient_agrees_with_central_differences(activation: str, kernel: str, depth: int) -> None:
    X = np.random.default_rng(0).standard_normal((5, 3))
    function = mehler.NetworkKernel(activation, depth, 1.2, 0.3, kernel)
    K, gradient = function(X, eval_gradient=True)
    assert gradient.shape == (5, 5, 2)
    expected = numerical_gradient(function, X)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max(), rtol=1e-6)
    np.testing.assert_array_equal(K, function(X))


def test_the_gradient_of_a_homogeneous_network_is_known() -> None:
    """Without a bias, ReLU's kernels are proportional to σ_w^{2(depth + 1)}: ∂K/∂log σ_w = 2(depth + 1)K."""
    X = np.random.default_rng(0).standard_normal((5, 3))
    for depth in (1, 3, 20):
        K, gradient = mehler.NetworkKernel("relu", depth)(X, eval_gradient=True)
        assert gradient.shape == (5, 5, 1)
        np.testing.assert_allclose(gradient[..., 0], 2 * (depth + 1) * K, rtol=1e-9)
        assert np.abs(gradient[..., 0] - 2 * depth * K).max() > 1e-2  # one layer too few is seen


def test_hyperparameters() -> None:
    kernel = mehler.NetworkKernel("relu", 2, 1.5, 0.2)
    np.testing.assert_allclose(kernel.theta, np.log([0.2, 1.5]))  # scikit-learn's order is that of the names
    fixed = mehler.NetworkKernel("relu", 2, 1.5, 0.2, sigma_w_bounds="fixed")
    np.testing.assert_allclose(fixed.theta, np.log([0.2]))
    assert mehler.NetworkKernel("relu", 2, 1.5).theta.shape == (1,)
    assert isinstance(kernel, Kernel)
    assert not kernel.is_stationary()
    K, gradient = mehler.NetworkKernel(sigma_w_bounds="fixed")(np.eye(3), eval_gradient=True)
    assert gradient.shape == (*K.shape, 0)
    with pytest.raises(mehler.NumericError, match="leave Y out"):
        kernel(np.eye(3), np.eye(3), eval_gradient=True)


@pytest.mark.filterwarnings("ignore:The optimal value found")
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_the_optimiser_raises_the_likelihood(activation: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((25, 2))
    y = np.sin(2 * X[:, 0]) + 0.1 * rng.standard_normal(25)
    start = mehler.NetworkKernel(activation, 2, 0.6, 0.5, "nngp")
    model = GaussianProcessRegressor(start, alpha=1e-2).fit(X, y)
    before = model.log_marginal_likelihood(start.theta)
    assert model.log_marginal_likelihood_value_ > before + 1
    K = start(X) + 1e-2 * np.eye(25)
    assert before == pytest.approx(mehler.log_marginal_likelihood(K, y), rel=1e-9)
