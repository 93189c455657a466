"""mehler.ensemble on networks: against neural-tangents' own kernels, and linearised networks of finite width."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mehler

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gradient_descent.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['activation']}{c['depth']}")
def test_agrees_with_neural_tangents(case: dict[str, Any], kernel: Any) -> None:
    network = mehler.network(case["activation"], depth=case["depth"], sigma_w=1.3, sigma_b=0.2)
    X, y, Z = (np.asarray(case[name]) for name in ("X", "y", "X_test"))
    mean, covariance = mehler.ensemble(
        network, X, y, Z, t=[*GOLDEN["times"], np.inf], kernel=kernel, ridge=case["ridge"]
    )
    np.testing.assert_allclose(mean, case[f"ensemble_{kernel}"]["mean"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(covariance, case[f"ensemble_{kernel}"]["covariance"], rtol=1e-9, atol=1e-9)


def test_is_what_wide_networks_of_one_layer_do() -> None:
    """Monte Carlo: linearised ReLU networks of width 2,000, each trained to t from its own random weights."""
    rng, width, draws, t = np.random.default_rng(0), 2000, 400, 3.0
    X, Z, y = rng.standard_normal((4, 3)), rng.standard_normal((2, 3)), np.array([1.0, -1.0, 0.5, 2.0])
    both = np.vstack([X, Z]) / np.sqrt(3)
    outputs = []
    for _ in range(draws):
        W, v = rng.standard_normal((3, width)) * 2**0.5, rng.standard_normal(width) * 2**0.5
        hidden, slope = np.maximum(both @ W, 0), (both @ W > 0) * v
        tangent = (2 * hidden @ hidden.T + 2 * (slope @ slope.T) * (both @ both.T)) / width
        f0 = hidden @ v / np.sqrt(width)
        flow = mehler.GradientFlow(tangent[:4, :4], y)
        outputs.append(flow.predict(t, f0=f0[:4], K_test=tangent[4:, :4], f0_test=f0[4:])[1])
    mean, covariance = mehler.ensemble(mehler.network("relu", sigma_w=2**0.5), X, y, Z, t=t)
    found = np.cov(np.array(outputs).T)
    error = 5 * np.sqrt(np.diag(covariance) / draws)
    assert (np.abs(np.mean(outputs, axis=0) - mean) < error).all()
    np.testing.assert_allclose(found, covariance, atol=0.35 * covariance.max())
    prior = mehler.network("relu", sigma_w=2**0.5).nngp(Z)
    assert np.abs(found - prior).max() > 0.35 * covariance.max()  # a covariance that forgets the training is seen


def test_bad_input() -> None:
    network, good = mehler.network("relu"), np.eye(2)
    for X, y, Z, t, fault in (
        ([[1.0, 0.0]], np.ones(1), good, None, "X must be a NumPy array"),
        (good, np.ones(3), good, None, r"must have shape \(2,\)"),
        (good, np.array([1.0, np.nan]), good, None, "contains NaN or infinity"),
        (good, np.ones(2), np.ones((1, 3)), None, "they must be equal"),
        (good, np.ones(2), good, -1.0, "t=-1.0 has a time below 0"),
    ):
        with pytest.raises(mehler.NumericError, match=fault):
            mehler.ensemble(network, X, y, Z, t=t)


def test_bad_kernel() -> None:
    with pytest.raises(mehler.NumericError, match="kernel='rbf' is not known"):
        mehler.ensemble(mehler.network("relu"), np.eye(2), np.ones(2), np.eye(2), kernel="rbf")  # type: ignore[arg-type]
