"""Bad input at the command line: one line on stderr that names the fault, exit code 2, no file, no traceback."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mehler.generated

Command = Callable[..., Any]

EXPRESSIONS = {
    "a call of the language": ("__import__('os')", "'__import__' is not a known function"),
    "eval": ("eval('x')", "'eval' is not a known function"),
    "an attribute": ("x.__class__", "is not allowed in an activation"),
    "an attribute of a tuple": ("().__class__.__bases__[0]", "is not allowed in an activation"),
    "a lambda": ("(lambda: x)()", "is not"),
    "a comprehension": ("[x for x in x]", "is not allowed in an activation"),
    "an f-string": ("f'{x}'", "is not allowed in an activation"),
    "a tower of powers": ("9**9**9", "an exponent that is no fraction"),
    "a tower of powers of x": ("x**9**9", "an exponent that is no fraction"),
    "a long decimal": ("1e999999999*x", "is not a plain decimal"),
    "nesting a million deep": ("(" * 10**6 + "x" + ")" * 10**6, "at most 2000 are accepted"),
    "a million signs": ("x" + "-" * 10**6 + "x", "at most 2000 are accepted"),
    "nesting within the length": ("(" * 990 + "x" + ")" * 990, ""),
    "functions within functions": ("abs(" * 390 + "x" + ")" * 390, ""),
    "an open bracket": ("max(0, x", "cannot read"),
    "two lines": ("x\nx", "cannot read"),
    "a null byte": ("x\0", ""),
    "not ASCII": ("φ(x)", "write it in plain ASCII"),
    "nothing": ("", "the activation is empty"),
    "blanks": ("  ", "the activation is empty"),
    "an unknown function": ("rectify(x)", "'rectify' is not a known function"),
    "a function of two variables": ("x*y", "'y' is not known: an activation is a function of the one variable x"),
    "a constant": ("3", "does not depend on x"),
    "a condition": ("x > 0", "is a condition, not a value"),
    "a division by zero": ("x/0", "divides by zero"),
    "too few arguments": ("max()", "takes at least 1 argument"),
    "a divergent expectation": ("exp(x**2)", "the expectation diverges"),
    "not real": ("sqrt(x)", "an activation must be defined on the whole line"),
}

GOOD = np.random.default_rng(0).standard_normal((4, 3))


def _with(value: float) -> np.ndarray:
    X = GOOD.copy()
    X[2] = value
    return X


ARRAYS = {
    "NaN": (_with(math.nan), "row 2 of X contains NaN or infinity"),
    "infinity": (_with(math.inf), "row 2 of X contains NaN or infinity"),
    "a zero row": (_with(0), "row 2 of X is zero and has no direction; remove it or set sigma_b > 0"),
    "rank 0": (np.array(1.0), "must have shape (n, d), not ()"),
    "rank 1": (GOOD[0], "must have shape (n, d), not (3,)"),
    "rank 3": (GOOD[None], "must have shape (n, d), not (1, 4, 3)"),
    "integers": (np.ones((4, 3), int), "X has dtype int64; convert it"),
    "float16": (GOOD.astype(np.float16), "X has dtype float16; convert it"),
    "complex": (GOOD + 0j, "X has dtype complex128; convert it"),
    "text": (np.array([["a", "b"]]), "X has dtype <U1; convert it"),
    "objects": (np.array([[{}]]), "is not a .npy file of numbers"),
    "no rows": (GOOD[:0], "X is empty, of shape (0, 3)"),
    "no columns": (GOOD[:, :0], "X is empty, of shape (4, 0)"),
}

NETWORKS = {
    "depth < 0": (["--depth", -1], "depth=-1 must be an integer >= 0"),
    "depth without end": (["--depth", 2**31], "depth=2147483648 is too deep; use at most 100000 hidden layers"),
    "too many threads": (["--threads", 10**6], "threads=1000000 is more than 1024"),
    "depth not whole": (["--depth", "1.5"], "--depth"),
    "sigma_w NaN": (["--sigma-w", "nan"], "sigma_w=nan must be a finite number > 0"),
    "sigma_w infinite": (["--sigma-w", "inf"], "sigma_w=inf must be a finite number > 0"),
    "sigma_w zero": (["--sigma-w", "0"], "sigma_w=0.0 must be a finite number > 0"),
    "sigma_w negative": (["--sigma-w", "-1"], "sigma_w=-1.0 must be a finite number > 0"),
    "sigma_w a word": (["--sigma-w", "wide"], "--sigma-w"),
    "sigma_w whose square overflows": (["--sigma-w", "1e200"], "sigma_w=1e+200 "),
    "sigma_b whose square overflows": (["--sigma-b", "1e200"], "sigma_b=1e+200 "),
    "sigma_b NaN": (["--sigma-b", "nan"], "sigma_b=nan must be a finite number >= 0"),
    "sigma_b negative": (["--sigma-b", "-0.1"], "sigma_b=-0.1 must be a finite number >= 0"),
    "no threads": (["--threads", 0], "threads=0 must be an integer >= 1"),
    "kernel unknown": (["--kernel", "rbf"], "--kernel"),
    "a parameter it has not": (["--param", "a=1"], "relu has no parameter 'a'; leave it out"),
    "a parameter without a value": (["--param", "a"], "is not NAME=VALUE"),
    "an option that does not exist": (["--width", 3], "--width"),
}

OTHERS = {
    "no such command": (["derve", "relu"], "derve"),
    "no expression": (["derive"], "Missing argument"),
    "no such option": (["derive", "relu", "--pretty"], "--pretty"),
    "a point without c": (["derive", "relu", "--at", "q1=1,q2=1"], "must give q1, q2 and c"),
    "a point with c twice": (["derive", "relu", "--at", "q1=1,q2=1,c=0,c=1"], "is not a point; write e.g. --at"),
    "no point": (["derive", "relu", "--at", "here"], "is not a point; write e.g. --at q1=1,q2=1,c=1/2"),
    "an impossible covariance": (["derive", "relu", "--at", "q1=1,q2=1,c=2"], "|c| may be at most sqrt(q1*q2)"),
    "a negative variance": (["derive", "relu", "--at", "q1=-1,q2=1,c=0"], "must not be negative"),
    "a fraction of 0": (["derive", "relu", "--at", "q1=1/0,q2=1,c=0"], "is not a number; write e.g. q1="),
    "a number too long": (["derive", "relu", "--at", "q1=1e999999999,q2=1,c=0"], "is not a number; write e.g. q1="),
    "a parameter too long": (["derive", "a*x", "--param", "a=1e999999999"], "is not a number; write e.g. a="),
    "results where no folder is": (
        ["demo", "--json", "new/demo.json"],
        "the folder new does not exist; create it first",
    ),
    "no number": (["derive", "relu", "--at", "q1=nan,q2=1,c=0"], "is not a number; write e.g. q1="),
    "no digits": (["derive", "relu", "--digits", 0], "--digits 0 is out of range; use 1 to 200"),
    "too many digits": (["derive", "relu", "--digits", 201], "use 1 to 200"),
    "a value without a parameter": (["derive", "exp(a*x)", "--at", "q1=1,q2=1,c=0"], "a has no value; give one"),
    "a parameter twice": (["derive", "a*x", "--param", "a=1", "--param", "a=2"], "once for each name"),
    "a parameter that is no number": (["derive", "a*x", "--param", "a=big"], "is not a number; write e.g. a="),
    "an argument for a parameter": (["derive", "a*x", "--param", "depth=1"], "has no parameter 'depth'"),
    "a time limit for a parameter": (["derive", "a*x", "--param", "timeout=1"], "has no parameter 'timeout'"),
    "no time": (["derive", "relu", "--timeout", 0], "timeout=0.0 is not a time limit; use a number of seconds > 0"),
    "less than no time": (["generate", "relu", "--name", "r", "--timeout", -1], "timeout=-1.0 is not a time limit"),
    "a time that is no number": (["derive", "relu", "--timeout", "nan"], "timeout=nan is not a time limit"),
    "an unknown derivative": (
        ["derive", "sign(x)", "--jumps", "left"],
        "use 'almost-everywhere' or 'distribution'",
    ),
    "no name": (["generate", "relu"], "mehler generate EXPR --name NAME"),
    "a name that is a path": (["generate", "relu", "--name", "../relu"], "cannot name a module"),
    "a name that is a keyword": (["generate", "relu", "--name", "class"], "cannot name a module"),
    "an unknown target": (["generate", "relu", "--name", "r", "--target", "cuda"], "choose from: numpy, numba"),
    "tables with a parameter": (["generate", "tanh(a*x)", "--name", "r"], "give a one, e.g. a=0.1"),
    "no such evaluator": (["check", "nosuch"], "see 'mehler list'"),
    "no such file to check": (["check", "nosuch.py"], "cannot read nosuch.py: No such file or directory"),
    "mean field: sigma_w negative": (
        ["mean-field", "relu", "--sigma-w", -1],
        "sigma_w=-1 must be a finite number > 0",
    ),
    "mean field: sigma_w NaN": (
        ["mean-field", "relu", "--sigma-w", "nan"],
        "sigma_w=nan must be a finite number > 0",
    ),
    "mean field: sigma_w infinite": (["mean-field", "relu", "--sigma-w", "inf"], "sigma_w=inf must be"),
    "mean field: sigma_b negative": (
        ["mean-field", "relu", "--sigma-w", 1, "--sigma-b", -1],
        "sigma_b=-1 must be a finite number >= 0",
    ),
    "mean field: sigma_b alone": (["mean-field", "relu", "--sigma-b", 1], "sigma_b without sigma_w"),
    "mean field: sigma_w a word": (["mean-field", "relu", "--sigma-w", "wide"], "sigma_w=wide must be"),
    "mean field: a free parameter": (["mean-field", "a*x", "--sigma-w", 1], "a has no value; give one"),
    "an unknown dtype": (["check", "relu", "--dtype", "float16"], "use float64 or float32"),
    "no points": (["check", "relu", "--points", 0], "use 1 to 1000"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder but for good data in X.npy."""
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "X.npy", GOOD)
    return tmp_path


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("what", EXPRESSIONS)
def test_expressions(mehler_command: Command, folder: Path, what: str) -> None:
    text, fault = EXPRESSIONS[what]
    commands: tuple[tuple[object, ...], ...] = (
        ("derive", text, "--json"),
        ("generate", text, "--name", "mine", "--out", "new"),
        ("mean-field", text, "--json"),
        ("gram", text, "X.npy", "--out", "K.npy"),
        ("demo", "--activation", text, "--out", "demo", "--json", "demo.json"),
    )
    for command in commands:
        line = mehler_command(*command).refused()
        assert fault in line, command[0]
        assert len(line) < 400
        assert _files(folder) == {"X.npy"}


