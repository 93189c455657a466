"""Gradient flow against ODEs in parameter space, mpmath, and neural-tangents."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import mehler
from mehler.numeric.inference.flow import GradientFlow
from mehler.numeric.inference.solve import solve

Make = Callable[..., np.ndarray]
GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "gradient_descent.json").read_text(encoding="utf-8"))


def trained(
    features: np.ndarray, test: np.ndarray, y: np.ndarray, w0: np.ndarray, alpha: float, t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of the linear model of these features, its weights trained to t with decay towards w0."""

    def slope(_: float, w: np.ndarray) -> np.ndarray:
        return -features.T @ (features @ w - y) - alpha * (w - w0)

    w = solve_ivp(slope, (0, t), w0, method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    return features @ w, test @ w


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("t", [0.5, 6.0])
def test_is_the_flow_of_a_linear_model_with_weight_decay(ridge: float, t: float) -> None:
    rng = np.random.default_rng(0)
    A, B, y, w0 = (rng.standard_normal(s) for s in ((5, 9), (3, 9), (5,), (9,)))
    K = A @ A.T
    expected = trained(A, B, y, w0, ridge * np.diag(K).mean(), t)
    found = GradientFlow(K, y, ridge=ridge).predict(t, f0=A @ w0, K_test=B @ A.T, f0_test=B @ w0)
    for value, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, reference, atol=1e-9)


