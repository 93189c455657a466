import sys
from pathlib import Path

import numpy as np
import pytest

import mehler
import mehler.generated
import mehler.generated.tables
from mehler.derive.errors import DeriveError
from mehler.numeric.evaluator import ABI, Evaluator, load_file, load_named, load_source

GENERATED = Path(mehler.generated.__file__).parent
SOURCE = (GENERATED / "relu.py").read_text(encoding="utf-8")
LEAKY = (GENERATED / "leaky_relu.py").read_text(encoding="utf-8")


def test_a_committed_module_offers_the_abi() -> None:
    module = load_named("relu")
    assert module is not None
    assert module.NAME == "relu"
    assert module.TARGET == "numpy"
    assert all(hasattr(module, name) for name in ABI)


@pytest.mark.parametrize(
    "name",
    [
        "../x", "..", ".", "/", "os", "sys", "numpy", "__init__", "__main__", "_x", "", " relu", "relu ", "relu\n",
        "relu.py", "relu.kernel", "Relu", "RELU", "1relu", "r-elu", "relü", "nosuch", "x*Phi(x)", "a" * 10_000,
    ],
)  # fmt: skip
def test_other_names_are_not_loaded(name: str) -> None:
    before = set(sys.modules)
    assert load_named(name) is None
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("x = (", "does not load (SyntaxError"),
        ("1/0", "does not load (ZeroDivisionError: division by zero)"),
        ("import nosuchmodule", "does not load (ModuleNotFoundError"),
        ("raise RuntimeError('a\\nb')", "does not load (RuntimeError"),
        ("\0", "does not load ("),
        ("(" * 1000 + ")" * 1000, "does not load ("),
        ("", "has no NAME"),
        ("NAME = 'x'", "has no EXPRESSION"),
        (SOURCE.replace("def ntk(", "def tangent("), "has no ntk"),
        (SOURCE.replace("BUDGETS = ", "LIMIT = "), "has no BUDGETS"),
    ],
)
def test_what_is_no_generated_module_is_refused(source: str, fault: str) -> None:
    with pytest.raises(mehler.NumericError) as raised:
        load_source(source, "here.py")
    text = str(raised.value)
    assert text.startswith("here.py ")
    assert fault in text
    assert "'mehler generate'" in text


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE, encoding="utf-8")
    assert load_file(path).NAME == "relu"
    with pytest.raises(mehler.NumericError, match=r"cannot read .*absent\.py: No such file"):
        load_file(tmp_path / "absent.py")
    with pytest.raises(mehler.NumericError, match=r"cannot read .*: Is a directory"):
        load_file(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(mehler.NumericError, match=r"cannot read .*: not UTF-8 text"):
        load_file(path)


def test_two_loaded_sources_do_not_share_their_names() -> None:
    first = load_source(SOURCE, "a")
    second = load_source(SOURCE.replace('NAME = "relu"', 'NAME = "other"'), "b")
    assert (first.NAME, second.NAME) == ("relu", "other")


def test_parameters() -> None:
    module = load_source(LEAKY, "leaky")
    assert Evaluator(module, {}).values == {"a": 0.01}
    assert Evaluator(module, {"a": 0.3}).values == {"a": 0.3}
    with pytest.raises(mehler.NumericError, match="leaky_relu has no parameter 'b'; leave it out"):
        Evaluator(module, {"a": 0.3, "b": 1.0})
    module = load_source(LEAKY.replace('PARAMETERS = {"a": 0.01}', 'PARAMETERS = {"c_": 0.01}'), "leaky")
    with pytest.raises(mehler.NumericError, match="has no parameter 'c'; write c_"):
        Evaluator(module, {"c": 0.3})
    with pytest.raises(mehler.NumericError, match="relu has no parameter 'a'; leave it out"):
        mehler.network("relu", a=0.1)


def test_a_parameter_without_a_default_must_be_given() -> None:
    module = load_source(LEAKY.replace('PARAMETERS = {"a": 0.01}', 'PARAMETERS = {"a": None}'), "leaky")
    assert module.PARAMETERS == {"a": None}
    assert Evaluator(module, {"a": 0.3}).values == {"a": 0.3}
    with pytest.raises(mehler.NumericError, match=r"the parameter a has no value; give one, e\.g\. a=0\.1"):
        Evaluator(module, {})


@pytest.mark.parametrize(("text", "name"), [("ReLU", "relu"), ("LeakyReLU", "leaky_relu"), ("swish", "silu")])
def test_a_name_as_frameworks_spell_it_has_the_committed_module(text: str, name: str) -> None:
    assert mehler.network(text, target="numpy").evaluator == mehler.network(name, target="numpy").evaluator


@pytest.mark.parametrize("name", ["tables", "fast", "gpu"])
def test_a_folder_of_modules_is_no_activation(name: str) -> None:
    with pytest.raises(DeriveError, match=f"'{name}' is not known"):
        mehler.network(name)


def test_a_network_uses_its_parameters() -> None:
    X = np.random.default_rng(0).standard_normal((4, 3))
    identity = mehler.network("leaky_relu", a=1).ntk(X)
    np.testing.assert_allclose(identity, mehler.network("identity").ntk(X), rtol=1e-14)
    assert not np.allclose(identity, mehler.network("leaky_relu").ntk(X))


def test_an_expression_is_derived_and_means_what_its_name_means() -> None:
    """A parameter of an expression is fixed in its derivation, of a committed module at run time."""
    X = np.random.default_rng(0).standard_normal((4, 3))
    derived = mehler.network("where(x > 0, x, b*x)", depth=2, b=0.3, target="numpy")
    assert derived.evaluator.values == {}
    np.testing.assert_allclose(derived.ntk(X), mehler.network("leaky_relu", depth=2, a=0.3).ntk(X), rtol=1e-13)
    with pytest.raises(mehler.NumericError, match=r"the parameter b has no value; give one, e\.g\. b=0\.1"):
        mehler.network("where(x > 0, x, b*x)")
