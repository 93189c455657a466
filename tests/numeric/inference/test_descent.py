"""Steps of gradient descent against a loop in parameter space; another loss against its own parameters' ODE."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import softmax

import mehler
from mehler.numeric.inference.descent import loss_flow
from mehler.numeric.inference.flow import GradientFlow

Make = Callable[..., np.ndarray]


def loop(
    A: np.ndarray, y: np.ndarray, w0: np.ndarray, alpha: float, rate: float, momentum: float, steps: int
) -> np.ndarray:
    """Weights of a linear model after steps of the heavy ball."""
    before, w = w0, w0
    for _ in range(steps):
        gradient = A.T @ (A @ w - y) + alpha * (w - w0)
        before, w = w, w - rate * gradient + momentum * (w - before)
    return w


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 1e-3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("rows", [4, 9])
def test_is_the_loop(ridge: float, momentum: float, part: float, rows: int) -> None:
    rng = np.random.default_rng(0)
    A, B, y, w0 = (rng.standard_normal(s) for s in ((rows, 6), (3, 6), (rows,), (6,)))  # 9 rows: zero eigenvalues
    K = A @ A.T
    flow = GradientFlow(K, y, ridge=ridge)
    rate = part * flow.max_learning_rate(momentum)
    steps = [0, 1, 2, 7, 100]
    train, test = flow.descend(steps, rate, momentum=momentum, f0=A @ w0, K_test=B @ A.T, f0_test=B @ w0)
    for row, k in enumerate(steps):
        w = loop(A, y, w0, ridge * np.diag(K).mean(), rate, momentum, k)
        np.testing.assert_allclose(train[row], A @ w, atol=1e-9)
        np.testing.assert_allclose(test[row], B @ w, atol=1e-9)


@pytest.mark.parametrize("momentum", [0.25, 0.81])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_double_root(momentum: float, side: int) -> None:
    """ημ = (1 ∓ √m)², where the two roots are one."""
    mu = (1 + side * momentum**0.5) ** 2
    found = GradientFlow([[mu]], [1.0]).descend(np.arange(40), 1.0, momentum=momentum)
    expected = [
        mu**0.5 * loop(np.array([[mu**0.5]]), np.ones(1), np.zeros(1), 0.0, 1.0, momentum, k)[0] for k in range(40)
    ]
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-7)


def test_small_steps_are_the_flow(kernel: Make) -> None:
    flow = GradientFlow(kernel(5), np.arange(5.0))
    np.testing.assert_allclose(flow.descend(10**8, 1e-8), flow.predict(1.0), atol=1e-6)
    np.testing.assert_allclose(flow.descend(10**8, 1e-9, momentum=0.9), flow.predict(1.0), atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_the_stable_rate_is_where_the_loop_turns(kernel: Make, momentum: float) -> None:
    K = kernel(5)
    A, y = np.linalg.cholesky(K), np.arange(5.0)
    stable = GradientFlow(K, y).max_learning_rate(momentum)
    below, above = (
        np.abs(loop(A, y, np.zeros(5), 0.0, factor * stable, momentum, 2000)).max() for factor in (0.98, 1.02)
    )
    assert below < 1e3
    assert above > 1e9
    with pytest.raises(mehler.NumericError, match=f"is not stable; use a number > 0 up to {stable:.6g}"):
        GradientFlow(K, y).descend(3, 1.02 * stable, momentum=momentum)


@pytest.mark.parametrize(
    ("steps", "arguments", "fault"),
    [
        (-1, {}, "steps=-1 must be integers >= 0"),
        (1.5, {}, "steps=1.5 must be integers >= 0"),
        (1, {"momentum": 1.0}, "momentum=1.0 must be a number >= 0 and < 1"),
        (1, {"momentum": float("nan")}, "momentum=nan must be"),
    ],
)
def test_bad_steps(steps: Any, arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(mehler.NumericError, match=fault):
        GradientFlow(np.eye(2), np.ones(2)).descend(steps, 0.1, **arguments)


def test_cross_entropy_is_that_of_a_linear_model() -> None:
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((6, 8)), rng.standard_normal((2, 8))
    y = np.eye(3)[[0, 1, 2, 0, 1, 2]]

    def slope(_: float, w: np.ndarray) -> np.ndarray:
        return -np.ravel(A.T @ (softmax(A @ w.reshape(8, 3), axis=1) - y))

    w = solve_ivp(slope, (0, 4.0), np.zeros(24), method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1].reshape(8, 3)
    train, test = loss_flow(A @ A.T, y, [0.0, 4.0], K_test=B @ A.T)
    assert not train[0].any()
    np.testing.assert_allclose(train[1], A @ w, atol=1e-6)
    np.testing.assert_allclose(test[1], B @ w, atol=1e-6)


def test_the_square_loss_is_the_closed_form(kernel: Make) -> None:
    K, y = kernel(6), np.arange(12.0).reshape(6, 2)
    f0 = np.ones((6, 2))
    found = loss_flow(K, y, [2.0, 0.5], gradient=lambda f, y: f - y, f0=f0)
    np.testing.assert_allclose(found, GradientFlow(K, y).predict([2.0, 0.5], f0=f0), atol=1e-6)


def test_another_loss_has_no_infinity(kernel: Make) -> None:
    for y, t, fault in ((np.eye(3), None, "must be finite here"), (np.ones(3), 1.0, r"use y\[:, None\]")):
        with pytest.raises(mehler.NumericError, match=fault):
            loss_flow(kernel(3), y, t)