@pytest.mark.parametrize("option", [[], ["--other", "Y.npy"]], ids=["X", "Y"])
@pytest.mark.parametrize("what", ARRAYS)
def test_arrays(mehler_command: Command, folder: Path, what: str, option: list[str]) -> None:
    array, fault = ARRAYS[what]
    name = "Y.npy" if option else "X.npy"
    np.save(name, array)
    line = mehler_command("gram", "relu", "X.npy", *option, "--out", "K.npy").refused()
    assert (fault.replace("X", "Y") if option else fault) in line
    assert _files(folder) == {"X.npy", name}


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'"])
def test_files_that_hold_no_array(mehler_command: Command, folder: Path, content: bytes) -> None:
    Path("X.npy").write_bytes(content)
    assert (
        "X.npy is not a .npy file of numbers" in mehler_command("gram", "relu", "X.npy", "--out", "K.npy").refused()
    )
    assert _files(folder) == {"X.npy"}


def test_paths(mehler_command: Command, folder: Path) -> None:
    assert "nosuch.npy does not exist" in mehler_command("gram", "relu", "nosuch.npy", "--out", "K.npy").refused()
    assert "give a .npy file" in mehler_command("gram", "relu", ".", "--out", "K.npy").refused()
    line = mehler_command("gram", "relu", "X.npy", "--out", "new/K.npy").refused()
    assert "the folder new does not exist; create it first" in line
    assert "; name " in mehler_command("gram", "relu", "X.npy", "--out", ".").refused()
    assert "Missing option '--out'" in mehler_command("gram", "relu", "X.npy").refused()
    assert "X.npy" in mehler_command("generate", "relu", "--name", "relu", "--out", "X.npy").refused()
    assert _files(folder) == {"X.npy"}
    np.testing.assert_array_equal(np.load("X.npy"), GOOD)


