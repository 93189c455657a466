"""The exact recursion against what is known in closed form, and the measure against damaged recursions."""

from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from mehler.generated import erf, relu
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision.network import (
    BUDGET,
    Case,
    exact_network,
    measure_network,
    pair_of_rows,
    worst_by_region,
)

RELU = Evaluator(relu, {})
CHOICE: dict[str, Any] = {"angles": (0.0, 1.0, 0.1), "factors": (1.0, 0.5), "depths": (1, 3)}


def arc_cosine(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    """Cho and Saul's, with the loss of digits near ρ = ±1 that a straightforward formula has."""
    norm = mpmath.sqrt(q1 * q2)
    rho = min(max(c / norm, mpf(-1)), mpf(1))
    opposite = mpmath.pi - mpmath.acos(rho)
    return (norm * mpmath.sqrt(1 - rho**2) + c * opposite) / (2 * mpmath.pi), opposite / (2 * mpmath.pi)


def arcsine(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    """Williams' erf."""
    p = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / mpmath.pi * mpmath.asin(2 * c / mpmath.sqrt(p)), 4 / mpmath.pi / mpmath.sqrt(p - 4 * c * c)


def test_duplicates_keep_their_variance_through_a_thousand_layers() -> None:
    """σ_w² = 2, σ_b = 0 and the ReLU: Σˡ = Σ⁰, Θˡ = (l + 1) Σ⁰. Not with the float √2, whose square is not 2."""
    sigma_w = 2.0
    layers = exact_network(arc_cosine, [1.0, -3.0], [1.0, -3.0], 1000, sigma_w, 0.0, 20)
    q = mpf(20)
    with mpmath.workdps(40):
        for depth in (0, 1, 10, 1000):
            assert mpmath.almosteq(layers[depth][0], q * 2**depth, 1e-19)
            assert mpmath.almosteq(layers[depth][1], (depth + 1) * q * 2**depth, 1e-19)


def test_parallel_rows_of_the_relu_stay_parallel() -> None:
    """√(q1 q2) is rounded, ρ falls beside 1, and half of the digits go: the second precision notices."""
    (_, _), (sigma, theta) = exact_network(arc_cosine, [1.0, 0.3], [3.0, 3 * 0.3 * 1.0], 1, 1.5, 0.0, 30)[:2]
    x, y = [mpf(1), mpf(0.3)], [mpf(3.0), mpf(3 * 0.3)]
    with mpmath.workdps(120):
        w2 = mpf(1.5) ** 2
        q1, q2, c = (w2 * mpmath.fdot(a, b) / 2 for a, b in ((x, x), (y, y), (x, y)))
        k, k_dot = arc_cosine(q1, q2, c)
        assert mpmath.almosteq(sigma, w2 * k, mpf(10) ** -29)
        assert mpmath.almosteq(theta, w2 * k + w2 * k_dot * c, mpf(10) ** -29)


def test_antipodes_of_the_relu() -> None:
    """K = K̇ = 0 at ρ = -1, and then the pair is orthogonal: K = √(q q)/2π."""
    _, first, second = exact_network(arc_cosine, [1.0, 2.0], [-1.0, -2.0], 2, 2.0, 0.0, 20)
    assert max(map(abs, first)) < 1e-30
    with mpmath.workdps(40):
        assert mpmath.almosteq(second[0], 4 * 20 / (2 * mpmath.pi), 1e-19)


def test_a_tiny_angle_at_depth_10_has_all_digits() -> None:
    """Against the same recursion at four times the precision."""
    x, y = pair_of_rows(1e-12, "0", 1.0, "float64")
    found = exact_network(arc_cosine, x, y, 10, 1.5, 0.25, 20)[10]
    longer = exact_network(arc_cosine, x, y, 10, 1.5, 0.25, 80)[10]
    for a, b in zip(found, longer, strict=True):
        assert abs(a - b) < abs(b) * mpf(10) ** -20


def test_orthogonal_rows_of_an_odd_activation() -> None:
    assert exact_network(arcsine, [1.0, 0.0], [0.0, 1.0], 2, 1.5, 0.0)[2] == (0, 0)


def test_what_does_not_settle_is_refused() -> None:
    calls = iter(range(10**6))
    with pytest.raises(NumericError, match="does not settle"):
        exact_network(lambda q1, q2, c: (mpf(next(calls)), mpf(1)), [1.0], [2.0], 1, 1.0, 0.0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("angle", [0.0, 1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize(("side", "factor"), [("0", 1.0), ("pi", 1.0), ("0", 1e6), ("pi", 1 - 1e-6)])
def test_rows_have_the_angle_and_the_norms_asked_for(side: str, factor: float, angle: float, dtype: str) -> None:
    x, y = (v.astype(np.longdouble) for v in pair_of_rows(angle, side, factor, dtype))
    sign = 1 if side == "0" else -1
    a, b = x / np.linalg.norm(x), sign * y / np.linalg.norm(y)
    found = 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))
    assert abs(found - angle) <= 1e-6 * angle + 4 * float(np.finfo(dtype).eps)
    if not angle:
        assert found < 1e-18
    assert np.linalg.norm(y) / np.linalg.norm(x) == pytest.approx(factor, rel=2**-12)


@pytest.mark.parametrize(("module", "dual"), [(relu, arc_cosine), (erf, arcsine)])
def test_a_committed_module_is_within_the_budget_at_wide_angles(module: Any, dual: Any) -> None:
    cases = measure_network(Evaluator(module, {}), dual, "float64", **CHOICE)
    assert {(c.kernel, c.region) for c in cases} == {
        (k, r) for k in ("nngp", "ntk") for r in ("near 0", "near pi", "duplicates", "antipodes")
    }
    wide = [c for c in cases if c.angle in (0.0, 1.0)]
    assert max(c.units("float64") for c in wide) < BUDGET


class Damaged:
    """The ReLU with one function replaced."""

    NAME, PARAMETERS = "damaged", {}

    def __init__(self, **functions: Any) -> None:
        self.nngp, self.ntk = functions.get("nngp", relu.nngp), functions.get("ntk", relu.ntk)


def _diagonal_off(X: Any, Y: Any = None, **network: Any) -> Any:
    result = relu.ntk(X, Y, **network)
    return result if Y is not None else result + 1e-10 * np.eye(len(X))


def _below_off(X: Any, Y: Any = None, **network: Any) -> Any:
    result = relu.ntk(X, Y, **network)
    return result if Y is not None else result * (1 - 1e-10 * np.tri(len(X), k=-1))


DAMAGE = {
    "theta without its first layer": {"ntk": lambda X, Y=None, **n: relu.ntk(X, Y, **n) - relu.nngp(X, Y, **n)},
    "one layer less": {"nngp": lambda X, Y=None, **n: relu.nngp(X, Y, **{**n, "depth": n["depth"] - 1})},
    "bias left out": {"nngp": lambda X, Y=None, **n: relu.nngp(X, Y, **{**n, "sigma_b": 0.0})},
    "weights not squared": {
        "nngp": lambda X, Y=None, **n: relu.nngp(X, Y, **{**n, "sigma_w": n["sigma_w"] ** 0.5})
    },
    "diagonal": {"ntk": _diagonal_off},
    "lower triangle": {"ntk": _below_off},
    "not a number": {"nngp": lambda X, Y=None, **n: relu.nngp(X, Y, **n) * np.nan},
    "wrong shape": {"ntk": lambda X, Y=None, **n: relu.ntk(X, Y, **n)[:1]},
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_caught(what: str) -> None:
    subject = Evaluator(Damaged(**DAMAGE[what]), {})  # type: ignore[arg-type]
    cases = measure_network(subject, arc_cosine, "float64", **(CHOICE | {"angles": (0.0, 1.0)}))
    assert max(case.units("float64") for case in cases) > 1e3 * BUDGET


def test_a_module_that_raises_is_named() -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("no")

    with pytest.raises(NumericError, match="ntk of damaged fails .*mehler generate"):
        measure_network(Evaluator(Damaged(ntk=fails), {}), arc_cosine, **CHOICE)  # type: ignore[arg-type]


def test_an_angle_below_the_spacing_is_left_out() -> None:
    cases = measure_network(RELU, arc_cosine, "float32", angles=(1.0, 1e-8), factors=(1.0,), depths=(1,))
    assert {case.angle for case in cases} == {1.0}


def test_the_worst_of_a_region_counts_and_nan_is_worst() -> None:
    cases = [Case("ntk", "0", 0.1, 1.0, 1, (1.0, 0.0), 1.0, mpf(1), e, 0.0) for e in (1e-16, float("inf"), 1e-15)]
    assert worst_by_region(cases, "float64")["ntk", "near 0"].error == float("inf")
