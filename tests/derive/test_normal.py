"""Φ, Φ₂ and Owen's T, against their integrals by mpmath and against themselves at other precisions."""

import random
from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mehler.derive.errors import DeriveError
from mehler.derive.evaluate import context
from mehler.derive.normal import _tail_integral, _tail_series, owens_t_value, phi2_value, phi_value

R = sp.Rational

TRIPLES = [
    ("1/3", "-2", "1/2"),
    ("-1", "1/5", "-9/10"),
    ("2", "2", "99/100"),
    ("-3", "-3", "-95/100"),
    ("1/2", "1", "0"),
    ("0", "1", "-1/7"),
    ("0", "-1", "6/7"),
    ("4/5", "0", "-1/3"),
    ("1/3", "2/5", "9999/10000"),
]

COMPLEX_TRIPLES = [
    (0.25 + 0.5j, -1.25 + 0.75j, 0.5),
    (-1.25 + 0.75j, 0.25 + 0.5j, 0.99),
    (-1.25 + 0.75j, 0.25 + 0.5j, -0.99),
    (1 + 2j, 1 - 2j, 0.875),
    (2j, 1j, 0.25),
    (0.5 + 0.25j, 0.75, -0.75),
    (0.5, 1 + 3j, 0.125),
    (-4 + 1j, 3 + 5j, 0.625),
    (0.5 + 1j, -1 + 0.5j, 0),
]


def number(ctx: Any, text: str) -> Any:
    value = R(text)
    return ctx.mpf(int(value.p)) / int(value.q)


def by_quadrature(ctx: Any, h: Any, k: Any, r: Any) -> Any:
    """∫_{−∞}^h φ(s) Φ((k − rs)/√(1 − r²)) ds, the definition, along the real line and then straight to h."""
    root = ctx.sqrt((1 - r) * (1 + r))

    def density(s: Any) -> Any:
        return ctx.exp(-s * s / 2) / ctx.sqrt(2 * ctx.pi) * ctx.erfc((r * s - k) / root / ctx.sqrt(2)) / 2

    # Where Φ steps, and how far to each side.
    step = (
        [(ctx.re(k) + side * 8 * root) / r for side in (-1, -0.5, -0.25, 0, 0.25, 0.5, 1)] if abs(r) > 0.5 else []
    )
    start, end = ctx.mpf(-11), ctx.re(h)
    points = [start, *sorted(p for p in (*step, -6, -2, 0, 2) if start < p < end), end]
    value = ctx.quad(density, points)
    if ctx.im(h):
        parts = 3 if abs(r) < 0.9 else 8
        path = [end + ctx.j * ctx.im(h) * part / parts for part in range(parts + 1)]
        value += ctx.quad(density, path, method="gauss-legendre")
    return value


@pytest.mark.parametrize("point", TRIPLES)
def test_phi2_is_the_bivariate_normal_probability(point: tuple[str, ...]) -> None:
    ctx = context(25)
    numbers = [number(ctx, v) for v in point]
    assert abs(phi2_value(ctx, *numbers) - by_quadrature(ctx, *numbers)) < 1e-22


@pytest.mark.parametrize("point", COMPLEX_TRIPLES)
def test_phi2_of_complex_arguments_is_its_integral(point: tuple[complex, complex, float]) -> None:
    ctx = context(18)
    h, k, r = (ctx.convert(v) for v in point)
    value, expected = phi2_value(ctx, h, k, r), by_quadrature(context(23), h, k, r)
    assert abs(value - expected) < 1e-17 * max(1, abs(expected))
    assert abs(phi2_value(ctx, k, h, r) - value) < 1e-16 * max(1, abs(value))


@pytest.mark.parametrize("h", [0.5 + 1j, 3 - 2j, -4 + 1j, -2 - 5j, 6j])
def test_phi_of_complex_arguments_is_its_integral(h: complex) -> None:
    ctx = context(25)
    z = ctx.convert(h)
    expected = ctx.quad(ctx.npdf, [-14, -6, z.real]) + ctx.quad(
        lambda t: ctx.exp(-t * t / 2), [z.real, (z + z.real) / 2, z]
    ) / ctx.sqrt(2 * ctx.pi)
    assert abs(phi_value(ctx, z) - expected) < 1e-22 * max(1, abs(expected))


@pytest.mark.parametrize("a", [0.125, 1, 2.5, -0.75, 9])
@pytest.mark.parametrize("h", [0, 0.5, -1, 3, 0.5 + 0.75j, -1 + 2j])
def test_owens_t_is_its_integral(h: complex, a: float) -> None:
    ctx = context(20)
    z, b = ctx.convert(h), ctx.mpf(a)
    expected = ctx.quad(
        lambda x: ctx.exp(-z * z * (1 + x * x) / 2) / (1 + x * x), [0, b / 9, b / 3, b]
    ) / (2 * ctx.pi)  # fmt: skip
    assert abs(owens_t_value(ctx, z, b) - expected) < 1e-18 * max(1, abs(expected))


