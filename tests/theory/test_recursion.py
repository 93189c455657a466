"""Gram matrices against the recursion of design.md, run in mpmath on the exact values of the same floats.

The dual activations are typed in from the literature, not taken from mehler: Cho and Saul, NIPS 2009 (ReLU,
|x|, leaky ReLU), Williams, NIPS 1996 (erf, Gaussian), Rahimi and Recht, NIPS 2007 (sin), Tsuchida, Pearce,
van der Heide, Roosta and Gallagher, AAAI 2021 (GELU). Quadrature confirms what was typed.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import mehler

DIGITS = 40
TOLERANCE = 1e-13
NETWORKS = ((1.4, 0.1), (math.sqrt(2), 0.0))
DEPTHS = (1, 3, 10)

Pair = tuple[Any, Any]
Dual = Callable[[Any, Any, Any], Pair]


def _abs(q1: Any, q2: Any, c: Any) -> Pair:
    norm = mpmath.sqrt(q1 * q2)
    rho = c / norm
    asin = mpmath.asin(rho)
    return 2 / mpmath.pi * norm * (mpmath.sqrt(1 - rho**2) + rho * asin), 2 / mpmath.pi * asin


def _leaky(a: Any) -> Dual:
    """max(x, ax) = (1+a)/2 x + (1-a)/2 |x|; the products of an odd and an even part have mean 0."""
    odd, even = ((1 + a) / 2) ** 2, ((1 - a) / 2) ** 2

    def dual(q1: Any, q2: Any, c: Any) -> Pair:
        k, k_dot = _abs(q1, q2, c)
        return odd * c + even * k, odd + even * k_dot

    return dual


def _relu(q1: Any, q2: Any, c: Any) -> Pair:
    norm = mpmath.sqrt(q1 * q2)
    theta = mpmath.acos(c / norm)
    opposite = mpmath.pi - theta
    return norm * (mpmath.sin(theta) + opposite * mpmath.cos(theta)) / (2 * mpmath.pi), opposite / (2 * mpmath.pi)


def _erf(q1: Any, q2: Any, c: Any) -> Pair:
    p = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / mpmath.pi * mpmath.asin(2 * c / mpmath.sqrt(p)), 4 / mpmath.pi / mpmath.sqrt(p - 4 * c**2)


def _gelu(q1: Any, q2: Any, c: Any) -> Pair:
    """Stein's lemma, twice, on E[u v Φ(u) Φ(v)] with P = E[Φ(u) Φ(v)], and ∂P/∂c = 1/(2π√D)."""
    D = (1 + q1) * (1 + q2) - c**2
    p = mpf(1) / 4 + mpmath.asin(c / mpmath.sqrt((1 + q1) * (1 + q2))) / (2 * mpmath.pi)
    slope = 1 / (2 * mpmath.pi * mpmath.sqrt(D))
    share = 1 - q1 / (1 + q1) - q2 / (1 + q2)
    bracket = q1 * q2 + c**2 * share
    return c * p + bracket * slope, p + c * slope + 2 * c * share * slope + bracket * slope * c / D


def _sin(q1: Any, q2: Any, c: Any) -> Pair:
    decay = mpmath.exp(-(q1 + q2) / 2)
    return decay * mpmath.sinh(c), decay * mpmath.cosh(c)


def _gaussian(q1: Any, q2: Any, c: Any) -> Pair:
    D = (1 + 2 * q1) * (1 + 2 * q2) - 4 * c**2
    return 1 / mpmath.sqrt(D), 4 * c / D ** mpf(1.5)


SLOPE = 0.1
HOMOGENEOUS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(0.0, x),
    "abs": abs,
    "leaky_relu": lambda x: max(x, SLOPE * x),
}
SMOOTH: dict[str, Callable[[float], float]] = {
    "erf": math.erf,
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "sin": math.sin,
    "gaussian": lambda x: math.exp(-x * x),
}
DUALS: dict[str, Dual] = {
    "relu": _relu,
    "abs": _abs,
    "leaky_relu": _leaky(mpf(SLOPE)),
    "erf": _erf,
    "gelu": _gelu,
    "sin": _sin,
    "gaussian": _gaussian,
}


