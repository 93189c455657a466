"""Inputs of one norm: a polynomial in the angle for all layers, beside layers of a module's own dual functions."""

import inspect
import warnings
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mehler.derive.pipeline import derive_dual, generate

PLACES = {"numpy": "", "numba": "fast."}
NETWORK = {"depth": 3, "sigma_w": 1.5, "sigma_b": 0.3}
BOUND, BOUND_SINGLE = 1e-13, 4e-7


def module(target: str = "numpy") -> Any:
    return import_module(f"mehler.generated.tables.{PLACES[target]}silu")


def sphere(count: int = 140, width: int = 64, radius: float = 1.0) -> np.ndarray:
    X = np.random.default_rng(8).standard_normal((count, width))
    return X * (radius * np.sqrt(width) / np.linalg.norm(X, axis=1, keepdims=True))


def layer_by_layer(subject: Any, X: np.ndarray, depth: int, sigma_w: float, sigma_b: float) -> dict[str, np.ndarray]:
    """Both kernels by the definition of the recursion, with the dual functions of a module."""
    sigma = theta = sigma_w**2 / X.shape[1] * X @ X.T + sigma_b**2
    for _ in range(depth):
        q = np.diag(sigma)
        norm = np.sqrt(q[:, None] * q)
        k, k_dot = (f(q[:, None], q, np.clip(sigma, -norm, norm)) for f in (subject.kernel, subject.kernel_dot))
        sigma = sigma_w**2 * k + sigma_b**2
        theta = sigma + sigma_w**2 * k_dot * theta
    return {"nngp": sigma, "ntk": theta}


def error(subject: Any, X: np.ndarray, **network: Any) -> float:
    """Of both kernels, in units of their diagonals, off these."""
    found = []
    for name, exact in layer_by_layer(module(), X.astype(float), **network).items():
        scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
        found.append(np.abs(getattr(subject, name)(X, **network) - exact) / scale)
    return float(np.max(found))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What by_angle of the modules for SiLU answers."""
    given: list[bool] = []
    for target in PLACES:
        by_angle = module(target).by_angle

        def told(*args: Any, by_angle: Any = by_angle) -> bool:
            given.append(by_angle(*args))
            return given[-1]

        monkeypatch.setattr(module(target), "by_angle", told)
    return given


@pytest.mark.parametrize("target", PLACES)
def test_one_polynomial_is_all_layers(target: str, answers: list[bool]) -> None:
    for radius in (0.1, 1.0, 8.0):
        assert error(module(target), sphere(radius=radius), **NETWORK) < BOUND
    assert answers == [True] * 6


@pytest.mark.parametrize("target", PLACES)
def test_rows_beside_others(target: str, answers: list[bool]) -> None:
    X = sphere()
    whole = module(target).ntk(X, **NETWORK)
    assert np.abs(module(target).ntk(X, X[3:133], **NETWORK)[:, 5] - whole[:, 8]).max() < BOUND * whole.max()
    assert answers == [True]  # in the second tile there are equal rows


@pytest.mark.parametrize("target", PLACES)
def test_single_precision(target: str, answers: list[bool]) -> None:
    assert error(module(target), sphere(width=256).astype(np.float32), **NETWORK) < BOUND_SINGLE
    assert answers == [True, True]


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("kind", ["norms", "close", "few", "bias", "input"])
def test_layers_are_taken_where_a_polynomial_is_none(kind: str, target: str, answers: list[bool]) -> None:
    X, network = sphere(count=20 if kind == "few" else 140), dict(NETWORK)
    if kind == "norms":
        X[5] *= 1 + 1e-5
    if kind == "close":
        X[5] = X[6] + 1e-4 * X[7]
        X[5] *= 8 / np.linalg.norm(X[5])
    if kind == "bias":
        network["sigma_b"] = 9.0
    if kind == "input":
        network["depth"] = 0
    assert error(module(target), X, **network) < BOUND
    assert not any(answers)


def test_kernels_that_vanish() -> None:
    """No warning, no error, and what layers say: K of zero rows, and one that is 0 off its diagonal."""
    names: dict[str, Any] = {"__name__": "sums"}
    exec(compile(generate("where(x > 1, tanh(x), 0)", name="sums", timeout=None), "sums", "exec"), names)
    names["MANY"] = 16
    rows = sphere(6, 40)
    for X, network in ((0 * rows, {}), (rows, {"sigma_w": 0.0}), (rows, {"sigma_w": 1e-3})):
        assert np.array_equal(names["nngp"](X, np.roll(X, 1, 1)[:5], depth=2, **network), np.zeros((6, 5)))
    K = names["nngp"](sphere(40, 400, radius=0.03), depth=1)
    assert np.array_equal(K, np.diag(np.diag(K)))


@settings(max_examples=15, deadline=None)
@given(
    depth=st.integers(1, 5),
    sigma_w=st.floats(1, 1.6),
    sigma_b=st.floats(0, 1),
    radius=st.floats(0.5, 3),
    width=st.integers(2, 100),
)
def test_any_network(depth: int, sigma_w: float, sigma_b: float, radius: float, width: int) -> None:
    X = sphere(130, width, radius)
    assert error(module(), X, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b) < BOUND


DAMAGE = {
    "another norm": {"(w2 * float(product) + b2) / q": "(w2 * float(product) + b2) / q / 2"},
    "few nodes, and no look at the last": {"in (32, 64, 128)": "in (8,)", "else 4e-15": "else 1.0"},
    "too few terms": {"FAINT * sizes.max())[-1]]": "FAINT * sizes.max())[-1] // 2]"},
    "the other kernel": {"THETA if tangent else VARIANCE": "VARIANCE if tangent else THETA"},
    "no bias": {"w2 * k.astype(np.float64) + b2": "w2 * k.astype(np.float64)"},
    "any norms": {"ALIKE = 1e-6": "ALIKE = 10", "else 4e-15": "else 1.0"},
    "the size of rows alone": {"    kernel *= own2\n": ""},
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_caught(what: str) -> None:
    source = inspect.getsource(module())
    for old, new in DAMAGE[what].items():
        assert old in source
        source = source.replace(old, new)
    names: dict[str, Any] = {"__name__": "damaged"}
    exec(compile(source, "damaged", "exec"), names)
    X = sphere(width=4)
    X[::2] *= 1.2 if what == "any norms" else 1
    with np.errstate(all="ignore"):
        assert not error(SimpleNamespace(**names), X, **NETWORK) < BOUND


def test_sums_are_few_on_a_sphere() -> None:
    """Where knots are elsewhere than at 0 there are no tables, and a pair takes a hundredth of a second."""
    names: dict[str, Any] = {"__name__": "sums"}
    exec(compile(generate("where(x > 1, tanh(x), 0)", name="sums", timeout=None), "sums", "exec"), names)
    asked = []

    def counted(*args: Any, pair: Any = names["pair"]) -> Any:
        asked.append(np.broadcast(*args).size)
        return pair(*args)

    names["pair"] = counted
    X = sphere(40, radius=2.0)
    K = names["nngp"](X, depth=1, sigma_w=1.0, sigma_b=0.0)
    assert sum(asked) < 200
    dual = derive_dual("where(x > 1, tanh(x), 0)")
    for i, j in ((0, 1), (5, 20), (29, 7)):
        q, c = sp.Rational(4), sp.Rational(float(X[i] @ X[j] / 64))
        assert abs(K[i, j] - float(dual.evaluate(q, q, c, digits=18)[0])) < 1e-12 * K[i, i]
