"""Sums in polar coordinates: beside the oracle where tables end, whatever the order in which pairs come."""

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from mehler.derive.emit import expectations, polar_sums, tables
from mehler.derive.pipeline import derive_dual
from mehler.numeric.precision.oracle import Oracle

# Beyond tables: unscaled pixels, tiny rows, both at once; near to, and at, the poles.
POINTS = [
    (4e4, 6e4, 0.7),
    (2e-7, 1e-6, -0.4),
    (3e-6, 5e3, 0.2),
    (2e4, 2e4, 1 - 1e-9),
    (1e-6, 4e-6, 1.0),
    (9e3, 4e3, -1.0),
]


@cache
def module(text: str) -> dict[str, Any]:
    dual = derive_dual(text)
    functions = expectations.resolving(dual)[1] + tables.SUMS
    polar = polar_sums.text(dual, functions)
    assert polar
    scope = expectations.namespace(dual, functions + polar)
    scope["_known"] = lambda function, *arguments: function(*arguments)
    return scope


@pytest.mark.parametrize(
    "text",
    [
        "tanh(x)",
        *(
            pytest.param(t, marks=pytest.mark.slow)
            for t in ("x*sigmoid(x)", "x/(1 + abs(x))", "where(x > 0, x, tanh(x))")
        ),
    ],
)
def test_beside_the_oracle(text: str) -> None:
    oracle, scope = Oracle(text, digits=18), module(text)
    for q1, q2, rho in POINTS:
        c = float(np.sqrt(q1 * q2) * rho)
        while Fraction(c) ** 2 > Fraction(q1) * Fraction(q2):
            c = float(np.nextafter(c, 0))
        det = Fraction(q1) * Fraction(q2) - Fraction(c) ** 2
        norm = np.sqrt(q1 * q2)
        pair = [np.array([v]) for v in (q1, q2, c / norm, float(det) ** 0.5 / norm)]
        found = scope["pair_one_by_one"](*pair)[:, 0]
        scale = [
            np.sqrt(float(one) * float(two))
            for one, two in zip(oracle.both(q1, q1, q1), oracle.both(q2, q2, q2), strict=True)
        ]
        assert np.all(np.abs(found - [float(v) for v in oracle.both(q1, q2, c)]) < 2e-14 * np.array(scale))


def test_pairs_at_one_angle_are_summed_together() -> None:
    """One-dimensional inputs have two angles, whatever their number; angles below any rounding are one."""
    scope, asked = module("tanh(x)"), []
    at_angle = scope["at_angle"]
    q1, q2 = np.exp(np.random.default_rng(2).uniform(-14, -9, (2, 200)))
    sin, rho = np.random.default_rng(3).uniform(0, 1e-25, 200), np.where(np.arange(200) % 3, 1.0, -1.0)
    apart = np.array(
        [scope["pair_one_by_one"](*(a[n : n + 1] for a in (q1, q2, rho, sin)))[:, 0] for n in (0, 1, 2, 7)]
    )
    try:
        scope["at_angle"] = lambda *ends: asked.append(ends[2:]) or at_angle(*ends)
        scope["DENSE"] = 10**4
        together = scope["pair_one_by_one"](q1, q2, rho, sin)
    finally:
        scope |= {"at_angle": at_angle, "DENSE": 64}
    assert asked == [(-1.0, 0.0), (1.0, 0.0)]
    np.testing.assert_allclose(together[:, [0, 1, 2, 7]].T, apart, rtol=1e-13)


@pytest.mark.slow
def test_how_far_it_goes_is_measured() -> None:
    """A φ that turns is left to sums from where the rule no longer sees it; knots elsewhere than at 0 have none."""
    dual = derive_dual("sin(x)*tanh(x)")
    functions = expectations.resolving(dual)[1]
    low, high = polar_sums._reach(dual, functions + _coarse(polar_sums.text(dual, functions)))
    assert low < 1e-4
    assert 10 < high < module("tanh(x)")["POLAR_HIGH"]
    assert polar_sums.text(derive_dual("where(x > 1, tanh(x), 0)"), "") == ""


def _coarse(text: str) -> str:
    start = text.index("POLAR_LOW, POLAR_HIGH =")
    return text[:start] + "POLAR_LOW, POLAR_HIGH = 0.0, 1e300" + text[text.index("  #", start) :]


def test_damage_is_seen() -> None:
    """A rule that leaves something out does not hold at any variance."""
    dual = derive_dual("tanh(x)")
    functions = expectations.resolving(dual)[1]
    whole = polar_sums.text(dual, functions)
    for old, new in (
        ("angular[-1] /= 2", "angular[-1] /= 3"),
        ("(1 + shrunk)", "1"),
        ("rest / 2, theta, 1", "rest / 3, theta, 1"),
    ):
        assert whole.count(old) == 1
        assert polar_sums._reach(dual, functions + whole.replace(old, new))[1] == 0