@pytest.fixture(autouse=True)
def _precision() -> Iterator[None]:
    with mpmath.workdps(DIGITS):
        yield


def _over_angles(phi: Callable[[float], float], q1: float, q2: float, c: float) -> float:
    """√(q₁q₂)/π ∫ φ(cos t) φ(cos(t - θ)) dt: the radius of a homogeneous φ integrates to 2."""
    theta = math.acos(c / math.sqrt(q1 * q2))
    knots = sorted({-math.pi / 2, math.pi / 2, theta - math.pi / 2, theta + math.pi / 2, 3 * math.pi / 2})
    with mpmath.workdps(15):
        total = mpmath.quad(lambda t: phi(math.cos(t)) * phi(math.cos(t - theta)), knots)
    return math.sqrt(q1 * q2) / math.pi * float(total)


def _over_plane(phi: Callable[[float], float], q1: float, q2: float, c: float) -> float:
    """The trapezoid rule, which converges geometrically for an entire φ."""
    step = 0.125
    z = np.arange(-9, 9 + step, step)
    weight = step / math.sqrt(2 * math.pi) * np.exp(-z * z / 2)
    values = np.vectorize(phi)
    beta, s = c / math.sqrt(q1), math.sqrt(q2 - c * c / q1)
    inner = values(beta * z[:, None] + s * z[None, :]) @ weight
    return float((weight * values(math.sqrt(q1) * z)) @ inner)


@pytest.mark.parametrize(("q1", "q2", "c"), [(1.0, 1.0, 0.3), (0.7, 1.9, -0.8), (2.0, 0.5, 0.9)])
@pytest.mark.parametrize("name", DUALS)
def test_the_formulas_typed_in_agree_with_quadrature(name: str, q1: float, q2: float, c: float) -> None:
    expected = (
        _over_angles(HOMOGENEOUS[name], q1, q2, c) if name in HOMOGENEOUS else _over_plane(SMOOTH[name], q1, q2, c)
    )
    k, k_dot = DUALS[name](mpf(q1), mpf(q2), mpf(c))
    assert float(k) == pytest.approx(expected, rel=1e-12, abs=1e-13)
    slope = mpmath.diff(lambda t: DUALS[name](mpf(q1), mpf(q2), t)[0], mpf(c))
    assert float(abs(k_dot - slope)) < 1e-15  # Price: ∂K/∂c = K̇


def _covariances(X: np.ndarray, Y: np.ndarray, sigma_w: float, sigma_b: float) -> list[list[Any]]:
    return [
        [mpf(sigma_w) ** 2 * mpmath.fdot(x.tolist(), y.tolist()) / len(x) + mpf(sigma_b) ** 2 for y in Y] for x in X
    ]


def exact(dual: Dual, q1: Any, q2: Any, c: Any, depth: int, sigma_w: float, sigma_b: float) -> Pair:
    """(Σᴸ, Θᴸ) of a pair of inputs from Σ⁰."""
    w2, b2 = mpf(sigma_w) ** 2, mpf(sigma_b) ** 2
    sigma = theta = c
    for _ in range(depth):
        k, k_dot = dual(q1, q2, sigma)
        q1, q2, sigma = (w2 * v + b2 for v in (dual(q1, q1, q1)[0], dual(q2, q2, q2)[0], k))
        theta = sigma + w2 * k_dot * theta
    return sigma, theta


def _worst(
    name: str, X: np.ndarray, Y: np.ndarray | None, depth: int, computed: Pair, scales: tuple[float, float]
) -> tuple[float, float]:
    """Largest relative error of Σᴸ and of Θᴸ; an entry within 1% of 0, of its scale, is measured by that 1%.

    Such an entry is a difference of numbers a hundred times larger: a rounding error in x·y shows magnified.
    """
    Z = X if Y is None else Y
    dual = DUALS[name]
    cross = _covariances(X, Z, *scales)
    q1, q2 = ([row[i] for i, row in enumerate(_covariances(A, A, *scales))] for A in (X, Z))
    size1, size2 = ([exact(dual, q, q, q, depth, *scales) for q in qs] for qs in (q1, q2))
    worst = [0.0, 0.0]
    for i, j in np.ndindex(len(X), len(Z)):
        values = exact(dual, q1[i], q2[j], cross[i][j], depth, *scales)
        for k, (value, matrix) in enumerate(zip(values, computed, strict=True)):
            scale = mpmath.sqrt(size1[i][k] * size2[j][k])
            error = abs(float(matrix[i, j]) - value) / max(abs(value), scale / 100)
            worst[k] = max(worst[k], float(error))
    return worst[0], worst[1]


