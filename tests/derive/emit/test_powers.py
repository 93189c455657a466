"""Code for real powers of |x|, against the hypergeometric functions of mpmath and known cases."""

import warnings
from typing import Any

import mpmath
import numpy as np
import pytest

from mehler.derive.activation import activation
from mehler.derive.dual import Dual, Proof, ProvedDual
from mehler.derive.emit.cupy import emit_cupy
from mehler.derive.emit.module import emit_numpy
from mehler.derive.emit.numba import emit_numba
from mehler.derive.errors import EmitError
from mehler.derive.integrate import integrate

EPS = 2.0**-52
RHOS = (0.0, 0.3, -0.65, 0.7071, 0.7072, -0.71, 0.99, -0.9999, 1 - 2.0**-30, -1 + 2.0**-40)


def unproved(text: str, **params: Any) -> ProvedDual:
    """The derivation without its proof, which takes seconds and is tested elsewhere."""
    dual: Dual = integrate(activation(text, params), "almost-everywhere")
    return ProvedDual(dual, Proof(()))


def module(text: str, **params: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec(emit_numpy(unproved(text, **params), "powers"), scope)
    return scope


def right(even: float, odd: float, p: Any, r: Any, rho: Any) -> Any:
    """E[φ_p(u) φ_r(v)] for u, v of variance 1, φ_p = even·|x|^p + odd·sgn(x)|x|^p (Kamat 1953)."""
    m = mpmath
    scale = m.mpf(2) ** ((p + r) / 2) / m.pi
    first = m.gamma((p + 1) / 2) * m.gamma((r + 1) / 2) * m.hyp2f1(-p / 2, -r / 2, 0.5, rho**2)
    second = m.gamma(p / 2 + 1) * m.gamma(r / 2 + 1) * 2 * rho * m.hyp2f1((1 - p) / 2, (1 - r) / 2, 1.5, rho**2)
    return scale * (even**2 * first + odd**2 * second)


CASES = [
    ("max(0, x)**(3/2)", 0.5, 0.5, "1.5"),
    ("abs(x)**(7/10)", 1, 0, "0.7"),
    ("max(0, x)**(501/1000)", 0.5, 0.5, "0.501"),
    ("abs(x)**(5/2)*sign(x)", 0, 1, "2.5"),
]
# Where K' has no variance, the hypergeometric functions of mpmath take long.
STEEP = [
    ("sign(x)*sqrt(abs(x))", 0, 1, "0.5"),
    ("where(x > 0, x**(1/3), -2*(-x)**(1/3))", -0.5, 1.5, "0.3333333333333333333333333333333333333333"),
]


@pytest.mark.parametrize(
    ("text", "even", "odd", "power"),
    [
        *(pytest.param(*case, id=case[0]) for case in CASES),
        *(pytest.param(*case, id=case[0], marks=pytest.mark.slow) for case in STEEP),
    ],
)
def test_both_kernels_to_a_few_units_of_their_scale(text: str, even: float, odd: float, power: str) -> None:
    """At every angle, and at variances from 1e-300 to 1e150."""
    scope = module(text)
    with mpmath.workdps(40):
        p = mpmath.mpf(power)
        for q1, q2 in ((1.0, 1.0), (0.37, 5.2), (1e-300, 1e-7), (1e150, 3e90)):
            size1, size2 = mpmath.mpf(q1), mpmath.mpf(q2)
            for rho in RHOS:
                sine = mpmath.sqrt((1 - mpmath.mpf(rho)) * (1 + mpmath.mpf(rho)))
                found = scope["pair"](*map(np.array, (q1, q2, rho * np.sqrt(q1) * np.sqrt(q2), rho, float(sine))))
                for order in (0, 1):
                    e, o = (odd * p, even * p) if order else (even, odd)
                    exponent = p - order
                    value = right(e, o, exponent, exponent, mpmath.mpf(rho)) * (size1 * size2) ** (exponent / 2)
                    scale = abs(value)
                    if exponent > -0.5:
                        own = 2**exponent * mpmath.gamma(exponent + 0.5) / mpmath.sqrt(mpmath.pi) * (e * e + o * o)
                        scale = own * (size1 * size2) ** (exponent / 2)
                    if scale < 1e-300:  # below the range of floats
                        continue
                    assert abs(mpmath.mpf(float(found[order])) - value) <= 4 * EPS * abs(scale), (
                        q1,
                        q2,
                        rho,
                        order,
                    )


def test_sums_of_several_powers() -> None:
    """x + |x|^{3/2} and its derivative 1 + (3/2) sgn(x)|x|^{1/2}, whose cross terms are 0, as parities differ."""
    scope = module("x + abs(x)**(3/2)")
    with mpmath.workdps(30):
        for rho in RHOS:
            c, h = mpmath.mpf(rho), mpmath.mpf(1) / 2
            expected = c + right(1, 0, 3 * h, 3 * h, c), 1 + right(0, 1.5, h, h, c)
            for name, value in zip(("kernel", "kernel_dot"), expected, strict=True):
                assert float(scope[name](1.0, 1.0, rho)) == pytest.approx(float(value), rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("text", ["max(0, x)**(3/2)", "abs(x)**(7/10)", "sign(x)*abs(x)**(9/10)"])
def test_nearly_parallel_inputs_keep_the_digits_of_their_difference(text: str) -> None:
    scope = module(text)
    p, even, odd = next(
        (mpmath.mpf(c[3]), c[1], c[2]) for c in [*CASES, ("sign(x)*abs(x)**(9/10)", 0, 1, "0.9")] if c[0] == text
    )
    with mpmath.workdps(60):
        for theta in (1e-9, 1e-5, 1e-2, 0.2):
            rho, sine = mpmath.cos(mpmath.mpf(theta)), float(mpmath.sin(mpmath.mpf(theta)))
            q = np.array(1.7), np.array(0.2)
            ends = [scope["diagonal"](each) for each in q]
            found = scope["falls"](
                *q, np.array(0.0), float(rho), np.array(sine), *(e[n] for n in (0, 1) for e in ends)
            )
            for order in (0, 1):
                e, o = (odd * p, even * p) if order else (even, odd)
                exponent = p - order
                values = [right(e, o, exponent, exponent, c) for c in (mpmath.mpf(1) - mpmath.mpf(10) ** -50, rho)]
                own = 2**exponent * mpmath.gamma(exponent + 0.5) / mpmath.sqrt(mpmath.pi) * (e * e + o * o)
                fall = (own - values[1]) * (mpmath.mpf(1.7) * mpmath.mpf(0.2)) ** (exponent / 2)
                assert float(found[order]) == pytest.approx(float(fall), rel=1e-12)


def test_a_network_of_a_power_is_the_kernel_of_its_layers() -> None:
    scope = module("max(0, x)**(3/2)")
    X = np.random.default_rng(0).standard_normal((5, 3))
    sigma = X @ X.T / 3
    q = np.diag(sigma)
    expected = scope["kernel"](q[:, None], q[None, :], sigma)
    theta = expected + scope["kernel_dot"](q[:, None], q[None, :], sigma) * sigma
    assert np.allclose(scope["nngp"](X), expected, rtol=1e-13)
    assert np.allclose(scope["ntk"](X), theta, rtol=1e-13)


def test_where_the_slope_has_no_variance_there_is_no_tangent_kernel() -> None:
    scope = module("sign(x)*sqrt(abs(x))")
    X = np.random.default_rng(0).standard_normal((4, 3))
    assert np.isinf(scope["kernel_dot_diag"](2.0))
    assert np.isinf(scope["kernel_dot"](1.0, 1.0, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = scope["nngp"](np.r_[X, X[:1] * (1 + 1e-9)], depth=3)
    assert np.isfinite(kernel).all()
    assert abs(kernel[0, 0] / kernel[0, 4] - 1) < 1e-8
    with pytest.raises(ValueError, match="tangent kernel"):
        scope["ntk"](X)


def test_a_variance_of_zero() -> None:
    scope = module("abs(x)**(7/10)")
    assert scope["kernel"](0.0, 2.0, 0.0) == 0
    assert scope["kernel_diag"](0.0) == 0
    assert np.isfinite(scope["ntk"](np.array([[0.0, 0.0], [1.0, 2.0]]))).all()


@pytest.mark.parametrize("emit", [emit_numba, emit_cupy])
def test_other_targets_are_refused(emit: Any) -> None:
    with pytest.raises(EmitError, match="numpy"):
        emit(unproved("max(0, x)**(3/2)"), "powers")


def test_an_exponent_needs_a_number() -> None:
    with pytest.raises(EmitError, match="give p one"):
        emit_numpy(unproved("max(0, x)**p", p="positive"), "powers")
