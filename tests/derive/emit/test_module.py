"""A generated module: standalone, deterministic, and the formula that was proved."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit.header import check_name
from mehler.derive.emit.module import emit_numpy
from mehler.derive.errors import EmitError
from mehler.derive.pipeline import generate
from mehler.derive.symbols import c, q, q1, q2

HEADER = {"NAME", "EXPRESSION", "PARAMETERS", "JUMPS", "TARGET", "ENGINE", "BUDGETS", "SOURCE"}
ELEMENTARY = [
    "step",
    "sign",
    "relu",
    "leaky_relu",
    "abs",
    "relu2",
    "erf",
    "gelu",
    "sin",
    "cos",
    "rff",
    "exp",
    "gaussian",
    "cubic",
]
NORMAL = ["exp(x)*step(x)"]


def load(source: str) -> Any:
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(source, "generated", "exec"), names)
    return SimpleNamespace(**names)


def imported(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.fixture(scope="module")
def source(derive: Callable[..., ProvedDual]) -> Callable[[str], str]:
    made: dict[str, str] = {}

    def emit(name: str) -> str:
        if name not in made:
            made[name] = emit_numpy(derive(name), "module")
        return made[name]

    return emit


def test_the_text_is_the_same_in_every_process(derive: Callable[..., ProvedDual]) -> None:
    code = "from mehler.derive.pipeline import generate; print(generate('gelu', name='gelu'), end='')"
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE
        )
        for seed in ("1", "2024")
    )
    texts = [process.communicate(timeout=120)[0].decode() for process in (first, second)]
    assert texts[0] == texts[1] == emit_numpy(derive("gelu"), "gelu")


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_modules_import_numpy_alone(name: str, source: Callable[[str], str]) -> None:
    assert imported(source(name)) - {"functools"} == {"numpy"}


@pytest.mark.parametrize("name", NORMAL)
def test_the_normal_distribution_comes_from_scipy(name: str, source: Callable[[str], str]) -> None:
    assert imported(source(name)) - {"functools"} == {"numpy", "scipy.special"}


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "gelu"])
def test_header(name: str, source: Callable[[str], str], derive: Callable[..., ProvedDual]) -> None:
    module = load(source(name))
    assert vars(module).keys() >= HEADER
    assert module.NAME == "module"
    assert str(derive(name).activation.expr) == module.EXPRESSION
    assert module.TARGET == "numpy"
    assert module.JUMPS == "almost-everywhere"
    assert ({"a": 0.01} if name == "leaky_relu" else {}) == module.PARAMETERS
    assert module.ENGINE.startswith("mehler ")
    assert set(module.BUDGETS) == {"float64", "float32"}
    assert len(module.SOURCE) == 16
    assert int(module.SOURCE, 16) >= 0


def test_the_docstring_tells_formula_and_proof(source: Callable[[str], str]) -> None:
    doc = ast.get_docstring(ast.parse(source("relu"))) or ""
    assert "sqrt(q1)*sqrt(q2)*((pi - theta)*cos(theta) + sin(theta))/(2*pi)" in doc
    assert "dK/dc = E[phi'(u) phi'(v)]" in doc
    assert "FAILED" not in doc
    assert max(map(len, source("relu").splitlines())) <= 120
    assert source("relu").isascii()


@pytest.mark.parametrize("name", ELEMENTARY + NORMAL)
def test_values_are_those_of_the_formulas(
    name: str, source: Callable[[str], str], derive: Callable[..., ProvedDual]
) -> None:
    module, result = load(source(name)), derive(name)
    params = {"a": 0.25} if module.PARAMETERS else {}
    a = {sp.Symbol("a", real=True): sp.Rational(1, 4)}
    v1, v2, cov = np.array([2.0, 0.5, 1.0]), np.array([0.5, 3.0, 1.0]), np.array([-0.5, 0.75, 0.25])
    for function, formula in ((module.kernel, result.kernel), (module.kernel_dot, result.kernel_dot)):
        exact = [
            float(formula.subs({**a, q1: u, q2: v, c: w}).evalf(20)) for u, v, w in zip(v1, v2, cov, strict=True)
        ]
        np.testing.assert_allclose(function(v1, v2, cov, **params), exact, rtol=1e-12, atol=1e-15)
    for function, formula in (
        (module.kernel_diag, result.kernel_diag),
        (module.kernel_dot_diag, result.kernel_dot_diag),
    ):
        exact = [float(formula.subs({**a, q: u}).evalf(20)) for u in v1]
        np.testing.assert_allclose(function(v1, **params), exact, rtol=1e-12)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_single_precision_stays_single(name: str, source: Callable[[str], str]) -> None:
    module = load(source(name))
    point = [np.array([v]) for v in (2.0, 0.5, -0.5)]
    for function in (module.kernel, module.kernel_dot):
        single = function(*(v.astype(np.float32) for v in point))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, function(*point), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "bad", ["", "Relu", "1relu", "../relu", "a b", "relu.py", "class", "re\nlu", "_x", "é", "a" * 61, "a-b"]
)
def test_names_that_are_no_module_are_refused(bad: str) -> None:
    with pytest.raises(EmitError, match="cannot name a module") as caught:
        check_name(bad)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_only_known_targets() -> None:
    with pytest.raises(EmitError, match="choose from: numpy"):
        generate("relu", name="relu", target="fortran")
