"""Networks on rows that are close, equal, opposite or of very different norm, against the recursion in mpmath.

The activations are those typed in from the literature in test_recursion.py; rows are exact floats, and so are
σ_w and σ_b. ELU is compared with its derived kernel, which the quadrature of its proof has confirmed.
"""

import importlib.util
import math
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import mehler
from mehler.api import Network
from mehler.derive.emit.module import emit_numpy
from mehler.derive.pipeline import closed_form, derive_dual
from mehler.exact import Formula
from mehler.generated import relu
from mehler.numeric.evaluator import Evaluator, load_source
from mehler.numeric.precision.network import exact_network

_spec = importlib.util.spec_from_file_location("recursion", Path(__file__).with_name("test_recursion.py"))
assert _spec is not None
assert _spec.loader is not None
recursion = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recursion)

ANGLES = (1.0, 0.3, 1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 0.0)
FACTORS = (1.0, 1 + 1e-6, 1e6, 1e-6, 0.3)
NETWORKS = ((math.sqrt(2), 0.0), (1.5, 0.3))
DEPTHS = (1, 3, 10)
TOLERANCE = {np.float64: 4e-15, np.float32: 1.5e-6}
SMALL = 0.05  # a kernel below this part of its scale is a difference, whose rounding its value cannot hold


def rows(angle: float, factor: float, sign: int, seed: int, d: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, z = rng.standard_normal((2, d))
    z -= (z @ x) / (x @ x) * x
    z *= np.linalg.norm(x) / np.linalg.norm(z)
    y = x.copy() if angle == 0 else math.cos(angle) * x + math.sin(angle) * z
    return x, sign * factor * y


def dual_of(name: str) -> Any:
    return Formula(derive_dual("elu")).at_working_precision if name == "elu" else recursion.DUALS[name]  # type: ignore[arg-type]


def worst(name: str, dtype: Any, depths: tuple[int, ...], angles: tuple[float, ...], factors: Any = FACTORS) -> Any:
    """The largest relative error of Θ, and where; entries near 0 are measured by SMALL of their scale."""
    nets = {(scales, L): _network(name, scales, L) for scales in NETWORKS for L in depths}
    found = (0.0, ())
    for seed, (angle, factor, sign, scales) in enumerate(
        (a, f, s, n) for a in angles for f in factors for s in (1, -1) for n in NETWORKS
    ):
        x, y = (v.astype(dtype) for v in rows(angle, factor, sign, seed))
        layers, one, two = (
            exact_network(dual_of(name), a, b, max(depths), *scales, digits=20) for a, b in ((x, y), (x, x), (y, y))
        )
        for L in depths:
            computed = nets[scales, L].ntk(x[None], y[None])[0, 0]
            assert computed.dtype == dtype
            value, scale = layers[L][1], mpmath.sqrt(one[L][1] * two[L][1])
            error = float(abs(mpf(float(computed)) - value) / max(abs(value), SMALL * scale))
            found = max(found, (error, (angle, factor, sign, scales, L)), key=lambda pair: pair[0])
    return found


def _network(name: str, scales: tuple[float, float], depth: int) -> Any:
    if name == "elu":  # by its closed form, where a module for NumPy has tables
        source = emit_numpy(closed_form(derive_dual(name, a=1)), name)
        return Network(name, depth, *scales, Evaluator(load_source(source, name), {}))
    return mehler.network(name, depth=depth, sigma_w=scales[0], sigma_b=scales[1], target="numpy")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, np.float64) for name in ("relu", "erf", "gelu")),
        # float32 is the same code after products of rows, rounded once.
        ("relu", np.float32),
        *(pytest.param(name, np.float32, marks=pytest.mark.slow) for name in ("erf", "gelu")),
    ],
)
def test_every_angle_has_all_its_digits(name: str, dtype: Any) -> None:
    error, where = worst(name, dtype, DEPTHS, ANGLES, (1.0, 1 + 1e-6, 1e-6))
    # NumPy's functions round otherwise on processors without AVX-512: erf comes to 4.14e-15 on one.
    assert error <= (4.5e-15 if (name, dtype) == ("erf", np.float64) else TOLERANCE[dtype]), where


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["relu", "erf", "gelu", "abs"])
def test_every_angle_and_norm_has_all_its_digits(name: str, dtype: Any) -> None:
    error, where = worst(name, dtype, DEPTHS, ANGLES)
    assert error <= TOLERANCE[dtype], where


@pytest.mark.slow
def test_elu_in_networks() -> None:
    assert worst("elu", np.float64, DEPTHS, (0.3, 1e-2, 1e-6, 0.0), (1.0,))[0] <= TOLERANCE[np.float64]
    assert worst("elu", np.float64, DEPTHS, (1e-1, 1e-12), (1 + 1e-6, 1e-6))[0] <= TOLERANCE[np.float64]


