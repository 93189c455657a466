"""Mean-field theory against integrals by SciPy over activations written in NumPy, and against published figures."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import erf, ndtr

from mehler.derive import meanfield
from mehler.derive.activation import activation
from mehler.derive.dual import NumericDual, Proof, ProvedDual
from mehler.derive.errors import DeriveError
from mehler.derive.integrate import integrate
from mehler.derive.meanfield import FixedPoint, MeanField, mean_field
from mehler.derive.propagation import Moments
from mehler.derive.symbols import q, sigma_b, sigma_w

pytestmark = pytest.mark.slow

Function = Callable[[float], float]


def _density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _gelu_slope(x: float) -> float:
    return float(ndtr(x)) + x * _density(x)


# φ and φ'
NUMPY: dict[str, tuple[Function, Function]] = {
    "tanh": (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "gelu": (lambda x: x * float(ndtr(x)), _gelu_slope),
    "erf": (lambda x: float(erf(x)), lambda x: 2 / math.sqrt(math.pi) * math.exp(-x * x)),
    "sin": (math.sin, math.cos),
    "gaussian": (lambda x: math.exp(-x * x), lambda x: -2 * x * math.exp(-x * x)),
    "relu": (lambda x: max(0.0, x), lambda x: float(x > 0)),
    "cubic": (lambda x: x**3, lambda x: 3 * x * x),
}


def mean(f: Function, variance: float) -> float:
    """E f(u), u ~ N(0, variance)."""
    scale = math.sqrt(variance)
    halves = [(-14, 0), (0, 14)]
    parts = [
        quad(lambda z: f(scale * z) * _density(z), *half, epsabs=1e-14, epsrel=1e-13, limit=400) for half in halves
    ]
    return float(sum(part[0] for part in parts))


def diagonal(name: str, variance: float) -> tuple[float, float, float]:
    """(K_diag, dK_diag/dq = E[u φ φ']/q, K̇_diag)."""
    f, slope = NUMPY[name]
    return (
        mean(lambda x: f(x) ** 2, variance),
        mean(lambda x: x * f(x) * slope(x), variance) / variance,
        mean(lambda x: slope(x) ** 2, variance),
    )


def pair(f: Function, variance: float, correlation: float, nodes: int = 120) -> float:
    """E f(u)f(v) by Gauss-Hermite quadrature in two dimensions."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    g = np.vectorize(f)
    u = math.sqrt(variance) * z[:, None]
    v = math.sqrt(variance) * (correlation * z[:, None] + math.sqrt(1 - correlation**2) * z[None, :])
    return float(w @ (g(u) * g(v)) @ w)


# Where the fixed points of these tests are: quadratures over the default range take seconds.
SPAN = ("0.01", 100)


@cache
def theory(name: str) -> MeanField:
    """The formulas, each activation once."""
    return mean_field(name)


def agrees(result: MeanField, name: str, w: float, b: float) -> bool:
    """Formulas, a fixed point at least and the edge of chaos against SciPy."""

    def close(a: float, b: float) -> bool:
        return math.isclose(a, b, rel_tol=1e-11, abs_tol=1e-13)

    checks = []
    for point in result.fixed_points(str(w), str(b), span=SPAN).points:
        if point.q == 0:
            continue
        k, k_prime, k_dot = diagonal(name, point.q)
        checks += [
            close(w * w * k + b * b, point.q),
            close(point.chi_q, w * w * k_prime),
            close(point.chi_1, w * w * k_dot),
        ]
    found = len(checks)
    for variance in (0.3, 2.0):
        k, k_prime, k_dot = diagonal(name, variance)
        if result.variance_map is not None:
            at = {q: variance, sigma_w: w, sigma_b: b}
            formulas = [result.variance_map, result.chi_q, result.chi_1, *(result.edge or ())]
            values = [w * w * k + b * b, w * w * k_prime, w * w * k_dot, 1 / k_dot, variance - k / k_dot]
            checks += [close(float(sp.N(f.subs(at))), value) for f, value in zip(formulas, values, strict=True)]
        edge = result.edge_at(str(variance))
        checks += [close(edge.sigma_w2, 1 / k_dot), close(edge.sigma_b2, variance - k / k_dot)]
    return all(checks) and found > 0


@pytest.mark.parametrize(
    ("name", "w", "b"),
    [
        ("tanh", 1.5, 0.1),
        ("gelu", 1.5, 0.0),
        ("erf", 1.5, 0.3),
        ("sin", 1.5, 0.1),
        ("gaussian", 2.0, 0.1),
        ("relu", 1.0, 0.5),
        ("cubic", 0.1, 0.1),
    ],
)
def test_against_scipy(name: str, w: float, b: float) -> None:
    assert agrees(theory(name), name, w, b)


def test_wrong_formulas_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """χ_q = σ_w² K̇_diag is the mistake that the literature invites."""
    right = theory("erf")
    assert right.edge is not None
    assert not agrees(replace(right, chi_q=right.chi_1), "erf", 1.5, 0.3)
    assert not agrees(replace(right, edge=(right.edge[0], right.edge[1] + q / 10**9)), "erf", 1.5, 0.3)
    slopes = Moments.slopes
    monkeypatch.setattr(Moments, "slopes", lambda self, at: (slopes(self, at)[1],) * 2)
    assert not agrees(right, "erf", 1.5, 0.3)


def _only(result: MeanField, w: Any, b: Any = 0, **params: Any) -> FixedPoint:
    (point,) = result.fixed_points(w, b, **params).points
    return point


def test_relu() -> None:
    relu = theory("relu")
    assert relu.chi_1 == relu.chi_q == sigma_w**2 / 2
    assert relu.edge == (2, 0)
    assert relu.solutions is not None
    assert [sp.simplify(root - sigma_b**2 / (1 - sigma_w**2 / 2)) for root in relu.solutions] == [0]
    for variance in ("1/10", 1, 50):
        edge = relu.edge_at(variance)
        assert (edge.sigma_w2, edge.sigma_b2, edge.exists) == (2, 0, True)
    for he in ("sqrt(2)", sp.sqrt(2)):
        everywhere = relu.fixed_points(he)
        assert everywhere.every
        assert everywhere.points == ()
        assert "every q is a fixed point" in str(everywhere)
    assert relu.fixed_points("sqrt(2)", 1).points == ()
    point = _only(relu, 1, "1/2")
    assert (point.exact, point.q, point.phase, point.c, point.stable) == (
        sp.Rational(1, 2),
        0.5,
        "ordered",
        1,
        True,
    )
    assert point.xi_q == point.xi_c == pytest.approx(1 / math.log(2), rel=1e-15)
    assert _only(relu, math.sqrt(2)).phase == "edge of chaos"
    assert _only(relu, math.sqrt(2)).xi_c == math.inf


def test_linear_and_abs() -> None:
    for name in ("identity", "abs"):
        result = theory(name)
        assert (result.chi_1, result.edge) == (sigma_w**2, (1, 0))
        assert _only(result, "1/2", 1).exact == sp.Rational(4, 3)
        (unstable,) = result.fixed_points(2).points
        assert (unstable.q, unstable.stable, unstable.phase, unstable.xi_q, unstable.c) == (
            0,
            False,
            "chaotic",
            None,
            None,
        )


def test_a_polynomial_has_exact_fixed_points() -> None:
    zero, point = theory("cubic").fixed_points(1).points
    assert (zero.q, zero.chi_q, zero.xi_q) == (0, 0, 0)
    # 15 q³ = q, V' = 45 q² = 3, K̇ = 27 q² = 9/5; R(c) = (6c³ + 9c)/15 meets c at 0 with slope 3/5
    assert point.exact == sp.sqrt(15) / 15
    assert (point.chi_q, point.chi_1) == pytest.approx((3, 1.8), rel=1e-15)
    assert (point.c, point.stable, point.xi_q) == (0, False, None)
    assert point.xi_c == pytest.approx(-1 / math.log(0.6), rel=1e-14)
    square = mean_field("x**2", sigma_w="1/2", sigma_b="1/2")
    assert square.solutions is not None
    assert len(square.solutions) == 2
    assert square.points is not None
    assert [p.exact for p in square.points.points] == [sp.Rational(1, 3), 1]
    assert square.fixed_points(1, 1).points == ()


@pytest.mark.parametrize(("variance", "chi"), [("0.1", 1.042), ("1", 1.072), ("5", 1.045), ("50", 1.016)])
def test_gelu_without_biases_is_chaotic(variance: str, chi: float) -> None:
    """At σ_b = 0 and σ_w² = q/K_diag(q), where q is a fixed point: χ₁ = q·K̇_diag/K_diag."""
    gelu = theory("gelu")
    assert gelu.variance_map is not None
    at = sp.Rational(variance)
    w = sp.Rational(str(sp.N(sp.sqrt(at / gelu.variance_map.subs({sigma_b: 0, sigma_w: 1, q: at})), 40)))
    point = min(gelu.fixed_points(w).points, key=lambda p: abs(p.q - float(variance)))
    assert point.q == pytest.approx(float(variance), rel=1e-14)
    assert point.chi_1 == pytest.approx(chi, abs=5e-4)
    assert not point.stable


def test_erf_and_sin() -> None:
    assert (
        sp.simplify(
            theory("erf").variance_map - (sigma_w**2 * 2 / sp.pi * sp.asin(2 * q / (1 + 2 * q)) + sigma_b**2)
        )
        == 0
    )
    sine = theory("sin")
    assert sine.edge is not None
    assert sp.simplify((sine.edge[1] - (q - sp.tanh(q))).rewrite(sp.exp)) == 0


def test_the_edge_of_chaos_of_tanh() -> None:
    """Schoenholz et al. 2017: σ_w² ≈ 1.76 at σ_b² = 0.05; and the edge ends at σ_w = 1, σ_b = 0, q* = 0."""
    tanh = theory("tanh")
    variance = brentq(lambda at: tanh.edge_at(at).sigma_b2 - 0.05, 0.3, 1.0, xtol=1e-9)
    w2 = tanh.edge_at(variance).sigma_w2
    assert w2 == pytest.approx(1.76, abs=5e-3)

    def bias(at: float) -> float:
        k, _, k_dot = diagonal("tanh", at)
        return at - k / k_dot - 0.05

    assert w2 == pytest.approx(1 / diagonal("tanh", brentq(bias, 0.3, 1.0, xtol=1e-12))[2], rel=1e-7)
    assert tanh.edge_at("1e-6").sigma_w2 == pytest.approx(1, abs=1e-5)
    origin = _only(tanh, 1, span=SPAN)
    assert (origin.q, origin.chi_1, origin.phase, origin.c, origin.xi_c) == (0, 1, "edge of chaos", 1, math.inf)
    assert _only(tanh, "0.9", span=SPAN).chi_1 == pytest.approx(0.81, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "w", "b", "tolerance"),
    [("tanh", "1.5", "0.1", 1e-9), ("gelu", "1.5", "0", 1e-9), ("gaussian", "2", "0.1", 1e-9)],
)
def test_the_correlation_fixed_point(name: str, w: str, b: str, tolerance: float) -> None:
    point = theory(name).fixed_points(w, b, span=SPAN).points[-1]
    assert (point.phase, point.c is not None) == ("chaotic", True)
    f, slope = NUMPY[name]
    w2 = float(w) ** 2
    assert point.c == pytest.approx((w2 * pair(f, point.q, point.c) + float(b) ** 2) / point.q, rel=tolerance)
    assert point.c < 0.95
    assert point.chi_c == pytest.approx(w2 * pair(slope, point.q, point.c), rel=tolerance)
    assert point.xi_c == pytest.approx(-1 / math.log(point.chi_c), rel=1e-12)


def test_a_jump() -> None:
    """step: V = σ_w²/2, R(c) = 1/2 + asin(c)/π, whose slope at 1 is infinite."""
    step = theory("step")
    assert (step.chi_1, step.edge, step.chi_q) == (sp.oo, None, 0)
    assert "phi jumps" in str(step)
    point = _only(step, 1)
    assert (point.q, point.chi_1, point.phase) == (0.5, math.inf, "chaotic")
    c = brentq(lambda c: 0.5 + math.asin(c) / math.pi - c, 0, 0.9, xtol=1e-14)
    assert point.c == pytest.approx(c, rel=1e-12)
    assert point.chi_c == pytest.approx(1 / (math.pi * math.sqrt(1 - c * c)), rel=1e-12)
    with pytest.raises(DeriveError, match="no edge of chaos") as caught:
        step.edge_at(1)
    assert "\n" not in str(caught.value)


def test_without_a_formula_the_numbers_are_the_same() -> None:
    """The quadratures of an activation without closed form, on activations that have one."""
    for name, w, b in (("erf", "1.5", "0.3"), ("sin", "1.5", "0.1")):
        proved = theory(name)
        numeric = replace(
            proved, dual=NumericDual(proved.dual.activation, "", "almost-everywhere"), variance_map=None
        )
        for a, other in zip(
            numeric.fixed_points(w, b, span=SPAN).points, proved.fixed_points(w, b).points, strict=True
        ):
            for key in ("q", "chi_q", "chi_1", "c", "chi_c", "xi_q", "xi_c"):
                assert getattr(a, key) == pytest.approx(getattr(other, key), rel=1e-13)


def test_a_formula_with_an_integral_is_treated_numerically() -> None:
    proved: Any = theory("erf")
    t = sp.Symbol("t", positive=True)
    integral = sp.Integral(proved.dual.kernel_dot_diag.subs(q, t), (t, 0, q))
    dual = replace(proved.dual, dual=replace(proved.dual.dual, kernel_diag=integral))
    result = replace(proved, dual=dual, variance_map=sigma_w**2 * integral)
    assert _only(result, "1.5", "0.3", span=SPAN).chi_q == pytest.approx(
        _only(proved, "1.5", "0.3").chi_q, rel=1e-14
    )


def test_parameters() -> None:
    a = sp.Symbol("a", real=True)
    leaky = mean_field("leaky_relu")
    assert leaky.edge is not None
    assert sp.simplify(leaky.edge[0] - 2 / (1 + a**2)) == 0
    assert leaky.edge_at(1, a="1/2").sigma_w2 == pytest.approx(1.6, rel=1e-15)
    assert leaky.edge_at(1).sigma_w2 == pytest.approx(2 / 1.0001, rel=1e-15)
    assert _only(leaky, 1, 1).exact == sp.Rational(20000, 9999)
    free = mean_field("exp(-a*x**2)", a="positive")
    for ask in (lambda: free.fixed_points(1), lambda: free.edge_at(1), lambda: mean_field("tanh(a*x)", sigma_w=1)):
        with pytest.raises(DeriveError, match="the parameter a has no value; give one") as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert _only(free, 1, a=1).q == _only(theory("gaussian"), 1).q


@pytest.mark.parametrize(
    ("w", "b", "fault"),
    [
        (-1, None, "sigma_w=-1 must be a finite number > 0"),
        (0, None, "sigma_w=0 must be a finite number > 0"),
        (math.nan, None, "sigma_w=nan must be a finite number > 0"),
        ("inf", None, "sigma_w=inf must be a finite number > 0"),
        ("x", None, "sigma_w=x must be a finite number > 0"),
        ("1 +", None, "sigma_w=1 [+] must be a finite number > 0"),
        pytest.param(10**5000, None, "sigma_w=an integer too long to write must be a finite number > 0", id="long"),
        (1j, None, "sigma_w=1j must be a finite number > 0"),
        (1e200, None, "sigma_w=1e[+]200 is out of range"),
        (1, -0.1, "sigma_b=-0.1 must be a finite number >= 0"),
        (1, math.inf, "sigma_b=inf must be a finite number >= 0"),
        (None, 1, "sigma_b without sigma_w"),
    ],
)
def test_bad_scales(w: Any, b: Any, fault: str) -> None:
    with pytest.raises(DeriveError, match=fault) as caught:
        mean_field("relu", sigma_w=w, sigma_b=b)
    assert "\n" not in str(caught.value)


def test_bad_ranges_and_variances() -> None:
    relu = theory("relu")
    for span in ((0, 1), (2, 1), (-1, 1)):
        with pytest.raises(DeriveError, match="is not a range of variances"):
            relu.fixed_points(1, span=span)
    for variance in (0, -1, "nan"):
        with pytest.raises(DeriveError, match=r"use q > 0|is not a number"):
            relu.edge_at(variance)
    narrow = theory("sin").fixed_points("1.5", "0.1", span=(2, 10))
    assert (narrow.points, narrow.searched) == ((), pytest.approx((2, 10)))
    assert "no fixed point\nsearched from q = 2 to 10" in str(narrow)


def test_what_is_shown() -> None:
    text = str(mean_field("erf", sigma_w="3/2"))
    for line in (
        "chi_1      = 4*sigma_w**2/(pi*sqrt(4*q + 1))",
        "sigma_w**2 = pi*sqrt(4*q + 1)/4",
        "sigma_w = 3/2",
    ):
        assert line in text
    assert "1.243562865  chaotic" in text
    assert theory("erf")._repr_latex_() == f"$\\displaystyle {theory('erf').latex()}$"
    assert r"\chi_1 &= \frac{4 \sigma_{w}^{2}}{\pi \sqrt{4 q + 1}}" in theory("erf").latex()
    assert r"\mathbb{E}[\phi(u)^2]" in theory("tanh").latex()
    assert "by quadrature" in str(theory("tanh"))


def test_a_slope_without_a_variance_is_said() -> None:
    """E φ'(u)² is infinite, as where φ jumps. The variance map has E|u| = √(2q/π), so q* solves a quadratic."""
    dual = ProvedDual(integrate(activation("sign(x)*sqrt(abs(x))"), "almost-everywhere"), Proof(()))
    theory = meanfield._formulas(dual)
    assert theory.chi_1 is sp.oo
    assert theory.edge is None
    assert "is infinite" in str(theory)
    assert "jumps" not in str(theory)
    assert not theory.as_json()["jumps"]
    (point,) = theory.fixed_points(2, 1).points
    root = (4 * math.sqrt(2 / math.pi) + math.sqrt(32 / math.pi + 4)) / 2
    assert point.q == pytest.approx(root**2, rel=1e-12)
    assert point.phase == "chaotic"
    assert math.isinf(point.chi_1)
    with pytest.raises(DeriveError, match="infinite"):
        theory.edge_at(1)