def test_rows_of_two_kinds(mehler_command: Command, folder: Path) -> None:
    command = ("gram", "relu", "X.npy", "--other", "Y.npy", "--out", "K.npy")
    np.save("Y.npy", GOOD[:, :2])
    assert "X has 3 columns and Y has 2; they must be equal" in mehler_command(*command).refused()
    np.save("Y.npy", GOOD.astype(np.float32))
    assert "X is float64 and Y is float32; convert one" in mehler_command(*command).refused()
    assert _files(folder) == {"X.npy", "Y.npy"}


@pytest.mark.parametrize("what", NETWORKS)
def test_networks(mehler_command: Command, folder: Path, what: str) -> None:
    options, fault = NETWORKS[what]
    assert fault in mehler_command("gram", "relu", "X.npy", "--out", "K.npy", *options).refused()
    assert _files(folder) == {"X.npy"}


@pytest.mark.parametrize("existing", [False, True])
def test_overflow_half_way(
    mehler_command: Command, folder: Path, tile_size: Callable[..., None], existing: bool
) -> None:
    """The first tile is computed and written; the second overflows."""
    tile_size(2, "exp")
    X = GOOD.copy()
    X[3] *= 1e3
    np.save("X.npy", X)
    if existing:
        Path("K.npy").write_text("before", encoding="utf-8")
    line = mehler_command("gram", "exp", "X.npy", "--out", "K.npy").refused()
    assert "the kernel of row 0 with row 3 is not finite in float64 from layer 1 of 1 on" in line
    assert _files(folder) == ({"X.npy", "K.npy"} if existing else {"X.npy"})
    assert not existing or Path("K.npy").read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize("option", [[], ["--other", "Y.npy"]], ids=["X", "Y"])
