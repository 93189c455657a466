"""Differences without subtraction: right in value, and in the digits where the plain difference has none."""

from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit.program import lower
from mehler.derive.special import Phi
from mehler.derive.stabilise.code import StraightLine
from mehler.derive.stabilise.difference import NoDifference, difference
from mehler.derive.stabilise.stage import stabilise
from mehler.derive.symbols import q1, q2

MP = mpmath.mp.clone()
MP.dps = 60
DOUBLE = mpmath.mp.clone()
DOUBLE.prec = 53

A, D = sp.symbols("A D", positive=True)

FORMULAS = [
    q1 * q2 + 3,
    sp.sqrt(1 + q1) * q2,
    q1 ** sp.Rational(5, 2),
    1 / (1 + q1),
    (1 + q1) ** sp.Rational(-3, 2),
    sp.exp(-q1 * q2),
    sp.atan(q1 / 3),
    sp.atan2(q1, 1 + q2),
    sp.exp(-q1) / (1 + sp.sqrt(q1) * q2),
]


@pytest.mark.parametrize("expr", FORMULAS, ids=str)
def test_a_difference_is_the_difference(expr: sp.Expr, run: Callable[..., list[Any]]) -> None:
    """At a distance of 1e-20, where doubles see none: every digit is right."""
    there, gap = difference(expr, {q1: (A, D)})
    code = lower(StraightLine((q1, q2, A, D), (), (there, gap)))
    point = {"q1": MP.mpf(2), "q2": MP.mpf(5) / 4, "D": MP.ldexp(1, -66)}
    point["A"] = point["q1"] + point["D"]
    plain = lower(StraightLine((q1, q2), (), (expr,)))
    after, before = (run(plain, {"q1": point[s], "q2": point["q2"]}, MP)[0] for s in ("A", "q1"))
    doubles = {name: DOUBLE.mpf(value) for name, value in point.items()}
    assert abs(run(code, point, MP)[0] - after) < MP.mpf(10) ** -50
    assert abs(MP.mpf(run(code, doubles, DOUBLE)[1]) / (after - before) - 1) < 16 * MP.ldexp(1, -53)


def test_what_does_not_move_has_no_difference() -> None:
    assert difference(sp.exp(q2), {q1: (A, D)}) == (sp.exp(q2), 0)


def test_a_function_without_a_rule_is_said_to_have_none() -> None:
    with pytest.raises(NoDifference):
        difference(Phi(q1), {q1: (A, D)})


@pytest.mark.parametrize("name", ["relu", "abs", "erf", "gelu", "gaussian", "sin", "probit", "sign"])
@pytest.mark.parametrize("variances", [("2", "2"), ("2", "2.000001"), ("0.5", "3")], ids=str)
def test_the_falls_have_their_digits(
    name: str, variances: tuple[str, str], derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]
) -> None:
    """√(K11 K22) − K, and that of K', in 53 bits against 60 digits, from right angles to 1e-9."""
    stable = stabilise(derive(name))
    assert stable.falls is not None
    pair, diagonal, falls = (lower(code) for code in (stable.pair, stable.diagonal, stable.falls))
    v1, v2 = (MP.mpf(v) for v in variances)
    for angle in ("1.5", "0.3", "1e-3", "1e-6", "1e-9"):
        theta = MP.mpf(angle)
        state = {"q1": v1, "q2": v2, "c": MP.sqrt(v1 * v2) * MP.cos(theta)}
        state |= {"rho": MP.cos(theta), "sin_theta": MP.sin(theta)}
        (k1, d1), (k2, d2) = (run(diagonal, {"q": v}, MP) for v in (v1, v2))
        sizes = MP.sqrt(k1 * k2), MP.sqrt(d1 * d2)
        exact = [size - value for size, value in zip(sizes, run(pair, state, MP), strict=True)]
        ends = {"k1": k1, "k2": k2, "d1": d1, "d2": d2}
        rounded = {key: DOUBLE.mpf(v) for key, v in (state | ends).items()}
        for value, right, size in zip(run(falls, rounded, DOUBLE), exact, sizes, strict=True):
            # Variances that differ are known to eps of themselves, and so is the square of their difference.
            assert abs(MP.mpf(value) - right) <= MP.ldexp(1, -50) * size * (theta + abs(v1 - v2))


def test_variances_of_every_size_where_the_outputs_are_of_one_size(
    derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]
) -> None:
    test_the_falls_have_their_digits("rff", ("1e-6", "3"), derive, run)


def test_undone_the_digits_are_lost(derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]) -> None:
    """√(K11 K22) − K by subtraction of the same module's values has none left at an angle of 1e-9."""
    stable = stabilise(derive("relu"))
    assert stable.falls is not None
    theta = MP.mpf("1e-9")
    exact = theta**2 / 4 * 2  # of (sin θ + (π − θ) cos θ)/2π at q = 2, to the order of θ
    state = {"q1": 2, "q2": 2, "c": 2 * MP.cos(theta), "rho": MP.cos(theta), "sin_theta": MP.sin(theta)}
    rounded = {key: DOUBLE.mpf(v) for key, v in (state | {"k1": 1, "k2": 1, "d1": 0.5, "d2": 0.5}).items()}
    subtracted = 1 - MP.mpf(run(lower(stable.pair), rounded, DOUBLE)[0])
    kept = MP.mpf(run(lower(stable.falls), rounded, DOUBLE)[0])
    assert abs(subtracted / exact - 1) > 0.5
    assert abs(kept / exact - 1) < 1e-6
