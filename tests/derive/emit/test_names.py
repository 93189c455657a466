"""A parameter may have any name: in generated code it has one of its own, and the user's is in the header alone."""

import ast
import re
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numba
import numpy as np
import pytest

from mehler.derive import cache, emit
from mehler.derive.activation import RESERVED, activation
from mehler.derive.dual import ProvedDual
from mehler.derive.emit.compiled import helpers
from mehler.derive.pipeline import source_of
from mehler.numeric.precision.oracle import Oracle

NAME = "zq"
LEAKY = f"where(x > 0, x, {NAME}*x)"
# Of each kind of code: closed forms, rescued ones, the two rules for Mehler's series.
KINDS = {
    LEAKY: "real",
    f"sin({NAME}*x)": "real",
    f"x*Phi({NAME}*x)": "positive",
    f"where(x > 0, x, {NAME}*(exp(x) - 1))": "positive",
    f"max(x - {NAME}, 0)": "positive",
}
# Constants and functions of modules, their arguments and what they assign; words of Python and of C++.
NAMES = (
    *("ONE_OVER_2_PI", "BIAS", "INNER", "VARIANCE", "TINY", "np", "kernel", "pair", "recursion", "PARAMETERS"),
    *(
        "k",
        "sigma",
        "theta_",
        "weight",
        "depth",
        "X",
        "q1",
        "c",
        "rho",
        "root1",
        "root_q1",
        "exponential1",
        "base1",
    ),
    *("len", "max", "range", "float", "dict", "abs", "__debug__", "_named", "called", "phi_a", "double", "int"),
)
ALWAYS = ("ONE_OVER_2_PI", "BIAS", "len", "k", "np", "q1", "__debug__")
MODULES = [import_module(found.name) for found in iter_modules(emit.__path__, "mehler.derive.emit.")]
POINT, SLOPE = (2.0, 0.5, 0.4), 0.25


@pytest.mark.parametrize("target", ["numpy", "numba", "cupy"])
@pytest.mark.parametrize(
    "text", [pytest.param(text, marks=[] if text == LEAKY else [pytest.mark.slow]) for text in KINDS]
)
def test_the_name_of_a_parameter_is_in_the_header_alone(
    derive: Callable[..., ProvedDual], text: str, target: str
) -> None:
    if target == "cupy" and re.search("exp|max", text):
        return  # of tables, which have no parameters
    source = source_of(derive(text, **{NAME: KINDS[text]}), "m", target)
    documentation = ast.get_docstring(ast.parse(source), clean=False)
    assert documentation is not None
    lines = source.replace(documentation, "").splitlines()
    found = [line.split(" = ")[0] for line in lines if re.search(rf"\b{NAME}\b", line)]
    assert found == ["EXPRESSION", "PARAMETERS"]
    assert sum(bool(re.search(rf"\bphi_{NAME}\b", line)) for line in lines) > 10


def test_no_other_name_begins_as_a_parameters_does() -> None:
    templates = [Path(module.__file__).read_text(encoding="utf-8") for module in MODULES]
    for text in (helpers(), *templates):
        assert not re.search(r"\bphi_\w", text)


def _renamed(result: ProvedDual, name: str) -> Any:
    """The dual with another name for its parameter, as a derivation gives it."""
    symbol = activation(f"where(x > 0, x, {name}*x)", {name: "real"}).parameters[0].name
    return cache._decode(cache._encode(result).replace(f'["Symbol","{NAME}"', f'["Symbol","{symbol}"'))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ALWAYS else [pytest.mark.slow]) for name in NAMES]
)
def test_a_parameter_may_have_the_name_of_anything(derive: Callable[..., ProvedDual], name: str) -> None:
    result = _renamed(derive(LEAKY, **{NAME: "real"}), name)
    scope: dict[str, Any] = {}
    exec(source_of(result, "m"), scope)
    _check(scope, name)


def test_compiled_too(derive: Callable[..., ProvedDual]) -> None:
    """As Python, for compiling takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba, "njit", lambda **_: lambda function: function)
        scope: dict[str, Any] = {}
        exec(source_of(_renamed(derive(LEAKY, **{NAME: "real"}), "INNER"), "m", "numba"), scope)
        _check(scope, "INNER")


def _check(module: dict[str, Any], name: str) -> None:
    oracle = Oracle("where(x > 0, x, a*x)", {"a": Fraction(SLOPE)}, digits=20)
    (key,) = module["PARAMETERS"]
    assert key == (f"{name}_" if name in RESERVED or name == "exponential1" else name)
    for params in ({key: SLOPE}, {f"phi_{key}": SLOPE}):
        pair = [module[name](*POINT, **params) for name in ("kernel", "kernel_dot")]
        diagonal = [module[name](POINT[0], **params) for name in ("kernel_diag", "kernel_dot_diag")]
        expected = [float(value) for value in (*oracle.both(*POINT), *oracle.diagonal(POINT[0]))]
        assert np.allclose([*pair, *diagonal], expected, rtol=1e-14, atol=0)
    # A network with one hidden layer: q = |x|^2 / d.
    X = np.array([[1.0, 0.5], [0.25, -1.0]])
    at = [float(value) for value in (X[0] @ X[0] / 2, X[1] @ X[1] / 2, X[0] @ X[1] / 2)]
    assert abs(module["nngp"](X, depth=1, **{key: SLOPE})[0, 1] - float(oracle.both(*at)[0])) < 1e-15
    one = module["rows_of"](X, True, 2, 1.0, 0.0, **{key: SLOPE})
    tile = module["tile_of"](one, slice(0, 2), one, slice(0, 2), True)
    assert np.allclose(tile, module["ntk"](X, depth=2, **{key: SLOPE}), rtol=1e-14)
