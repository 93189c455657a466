"""The CuPy modules without a GPU: the exact text of their kernels, compiled for this machine, in the same budgets.

What this cannot see is the device itself: its launch, its own sin, exp or erfc, and CuPy's arrays. See tests/gpu.
"""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import array_api_strict
import mpmath
import numpy as np
import pytest

import mehler
import mehler.generated.gpu
from mehler.api import evaluator
from mehler.derive.errors import EmitError, NoCode
from mehler.exact import Formula
from mehler.numeric.evaluator import Evaluator
from mehler.numeric.precision.budgets import budget
from mehler.numeric.precision.network import BUDGET, exact_network, measure_network
from mehler.numeric.precision.ulp import FUNCTIONS, adversarial, errors_at

FOLDER = Path(mehler.generated.gpu.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != "__init__.py")
FEW = ("relu", "gelu", "leaky_relu")  # each takes a second to compile; the others are slow tests
EACH = [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
CONTRACTIONS = ("off", "fast")
SCALES = {"sigma_w": 1.5, "sigma_b": 0.1}
DEVICE = array_api_strict.Device("device1")


def source(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def plain(name: str) -> Any:
    return import_module(f"mehler.generated.{name}")


def exact(name: str) -> Formula:
    from mehler.derive.pipeline import closed_form, derive_dual

    module = plain(name)
    return Formula(closed_form(derive_dual(module.EXPRESSION, **module.PARAMETERS)))


def points(dtype: str) -> Iterator[tuple[float, float, float]]:
    for region in adversarial(dtype):
        yield from region.points


def bad_rows(n: int, dtype: Any = np.float64) -> np.ndarray:
    """Rows of which some are close, opposite, equal, parallel or zero.

    Not of norms that differ by a millionth: with a bias, jumps at 0 then show half of the digits in either module.
    """
    X = np.random.default_rng(0).standard_normal((n, 5)).astype(dtype)
    X[3], X[5], X[7] = X[2], -X[2], 2 * X[2]
    X[9] = X[8] + 1e-3 * X[10]
    X[11] = 0
    X[13] = -X[8] + 1e-6 * X[10]
    return X


def close_to(K: Any, E: Any, units: float = 40) -> bool:
    """Within so many eps of the scale of each entry."""
    scale = np.sqrt(np.outer(np.diag(E), np.diag(E).astype(float)))
    return bool((np.abs(K - E) <= units * np.finfo(K.dtype).eps * scale).all())


def test_there_is_one_for_each_module() -> None:
    assert NAMES == sorted(p.stem for p in FOLDER.parent.glob("*.py") if p.name != "__init__.py")


@pytest.mark.parametrize("name", NAMES)
def test_the_header_is_that_of_the_numpy_module(name: str) -> None:
    namespace: dict[str, Any] = {}
    header = source(name).partition("\nSOURCE = ")[0]
    exec(header[header.index("\nNAME = ") :], namespace)
    for key in ("NAME", "EXPRESSION", "PARAMETERS", "JUMPS", "ENGINE", "BUDGETS"):
        assert namespace[key] == getattr(plain(name), key)
    assert namespace["TARGET"] == "cupy"
    assert max(map(len, source(name).splitlines())) <= 116


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("contract", CONTRACTIONS)
@pytest.mark.parametrize("name", EACH)
def test_within_budget_at_bad_points(on_host: Callable[..., Any], name: str, contract: str, dtype: str) -> None:
    """From 1e-300 to 1e150, at both poles, and at q = 0."""
    subject, formula = Evaluator(on_host(source(name), contract), {}), exact(name)
    ends = [(q, q, q) for q in (0.0, 1e-30, 1e-3, 1.0, 7.0, 1e30)]
    for at in [*list(points(dtype))[::8], (0.0, 1.0, 0.0), *ends]:
        for function, error in errors_at(subject, formula, at, dtype).items():
            assert error <= budget(subject.module, dtype, function), (function, at)


@pytest.mark.parametrize("contract", CONTRACTIONS)
@pytest.mark.parametrize("name", EACH)
def test_networks_on_close_and_opposite_rows(on_host: Callable[..., Any], name: str, contract: str) -> None:
    if name == "rff":
        pytest.xfail("neither the NumPy nor the Numba module has the digits of rows a thousand times smaller")
    cases = measure_network(
        Evaluator(on_host(source(name), contract), {}), exact(name).at_working_precision, np.float64,
        angles=(0.0, 1.0, 1e-5, 1e-9), factors=(1.0, 1e-3), depths=(2,), digits=18,
    )  # fmt: skip
    assert len(cases) > 10
    assert max(case.units(np.float64) for case in cases) <= BUDGET


@pytest.mark.parametrize("apart", [1e-5, 1e-8, 1e-12])
@pytest.mark.parametrize("name", ["step", "relu"])
def test_rows_that_are_nearly_equal(on_host: Callable[..., Any], name: str, apart: float) -> None:
    """A kernel with a jump feels each digit of the angle: the product that is subtracted from a row must be exact."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal(60) + apart * rng.standard_normal((4, 60))
    K = on_host(source(name)).ntk(X, depth=3, sigma_w=1.4)
    for i, j in ((0, 1), (1, 3)):
        value = exact_network(exact(name).at_working_precision, X[i], X[j], 3, 1.4, 0.0)[-1][1]
        assert abs(K[i, j] - value) <= 4 * np.finfo(float).eps * value


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("depth", [0, 1, 2, 6])
@pytest.mark.parametrize("name", NAMES)
def test_the_kernels_of_the_numpy_module(on_host: Callable[..., Any], name: str, depth: int, dtype: Any) -> None:
    if depth > 2 and name in ("exp", "cubic", "relu2"):
        pytest.skip("its variances grow like a tower")
    network = {"sigma_w": 1.5 if depth > 2 else 0.5, "sigma_b": 0.1}
    module, X = on_host(source(name)), bad_rows(150, dtype)
    for kernel in ("nngp", "ntk"):
        E = getattr(plain(name), kernel)(X, depth=depth, **network)
        K = getattr(module, kernel)(X, depth=depth, **network)
        assert K.dtype == dtype
        assert np.array_equal(K, K.T)
        assert np.array_equal(K[3], K[2])
        assert close_to(K, E)
        part = getattr(module, kernel)(X[:7], X[2:140:2], depth=depth, **network)
        np.testing.assert_allclose(part, K[:7, 2:140:2], rtol=1e-13 if dtype is np.float64 else 1e-6, atol=1e-15)
        assert part[2, 0] == part[3, 0] == K[2, 2]


def test_shapes(on_host: Callable[..., Any]) -> None:
    module, X = on_host(source("relu")), np.random.default_rng(1).standard_normal((6, 8))
    E = plain("relu").ntk(X, depth=2, **SCALES)
    for Z in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], np.repeat(X, 2, axis=1)[:, ::2]):
        assert close_to(module.ntk(Z, depth=2, **SCALES), E)
    assert module.ntk(X[:1, ::3], depth=2).shape == (1, 1)
    assert module.ntk(X[:, :1], depth=2).shape == (6, 6)
    assert module.ntk(X[:0], depth=2).shape == (0, 0)
    assert module.ntk(X, X[:0], depth=2).shape == (6, 0)
    assert module.kernel(1, 1, 0.5).shape == ()
    assert module.kernel(np.ones((2, 1)), np.ones(3), 0.5).shape == (2, 3)
    assert module.kernel(np.ones((0, 1)), np.ones(3), 0.5).shape == (0, 3)
    assert module.kernel(np.float32(1), np.float32(1), np.float32(0.5)).dtype == np.float32
    assert module.kernel_diag(np.arange(4)).tolist() == [0, 0.5, 1, 1.5]
    for bad in ((X[0], None, 1), (X, X[:, :2], 1), (X, None, -1)):
        with pytest.raises(ValueError, match="must be"):
            module.ntk(bad[0], bad[1], depth=bad[2])


def test_tiles_agree_with_the_whole(on_host: Callable[..., Any]) -> None:
    module, X = on_host(source("relu")), np.random.default_rng(2).standard_normal((70, 6))
    X[60] = X[33] = X[1]
    whole = module.ntk(X, depth=3, **SCALES)
    module.namespace["TILE"] = 16
    tiled, cross = module.ntk(X, depth=3, **SCALES), module.ntk(X, X[:9], depth=3, **SCALES)
    assert close_to(tiled, whole, 8)
    assert np.array_equal(tiled, tiled.T)
    assert np.array_equal(tiled[60], tiled[1])
    assert np.array_equal(cross[60], cross[1])


def test_parameters_are_given_when_it_runs(on_host: Callable[..., Any]) -> None:
    module, theirs, X = on_host(source("leaky_relu")), plain("leaky_relu"), bad_rows(20)
    for a in (0.01, 0.3, -1):
        assert close_to(module.ntk(X, depth=2, a=a, **SCALES), theirs.ntk(X, depth=2, a=a, **SCALES))
        assert module.kernel(1, 2, 0.5, a=a) == pytest.approx(theirs.kernel(1, 2, 0.5, a=a), rel=1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_array_code_is_the_array_api_s(on_host: Callable[..., Any], dtype: str) -> None:
    """On a device that is not the default one, where a stray NumPy function or constant is an error."""
    module, X = on_host(source("relu")), bad_rows(40, np.dtype(dtype).type)
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


def test_a_network_goes_where_its_array_is(on_host: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The way through mehler.network, with arrays of NumPy taken for CuPy's."""
    from mehler import api
    from mehler.numeric import device

    X, loaded = np.random.default_rng(5).standard_normal((9, 4)), {"cupy": on_host(source("relu"))}
    E = mehler.network("relu", depth=2).ntk(X)
    known = api.load_named
    monkeypatch.setattr(api, "load_named", lambda name, target: loaded.get(target) or known(name, target))
    monkeypatch.setattr(api, "chosen", lambda target: "numpy" if target == "auto" else target)
    with pytest.raises(mehler.NumericError, match=r"must be a CuPy array, not ndarray; use cupy.asarray\(X\)"):
        mehler.network("relu", depth=2, target="cupy").ntk(X)
    monkeypatch.setattr(device, "holds", lambda array: isinstance(array, np.ndarray))
    for target in ("auto", "cupy"):
        assert close_to(mehler.network("relu", depth=2, target=target).ntk(X), E)  # type: ignore[arg-type]
        network = mehler.network("relu", depth=2, sigma_w=1e80, target=target)  # type: ignore[arg-type]
        for given, other, message in (
            (X.astype(int), None, "has dtype"), (X[0], None, "must have shape"), (X, X[:, :2], "must be equal"),
            (X * np.nan, None, "contains NaN"), (0 * X, None, "no direction"), (X, None, "kernel is not finite"),
        ):  # fmt: skip
            with np.errstate(all="ignore"), pytest.raises(mehler.NumericError, match=message):
                network.ntk(given, other)
    with pytest.raises(mehler.NumericError, match="leave out target"):
        mehler.network("relu", target="numpy").ntk(X)


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    from mehler.numeric import evaluator as loading

    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError, match=r"^this module needs CuPy; install it with: pip install cupy-cuda13x$"):
        exec(source("relu"), {})
    find = loading.importlib.util.find_spec
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None if name == "cupy" else find(name))
    for use in (lambda: mehler.network("relu", target="cupy"), lambda: loading.load_source(source("relu"), "a file")):
        with pytest.raises(mehler.NumericError, match=r"^target 'cupy' needs CuPy; install it with: pip install 'mehler"):
            use()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elu", "selu"])
