"""What comes back from the cache is what was derived; nothing else comes back, and no fault of it is an error."""

import ast
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

from mehler import folders
from mehler.derive import cache, pipeline
from mehler.derive.activation import NAMED, activation
from mehler.derive.dual import Check, NumericDual, Proof, ProvedDual, Step
from mehler.derive.errors import ProofError
from mehler.derive.pipeline import derivation, derive_dual
from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import E, c, u, v, x
from mehler.derive.tables.coding import Coded, coded

SLOW = {"elu", "relu6", "hard_tanh"}
FAST = sorted(set(NAMED) - SLOW)
# One of each class; the others take some seconds each to derive and prove.
ALWAYS = {"relu", "leaky_relu", "erf", "sin", "sinc", "step"}

a, b = sp.symbols("a b", real=True)

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, which is made when it is first written to."""
    path = tmp_path / "new" / "cache"
    monkeypatch.setenv("MEHLER_CACHE", str(path))
    return path


@pytest.fixture(scope="module")
def result() -> ProvedDual | NumericDual:
    return derivation("x", {}, cached=False)[0]


@pytest.fixture
def quick(result: ProvedDual, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is derived anew has the proof of `result`: to prove takes a second."""
    monkeypatch.setattr(pipeline, "prove", lambda dual: dataclasses.replace(result, dual=dual))


@pytest.fixture
def stored(folder: Path, result: ProvedDual, quick: None) -> Path:
    """The one file of a cache, which holds `result`."""
    cache.store(_key("x"), result)
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("derived anew")

    for stage in ("integrate", "prove", "approximate"):
        monkeypatch.setattr(pipeline, stage, fail)


def _key(text: str, jumps: Any = "almost-everywhere", **params: Any) -> str:
    found = cache.key(activation(text, params), jumps)
    assert found is not None
    return found


def _srepr(value: Any) -> Any:
    """Every expression within, as SymPy's own exact text."""
    if isinstance(value, sp.Basic):
        return sp.srepr(value)
    if isinstance(value, tuple):
        return tuple(map(_srepr, value))
    if dataclasses.is_dataclass(value):
        return {field.name: _srepr(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {name: _srepr(item) for name, item in value.items()} if isinstance(value, dict) else value


def _rewrite(path: Path, body: str) -> None:
    """A file whose checksum is right, as someone may write who means harm."""
    path.write_text(cache._digest(path.stem, body.encode()) + "\n" + body, encoding="utf-8")


# What comes back


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ALWAYS else [pytest.mark.slow]) for name in FAST]
)
def test_named_activations_come_back_as_they_were(name: str, folder: Path) -> None:
    first, cached = derivation(name, {})
    assert not cached
    again, cached = derivation(name, {})
    assert cached
    assert again == first
    assert again is not first
    assert _srepr(again) == _srepr(first)
    assert (str(again), again.latex()) == (str(first), first.latex())
    assert again.status == first.status


@pytest.mark.parametrize(
    ("text", "params", "jumps"),
    [("sign(x - 1)", {}, "distribution"), ("exp(a*x)", {"a": "negative"}, "almost-everywhere")],
)
def test_others_come_back_as_they_were(text: str, params: Any, jumps: Any, folder: Path) -> None:
    first, again = (derive_dual(text, jumps=jumps, **params) for _ in range(2))
    assert again is not first
    assert again == first
    assert _srepr(again) == _srepr(first)


@pytest.mark.usefixtures("folder")
def test_a_result_from_the_cache_can_be_used(folder: Path) -> None:
    first, again = derive_dual("leaky_relu"), derive_dual("leaky_relu")
    assert again.evaluate(1, 2, "1/2", a="0.1") == first.evaluate(1, 2, "1/2", a="0.1")
    assert again.evaluate(1, 2, "1/2") == first.evaluate(1, 2, "1/2")