def test_a_decay_towards_zero_is_another_flow() -> None:
    """The check above tells the convention: with decay of the weights to 0 the outputs differ."""
    rng = np.random.default_rng(0)
    A, y, w0 = (rng.standard_normal(s) for s in ((5, 9), (5,), (9,)))
    K = A @ A.T
    found = GradientFlow(K, y, ridge=0.3).predict(6.0, f0=A @ w0)

    def slope(_: float, w: np.ndarray) -> np.ndarray:
        return -A.T @ (A @ w - y) - 0.3 * np.diag(K).mean() * w

    wrong = A @ solve_ivp(slope, (0, 6.0), w0, rtol=1e-10, atol=1e-10).y[:, -1]
    assert np.abs(found - wrong).max() > 1e-2


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['activation']}{c['depth']}")
def test_agrees_with_neural_tangents(case: dict[str, Any]) -> None:
    data = {name: np.asarray(case[name]) for name in ("X", "X_test", "y", "f0", "f0_test")}
    network = mehler.network(case["activation"], depth=case["depth"], sigma_w=1.3, sigma_b=0.2)
    flow = GradientFlow(network.ntk(data["X"]), data["y"], ridge=case["ridge"])
    train, test = flow.predict(
        GOLDEN["times"], f0=data["f0"], K_test=network.ntk(data["X_test"], data["X"]), f0_test=data["f0_test"]
    )
    np.testing.assert_allclose(test, case["flow"]["test"], rtol=1e-9, atol=1e-9)
    if case["ridge"] == 0:  # with one, the peer forgets on the training set that the target is not reached
        np.testing.assert_allclose(train, case["flow"]["train"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ridge", [1e-3, 2.0])
def test_infinity_is_kernel_ridge_regression_on_both_sets(kernel: Make, ridge: float) -> None:
    K, rng = kernel(12), np.random.default_rng(3)
    K, cross = K[:9, :9], K[9:, :9]
    y, f0, g0 = rng.standard_normal((9, 2)), rng.standard_normal((9, 2)), rng.standard_normal((3, 2))
    dual = solve(K, y - f0, ridge=ridge)
    train, test = GradientFlow(K, y, ridge=ridge).predict(f0=f0, K_test=cross, f0_test=g0)
    np.testing.assert_allclose(train, f0 + K @ dual, atol=1e-10)
    np.testing.assert_allclose(test, g0 + cross @ dual, atol=1e-10)


def test_begins_at_f0_and_ends_at_the_targets(kernel: Make) -> None:
    K, y, f0 = kernel(6), np.arange(6.0), np.ones(6)
    flow = GradientFlow(K, y)
    np.testing.assert_array_equal(flow.predict(0.0, f0=f0), f0)
    np.testing.assert_allclose(flow.predict(), y, atol=1e-12)
    np.testing.assert_allclose(flow.predict(1e30), y, atol=1e-12)


def test_short_times_keep_their_digits() -> None:
    """f_t = 1 − e^{−λt} to full relative accuracy, where 1 − exp loses all of it."""
    found = GradientFlow(np.array([[2.0]]), [1.0]).predict([1e-20, 1e-8, 1.0])
    with mpmath.workdps(50):
        exact = [float(1 - mpmath.exp(-2 * mpmath.mpf(t))) for t in (1e-20, 1e-8, 1.0)]
    np.testing.assert_allclose(np.ravel(found), exact, rtol=4e-16)


def test_axes_of_time_come_first(kernel: Make) -> None:
    t = np.array([[0.1, 1.0, 5.0], [0.0, 1e3, np.inf]])
    for shape in ((6,), (6, 2)):
        flow = GradientFlow(kernel(6), np.arange(np.prod(shape), dtype=float).reshape(shape))
        train, test = flow.predict(t, K_test=kernel(6)[:4])
        assert train.shape == (2, 3, *shape)
        assert test.shape == (2, 3, 4, *shape[1:])
        np.testing.assert_allclose(train[1, 1], flow.predict(1e3), atol=1e-12)
        np.testing.assert_allclose(train[1, 2], flow.predict(None), atol=1e-12)
        np.testing.assert_allclose(test[0, 1], train[0, 1, :4], atol=1e-12)  # the same rows


def test_a_zero_eigenvalue_has_the_limit_t() -> None:
    """K = diag(1, 0): df*/dt = −K*(f − y) by hand is ½ (1 − e^{−t}) y₁ + ½ t y₂ in the test row."""
    flow = GradientFlow(np.diag([1.0, 0.0]), [3.0, 5.0])
    train, test = flow.predict(2.0, K_test=[[0.5, 0.5]])
    np.testing.assert_allclose(train, [3 * -np.expm1(-2.0), 0.0])
    np.testing.assert_allclose(test, [0.5 * 3 * -np.expm1(-2.0) + 0.5 * 2 * 5])
    with pytest.raises(mehler.NumericError, match="grow for ever"):
        flow.predict(K_test=[[0.5, 0.5]])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("t", [10.0, 1e30, None])
def test_duplicate_rows_stay_finite_and_agree(dtype: type, t: float | None) -> None:
    """The two copies of a row are one row with the mean of their targets and twice the weight."""
    rng = np.random.default_rng(0)
    X, Z, y = rng.standard_normal((20, 4)).astype(dtype), rng.standard_normal((5, 4)).astype(dtype), np.arange(20.0)
    X[1], y[1] = X[0], 7.0
    net = mehler.network("gelu", depth=2, sigma_w=1.4, sigma_b=0.1)
    train, test = GradientFlow(net.ntk(X), y).predict(t, K_test=net.ntk(Z, X))
    root = np.ones(19)
    root[0] = np.sqrt(2)
    merged = np.concatenate([[(y[0] + y[1]) / 2], y[2:]])
    K = root[:, None] * net.ntk(X[1:].astype(float)) * root
    train2, test2 = GradientFlow(K, root * merged).predict(
        t, K_test=net.ntk(Z.astype(float), X[1:].astype(float)) * root
    )
    tolerance = 1e-8 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(train[1:], train2 / root, atol=tolerance * 20)
    np.testing.assert_allclose(test, test2, atol=tolerance * 20)


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_loss_is_that_of_the_predictions(kernel: Make, ridge: float) -> None:
    t = np.array([0.0, 0.4, 3.0, np.inf])
    for y in (np.arange(7.0), np.arange(14.0).reshape(7, 2)):
        flow, f0 = GradientFlow(kernel(7), y, ridge=ridge), np.ones_like(y)
        f = flow.predict(t, f0=f0)
        expected = 0.5 * np.sum((f - y).reshape(4, -1) ** 2, axis=1)
        np.testing.assert_allclose(flow.loss(t, f0), expected, atol=1e-12)
    assert np.ndim(flow.loss(1.0)) == 0


def test_modes_come_in_the_order_they_are_learned(kernel: Make) -> None:
    K, y = kernel(9, rank=5), np.arange(9.0)
    modes = GradientFlow(K, y).modes
    assert (np.diff(modes.eigenvalues) <= 0).all()
    np.testing.assert_allclose(modes.vectors @ modes.projections, y, atol=1e-12)
    np.testing.assert_allclose(K @ modes.vectors, modes.vectors * modes.eigenvalues, atol=1e-12)
    assert np.isinf(modes.times[5:]).all()
    np.testing.assert_allclose(modes.times[:5], 1 / np.linalg.eigvalsh(K)[:3:-1], rtol=1e-10)


def test_the_rate_bounds_every_error(kernel: Make) -> None:
    K, y = kernel(8), np.random.default_rng(5).standard_normal(8)
    flow = GradientFlow(K, y)
    assert flow.rate.slowest == pytest.approx(np.linalg.eigvalsh(K)[0])
    for t in (0.1, 3.0, 20.0):
        assert np.linalg.norm(flow.predict(t) - y) <= np.exp(-flow.rate.slowest * t) * np.linalg.norm(y) * (
            1 + 1e-9
        )
    assert f"halves every {flow.rate.half_life:.4g}" in str(flow.rate)
    assert "never learned" in str(GradientFlow(np.ones((2, 2)), [1.0, 2.0]).rate)


def test_early_stopping_finds_the_least_validation_loss() -> None:
    rng = np.random.default_rng(1)
    X, Z = rng.standard_normal((40, 3)), rng.standard_normal((30, 3))
    net = mehler.network("relu", depth=2, sigma_w=2**0.5)
    y, z = X[:, 0] + rng.standard_normal(40), Z[:, 0]
    flow, cross = GradientFlow(net.ntk(X), y), net.ntk(Z, X)
    stop = flow.early_stopping(cross, z)
    _, test = flow.predict(np.geomspace(1e-4, 1e6, 20_000), K_test=cross)
    losses = 0.5 * ((test - z) ** 2).sum(axis=1)
    assert 0 < stop.t < np.inf
    assert stop.loss <= losses.min() * (1 + 1e-9)
    assert stop.loss == pytest.approx(losses.min(), rel=1e-4)
    assert flow.early_stopping(net.ntk(X), y).loss < 1e-20  # its own training set: as late as can be


@pytest.mark.parametrize("t", [-1.0, np.nan, [1.0, -1e-9], "now", [1.0, np.nan]])
def test_bad_times(kernel: Make, t: Any) -> None:
    flow = GradientFlow(kernel(3), np.ones(3))
    for method in (flow.predict, flow.loss):
        with pytest.raises(mehler.NumericError, match="t="):
            method(t)


def test_bad_shapes(kernel: Make) -> None:
    flow = GradientFlow(kernel(3), np.ones(3))
    for arguments, fault in (
        ({"f0": np.ones(2)}, r"f0 must have shape \(3,\)"),
        ({"f0": np.ones((3, 2))}, r"f0 \(3, 2\) must have the outputs of y"),
        ({"f0_test": np.ones(2)}, "f0_test is given without K_test"),
        ({"K_test": np.ones((2, 4))}, r"must have shape \(m, 3\), m >= 1, not \(2, 4\)"),
        ({"K_test": np.ones((0, 3))}, r"must have shape \(m, 3\), m >= 1, not \(0, 3\)"),
        ({"K_test": np.full((2, 3), np.nan)}, "contains NaN or infinity"),
    ):
        with pytest.raises(mehler.NumericError, match=fault):
            flow.predict(1.0, **arguments)  # type: ignore[arg-type]
    with pytest.raises(mehler.NumericError, match="y_val"):
        flow.early_stopping(np.ones((2, 3)), np.ones(3))
    with pytest.raises(mehler.NumericError, match="not positive semidefinite"):
        GradientFlow([[0.0, 1.0], [1.0, 0.0]], np.ones(2))
