"""The CuPy modules of tables without a GPU: their kernels compiled for this machine, in the bounds of the others.

As in test_device.py, what this cannot see is the device itself. See tests/gpu.
"""

import json
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import array_api_strict
import numpy as np
import pytest

import mehler
import mehler.generated.tables.gpu
from mehler.derive.emit.library import TABLED
from mehler.derive.errors import EmitError
from mehler.derive.pipeline import TABLE_TARGETS, derive_dual, generate
from mehler.derive.tables.coding import coded
from mehler.derive.tables.table import RANGE, Table, Tables, layers

FOLDER = Path(mehler.generated.tables.gpu.__file__).parent
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "tables.json").read_text(encoding="utf-8"))
BOUND = 1e-13
FUNCTIONS = ("kernel", "kernel_dot")
FEW = ("tanh", "softplus")  # one is odd, one has no parity; each takes seconds to compile
EACH = [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in TABLED]
CONTRACTIONS = ("off", "fast")
SCALES = {"sigma_w": 1.4, "sigma_b": 0.2}
DEVICE = array_api_strict.Device("device1")


def source(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def plain(name: str) -> Any:
    return import_module(f"mehler.generated.tables.{name}")


def errors(subject: Any, name: str) -> list[float]:
    """|computed - exact| / sqrt(K11 K22) of K and K' at the golden points, each alone and all at once."""
    points = np.array([[float.fromhex(v) for v in entry["at"]] for entry in GOLDEN[name]]).T
    found = []
    for n, function in enumerate(FUNCTIONS):
        run = getattr(subject, function)
        exact = np.array([float(entry["values"][n]) for entry in GOLDEN[name]])
        one, two = np.array([[float(end[n]) for end in entry["ends"]] for entry in GOLDEN[name]]).T
        for values in (run(*points), np.array([run(*point) for point in points.T])):
            found += list(np.abs(values - exact) / np.sqrt(one) / np.sqrt(two))
    return found


def rows(kind: str) -> np.ndarray:
    """Rows of unequal norms, of equal ones, or some close to each other, opposite or equal."""
    X = np.random.default_rng(5).standard_normal((60, 7)) * np.linspace(0.3, 3, 60)[:, None]
    if kind == "equal":
        X /= np.linalg.norm(X, axis=1)[:, None]
    if kind == "close":
        X[20:30] = X[3] + 1e-6 * X[20:30]
        X[40], X[41] = -X[3], -X[3] + 1e-5 * X[8]
        X[50] = X[4]
    return X


def apart(one: np.ndarray, two: np.ndarray) -> float:
    """The largest difference, in units of sqrt(K11 K22)."""
    scale = np.sqrt(np.diag(one))
    return float((np.abs(one - two) / np.outer(scale, scale)).max())


def astray(subject: Any, name: str, distance: float) -> float:
    """The median error of the falls of K at rows so far apart, in units of 10 eps: K11 + K22 - 2 K12 = K' |x - y|^2.

    Not the largest: as in the other targets, Price's integral is dropped where the tables err by more than 8e-15.
    """
    rng = np.random.default_rng(1)
    X = rng.standard_normal(20) + distance * rng.standard_normal((12, 20))
    K, w2 = subject.nngp(X, depth=1, **SCALES), SCALES["sigma_w"] ** 2
    slope = plain(name).kernel_dot_diag(w2 * X[0] @ X[0] / 20 + SCALES["sigma_b"] ** 2)
    exact = slope * w2 * w2 * ((X[:, None] - X) ** 2).sum(axis=2) / 40
    error = np.abs((K.diagonal()[:, None] + K.diagonal()) / 2 - K - exact)[np.triu_indices(len(X), 1)]
    return float(np.median(error) / (10 * np.finfo(float).eps * K.max()))


def test_there_is_one_for_each_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {*TABLED, "__init__"}


@pytest.mark.parametrize("name", TABLED)
def test_the_header_is_that_of_the_numpy_module(name: str) -> None:
    text = source(name)
    namespace: dict[str, Any] = {}
    exec(text[text.index("\nNAME = ") : text.index("\nSOURCE = ")], namespace)
    for key in ("NAME", "EXPRESSION", "PARAMETERS", "JUMPS", "ENGINE", "BUDGETS"):
        assert namespace[key] == getattr(plain(name), key)
    assert namespace["TARGET"] == "cupy"
    assert "Certificate" in text
    # An expression, and what is not code, may be longer.
    assert max(map(len, text[text.index("\nSOURCE = ") : text.index("\nTABLES = ")].splitlines())) <= 116
    assert len(text.encode()) < 1_000_000
    assert set(re.findall(r"^ *(?:import|from) (\w+)", text, re.MULTILINE)) == {
        *("base64", "functools", "zlib", "numpy", "cupy")
    }


@pytest.mark.parametrize("name", ["tanh", "softsign"])
def test_the_engine_writes_the_same_text_around_the_tables(name: str) -> None:
    table = Table(1, coded(np.ones(1)), *(coded(np.ones(1)) for _ in range(2)))
    ours = TABLE_TARGETS["cupy"](derive_dual(name), name, Tables(*RANGE, layers(RANGE[1])[0], table, table))

    def code(text: str) -> list[str]:
        _, _, rest = text.partition("\nNAME = ")
        for numbers in (r"LOGS\[\d+\]\[2\] = \{.*?\};", r"row_1 < \d+", r"\nTABLES = \[.*?\n\]", r"\nSTRIP_VARIANCE.*?\n", r"\nSOURCE = .*?\n"):
            rest, count = re.subn(numbers, "", rest, flags=re.DOTALL)
            assert count == 1
        return rest.splitlines()

    assert code(ours) == code(source(name))


@pytest.mark.parametrize("contract", CONTRACTIONS)
@pytest.mark.parametrize("name", EACH)
def test_golden_values(on_host: Callable[..., Any], name: str, contract: str) -> None:
    module = on_host(source(name), contract)
    found = errors(module, name)
    assert len(found) >= 48
    assert max(found) < BOUND
    for entry in GOLDEN[name]:
        for q, exact in zip((float.fromhex(v) for v in entry["at"]), entry["ends"], strict=False):
            for n, function in enumerate(FUNCTIONS):
                assert float(getattr(module, f"{function}_diag")(q)) == pytest.approx(float(exact[n]), rel=BOUND)


@pytest.mark.parametrize("contract", CONTRACTIONS)
@pytest.mark.parametrize("kind", ["unequal", "equal", "close"])
@pytest.mark.parametrize("name", EACH)
def test_the_kernels_of_the_numpy_module(on_host: Callable[..., Any], name: str, kind: str, contract: str) -> None:
    module, X = on_host(source(name), contract), rows(kind)
    for kernel in ("nngp", "ntk"):
        run, theirs = (lambda *given, of=of: getattr(of, kernel)(*given, depth=3, **SCALES) for of in (module, plain(name)))
        K, E = run(X), theirs(X)
        assert apart(E, K) < 2e-14
        assert np.array_equal(K, K.T)
        part = run(X[:8], X[5:])
        assert np.abs(part - K[:8, 5:]).max() < 2e-14 * np.diag(K).max()
        if kind == "close":
            assert np.array_equal(K[50], K[4])
            assert part[4, 45] == K[4, 4]
        single = run(X.astype(np.float32))
        assert single.dtype == np.float32
        assert apart(E, single) < 1e-6


@pytest.mark.parametrize("contract", CONTRACTIONS)
@pytest.mark.parametrize("name", EACH)
def test_rows_that_are_nearly_equal(on_host: Callable[..., Any], name: str, contract: str) -> None:
    """An entry near those of its ends is to be right beside them: rows 1e-9 apart have 1 - cos of 1e-18."""
    module = on_host(source(name), contract)
    for distance in (1e-7, 1e-9, 1e-12):
        assert astray(module, name, distance) <= 1


def test_shapes_and_tiles(on_host: Callable[..., Any]) -> None:
    module, X = on_host(source("tanh")), rows("close")
    whole = module.ntk(X, depth=2, **SCALES)
    assert module.ntk(X[:0], depth=2).shape == (0, 0)
    assert module.ntk(X, X[:0], depth=2).shape == (60, 0)
    assert module.ntk(X[:0], X, depth=2).shape == (0, 60)
    assert np.allclose(module.ntk(X, depth=0, **SCALES), plain("tanh").ntk(X, depth=0, **SCALES), rtol=1e-14, atol=1e-15)
    assert module.kernel(1, 1, 0.5).shape == ()
    assert module.kernel(np.ones((2, 1)), np.ones(3), 0.5).shape == (2, 3)
    assert module.kernel(np.ones((0, 1)), np.ones(3), 0.5).shape == (0, 3)
    assert module.kernel(np.float32(1), np.float32(1), np.float32(0.5)).dtype == np.float32
    before = module.kernel(np.linspace(0.1, 9, 50), 2.0, 0.2)
    module.namespace["TILE"], module.namespace["FLAT"] = 16, 7
    tiled = module.ntk(X, depth=2, **SCALES)
    assert apart(whole, tiled) < 1e-14
    assert np.array_equal(tiled, tiled.T)
    assert np.array_equal(tiled[50], tiled[4])
    assert np.allclose(module.kernel(np.linspace(0.1, 9, 50), 2.0, 0.2), before, rtol=1e-14)


def test_beyond_the_tables_is_an_error(on_host: Callable[..., Any]) -> None:
    """Never a wrong number: not of a network at any layer, nor of one pair among others, nor of a diagonal."""
    module, X = on_host(source("tanh")), rows("unequal")
    for use in (
        lambda: module.kernel(np.array([1.0, 2e3]), 1.0, 0.5),
        lambda: module.kernel_dot(1.0, np.array([1.0, 1e-5]), 0.0),
        lambda: module.kernel_diag(np.array([1.0, 0.0])),
        lambda: module.kernel(1.0, np.nan, 0.5),
        lambda: module.ntk(400 * X, depth=1),
        lambda: module.ntk(X, depth=3, sigma_w=40.0),
        lambda: module.nngp(X, np.zeros((1, 7)), depth=2),
    ):
        with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"outside \[0.0001, 1000\].* use the target numpy"):
            use()
    assert module.ntk(40 * X, depth=0).shape == (60, 60)  # of which no table is asked


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_array_code_is_the_array_api_s(on_host: Callable[..., Any], dtype: str) -> None:
    """On a device that is not the default one, where a stray NumPy function or constant is an error."""
    module, X = on_host(source("tanh")), rows("close").astype(dtype)
    given = array_api_strict.asarray(X, device=DEVICE)
    for kernel in ("nngp", "ntk"):
        for other, theirs in ((None, None), (given[:9, :], X[:9])):
            K = getattr(module, kernel)(given, other, depth=2, **SCALES)
            assert K.device == DEVICE
            assert np.array_equal(K._array, getattr(module, kernel)(X, theirs, depth=2, **SCALES))
    q = array_api_strict.asarray(np.ones((2, 1), dtype), device=DEVICE)
    for value in (module.kernel(q, 2.0, 0.5), module.kernel_dot(q, q[:, 0], 0.5), module.kernel_diag(q)):
        assert value.device == DEVICE
        assert str(value.dtype).endswith(dtype)


