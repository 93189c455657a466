"""Products of rows in generated modules: in single precision where that is enough, and their squares."""

from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
import pytest

MODULES = [f"mehler.generated.{name}" for name in ("relu", "erf", "gelu", "fast.relu", "fast.erf", "fast.gelu")]
NETWORK = {"sigma_w": 2**0.5, "sigma_b": 0.1}
BUDGET = 1.5e-6


def _module(name: str) -> Any:
    if ".fast." in name:
        pytest.importorskip("numba")
    return import_module(name)


def _rows(width: int, mean: float) -> np.ndarray:
    return (np.random.default_rng(width).standard_normal((60, width)) + mean).astype(np.float32)


def _error(module: Any, depth: int, width: int, mean: float) -> float:
    """Against the module in double precision, which other tests compare with mpmath."""
    X = _rows(width, mean)
    single, double = (module.ntk(A, depth=depth, **NETWORK) for A in (X, X.astype(np.float64)))
    assert single.dtype == np.float32
    scale = np.sqrt(np.outer(np.diag(double), np.diag(double)))
    return float((np.abs(single - double) / np.maximum(np.abs(double), 0.05 * scale)).max())


@pytest.mark.parametrize("name", MODULES)
def test_single_products_are_as_good_as_single_kernels(name: str) -> None:
    module = _module(name)
    for depth in (1, 10):
        for width, mean in ((3, 0.0), (784, 0.0), (784, 2.0), (3072, 2.9)):
            assert _error(module, depth, width, mean) <= BUDGET, (depth, width, mean)


@pytest.mark.parametrize("name", ["mehler.generated.relu", "mehler.generated.fast.relu"])
def test_worse_products_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows cut to 18 bits."""
    module = _module(name)
    products = module._products

    def rounded(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
        bits = (X.view(np.uint32) & np.uint32(0xFFFFFFC0)).view(np.float32) if X.dtype == np.float32 else X
        return products(bits, Z)

    monkeypatch.setattr(module, "_products", rounded)
    assert _error(module, 1, 784, 1.0) > BUDGET


@pytest.mark.parametrize("name", ["mehler.generated.relu", "mehler.generated.fast.relu"])
@pytest.mark.parametrize("size", [1e-20, 1e18])
def test_products_beyond_single_precision(name: str, size: float) -> None:
    module, X = _module(name), _rows(30, 0.0) * np.float32(size)
    scale = np.sqrt(2) / size
    single, double = (module.ntk(A, depth=0, sigma_w=scale, sigma_b=0.0) for A in (X, X.astype(np.float64)))
    scale = np.sqrt(np.outer(np.diag(double), np.diag(double)))
    assert np.isfinite(single).all()
    assert (np.abs(single - double) <= 1e-7 * scale).all()


def test_rows_of_two_precisions() -> None:
    module, X = _module("mehler.generated.relu"), _rows(30, 0.0)
    mixed = module.ntk(X, X[:7].astype(np.float64), depth=2, **NETWORK)
    assert mixed.dtype == np.float64
    assert np.allclose(mixed, module.ntk(X.astype(np.float64), depth=2, **NETWORK)[:, :7], rtol=1e-13)


@pytest.mark.parametrize("width", [7, 784, 5000])
def test_squares_err_by_few_roundings(width: int) -> None:
    X = np.random.default_rng(width).standard_normal((100, width)) + 3
    _, squares = _module("mehler.generated.relu")._rows(X)
    for row, square in zip(X[:20], squares, strict=False):
        exact = sum(Fraction(float(v)) ** 2 for v in row)
        assert abs(Fraction(float(square)) / exact - 1) < 3 * 2.0**-53
