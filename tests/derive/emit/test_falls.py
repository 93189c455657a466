"""Nearly parallel inputs of ELU's kind: √(k1 k2) − K and √(d1 d2) − K̇ beside their formulas in many digits."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from mehler.derive.pipeline import derive_dual
from mehler.exact import Formula

Module = Callable[[str], Any]
ON_THE_RIGHT = "where(x > 0, 1 - exp(-2*x), 3*x)"
ANGLES = (0.45, 1e-2, 1e-7)
VARIANCES = [(1e-12, 1e-12), (1e-3, 0.02), (0.7, 0.7), (1.0, 0.09), (10.0, 11.0), (50.0, 1e-6), (300.0, 299.0)]


def worst(name: str, code: Any, variances: Any = VARIANCES, angles: Any = ANGLES) -> float:
    """The largest error, relative to the falls, in units that rounding of unequal variances explains.

    A fall is felt as its root, an angle: where unequal norms make it, their rounding is eps times that.
    """
    exact, errors = Formula(derive_dual(name)).at_working_precision, []
    for q1, q2 in variances:
        for angle in angles:
            with mpmath.workdps(120 + int(max(q1, q2))):
                one, two, turn = mpmath.mpf(q1), mpmath.mpf(q2), mpmath.mpf(angle)
                c = mpmath.sqrt(one * two) * mpmath.cos(turn)
                (k1, d1), (k2, d2), values = exact(one, one, one), exact(two, two, two), exact(one, two, c)
                given = (one, two, c, mpmath.cos(turn), mpmath.sin(turn), k1, k2, d1, d2)
                found = code.falls(*(np.array([float(v)]) for v in given))
                sizes = mpmath.sqrt(k1 * k2), mpmath.sqrt(d1 * d2)
                for fall, value, size in zip(found, values, sizes, strict=True):
                    right = size - value
                    unequal = 0 if q1 == q2 else mpmath.sqrt(right * size)
                    errors.append(float(abs(mpmath.mpf(float(fall[0])) - right) / (right + unequal)))
    return max(errors)


@pytest.mark.parametrize(
    "name", ["elu", *(pytest.param(n, marks=pytest.mark.slow) for n in ("selu", ON_THE_RIGHT))]
)
def test_falls_have_their_digits(name: str, module: Module) -> None:
    assert worst(name, module(name)) <= 1e-15


def test_layers_of_large_variances_are_resolved(module: Module) -> None:
    """A plain rule there loses digits."""
    code = module("elu")
    code.namespace["layers"] = lambda *_: (
        code.namespace["FLAT1"][0],
        1 - code.namespace["FLAT1"][0],
        code.FLAT1[1],
    )
    assert worst("elu", code, [(300.0, 300.0)], (0.45,)) > 1e-12


def test_norms_that_differ_are_felt(module: Module) -> None:
    code = module("elu")
    code.namespace["parallel_gaps"] = lambda q1, *_, **__: np.zeros((2, len(q1)))
    assert worst("elu", code, [(1.0, 0.09)]) > 1e-2


def test_extremes_are_finite_and_small(module: Module) -> None:
    code = module("elu")
    for q in (1e-300, 1e-20, 1.0, 1e20, 1e150):
        k, d = (v[0] for v in code.diagonal(np.array([q])))
        state = q, q, q * np.cos(1e-3), np.cos(1e-3), np.sin(1e-3), k, k, d, d
        fall, fall_dot = code.falls(*(np.array([v]) for v in state))
        assert 0 <= fall[0] <= 1e-6 * k
        assert 0 <= fall_dot[0] <= 1e-3 * d
        with np.errstate(over="ignore"):
            assert np.isfinite(code.falls(*(np.array([v]) for v in (q, 1.0, 0.0, 1.0, 0.0, k, 1.0, d, 1.0)))).all()
