"""The measure itself, and that it catches evaluators damaged on purpose."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import mehler.generated
from mehler.numeric.evaluator import Evaluator, load_source
from mehler.numeric.precision.ulp import measure, regions, scaled_ulp

SOURCE = (Path(mehler.generated.__file__).parent / "relu.py").read_text(encoding="utf-8")
RELU = load_source(SOURCE, "relu.py")
BUDGET = RELU.BUDGETS["float64"]["kernel"]
REGIONS = [
    "bulk",
    "rho near 1",
    "rho near -1",
    "rho = +-1",
    "q1 << q2",
    "small q",
    "large q",
    "rho near +-1, q1 << q2",
]
DTYPES = [np.float64, np.float32]


def arc_cosine(q1: float, q2: float, c: float) -> tuple[Any, Any]:
    """(K, K̇) of the ReLU, typed in from Cho and Saul, with more digits than any cancellation here takes."""
    with mpmath.workdps(60):
        norm = mpmath.sqrt(mpf(q1) * mpf(q2))
        rho = min(max(mpf(c) / norm, mpf(-1)), mpf(1))
        opposite = mpmath.acos(-rho)
        k = norm * (mpmath.sqrt(1 - rho**2) + rho * opposite) / (2 * mpmath.pi)
        return k, opposite / (2 * mpmath.pi)


def _worst(source: str, dtype: Any = np.float64, points: int = 6) -> dict[str, float]:
    evaluator = Evaluator(load_source(source, "relu.py"), {})
    rows = measure(evaluator, arc_cosine, regions(dtype, 0, points), dtype)
    return {f"{row.function}, {row.region}": row.worst for row in rows}


def _damaged(old: str, new: str) -> str:
    assert old in SOURCE
    return SOURCE.replace(old, new)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_perfect_value_has_error_0(dtype: Any) -> None:
    value = dtype(0.7)
    assert scaled_ulp(value, mpf(float(value)), 1) == 0
    assert scaled_ulp(dtype(0), mpf(0), 1) == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1.5, 0.75, 3e-5, 7e9])
def test_the_next_float_is_one_unit_away(scale: float, dtype: Any) -> None:
    value = dtype(scale)
    following = np.nextafter(value, dtype(np.inf))
    assert scaled_ulp(following, mpf(float(value)), scale) == 1
    with mpmath.workdps(40):
        middle = (mpf(float(value)) + mpf(float(following))) / 2
    assert scaled_ulp(value, middle, scale) == scaled_ulp(following, middle, scale) == 0.5


def test_the_unit_is_that_of_the_scale_not_of_the_value() -> None:
    assert scaled_ulp(np.float64(1e-20), mpf(0), 1) == pytest.approx(1e-20 / 2.0**-52)
    assert scaled_ulp(np.float64(2.0**-52), mpf(0), 1) == 1
    assert scaled_ulp(np.float64(2.0**-52), mpf(0), 4) == 0.25
    assert scaled_ulp(np.float64(-(2.0**-52)), mpf(2) ** -52, 1) == 2


def test_exact_values_keep_their_digits() -> None:
    """A hundredth of a unit beyond the 53rd bit is not rounded away."""
    with mpmath.workdps(40):
        exact = 1 + mpf(2) ** -59
    assert scaled_ulp(np.float64(1), exact, 1) == 1 / 128


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_infinitely_wrong(value: float) -> None:
    assert scaled_ulp(np.float64(value), mpf(1), 1) == math.inf


def test_no_answer_is_right_where_the_scale_overflows() -> None:
    assert scaled_ulp(np.float32(np.inf), mpf(10) ** 39, mpf(10) ** 39) == 0
    assert scaled_ulp(np.float64(1e39), mpf(10) ** 39, mpf(10) ** 39) < 1


def test_below_the_normal_floats_the_unit_is_that_of_the_smallest_of_them() -> None:
    tiny = np.finfo(np.float64).tiny
    assert scaled_ulp(np.float64(tiny), mpf(0), 0) == tiny / np.spacing(tiny)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_regions_hold_points_of_their_kind(dtype: Any, seed: int) -> None:
    """Every number a float of the dtype, every covariance possible, exactly; and the angles as announced."""
    found = regions(dtype, seed, 12)
    assert [region.name for region in found] == REGIONS
    for region in found:
        assert len(region.points) == 12
        for point in region.points:
            assert all(float(dtype(v)) == v for v in point)
            q1, q2, c = (Fraction(v) for v in point)
            assert c * c <= q1 * q2
            assert Fraction("0.9e-6") <= min(q1, q2) <= max(q1, q2) <= Fraction("1.1e11")
            rho = float(c) / math.sqrt(q1 * q2)
            if region.name == "rho near +-1, q1 << q2":
                assert 0.98 < abs(rho) <= 1
            elif region.name == "rho = +-1":
                assert c * c == q1 * q2
            elif region.name == "rho near 1":
                assert 0.98 < rho <= 1
            elif region.name == "rho near -1":
                assert -1 <= rho < -0.98
            elif region.name == "q1 << q2":
                assert q1 * 10**5 < q2
            else:
                assert abs(rho) < 1
    assert regions(dtype, seed, 12) == found
    assert regions(dtype, seed + 1, 12) != found


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_committed_evaluator_keeps_its_budget(dtype: Any) -> None:
    worst = _worst(SOURCE, dtype, points=12)
    assert set(worst) == {f"{f}, {r}" for f in ("kernel", "kernel_dot") for r in REGIONS} | {
        "kernel_diag, rho = +-1",
        "kernel_dot_diag, rho = +-1",
    }
    assert max(worst.values()) <= BUDGET


K = "angle1 * rho + sin_theta"
ANGLE = "angle1 = np.arctan2(sin_theta, -rho)"
CONSTANT = "ONE_OVER_2_PI = 0.15915494309189535"
DAMAGE = {
    "a term is dropped": (K, "angle1 * rho", "kernel, bulk"),
    "a sign is flipped": (K, K.replace("+", "-"), "kernel, bulk"),
    "a constant is wrong in its 5th digit": (CONSTANT, "ONE_OVER_2_PI = 0.15916494309189535", "kernel, bulk"),
    "a constant is wrong by 3e-13": (CONSTANT, f"{CONSTANT} * (1 + 3e-13)", "kernel, bulk"),
    "a constant is rounded to 14 digits": (CONSTANT, "ONE_OVER_2_PI = 0.15915494309190", "kernel, bulk"),
    "the other branch of the angle": (ANGLE, "angle1 = np.arctan2(sin_theta, rho)", "kernel_dot, bulk"),
    "the angle from its cosine alone": (ANGLE, "angle1 = np.arccos(-rho)", "kernel_dot, rho near 1"),
    "the determinant without its error-free product": (
        "return (ab - cc) + (_product_error(a, b, ab) - _product_error(c, c, cc))",
        "return ab - cc",
        "kernel_dot, rho near -1",
    ),
    "one norm for both": ("np.sqrt(q1) * np.sqrt(q2)\n    angle1", "q1 + 0 * q2\n    angle1", "kernel, bulk"),
    "a wrong diagonal": ("k = 0.5 * q", "k = 0.5 * q * (1 + 1e-14)", "kernel_diag, rho = +-1"),
    "a wrong slope of the diagonal": ("full_like(q, 0.5)", "full_like(q, 0.25)", "kernel_dot_diag, rho = +-1"),
    "not a number": (K, f"{K} + np.where(sin_theta < 1e-3, np.nan, 0)", "kernel, rho near 1"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_caught(what: str) -> None:
    old, new, where = DAMAGE[what]
    worst = _worst(_damaged(old, new))
    assert worst[where] > BUDGET, worst


def test_the_determinant_needs_its_error_free_product() -> None:
    """Undone, the worst error grows by orders of magnitude: half of the digits are lost near the boundary."""
    old, new, _ = DAMAGE["the determinant without its error-free product"]
    assert max(_worst(_damaged(old, new)).values()) > 1e4 * max(_worst(SOURCE).values())