def test_a_network_finds_it(on_host: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The way through mehler.network, with arrays of NumPy taken for CuPy's, and its errors."""
    from mehler import api
    from mehler.numeric import device, evaluator

    asked, build, Wrong = [], mehler.network, mehler.NumericError
    monkeypatch.setattr(evaluator.importlib, "import_module", lambda path: asked.append(path) or on_host(source("tanh")))
    monkeypatch.setattr(evaluator, "_checked", lambda module, origin: module)
    monkeypatch.setattr(api, "chosen", lambda target: target)
    monkeypatch.setattr(device, "holds", lambda array: isinstance(array, np.ndarray))
    X, network = rows("close"), build("tanh", depth=2, **SCALES, target="cupy")
    assert asked == ["mehler.generated.tables.gpu.tanh"]
    assert apart(plain("tanh").ntk(X, depth=2, **SCALES), network.ntk(X)) < 1e-14
    with pytest.raises(Wrong, match="range of tables of tanh"):
        network.ntk(1000 * X)


def test_knots_elsewhere_have_no_module() -> None:
    with pytest.raises(EmitError, match="use the target numpy"):
        generate("where(x > 1, tanh(x), 0)", name="stepped", target="cupy")


DAMAGE = {
    "a coefficient of the next rank": ("start + (n * count)", "start + (n * (count - 1))"),
    "no place of the columns": ("places((place + n), j)", "places(place, j)"),
    "Clenshaw's sign": ("(series(0, at) - after)", "(series(0, at) + after)"),
    "the angle mirrored": ("s_atanh((NARROW * rho)", "s_atanh(-(NARROW * rho)"),
    "K for K'": ("s_tabled(x, 4, layer", "s_tabled(x, 0, layer"),
    "no scale": ("bound_dot * s_tabled", "bound * s_tabled"),
    "the diagonal of another variance": ("- LOG_MIDDLE) / LOG_REACH - middle) / reach", "- LOG_MIDDLE) / LOG_REACH - middle)"),
    "series cut at 1e-9": ("FAINT = 5e-16", "FAINT = 1e-9"),
    "half of the bits": ("* 2.0**-bits", "// 2**28 * 2.0**(28 - bits)"),
    "the last term of log K": ("row_1 < ", "row_1 < -1 + "),
    "the next layer's variance": ("before = layer - 1;", "before = layer;"),
    "rows for columns": ("here * rank", "j * rank"),
    "Price's weights": ("slopes = __dadd_rn(slopes", "slopes = __dsub_rn(slopes"),
}  # fmt: skip
SEEN = ("Clenshaw's sign", "rows for columns", "Price's weights")  # the others are slow tests


@pytest.mark.parametrize("what", [*SEEN, *(pytest.param(what, marks=pytest.mark.slow) for what in DAMAGE if what not in SEEN)])
def test_damage_is_caught(on_host: Callable[..., Any], what: str) -> None:
    """Each seen by one of the measures above."""
    old, new = DAMAGE[what]
    text = source("softplus")
    assert old in text
    with np.errstate(all="ignore"):
        module = on_host(text.replace(old, new))
        found = [max(errors(module, "softplus")) / BOUND]
        for kind in ("unequal", "close"):
            X = rows(kind)
            K, E = (each.ntk(X, depth=3, **SCALES) for each in (module, plain("softplus")))
            found.append(apart(E, K) / 2e-14)
        found.append(astray(module, "softplus", 1e-7))
    assert not max(found) <= 1 or np.isnan(found).any()
