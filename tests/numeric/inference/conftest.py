from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture
def kernel() -> Callable[..., np.ndarray]:
    """kernel(n, seed, rank): a positive semidefinite matrix of a rank, all of it unless given."""

    def make(n: int, seed: int = 0, rank: int | None = None) -> np.ndarray:
        features = np.random.default_rng(seed).standard_normal((n, rank or 2 * n))
        return features @ features.T / features.shape[1]

    return make
