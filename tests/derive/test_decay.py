"""The law of the eigenvalues, derived, beside published coefficients and the eigenvalues themselves at k ≈ 100."""

import math
from fractions import Fraction
from typing import Any

import mpmath
import pytest

from mehler.derive import decay as module
from mehler.derive.activation import activation
from mehler.derive.compose import compose
from mehler.derive.decay import Decay, corner, decay
from mehler.derive.eigenvalues import eigenvalues
from mehler.derive.errors import DeriveError
from mehler.derive.pipeline import closed_form, derive_dual

LEAKY = "where(x > 0, x, x/5)"
ELU = "where(x > 0, x, exp(x) - 1)"


def law(expr: str, depth: int, sigma_w: float, sigma_b: float, kernel: Any, dimension: int = 3) -> Decay:
    dual = derive_dual(expr)
    return decay(dual, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, kernel=kernel, dimension=dimension)


def measured(expr: str, depth: int, sigma_w: float, sigma_b: float, kernel: Any, degree: int, digits: int) -> Any:
    """λ_0 … λ_degree in d = 3, by quadrature."""
    recursion = compose(closed_form(derive_dual(expr)), depth, sigma_w, sigma_b)
    return eigenvalues(recursion, kernel=kernel, dimension=3, degree=degree, digits=digits)[0]


def of_one_term(order: float, k: int, d: int) -> float:
    """What Γ(k−ν)/Γ(k+ν+d−1) is of k^(1−d−2ν)."""
    return math.exp(math.lgamma(k - order) - math.lgamma(k + order + d - 1)) * k ** (2 * order + d - 1)


def errors(expr: str, depth: int, sigma_w: float, sigma_b: float, kernel: Any, digits: int = 15) -> list[float]:
    """|λ_k/(prefactor k^exponent of one term) − 1| at k = 100 and 101; |λ_k/λ_k of the other parity| at 0."""
    found = law(expr, depth, sigma_w, sigma_b, kernel)
    values = [float(v) for v in measured(expr, depth, sigma_w, sigma_b, kernel, 101, digits)]
    result = []
    for k, prefactor in ((100, found.even), (101, found.odd)):
        line = prefactor * k**found.exponent * of_one_term(found.order, k, 3)
        result.append(abs(values[k] / line - 1) if line else abs(values[k]) / max(values[100:]))
    return result


NETWORKS = [(depth, b) for depth in (1, 2, 3, 4) for b in (0.0, 0.4)]
POWERS = [("max(0, x)", "ntk"), (LEAKY, "ntk"), (ELU, "ntk"), ("max(0, x)", "nngp"), ("abs(x)", "ntk")]
SOME = [("max(0, x)", "ntk", 1, 0.0), (LEAKY, "ntk", 2, 0.4), ("sign(x)", "nngp", 1, 0.0)]


@pytest.mark.parametrize(("expr", "kernel", "depth", "bias"), SOME)
def test_eigenvalues_at_100(expr: str, kernel: str, depth: int, bias: float) -> None:
    assert max(errors(expr, depth, 1.4, bias, kernel, 10)) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "bias"), NETWORKS)
@pytest.mark.parametrize(("expr", "kernel"), POWERS)
def test_every_eigenvalue_at_100(expr: str, kernel: str, depth: int, bias: float) -> None:
    assert max(errors(expr, depth, 1.4, bias, kernel)) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("expr", "kernel"), POWERS[:3])
@pytest.mark.parametrize(("depth", "bias"), [(1, 0.4), (4, 0.0)])
def test_slopes_at_100(expr: str, kernel: str, depth: int, bias: float) -> None:
    """The slope of log λ_k in log(k + 1/2), from k = 90 to 110: within 1 % of the exponent."""
    found = law(expr, depth, 1.4, bias, kernel)
    values = measured(expr, depth, 1.4, bias, kernel, 111, 15)
    for low, high, prefactor in ((90, 110, found.even), (91, 111, found.odd)):
        if prefactor:
            slope = mpmath.log(values[high] / values[low]) / mpmath.log((high + 0.5) / (low + 0.5))
            assert abs(slope / found.exponent - 1) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "bias"), NETWORKS[:4])
