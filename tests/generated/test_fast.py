"""The Numba modules: the same kernels as those for NumPy, within the same budgets, however the rows lie."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import mehler.generated.fast
from mehler.api import evaluator
from mehler.exact import Formula
from mehler.numeric.evaluator import Evaluator, load_file, load_named, load_source
from mehler.numeric.precision.budgets import budget
from mehler.numeric.precision.network import BUDGET, measure_network
from mehler.numeric.precision.ulp import FUNCTIONS, adversarial, errors_at

FOLDER = Path(mehler.generated.fast.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != "__init__.py")
COMPILED = ("relu", "gelu", "leaky_relu")  # each takes seconds to compile; the others are slow tests
EACH = [name if name in COMPILED else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
SCALES = {"sigma_w": 1.5, "sigma_b": 0.1}


def fast(name: str) -> Any:
    return import_module(f"mehler.generated.fast.{name}")


def plain(name: str) -> Any:
    return import_module(f"mehler.generated.{name}")


def exact(name: str) -> Formula:
    from mehler.derive.pipeline import closed_form, derive_dual

    module = plain(name)
    return Formula(closed_form(derive_dual(module.EXPRESSION, **module.PARAMETERS)))


def points(dtype: str) -> Iterator[tuple[float, float, float]]:
    for region in adversarial(dtype):
        yield from region.points


def close_to(K: Any, E: Any, diagonals: Any, units: float = 40) -> bool:
    """Within so many eps of the scale of each entry."""
    return bool((np.abs(K - E) <= units * np.finfo(K.dtype).eps * np.abs(diagonals)).all())


def test_there_is_one_for_each_module() -> None:
    assert NAMES == sorted(p.stem for p in FOLDER.parent.glob("*.py") if p.name != "__init__.py")


@pytest.mark.parametrize("name", NAMES)
def test_the_header_is_that_of_the_numpy_module(name: str) -> None:
    namespace: dict[str, Any] = {}
    header = (FOLDER / f"{name}.py").read_text(encoding="utf-8").partition("SOURCE = ")[0]
    exec("\n".join(line for line in header.splitlines() if "import " not in line or '"""' in line), namespace)
    for key in ("NAME", "EXPRESSION", "PARAMETERS", "JUMPS", "ENGINE", "BUDGETS"):
        assert namespace[key] == getattr(plain(name), key)
    assert namespace["TARGET"] == "numba"
    assert max(map(len, (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines())) <= 116


UNCOMPILED = """
import sys
from importlib import import_module

import numpy as np

rng = np.random.default_rng(0)
for name in sys.argv[1:]:
    ours, theirs = (import_module(f"mehler.generated.{place}{name}") for place in ("fast.", ""))
    X = rng.standard_normal((6, 5))
    Y = np.vstack([X[:2], -X[2:3] * 1.01, rng.standard_normal((3, 5))])
    for Z in (None, Y, Y[3:]):  # rows that are equal or opposite, and rows that are all apart
        for depth in (1, 2):
            K, E = (module.ntk(X, Z, depth=depth, sigma_w=0.7, sigma_b=0.1) for module in (ours, theirs))
            assert K.shape == E.shape and abs(K - E).max() <= 1e-13, (name, depth, abs(K - E).max())
    print(name)
"""


def test_uncompiled_every_module_has_the_kernels_of_arrays() -> None:
    """Compiling takes seconds for each, so that most are compiled by slow tests alone: all run here as Python."""
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", UNCOMPILED, *NAMES],
        capture_output=True,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        timeout=100,
        check=False,
        text=True,
    )
    assert process.stderr == ""
    assert process.stdout.split() == NAMES


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", EACH)
def test_within_budget_at_bad_points(name: str, dtype: str) -> None:
    subject, formula = Evaluator(fast(name), {}), exact(name)
    for at in list(points(dtype))[::8]:
        for function, error in errors_at(subject, formula, at, dtype).items():
            assert error <= budget(subject.module, dtype, function), (function, at)


