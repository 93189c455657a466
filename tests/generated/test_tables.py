"""The committed modules of tables, against values from mpmath that no table was made from (golden/tables.json)."""

import json
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest

import mehler
import mehler.generated.tables
from mehler.derive.emit.library import TABLED
from mehler.derive.pipeline import TABLE_TARGETS, derive_dual
from mehler.derive.tables.certificate import certify
from mehler.derive.tables.coding import coded
from mehler.derive.tables.table import RANGE, Table, Tables, layers

FOLDER = Path(mehler.generated.tables.__file__).parent
PLACES = {"numpy": "", "numba": "fast/"}
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "tables.json").read_text(encoding="utf-8"))
BOUND, BOUND_SINGLE = 1e-13, 4e-7
FUNCTIONS = ("kernel", "kernel_dot")
NO_TABLE = Table(1, *(coded(np.ones(1)) for _ in range(3)))


@cache
def module(name: str, target: str = "numpy") -> Any:
    return import_module(f"mehler.generated.tables.{PLACES[target].replace('/', '.')}{name}")


def text_of(name: str, target: str = "numpy") -> str:
    return (FOLDER / PLACES[target] / f"{name}.py").read_text(encoding="utf-8")


def errors(subject: Any, name: str) -> list[float]:
    """|computed - exact| / sqrt(K11 K22) of K and K' at the golden points, alone, in a row, and amid a matrix."""
    found = []
    points = np.array([[float.fromhex(v) for v in entry["at"]] for entry in GOLDEN[name]]).T
    q1, q2, c = points
    norm = np.sqrt(q1[:, None]) * np.sqrt(q2)
    covariance = np.where(np.eye(len(c), dtype=bool), c, np.clip(c / np.sqrt(q1 * q2), -0.999, 0.999) * norm)
    for n, function in enumerate(FUNCTIONS):
        run = getattr(subject, function)
        together = run(q1, q2, c), np.diag(run(q1[:, None], q2[None, :], covariance))
        for k, entry in enumerate(GOLDEN[name]):
            exact, one, two = (mpmath.mpf(v[n]) for v in (entry["values"], *entry["ends"]))
            for computed in (run(*points[:, k]), *(values[k] for values in together)):
                found.append(float(abs(float(computed) - exact) / mpmath.sqrt(one * two)))
    return found


def test_every_activation_has_a_module_and_golden_values() -> None:
    for folder in PLACES.values():
        assert {path.stem for path in (FOLDER / folder).glob("*.py")} == {*TABLED, "__init__"}
    assert set(GOLDEN) == set(TABLED)


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("name", TABLED)
def test_golden_values(name: str, target: str) -> None:
    found = errors(module(name, target), name)
    assert len(found) >= 72
    assert max(found) < BOUND


@pytest.mark.parametrize("name", TABLED)
def test_golden_diagonals(name: str) -> None:
    for entry in GOLDEN[name]:
        for q, exact in zip((float.fromhex(v) for v in entry["at"]), entry["ends"], strict=False):
            for n, function in enumerate(FUNCTIONS):
                assert float(getattr(module(name), f"{function}_diag")(q)) == pytest.approx(float(exact[n]), rel=BOUND)


@pytest.mark.parametrize("name", TABLED)
def test_single_precision(name: str) -> None:
    for entry in GOLDEN[name]:
        single = [np.float32(float.fromhex(v)) for v in entry["at"]]
        for function in FUNCTIONS:
            value = getattr(module(name), function)(*single)
            double = getattr(module(name), function)(*map(float, single))
            assert value.dtype == np.float32
            assert abs(float(value) - double) <= BOUND_SINGLE * abs(double)


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("name", TABLED)
def test_small_and_certified(name: str, target: str) -> None:
    assert len(text_of(name, target).encode()) < 1_000_000
    text = module(name, target).__doc__
    assert "Certificate" in text
    assert "against quadrature" in text


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("name", ["tanh", "softsign"])
def test_the_engine_writes_the_same_text_around_the_tables(name: str, target: str) -> None:
    """Tables and the measured reach of sums differ between machines, as BLAS sums in another order; the code does not."""
    ours = TABLE_TARGETS[target](derive_dual(name), name, Tables(*RANGE, layers(RANGE[1])[0], NO_TABLE, NO_TABLE))
    theirs = text_of(name, target)

    def code(text: str) -> list[str]:
        head, _, rest = text.partition("\nTABLES = [")
        after = rest[rest.index("\ndef pair(") :]
        lines = (head.split('"""', 2)[2] + after).splitlines()
        return [line for line in lines if not line.startswith(("SOURCE = ", "POLAR_LOW, POLAR_HIGH = "))]

    assert code(ours) == code(theirs)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLED)
def test_the_certificate_holds_at_other_points(name: str) -> None:
    found = certify(derive_dual(name), module(name).pair, module(name).RANGE, seed=20)
    assert max(found.kernel, found.kernel_dot) < BOUND
    assert found.confirmed < 1e-15


