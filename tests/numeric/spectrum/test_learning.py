"""Learning curves beside formulas for one eigenvalue, a conservation law, limits, and regressions that are run."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

import mehler
from mehler.numeric.errors import NumericError
from mehler.numeric.spectrum import learning
from mehler.numeric.spectrum.harmonics import multiplicities


def test_one_eigenvalue_without_ridge() -> None:
    """L = n/M and E₀ = 1/(1 − n/M), whatever λ is: regression on isotropic features."""
    n = np.array([1.0, 10.0, 50.0, 99.0])
    found = mehler.learning_curve([1e-7], [100], [2.0], n, noise=0.3)
    assert np.allclose(found.learnabilities[:, 0], n / 100, rtol=1e-12)
    assert np.allclose(found.test, 2 * (1 - n / 100) + 0.3 / (1 - n / 100), rtol=1e-10)
    assert (found.train == 0).all()


def test_one_eigenvalue_with_a_ridge() -> None:
    """Mλ/(λ+κ) + δ/κ = n is a quadratic: nκ² + (nλ − Mλ − δ)κ − δλ = 0."""
    M, n, ridge, value = 50, 80.0, 0.2, 3.0
    delta = ridge * value * M
    b = n * value - M * value - delta
    kappa = (-b + math.sqrt(b * b + 4 * n * delta * value)) / (2 * n)
    found = mehler.learning_curve([value], [M], [1.0], n, ridge=ridge, noise=0.1)
    assert found.kappa[0] == pytest.approx(kappa, rel=1e-12)
    assert found.train[0] == pytest.approx((delta / (n * kappa)) ** 2 * found.test[0], rel=1e-12)


def test_more_examples_than_eigenfunctions() -> None:
    """Least squares with M parameters: the noise shows as σ² n/(n−M) in the test, σ² (n−M)/n in training."""
    found = mehler.learning_curve([1.0, 0.5, 0.0], [3, 7, 5], [1.0, 1.0, 0.0], [10, 40], noise=0.2)
    assert found.learnabilities.tolist() == [[1, 1, 0]] * 2
    assert found.test.tolist() == pytest.approx([np.inf, 0.2 * 40 / 30])
    assert found.train.tolist() == pytest.approx([0, 0.2 * 30 / 40])
    assert mehler.learning_curve([1.0], [3], [1.0], [3, 4]).test.tolist() == [0, 0]


SPECTRA = st.lists(
    st.tuples(st.floats(-30, 3).map(math.exp), st.integers(1, 10**6), st.floats(0, 10)), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(SPECTRA, st.floats(1e-3, 0.999))
def test_learnabilities_add_up_to_n(spectrum: list[Any], part: float) -> None:
    values, counts, power = (np.array(column, dtype=float) for column in zip(*spectrum, strict=True))
    n = part * counts.sum()
    found = mehler.learning_curve(values, counts, power, n)
    assert found.learnabilities[0] @ counts == pytest.approx(n, rel=1e-9)
    assert ((found.learnabilities >= 0) & (found.learnabilities <= 1)).all()
    assert found.overfitting[0] >= 1


@settings(max_examples=60, deadline=None)
@given(SPECTRA, st.floats(-6, 6).map(lambda p: 10**p), st.floats(-40, 40).map(lambda p: 10**p), st.floats(0.1, 1e6))
def test_the_scale_of_the_kernel_does_not_matter(spectrum: list[Any], ridge: float, scale: float, n: float) -> None:
    values, counts, power = (np.array(column, dtype=float) for column in zip(*spectrum, strict=True))
    one, two = (
        mehler.learning_curve(v, counts, power, n, ridge=ridge, noise=1.0) for v in (values, scale * values)
    )
    assert two.test[0] == pytest.approx(one.test[0], rel=1e-8)
    assert two.train[0] == pytest.approx(one.train[0], rel=1e-6)
    # A ridge takes its share of the degrees of freedom.
    left = ridge * (values @ counts) / one.kappa[0]
    assert one.learnabilities[0] @ counts + left == pytest.approx(n, rel=1e-9)


def test_a_tail_is_the_limit_of_many_small_eigenvalues() -> None:
    head = ([1.0, 0.1], [1, 10], [1.0, 1.0])
    for ridge in (0.0, 0.01):
        whole = mehler.learning_curve([*head[0], 1e-8], [*head[1], 10**8], [*head[2], 0.0], [20, 200], ridge=ridge)
        cut = mehler.learning_curve(*head, [20, 200], ridge=ridge, tail=1.0)
        assert np.allclose(whole.test, cut.test, rtol=1e-4)
        assert np.allclose(whole.train, cut.train, rtol=1e-4)


def regressions(name: str, n: int, trials: int, ridge: float, noise: float) -> tuple[Any, Any]:
    """Errors of kernel regression on S⁴, and the theory; the target is x₁ + x₁x₂, of powers 1 and 5/7."""
    d = 5
    network = mehler.network(name, depth=2, sigma_w=1.4, sigma_b=0.3)
    rng, errors = np.random.default_rng(0), []
    for _ in range(trials):
        X = rng.standard_normal((n + 1000, d))
        X *= np.sqrt(d) / np.linalg.norm(X, axis=1)[:, None]
        f = X[:, 0] + X[:, 0] * X[:, 1]
        K = network.ntk(X[:n])
        y = f[:n] + np.sqrt(noise) * rng.standard_normal(n)
        weights = linalg.solve(K + ridge * K.diagonal().mean() * np.eye(n), y, assume_a="pos")
        errors.append(np.mean((network.ntk(X[n:], X[:n]) @ weights - f[n:]) ** 2) + noise)
    spectrum = mehler.spectrum(network, dimension=d, degree=40)
    power = np.zeros(41)
    power[1:3] = 1, 5 / 7
    theory = mehler.learning_curve(
        spectrum.eigenvalues.clip(0),
        spectrum.multiplicities,
        power,
        n,
        ridge=ridge,
        noise=noise,
        tail=spectrum.tail,
    )
    return np.mean(errors), theory.test[0]


@pytest.mark.parametrize("name", ["relu", pytest.param("gelu", marks=pytest.mark.slow)])
def test_regressions_that_are_run(name: str) -> None:
    mean, theory = regressions(name, 100, 30, 0.01, 0.1)
    assert mean == pytest.approx(theory, rel=0.05)


def test_a_wrong_theory_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = learning._effective
    monkeypatch.setattr(learning, "_effective", lambda v, c, ridge, n: right(v, c, ridge, n / 2))
    mean, theory = regressions("relu", 100, 10, 0.01, 0.1)
    assert mean != pytest.approx(theory, rel=0.1)
    found = mehler.learning_curve([1.0, 0.1], [3, 30], [1, 1], 10)
    assert found.learnabilities[0] @ [3, 30] != pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"eigenvalues": [1.0, -0.1]}, r"eigenvalues\[1\] = -0.1 is not"),
        ({"eigenvalues": [1.0]}, "have lengths 1, 2 and 2"),
        ({"target": [np.nan, 1]}, r"target\[0\] = nan is not"),
        ({"n": 0}, "n must be > 0"),
        ({"n": [3, -1]}, r"n\[1\] = -1 is not"),
        ({"ridge": -1}, "ridge=-1 is not"),
        ({"noise": "much"}, "noise='much' is not"),
        ({"eigenvalues": [0, 0]}, "all eigenvalues are 0"),
        ({"multiplicities": [[1, 2]]}, "multiplicities must be a vector"),
    ],
)
def test_bad_input(change: dict[str, Any], fault: str) -> None:
    given_: dict[str, Any] = {"eigenvalues": [1.0, 0.1], "multiplicities": [1, 3], "target": [0, 1], "n": 2}
    with pytest.raises(NumericError, match=fault):
        mehler.learning_curve(**{**given_, **change})


def test_multiplicities_beyond_integers_of_a_machine() -> None:
    counts = multiplicities(100, 60)
    found = mehler.learning_curve(np.exp(-np.arange(61.0)), counts, np.ones(61), 100)
    assert np.isfinite(found.test).all()