def test_owens_t_at_its_ends() -> None:
    ctx = context(30)
    h = ctx.mpf("0.7")
    assert owens_t_value(ctx, h, 0) == owens_t_value(ctx, ctx.inf, h) == 0
    assert abs(owens_t_value(ctx, h, ctx.inf) - ctx.ncdf(-h) / 2) < 1e-30
    assert abs(owens_t_value(ctx, h, -ctx.inf) + ctx.ncdf(-h) / 2) < 1e-30
    assert abs(owens_t_value(ctx, h, 1) - ctx.ncdf(-h) * ctx.ncdf(h) / 2) < 1e-30
    z = ctx.mpc(-2, 0.5)
    assert abs(owens_t_value(ctx, z, ctx.inf) - owens_t_value(ctx, z, 1e9)) < 1e-29


def test_phi2_at_correlations_of_one() -> None:
    ctx = context(30)
    a, b = ctx.mpf("0.3"), ctx.mpf("-1.2")
    for beyond in (0, ctx.eps, ctx.mpf("1e-3")):
        assert abs(phi2_value(ctx, a, b, 1 + beyond) - ctx.ncdf(b)) < 1e-30
        assert abs(phi2_value(ctx, a, -b, -1 - beyond) - (ctx.ncdf(a) + ctx.ncdf(-b) - 1)) < 1e-30
        assert phi2_value(ctx, a, b, -1 - beyond) == 0


def test_phi2_of_complex_arguments_at_correlations_of_one() -> None:
    ctx = context(20)
    h = ctx.mpc(1, 1)
    near = h * (1 + ctx.mpc(0, 1) * ctx.eps)
    for k in (h, near, ctx.mpc(2, 1)):
        assert abs(phi2_value(ctx, h, k, ctx.one) - phi_value(ctx, h)) < 1e-19
        assert abs(phi2_value(ctx, h, -k, -ctx.one)) < 1e-19
    with pytest.raises(DeriveError, match="no limit"):
        phi2_value(ctx, h, ctx.conj(h), ctx.one)


def test_phi2_far_out() -> None:
    ctx = context(30)
    far, b = ctx.mpf(10) ** 40, ctx.mpf("-1.2")
    assert phi2_value(ctx, far, b, ctx.mpf("0.3")) == phi2_value(ctx, b, ctx.inf, ctx.mpf("0.3")) == ctx.ncdf(b)
    assert phi2_value(ctx, -far, b, ctx.mpf("0.3")) == phi2_value(ctx, b, -ctx.inf, ctx.mpf("-0.3")) == 0
    assert phi2_value(ctx, ctx.inf, ctx.mpc(0, 1), ctx.mpf("0.3")) == phi_value(ctx, ctx.mpc(0, 1))
    assert ctx.isnan(phi2_value(ctx, ctx.nan, b, ctx.one))
    assert ctx.isnan(phi2_value(ctx, b, b, ctx.nan))


@pytest.mark.parametrize(("h", "k", "r"), [(-12, -11, 0.5), (-9, 1, -0.5), (-5, -4, -0.5), (-14, 3, 0.25)])
def test_small_probabilities_are_relatively_accurate(h: float, k: float, r: float) -> None:
    ctx, more = context(20), context(90)
    value, expected = (phi2_value(c, c.mpf(h), c.mpf(k), c.mpf(r)) for c in (ctx, more))
    assert 0 < expected < 1e-18
    assert abs(value / expected - 1) < 1e-19


@pytest.mark.parametrize("digits", [20, 60])
def test_both_sides_of_a_mode_count(digits: int) -> None:
    """Far out, and the integrand at its largest before the edge at h."""
    few, many = context(digits), context(120)
    point = "-21.369832", "-21.364225", "0.9997376297"
    value, exact = (phi2_value(ctx, *(ctx.mpf(v) for v in point)) for ctx in (few, many))
    assert abs(value / exact - 1) < many.mpf(10) ** (2 - digits)


@pytest.mark.parametrize("gap", ["1e-15", "1e-9"])
def test_a_step_far_narrower_than_the_decay(gap: str) -> None:
    """Φ((k − rx)/s) turns to 1 within s = 1e-8 of where φ falls by e in 1e-3."""
    ctx = context(40)
    r = 1 - ctx.mpf(gap)
    s, h = ctx.sqrt((1 - r) * (1 + r)), ctx.mpf(-900)
    k = h * r
    ends = [ctx.zero, *(s * 2**n for n in range(-3, 60) if s * 2**n < ctx.mpf(1) / 4)]
    rest = ctx.quad(lambda y: ctx.exp(h * y - y * y / 2) * ctx.ncdf((k - r * (h - y)) / s), ends)
    assert abs(phi2_value(ctx, h, k, r) / (ctx.npdf(h) * rest) - 1) < 1e-25


