from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.algebra import is_zero
from mehler.derive.compose import Layer, compose
from mehler.derive.dual import ProvedDual
from mehler.derive.errors import ComposeError
from mehler.derive.symbols import c, q1, q2


@pytest.mark.parametrize("depth", [-1, 1.5, 2.0, True, "3", None, float("nan"), sp.Integer(-2)])
def test_depth_must_be_a_count(depth: Any, derive: Callable[..., ProvedDual]) -> None:
    with pytest.raises(ComposeError, match="depth=.*integer >= 0") as caught:
        compose(derive("relu"), depth)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["sigma_w", "sigma_b"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), -float("inf")])
def test_scales_must_be_finite_and_not_negative(name: str, value: float, derive: Callable[..., ProvedDual]) -> None:
    with pytest.raises(ComposeError, match=f"{name}=.*finite number >= 0"):
        compose(derive("relu"), 1, **{name: value})


def test_scales_are_exact_decimals_or_symbols(derive: Callable[..., ProvedDual]) -> None:
    network = compose(derive("relu"), 1, 1.4, 0)
    assert (network.sigma_w, network.sigma_b) == (sp.Rational(7, 5), 0)
    assert {str(s) for s in compose(derive("relu"), 1).layers()[1].theta12.free_symbols} == {
        *("q1", "q2", "c", "sigma_w", "sigma_b")
    }


def test_depth_zero_is_the_input_kernel(derive: Callable[..., ProvedDual]) -> None:
    assert compose(derive("gelu"), 0).layers() == (Layer(q1, q2, c, c),)


def test_relu_of_depth_two_by_hand(derive: Callable[..., ProvedDual], value: Callable[..., Any]) -> None:
    """Σˡ = σ_w² K(Σˡ⁻¹) + σ_b² and Θˡ = Σˡ + σ_w² K̇ Θˡ⁻¹ on numbers, with Cho and Saul's K and K̇."""
    with mpmath.workdps(40):
        v1, v2, cov = mpmath.mpf(2), mpmath.mpf(1) / 2, mpmath.mpf(-2) / 5
        w2, b2 = mpmath.mpf("1.4") ** 2, mpmath.mpf("0.1") ** 2
        tangent = cov
        for _ in range(2):
            norm = mpmath.sqrt(v1 * v2)
            angle = mpmath.acos(cov / norm)
            slope = (mpmath.pi - angle) / (2 * mpmath.pi)
            cov = w2 * norm * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle)) / (2 * mpmath.pi) + b2
            tangent = cov + w2 * slope * tangent
            v1, v2 = w2 * v1 / 2 + b2, w2 * v2 / 2 + b2
        last = compose(derive("relu"), 2, 1.4, 0.1).layers()[2]
        point = {q1: sp.Integer(2), q2: sp.Rational(1, 2), c: sp.Rational(-2, 5)}
        for formula, number in zip(
            (last.sigma11, last.sigma22, last.sigma12, last.theta12), (v1, v2, cov, tangent), strict=True
        ):
            assert abs(value(formula, point, 35) - number) < 1e-30


def test_a_step_depends_on_the_layer_before_only(derive: Callable[..., ProvedDual]) -> None:
    network = compose(derive("sin"), 3)
    layers = network.layers()
    assert len(layers) == 4
    assert all(network.step(before) == after for before, after in zip(layers, layers[1:], strict=False))


def test_a_linear_network_is_its_input_kernel(derive: Callable[..., ProvedDual]) -> None:
    """φ(x) = x: Σˡ = Σ⁰ and Θˡ = (l + 1) Σ⁰ at σ_w = 1, σ_b = 0."""
    for depth, layer in enumerate(compose(derive("identity"), 3, 1.0, 0.0).layers()):
        assert is_zero(layer.sigma12 - c)
        assert is_zero(layer.theta12 - (depth + 1) * c)


def test_what_a_reader_sees(derive: Callable[..., ProvedDual]) -> None:
    network = compose(derive("relu"), 7, sp.sqrt(2), sp.S.Zero)
    latex = network.latex()
    for part in (r"\Sigma^l", r"\Theta^l", r"\dot K", r"\theta", "7", r"\begin{aligned}", r"\end{aligned}"):
        assert part in latex
    assert network._repr_latex_().startswith("$")
    assert "Theta_l = Sigma_l + 2*K'(Sigma_l-1)*Theta_l-1,  l = 1, ..., 7" in str(network)
