"""Displays draw what the flow and the estimators say."""

from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest

import mehler

matplotlib.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def flow() -> mehler.GradientFlow:
    X = np.random.default_rng(0).standard_normal((12, 3))
    return mehler.GradientFlow(mehler.network("relu", depth=2, sigma_w=2**0.5).ntk(X), X[:, 0])


def test_loss_against_time(flow: mehler.GradientFlow) -> None:
    _, ax = plt.subplots()
    display = mehler.LossDisplay.from_flow(flow, t=[0.1, 1.0, 10.0], ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    np.testing.assert_allclose(ax.lines[0].get_xydata(), np.column_stack([[0.1, 1, 10], flow.loss([0.1, 1, 10])]))


def test_validation_loss(flow: mehler.GradientFlow) -> None:
    K = flow.kernel.matrix[:5] * 0.5
    display = mehler.LossDisplay.from_flow(flow, K_val=K, y_val=np.ones(5))
    assert display.validation is not None
    at = display.t[7]
    expected = 0.5 * np.sum((flow.predict(at, K_test=K)[1] - 1) ** 2)
    assert display.validation[7] == pytest.approx(expected)
    assert len(display.ax_.lines) == 3


def test_modes_against_time(flow: mehler.GradientFlow) -> None:
    display = mehler.LearningDisplay.from_flow(flow, count=4)
    lines = display.ax_.lines
    assert len(lines) == 4
    np.testing.assert_allclose(lines[0].get_ydata(), np.exp(-flow.eigenvalues[0] * display.t))
    np.testing.assert_allclose(lines[-1].get_ydata(), np.exp(-flow.eigenvalues[-1] * display.t))
    with pytest.raises(mehler.NumericError, match="learns nothing"):
        mehler.LearningDisplay.from_flow(mehler.GradientFlow(np.zeros((2, 2)), np.ones(2)))


def test_bands() -> None:
    X = np.linspace(-1, 1, 9)[:, None]
    y = np.sin(3 * X[:, 0])
    model = mehler.NTKRegressor(sigma_b=0.3, ridge=1e-3).fit(X, y)
    display = mehler.PosteriorDisplay.from_estimator(model, X, y)
    mean, deviation = model.predict(display.x[:, None], return_std=True)
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), mean)
    low = display.ax_.collections[0].get_paths()[0].vertices[:, 1].min()
    assert low == pytest.approx((mean - 2 * deviation).min())
    with pytest.raises(mehler.NumericError, match="a band is drawn over one column"):
        mehler.PosteriorDisplay.from_estimator(model, np.ones((3, 2)))
    other = mehler.PosteriorDisplay.from_moments(X[:, 0], y, 4 * np.eye(9), X[:, 0], y)
    np.testing.assert_array_equal(other.deviation, np.full(9, 2.0))