@pytest.mark.parametrize("name", EACH)
def test_networks_on_close_and_opposite_rows(name: str) -> None:
    cases = measure_network(
        Evaluator(fast(name), {}), exact(name).at_working_precision, np.float64, angles=(0.0, 1.0, 1e-5),
        factors=(1.0, 1e-3), depths=(2,), digits=18,
    )  # fmt: skip
    assert len(cases) > 10
    assert max(case.units(np.float64) for case in cases) <= BUDGET


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("depth", [0, 1, 2, 6])
@pytest.mark.parametrize("name", EACH)
def test_the_kernels_of_the_numpy_module(name: str, depth: int, dtype: Any) -> None:
    """On rows that fill more than a block, some of them close, opposite, equal or zero."""
    if depth > 2 and name in ("exp", "cubic", "relu2"):
        pytest.skip("its variances grow like a tower")
    network = {"sigma_w": 1.5 if depth > 2 else 0.5, "sigma_b": 0.1}
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 5)).astype(dtype)
    X[3], X[5], X[7] = X[2], -X[2], X[2] * dtype(1 + 1e-6)
    X[9] = X[8] + 1e-3 * X[10]
    X[11] = 0
    for kernel in ("nngp", "ntk"):
        ours, theirs = (getattr(module(name), kernel) for module in (fast, plain))
        E = theirs(X, depth=depth, **network)
        scale = np.sqrt(np.outer(np.diag(E), np.diag(E).astype(float)))
        K = ours(X, depth=depth, **network)
        assert K.dtype == dtype
        assert np.array_equal(K, K.T)
        assert np.array_equal(K[3], K[2])
        assert close_to(K, E, scale)
        part = ours(X[:7], X[2:140:2], depth=depth, **network)
        assert close_to(part, E[:7, 2:140:2], scale[:7, 2:140:2])
        assert part[2, 0] == part[3, 0] == K[2, 2]


def test_shapes() -> None:
    module = fast("relu")
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6, 8))
    E = plain("relu").ntk(X, depth=2, **SCALES)
    for Z in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], np.repeat(X, 2, axis=1)[:, ::2]):
        assert close_to(module.ntk(Z, depth=2, **SCALES), E, E.max())
    assert module.ntk(X[:1], depth=2).shape == (1, 1)
    assert module.ntk(X[:, :1], depth=2).shape == (6, 6)
    assert module.ntk(X[:0], depth=2).shape == (0, 0)
    assert module.ntk(X, X[:0], depth=2).shape == (6, 0)
    assert module.kernel(1, 1, 0.5).shape == ()
    assert module.kernel(np.ones((2, 1)), np.ones(3), 0.5).shape == (2, 3)
    assert module.kernel(np.ones((0, 1)), np.ones(3), 0.5).shape == (0, 3)
    assert module.kernel(np.float32(1), np.float32(1), np.float32(0.5)).dtype == np.float32
    for bad in ((X[0], None, 1), (X, X[:, :2], 1), (X, None, -1)):
        with pytest.raises(ValueError, match="must be"):
            module.ntk(bad[0], bad[1], depth=bad[2])


def test_tiles_agree_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    module = fast("relu")
    X = np.random.default_rng(2).standard_normal((70, 6))
    X[60] = X[1]
    whole = module.ntk(X, depth=3, **SCALES)
    monkeypatch.setattr(module, "TILE", (16, 32))
    tiled = module.ntk(X, depth=3, **SCALES)
    assert close_to(tiled, whole, whole.max(), 8)
    assert np.array_equal(tiled, tiled.T)
    assert np.array_equal(tiled[60], tiled[1])


def test_parameters_are_given_when_it_runs() -> None:
    module, theirs = fast("leaky_relu"), plain("leaky_relu")
    X = np.random.default_rng(3).standard_normal((9, 4))
    compiled = len(module._fused.signatures)
    for a in (0.01, 0.3, -1):
        E = theirs.ntk(X, depth=2, a=a, **SCALES)
        assert close_to(module.ntk(X, depth=2, a=a, **SCALES), E, E.max())
        assert module.kernel(1, 2, 0.5, a=a) == pytest.approx(theirs.kernel(1, 2, 0.5, a=a), rel=1e-15)
    assert len(module._fused.signatures) == max(compiled, 1)  # for all networks


@pytest.mark.parametrize("name", ["elu", pytest.param("hard_tanh", marks=pytest.mark.slow)])
def test_kernels_with_a_series_of_their_own(name: str, by_formula: Callable[[str], Any]) -> None:
    ours, theirs = evaluator(name, {}, "numba").module, by_formula(name)
    X = np.random.default_rng(5).standard_normal((20, 6))
    X[3] = X[2] + 1e-5 * X[4]
    E = theirs.ntk(X, depth=2, **SCALES)
    assert close_to(ours.ntk(X, depth=2, **SCALES), E, np.sqrt(np.outer(np.diag(E), np.diag(E))), 100)