@pytest.mark.parametrize("angle", [1.0, 1e-3, 1e-9, 0.0])
def test_a_thousand_layers_at_the_critical_scale(angle: float) -> None:
    x, y = rows(angle, 1.0, 1, 5)
    with mpmath.workdps(60):
        exact = exact_network(recursion.DUALS["relu"], x, y, 1000, math.sqrt(2), 0.0, digits=18)[-1][1]
    computed = _network("relu", (math.sqrt(2), 0.0), 1000).ntk(x[None], y[None])[0, 0]
    assert abs(float((mpf(float(computed)) - exact) / exact)) <= 1e-13


def _cluster_error(radius: float) -> float:
    """The largest relative error over some pairs of 40 rows within `radius` of each other, at depth 3."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal(8) + radius * rng.standard_normal((40, 8))
    K = _network("relu", NETWORKS[1], 3).ntk(X)
    errors = []
    for i, j in [(0, 1), (3, 30), (17, 18), (39, 5), (20, 20)]:
        exact = exact_network(recursion.DUALS["relu"], X[i], X[j], 3, *NETWORKS[1], digits=20)[-1][1]
        errors.append(abs(float((mpf(float(K[i, j])) - exact) / exact)))
    return max(errors)


@pytest.mark.parametrize("radius", [0.1, 1e-3, 1e-7])
def test_a_cluster_of_rows(radius: float) -> None:
    """Where nearly all pairs are close, their angles come from a tangent plane; the closest still one by one."""
    assert _cluster_error(radius) <= 4e-15


def test_a_tile_that_is_a_cluster_takes_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("a product that says nothing new")

    monkeypatch.setattr(relu, "_products", refused)
    assert _cluster_error(1e-3) <= 4e-15
    with pytest.raises(AssertionError, match="says nothing new"):
        _cluster_error(1.0)


def test_the_tangent_plane_is_used_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its distances wrong by a part in 1e6 show."""
    projected = relu._projected

    def farther(*rows: Any) -> Any:
        rest, along, square = projected(*rows)
        return rest * (1 + 1e-6), along, square * (1 + 2e-6)

    monkeypatch.setattr(relu, "_projected", farther)
    assert _cluster_error(1e-3) > 1e-11


def test_the_comparison_sees_the_plain_recursion_fail() -> None:
    """√(1 − ρ²) of a rounded ρ, as everybody writes it, is off by 1e-9 and more."""
    x, y = rows(1e-8, 1.0, 1, 0)
    q1, q2, c = (a @ b * 2 / len(x) for a, b in ((x, x), (y, y), (x, y)))
    theta = math.acos(min(1.0, c / math.sqrt(q1 * q2)))
    k = math.sqrt(q1 * q2) * (math.sin(theta) + (math.pi - theta) * math.cos(theta)) / math.pi
    naive = k + (1 - theta / math.pi) * c
    exact = exact_network(recursion.DUALS["relu"], x, y, 1, math.sqrt(2), 0.0, digits=20)[1][1]
    assert abs(naive / float(exact) - 1) > 1e-10


def test_small_eigenvalues_are_those_of_the_exact_matrix() -> None:
    """Near-duplicates 1e-7 apart: the least eigenvalues lose no more than by rounding the exact entries."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 12))
    X[20:] = X[:20] * 1.0
    X[20:] += 1e-7 * rng.standard_normal((20, 12))
    exact = [[exact_network(recursion.DUALS["relu"], x, y, 2, 1.5, 0.1, digits=40)[-1][1] for y in X] for x in X]
    with mpmath.workdps(40):
        right = np.array([float(v) for v in mpmath.eigsy(mpmath.matrix(exact), eigvals_only=True)])[:20]
        errors = []
        for K in (np.array([[float(v) for v in row] for row in exact]), _network("relu", (1.5, 0.1), 2).ntk(X)):
            found = mpmath.eigsy(mpmath.matrix(K.tolist()), eigvals_only=True)
            errors.append(max(abs(float(v) / w - 1) for v, w in zip(list(found)[:20], right, strict=True)))
        solved = [
            max(abs(np.linalg.eigvalsh(K)[:20] / right - 1))
            for K in (np.array([[float(v) for v in row] for row in exact]), _network("relu", (1.5, 0.1), 2).ntk(X))
        ]
    rounded, computed = errors
    assert computed <= 6 * rounded  # entries a few units off, beside half a unit
    assert solved[1] <= 2 * solved[0]  # a solver in the same floats adds more than that