def test_sums_that_cancel_are_given_up(on_host: Callable[..., Any], name: str, by_formula: Callable[[str], Any]) -> None:
    """Translated, they are NaN where digits are lost and right elsewhere; without a repair there is no code."""
    from mehler.derive.emit.cupy import cupy_source, emit_cupy
    from mehler.derive.emit.module import lowered, measured_source
    from mehler.derive.pipeline import closed_form, derive_dual

    proved = closed_form(derive_dual(name))
    code = lowered(proved)
    module, theirs = on_host(cupy_source(proved, code, measured_source(proved, name, code))), by_formula(name)
    q = np.geomspace(1e-3, 300, 40)
    for function in FUNCTIONS[:2]:
        K, E = (getattr(each, function)(q, q, -0.4 * q) for each in (module, theirs))
        known = ~np.isnan(K)
        assert 0 < known.sum() < len(q)
        scale = getattr(theirs, f"{function}_diag")(q)
        assert (np.abs(K - E) <= 100 * np.finfo(float).eps * scale)[known].all()
    with pytest.raises(NoCode, match="no repair of sums that cancel"):
        emit_cupy(proved, name)


@pytest.mark.slow
def test_tables_stand_in_for_what_has_no_code(on_host: Callable[..., Any], by_formula: Callable[[str], Any]) -> None:
    """ELU, its parameter at its default: a kernel and a network beside the closed form's NumPy module."""
    from mehler.derive.pipeline import generate

    text = generate("elu", name="elu", target="cupy")
    module, theirs = on_host(text), by_formula("elu")
    assert "The closed form has no code here" in text
    X = bad_rows(20)
    for function in ("nngp", "ntk"):
        K, E = (getattr(each, function)(X, depth=3, **SCALES) for each in (module, theirs))
        assert close_to(K, E, units=450)
    q = np.geomspace(1e-4, 1e3, 50)
    for function in FUNCTIONS[:2]:
        K, E = (getattr(each, function)(q, q[::-1], -0.4 * np.sqrt(q * q[::-1])) for each in (module, theirs))
        scale = getattr(theirs, f"{function}_diag")
        assert (np.abs(K - E) <= 1e-13 * np.sqrt(scale(q) * scale(q[::-1]))).all()