@pytest.mark.slow
def test_where_digits_are_lost_the_functions_of_arrays_are_asked(monkeypatch: pytest.MonkeyPatch, by_formula: Callable[[str], Any]) -> None:
    ours, theirs = evaluator("elu", {}, "numba").module, by_formula("elu")
    rng, asked = np.random.default_rng(4), []
    for name in ("pair", "_given_up"):
        function = getattr(ours, name)
        monkeypatch.setattr(ours, name, lambda *a, f=function, n=name, **k: asked.append(n) or f(*a, **k))
    for size in (1e-3, 1.0, 30.0):
        X = size * rng.standard_normal((40, 5))
        X[7] = X[6] + 1e-4 * X[5]
        X[9] = 0
        for kernel in ("nngp", "ntk"):
            with np.errstate(all="ignore"):
                E = getattr(theirs, kernel)(X, depth=2, **SCALES)
                K = getattr(ours, kernel)(X, depth=2, **SCALES)
            assert np.isfinite(K).all()
            assert close_to(K, E, np.sqrt(np.outer(np.diag(E), np.diag(E))), 100)
    q = np.geomspace(1e-12, 1e4, 40)
    with np.errstate(all="ignore"):
        for name in FUNCTIONS[:2]:
            K, E = (getattr(module, name)(q, q[::-1], 0.3 * np.sqrt(q * q[::-1])) for module in (ours, theirs))
            diagonal = getattr(theirs, f"{name}_diag")(q)
            assert close_to(K, E, np.sqrt(diagonal * diagonal[::-1]))
    assert {"pair", "_given_up"} == set(asked)


ALONE = """
import importlib.abc, sys, time
started = time.perf_counter()

class Forbidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sympy", "scipy", "mpmath", "sklearn", "mehler"}:
            raise ImportError(f"a generated module must not import {name}")

sys.meta_path.insert(0, Forbidden())
sys.path.insert(0, sys.argv[1])
import numpy as np
import relu
assert relu.ntk(np.eye(3), depth=2).shape == (3, 3)
print(time.perf_counter() - started, sum(relu._fused.stats.cache_hits.values()))
"""


def test_a_file_alone_in_a_folder_that_is_read_only(tmp_path: Path) -> None:
    """Numba keeps what it compiled in the user's cache then; the second process finds it there."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "relu.py").write_bytes((FOLDER / "relu.py").read_bytes())
    folder.chmod(0o500)
    command = [sys.executable, "-W", "error", "-c", ALONE, str(folder)]
    # To root nothing is read-only; the user's cache is taken in either case.
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    found = [
        subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=True).stdout.split()
        for _ in range(2)
    ]
    assert int(found[1][1]) == 1
    assert float(found[1][0]) < max(5.0, float(found[0][0]))


def test_a_file_that_was_measured_can_be_imported(tmp_path: Path) -> None:
    """Numba's cache names a module: that of `mehler check` must not be that of the user's import."""
    path = tmp_path / "relu.py"
    path.write_bytes((FOLDER / "relu.py").read_bytes())
    before = set(tmp_path.rglob("*"))
    module = load_file(path)
    assert module.ntk(np.eye(2), depth=1).shape == (2, 2)
    assert set(tmp_path.rglob("*")) == before
    assert sys.modules[module.__name__] is module  # type: ignore[attr-defined]


def test_a_damaged_coefficient_is_caught() -> None:
    """One digit of one polynomial, the arcsine's: the kernel is then over its budget."""
    source = (FOLDER / "relu.py").read_text(encoding="utf-8")
    damaged = source.replace("0.01396378001", "0.01396478001").replace('"cache": True', '"cache": False')
    assert damaged != source.replace('"cache": True', '"cache": False')
    subject, formula = Evaluator(load_source(damaged, "damaged"), {}), exact("relu")
    with mpmath.workdps(30):
        worst = max(errors_at(subject, formula, at, "float64")["kernel_dot"] for at in [(1.0, 1.0, 0.52), (1.0, 2.0, -0.75)])
    assert worst > budget(subject.module, "float64", "kernel_dot")


def test_the_targets_of_a_name() -> None:
    assert load_named("relu", "numba").TARGET == "numba"  # type: ignore[union-attr]
    assert load_named("relu").TARGET == "numpy"  # type: ignore[union-attr]
    assert mehler.network("relu").evaluator.module.TARGET == "numba"
    assert mehler.network("relu", target="numpy").evaluator.module.TARGET == "numpy"
    with pytest.raises(mehler.NumericError, match="'fortran' is not known; use auto, numpy, numba, cupy"):
        mehler.network("relu", target="fortran")  # type: ignore[arg-type]


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    from mehler.numeric import evaluator as loading

    find = loading.importlib.util.find_spec
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None if name == "numba" else find(name))
    assert mehler.network("relu").evaluator.module.TARGET == "numpy"
    with pytest.raises(mehler.NumericError, match=r"^target 'numba' needs Numba; install it with: pip install 'mehler"):
        mehler.network("relu", target="numba")
