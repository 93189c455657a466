"""The CuPy modules on a GPU: `pytest -m gpu tests/gpu -n 0 -s`. No run of these is on record yet.

What tests/generated/test_device.py measures of the host's arithmetic, and what only a device can show: the launch,
the device's own functions, CuPy's arrays, and the time.
"""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import mehler
from mehler.exact import Formula
from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision.budgets import budget
from mehler.numeric.precision.ulp import adversarial, errors_at

pytestmark = pytest.mark.gpu

NAMES = (
    "abs", "cos", "cubic", "erf", "exp", "gaussian", "gelu", "identity", "leaky_relu", "probit", "relu", "relu2",
    "rff", "sign", "sin", "step",
)  # fmt: skip
TABLED = (
    "arctan", "gelu_tanh", "isru", "logcosh", "mish", "quick_gelu", "sech", "sigmoid", "silu", "softplus",
    "softsign", "tanh",
)  # fmt: skip
SCALES = {"sigma_w": 1.5, "sigma_b": 0.1}


@pytest.fixture(scope="module")
def cupy() -> Any:
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("needs a GPU and its driver")
    return cupy


def on_gpu(name: str) -> Any:
    return import_module(f"mehler.generated.{'tables.' if name in TABLED else ''}gpu.{name}")


def rows(n: int, d: int = 5) -> np.ndarray:
    X = np.random.default_rng(0).standard_normal((n, d))
    X[3], X[5], X[7], X[11] = X[2], -X[2], 2 * X[2], 0
    X[9], X[13] = X[8] + 1e-3 * X[10], -X[8] + 1e-6 * X[10]
    return X


class FromHost:
    """A CuPy module for arrays of NumPy."""

    def __init__(self, cupy: Any, module: Any) -> None:
        self.cupy, self.module = cupy, module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.module, name)
        if name.startswith("kernel"):
            return lambda *arrays, **p: value(*map(self.cupy.asarray, arrays), **p).get()
        return value


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_within_budget_at_bad_points(cupy: Any, name: str, dtype: str) -> None:
    from mehler.derive.pipeline import closed_form, derive_dual

    subject = Evaluator(FromHost(cupy, on_gpu(name)), {})  # type: ignore[arg-type]
    formula = Formula(closed_form(derive_dual(subject.module.EXPRESSION, **subject.module.PARAMETERS)))  # type: ignore[arg-type]
    for at in [point for region in adversarial(dtype) for point in region.points][::8]:
        for function, error in errors_at(subject, formula, at, dtype).items():
            assert error <= budget(subject.module, dtype, function), (function, at)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_the_kernels_of_the_numpy_module(cupy: Any, name: str, dtype: Any) -> None:
    X = rows(300).astype(dtype)
    network = {"depth": 2, "sigma_w": 0.5, "sigma_b": 0.1}
    for kernel in ("nngp", "ntk"):
        E = getattr(import_module(f"mehler.generated.{name}"), kernel)(X, **network)
        K = getattr(on_gpu(name), kernel)(cupy.asarray(X), **network)
        assert isinstance(K, cupy.ndarray)
        assert K.dtype == dtype
        K = K.get()
        scale = np.sqrt(np.outer(np.diag(E), np.diag(E).astype(float)))
        assert np.array_equal(K, K.T)
        assert np.array_equal(K[3], K[2])
        assert (np.abs(K - E) <= 40 * np.finfo(dtype).eps * scale).all()


@pytest.mark.parametrize("name", TABLED)
def test_tables(cupy: Any, name: str) -> None:
    """Pairs and networks of the NumPy module, and an error beyond its range."""
    theirs, module = import_module(f"mehler.generated.tables.{name}"), on_gpu(name)
    q1, q2 = np.exp(np.random.default_rng(0).uniform(np.log(1e-4), np.log(1e3), (2, 500)))
    c = np.sqrt(q1 * q2) * np.cos(np.linspace(0, np.pi, 500))
    for function in ("kernel", "kernel_dot"):
        values = getattr(module, function)(*map(cupy.asarray, (q1, q2, c))).get()
        scale = np.sqrt(getattr(theirs, f"{function}_diag")(q1) * getattr(theirs, f"{function}_diag")(q2))
        assert (np.abs(values - getattr(theirs, function)(q1, q2, c)) <= 1e-13 * scale).all()
    X = rows(300)
    for kernel in ("nngp", "ntk"):
        E = getattr(theirs, kernel)(X, depth=3, **SCALES)
        K = getattr(module, kernel)(cupy.asarray(X), depth=3, **SCALES).get()
        assert np.array_equal(K, K.T)
        assert (np.abs(K - E) <= 2e-14 * np.sqrt(np.outer(np.diag(E), np.diag(E)))).all()
    with pytest.raises(ValueError, match="range of tables"):
        module.ntk(cupy.asarray(1e4 * X))


def test_a_network_goes_where_its_array_is(cupy: Any) -> None:
    X = rows(50)[:10]
    network = mehler.network("relu", depth=3, **SCALES)
    assert isinstance(network.ntk(X), np.ndarray)
    assert isinstance(network.ntk(cupy.asarray(X)), cupy.ndarray)
    np.testing.assert_allclose(network.ntk(cupy.asarray(X)).get(), network.ntk(X), rtol=1e-13)


@pytest.mark.parametrize("name", ["relu", "erf", "gelu", "tanh", "silu"])
def test_the_time(cupy: Any, name: str) -> None:
    """To be put beside docs/gpu.md, which has only a bound on paper."""
    X = cupy.random.default_rng(0).standard_normal((4096, 256))
    module, times = on_gpu(name), []
    for _ in range(6):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        module.ntk(X, depth=10, **SCALES)
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end))
    print(f"\n{name}, n = 4096, d = 256, depth 10: {min(times[1:]):.2f} ms (the first call {times[0]:.0f} ms)")
    assert min(times[1:]) < 1000