EXPRESSIONS: list[sp.Basic] = [
    sp.Integer(-(10**400)),
    sp.Rational(-22, 7),
    *(sp.pi, sp.E, sp.I, sp.oo, -sp.oo, sp.zoo, sp.nan, sp.true, sp.false, sp.EulerGamma),
    sp.Symbol("a"),
    sp.Symbol("a", positive=True),
    sp.Symbol("a", integer=True, nonzero=True) + sp.Symbol("a") * sp.Symbol("a", integer=True),
    sp.Add(b, a, a, 0, evaluate=False),
    sp.Mul(2, sp.Add(a, b, evaluate=False), sp.Rational(1, 2), evaluate=False),
    sp.Pow(sp.Pow(a, 2, evaluate=False), sp.Rational(1, 2), evaluate=False),
    sp.Pow(2, 3, evaluate=False),
    sp.sqrt(a**2 + 1) ** -3,
    sp.exp(-(a**2) / 2) + sp.exp(sp.log(a, evaluate=False), evaluate=False),
    sp.Piecewise((a, a > 0), (b * a, sp.And(a < -1, sp.Or(b > 0, sp.Ne(a, b)))), (0, True)),
    sp.Max(0, a, b) + sp.Min(a, 6) + sp.Heaviside(a) + sp.Heaviside(a, 0) + sp.DiracDelta(a) + sp.DiracDelta(a, 2),
    sp.Integral(sp.exp(-(a**2)) * Phi(a), (a, -sp.oo, b)),
    sp.Integral(sp.Piecewise((a, a > 0), (0, True)), (a, 0, 1), (b, 0, 1)),
    sp.Eq(E(u * v), sp.sqrt(c) * E(sp.Heaviside(u))),
    sp.hyper((sp.Rational(1, 2), 1), (sp.Rational(3, 2),), -(a**2)),
    Phi(a) * Phi2(a, b, sp.Rational(1, 2)) + Phi2(a, b, a / 2),
    Phi(0, evaluate=False),
    sp.sin(sp.pi, evaluate=False) * sp.atan2(a, b) * sp.re(sp.Symbol("z")) * sp.conjugate(sp.Symbol("z")),
    sp.erf(a) + sp.erfc(b) + sp.gamma(a) + sp.Abs(a) + sp.sign(a) + sp.asinh(a) + sp.sech(a),
]


@pytest.mark.parametrize("expr", EXPRESSIONS, ids=[str(n) for n in range(len(EXPRESSIONS))])
def test_expressions_come_back_as_they_were(expr: sp.Basic) -> None:
    again = cache._faithful(cache._encode(expr))
    assert again == expr
    assert sp.srepr(again) == sp.srepr(expr)
    assert (str(again), sp.latex(again)) == (str(expr), sp.latex(expr))
    assert (again.is_commutative, again.free_symbols) == (expr.is_commutative, expr.free_symbols)
    assert again.func is expr.func


@pytest.mark.parametrize("name", sorted(cache._UNEVALUATED))
def test_every_function_of_the_table_comes_back(name: str) -> None:
    function = cache._UNEVALUATED[name]
    own: dict[Any, list[list[Any]]] = {
        sp.And: [[a > 0, b > 0]],
        sp.Or: [[a > 0, b > 0]],
        sp.Not: [[sp.And(a > 0, b > 0)]],
        sp.Piecewise: [[(a, a > 0), (b, True)]],
        sp.hyper: [[sp.Tuple(a), sp.Tuple(b), a]],
    }
    made = 0
    for arguments in own.get(function, [[a], [a, b], [a, b, a + b]]):
        try:
            expr = function(*arguments, evaluate=False)
        except (TypeError, ValueError, AttributeError):  # not that many arguments, or not such ones
            continue
        again = cache._faithful(cache._encode(expr))
        assert (again, sp.srepr(again)) == (expr, sp.srepr(expr))
        made += expr.func == function
    assert made


def test_the_names_of_the_tables_are_distinct() -> None:
    tables = [cache._ATOMS, cache._UNEVALUATED, cache._STRUCTURES, {"Symbol": 0, "Rational": 0}]
    assert len(set().union(*tables)) == sum(map(len, tables))


def test_shared_parts_are_written_once() -> None:
    expr = x
    for _ in range(60):
        expr = sp.Add(sp.sin(expr), sp.cos(expr))
    text = cache._encode(expr)
    assert len(text) < 10_000
    cache._faithful(text)


# The time it takes


@pytest.mark.usefixtures("folder")
def test_reading_is_fast() -> None:
    derive_dual("gelu")
    times = []
    for _ in range(5):
        started = time.perf_counter()
        assert derivation("gelu", {})[1]
        times.append(time.perf_counter() - started)
    assert min(times) < 0.05


