"""How far the sums of modules reach, and that they end with an error and not with a wrong number."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mehler.derive.emit.expectations import expectations, largest, namespace, resolving
from mehler.derive.errors import EmitError
from mehler.derive.pipeline import derive_dual, generate


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
