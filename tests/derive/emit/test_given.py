"""What the functions of a generated module make of numbers that no pair has: NaN, in every module alike."""

import math
from typing import Any

import numpy as np
import pytest

from mehler.derive.pipeline import generate
from mehler.numeric.evaluator import load_source

NAN, INSIDE = math.nan, (1.0, 2.0, 0.5)


@pytest.fixture(scope="module", params=["sign(x)", "max(0, x)", "erf(x)"])
def module(request: pytest.FixtureRequest) -> Any:
    return load_source(generate(request.param, name="mine"), "mine")


@pytest.mark.parametrize(
    "given",
    [
        (NAN, 1.0, 0.5),
        (1.0, NAN, 0.5),
        (1.0, 1.0, NAN),
        (1.0, 1.0, 1.5),
        (1.0, 4.0, -2.1),
        (-1.0, 1.0, 0.0),
        (0.0, 1.0, 0.5),
    ],
)
def test_no_pair_gives_nan(module: Any, given: tuple[float, float, float]) -> None:
    for function in (module.kernel, module.kernel_dot):
        with np.errstate(invalid="ignore"):  # as NumPy says of the root of a negative number
            assert math.isnan(function(*given))
            mixed = function(*(np.array(both) for both in zip(given, INSIDE, strict=True)))
        assert math.isnan(mixed[0])
        assert mixed[1] == function(*INSIDE)


@pytest.mark.parametrize("q", [NAN, -1.0])
def test_no_variance_gives_nan(module: Any, q: float) -> None:
    with np.errstate(invalid="ignore"):
        assert math.isnan(module.kernel_diag(q))
        assert math.isnan(module.kernel_dot_diag(np.array([1.0, q]))[1])


@pytest.mark.parametrize("q", [1e-300, 3e-12, 1.0, 7e40])
def test_a_covariance_that_is_rounded_is_one(module: Any, q: float) -> None:
    rounded = np.nextafter(q, np.inf)
    assert module.kernel(q, q, rounded) == pytest.approx(module.kernel(q, q, q), rel=1e-12)
    assert np.isfinite(module.kernel_dot(q, q, -rounded))