def test_another_process_reads_it(folder: Path, no_work: None, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from mehler.derive.pipeline import derivation; print(derivation('abs(x)', {})[1])"
    outputs = [_process(code).communicate(timeout=100)[0].strip() for _ in range(2)]
    assert outputs == ["False", "True"]
    assert derivation("abs(x)", {})[1]


def _process(code: str) -> subprocess.Popen[str]:
    # Where it finds mehler is where this process does, installed or not.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )


# The key


def test_the_key_depends_on_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        _key("exp(a*x)"),
        _key("exp(a*x)", "distribution"),
        _key("exp(a*x)", a="positive"),
        _key("exp(a*x)", a="negative"),
        _key("exp(a*x)", a=1),
        _key("exp(a*x)", a=2),
        _key("exp( a*x )"),  # its text is part of the result
        _key("exp"),
        _key("exp(b*x)", b="real"),
    ]
    for target, name in (
        ("mehler.derive.cache._ENGINE", "another engine"),
        ("sympy.__version__", "0"),
        ("mpmath.__version__", "0"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name)
            keys.append(_key("exp(a*x)"))
    assert len(set(keys)) == len(keys)
    assert _key("exp(a*x)") == keys[0]
    assert _key("exp(a*x)", a="1/10") == _key("exp(a*x)", a=0.1)


def test_the_engine_is_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    assert cache._engine() is None
    (tmp_path / "emit").mkdir()
    (tmp_path / "cache.py").write_text("1", encoding="utf-8")
    digests = [cache._engine()]
    for name, text in (("cache.py", "2"), ("emit/new.py", ""), ("emit/new.py", "3")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        digests.append(cache._engine())
    (tmp_path / "emit" / "new.py").rename(tmp_path / "new.py")
    digests.append(cache._engine())
    assert None not in digests
    assert len(set(digests)) == len(digests)


@pytest.mark.usefixtures("quick")
def test_without_sources_nothing_is_cached(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_ENGINE", None)
    assert [derivation("x", {})[1] for _ in range(2)] == [False, False]
    assert not folder.exists()


# What is not kept


@pytest.mark.usefixtures("quick")
def test_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parents[1])
    for off in ("Off", " OFF ", "off"):
        monkeypatch.setenv("MEHLER_CACHE", off)
        assert (cache.folder(), folders.compiled()) == (None, None)
    assert [derivation("x", {})[1] for _ in range(2)] == [False, False]
    assert list(folder.parents[1].iterdir()) == []
    assert (cache.files(), cache.clear()) == ([], (0, 0))


@pytest.mark.usefixtures("quick")
def test_the_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folders.platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path))
    for value in ("", " "):
        monkeypatch.setenv("MEHLER_CACHE", value)
        assert cache.folder() == tmp_path / "derivations"
    monkeypatch.setattr(folders.platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/mehler")
    assert cache.folder() is None


def test_the_cache_may_be_passed_by(stored: Path) -> None:
    before = stored.read_bytes()
    assert derivation("x", {}, cached=False)[1] is False
    assert derivation("2*x", {}, cached=False)[1] is False
    assert list(stored.parent.iterdir()) == [stored]
    assert stored.read_bytes() == before


def test_what_failed_its_proof_is_not_kept(
    folder: Path, result: ProvedDual, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store("0" * 64, dataclasses.replace(result, proof=Proof((Check("name", "symbolic", False, ""),))))
    cache.store("0" * 64, dataclasses.replace(result, proof=Proof(())))

    def refuse(_: object) -> None:
        raise ProofError("failed")

    monkeypatch.setattr(pipeline, "prove", refuse)
    with pytest.warns(RuntimeWarning, match=r"^failed\. Its kernels are by quadrature$"):
        assert isinstance(derive_dual("x"), NumericDual)
    assert not folder.exists()


def test_what_has_no_text_is_not_kept(folder: Path, result: ProvedDual) -> None:
    for strange in (sp.Dummy("d"), sp.Float("0.1"), sp.Function("g")(x), sp.Integer(10) ** 5000):
        step = Step("rule", "citation", strange, x)
        cache.store("0" * 64, dataclasses.replace(result, dual=dataclasses.replace(result.dual, steps=(step,))))
    deep = x
    for _ in range(3000):
        deep = sp.sin(deep, evaluate=False)
    step = Step("rule", "citation", deep, x)
    cache.store("0" * 64, dataclasses.replace(result, dual=dataclasses.replace(result.dual, steps=(step,))))
    assert not folder.exists()


def test_what_is_too_large_is_not_kept(
    folder: Path, result: ProvedDual, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", stored.stat().st_size - 1)
    assert cache.load(stored.stem) is None
    stored.unlink()
    cache.store(stored.stem, result)
    assert list(folder.iterdir()) == []


# Faults of files


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:64],
        lambda data: data.replace(b"q", b"p", 1),
        lambda data: data.replace(b'"Rational","1","1"', b'"Rational","2","1"'),
        lambda data: b"\xff" * 1000,
        lambda data: data + b" ",
        lambda data: data.partition(b"\n")[2],
    ],
)
def test_a_damaged_file_is_ignored_and_replaced(stored: Path, damage: Callable[[bytes], bytes]) -> None:
    whole = stored.read_bytes()
    assert damage(whole) != whole
    stored.write_bytes(damage(whole))
    assert derivation("x", {})[1] is False
    assert stored.read_bytes() == whole
    assert derivation("x", {})[1] is True