def test_the_step_function(depth: int, bias: float) -> None:
    """κ ∼ (1−ρ)^(1/2^depth): the next term is smaller by k^(−2/2^depth) only; two degrees remove it."""
    found = law("step", depth, 1.4, bias, "nngp")
    assert found.exponent == -2 - 2.0 ** (1 - depth)
    values = measured("step", depth, 1.4, bias, "nngp", 801, 12)

    def ratio(k: int) -> float:
        prefactor = found.odd if k % 2 else found.even
        return float(values[k]) / (prefactor * k**found.exponent * of_one_term(found.order, k, 3))

    shrink = 2.0 ** (-2 * (2.0**-depth))
    for k in (400, 401) if found.even else (401,):
        near, far = ratio(k), ratio(2 * k - k % 2)
        assert abs(near - 1) < 0.1
        assert abs((far - shrink * near) / (1 - shrink) - 1) < 0.01 or abs(far - 1) < 0.01


@pytest.mark.parametrize(("depth", "bias"), NETWORKS)
def test_a_deep_step_function_beside_its_kernel_close_to_1(depth: int, bias: float) -> None:
    """Eigenvalues of a deep one follow the law late, but (κ(1) − κ(1−x))/x^(1/2^depth) at x = 1e-400 does not."""
    found = law("step", depth, 1.4, bias, "nngp")
    with mpmath.workdps(900):
        w2, b2, x = mpmath.mpf(7) ** 2 / 25, mpmath.mpf(bias * 10) ** 2 / 100, mpmath.mpf(10) ** -400
        variance, sigma = w2 + b2, w2 * (1 - x) + b2
        for _ in range(depth):
            sigma = w2 * (mpmath.mpf(1) / 4 + mpmath.asin(sigma / variance) / (2 * mpmath.pi)) + b2
            variance = w2 / 2 + b2
        coefficient = float((sigma - variance) / x ** mpmath.mpf(found.order))
    nu = found.order
    constant = 2 ** (nu + 1) * math.gamma(1.5) * math.gamma(nu + 1) / (math.sqrt(math.pi) * math.gamma(-nu))
    assert (found.even + found.odd) / 2 == pytest.approx(coefficient * constant, rel=1e-8)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 10])
def test_relu_as_published(depth: int) -> None:
    """Θ of `depth` layers, with κ(1) = 1, is … − depth(depth+1)/2 · √2/π · √(1−ρ): Bietti and Bach 2021."""
    found = law("sqrt(2)*max(0, x)", depth, 1.0, 0.0, "ntk", 5)
    assert found.order == 0.5
    coefficient = -depth * (depth + 1) / 2 * math.sqrt(2) / math.pi
    constant = 2**3.5 * math.gamma(2.5) * math.gamma(2.5) / (math.sqrt(math.pi) * math.gamma(-0.5))
    assert (found.even + found.odd) / 2 == pytest.approx(coefficient * constant, rel=1e-14)
    assert found.exponent == -5


def test_the_exact_kernels_of_one_layer() -> None:
    """1/4 + asin(ρ)/(2π) is 1/2 − √(2(1−ρ))/(2π) at 1 and √(2(1+ρ))/(2π) at −1: only odd degrees."""
    found = law("step", 1, 1.0, 0.0, "nngp")
    constant = 2**1.5 * math.gamma(1.5) * math.gamma(1.5) / (math.sqrt(math.pi) * math.gamma(-0.5))
    assert found.even == 0
    assert found.odd == pytest.approx(-2 * math.sqrt(2) / (2 * math.pi) * constant, rel=1e-14)


@pytest.mark.parametrize("expr", ["gelu", pytest.param("sin(x)", marks=pytest.mark.slow)])
def test_smooth_activations_have_no_power(expr: str) -> None:
    found = law(expr, 3, 1.2, 0.3, "ntk")
    assert (found.exponent, found.even, found.odd) == (-math.inf, 0, 0)


@pytest.mark.parametrize("expr", ["erf(x)", "tanh(x)", "sin(x)", "exp(-x**2)", "x**3 - x", "abs(x)**2"])
def test_smooth_activations_have_no_corner(expr: str) -> None:
    assert corner(activation(expr).pieces) is None