DAMAGE = {
    "a coefficient that is not halved": ("    matrix[0] /= 2\n", ""),
    "the angle mirrored": ("np.arctanh(NARROW * rho", "np.arctanh(-NARROW * rho"),
    "the layer 1e-9 wider": ("LAYER = 0.02", "LAYER = 1.000000001*0.02"),
    "series cut at 1e-9": ("FAINT = 5e-16", "FAINT = 1e-9"),
    "too few nodes on a part": ("1 + np.ceil(37 /", "1 + np.ceil(15 /"),
    "the diagonal, not its root": ("@ log_diagonal) / 2)", "@ log_diagonal))"),
    "a rank too few": ("places[1][..., :two]", "places[1][..., :two] * (np.arange(two) < two - 3)"),
    "Clenshaw's sign": ("return term(0) + x * value - after", "return term(0) + x * value + after"),
    "half of the bits": ("* 2.0**-bits", "// 2**28 * 2.0**(28 - bits)"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_caught(what: str) -> None:
    old, new = DAMAGE[what]
    source = text_of("silu")
    assert old in source
    names: dict[str, Any] = {"__name__": "damaged"}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        exec(compile(source.replace(old, new), "damaged", "exec"), names)
        found = errors(SimpleNamespace(**names), "silu")
    assert not max(found) < BOUND


@pytest.mark.parametrize("target", PLACES)
def test_networks_of_tables(target: Any) -> None:
    """A Gram matrix is symmetric, positive, and the same pairwise; no table is made for it."""
    network = mehler.network("tanh", depth=3, sigma_w=1.5, sigma_b=0.1, target=target)
    assert network.evaluator.module is module("tanh", target)
    X = np.random.default_rng(3).standard_normal((40, 6))
    X[7] = X[3]
    for kernel in (network.ntk, network.nngp):
        K = kernel(X)
        assert np.array_equal(K, K.T)
        assert np.array_equal(K[3], K[7])
        assert np.linalg.eigvalsh(K).min() > -1e-12
        assert np.abs(kernel(X[:5], X[5:9]) - K[:5, 5:9]).max() < 1e-12


def rows(kind: str) -> np.ndarray:
    """Rows of unequal norms, of equal ones, some close to each other, opposite, 0, or beyond the tables."""
    X = np.random.default_rng(5).standard_normal((60, 7)) * np.linspace(0.3, 3, 60)[:, None]
    if kind == "equal":
        X /= np.linalg.norm(X, axis=1)[:, None]
    if kind == "close":
        X[20:30] = X[3] + 1e-6 * X[20:30]
        X[40] = -X[3]
        X[50] = X[4]
    if kind == "extreme":
        X = X[:12]
        X[7], X[8], X[9] = 0, 1e-3 * X[8], 400 * X[9]
    return X


@pytest.mark.parametrize("kind", ["unequal", "equal", "close", "extreme"])
@pytest.mark.parametrize("name", ["tanh", pytest.param("silu", marks=pytest.mark.slow)])
def test_compiled_layers_are_those_of_arrays(name: str, kind: str) -> None:
    """Of both kernels, for rows among themselves and beside others; differently summed, so not to the bit."""
    X, runs = rows(kind), [module(name, target) for target in PLACES]
    for kernel in ("ntk", "nngp"):
        for args in ((X,), (X[:8], X[5:])):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                one, two = (getattr(run, kernel)(*args, depth=3, sigma_w=1.4, sigma_b=0.2) for run in runs)
            assert np.isfinite(one).all()
            scale = np.abs(one).max()
            assert np.abs(one - two).max() < 2e-14 * scale


COMPILED_DAMAGE = {
    "a row of the next": ("(i - start) * count :", "(i - start + 1) * count - 1 :"),
    "an extent too short": ("nearby(low - ROUNDED, high + ROUNDED", "nearby(0.9 * low, 0.9 * high"),
    "a term left out": ("for n in range(1, whole, 2)", "for n in range(3, whole, 2)"),
    "Theta without K'": ("theta[j] = w2 * k_dot[j] * theta[j] + sigma[j]", "theta[j] = sigma[j]"),
    "the sine squared": ("sqrt(s_choose(square", "1.0 * (s_choose(square"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", COMPILED_DAMAGE)
def test_damage_of_compiled_layers_is_caught(what: str) -> None:
    old, new = COMPILED_DAMAGE[what]
    source = text_of("silu", "numba")
    assert source.count(old) >= 1
    names: dict[str, Any] = {"__name__": "damaged"}
    exec(compile(source.replace(old, new).replace('"cache": True', '"cache": False'), "damaged", "exec"), names)
    found = []
    for kind in ("unequal", "equal"):
        one, two = (run(rows(kind), depth=3, sigma_w=1.4) for run in (module("silu").ntk, names["ntk"]))
        found.append(np.abs(one - two).max() / np.abs(one).max())
    assert not all(error < 2e-14 for error in found)  # nor NaN