def test_a_file_of_another_key_is_ignored(stored: Path) -> None:
    other = stored.with_name(_key("2*x") + ".jsonl")
    other.write_bytes(stored.read_bytes())
    result, cached = derivation("2*x", {})
    assert (cached, str(result.activation.expr)) == (False, "2*x")


def test_what_is_no_file_is_ignored(stored: Path) -> None:
    stored.unlink()
    stored.mkdir()
    assert [derivation("x", {})[1] for _ in range(2)] == [False, False]
    assert list(stored.parent.iterdir()) == [stored]


HERE = 1000  # stands for the position of the forged node itself

NODE: dict[str, list[Any]] = {
    "an unknown function": ["__import__", 0],
    "a function of SymPy that is not in the table": ["sympify", 0],
    "a class of the engine": ["ProvedDual", 0],
    "its own index": ["Add", 0, HERE],
    "a later index": ["Add", 0, HERE + 1],
    "a negative index": ["Add", -1, 0],
    "an index that is a text": ["sin", "0"],
    "an index that is true": ["sin", False],
    "an index that is a fraction": ["sin", 0.0],
    "too many arguments": ["sin", 0, 0, 0],
    "no arguments": ["Add"],
    "one argument of a sum": ["Add", 0],
    "an argument that is evaluated": ["Max", 0, 0],
    "no name": [],
    "a name that is no text": [["Add"], 0],
    "a symbol that is no text": ["Symbol", 3, {}],
    "a symbol without assumptions": ["Symbol", "x"],
    "a symbol that is code": ["Symbol", "__import__('os').abort()", {}],
    "a symbol that is two": ["Symbol", "a, b", {}],
    "a symbol that ends a text": ["Symbol", '"""', {}],
    "a symbol that is not ASCII": ["Symbol", "ｑ1", {}],
    "assumptions that are none": ["Symbol", "x", {"__class__": 1}],
    "assumptions that contradict": ["Symbol", "x", {"positive": True, "negative": True}],
    "a number that is none": ["Rational", "__import__('os')", "1"],
    "a number without an end": ["Rational", "9" * 5000, "1"],
    "a number over 0": ["Rational", "1", "0"],
    "a number not in lowest terms": ["Rational", "2", "4"],
    "a condition for a formula": ["true"],
}


@pytest.mark.parametrize("what", NODE)
def test_a_forged_node_is_ignored(what: str, stored: Path) -> None:
    document = json.loads(stored.read_text(encoding="utf-8").partition("\n")[2])
    here = len(document["nodes"])
    node = [here + part - HERE if type(part) is int and part >= HERE else part for part in NODE[what]]
    document["nodes"].append(node)
    document["result"]["fields"]["dual"]["fields"]["kernel"] = {"expr": here}
    _rewrite(stored, json.dumps(document, separators=(",", ":")))
    assert cache.load(stored.stem) is None


def _changed(change: Callable[[Any], Any]) -> Callable[[str], str]:
    return lambda body: json.dumps(change(json.loads(body)), separators=(",", ":"))


def _field(*path: str, value: Any) -> Callable[[Any], Any]:
    def change(document: Any) -> Any:
        fields = document["result"]["fields"]
        for name in path[:-1]:
            fields = fields[name]["fields"]
        assert path[-1] in fields
        fields[path[-1]] = value
        return document

    return change