@pytest.mark.parametrize("direction", [-0.9, 0.0, 1.2])
@pytest.mark.parametrize(("distance", "angle"), [(12, 0.3), (15, 1.0), (13, 2.9), (60, 0.7), (50, 2.2)])
def test_far_out_against_the_integral_of_its_definition(distance: float, angle: float, direction: float) -> None:
    """The vertex of the quadrant, of an opening `angle`, is at `distance`: near enough for an integral of one
    variable, or far enough for a series. In some directions the centre is between the lines of its sides."""
    ctx = context(25)
    r, s = -ctx.cos(ctx.mpf(angle)), ctx.sin(ctx.mpf(angle))
    h = -distance * ctx.cos(ctx.mpf(direction))
    k = r * h + s * distance * ctx.sin(ctx.mpf(direction))
    low, high = min(h, k), max(h, k)
    value = phi2_value(ctx, h, k, r)

    def density(x: Any) -> Any:
        return ctx.npdf(x) * ctx.ncdf((high - r * x) / s) / value  # in units of what it must be: quad's are 1

    assert abs(ctx.quad(density, ctx.linspace(low - 6, low, 60), method="gauss-legendre") - 1) < 1e-15


def test_the_series_far_out_meets_the_integral() -> None:
    ctx = context(40)
    for square, start in ((900, 0), (1600, 3), (400, 30), (1, 60), (2500, 50)):
        found, expected = (tail(ctx, ctx.mpf(square), ctx.mpf(start), 0) for tail in (_tail_series, _tail_integral))
        assert abs(found / expected - 1) < 1e-39


@pytest.mark.slow
def test_precisions_agree() -> None:
    """Correlations next to ±1, equal and opposite arguments, and zeros, at 15 to 100 digits."""
    rng = random.Random(1)
    for digits in (15, 40, 100):
        ctx, more = context(digits), context(2 * digits + 60)
        for _ in range(120):
            h = ctx.mpf(rng.choice([rng.gauss(0, 1), rng.gauss(0, 4), 0, 1e-25]))
            k = rng.choice([ctx.mpf(rng.gauss(0, 2)), h, -h, h + ctx.mpf(10) ** -12, ctx.zero])
            gap = ctx.mpf(10) ** -rng.choice([1, 3, 6, 14, 24, 35])
            r = rng.choice([-1, 1]) * rng.choice([1 - gap, gap])
            assert abs(phi2_value(ctx, h, k, r) - phi2_value(more, h, k, r)) < ctx.ldexp(1, -ctx.prec)


POINT = st.floats(-6, 6).filter(lambda v: v == 0 or abs(v) > 1e-3)


@settings(max_examples=60)
@given(POINT, POINT, st.floats(-0.999, 0.999))
def test_phi2_obeys_its_identities(h: float, k: float, r: float) -> None:
    """Symmetry, reflection, and ∂Φ₂/∂r = φ₂ (R. L. Plackett, Biometrika 41 (1954) 351)."""
    ctx = context(40)
    a, b, c = ctx.mpf(h), ctx.mpf(k), ctx.mpf(r)
    value = phi2_value(ctx, a, b, c)
    assert abs(value - phi2_value(ctx, b, a, c)) < 1e-39
    assert abs(value + phi2_value(ctx, -a, b, -c) - ctx.ncdf(b)) < 1e-39
    step = ctx.mpf(10) ** -12
    slope = (phi2_value(ctx, a, b, c + step) - phi2_value(ctx, a, b, c - step)) / (2 * step)
    cut = 1 - c * c
    density = ctx.exp(-(a * a - 2 * c * a * b + b * b) / (2 * cut)) / (2 * ctx.pi * ctx.sqrt(cut))
    assert abs(slope - density) < 1e-8


@settings(max_examples=15)
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-0.9, 0.9))
def test_complex_and_real_values_meet(h: float, k: float, r: float) -> None:
    """Two algorithms: the integral for complex arguments, the series for real ones."""
    ctx = context(25)
    imaginary = ctx.mpc(0, "1e-40")
    real = phi2_value(ctx, ctx.mpf(h), ctx.mpf(k), ctx.mpf(r))
    assert abs(phi2_value(ctx, h + imaginary, ctx.mpf(k), ctx.mpf(r)) - real) < 1e-24
    assert phi2_value(ctx, ctx.mpc(h), ctx.mpc(k), ctx.mpc(r)) == real


def test_the_global_precision_does_not_matter() -> None:
    ctx = context(50)
    point = (ctx.mpf("0.3"), ctx.mpf("0.4"), ctx.mpf("0.9"))
    expected = phi2_value(ctx, *point)
    with mpmath.workdps(5):
        assert phi2_value(ctx, *point) == expected


def test_arguments_however_large() -> None:
    """mpmath's erfc overflows at 1e160."""
    ctx = context(30)
    far, near = ctx.mpf("1e170"), ctx.mpf("1e-170")
    assert phi_value(ctx, -far) == 0
    assert phi_value(ctx, far) == 1
    # The slope of Φ((k − rx)/s) at its edge is far beyond that of the density.
    assert phi2_value(ctx, -near, ctx.mpf(-1), ctx.sqrt(1 - near**2)) <= phi_value(ctx, ctx.mpf(-1))