def _params(name: str) -> dict[str, float]:
    return {"a": SLOPE} if name == "leaky_relu" else {}


def _rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 7))


@pytest.mark.parametrize("with_other_rows", [False, True], ids=["X", "X,Y"])
@pytest.mark.parametrize("scales", NETWORKS, ids=["bias", "no bias"])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", DUALS)
def test_gram_matrices_follow_the_recursion(
    name: str, depth: int, scales: tuple[float, float], with_other_rows: bool
) -> None:
    X, Y = _rows(6, 0), _rows(4, 1) if with_other_rows else None
    net = mehler.network(name, depth=depth, sigma_w=scales[0], sigma_b=scales[1], target="numpy", **_params(name))
    nngp, ntk = _worst(name, X, Y, depth, (net.nngp(X, Y), net.ntk(X, Y)), scales)
    assert nngp <= TOLERANCE
    assert ntk <= TOLERANCE


@pytest.mark.parametrize("name", DUALS)
def test_the_comparison_notices_a_wrong_scale(name: str) -> None:
    """σ_w wrong in its 12th digit, and a network of one layer less, must fail."""
    X = _rows(6, 0)
    net = mehler.network(name, depth=3, sigma_w=1.4 * (1 + 1e-12), sigma_b=0.1, target="numpy", **_params(name))
    computed = net.nngp(X), net.ntk(X)
    assert min(_worst(name, X, None, 3, computed, (1.4, 0.1))) > TOLERANCE
    assert min(_worst(name, X, None, 2, computed, (1.4, 0.1))) > 1e-3


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sin"])
def test_the_recursion_in_symbols_has_the_same_values(name: str) -> None:
    net = mehler.network(name, depth=2, sigma_w=1.5, sigma_b=0.25, target="numpy", **_params(name))
    layers = net.recursion.layers()
    assert len(layers) == 3
    q1, q2, c = mpf("1.25"), mpf("0.5"), mpf("-0.375")
    at = {mehler.symbols.q1: q1, mehler.symbols.q2: q2, mehler.symbols.c: c}
    for depth, layer in enumerate(layers):
        sigma, theta = exact(DUALS[name], q1, q2, c, depth, 1.5, 0.25)
        for found, expected in ((layer.sigma12, sigma), (layer.theta12, theta)):
            # The symbols hold the slope 1/10 that 0.1 stands for, the formulas above its float.
            assert float(abs(mpf(str(found.evalf(DIGITS, subs=at))) - expected)) < 1e-15


@pytest.mark.parametrize(("name", "diagonal", "between"), [("cos", 0.5, 1.0), ("sin", 0.5, 0.0)])
def test_large_rows_decorrelate_in_a_periodic_activation(name: str, diagonal: float, between: float) -> None:
    """E[cos u cos v] = e^(−(q1+q2)/2) cosh c, with sinh for sin: at large q, 1/2 or 0."""
    X = 1e3 * np.random.default_rng(5).standard_normal((6, 4))
    q, same = (X**2).sum(axis=1) / 4, np.eye(6)
    one, two = (mehler.network(name, depth=depth) for depth in (1, 2))
    np.testing.assert_allclose(one.nngp(X), diagonal * same, rtol=1e-14)
    np.testing.assert_allclose(one.ntk(X), np.diag(diagonal + q / 2), rtol=1e-14)
    # The second layer has q = 1/2 and, between two rows, c = 0.
    ends, apart = (1 + np.exp(-1)) / 2 if name == "cos" else (1 - np.exp(-1)) / 2, np.exp(-0.5) * between
    np.testing.assert_allclose(two.nngp(X), np.where(same, ends, apart), rtol=1e-14)
