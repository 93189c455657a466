"""A standalone module computes its Gram matrices in tiles, and nobody can tell where they meet."""

import math
import tracemalloc
from importlib import import_module
from typing import Any

import numpy as np
import pytest

SCALES = {"depth": 2, "sigma_w": 1.4, "sigma_b": 0.1}
SMALL = 8


@pytest.fixture(params=["relu", "gelu"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Small tiles, so that few rows fill many."""
    module = import_module(f"mehler.generated.{request.param}")
    monkeypatch.setattr(module, "TILE", (SMALL, SMALL))
    return module


def _rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 5))


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
@pytest.mark.parametrize("n", [1, SMALL - 1, SMALL, SMALL + 1, 2 * SMALL + 3])
def test_tiles_are_put_together(
    module: Any, kernel: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = _rows(n), _rows(13, seed=1)
    function = getattr(module, kernel)
    square, cross = function(X, **SCALES), function(X, Y, **SCALES)
    assert np.array_equal(square, square.T)
    monkeypatch.setattr(module, "TILE", (1000, 1000))
    np.testing.assert_allclose(square, function(X, **SCALES), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(cross, function(X, Y, **SCALES), rtol=1e-14, atol=1e-15)
    single = function(X.astype(np.float32), **SCALES)
    assert single.dtype == np.float32


def test_copies_in_different_tiles(module: Any) -> None:
    X = _rows(2 * SMALL + 3)
    X[SMALL + 1] = X[-1] = X[2]
    for K in (module.ntk(X, **SCALES), module.ntk(X, X.copy(), **SCALES)):
        for i in (SMALL + 1, len(X) - 1):
            assert np.array_equal(K[i], K[2])
            assert np.array_equal(K[:, i], K[:, 2])
        assert K[2, -1] == K[2, 2] == module.ntk(X[2:3], **SCALES)[0, 0]


def test_memory_beside_the_result_is_that_of_a_tile() -> None:
    module = import_module("mehler.generated.gelu")
    X = _rows(1200)
    tracemalloc.start()
    try:
        result = module.ntk(X, **SCALES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.nbytes <= peak < result.nbytes + 48 * math.prod(module.TILE) * 8
