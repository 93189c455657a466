"""What every kernel must satisfy, for inputs that Hypothesis chooses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mehler
from mehler.numeric.evaluator import Generated, load_named

# One of each kind: kinked, linear plus kinked, smooth and bounded, smooth and not, periodic, even, a jump.
NAMES = ["relu", "leaky_relu", "erf", "gelu", "cos", "gaussian", "step", "cubic"]
EPS = float(np.finfo(float).eps)

# Speed is not what is tested here.
examples = settings(deadline=None, max_examples=60)
variances = st.floats(1e-3, 1e2)
correlations = st.floats(-1, 1)


def _module(name: str) -> Generated:
    module = load_named(name)
    assert module is not None
    return module


def _covariance(q1: float, q2: float, rho: float) -> float:
    return float(rho * np.sqrt(q1) * np.sqrt(q2))


@pytest.mark.parametrize("name", NAMES)
@examples
@given(q1=variances, q2=variances, rho=correlations)
def test_symmetric_in_the_variances(name: str, q1: float, q2: float, rho: float) -> None:
    module, c = _module(name), _covariance(q1, q2, rho)
    for function, diagonal in ((module.kernel, module.kernel_diag), (module.kernel_dot, module.kernel_dot_diag)):
        scale = float(np.sqrt(diagonal(q1) * diagonal(q2)))
        assert abs(float(function(q1, q2, c)) - float(function(q2, q1, c))) <= 8 * EPS * scale


@pytest.mark.parametrize("name", NAMES)
@examples
@given(q=variances)
def test_the_diagonal_is_the_kernel_at_equal_inputs(name: str, q: float) -> None:
    module = _module(name)
    for function, diagonal in ((module.kernel, module.kernel_diag), (module.kernel_dot, module.kernel_dot_diag)):
        assert float(function(q, q, q)) == pytest.approx(float(diagonal(q)), rel=16 * EPS)


@pytest.mark.parametrize("name", NAMES)
@examples
@given(q1=variances, q2=variances, rho=correlations)
def test_cauchy_and_schwarz(name: str, q1: float, q2: float, rho: float) -> None:
    """|E[f(u)g(v)]|² ≤ E[f(u)²] E[g(v)²], for φ and for φ'."""
    module, c = _module(name), _covariance(q1, q2, rho)
    for function, diagonal in ((module.kernel, module.kernel_diag), (module.kernel_dot, module.kernel_dot_diag)):
        bound = float(np.sqrt(diagonal(q1)) * np.sqrt(diagonal(q2)))
        assert abs(float(function(q1, q2, c))) <= bound * (1 + 16 * EPS)


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
@pytest.mark.parametrize("name", NAMES)
@examples
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    d=st.integers(2, 6),
    depth=st.integers(0, 4),
    sigma_w=st.floats(0.3, 1.5),
    sigma_b=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_gram_matrices_are_positive_semidefinite(
    name: str, kernel: str, seed: int, n: int, d: int, depth: int, sigma_w: float, sigma_b: float
) -> None:
    """Rows of more than one dimension: parallel rows, which d = 1 has, are a case of their own."""
    X: Any = np.random.default_rng(seed).standard_normal((n, d))
    depth = min(depth, 2) if name == "cubic" else depth  # its norms grow like a tower
    K = getattr(mehler.network(name, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, target="numpy"), kernel)(X)
    eigenvalues = np.linalg.eigvalsh(K)
    assert eigenvalues[0] >= -n * EPS * eigenvalues[-1]
