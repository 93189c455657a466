"""Generated kernels with Φ in them are right in scaled units where their closed forms cancel."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from mehler.numeric.precision.oracle import Oracle

POINTS = [
    (1.0, 2.0, 0.3), (0.3, 0.3, 0.3 * (1 - 2.0**-50)), (0.3, 0.3, -0.3 * (1 - 2.0**-50)), (4.0, 1.0, 2.0),
    (1e-5, 2e-5, 1e-5), (1e-12, 1e-12, -5e-13), (2e3, 5e4, -3e3), (1e5, 1e5, 1e5), (1e10, 3e9, 2e9),
    (1e-4, 1e4, 0.5), (0.5, 3.0, -1.0),
]  # fmt: skip

LIFTED = "where(x > 1, 0, exp(x) - 1)"


@pytest.mark.parametrize("name", ["elu", "erf(x + 1)"])
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_scaled_errors_are_small(
    name: str, point: tuple[float, float, float], module: Callable[[str], Any], scaled_ulp: Callable[..., float]
) -> None:
    arrays = [np.array([v]) for v in point]
    for n, function in enumerate((module(name).kernel, module(name).kernel_dot)):
        assert scaled_ulp(name, point, n, float(function(*arrays)[0])) <= 32


# Where coefficients of Φ₂ cancel, tails are exponential or algebraic, and angles are 0 beside large variances.
WIDE = [
    (0.47, 0.47, 0.47 * (1 - 2.0**-43)), (2e-5, 7e5, -8e-4), (60.0, 60.0, -60.0), (2.0**-8, 1e4, 6.25),
    (1e30, 1e30, 1e30),
]  # fmt: skip


@pytest.mark.parametrize("name", ["relu(x)*exp(-abs(x))", pytest.param("1/(1 + x**2)", marks=pytest.mark.slow)])
def test_everywhere(name: str, module: Callable[[str], Any], scaled_ulp: Callable[..., float]) -> None:
    for point in WIDE[: 2 if "**" in name else None]:
        arrays = [np.array([v]) for v in point]
        for n, function in enumerate((module(name).kernel, module(name).kernel_dot)):
            assert scaled_ulp(name, point, n, float(function(*arrays)[0])) <= 32, point


@pytest.mark.slow
def test_what_is_neither_summed_nor_known_is_an_error(module: Callable[[str], Any]) -> None:
    """sin(x)/x far out turns faster than panels; it was wrong by its own size."""
    q1, q2, c = (np.array([v]) for v in (1e-6, 1e5, 0.01))
    with pytest.raises(ValueError, match="too wild for sums at variances over"):
        module("sin(x)/x").kernel(q1, q2, c)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_numbers_are_as_good_as_arrays(point: tuple[float, float, float], module: Callable[[str], Any]) -> None:
    code, arrays = module("erf(x + 1)"), [np.array([v]) for v in point]
    for function in (code.kernel, code.kernel_dot):
        assert float(function(*point)) == float(function(*arrays)[0])
    for function in (code.kernel_diag, code.kernel_dot_diag):
        assert float(function(point[0])) == float(function(arrays[0])[0])


def test_the_closed_form_alone_loses_them(module: Callable[[str], Any], scaled_ulp: Callable[..., float]) -> None:
    """Undo the rescue: K is a sum of O(1) terms at small q."""
    code, point = module(LIFTED), (1e-5, 2e-5, 1e-5)
    arrays = [np.array([v]) for v in point]
    value = code.pair_terms(*arrays, *code.polar(*arrays))[0][0]
    assert scaled_ulp(LIFTED, point, 0, float(value)) > 100


def test_extremes_are_finite(module: Callable[[str], Any]) -> None:
    sizes = np.array([0.0, 1e-300, 1e-20, 1.0, 1e20, 1e150])
    q1, q2 = sizes[:, None], sizes[None, :]
    for name in ("elu", "hard_tanh"):
        for rho in (-1.0, -0.5, 0.0, 0.9, 1.0):
            k, k_dot = (
                f(q1, q2, rho * np.sqrt(q1) * np.sqrt(q2)) for f in (module(name).kernel, module(name).kernel_dot)
            )
            assert np.all(np.isfinite(k))
            assert np.all(np.isfinite(k_dot))


def test_rows_and_columns_broadcast(module: Callable[[str], Any]) -> None:
    """A Gram matrix holds the values of its pairs, rescued ones among them."""
    code = module("elu")
    q1, q2 = np.array([0.1, 3.0, 50.0])[:, None], np.array([1e-6, 20.0])[None, :]
    c = 0.3 * np.sqrt(q1) * np.sqrt(q2)
    full = code.kernel(q1, q2, c)
    single = [[code.kernel(q1[i], q2[:, j], c[i, j : j + 1])[0] for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(full, single, rtol=1e-15)


# A polynomial times a wave: at large variances a formula in cosh(c) and sinh(c) loses as many digits as q has,
# at small ones the exponentials do.
WAVES = [
    "x*sin(x)",
    *(
        pytest.param(text, marks=pytest.mark.slow)
        for text in (
            "x*cos(x)", "(x + 1)*cos(x)", "x*cos(3*x/2)", "x*sinh(x)", "x**2*sin(x)", "(x**2 - x)*cos(2*x + 1)",
            "x*sin(x)*cos(2*x)", "x*exp(x)", "x*cosh(x/2) - sin(x)",
        )
    ),
]  # fmt: skip
WAVE_POINTS = [
    (2.0, 0.5, -0.4), (3.0, 3.0, 3.0 * (1 - 2.0**-20)), (0.01, 0.02, 0.01), (2.25, 1.0, 1.5),
    (3.0, 3.0, -3.0 * (1 - 2.0**-40)), (0.001, 2.0, -0.04), (25.0, 20.0, 22.0), (25.0, 25.0, 25.0),
]  # fmt: skip


@pytest.mark.parametrize("text", WAVES)
def test_a_polynomial_times_a_wave(text: str, module: Callable[[str], Any]) -> None:
    code, oracle = module(text), Oracle(text, {}, 18)
    for q1, q2, c in WAVE_POINTS[: 4 if text == "x*sin(x)" else None]:
        ends = [oracle.diagonal(q) for q in (q1, q2)]
        for n, exact in enumerate(oracle.both(q1, q2, c)):
            value = (code.kernel, code.kernel_dot)[n](*(np.array([v]) for v in (q1, q2, c)))[0]
            unit = np.spacing(float(mpmath.sqrt(ends[0][n] * ends[1][n])))
            assert abs(mpmath.mpf(float(value)) - exact) <= 8 * unit, (q1, q2, c, n)


def test_a_polynomial_times_a_wave_keeps_its_digits_at_large_variances(
    module: Callable[[str], Any], scaled_ulp: Callable[..., float]
) -> None:
    code = module("x*sin(x)")
    for point in ((1e4, 1e4, 1e4 - 1), (1e6, 1e6 + 1500, 1e6), (1e12, 1e12, -1e12), (1e150, 1e150, 5e149)):
        for n, function in enumerate((code.kernel, code.kernel_dot)):
            assert scaled_ulp("x*sin(x)", point, n, float(function(*(np.array([v]) for v in point))[0])) <= 4