BODY: dict[str, Callable[[str], str]] = {
    "deep nesting": lambda body: "[" * 100_000 + "]" * 100_000,
    "deep nesting of values": lambda body: '{"nodes":[],"result":' + '{"tuple":[' * 400 + "]}" * 400 + "}",
    "not an object": lambda body: "[]",
    "a result of another type": lambda body: '{"nodes":[["pi"]],"result":{"expr":0}}',
    "blanks": lambda body: body.replace(",", ", "),
    "a node that nothing uses": _changed(lambda document: {**document, "nodes": [*document["nodes"], ["zoo"]]}),
    "no result": lambda body: '{"nodes":[],"result":null}',
    "a text for a dual": _changed(_field("dual", value="dual")),
    "a text for a kernel": _changed(_field("dual", "kernel", value="os.system('true')")),
    "nothing for a kernel": _changed(_field("dual", "kernel", value=None)),
    "an index out of range": _changed(_field("dual", "kernel", value={"expr": 10**9})),
    "an unknown sense of jumps": _changed(_field("dual", "jumps", value="left")),
    "steps that are none": _changed(_field("dual", "steps", value={"tuple": [1]})),
    "a text for the terminal": _changed(_field("dual", "activation", "text", value="\x1b[2Jx")),
    "a failed proof": _changed(_field("proof", "checks", value={"tuple": []})),
    "pieces of another class": _changed(_field("dual", "activation", "pieces", value={"class": "Proof"})),
    "a class that is none": _changed(_field("proof", value={"class": "Popen", "fields": {"args": "true"}})),
    "a field too many": _changed(
        _field("proof", value={"class": "Proof", "fields": {"checks": 1, "passed": True}})
    ),
    "a field too few": _changed(_field("proof", value={"class": "Proof", "fields": {}})),
    "a key too many": _changed(_field("dual", "kernel", value={"expr": 0, "class": "Proof"})),
    "defaults that are none": _changed(_field("dual", "activation", "defaults", value={"mapping": {"a": 1}})),
}


@pytest.mark.parametrize("what", BODY)
def test_a_forged_body_is_ignored(what: str, stored: Path) -> None:
    body = stored.read_text(encoding="utf-8").partition("\n")[2]
    _rewrite(stored, body)
    assert cache.load(stored.stem) is not None
    _rewrite(stored, BODY[what](body))
    assert cache.load(stored.stem) is None


FORGED = '\n"""\nraise SystemExit("forged")\n"""\n\\'


def test_texts_of_a_file_are_no_code(stored: Path, result: ProvedDual) -> None:
    """They are in the docstring of a module, whatever is in them."""
    check = {"class": "Check", "fields": {"name": FORGED, "kind": "exact", "passed": True, "detail": FORGED}}
    proof = {"class": "Proof", "fields": {"checks": {"tuple": [check]}}}
    body = stored.read_text(encoding="utf-8").partition("\n")[2]
    kind = json.loads(body)["result"]["fields"]["proof"]["fields"]["checks"]["tuple"][0]["fields"]["kind"]
    check["fields"]["kind"] = kind  # type: ignore[index]
    _rewrite(stored, _changed(_field("proof", value=proof))(body))
    known = cache.load(stored.stem)
    assert isinstance(known, ProvedDual)
    for target in ("numpy", "numba", "cupy"):
        source = pipeline.source_of(known, "m", target)
        names = [node.names for node in ast.parse(source).body if isinstance(node, ast.Import)]
        assert names
        assert "forged" in (ast.get_docstring(ast.parse(source)) or "")
        assert "Raise" not in {type(node).__name__ for node in ast.parse(source).body}


@pytest.mark.parametrize("text", ['""")', "\n", "a'", "\\", "é"])
def test_texts_of_tables_are_in_base_85(text: str) -> None:
    with pytest.raises(ValueError, match="base 85"):
        Coded(57, text)
    assert coded(np.linspace(-1, 1, 300)).values.shape == (300,)


def test_the_derivation_of_another_activation_is_not_taken(stored: Path) -> None:
    """A file may hold any derivation, and say that it is this one."""
    body = stored.read_text(encoding="utf-8").partition("\n")[2]
    other = stored.with_name(_key("2*x") + ".jsonl")
    _rewrite(other, body)
    assert cache.load(other.stem) is not None
    found, cached = derivation("2*x", {})
    assert (str(found.activation.expr), cached) == ("2*x", False)