def test_a_linear_network_and_one_without_weights() -> None:
    assert law("relu", 0, 1.0, 0.0, "ntk").exponent == -math.inf
    assert law("relu", 2, 0.0, 1.0, "ntk").exponent == -math.inf


@pytest.mark.parametrize(
    ("expr", "order", "jumps"),
    [
        ("max(0, x)", 1, [(0, 1)]),
        ("sign(x)", 0, [(0, 2)]),
        (ELU, 2, [(0, -1)]),
        ("where(x > 0, x, 2*(exp(x) - 1))", 1, [(0, -1)]),
        ("clip(x, -1, 1)", 1, [(-1, 1), (1, -1)]),
        ("max(0, x)**3", 3, [(0, 6)]),
        ("x/(1 + abs(x))", 2, [(0, -4)]),
        ("max(0, x) + sign(x - 1)", 0, [(1, 2)]),
    ],
)
def test_corners(expr: str, order: int, jumps: Any) -> None:
    found = corner(activation(expr).pieces)
    assert found is not None
    assert found.order == order
    assert [(float(t), float(j) * math.factorial(order)) for t, _, j in found.sides] == jumps


def test_a_power_without_a_finite_jump() -> None:
    with pytest.raises(DeriveError, match="the decay of the eigenvalues is not known"):
        corner(activation("abs(x)**(3/2)").pieces)


@pytest.mark.slow
@pytest.mark.parametrize("expr", ["abs(x)**(4/3)", "max(0, x)**(4/3)", "where(x > 0, x**(7/4), -(-x)**(7/4)/2)"])
@pytest.mark.parametrize(("depth", "bias", "kernel"), [(1, 0.0, "nngp"), (1, 0.4, "ntk"), (2, 0.4, "ntk")])
def test_powers_between_integers(expr: str, depth: int, bias: float, kernel: str) -> None:
    assert max(errors(expr, depth, 1.4, bias, kernel)) < 0.01


def test_the_corner_of_a_power() -> None:
    """|x|^1 as a power is its jump: the same terms at both ends."""
    jump = module.Corner(Fraction(1), ((mpmath.mpf(0), 0, mpmath.mpf(2)),))
    power = module.Corner(Fraction(1), ((mpmath.mpf(0), mpmath.mpf(1), mpmath.mpf(1)),))
    for side in (1, -1):
        assert float(power.term(side, 2)[1]) == pytest.approx(float(jump.term(side, 2)[1]), rel=1e-14)


def test_no_formula_is_needed() -> None:
    """x/(1 + |x|) has a jump of −4 in φ'': K ∼ Γ(−5/2)/(2π) · 16/√(2π) (1−ρ)^(5/2)."""
    found = law("x/(1 + abs(x))", 1, 1.0, 0.0, "nngp")
    constant = 2**3.5 * math.gamma(1.5) * math.gamma(3.5) / math.sqrt(math.pi)
    assert found.exponent == -7
    # Odd: what is twice that at odd degrees is nothing at even ones.
    assert found.even == 0
    assert found.odd == pytest.approx(2 * 16 / (2 * math.pi * math.sqrt(2 * math.pi)) * constant, rel=1e-12)


def _without_the_mirrored_sign(self: Any, side: int, variance: Any) -> Any:
    power, coefficient = TERM(self, side, variance)
    return power, coefficient * (1 if side > 0 else (-1) ** (int(self.order) + 1))


def _half(self: Any, side: int, variance: Any) -> Any:
    power, coefficient = TERM(self, side, variance)
    return power, coefficient / 2


TERM = module.Corner.term


@pytest.mark.parametrize("wrong", [_without_the_mirrored_sign, _half])
def test_wrong_terms_are_seen(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Corner, "term", wrong)
    assert max(errors("sign(x)", 1, 1.4, 0.0, "nngp", 10)) > 0.1


def test_a_wrong_chain_rule_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = module.Local.after

    def wrong(self: Any, distance: Any) -> Any:
        return right(self, module.Local(0, distance.slope))

    monkeypatch.setattr(module.Local, "after", wrong)
    assert max(errors("max(0, x)", 2, 1.4, 0.0, "nngp", 12)) > 0.1
