"""The polynomials in place of libm: as good as they say, and what is damaged does not say so."""

import textwrap

import mpmath
import pytest

from mehler.derive.emit import approximants
from mehler.derive.emit.approximants import DEGREES, approximant, horner

HALF_ULP = 2.0**-53


@pytest.mark.parametrize("name", DEGREES)
def test_the_bound_is_below_half_a_unit(name: str) -> None:
    assert approximant(name).error < HALF_ULP / 2
    assert len(approximant(name).coefficients) == DEGREES[name] + 1


@pytest.mark.parametrize("name", DEGREES)
def test_one_coefficient_changed_is_caught(name: str) -> None:
    ctx = mpmath.mp.clone()
    ctx.dps = approximants.DIGITS
    function, low, high, whole = approximants._problem(ctx, name)
    good = approximant(name).coefficients
    for n in range(4):
        # A term counts where its power is largest, at an end: there by half an ulp, or by more.
        change = max(1e-13, HALF_ULP / max(abs(low), abs(high)) ** (n + 1))
        bad = tuple(a * (1 + change) if k == n else a for k, a in enumerate(good))
        assert approximants._error(ctx, bad, function, low, high, whole) > HALF_ULP / 20


def test_the_bound_is_of_the_function_meant() -> None:
    ctx = mpmath.mp.clone()
    ctx.dps = 40
    coefficients = approximant("atan").coefficients
    for t in (ctx.mpf(k) / 97 for k in range(1, 40)):
        value = t + t**3 * ctx.polyval(coefficients[::-1], t**2)
        assert abs(value / ctx.atan(t) - 1) <= approximant("atan").error * 1.01


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 11])
def test_the_code_is_the_polynomial(count: int) -> None:
    coefficients = tuple(0.5 - k / 8 for k in range(count))
    names = {"z": 0.75}
    exec(textwrap.dedent(approximants.Approximant(coefficients, 0.0).lines("p", "z")), names)
    assert names["p"] == pytest.approx(sum(a * 0.75**k for k, a in enumerate(coefficients)), rel=1e-15)


def test_horner() -> None:
    text = horner(["1.5", "-2.0", "0.25"], "x")
    assert text == "((0.25) * x - 2.0) * x + 1.5"
    assert eval(text, {"x": 4.0}) == 1.5 - 8 + 4
