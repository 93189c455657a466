"""Modules of tables: closed-form kernels pushed through them, and activations without one against mpmath."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit.module import emit_numpy, emit_tables
from mehler.derive.emit.tables import built
from mehler.derive.errors import EmitError, OutsideClass
from mehler.derive.pipeline import derive_dual, generate, tabulated
from mehler.derive.tables.certificate import certify
from mehler.derive.tables.coding import coded

GOLDEN = Path(__file__).parents[2] / "golden" / "published.py"
BOUND, BOUND_SINGLE = 1e-13, 4e-7


def _published() -> Any:
    spec = spec_from_file_location("published", GOLDEN)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.published


def namespace(source: str) -> Any:
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(source, "generated", "exec"), names)
    return SimpleNamespace(**names)


@pytest.fixture(scope="module")
def tanh() -> Any:
    return namespace(generate("tanh", name="tanh"))


def points(count: int = 60) -> Iterator[tuple[float, float, float]]:
    rng = np.random.default_rng(11)
    for _ in range(count):
        q1, q2 = np.exp(rng.uniform(np.log(1e-4), np.log(1e3), 2))
        yield q1, q2, np.sqrt(q1 * q2) * rng.uniform(-0.999, 0.999)
    for q1, q2 in ((1e-4, 1e-4), (1e-4, 1e3), (1e3, 1e3), (0.7, 0.7000001), (999.0, 1.0)):
        for rho in (0.0, 1 - 1e-4, 1e-9 - 1, 1 - 1e-14, -1 + 1e-14):
            yield q1, q2, np.sqrt(q1) * np.sqrt(q2) * rho


def _assert_opposite_rows_keep_their_angle(tabled: Any, closed: Any) -> None:
    """By its cosine alone an angle near pi is off by 1e-8, which a kink's K' feels."""
    x, z = np.random.default_rng(5).standard_normal((2, 6))
    for step in (1e-3, 1e-6, 1e-8):
        rows = np.stack([x, -x + step * z])
        for kernel in ("nngp", "ntk"):
            K, E = (getattr(m, kernel)(rows, depth=2, sigma_w=1.4) for m in (tabled, closed))
            assert np.abs(K - E).max() < BOUND * E.max()


@pytest.mark.parametrize(
    "name", ["relu", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gelu", "erf"))]
)
def test_closed_forms_by_tables(name: str, derive: Callable[..., ProvedDual]) -> None:
    """The strongest test: published formulas in 25 digits, at points that no table has."""
    dual = derive(name)
    module, exact = namespace(emit_tables(dual, "tabled", built(dual))), _published()
    for q1, q2, c in points():
        values = exact(name, q1, q2, c, {}, 25)
        ends = [exact(name, q, q, q, {}, 25) for q in (q1, q2)]
        for n, function in enumerate((module.kernel, module.kernel_dot)):
            scale = float(np.sqrt(float(ends[0][n] * ends[1][n])))
            assert abs(float(function(q1, q2, c)) - values[n]) < BOUND * scale
    _assert_opposite_rows_keep_their_angle(module, import_module(f"mehler.generated.{name}"))
    for n, function in enumerate((module.kernel_diag, module.kernel_dot_diag)):
        for q in (1e-4, 0.02, 1.0, 77.0, 1e3):
            assert float(function(q)) == pytest.approx(float(exact(name, q, q, q, {}, 25)[n]), rel=BOUND)


@pytest.mark.slow
def test_beyond_its_tables_a_closed_form_has_its_code() -> None:
    """Without a warning, in a network of rows some of whose variances have tables."""
    dual = derive_dual("erf(x + 1)")
    assert isinstance(dual, ProvedDual)
    tabled = namespace(emit_tables(dual, "tabled", built(dual, extent=(0.5, 2.0))))
    closed, X = namespace(emit_numpy(dual, "closed")), np.random.default_rng(0).standard_normal((12, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        K = tabled.ntk(X, depth=2)
    np.testing.assert_allclose(K, closed.ntk(X, depth=2), rtol=BOUND)
    assert tabled.kernel_diag(30.0) == closed.kernel_diag(30.0)


@pytest.mark.slow
def test_elu_by_tables() -> None:
    """Its closed form, in double precision, from its own module; at the poles too."""
    dual = derive_dual("elu", a=1)
    assert isinstance(dual, ProvedDual)
    tabled, closed = namespace(emit_tables(dual, "tabled", built(dual))), namespace(emit_numpy(dual, "closed"))
    q1, q2, c = np.array([*points(600), *((q, q, sign * q) for q in (1e-4, 0.3, 1e3) for sign in (1, -1))]).T
    for name in ("kernel", "kernel_dot"):
        diagonal = getattr(closed, f"{name}_diag")
        values, exact = (getattr(module, name)(q1, q2, c) for module in (tabled, closed))
        assert (np.abs(values - exact) / np.sqrt(diagonal(q1) * diagonal(q2))).max() < BOUND


@pytest.mark.parametrize(
    ("q1", "q2", "rho"),
    [(1.0, 1.0, 0.5), (0.05, 20.0, -0.9), (40.0, 40.0, 0.9), (1e-4, 3e-3, -0.2), (5.0, 5.0, 1.0), (8.0, 2.0, -1.0)],
)
def test_tanh_against_mpmath(tanh: Any, q1: float, q2: float, rho: float) -> None:
    c = float(np.sqrt(q1 * q2) * rho)
    while Fraction(c) ** 2 > Fraction(q1) * Fraction(q2):
        c = float(np.nextafter(c, 0))
    exact = derive_dual("tanh").evaluate(Fraction(q1), Fraction(q2), Fraction(c), digits=16)
    for value, function, ends in zip(
        exact, (tanh.kernel, tanh.kernel_dot), (tanh.kernel_diag, tanh.kernel_dot_diag), strict=True
    ):
        scale = float(np.sqrt(ends(q1) * ends(q2)))
        assert abs(float(function(q1, q2, c)) - float(value)) < BOUND * scale
        single = function(*(np.float32(v) for v in (q1, q2, c * (1 - 1e-7))))
        assert single.dtype == np.float32


def test_single_precision_is_rounded_once(tanh: Any) -> None:
    q = np.float32(1.7)
    assert tanh.kernel(q, q, np.float32(0.4)) == np.float32(tanh.kernel(float(q), float(q), float(np.float32(0.4))))


def test_the_certificate_is_in_the_module(tanh: Any) -> None:
    found = tabulated(derive_dual("tanh")).certificate  # type: ignore[union-attr]
    assert found is not None
    assert found.points >= 1000
    assert max(found.kernel, found.kernel_dot) < BOUND
    assert found.confirmed < 1e-15
    assert f"K off by {found.kernel:.1e}" in tanh.__doc__


def test_damage_shows_in_the_certificate() -> None:
    dual = derive_dual("tanh")
    tables = tabulated(dual)
    assert tables is not None
    core = tables.kernel.core.values.copy()
    core[np.abs(core).argsort()[len(core) // 2]] += 1e-11
    damaged = replace(tables, kernel=replace(tables.kernel, core=coded(core)))
    assert certify(dual, namespace(emit_tables(dual, "tanh", damaged)).pair, seed=3).kernel > 1e-12


def test_rows_and_columns_or_pairs_alike(tanh: Any) -> None:
    rng = np.random.default_rng(2)
    q1, q2 = np.exp(rng.uniform(-3, 3, (7, 1))), np.exp(rng.uniform(-3, 3, (1, 5)))
    c = np.sqrt(q1 * q2) * rng.uniform(-1, 1, (7, 5))
    for function in (tanh.kernel, tanh.kernel_dot):
        matrix = function(q1, q2, c)
        flat = function(*(a.ravel() for a in np.broadcast_arrays(q1, q2, c)))
        assert np.abs(matrix - flat.reshape(7, 5)).max() < 1e-14
        assert function(q1[0, 0], q2[0, 0], c[0, 0]) == pytest.approx(matrix[0, 0], rel=1e-13)


def test_beyond_the_tables_the_slow_path_warns_and_is_right(tanh: Any) -> None:
    dual = derive_dual("tanh")
    q1, q2, c = 2e3, 1e-6, 0.03
    with pytest.warns(RuntimeWarning, match=r"outside \[0.0001, 1000\]"):
        values = tanh.kernel(q1, q2, c), tanh.kernel_dot(q1, q2, c)
    exact = dual.evaluate(*(Fraction(v) for v in (q1, q2, c)), digits=20)
    assert values == pytest.approx([float(v) for v in exact], rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            tanh.kernel(q1, q2, c)
    with pytest.warns(RuntimeWarning):
        assert np.array_equal(tanh.kernel([0.0, 0.0], [0.0, 2.0], 0.0), [0.0, 0.0])


@pytest.mark.filterwarnings("ignore:a variance is outside:RuntimeWarning")
@pytest.mark.parametrize("columns", [1, 2])
def test_rows_that_are_parallel_or_outside_the_tables(tanh: Any, columns: int) -> None:
    """Close pairs of a tile are computed together, and those without a table apart from the others."""
    X = np.random.default_rng(6).standard_normal((24, columns))
    X[:3] *= [[1e-3], [60], [1e-7]]
    X[3:8] = np.linspace(-2, 3, 5)[:, None] * X[8]
    for depth in (1, 2):
        network = {"depth": depth, "sigma_w": 1.4, "sigma_b": 0.1 * (depth - 1)}
        for kernel in (tanh.nngp, tanh.ntk):
            K = kernel(X, **network)
            alone = np.array([[kernel(x[None], y[None], **network)[0, 0] for y in X] for x in X])
            scale = np.sqrt(np.diag(alone))
            assert (np.abs(K - alone) <= 2e-13 * scale * scale[:, None]).all()
    if columns == 1:  # u and v are multiples of one normal variable, whose mean the trapezoidal rule takes
        z = np.linspace(-9, 9, 40001)
        values = np.tanh(X * z)
        exact = values * np.exp(-(z**2) / 2) @ values.T * (18 / 40000) / np.sqrt(2 * np.pi)
        assert np.abs(tanh.nngp(X) - exact).max() <= 2e-13


def test_knots_elsewhere_are_summed() -> None:
    dual = derive_dual("where(x > 1, tanh(x), 0)")
    assert isinstance(dual, NumericDual)
    module = namespace(generate("where(x > 1, tanh(x), 0)", name="stepped"))
    exact = dual.evaluate("1.5", "0.7", "0.8", digits=18)
    assert [module.kernel(1.5, 0.7, 0.8), module.kernel_dot(1.5, 0.7, 0.8)] == pytest.approx(
        [float(v) for v in exact], rel=1e-12
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("q1", "q2"), [(1e3, 1e3), (0.7, 0.7), (1e3, 0.05), (1e-4, 1e3)])
def test_sums_at_the_poles(q1: float, q2: float, sign: int) -> None:
    """One integral, by mpmath, of φ(√q1 z) φ(±√q2 z), between the knots and the scales of both."""
    module, mp = namespace(generate("where(x > 1, tanh(x), x)", name="stepped")), mpmath.mp.clone()
    roots = [mp.sqrt(q) for q in (q1, q2)]
    knots = [side * place / root for side in (-1, 1) for root in roots for place in (1, 3, 9, 40)]
    ends = sorted({mp.mpf(0), mp.mpf(-9), mp.mpf(9), *(z for z in knots if abs(z) < 9)})
    pair = [np.array([v]) for v in (q1, q2, sign * np.sqrt(q1) * np.sqrt(q2), sign, 0.0)]
    shapes = (lambda u: mp.tanh(u) if u > 1 else u, lambda u: mp.sech(u) ** 2 if u > 1 else mp.mpf(1))
    for value, f in zip(module.pair(*pair), shapes, strict=True):

        def total(a: Any, b: Any, f: Any = f) -> Any:
            return mp.quad(lambda z: f(a * z) * f(b * z) * mp.npdf(z), ends)

        exact = total(roots[0], sign * roots[1])
        scale = mp.sqrt(total(roots[0], roots[0]) * total(roots[1], roots[1]))
        assert abs(value[0] - exact) < 1e-14 * scale


def test_what_tables_cannot_hold() -> None:
    with pytest.raises(EmitError, match="a=0.1"):
        generate("tanh(a*x)", name="wide")
    with pytest.raises(OutsideClass, match="almost-everywhere"):
        generate("sign(x)*(1 + tanh(x)**2)", name="jump", jumps="distribution")
    with pytest.raises(EmitError, match="use the target numpy"):
        generate("where(x > 1, tanh(x), 0)", name="stepped", target="numba")
    with pytest.raises(EmitError, match="use the target numpy"):
        generate("where(x > 1, sin(x), 0)", name="complex", target="numba")  # Phi of complex arguments


# Smooth and kinked, with a jump, steep; what oscillates or grows has tables for smaller variances alone.
UNNAMED = {
    "tanh(3*x)": 1e3,
    "tanh(50*x)": 1e3,
    "max(tanh(x), 0)": 1e3,
    "step(x)*(1 + tanh(x))": 1e3,
    "x*log(abs(x) + 1)": 1e3,
    "sin(x)*tanh(x)": 100,
    "tanh(x) + sin(3*x)/10": 30,
    "exp(x/4)*tanh(x)": 100,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", UNNAMED)
def test_activations_that_nobody_named(text: str) -> None:
    dual = derive_dual(text)
    tables = tabulated(dual)
    assert tables is not None
    assert tables.high >= UNNAMED[text]
    module, rng = namespace(emit_tables(dual, "unnamed", tables)), np.random.default_rng(2)
    q1, q2 = np.exp(rng.uniform(np.log(tables.low), np.log(tables.high), (2, 500))).astype(np.float32)
    c = (np.sqrt(q1 * q2) * rng.uniform(-0.999, 0.999, 500)).astype(np.float32)
    for name in ("kernel", "kernel_dot"):
        double = getattr(module, name)(*(a.astype(np.float64) for a in (q1, q2, c)))
        ends = [getattr(module, f"{name}_diag")(q.astype(np.float64)) for q in (q1, q2)]
        single = getattr(module, name)(q1, q2, c)
        assert single.dtype == np.float32
        assert (np.abs(single - double) <= 4e-7 * np.sqrt(ends[0] * ends[1])).all()
    assert tables.certificate is not None
    assert max(tables.certificate.kernel, tables.certificate.kernel_dot) < BOUND
