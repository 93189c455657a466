"""Exponentials beside Φ and Φ₂ as one operation: the same value, and no overflow or cancellation in floats."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy.special import ndtr

from mehler.derive.dual import ProvedDual
from mehler.derive.emit.normal import HELPERS, SPECIAL
from mehler.derive.emit.program import lower
from mehler.derive.normal import phi2_value
from mehler.derive.special import Phi, Phi2
from mehler.derive.stabilise.code import share
from mehler.derive.stabilise.stage import stabilise
from mehler.derive.stabilise.tails import ROOTS, Gap, ScaledPhi, ScaledPhi2, gaps, reduced, sizes, terms
from mehler.derive.symbols import Delta, c, q1, q2, rho, sin_theta

MP = mpmath.mp.clone()
MP.dps = 40
r1, r2 = sp.sqrt(q1), sp.sqrt(q2)

FORMULAS = [
    sp.exp(q1 / 2) * Phi2(-r1, -c / r2, c / (r1 * r2)),
    sp.exp(c + q1 / 2 + q2 / 2) * Phi2((-c - q1) / r1, (-c - q2) / r2, c / (r1 * r2)),
    c * Phi2(-1 / r1, 2 / r2, -c / (r1 * r2)) - sp.exp(-1 / (2 * q1)) * Phi((c - q1) / (sp.sqrt(Delta) * r1)),
    sp.sqrt(Delta) * sp.exp(-1 / (2 * q1)) * sp.exp(-((c + q1) ** 2) / (2 * Delta * q1)),
    Phi2(1 / sp.sqrt(2 * q1 + 1), 1 / sp.sqrt(2 * q2 + 1), 2 * c / sp.sqrt((2 * q1 + 1) * (2 * q2 + 1))),
]


@pytest.fixture(scope="module")
def helpers() -> dict[str, Any]:
    """The helper functions of a generated module."""
    texts = dict.fromkeys(text for parts in HELPERS.values() for text in parts)
    names: dict[str, Any] = {}
    exec(f"import numpy as np\nfrom scipy.special import {', '.join(SPECIAL)}\n" + "".join(texts), names)
    return names


@pytest.mark.parametrize("formula", FORMULAS, ids=str)
def test_the_scaled_form_has_the_same_value(
    formula: sp.Expr, points: list[Any], value: Callable[..., Any], run: Callable[..., list[Any]]
) -> None:
    plain, scaled = terms(formula)
    assert plain == 0
    code = lower(share((q1, q2, c, rho, sin_theta), [sp.Add(*scaled)], ROOTS))
    for point in points:
        inputs = {s.name: MP.mpf(str(sp.N(point[s], 45))) for s in (q1, q2, c)}
        norm = MP.sqrt(inputs["q1"] * inputs["q2"])
        inputs |= {"rho": inputs["c"] / norm, "sin_theta": MP.sqrt(MP.mpf(str(sp.N(point[Delta], 45)))) / norm}
        assert abs(run(code, inputs, MP)[0] - value(formula, point)) < MP.mpf("1e-28")


def test_the_exponents_of_the_theorem_vanish() -> None:
    """For tilted Gaussians with a knot at the origin, E − Q/2 = 0, and p is a multiple of sin θ."""
    for formula in FORMULAS[:2]:
        (scaled,) = terms(formula)[1]
        assert isinstance(scaled, ScaledPhi2)
        assert scaled.args[4] == scaled.args[8] == 0
        assert all(p.subs(sin_theta, 0) == 0 for p in (scaled.args[2], scaled.args[6]))
    (scaled,) = terms(sp.exp(2 * q1) * Phi(-2 * r1))[1]
    assert isinstance(scaled, ScaledPhi)
    assert scaled.args[1] == 0


def test_a_term_is_never_larger_than_its_size() -> None:
    """Sums count with all their parts, but not where that would make a quotient smaller."""
    point = {q1: 3, q2: sp.Rational(7, 2), c: sp.Rational(-5, 2)}
    for term in (c * q1 + c + q1 * q2 + q1, (c * q2 + q1 + 1) ** 2 * q1, q2 / (c + q1 + 1 - q2), (c + q1) * q2):
        value, size = term.subs(point), sizes(term).subs(point)
        assert size >= abs(value)
    assert sizes(c * q1 + c + q1 * q2 + q1).subs(point) == sp.Rational(47, 2)  # 7.5 + 2.5 + 10.5 + 3, for 3.5
    assert sizes((c + q1) * q2).subs(point) == abs(((c + q1) * q2).subs(point))


def test_differences_are_written_out() -> None:
    assert gaps(reduced((c - q1) / r1)).has(Gap)
    assert gaps(reduced(q1 - 2 * c + q2)).has(Gap)
    assert not gaps(reduced(q1 + q2)).has(Gap)


def test_a_growing_exponential_cancels_in_its_operation(helpers: dict[str, Any]) -> None:
    """Undo the rule, and e^{2q} Φ(−2√q) is overflow times underflow."""
    q = np.array([1e-3, 1.0, 100.0, 400.0, 1e150])
    exact = [float(MP.erfc(MP.sqrt(2 * MP.mpf(v))) * MP.exp(2 * MP.mpf(v)) / 2) for v in q[:-1]]
    scaled = helpers["scaled_phi"](2 * q, 0.0, -2 * np.sqrt(q))
    np.testing.assert_allclose(scaled[:-1], exact, rtol=1e-15)
    assert 0 < scaled[-1] < 1e-70
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(np.exp(2 * q[3]) * ndtr(-2 * np.sqrt(q[3])))


@pytest.mark.parametrize("r", [-0.9999, -0.5, 0.3, 0.99, 1 - 1e-12])
def test_two_sectors_make_a_quadrant(r: float, helpers: dict[str, Any]) -> None:
    """e^{Q/2} Φ₂ is a sum of positive numbers where h, k < 0: relatively accurate for every correlation."""
    for h, k in [(-0.2, -0.1), (-1.0, -1.5), (-3.0, -2.9), (-30.0, -29.0), (-1e-3, -20.0)]:
        with MP.workdps(60):
            s = MP.sqrt(1 - MP.mpf(r) ** 2)
            p, p_k = ((k - r * MP.mpf(h)) / s, (h - r * MP.mpf(k)) / s)
            half = (MP.mpf(h) ** 2 + p * p) / 2
            rest = [half - MP.mpf(x) ** 2 / 2 for x in (h, k)]
            if half > 1000:
                continue
            exact = float(phi2_value(MP, MP.mpf(h), MP.mpf(k), MP.mpf(r)) * MP.exp(half))
        args = (np.array([float(x)]) for x in (half, h, p, rest[0], 0, k, p_k, rest[1], 0))
        np.testing.assert_allclose(helpers["scaled_phi2"](*args), [exact], rtol=2e-14)


def test_a_difference_near_the_pole(helpers: dict[str, Any]) -> None:
    """√A − ρ√B keeps its digits near ρ = 1; undone, it loses half of them."""
    a, b, sin = 0.3, 0.30000000001, 1e-7
    cos = float(MP.sqrt(1 - MP.mpf(sin) ** 2))
    exact = MP.sqrt(MP.mpf(a)) - MP.sqrt(1 - MP.mpf(sin) ** 2) * MP.sqrt(MP.mpf(b))
    kept = float(helpers["gap"](np.array(a), np.array(b), np.array(cos), np.array(sin)))
    assert abs(kept / exact - 1) < 1e-15
    assert abs((np.sqrt(a) - cos * np.sqrt(b)) / exact - 1) > 1e-7


@pytest.mark.parametrize("name", ["elu", "hard_tanh"])
def test_sizes_bound_the_sums(name: str, derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]) -> None:
    pair = lower(stabilise(derive(name)).pair)
    values = {
        "q1": MP.mpf(2),
        "q2": MP.mpf(1) / 2,
        "c": MP.mpf(3) / 5,
        "rho": MP.mpf(3) / 5,
        "sin_theta": MP.mpf(4) / 5,
    }
    k, k_dot, size, size_dot = run(pair, values | {"a": MP.one}, MP)
    assert abs(k) <= size * (1 + MP.eps * 100)
    assert abs(k_dot) <= size_dot * (1 + MP.eps * 100)
