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
from mehler.derive.emit.module import emit_tables
from mehler.derive.pipeline import derive_dual
from mehler.derive.tables.certificate import certify
from mehler.derive.tables.coding import Coded
from mehler.derive.tables.table import RANGE, Table, Tables

FOLDER = Path(mehler.generated.tables.__file__).parent
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "tables.json").read_text(encoding="utf-8"))
BOUND, BOUND_SINGLE = 1e-13, 4e-7
FUNCTIONS = ("kernel", "kernel_dot")
NO_TABLE = Table(1, *(Coded(57, "") for _ in range(3)))


@cache
def module(name: str) -> Any:
    return import_module(f"mehler.generated.tables.{name}")


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
    assert {path.stem for path in FOLDER.glob("*.py")} == {*TABLED, "__init__"}
    assert set(GOLDEN) == set(TABLED)


@pytest.mark.parametrize("name", TABLED)
def test_golden_values(name: str) -> None:
    found = errors(module(name), name)
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


@pytest.mark.parametrize("name", TABLED)
def test_small_and_certified(name: str) -> None:
    assert (FOLDER / f"{name}.py").stat().st_size < 1_000_000
    text = module(name).__doc__
    assert "Certificate" in text
    assert "against quadrature" in text


@pytest.mark.parametrize("name", ["tanh", "softsign"])
def test_the_engine_writes_the_same_text_around_the_tables(name: str) -> None:
    """Tables differ in last bits from machine to machine, where BLAS sums in another order; the code does not."""
    ours = emit_tables(derive_dual(name), name, Tables(*RANGE, NO_TABLE, NO_TABLE))
    theirs = (FOLDER / f"{name}.py").read_text(encoding="utf-8")

    def code(text: str) -> list[str]:
        head, _, rest = text.partition("\nTABLES = [")
        after = rest[rest.index("\ndef pair(") :]
        return [line for line in (head.split('"""', 2)[2] + after).splitlines() if not line.startswith("SOURCE = ")]

    assert code(ours) == code(theirs)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLED)
def test_the_certificate_holds_at_other_points(name: str) -> None:
    found = certify(derive_dual(name), module(name).pair, module(name).RANGE, seed=20)
    assert max(found.kernel, found.kernel_dot) < BOUND
    assert found.confirmed < 1e-15


DAMAGE = {
    "a coefficient that is not halved": ("    matrix[0] /= 2\n", ""),
    "the angle mirrored": ("np.where(rho < 0, value, -value)", "np.where(rho < 0, -value, value)"),
    "the layer 1e-9 wider": ("LAYER = 0.02", "LAYER = 1.000000001*0.02"),
    "series cut at 1e-9": ("FAINT = 2e-17", "FAINT = 1e-9"),
    "too few nodes in the angle": ("STRIP_VARIANCE, STRIP_ANGLE = 3", "STRIP_VARIANCE, STRIP_ANGLE = 40"),
    "no diagonal of the second input": ("zip((logs1, logs2), sides):\n            values", "zip((logs1,), sides):\n            values"),
    "Clenshaw's sign": ("return term(0) + x * value - after", "return term(0) + x * value + after"),
    "half of the bits": ("* 2.0**-bits", "// 2**28 * 2.0**(28 - bits)"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_caught(what: str) -> None:
    old, new = DAMAGE[what]
    source = (FOLDER / "silu.py").read_text(encoding="utf-8")
    assert old in source
    names: dict[str, Any] = {"__name__": "damaged"}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        exec(compile(source.replace(old, new), "damaged", "exec"), names)
        found = errors(SimpleNamespace(**names), "silu")
    assert not max(found) < BOUND


def test_networks_of_tables() -> None:
    """A Gram matrix is symmetric, positive, and the same pairwise; no module is compiled for it."""
    network = mehler.network("tanh", depth=3, sigma_w=1.5, sigma_b=0.1)
    assert network.evaluator.module.__name__ == "mehler.generated.tables.tanh"
    X = np.random.default_rng(3).standard_normal((40, 6))
    X[7] = X[3]
    for kernel in (network.ntk, network.nngp):
        K = kernel(X)
        assert np.array_equal(K, K.T)
        assert np.array_equal(K[3], K[7])
        assert np.linalg.eigvalsh(K).min() > -1e-12
        assert np.abs(kernel(X[:5], X[5:9]) - K[:5, 5:9]).max() < 1e-12
