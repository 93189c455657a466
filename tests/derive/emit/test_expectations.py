"""How far the sums of modules reach, and that they end with an error and not with a wrong number."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest

from mehler.derive.activation import activation
from mehler.derive.dual import NumericDual
from mehler.derive.emit.expectations import expectations, largest, namespace, resolving
from mehler.derive.errors import EmitError
from mehler.derive.pipeline import derive_dual, generate
from mehler.numeric.precision.oracle import Oracle


def module_of(source: str) -> Any:
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(source, "generated", "exec"), names)
    return SimpleNamespace(**names)


def resolved(text: str) -> float:
    return resolving(derive_dual(text))[0]


def test_what_turns_faster_is_summed_less_far() -> None:
    slow, fast = resolved("sin(x)*tanh(x)"), resolved("sin(16*x)*tanh(x)")
    assert 1 < slow < 1e4
    assert fast < slow / 100


@pytest.mark.parametrize("text", ["tanh(x)", "tanh(50*x)", "tanh(4096*x)", "tanh(x/50)", "softsign", "isru"])
def test_steep_and_slow_ones_are_summed_far(text: str) -> None:
    assert resolved(text) >= 1e8


def test_fewer_panels_do_not_see_an_algebraic_tail() -> None:
    """Undo the knots further out: they were few, and softsign was off by 4e-6 at a variance of 1e6."""
    dual = derive_dual("softsign")
    assert largest(dual, expectations(dual, "", "", (-32, -8, -2, 2, 8, 32))) < 1e4


@pytest.mark.slow
def test_sums_end_where_knots_are_no_longer_known() -> None:
    dual = NumericDual(activation("abs(sin(x))"), "summed, to be tested", "almost-everywhere")
    assert dual.activation.pieces.radius == 384
    text = expectations(dual, "", "", [1.0, -1.0])
    assert 1 <= largest(dual, text) <= (384 / 9) ** 2


# (φ, q1, q2, c) of unequal variances at opposite inputs: φ(u) grows where φ(v) decays, on the scale of v.
UNEQUAL = [
    ("where(x>0, x, x*exp(x))", 1e4, 1e10, -1e7),
    ("where(x>=0, x*(1 - exp(-x)/2), x*exp(x)/2)", 583.0**2, 214587.0**2, -583.0 * 214587.0),
    ("x/(1 + exp(-x))", 1e2, 1e10, -1e6),
    ("where(x>1, x, exp(x))", 1e4, 1e12, -1e8),
]


@pytest.mark.parametrize(
    ("text", "q1", "q2", "c"), [UNEQUAL[0], *(pytest.param(*each, marks=pytest.mark.slow) for each in UNEQUAL[1:])]
)
def test_sums_see_the_scales_of_both_variances(text: str, q1: float, q2: float, c: float) -> None:
    dual = NumericDual(activation(text), "summed, to be tested", "almost-everywhere")
    _, code = resolving(dual)
    oracle = Oracle(text, digits=16)
    scales = [mpmath.sqrt(a * b) for a, b in zip(oracle.diagonal(q1), oracle.diagonal(q2), strict=True)]

    def worst(code: str) -> float:
        arrays = [np.array([v]) for v in (q1, q2, -1.0, 1e-150)]
        with np.errstate(all="ignore"):
            values = namespace(dual, code)["double_sums"](*arrays)[:, 0]
        exact = oracle.both(q1, q2, c)
        return max(float(abs(v - e) / s) for v, e, s in zip(values, exact, scales, strict=True))

    assert worst(code) < 4e-15
    # Undo the breaks at the scales of the smaller variance.
    assert worst(code.replace("SCALES / root1, seen, *layers", "SCALES / root1, *layers")) > 1e-11


def test_a_root_is_not_summed() -> None:
    assert resolved("sqrt(abs(x))*tanh(x)") == 0
    with pytest.raises(EmitError, match="too singular for sums"):
        generate("where(x > 1, 0, sqrt(abs(x))*tanh(x))", name="root")


def test_nothing_is_made_of_a_value_that_does_not_count() -> None:
    """φ' is 0/0 in code at 0, where a panel without a width has its nodes."""
    code = expectations(dual := derive_dual("sqrt(abs(x))*tanh(x)"), "", "", (-1, 1))
    with np.errstate(all="ignore"):
        assert np.isfinite(namespace(dual, code)["moments"](np.array([0.7]))).all()


def test_knots_elsewhere_and_a_wild_part() -> None:
    text = "where(x > 1, sin(4*x)*tanh(x), 0)"
    dual, module = derive_dual(text), module_of(generate(text, name="stepped"))
    q = module.SUMMABLE
    c = q * 0.3
    exact = dual.evaluate(Fraction(q), Fraction(q) / 2, Fraction(c), digits=16)
    for function, ends, value in zip(
        (module.kernel, module.kernel_dot), (module.kernel_diag, module.kernel_dot_diag), exact, strict=True
    ):
        assert abs(float(function(q, q / 2, c)) - float(value)) < 1e-12 * float(np.sqrt(ends(q) * ends(q / 2)))
        for call in (lambda f=function: f(1.0, 1.01 * q, 0.2), lambda f=ends: f(1.01 * q)):
            with pytest.raises(ValueError, match=r"too wild for sums at variances over .*: scale the inputs"):
                call()
