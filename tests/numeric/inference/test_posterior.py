"""Ensembles against sampled linear models and neural-tangents; posteriors against conditioning."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mehler
from mehler.numeric.inference.flow import GradientFlow
from mehler.numeric.inference.posterior import Blocks, gaussian_process, trained_ensemble

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "gradient_descent.json").read_text(encoding="utf-8"))
TIMES = [*GOLDEN["times"], np.inf]


def blocks(case: dict[str, Any], kernel: str) -> Blocks:
    return Blocks(*(np.asarray(case[kernel][part]) for part in ("train", "cross", "test")))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['activation']}{c['depth']}")
def test_agrees_with_neural_tangents(case: dict[str, Any]) -> None:
    ntk, nngp, ridge = blocks(case, "ntk"), blocks(case, "nngp"), case["ridge"]
    for found, name in (
        (trained_ensemble(ntk, nngp, case["y"], t=TIMES, ridge=ridge), "ntk"),
        (gaussian_process(nngp, case["y"], t=TIMES, ridge=ridge), "nngp"),
    ):
        expected = case[f"ensemble_{name}"]
        np.testing.assert_allclose(found[0], expected["mean"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[1], expected["covariance"], rtol=1e-9, atol=1e-9)
    for found, name in (
        (trained_ensemble(ntk, nngp, case["y"], ridge=ridge), "ntk"),
        (gaussian_process(nngp, case["y"], ridge=ridge), "nngp"),
    ):
        np.testing.assert_allclose(found[0], case[f"inference_{name}"]["mean"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[1], case[f"inference_{name}"]["covariance"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", [0.0, 0.7, None])
def test_is_the_spread_of_trained_models(t: float | None) -> None:
    """f₀ is drawn with covariance K, each draw is trained by the flow: an identity in the second moments."""
    rng = np.random.default_rng(0)
    n, m = 6, 4
    A, C = rng.standard_normal((n + m, 20)), rng.standard_normal((n + m, 15))
    theta, K, y = A @ A.T, C @ C.T, np.arange(6.0)
    flow = GradientFlow(theta[:n, :n], y)
    # Column j of C is one source of randomness: f₀ = C z, so the trained outputs are linear in z.
    base = flow.predict(t, K_test=theta[n:, :n])[1]
    columns = [flow.predict(t, f0=c[:n], K_test=theta[n:, :n], f0_test=c[n:])[1] - base for c in C.T]
    mean, covariance = trained_ensemble(
        Blocks(theta[:n, :n], theta[n:, :n], None), Blocks(K[:n, :n], K[n:, :n], K[n:, n:]), y, t=t
    )
    np.testing.assert_allclose(mean, base, atol=1e-9)
    np.testing.assert_allclose(covariance, np.array(columns).T @ np.array(columns), atol=1e-8)


def test_the_posterior_is_a_conditioned_normal() -> None:
    rng = np.random.default_rng(0)
    A, y, ridge = rng.standard_normal((8, 20)), np.arange(5.0), 0.2
    K = A @ A.T
    alpha = ridge * np.diag(K)[:5].mean()
    precision = np.linalg.inv(K + alpha * np.diag([1.0] * 5 + [0.0] * 3))  # of (y, f*) together
    expected = np.linalg.inv(precision[5:, 5:])
    mean, covariance = gaussian_process(Blocks(K[:5, :5], K[5:, :5], K[5:, 5:]), y, ridge=ridge)
    np.testing.assert_allclose(covariance, expected, atol=1e-9)
    np.testing.assert_allclose(mean, -expected @ precision[5:, :5] @ y, atol=1e-9)


def test_no_negative_variance_on_duplicates() -> None:
    X = np.random.default_rng(0).standard_normal((12, 3))
    X[6:] = X[:6]
    net = mehler.network("relu", depth=2, sigma_w=2**0.5)
    both = [Blocks(net.gram(k, X), net.gram(k, X), net.gram(k, X)) for k in ("ntk", "nngp")]
    _, covariance = trained_ensemble(*both, np.tile(np.arange(6.0), 2))
    assert np.abs(covariance).max() < 1e-9 * both[1].test.max()


def test_shapes_that_do_not_belong_together() -> None:
    good = Blocks(np.eye(3), np.ones((2, 3)) / 3, np.eye(2))
    for nngp in (Blocks(np.eye(2), good.cross, good.test), Blocks(np.eye(3), good.cross, np.eye(3))):
        with pytest.raises(mehler.NumericError, match="do not belong together"):
            trained_ensemble(good, nngp, np.ones(3))
    with pytest.raises(mehler.NumericError, match="give both of one X_test"):
        trained_ensemble(Blocks(np.eye(3), np.ones((1, 3)), None), good, np.ones(3))