def test_rows_beyond_what_can_be_summed(mehler_command: Command, folder: Path, option: list[str]) -> None:
    name = "Y.npy" if option else "X.npy"
    np.save(name, GOOD * [[1], [1], [1e151], [1e150]])
    line = mehler_command("gram", "tanh", "X.npy", *option, "--out", "K.npy").refused()
    assert "for sums at variances over" in line
    assert line.endswith(f"(row 2 of {name[0]} is the longest)\n")
    assert _files(folder) == {"X.npy", name}


@pytest.mark.parametrize("what", OTHERS)
def test_other_commands(mehler_command: Command, folder: Path, what: str) -> None:
    command, fault = OTHERS[what]
    assert fault in mehler_command(*command).refused()
    assert _files(folder) == {"X.npy"}


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("x = (", "does not load (SyntaxError"),
        ("import nosuchmodule", "does not load (ModuleNotFoundError"),
        ("x = 1", "is not a generated module: it has no NAME"),
    ],
)
def test_files_that_are_no_evaluator(mehler_command: Command, folder: Path, source: str, fault: str) -> None:
    Path("mine.py").write_text(source, encoding="utf-8")
    line = mehler_command("check", "mine.py").refused()
    assert fault in line
    assert "'mehler generate'" in line


def test_an_expression_in_a_generated_file_is_no_more_trusted(mehler_command: Command, folder: Path) -> None:
    source = Path(mehler.generated.__file__).with_name("relu.py").read_text(encoding="utf-8")
    Path("mine.py").write_text(source.replace('"Max(0, x)"', "\"__import__('os')\""), encoding="utf-8")
    assert "'__import__' is not a known function" in mehler_command("check", "mine.py").refused()