# Faults of folders, and other processes


@posix
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_left_alone(stored: Path, mode: int) -> None:
    stored.parent.chmod(mode)
    assert [derivation(text, {})[1] for text in ("x", "2*x", "2*x")] == [False] * 3
    assert list(stored.parent.iterdir()) == [stored]
    stored.parent.chmod(0o755)
    assert derivation("x", {})[1] is True


@posix
def test_a_file_that_others_may_write_to_is_not_read(stored: Path) -> None:
    stored.chmod(0o666)
    assert [derivation("x", {})[1] for _ in range(2)] == [False, True]
    assert stored.stat().st_mode & 0o777 == 0o600


@posix
def test_what_belongs_to_another_is_not_read(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.os, "geteuid", lambda: stored.stat().st_uid + 1)
    assert cache.load(stored.stem) is None or stored.stat().st_uid == 0
    if os.getuid() == 0:
        monkeypatch.undo()
        os.chown(stored, 12345, -1)
        assert cache.load(stored.stem) is None
        os.chown(stored, 0, -1)
        os.chown(stored.parent, 12345, -1)
        assert cache.load(stored.stem) is None


@posix
def test_a_link_is_neither_read_nor_written_through(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(stored.read_bytes())
    target.chmod(0o600)
    stored.unlink()
    stored.symlink_to(target)
    whole = target.read_bytes()
    assert [derivation("x", {})[1] for _ in range(2)] == [False, True]
    assert target.read_bytes() == whole
    assert not stored.is_symlink()
    stored.unlink()
    os.mkfifo(stored)
    assert derivation("x", {})[1] is False  # and does not wait for a writer


@posix
def test_folders_are_made_for_the_user_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        derivation("x", {})
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder, *folder.iterdir())] == [
        0o700,
        0o700,
        0o600,
    ]


@pytest.mark.usefixtures("quick")
def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("MEHLER_CACHE", str(tmp_path / "file" / "cache"))
    assert [derivation("x", {})[1] for _ in range(2)] == [False, False]
    monkeypatch.setattr(cache, "folder", lambda: Path("nul\0byte"))
    assert derivation("x", {})[1] is False


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read(stored: Path) -> None:
    stored.parent.chmod(0o500)
    try:
        assert derivation("x", {})[1] is True
        assert derivation("2*x", {})[1] is False
    finally:
        stored.parent.chmod(0o700)
    assert list(stored.parent.iterdir()) == [stored]


@pytest.mark.parametrize("call", ["fdopen", "replace"])
def test_a_disk_that_is_full(stored: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders.os, call, fail)
    assert derivation("2*x", {})[1] is False
    assert list(stored.parent.iterdir()) == [stored]


def test_an_interruption_leaves_no_part_of_a_file(
    stored: Path, result: ProvedDual, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folders.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.store("0" * 64, result)
    assert list(stored.parent.iterdir()) == [stored]


def test_processes_that_write_at_once(stored: Path) -> None:
    """Each writes the file a hundred times and must find it whole each time."""
    code = (
        "from mehler.derive import cache; from mehler.derive.pipeline import derivation\n"
        "result, cached = derivation('x', {}); assert cached\n"
        "key = cache.key(result.activation, result.jumps)\n"
        "for _ in range(100):\n    cache.store(key, result); assert cache.load(key) == result\n"
        "print('well')"
    )
    processes = [_process(code) for _ in range(2)]
    assert [process.communicate(timeout=100)[0] for process in processes] == ["well\n"] * 2
    assert list(stored.parent.iterdir()) == [stored]


def test_clearing_removes_nothing_else(stored: Path) -> None:
    left_over = stored.with_name(f".{stored.stem}.abc_12.part")
    left_over.write_bytes(b"12345")
    others = [stored.with_name(name) for name in ("notes.jsonl", "a.part", "0" * 64)]
    for path in others:
        path.write_text("mine", encoding="utf-8")
    size = stored.stat().st_size
    assert cache.files() == sorted([stored, left_over])
    assert cache.clear() == (2, size + 5)
    assert sorted(stored.parent.iterdir()) == sorted(others)
    assert cache.clear() == (0, 0)
