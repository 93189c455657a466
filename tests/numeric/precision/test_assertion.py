"""assert_accurate on functions and on modules, passing and failing."""

from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest

from mehler.generated import leaky_relu, relu
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision import assert_accurate, budget
from mehler.numeric.precision.oracle import Oracle
from mehler.numeric.precision.points import Region

POINTS = [(1.0, 1.0, 0.5), (2.0, 2.0, 2.0), (0.5, 3.0, -1.0)]


def product(q1: Any, q2: Any, c: Any) -> Any:
    return 9 * q1 * q2 * c + 6 * c**3


def exact(q1: Any, q2: Any, c: Any) -> Any:
    with mpmath.workdps(60):
        q1, q2, c = map(mpmath.mpf, (q1, q2, c))
        return 9 * q1 * q2 * c + 6 * c**3


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("metric", ["scaled", "ulp"])
def test_a_function_within_its_budget(dtype: str, metric: str) -> None:
    assert 0 < assert_accurate(product, exact, 4, dtype=dtype, metric=metric) < 4
    assert (
        assert_accurate(product, exact, 4, points=[Region("mine", tuple(POINTS))], dtype=dtype, metric=metric) < 4
    )


def test_a_module_with_the_oracle() -> None:
    oracle = Oracle("max(0, x)", digits=20)
    limits = {f: budget(relu, "float64", f) for f in ("kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag")}
    assert 0 <= assert_accurate(relu, oracle, limits, points=POINTS) <= max(limits.values())


def test_an_evaluator_has_its_parameters() -> None:
    subject = Evaluator(leaky_relu, {"a": 0.25})
    assert_accurate(subject, Oracle("max(x, x/4)", digits=20), 8, points=POINTS)
    with pytest.raises(AssertionError):
        assert_accurate(subject, Oracle("max(x, x/100)", digits=20), 8, points=POINTS)


def test_a_failure_names_all() -> None:
    def cubed(q1: Any, q2: Any, c: Any) -> Any:
        return product(q1, q2, c) * (1 + 1e-12)

    with pytest.raises(AssertionError) as caught:
        assert_accurate(cubed, exact, 8, points=POINTS)
    text = str(caught.value)
    for part in ("cubed", "(1.0, 1.0, 0.5)", "float64", "computed", "5.25", "scaled ulp", "budget 8"):
        assert part in text
    assert "\n" not in text


@pytest.mark.parametrize("function", ["kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag"])
def test_each_function_of_a_module_is_tested(function: str) -> None:
    functions = {f: getattr(relu, f) for f in ("kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag")}
    whole = functions[function]
    damaged = SimpleNamespace(**functions | {function: lambda *q: whole(*q) * (1 + 1e-13)})
    with pytest.raises(AssertionError, match=f"^{function} at"):
        assert_accurate(damaged, Oracle("relu", digits=20), 8, points=POINTS)


def test_nan_fails() -> None:
    with pytest.raises(AssertionError, match="error inf"):
        assert_accurate(lambda q1, q2, c: q1 * np.nan, exact, 1e300, points=POINTS)


def test_a_function_alone_is_that_of_the_kernel() -> None:
    kernel = Oracle("relu", digits=20).kernel
    damaged = SimpleNamespace(kernel=relu.kernel, kernel_diag=relu.kernel_diag, kernel_dot=lambda *_: 0)
    assert_accurate(damaged, kernel, 8, points=POINTS)


def test_bad_arguments_are_refused() -> None:
    for arguments, fault in [
        ((product, exact, 8, {"metric": "bits"}), "use 'scaled' or 'ulp'"),
        ((product, Oracle("relu", digits=10), 8, {}), "give both"),
        ((product, exact, 8, {"points": [(1, 1, 2)]}), "not a covariance"),
    ]:
        *positional, keywords = arguments
        with pytest.raises(NumericError, match=fault):
            assert_accurate(*positional, **keywords)