@pytest.mark.slow
def test_knots_forbid_code_and_tables() -> None:
    from mehler.derive.pipeline import generate

    with pytest.raises(EmitError, match="knots elsewhere than at 0.* use the target numba"):
        generate("hard_tanh", name="hard_tanh", target="cupy")


DAMAGE = (
    ("s_arccos(rho", "s_arccos(-rho", "s_falls"),
    ("__dsub_rn(PI_HIGH", "__dadd_rn(PI_HIGH", "s_arccos"),
    ("0.01396378001", "0.01396478001", "s_bow"),
    ("(angle1 * rho) + sin_theta", "(angle1 * rho) - sin_theta", "s_pair"),
    ("square / k2", "square / k1", "s_refined"),
    ("__dsub_rn(__dadd_rn(gap_dot, gap_t)", "__dadd_rn(__dadd_rn(gap_dot, gap_t)", "s_entry"),
    ("table(layer, BIAS, at)", "table(layer, WEIGHT, at)", "s_row"),
)


@pytest.mark.parametrize(("before", "after", "function"), DAMAGE, ids=[function for *_, function in DAMAGE])
def test_a_damaged_text_is_caught(on_host: Callable[..., Any], before: str, after: str, function: str) -> None:
    """One sign, coefficient or name of one function: some measure above is then over its budget."""
    whole = source("relu")
    start = whole.index(f" {function}(double")
    stop = whole.index("\n}", start)
    damaged = whole[:start] + whole[start:stop].replace(before, after, 1) + whole[stop:]
    assert damaged != whole
    subject, formula, errors = Evaluator(on_host(damaged), {}), exact("relu"), []
    with mpmath.workdps(30):
        for at in [(1.0, 1.0, 0.93), (1.0, 2.0, -1.3), (1.0, 1.0, 0.2), (1.0, 1.0, 0.52)]:
            errors += [error / 4 for error in errors_at(subject, formula, at, "float64").values()]
    cases = measure_network(
        subject, formula.at_working_precision, np.float64, angles=(0.0, 1.0, 1e-5), factors=(1.0, 1e-3), depths=(2,),
        digits=18,
    )  # fmt: skip
    errors += [case.units(np.float64) / BUDGET for case in cases]
    assert not max(errors) <= 1
