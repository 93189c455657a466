"""Nearly parallel inputs of piecewise polynomials: √(k1 k2) − K and √(d1 d2) − K̇ beside formulas in many digits."""

from collections.abc import Callable
from string import Template
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest

from mehler.derive.emit.close_pairs import PRICE
from mehler.derive.pipeline import derive_dual
from mehler.exact import Formula

Module = Callable[[str], Any]
ANGLES = (0.45, 1e-3, 1e-8)
VARIANCES = [(0.02, 0.02), (1.0, 1.000001), (40.0, 40.0), (3e4, 2.9e4)]


def worst(name: str, code: Any, variances: Any = VARIANCES, angles: Any = ANGLES) -> float:
    """The largest error of a fall, in units of itself and, for unequal variances, of what their rounding makes.

    That is felt as an angle by K, and by K̇ as the part of it that lies between two knots.
    """
    exact, errors = Formula(derive_dual(name)).at_working_precision, []
    for q1, q2 in variances:
        for angle in angles:
            with mpmath.workdps(90):
                one, two, turn = mpmath.mpf(q1), mpmath.mpf(q2), mpmath.mpf(angle)
                c = mpmath.sqrt(one * two) * mpmath.cos(turn)
                (k1, d1), (k2, d2), values = exact(one, one, one), exact(two, two, two), exact(one, two, c)
                given = (one, two, c, mpmath.cos(turn), mpmath.sin(turn), k1, k2, d1, d2)
                found = code.falls(*(np.array([float(v)]) for v in given))
                sizes = mpmath.sqrt(k1 * k2), mpmath.sqrt(d1 * d2)
                for n, (fall, value, size) in enumerate(zip(found, values, sizes, strict=True)):
                    right = size - value
                    unequal = 0 if q1 == q2 else size if n else mpmath.sqrt(right * size)
                    errors.append(float(abs(mpmath.mpf(float(fall[0])) - right) / (right + unequal)))
    return max(errors)


@pytest.mark.parametrize(
    "name", ["hard_tanh", *(pytest.param(n, marks=pytest.mark.slow) for n in ("hard_swish", "hardshrink"))]
)
def test_falls_have_their_digits(name: str, module: Module) -> None:
    assert worst(name, module(name)) <= 2e-15


def test_a_rule_of_five_nodes_loses_digits(module: Module) -> None:
    """Price's integral, and a subtraction: what was taken before there was a form of its own."""
    code = module("hard_tanh")
    names = {"np": np, "pair": code.pair}
    exec(Template(PRICE).substitute(signature="", keywords="", rounding="4e-15"), names)
    old = SimpleNamespace(falls=names["falls"])
    assert worst("hard_tanh", old, [(1.0, 1.0)], (1e-3,)) > 1e-13
    assert worst("hard_tanh", old, [(1.0, 1.0 + 1e-6)], (1e-3,)) > 1e-13
    assert worst("hard_tanh", code, [(1.0, 1.0), (1.0, 1.0 + 1e-6)], (1e-3,)) <= 2e-15


def test_panels_halve_where_two_knots_are_near(module: Module) -> None:
    code = module("hard_tanh")
    whole = code.bends
    code.namespace["bends"] = lambda angle, state, halvings, wide: whole(angle, state, 0, wide)
    assert worst("hard_tanh", code, [(1.0, 1.02), (3e4, 3e4)], (0.45, 1e-2)) > 1e-12


def test_norms_that_differ_are_felt(module: Module) -> None:
    code = module("hard_tanh")
    code.namespace["parallel_gaps"] = lambda q1, *_, **__: np.zeros((2, len(q1)))
    assert worst("hard_tanh", code, [(1.0, 0.3)], (1e-3,)) > 1e-2


def test_extremes_are_finite_and_small(module: Module) -> None:
    code = module("hard_tanh")
    for q in (1e-300, 1e-20, 1.0, 1e20, 1e150):
        k, d = (v[0] for v in code.diagonal(np.array([q])))
        state = q, q, q * np.cos(1e-3), np.cos(1e-3), np.sin(1e-3), k, k, d, d
        fall, fall_dot = code.falls(*(np.array([v]) for v in state))
        assert 0 <= fall[0] <= 1e-3 * k
        assert 0 <= fall_dot[0] <= d
        with np.errstate(over="ignore"):
            assert np.isfinite(code.falls(*(np.array([v]) for v in (q, 1.0, 0.0, 1.0, 0.0, k, 1.0, d, 1.0)))).all()


@pytest.mark.parametrize("apart", [1e-8, 1e-6, 1e-4])
def test_close_rows_of_unlike_norms(apart: float, module: Module) -> None:
    """A kernel beside its recursion in 50 digits: by Price's integral it lost half of its own."""
    X = np.random.default_rng(3).standard_normal((2, 4))
    X[1] = X[0] * (1 + apart) + apart * X[1]
    exact = Formula(derive_dual("hard_tanh")).at_working_precision
    with mpmath.workdps(50):
        w2, b2 = mpmath.mpf(1.5) ** 2, mpmath.mpf(0.1) ** 2
        rows = [[mpmath.mpf(float(v)) for v in row] for row in X]
        sigma = [w2 * mpmath.fdot(rows[i], rows[j]) / 4 + b2 for i, j in ((0, 0), (1, 1), (0, 1))]
        theta = list(sigma)
        for _ in range(2):
            values = [exact(*sigma[:1] * 3), exact(*sigma[1:2] * 3), exact(*sigma)]
            sigma = [w2 * k + b2 for k, _ in values]
            theta = [s + w2 * d * t for s, (_, d), t in zip(sigma, values, theta, strict=True)]
        right = theta[2]
    K = module("hard_tanh").ntk(X, depth=2, sigma_w=1.5, sigma_b=0.1)
    assert abs(K[0, 1] - float(right)) <= 4 * np.spacing(K[0, 1])
